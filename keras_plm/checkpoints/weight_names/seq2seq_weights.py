"""What the weights of a `Seq2SeqBackbone` are called elsewhere: what all its tables share."""

from keras_plm.checkpoints.weight_names.transformer_weights import LINEAR, PARTS, Style, part_rows

STYLE = Style(
    {**LINEAR.suffixes, "reverse_embeddings": ".weight"},
    {**LINEAR.axes, "DV": "VD"},
)
# What a `Seq2SeqBackbone` is unless its system says otherwise.
PLAIN = {
    "source_vocabulary_size": None,
    "output_dropout": 0.0,
    "position_offset": 0,
    "norm": "layer",
    "normalize_first": False,
    "embedding_norm": False,
    "use_bias": True,
    "gated": False,
    "scale_scores": True,
    "zero_token_id": None,
    "tie_weights": True,
    "output_bias": False,
    "scale_logits": False,
    "num_languages": 0,
}
SIDES = ("encoder", "decoder")
BLOCK = "block_{layer}/"
# Without numbers: a backbone has as many blocks on each side as its arguments say.
OWN = tuple(part.removeprefix(BLOCK) for part in PARTS if part.startswith(BLOCK))
CROSS = tuple(f"cross_{part}" for part in OWN if part.startswith("attention"))


def seq2seq_rows(names, style=STYLE):
    """Make the function that gives the table of a backbone.

    Args:
        names: function of a side, our name of a part and the number of its block (None: it stands
            outside of the blocks): the name of the part there.
        style: `Style` of the file.

    Returns:
        function of the constructor arguments: tuple of `Row`.
    """

    def rows(arguments):
        found = [("token_embedding", {"embeddings": "VD"}, names(None, "token_embedding", None))]
        if not arguments.get("tie_weights", True):
            own = names(None, "reverse_embeddings", None)
            found.append(("token_embedding", {"reverse_embeddings": "DV"}, own))
        for side in SIDES:
            found += [
                (f"{side}_{part}", _weights(part, arguments), names(side, part, None))
                for part, is_there in _outside(arguments).items()
                if is_there
            ]
            number = arguments["num_layers"]
            if side == "decoder":
                number = arguments.get("num_decoder_layers") or number
            found += [
                (
                    f"{side}_block_{layer}/{part}",
                    _weights(part, arguments),
                    names(side, part, layer),
                )
                for layer in range(number)
                for part in _inside(side, arguments)
            ]
        return tuple(row for part in found for row in part_rows(*part, style=style))

    return rows


def dotted_names(parts, shared, prefix=""):
    """Make the function that names parts as BART and fairseq do, for `seq2seq_rows`.

    Args:
        parts: dict of our name of a part, or of one piece of it, to theirs.
        shared: str. The name of the embedding.
        prefix: str. What stands before the names of all others.

    Returns:
        function, see `seq2seq_rows`.
    """

    def name(side, part, layer):
        if side is None:
            return shared
        place = side if layer is None else f"{side}.layers.{layer}"
        return prefix + ".".join([place, *(parts[one] for one in part.split("/"))])

    return name


def _outside(arguments):
    """The parts of a side that stand outside of its blocks, and whether it has them."""
    return {
        "position_embedding": arguments["positions"] == "learned",
        "relative_position_bias": arguments["positions"] == "relative",
        "embedding_norm": arguments.get("embedding_norm", False),
        "final_norm": arguments.get("normalize_first", False),
    }


def _inside(side, arguments):
    """The parts of a block."""
    parts = (*OWN, *(CROSS if side == "decoder" else ()))
    return (*parts, "multiplier") if arguments.get("gated") else parts


def _weights(part, arguments):
    """The weights of a part, and their axes."""
    if "norm" in part:
        return {"gamma": "D"} if arguments.get("norm") == "rms" else {"gamma": "D", "beta": "D"}
    part = "intermediate" if part == "multiplier" else part.removeprefix("cross_")
    weights = PARTS.get(part) or PARTS[BLOCK + part]
    biases = arguments.get("use_bias", True)
    return {weight: axes for weight, axes in weights.items() if biases or weight != "bias"}


def sizes(arguments):
    """What the letters of the tables' axes stand for.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of str to int.
    """
    hidden_dim, num_heads = arguments["hidden_dim"], arguments["num_heads"]
    longest = arguments.get("max_sequence_length") or 0
    return {
        "V": arguments["vocabulary_size"],
        "N": longest + arguments.get("position_offset", 0),
        "B": arguments.get("relative_position_buckets", 32),
        "D": hidden_dim,
        "F": arguments["intermediate_dim"],
        "H": num_heads,
        "K": arguments.get("head_dim") or hidden_dim // num_heads,
    }


def check_flags(arguments, needed, free=()):
    """Refuse a backbone that a system has not.

    Args:
        arguments: dict, the backbone's `get_config()`.
        needed: dict of those arguments that all of its models have.
        free: names of others that differ from model to model.

    Raises:
        ValueError: naming what is different.
    """
    needed = {**PLAIN, **needed}
    if arguments["head_dim"] is not None:
        needed.setdefault("head_dim", arguments["hidden_dim"] // arguments["num_heads"])
    wrong = {
        name: arguments[name]
        for name, value in needed.items()
        if name not in free and arguments[name] != value
    }
    if wrong:
        raise ValueError(f"It has { {name: needed[name] for name in wrong} }. Received: {wrong}.")
