"""XLM's checkpoints.

Source: transformers' `XLMModel`.
"""

import functools

from keras_plm.presets import tokenizer_format
from keras_plm.presets.conversion import System
from keras_plm.presets.transformer_config import (
    TransformerConfig,
    check_four_times,
    is_head_of,
    read_classes,
    read_count,
    write_heads,
)
from keras_plm.presets.transformer_weights import sizes
from keras_plm.presets.xlm_weights import XLM_COPIES, XLM_HEADS, xlm_rows

XLM_CONFIG = TransformerConfig(
    model_type="xlm",
    sizes={
        "vocabulary_size": "vocab_size",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "hidden_dim": "emb_dim",
        "max_sequence_length": "max_position_embeddings",
    },
    numbers={
        "dropout": ("dropout", 0.1),
        "attention_dropout": ("attention_dropout", 0.1),
        "layer_norm_epsilon": ("layer_norm_eps", 1e-12),
        "initializer_range": ("init_std", 0.02),
    },
    activation=("gelu_activation", True),
    free=("num_languages", "causal"),
    required={"is_encoder": True, "asm": False},
    activations={True: "gelu", False: "relu"},
    constants={"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2},
)
ARCHITECTURES = {
    ("tokens",): "WithLMHeadModel",
    ("token_label",): "ForTokenClassification",
    ("span",): "ForQuestionAnsweringSimple",
}


def read_hugging_face(config, arrays):
    """Translate a Hugging Face `config.json`.

    Args:
        config: dict.
        arrays: function that opens the weights; not used.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that XLM has.
    """
    config = {"vocab_size": config.get("n_words"), "max_position_embeddings": 512, **config}
    arguments = XLM_CONFIG.read(config)
    languages = read_count(config, "n_langs", 1)
    arguments |= {
        "intermediate_dim": 4 * arguments["hidden_dim"],
        "num_languages": languages if languages > 1 and config.get("use_lang_emb", True) else 0,
        "causal": bool(config.get("causal", False)),
    }
    notes = []
    if config.get("sinusoidal_embeddings"):
        notes.append("`sinusoidal_embeddings` is dropped: the positions are trained like all else")
    return arguments, notes


def write_hugging_face(arguments):
    """Translate a backbone's configuration into a Hugging Face `config.json`.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if XLM has no such model.
    """
    config = XLM_CONFIG.write(arguments)
    check_four_times(arguments)
    if arguments["num_languages"] == 1:
        raise ValueError("It has no table for one language. Received: num_languages=1.")
    config |= {
        "n_langs": arguments["num_languages"] or 1,
        "use_lang_emb": True,
        "causal": arguments["causal"],
        "sinusoidal_embeddings": False,
    }
    return config, []


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads; the masked-LM head has no transform.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    classes = read_classes(config, shapes, ("classifier.weight",), ("dropout",))
    return {"transform": False, "use_bias": True, **classes}


XLM = System(
    name="XLM",
    class_name="TransformerBackbone",
    model_type="xlm",
    prefix="transformer.",
    rows=xlm_rows,
    sizes=sizes,
    heads=XLM_HEADS,
    tied=XLM_COPIES,
    read_hugging_face=read_hugging_face,
    write_hugging_face=write_hugging_face,
    read_head_settings=read_head_settings,
    check_head=functools.partial(is_head_of, ARCHITECTURES),
    write_head_config=write_heads(None),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.XLM,
    ignored=r"position_ids",
)
