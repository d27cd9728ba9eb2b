"""The checkpoints of ERNIE of Tsinghua: BERT's tensors, and those of the entities beside them.

The released file is a pickle, which is never opened here; docs/ernie_thu.md says how to export it.

Source: `modeling.py` and `ernie_config.json` of thunlp/ERNIE (Zhang et al. 2019, arXiv:1905.07129).
"""

import functools
import re

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_number
from keras_plm.checkpoints.conversion import Row, System
from keras_plm.checkpoints.families.bert import (
    ARCHITECTURES,
    IGNORED,
    NUMBERS,
    OLD_NAMES,
    REQUIRED,
    SIZES,
    SUMMARY,
    read_head_settings,
)
from keras_plm.checkpoints.families.transformer_config import (
    PLAIN,
    TransformerConfig,
    read_count,
    write_heads,
)
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names import transformer_weights
from keras_plm.checkpoints.weight_names.bert_weights import BERT_HEADS, BERT_NAMES, bert_copies
from keras_plm.checkpoints.weight_names.transformer_weights import DENSE, NORM, part_rows

CONFIG_FILE = "ernie_config.json"  # of the released directory, beside `vocab.txt`
# What `layer_types` calls a block. What it leaves out at the end is "sim".
TYPES = {"sim": "text", "mix": "fuse", "norm": "fuse_attend"}
# The widths, which the released code has as numbers and no config says: names of our own.
ENTITY_DIM, ENTITY_HEADS = "entity_hidden_size", "entity_num_attention_heads"
CONFIG = TransformerConfig(
    model_type="ernie_thu",
    sizes=SIZES,
    numbers=NUMBERS,
    activation=("hidden_act", "gelu"),
    free=("num_segments",),
    required=REQUIRED,
    constants={"pad_token_id": 0},
)
# The layers of entities by their names, and the axes of their weights: E the width of an entity,
# A its heads, C their width.
_ENTITY_NORM = {"gamma": "E", "beta": "E"}
_FUSION = {
    "entity_intermediate": ("intermediate.dense_ent", {"kernel": "EF", "bias": "F"}),
    "entity_output": ("output.dense_ent", {"kernel": "FE", "bias": "E"}),
    "entity_norm": ("output.LayerNorm_ent", _ENTITY_NORM),
}
_ATTENTION = {
    **{
        f"entity_attention/{name}": (
            f"attention.self_ent.{name}",
            {"kernel": "EAC", "bias": "AC"},
        )
        for name in ("query", "key", "value")
    },
    "entity_attention/attention_output": (
        "attention.output_ent.dense",
        {"kernel": "ACE", "bias": "E"},
    ),
    "entity_attention_norm": ("attention.output_ent.LayerNorm", _ENTITY_NORM),
}
_AXES = {"EF": "FE", "FE": "EF", "EAC": "(AC)E", "AC": "(AC)", "ACE": "E(AC)"}  # torch.nn.Linear
_text_rows = transformer_weights.transformer_rows(
    {part: f"bert.{name}" for part, name in BERT_NAMES.items()}
)
HEADS = {
    **BERT_HEADS,
    "entities": (
        *part_rows("transform", DENSE, "cls.predictions_ent.transform.dense"),
        *part_rows("transform_norm", NORM, "cls.predictions_ent.transform.LayerNorm"),
    ),
}
_ARCHITECTURES = {**ARCHITECTURES, ("entities", "sentence_pair", "tokens"): "ForPreTraining"}
_WIDTH = re.compile(r"bert\.encoder\.layer\.\d+\.intermediate\.dense_ent\.weight")


def rows(arguments):
    """The table of a backbone.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        tuple of `Row`.
    """
    types = arguments["block_types"] or families.fusing_block_types(arguments["num_layers"])
    of_entities = []
    for layer, kind in enumerate(types):
        parts = {"text": {}, "fuse": _FUSION, "fuse_attend": {**_FUSION, **_ATTENTION}}[kind]
        for part, (theirs, weights) in parts.items():
            theirs = f"bert.encoder.layer.{layer}.{theirs}"
            for weight, axes in weights.items():
                suffix = transformer_weights.LINEAR.suffixes[weight]
                path = f"block_{layer}/{part}/{weight}"
                of_entities.append(
                    Row(path, axes, theirs + suffix, hugging_face_axes=_AXES.get(axes))
                )
    return (*_text_rows({**arguments, "embedding_norm": True, "pooler": True}), *of_entities)


def sizes(arguments):
    """What the letters of the table's axes stand for.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of str to int.
    """
    entity_dim, heads = arguments["entity_dim"], arguments["entity_heads"]
    own = {"E": entity_dim, "A": heads, "C": entity_dim // max(heads, 1)}
    return {**transformer_weights.sizes(arguments), **own}


def _read(config, arrays):
    """A config; the width of entities, if it does not say it, is that of the weights."""
    arguments = CONFIG.read(config)
    arguments = {name: value for name, value in arguments.items() if name not in PLAIN}
    arguments["num_segments"] = read_count(config, "type_vocab_size", 2, least=1)
    types, num_layers = config.get("layer_types", []), arguments["num_layers"]
    known = isinstance(types, list) and all(isinstance(t, str) and t in TYPES for t in types)
    if not known or len(types) > num_layers:
        raise ValueError(
            f"'layer_types' must be a list of at most {num_layers} of {sorted(TYPES)}. Received: "
            f"{types!r:.200}."
        )
    types = [TYPES[one] for one in types]
    arguments["block_types"] = types + ["text"] * (num_layers - len(types))
    width = read_number(config, ENTITY_DIM, 0, int)
    if not width:
        try:
            shapes = arrays().shapes
        except FileNotFoundError:
            shapes = {}
        found = [shape[-1] for name, shape in shapes.items() if _WIDTH.fullmatch(name) and shape]
        width = found[0] if found else families.ERNIE_THU["flags"]["entity_dim"]
    arguments["entity_dim"] = width
    arguments["entity_heads"] = read_count(
        config, ENTITY_HEADS, families.ERNIE_THU["flags"]["entity_heads"], least=1
    )
    return arguments, []


def _write(arguments):
    """A config."""
    plain = {**PLAIN, "head_dim": None, "window": None}
    config = CONFIG.write({**plain, **arguments})
    theirs = {ours: name for name, ours in TYPES.items()}
    return {
        **config,
        "type_vocab_size": arguments["num_segments"],
        "layer_types": [theirs[one] for one in arguments["block_types"]],
        ENTITY_DIM: arguments["entity_dim"],
        ENTITY_HEADS: arguments["entity_heads"],
    }, []


ERNIE_THU = System(
    name="ErnieThu",
    class_name="KnowledgeBackbone",
    model_type="ernie_thu",
    prefix="bert.",
    rows=rows,
    sizes=sizes,
    heads=HEADS,
    tied=bert_copies("bert."),
    read_hugging_face=_read,
    write_hugging_face=_write,
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, _ARCHITECTURES),
    write_head_config=write_heads("classifier_dropout", summary=SUMMARY),
    architectures=_ARCHITECTURES,
    tokenizer=tokenizer_format.BERT,
    old_names=OLD_NAMES,
    ignored=IGNORED,
)
