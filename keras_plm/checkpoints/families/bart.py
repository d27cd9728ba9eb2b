"""BART's and Marian's checkpoints, whose weights have the same names.

Source: transformers' `BartModel` and `MarianModel`.
"""

import functools

import numpy as np

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import (
    ACTIVATIONS,
    read_choice,
    read_flag,
    read_number,
    read_sizes,
    write_choice,
)
from keras_plm.checkpoints.conversion import Row, System
from keras_plm.checkpoints.families.seq2seq_config import read_head_settings, write_head_config
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.bert_weights import DENSE, SPANS, part_rows
from keras_plm.checkpoints.weight_names.seq2seq_weights import (
    check_flags,
    dotted_names,
    seq2seq_rows,
    sizes,
)

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "encoder_layers",
    "num_decoder_layers": "decoder_layers",
    "num_heads": "encoder_attention_heads",
    "hidden_dim": "d_model",
    "intermediate_dim": "encoder_ffn_dim",
    "max_sequence_length": "max_position_embeddings",
}
# What both sides have, and a config says of each.
OF_BOTH = {
    "decoder_attention_heads": "encoder_attention_heads",
    "decoder_ffn_dim": "encoder_ffn_dim",
}
NUMBERS = {
    "dropout": ("dropout", 0.1),
    "attention_dropout": ("attention_dropout", 0.0),
    "activation_dropout": ("activation_dropout", 0.0),
    "initializer_range": ("init_std", 0.02),
}
NAMES = {"swish": "silu", **ACTIVATIONS}  # as Marian's configs say it
# What another model than these has, in the configs of fairseq's time as well.
REQUIRED = {
    "normalize_before": False,
    "add_final_layer_norm": False,
    "add_bias_logits": False,
    "tie_word_embeddings": True,
}
OF_MARIAN = {
    "normalize_embedding": False,
    "static_position_embeddings": True,
    "share_encoder_decoder_embeddings": True,
}
OF_BART = {"normalize_embedding": True, "static_position_embeddings": False}
SHARED = "model.shared.weight"
# Where a file lacks `shared`, the last of these that it has stands for it.
COPIES = {
    name: SHARED
    for name in (
        "lm_head.weight",
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
    )
}
PARTS = {
    "attention": "self_attn",
    "cross_attention": "encoder_attn",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "attention_output": "out_proj",
    "attention_norm": "self_attn_layer_norm",
    "cross_attention_norm": "encoder_attn_layer_norm",
    "intermediate": "fc1",
    "feedforward_output": "fc2",
    "feedforward_norm": "final_layer_norm",
    "position_embedding": "embed_positions",
    "embedding_norm": "layernorm_embedding",
}
BIAS = "final_logits_bias"
rows = seq2seq_rows(dotted_names(PARTS, "model.shared", "model."))


def _head(arguments):
    """The table of the head over the vocabulary: its bias, or nothing but the embedding."""
    return (Row("bias", "V", BIAS, None, "1V"),) if arguments.get("output_bias") else ((),)


def _read(family, required, config):
    """A Hugging Face config."""
    for key, value in {**REQUIRED, **required}.items():
        if config.get(key, value) != value:
            raise ValueError(
                f"A {config['model_type']} with {key}={config[key]!r:.100} is not supported: it "
                f"must be {value!r}."
            )
    arguments = read_sizes(config, SIZES)
    for one, other in OF_BOTH.items():
        if config.get(one, config[other]) != config[other]:
            raise ValueError(
                f"Both sides must have the same sizes. Received: {one}={config[one]!r:.100}, "
                f"{other}={config[other]!r:.100}."
            )
    if arguments["hidden_dim"] % arguments["num_heads"]:
        raise ValueError(
            "'encoder_attention_heads' must divide 'd_model'. Received: "
            f"{arguments['num_heads']} and {arguments['hidden_dim']}."
        )
    for ours, (theirs, default) in NUMBERS.items():
        arguments[ours] = read_number(config, theirs, default)
    arguments["activation"] = read_choice(config, "activation_function", ACTIVATIONS, "gelu")
    scaled = read_flag(config, "scale_embedding", False)
    dropped = [
        f"`{name}` is dropped: no block is left out in training"
        for name in ("encoder_layerdrop", "decoder_layerdrop")
        if config.get(name)
    ]
    return {**family["flags"], **arguments, "scale_embeddings": scaled}, dropped


def read_bart(config, arrays):
    """Translate a `config.json` of BART.

    Args:
        config: dict.
        arrays: function that opens the weights: no config says whether the logits have a bias,
            which is 0 in the released models.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that BART has.
    """
    arguments, dropped = _read(families.BART, OF_BART, config)
    bias = _array(arrays, BIAS)
    return {**arguments, "output_bias": bias is not None and bool(bias.any())}, dropped


