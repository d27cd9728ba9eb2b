"""What Transformer-XL's weights are called: ours, transformers', the original TensorFlow code's."""

from keras_plm.checkpoints.conversion import Row
from keras_plm.checkpoints.weight_names.transformer_weights import part_rows

ROWS, WIDTHS = "abcdefgh", "stuvwxyz"  # the letters of the clusters' sizes
LAYER = "transformer.layers.{layer}."
TENSORFLOW_LAYER = "transformer/layer_{layer}/"
EMBEDDING = "transformer/adaptive_embed"
SOFTMAX = "transformer/adaptive_softmax"
SCORE = part_rows("logits", {"kernel": "IO"}, "score")


def _attention(ours, theirs, axes, tensorflow, tensorflow_axes, part=0):
    """A projection of the attention, DHK of ours."""
    return Row(
        f"block_{{layer}}/attention/{ours}/kernel",
        "DHK",
        f"{LAYER}dec_attn.{theirs}.weight",
        f"{TENSORFLOW_LAYER}rel_attn/{tensorflow}/kernel",
        axes,
        tensorflow_axes,
        part=part,
    )


def _within_block(ours, weights, theirs, tensorflow):
    """A norm or a dense layer of a block."""
    return part_rows(
        f"block_{{layer}}/{ours}", weights, LAYER + theirs, tensorflow=TENSORFLOW_LAYER + tensorflow
    )


NORM = {"gamma": "D", "beta": "D"}
BLOCK = (
    *(
        _attention(name, "qkv_net", "(3HK)D", "qkv", "D(3HK)", part)
        for part, name in enumerate(("query", "key", "value"))
    ),
    _attention("position", "r_net", "(HK)D", "r", "D(HK)"),
    _attention("attention_output", "o_net", "D(HK)", "o", "(HK)D"),
    *_within_block("attention_norm", NORM, "dec_attn.layer_norm", "rel_attn/LayerNorm"),
    *_within_block("intermediate", {"kernel": "DF", "bias": "F"}, "pos_ff.CoreNet.0", "ff/layer_1"),
    *_within_block(
        "feedforward_output", {"kernel": "FD", "bias": "D"}, "pos_ff.CoreNet.3", "ff/layer_2"
    ),
    *_within_block("feedforward_norm", NORM, "pos_ff.layer_norm", "ff/LayerNorm"),
)
BIASES = {"content_bias": "r_w_bias", "position_bias": "r_r_bias"}


def rows(arguments):
    """The table of a backbone.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        tuple of `Row`.
    """
    tied = arguments.get("tied_biases", True)
    place = "attention_biases" if tied else "block_{layer}/attention/biases"
    biases = tuple(
        Row(
            f"{place}/{ours}",
            "HK",
            f"{LAYER}dec_attn.{theirs}",
            f"transformer/{theirs}",
            tensorflow_axes="HK" if tied else "LHK",
        )
        for ours, theirs in BIASES.items()
    )
    return (*_embedding_rows(arguments), *biases, *BLOCK)


def sizes(arguments):
    """What the letters of the table's shapes stand for.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of str to int.
    """
    hidden_dim, num_heads = arguments["hidden_dim"], arguments["num_heads"]
    found = {
        "V": arguments["vocabulary_size"],
        "D": hidden_dim,
        "F": arguments["intermediate_dim"],
        "H": num_heads,
        "K": arguments.get("head_dim") or hidden_dim // num_heads,
    }
    for number, (size, width) in enumerate(tables_of(arguments)):
        found |= {ROWS[number]: size, WIDTHS[number]: width}
    return found


def _is_adaptive(arguments):
    """Whether the embedding is an `AdaptiveEmbedding`."""
    own_width = arguments.get("embedding_dim") not in (None, arguments["hidden_dim"])
    return bool(arguments.get("cutoffs")) or own_width or not arguments.get("tie_weights", True)


