"""Transformer-XL's checkpoints: those of transformers 4 in both directions, TensorFlow's to read.

transformers 5 has no Transformer-XL, and published its weights and vocabularies as pickles: convert
the weights once, as the error says that a directory without safetensors gets, and the vocabulary by
`keras_plm.checkpoints.convert_pickled_vocabulary(".../vocab.pkl", ".../vocab.txt")`.

A TensorFlow release has the checkpoint (`model/`) and `corpus-info.json` (`data/`) apart: copy the
latter beside the checkpoint. Everything but the lengths of memory and clamp follows from shapes.

Source: kimiyoung/transformer-xl, `tf/model.py`; transformers 4.35, `modeling_transfo_xl.py`.
"""

import re

from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import (
    read_choice,
    read_flag,
    read_number,
    read_sizes,
)
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.families.transformer_config import read_classes, write_heads
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.transformer_xl_weights import (
    EMBEDDING,
    SCORE,
    SOFTMAX,
    rows,
    sizes,
    stand_ins,
    tables_of,
    token_copies,
    token_rows,
)
from keras_plm.checks import check_ascending

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "head_dim": "d_head",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_inner",
}
RATES = {"dropout": ("dropout", 0.1), "attention_dropout": ("dropatt", 0.0)}
LAST = ("last", "linear")


# === Configurations ===


def read_hugging_face(config, arrays):
    """Translate a `config.json` of transformers 4.

    Args:
        config: dict.
        arrays: function that opens the weights; not used.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that Transformer-XL has.
    """
    if config.get("attn_type", 0) != 0:
        raise ValueError(
            f"`attn_type` must be 0, Transformer-XL's. Received: {config['attn_type']!r:.100}."
        )
    arguments = read_sizes(config, SIZES)
    for ours, (theirs, default) in RATES.items():
        arguments[ours] = read_number(config, theirs, default)
    clamp_length = read_number(config, "clamp_len", 1000, int)
    tied = {"tie_weight": config.get("tie_weight", True), **config}
    same_length = read_flag(config, "same_length", True)
    memory_length = read_number(config, "mem_len", 1600, int)
    if same_length and not memory_length:
        raise ValueError("`same_length` must be false without a `mem_len`. Received: true.")
    arguments |= {
        "cutoffs": _read_cutoffs(config, arguments["vocabulary_size"]),
        "div_val": read_number(config, "div_val", 1, int),
        "embedding_dim": read_number(config, "d_embed", arguments["hidden_dim"], int),
        "tie_weights": read_flag(tied, "tie_word_embeddings", tied["tie_weight"]),
        "tie_projections": _read_tied_projections(config),
        "normalize_first": read_flag(config, "pre_lnorm", False),
        "tied_biases": not read_flag(config, "untie_r", True),
        "memory_length": memory_length,
        "start_from_zeros": memory_length > 0,
        "same_length": same_length,
        "same_length_with_itself": same_length,
        "clamp_length": clamp_length if clamp_length > 0 else None,
        "layer_norm_epsilon": read_number(config, "layer_norm_epsilon", 1e-5),
        "initializer_range": read_number(config, "init_std", 0.02),
    }
    return arguments, []


def _read_cutoffs(config, vocabulary_size):
    """The first ids of the clusters; some files have those of all, and V."""
    cutoffs = config.get("cutoffs") or []
    if isinstance(cutoffs, list):
        cutoffs = [cutoff for cutoff in cutoffs if cutoff not in (0, vocabulary_size)]
    return list(check_ascending("cutoffs", cutoffs, most=vocabulary_size - 1))


def _read_tied_projections(config):
    """Which projections of the embedding the head has."""
    tied = config.get("tie_projs")
    if tied is None:
        switch = {True: "all_but_first", False: "none"}
        return read_choice(config, "proj_share_all_but_first", switch, True)
    if isinstance(tied, list) and tied and all(isinstance(one, bool) for one in tied):
        for name, first, others in (
            ("none", False, False),
            ("all_but_first", False, True),
            ("all", True, True),
        ):
            if tied == [first] + [others] * (len(tied) - 1):
                return name
    raise ValueError(
        f"`tie_projs` must be true for all clusters, for all but the first, or for none. "
        f"Received: {tied!r:.100}."
    )


def write_hugging_face(arguments):
    """Translate a backbone's configuration into a `config.json` of transformers 4.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if transformers has no such model.
    """
    widths = [width for _, width in tables_of(arguments)]
    same = arguments["div_val"] > 1 and arguments["hidden_dim"] in widths
    if arguments["activation"] != "relu" or same and not arguments["project_same_width"]:
        raise ValueError(
            "transformers' Transformer-XL has the activation 'relu', and with `div_val` a "
            "projection of equal widths too. Received: "
            f"activation={arguments['activation']!r}, "
            f"project_same_width={arguments['project_same_width']}."
        )
    notes = ["transformers has Transformer-XL until 4.x: later versions do not load it"]
    if arguments["memory_length"] and not arguments["start_from_zeros"]:
        notes.append("transformers begins a text with a memory of zeros, which it sees")
    if arguments["same_length"] and not arguments["same_length_with_itself"]:
        notes.append("with `same_length` a token sees one token fewer in transformers")
    clusters = len(arguments["cutoffs"]) + 1
    tied = arguments["tie_projections"]
    config = {theirs: arguments[ours] for ours, theirs in SIZES.items() if ours != "head_dim"}
    config |= {theirs: arguments[ours] for ours, (theirs, _) in RATES.items()}
    config |= {
        "model_type": "transfo-xl",
        "d_head": sizes(arguments)["K"],
        "d_embed": arguments["embedding_dim"] or arguments["hidden_dim"],
        "cutoffs": list(arguments["cutoffs"]),
        "div_val": arguments["div_val"],
        "tie_word_embeddings": arguments["tie_weights"],
        "tie_projs": [tied == "all"] + [tied != "none"] * (clusters - 1),
        "proj_share_all_but_first": tied == "all_but_first",
        "pre_lnorm": arguments["normalize_first"],
        "untie_r": not arguments["tied_biases"],
        "mem_len": arguments["memory_length"],
        "same_length": arguments["same_length"],
        "clamp_len": arguments["clamp_length"] or -1,
        "layer_norm_epsilon": arguments["layer_norm_epsilon"],
        "init_std": arguments["initializer_range"],
        "attn_type": 0,
        "adaptive": True,
        "sample_softmax": -1,
        "eos_token_id": 0,
        "dtype": "float32",
    }
    return config, notes