def read_marian(config, arrays):
    """Translate a `config.json` of Marian.

    Args:
        config: dict.
        arrays: function that opens the weights: transformers has trained the embedding of padding
            where it has trained a model, which Marian has not.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that Marian has.
    """
    arguments, dropped = _read(families.MARIAN, OF_MARIAN, config)
    pad = read_number(config, "pad_token_id", arguments["vocabulary_size"] - 1, int)
    if not 0 <= pad < arguments["vocabulary_size"]:
        raise ValueError(f"'pad_token_id' must be in the vocabulary. Received: {pad}.")
    table = _array(arrays, SHARED)
    zero = table is None or table.ndim != 2 or len(table) <= pad or not table[pad].any()
    return {**arguments, "zero_token_id": pad if zero else None}, dropped


def _array(arrays, name):
    """An array of the checkpoint, or None where it has none, or there is no checkpoint."""
    try:
        opened = arrays()
    except FileNotFoundError:
        return None
    return np.asarray(opened.read(name)) if name in opened.shapes else None


def _write(family, free, config, arguments):
    """A Hugging Face config."""
    flags = {name: value for name, value in family["flags"].items() if name != "activation"}
    check_flags(arguments, flags, ("scale_embeddings", *free))
    written = {theirs: arguments[ours] for ours, theirs in SIZES.items()}
    written["decoder_layers"] = arguments["num_decoder_layers"] or arguments["num_layers"]
    if written["max_position_embeddings"] is None:
        raise ValueError("It has a `max_sequence_length`. Received: None.")
    written |= {one: written[other] for one, other in OF_BOTH.items()}
    written |= {theirs: arguments[ours] for ours, (theirs, _) in NUMBERS.items()}
    written["activation_function"] = write_choice(arguments, "activation", NAMES)
    return {
        **written,
        "scale_embedding": arguments["scale_embeddings"],
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "dtype": "float32",
        **config,
    }


def write_bart(arguments):
    """Translate a backbone's configuration into a `config.json` of BART.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if BART has no such model.
    """
    tokens = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2}
    config = {"model_type": "bart", **tokens, "decoder_start_token_id": 2}
    return _write(families.BART, ("output_bias",), config, arguments), []


def write_marian(arguments):
    """Translate a backbone's configuration into a `config.json` of Marian.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if Marian has no such model.
    """
    pad = arguments["zero_token_id"]
    pad = arguments["vocabulary_size"] - 1 if pad is None else pad
    tokens = {"pad_token_id": pad, "decoder_start_token_id": pad}
    tokens |= {"eos_token_id": 0, "forced_eos_token_id": 0}
    config = {"model_type": "marian", **tokens, "decoder_vocab_size": arguments["vocabulary_size"]}
    config |= {"static_position_embeddings": True, "share_encoder_decoder_embeddings": True}
    return _write(families.MARIAN, ("zero_token_id",), config, arguments), []


BART_ARCHITECTURES = {
    ("tokens",): "ForConditionalGeneration",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("span",): "ForQuestionAnswering",
}
SUMMARY = (
    *part_rows("summary", DENSE, "classification_head.dense"),
    *part_rows("logits", DENSE, "classification_head.out_proj"),
)
MARIAN_ARCHITECTURES = {("tokens",): "MTModel"}

BART = System(
    name="Bart",
    class_name="Seq2SeqBackbone",
    model_type="bart",
    prefix="model.",
    rows=rows,
    sizes=sizes,
    heads={"tokens": _head, "label": SUMMARY, "score": SUMMARY, "span": SPANS},
    tied={"tokens": COPIES},
    read_hugging_face=read_bart,
    write_hugging_face=write_bart,
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, BART_ARCHITECTURES),
    write_head_config=write_head_config,
    architectures=BART_ARCHITECTURES,
    tokenizer=tokenizer_format.ROBERTA,
    spare=(BIAS,),
)
MARIAN = System(
    name="Marian",
    class_name="Seq2SeqBackbone",
    model_type="marian",
    prefix="model.",
    rows=rows,
    sizes=sizes,
    heads={"tokens": _head},
    tied={"tokens": COPIES},
    read_hugging_face=read_marian,
    write_hugging_face=write_marian,
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, MARIAN_ARCHITECTURES),
    write_head_config=write_head_config,
    architectures=MARIAN_ARCHITECTURES,
    tokenizer=tokenizer_format.MARIAN,
    ignored=r"(encoder|decoder)\.embed_positions\.weight",
)
