"""What the weights of a `TransformerBackbone` are called elsewhere: what all tables share."""

from dataclasses import dataclass

from keras_plm.checkpoints.conversion import Row

# The weights of each part, and their axes: the letters are those of `sizes`.
_NORM = {"gamma": "D", "beta": "D"}
_HEADS = {"kernel": "DHK", "bias": "HK"}
PARTS = {
    "token_embedding": {"embeddings": "VD"},
    "position_embedding": {"embeddings": "ND"},
    "segment_embedding": {"embeddings": "SD"},
    "language_embedding": {"embeddings": "GD"},
    "task_embedding": {"embeddings": "TD"},
    "embedding_norm": _NORM,
    "relative_position_bias": {"embeddings": "BH"},
    "block_{layer}/attention/query": _HEADS,
    "block_{layer}/attention/key": _HEADS,
    "block_{layer}/attention/value": _HEADS,
    "block_{layer}/attention/attention_output": {"kernel": "HKD", "bias": "D"},
    "block_{layer}/attention_norm": _NORM,
    "block_{layer}/intermediate": {"kernel": "DF", "bias": "F"},
    "block_{layer}/feedforward_output": {"kernel": "FD", "bias": "D"},
    "block_{layer}/feedforward_norm": _NORM,
    "final_norm": _NORM,
    "pooler": {"kernel": "IO", "bias": "O"},
}
# The parts that not every model has, and the argument that says so.
OPTIONAL = {
    "segment_embedding": "num_segments",
    "language_embedding": "num_languages",
    "task_embedding": "num_tasks",
    "embedding_norm": "embedding_norm",
    "relative_position_bias": "relative_position_buckets",
    "final_norm": "normalize_first",
    "pooler": "pooler",
}
# Parts of a head.
DENSE = {"kernel": "IO", "bias": "O"}
NORM = {"gamma": "I", "beta": "I"}
_FUSED = ("query", "key", "value")


@dataclass(frozen=True)
class Style:
    """How a framework stores the weights of a layer.

    Args:
        suffixes: dict of our name of a weight to what is added there to the name of its layer.
        axes: dict of our axes to those of the stored tensor, where they differ (see `Row`).
    """

    suffixes: dict
    axes: dict


_TORCH = {
    "embeddings": ".weight",
    "gamma": ".weight",
    "beta": ".bias",
    "kernel": ".weight",
    "bias": ".bias",
}
LINEAR = Style(  # torch.nn.Linear
    _TORCH,
    {"DHK": "(HK)D", "HK": "(HK)", "HKD": "D(HK)", "DF": "FD", "FD": "DF", "IO": "OI"},
)
CONV1D = Style(  # of transformers' GPT: queries, keys and values in one
    _TORCH, {"DHK": "D(3HK)", "HK": "(3HK)", "HKD": "(HK)D"}
)
GOOGLE = Style(
    {"embeddings": "", "gamma": "/gamma", "beta": "/beta", "kernel": "/kernel", "bias": "/bias"},
    {"DHK": "D(HK)", "HK": "(HK)", "HKD": "(HK)D"},
)
OPENAI = Style(  # a convolution of width 1
    {"embeddings": "", "gamma": "/g", "beta": "/b", "kernel": "/w", "bias": "/b"},
    {"DHK": "1D(3HK)", "HK": "(3HK)", "HKD": "1(HK)D", "DF": "1DF", "FD": "1FD"},
)


def part_rows(ours, weights, theirs, style=LINEAR, tensorflow=None, tensorflow_style=GOOGLE):
    """The lines of a table for one layer.

    Args:
        ours: str. Our name of the layer.
        weights: dict of our name of a weight to its axes.
        theirs: str. Its Hugging Face name.
        style: `Style` of the Hugging Face file.
        tensorflow: str or None. Its name in a TensorFlow checkpoint.
        tensorflow_style: `Style` of that.

    Returns:
        tuple of `Row`.
    """
    last = ours.split("/")[-1]
    return tuple(
        Row(
            f"{ours}/{weight}",
            axes,
            theirs + style.suffixes[weight],
            None if tensorflow is None else tensorflow + tensorflow_style.suffixes[weight],
            style.axes.get(axes),
            tensorflow_style.axes.get(axes),
            part=_FUSED.index(last) if last in _FUSED else 0,
        )
        for weight, axes in weights.items()
    )


def transformer_rows(names, style=LINEAR, tensorflow=None, tensorflow_style=GOOGLE):
    """Make the function that gives the table of a backbone.

    Args:
        names: dict of our name of a part to its Hugging Face name.
        style: `Style` of the Hugging Face file.
        tensorflow: dict of our name of a part to its name in a TensorFlow checkpoint, or None.
        tensorflow_style: `Style` of that.

    Returns:
        function of the constructor arguments: tuple of `Row`. It raises ValueError for arguments
        that ask for a part that the system has not.
    """

    def rows(arguments):
        parts = [part for part in PARTS if part not in OPTIONAL or arguments.get(OPTIONAL[part])]
        missing = [OPTIONAL[part] for part in parts if part not in names]
        if missing:
            raise ValueError(
                f"Checkpoints of this system have no weights for {missing}. Received: "
                f"{ {name: arguments[name] for name in missing} }."
            )
        return tuple(
            row
            for part in parts
            for row in part_rows(
                part,
                PARTS[part],
                names[part],
                style,
                (tensorflow or {}).get(part),
                tensorflow_style,
            )
        )

    return rows


def sizes(arguments):
    """What the letters of the tables' axes stand for.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of str to int.
    """
    hidden_dim, num_heads = arguments["hidden_dim"], arguments["num_heads"]
    return {
        "V": arguments["vocabulary_size"],
        "N": arguments["max_sequence_length"] + 2 * bool(arguments.get("positions_from_padding")),
        "S": arguments.get("num_segments", 2),
        "G": arguments.get("num_languages", 0),
        "T": arguments.get("num_tasks", 0),
        "B": arguments.get("relative_position_buckets", 0),
        "D": hidden_dim,
        "I": hidden_dim,
        "O": hidden_dim,
        "F": arguments["intermediate_dim"],
        "H": num_heads,
        "K": arguments.get("head_dim") or hidden_dim // max(num_heads, 1),
    }