def read_tensorflow(config, arrays):
    """Find what a TensorFlow checkpoint is, from the shapes of its variables.

    Args:
        config: dict, the original `corpus-info.json`, with the `cutoffs` of the vocabulary.
        arrays: function that opens the weights.

    Returns:
        dict of constructor arguments, and a list of str: what no file says.

    Raises:
        ValueError: if a variable is missing from which a size follows.
    """
    shapes = arrays().shapes
    tables = _numbered(shapes, f"{EMBEDDING}/cutoff_{{}}/lookup_table")
    tables = tables or {0: _shape(shapes, f"{EMBEDDING}/lookup_table", 2)}
    layers = _numbered(shapes, "transformer/layer_{}/ff/layer_1/kernel")
    hidden_dim, intermediate_dim = _shape(shapes, "transformer/layer_0/ff/layer_1/kernel", 2)
    biases = _shape(shapes, "transformer/r_w_bias", 2, 3)
    ends = [sum(rows for rows, _ in list(tables.values())[: n + 1]) for n in range(len(tables))]
    cutoffs = ends[:-1]
    if len(tables) == 1 and f"{SOFTMAX}/cutoff_0/cluster_W" in shapes:
        cutoffs = _read_cutoffs(config, ends[-1])
    widths = [width for _, width in tables.values()]
    arguments = {
        "vocabulary_size": ends[-1],
        "num_layers": len(layers),
        "num_heads": biases[-2],
        "head_dim": biases[-1],
        "hidden_dim": hidden_dim,
        "intermediate_dim": intermediate_dim,
        "cutoffs": cutoffs,
        "div_val": widths[0] // max(widths[1], 1) if len(widths) > 1 else 1,
        "embedding_dim": widths[0],
        "project_same_width": len(tables) == 1 or f"{EMBEDDING}/cutoff_0/proj_W" in shapes,
        "tied_biases": len(biases) == 2,
        "start_from_zeros": True,
        "layer_norm_epsilon": 1e-12,
    }
    own = set(_numbered(shapes, f"{SOFTMAX}/cutoff_{{}}/proj"))
    arguments["tie_projections"] = "none" if own - {0} else "all_but_first" if own else "all"
    return arguments, [
        "its files do not say how long memory and clamp are: give `memory_length`, "
        "`clamp_length` and `same_length` (in the released evaluations 1600 and 1000 for "
        "WikiText-103, 128 and none for One Billion Word, 3800 and 1000 for enwik8 and text8, all "
        "with `same_length`)"
    ]


def _numbered(shapes, name):
    """The shapes of the variables of a name, by the number that stands for its `{}`."""
    pattern = re.escape(name).replace(r"\{\}", r"(\d+)")
    found = [(re.fullmatch(pattern, other), shape) for other, shape in shapes.items()]
    return dict(sorted((int(match[1]), shape) for match, shape in found if match))


def _shape(shapes, name, *axes):
    """The shape of a variable that must be there, with one of these numbers of axes."""
    if len(shapes.get(name, ())) not in axes:
        raise ValueError(
            f"The checkpoint must have a variable {name!r} with {axes} axes. Received: "
            f"{shapes.get(name, 'none')}."
        )
    return shapes[name]


# === Heads ===

ARCHITECTURES = {
    ("tokens",): "LMHeadModel",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
}


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    if "score.weight" in shapes:
        settings = {"summarise": False, "logits_bias": False, "dropout": 0.0}
        return settings | read_classes(config, shapes, ("score.weight",), ())
    return {"transform": False, "use_bias": True}


def _other_head(config, head):
    """See `System.other_head`."""
    return other_head(ARCHITECTURES, config, head)


TRANSFORMER_XL = System(
    name="TransfoXL",
    class_name="TransformerXLBackbone",
    model_type="transfo-xl",
    prefix="transformer.",
    rows=rows,
    sizes=sizes,
    heads={"tokens": token_rows, "label": SCORE, "score": SCORE},
    tied={"tokens": token_copies},
    stand_ins=stand_ins,
    read_hugging_face=read_hugging_face,
    write_hugging_face=write_hugging_face,
    read_head_settings=read_head_settings,
    other_head=_other_head,
    write_head_config=write_heads(None, summary={"label": LAST, "score": LAST}),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.TRANSFORMER_XL,
    tensorflow_config="corpus-info.json",
    tensorflow_checkpoint="model.ckpt",
    read_tensorflow=read_tensorflow,
    ignored=r"pos_emb\.inv_freq",
    spare=("transformer.r_w_bias", "transformer.r_r_bias"),
)