def tables_of(arguments):
    """The rows and the width of each table of the embedding."""
    div_val = arguments.get("div_val", 1)
    cutoffs = list(arguments.get("cutoffs") or ())
    bounds = [0, *(cutoffs if div_val > 1 else ()), arguments["vocabulary_size"]]
    if len(bounds) - 1 > len(ROWS):
        raise ValueError(
            f"Checkpoints are read with {len(ROWS)} tables of the embedding at most. Received: "
            f"cutoffs={cutoffs}, div_val={div_val}."
        )
    width = arguments.get("embedding_dim") or arguments["hidden_dim"]
    return [(b - a, width // div_val**n) for n, (a, b) in enumerate(zip(bounds, bounds[1:]))]


def _has_projection(arguments, width):
    """Whether vectors of a width are projected to the width of the model."""
    same_too = arguments.get("div_val", 1) > 1 and arguments.get("project_same_width", True)
    return same_too or width != arguments["hidden_dim"]


def _embedding_rows(arguments):
    """The lines of the embedding."""
    tables = tables_of(arguments)
    if not _is_adaptive(arguments):
        ours, theirs = "token_embedding", "transformer.word_emb.emb_layers.0"
        return part_rows(ours, {"embeddings": "VD"}, theirs, tensorflow=f"{EMBEDDING}/lookup_table")
    found = []
    for number, (_, width) in enumerate(tables):
        scope = f"{EMBEDDING}/cutoff_{number}" if len(tables) > 1 else EMBEDDING
        axes = ROWS[number] + WIDTHS[number]
        found += part_rows(
            f"token_embedding/table_{number}",
            {"embeddings": axes},
            f"transformer.word_emb.emb_layers.{number}",
            tensorflow=f"{scope}/lookup_table",
        )
        if _has_projection(arguments, width):
            found.append(
                Row(
                    f"token_embedding/projection_{number}/kernel",
                    WIDTHS[number] + "D",
                    f"transformer.word_emb.emb_projs.{number}",
                    f"{scope}/proj_W",
                    hugging_face_axes="D" + WIDTHS[number],
                )
            )
    return tuple(found)


def token_rows(arguments):
    """The lines of the head over the vocabulary: what it does not share with the embedding.

    TensorFlow keeps the bias of one table in parts where there are clusters, which no line can say;
    see `keras_plm.checkpoints.weight_names.adaptive_weights`.
    """
    if not _is_adaptive(arguments):
        return (Row("bias", "V", "crit.out_layers.0.bias", f"{SOFTMAX}/bias"),)
    tables, found = tables_of(arguments), []
    for number in range(len(tables)):
        theirs, tensorflow = f"crit.out_layers.{number}", f"{SOFTMAX}/cutoff_{number}/b"
        if len(tables) == 1:
            tensorflow = None if arguments.get("cutoffs") else f"{SOFTMAX}/bias"
        found.append(Row(f"bias_{number}", "V", f"{theirs}.bias", tensorflow))
        if not arguments.get("tie_weights", True):
            found.append(Row(f"table_{number}", "VE", f"{theirs}.weight"))
    if arguments.get("cutoffs"):
        scope = f"{SOFTMAX}/cutoff_0/cluster"
        found.append(Row("cluster_kernel", "CE", "crit.cluster_weight", f"{scope}_W"))
        found.append(Row("cluster_bias", "C", "crit.cluster_bias", f"{scope}_b"))
    for number in _own_projections(arguments):
        theirs, tensorflow = f"crit.out_projs.{number}", f"{SOFTMAX}/cutoff_{number}/proj"
        found.append(Row(f"projection_{number}", "ED", theirs, tensorflow, hugging_face_axes="DE"))
    return tuple(found)


def projected(arguments):
    """The clusters whose output has a projection."""
    tables = tables_of(arguments)
    clusters = range(len(arguments.get("cutoffs") or ()) + 1)
    return [n for n in clusters if _has_projection(arguments, tables[min(n, len(tables) - 1)][1])]


def _own_projections(arguments):
    """The clusters whose projection is the head's own."""
    tied = arguments.get("tie_projections", "all_but_first")
    return [n for n in projected(arguments) if tied == "none" or tied != "all" and n == 0]


def token_copies(arguments):
    """What files may hold of the head that is shared with the embedding."""
    tables, copies = tables_of(arguments), {}
    for number in range(len(tables)):
        if arguments.get("tie_weights", True):
            theirs = f"transformer.word_emb.emb_layers.{number}.weight"
            copies[f"crit.out_layers.{number}.weight"] = theirs
    for number in set(projected(arguments)) - set(_own_projections(arguments)):
        theirs = f"transformer.word_emb.emb_projs.{min(number, len(tables) - 1)}"
        copies[f"crit.out_projs.{number}"] = theirs
    return copies


def stand_ins(config, names):
    """Find biases that all layers share, where a file has them once.

    Args:
        config: dict, the Hugging Face config.
        names: the names of the tensors of a file.

    Returns:
        dict, see `System.stand_ins`.
    """
    if config.get("untie_r", True) is not False or not isinstance(config.get("n_layer"), int):
        return {}
    found = {}
    for bias in BIASES.values():
        of_layers = [f"{LAYER}dec_attn.{bias}".format(layer=n) for n in range(config["n_layer"])]
        there = [name for name in (f"transformer.{bias}", *of_layers) if name in names]
        found |= {name: there[0] for name in of_layers if there and name not in names}
    return found
