"""BERT's and ERNIE's checkpoints; BERT's are SpanBERT's and UniLM's as well.

Source: transformers' `BertModel` and `ErnieModel`; Google's released `modeling.py`
(arXiv:1810.04805).
"""

import functools

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_choice
from keras_plm.checkpoints.conversion import System
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
    BERT_HEADS,
    bert_copies,
    bert_rows,
    ernie_rows,
)
from keras_plm.checkpoints.weight_names.transformer_weights import sizes

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
}
NUMBERS = {
    "dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "layer_norm_epsilon": ("layer_norm_eps", 1e-12),
    "initializer_range": ("initializer_range", 0.02),
}
REQUIRED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
BERT_CONFIG = TransformerConfig(
    model_type="bert",
    sizes=SIZES,
    numbers=NUMBERS,
    activation=("hidden_act", "gelu"),
    flags=families.BERT["flags"],
    free=("num_segments", "pooler"),
    required=REQUIRED,
    constants={"pad_token_id": 0},
)
ERNIE_CONFIG = TransformerConfig(
    model_type="ernie",
    sizes=SIZES,
    numbers=NUMBERS,
    activation=("hidden_act", "gelu"),
    flags=families.ERNIE2["flags"],
    free=("num_segments", "num_tasks", "pooler"),
    required=REQUIRED,
    constants={"pad_token_id": 0},
)
# Google's code calls its approximation "gelu".
GOOGLE_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "tanh": "tanh"}
POOLERS = ("bert.pooler.dense.weight", "ernie.pooler.dense.weight", "bert/pooler/dense/kernel")
# What old files call the weights of a norm, and the constants that they hold.
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
IGNORED = r"embeddings\.(position_ids|token_type_ids)"
ARCHITECTURES = {
    ("tokens",): "ForMaskedLM",
    ("sentence_pair",): "ForNextSentencePrediction",
    ("sentence_pair", "tokens"): "ForPreTraining",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("choice",): "ForMultipleChoice",
    ("token_label",): "ForTokenClassification",
    ("span",): "ForQuestionAnswering",
}
# What the classifiers of texts read: the pooled output, as it is.
SUMMARY = {head: ("pooler", "linear") for head in ("label", "score", "choice")}


def _read(table, config, arrays):
    """A Hugging Face config of BERT or ERNIE."""
    arguments = table.read(config)
    arguments["num_segments"] = read_count(config, "type_vocab_size", 2, least=1)
    arguments["pooler"] = has_pooler(arrays, POOLERS, default=table.flags["pooler"])
    if "num_tasks" in table.free:
        rows = read_count(config, "task_type_vocab_size", 3, least=1)
        arguments["num_tasks"] = rows if config.get("use_task_id") else 0
    return arguments, []


def read_google(config, arrays):
    """Translate Google's `bert_config.json`.

    Args:
        config: dict.
        arrays: function that opens the weights, which have a pooler or not.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that BERT has.
    """
    arguments, notes = _read(BERT_CONFIG, {**config, "hidden_act": "gelu"}, arrays)
    arguments["activation"] = read_choice(config, "hidden_act", GOOGLE_ACTIVATIONS, "gelu")
    arguments["layer_norm_epsilon"] = 1e-12
    return arguments, notes


def _write(table, arguments):
    """A Hugging Face config of BERT or ERNIE."""
    config = table.write(arguments)
    write_segments(config, arguments)
    if "num_tasks" in table.free:
        config["use_task_id"] = arguments["num_tasks"] > 0
        config["task_type_vocab_size"] = arguments["num_tasks"] or 3
    return config, []


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    google = any(name.startswith("bert/") for name in shapes)
    activations = GOOGLE_ACTIVATIONS if google else BERT_CONFIG.activations
    return {
        "transform": True,
        "use_bias": True,
        "head_activation": read_choice(config, "hidden_act", activations, "gelu"),
        **read_classes(
            config,
            shapes,
            ("classifier.weight", "output_weights"),
            ("classifier_dropout", "hidden_dropout_prob"),
        ),
    }


BERT = System(
    name="Bert",
    class_name="TransformerBackbone",
    model_type="bert",
    prefix="bert.",
    rows=bert_rows,
    sizes=sizes,
    heads=BERT_HEADS,
    tied=bert_copies("bert."),
    read_hugging_face=functools.partial(_read, BERT_CONFIG),
    write_hugging_face=functools.partial(_write, BERT_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_heads("classifier_dropout", summary=SUMMARY),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.BERT,
    tensorflow_config="bert_config.json",
    tensorflow_checkpoint="bert_model.ckpt",
    read_tensorflow=read_google,
    old_names=OLD_NAMES,
    ignored=IGNORED,
    spare=("bert.pooler.dense.*", "bert/pooler/dense/*"),
)
ERNIE = System(
    name="Ernie",
    class_name="TransformerBackbone",
    model_type="ernie",
    prefix="ernie.",
    rows=ernie_rows,
    sizes=sizes,
    heads=BERT_HEADS,
    tied=bert_copies("ernie."),
    read_hugging_face=functools.partial(_read, ERNIE_CONFIG),
    write_hugging_face=functools.partial(_write, ERNIE_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_heads("classifier_dropout", summary=SUMMARY),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.BERT,
    old_names=OLD_NAMES,
    ignored=IGNORED,
    spare=("ernie.pooler.dense.*",),
)
