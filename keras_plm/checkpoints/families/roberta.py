"""RoBERTa's and MPNet's checkpoints: positions that count real tokens, from row 2 on.

Source: transformers' `RobertaModel` and `MPNetModel`.
"""

import functools

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.families import bert
from keras_plm.checkpoints.families.transformer_config import (
    TransformerConfig,
    has_pooler,
    read_classes,
    read_count,
    write_heads,
    write_segments,
)
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.bert_weights import (
    ROBERTA_HEADS,
    mpnet_rows,
    roberta_copies,
    roberta_rows,
)
from keras_plm.checkpoints.weight_names.transformer_weights import sizes

# The id of padding is also the row of its position: only with 1 are real tokens at row 2.
TOKENS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
# transformers builds this number of buckets, whatever a config says.
BUCKETS = {"relative_attention_num_buckets": families.MPNET["flags"]["relative_position_buckets"]}
ROBERTA_CONFIG = TransformerConfig(
    model_type="roberta",
    sizes=bert.SIZES,
    numbers=bert.NUMBERS,
    activation=("hidden_act", "gelu"),
    flags=families.ROBERTA["flags"],
    free=("num_segments", "pooler"),
    required={**bert.REQUIRED, "pad_token_id": 1},
    constants=TOKENS,
    extra_positions=2,
)
MPNET_CONFIG = TransformerConfig(
    model_type="mpnet",
    sizes=bert.SIZES,
    numbers=bert.NUMBERS,
    activation=("hidden_act", "gelu"),
    flags=families.MPNET["flags"],
    free=("pooler",),
    required={"pad_token_id": 1, **BUCKETS},
    constants={**TOKENS, **BUCKETS},
    extra_positions=2,
)
POOLERS = ("roberta.pooler.dense.weight", "mpnet.pooler.dense.weight")
ARCHITECTURES = {
    heads: name for heads, name in bert.ARCHITECTURES.items() if "sentence_pair" not in heads
}
# The classifiers have a dense layer of their own, where choices take the pooled output.
SUMMARY = {**bert.SUMMARY, "label": ("first", "tanh"), "score": ("first", "tanh")}


def _read(table, config, arrays):
    """A config of RoBERTa or MPNet."""
    arguments = table.read(config)
    arguments["pooler"] = has_pooler(arrays, POOLERS, default=table.flags.get("pooler", False))
    if "num_segments" in table.free:
        arguments["num_segments"] = read_count(config, "type_vocab_size", 2, least=1)
    return arguments, []


def _write(table, arguments):
    """A config of RoBERTa or MPNet."""
    config = table.write(arguments)
    if "num_segments" in table.free:
        write_segments(config, arguments)
    return config, []


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads; the masked-LM head's activation is always GELU.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    return {
        "transform": True,
        "use_bias": True,
        "head_activation": "gelu",
        **read_classes(
            config,
            shapes,
            ("classifier.out_proj.weight", "classifier.weight"),
            ("classifier_dropout", "hidden_dropout_prob"),
        ),
    }


ROBERTA = System(
    name="Roberta",
    class_name="TransformerBackbone",
    model_type="roberta",
    prefix="roberta.",
    rows=roberta_rows,
    sizes=sizes,
    heads=ROBERTA_HEADS,
    tied=roberta_copies("roberta."),
    read_hugging_face=functools.partial(_read, ROBERTA_CONFIG),
    write_hugging_face=functools.partial(_write, ROBERTA_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_heads("classifier_dropout", "gelu", SUMMARY),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.ROBERTA,
    old_names=bert.OLD_NAMES,
    ignored=bert.IGNORED,
    spare=("roberta.pooler.dense.*",),
)
MPNET = System(
    name="MPNet",
    class_name="TransformerBackbone",
    model_type="mpnet",
    prefix="mpnet.",
    rows=mpnet_rows,
    sizes=sizes,
    heads=ROBERTA_HEADS,
    tied=roberta_copies("mpnet."),
    read_hugging_face=functools.partial(_read, MPNET_CONFIG),
    write_hugging_face=functools.partial(_write, MPNET_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_heads(None, "gelu", SUMMARY),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.MPNET,
    old_names=bert.OLD_NAMES,
    ignored=bert.IGNORED,
    spare=("mpnet.pooler.dense.*",),
)
