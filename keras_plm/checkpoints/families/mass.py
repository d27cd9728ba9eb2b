"""MASS's models for summaries, as fairseq 0.8 saves them; to read.

microsoft/MASS publishes pickles, which are never opened here. If you trust one, convert it once,
where PyTorch is installed, and put BERT's `vocab.txt` beside it, whose order its `dict.txt` has:

    import json, torch, safetensors.torch
    state = torch.load("mass-base-uncased.pt", map_location="cpu", weights_only=False)["model"]
    state = {name: one.clone().contiguous() for name, one in state.items()}
    safetensors.torch.save_file(state, "model.safetensors")
    json.dump({"model_type": "mass", "num_heads": 12}, open("config.json", "w"))

Sizes follow from the shapes, but for the number of heads (base: 12, middle: 16). Its models for
translation are others: see `families.MASS`.

Source: `s2s_model.py` of MASS-summarization in microsoft/MASS; fairseq 0.8's
`MultiheadAttention`, which keeps queries, keys and values in one.
"""

import functools
import re
from dataclasses import replace

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_sizes
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.families.bart import PARTS as BART_PARTS
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.seq2seq_weights import (
    STYLE,
    dotted_names,
    seq2seq_rows,
    sizes,
)
from keras_plm.checkpoints.weight_names.transformer_weights import Style

FUSED = Style(STYLE.suffixes, {**STYLE.axes, "DHK": "(3HK)D", "HK": "(3HK)"})
IN_PROJECTION = "in_proj"  # its tensors are in_proj_weight and in_proj_bias
PARTS = {
    **BART_PARTS,
    **dict.fromkeys(("query", "key", "value"), IN_PROJECTION),
    "embedding_norm": "emb_layer_norm",
}
SHARED = "encoder.embed_tokens.weight"
COPIES = {"decoder.embed_tokens.weight": SHARED}
fused_rows = seq2seq_rows(dotted_names(PARTS, SHARED.removesuffix(".weight")), FUSED)
ARCHITECTURES = {("tokens",): "ForConditionalGeneration"}


def rows(arguments):
    """The table of a backbone.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        tuple of `Row`.
    """
    dotted, theirs = f"{IN_PROJECTION}.", f"{IN_PROJECTION}_"
    return tuple(
        replace(row, hugging_face=row.hugging_face.replace(dotted, theirs))
        for row in fused_rows(arguments)
    )


def read_config(config, arrays):
    """Read the sizes of a model.

    Args:
        config: dict with "num_heads".
        arrays: function that opens the weights.

    Returns:
        dict of constructor arguments, and a list of str, empty.

    Raises:
        ValueError: if there is no number of heads, or it does not divide the width, or an array
            that says a size is missing.
    """
    arguments = read_sizes(config, {"num_heads": "num_heads"})
    shapes, offset = arrays().shapes, families.MASS["flags"]["position_offset"]
    needed = {
        "embedding": SHARED,
        "positions": "encoder.embed_positions.weight",
        "inner": "encoder.layers.0.fc1.weight",
    }
    missing = [name for name in needed.values() if len(shapes.get(name, ())) != 2]
    if missing:
        raise ValueError(f"The weights of a MASS model have matrices {missing}. Received: none.")
    vocabulary_size, hidden_dim = shapes[needed["embedding"]]
    if hidden_dim % arguments["num_heads"]:
        raise ValueError(
            f"'num_heads' must divide the width, {hidden_dim}. Received: {arguments['num_heads']}."
        )
    layers = {
        side: len({found[1] for name in shapes if (found := re.match(pattern, name))})
        for side, pattern in (
            ("num_layers", r"encoder\.layers\.(\d+)\."),
            ("num_decoder_layers", r"decoder\.layers\.(\d+)\."),
        )
    }
    return {
        **families.MASS["flags"],
        **arguments,
        **layers,
        "vocabulary_size": vocabulary_size,
        "hidden_dim": hidden_dim,
        "intermediate_dim": shapes[needed["inner"]][0],
        "max_sequence_length": shapes[needed["positions"]][0] - offset,
    }, []


def write_config(arguments):
    """Refuse: fairseq's pickles are not written.

    Raises:
        ValueError: always.
    """
    raise ValueError("fairseq reads nothing but pickles, which are not written.")


MASS = System(
    name="MASS",
    class_name="Seq2SeqBackbone",
    model_type="mass",
    prefix="",
    rows=rows,
    sizes=sizes,
    heads={"tokens": ((),)},
    tied={"tokens": COPIES},
    read_hugging_face=read_config,
    write_hugging_face=write_config,
    read_head_settings=lambda config, shapes: {"transform": False},
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=lambda task, head, weights: {},
    architectures=ARCHITECTURES,
    tokenizer=replace(tokenizer_format.BERT, layout="mass"),
    ignored=r"(encoder|decoder)\.(version|embed_positions\._float_tensor)",
)
