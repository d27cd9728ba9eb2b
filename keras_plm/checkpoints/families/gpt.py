"""GPT-1's and GPT-2's checkpoints.

Source: transformers' `OpenAIGPTModel` and `GPT2Model`; OpenAI's released GPT-2 code, `model.py`.
"""

import functools

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_number
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.families.transformer_config import (
    TransformerConfig,
    check_four_times,
    read_classes,
    read_count,
    write_heads,
)
from keras_plm.checkpoints.head_config import (
    LOGITS_AT_ONCE,
    check_summary,
    other_head,
    read_summary,
)
from keras_plm.checkpoints.weight_names.transformer_weights import (
    CONV1D,
    DENSE,
    OPENAI,
    part_rows,
    sizes,
    transformer_rows,
)

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "hidden_dim": "n_embd",
    "max_sequence_length": "n_positions",
}
NUMBERS = {
    "dropout": ("resid_pdrop", 0.1),
    "attention_dropout": ("attn_pdrop", 0.1),
    "layer_norm_epsilon": ("layer_norm_epsilon", 1e-5),
    "initializer_range": ("initializer_range", 0.02),
}
GPT_CONFIG = TransformerConfig(
    model_type="openai-gpt",
    sizes=SIZES,
    numbers=NUMBERS,
    activation=("afn", "gelu"),
    flags=families.GPT1["flags"],
    activations={"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"},
)
GPT2_CONFIG = TransformerConfig(
    model_type="gpt2",
    sizes=SIZES,
    numbers=NUMBERS,
    activation=("activation_function", "gelu_new"),
    flags=families.GPT2["flags"],
    required={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
)
IGNORED = r"position_ids|h\.\d+\.attn\.(masked_)?bias"
# The model with two heads has one of choices beside the language model's, which is tied.
GPT_ARCHITECTURES = {
    ("tokens",): "LMHeadModel",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("choice",): "DoubleHeadsModel",
    ("choice", "tokens"): "DoubleHeadsModel",
}
GPT2_ARCHITECTURES = {
    **GPT_ARCHITECTURES,
    ("token_label",): "ForTokenClassification",
    ("span",): "ForQuestionAnswering",
}
SUMMARY = {head: ("last", "linear") for head in ("label", "score", "choice")}


def _read(table, config, arrays):
    """A Hugging Face config of GPT-1 or GPT-2."""
    config = {"n_positions": config.get("n_ctx"), **config}
    arguments = table.read(config)
    width = 4 * arguments["hidden_dim"]
    if table is GPT2_CONFIG and config.get("n_inner") is not None:
        width = read_count(config, "n_inner", None, least=1)
    arguments["intermediate_dim"] = width
    embedding = config.get("embd_pdrop", arguments["dropout"])
    same = embedding == arguments["dropout"]
    notes = [] if same else [f"`embd_pdrop` is dropped: all have {arguments['dropout']}"]
    return arguments, notes


def _write(table, arguments):
    """A Hugging Face config of GPT-1 or GPT-2."""
    config = table.write(arguments)
    if table is GPT2_CONFIG:
        width = arguments["intermediate_dim"]
        config["n_inner"] = None if width == 4 * arguments["hidden_dim"] else width
    else:
        check_four_times(arguments)
    end = arguments["vocabulary_size"] - 1 if table is GPT2_CONFIG else None
    return {
        **config,
        "embd_pdrop": arguments["dropout"],
        "bos_token_id": end,
        "eos_token_id": end,
    }, []


def read_openai(config, arrays):
    """Translate OpenAI's `hparams.json`.

    Args:
        config: dict.
        arrays: function that opens the weights; not used.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing.
    """
    names = {"n_vocab": "vocab_size", "n_ctx": "n_positions"}
    config = {names.get(key, key): value for key, value in config.items()}
    arguments = GPT2_CONFIG.read(config)
    return {**arguments, "intermediate_dim": 4 * arguments["hidden_dim"]}, []


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads; the language model's is the embedding alone.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    classes = read_classes(
        config,
        shapes,
        ("score.weight", "classifier.weight"),
        ("classifier_dropout", "hidden_dropout", "resid_pdrop"),
    )
    settings = {"transform": False, "use_bias": False, **classes}
    if "score.weight" in shapes:
        settings |= {"summarise": False, "logits_bias": False, "dropout": 0.0}
    if "multiple_choice_head.summary.weight" in shapes:
        rate = read_number(config, "summary_first_dropout", 0.1)
        settings |= {"summarise": False, "dropout": rate, **read_summary(config, "cls_index", None)}
    return settings


def _other_head(architectures, config, head):
    """See `System.other_head`; only the head of choices has a summary that the config describes."""
    other = other_head(architectures, config, head)
    if other is None and head == "choice":
        check_summary(config, **LOGITS_AT_ONCE)
    return other


def _write_heads(dropout_name, pad_is_last):
    """Make the function that says in a config what a head is; see `System.write_head_config`."""
    write = write_heads(dropout_name, summary=SUMMARY)

    def write_head_config(task, head, weights):
        config = write(task, head, weights)
        if head == "choice":
            rate = float(getattr(task, "dropout", 0.1))
            return {"summary_type": "cls_index", "summary_first_dropout": rate}
        if head in ("label", "score"):  # by which transformers finds the last token
            tokenizer = getattr(getattr(task, "preprocessor", None), "tokenizer", None)
            pad = task.backbone.vocabulary_size - 1 if pad_is_last else 0
            config["pad_token_id"] = getattr(tokenizer, "pad_token_id", pad)
        return config

    return write_head_config


BLOCK = {
    "block_{layer}/attention/query": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/key": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/value": "transformer.h.{layer}.attn.c_attn",
    "block_{layer}/attention/attention_output": "transformer.h.{layer}.attn.c_proj",
    "block_{layer}/attention_norm": "transformer.h.{layer}.ln_1",
    "block_{layer}/intermediate": "transformer.h.{layer}.mlp.c_fc",
    "block_{layer}/feedforward_output": "transformer.h.{layer}.mlp.c_proj",
    "block_{layer}/feedforward_norm": "transformer.h.{layer}.ln_2",
}
GPT_NAMES = {
    "token_embedding": "transformer.tokens_embed",
    "position_embedding": "transformer.positions_embed",
    **BLOCK,
}
GPT2_NAMES = {
    "token_embedding": "transformer.wte",
    "position_embedding": "transformer.wpe",
    **BLOCK,
    "final_norm": "transformer.ln_f",
}


def _openai(name):
    """OpenAI's name of a part, which Hugging Face's was made from."""
    return name.replace("transformer.", "model/").replace("h.{layer}", "h{layer}").replace(".", "/")


gpt_rows = transformer_rows(GPT_NAMES, CONV1D)
gpt2_rows = transformer_rows(
    GPT2_NAMES, CONV1D, {part: _openai(name) for part, name in GPT2_NAMES.items()}, OPENAI
)
NO_WEIGHTS = ((),)  # one table without a line: the head has the embedding and nothing else
SCORE = part_rows("logits", {"kernel": "IO"}, "score")
GPT_HEADS = {
    "tokens": NO_WEIGHTS,
    "label": SCORE,
    "score": SCORE,
    "choice": part_rows("logits", DENSE, "multiple_choice_head.summary"),
}
GPT2_HEADS = {
    **GPT_HEADS,
    "token_label": part_rows("logits", DENSE, "classifier"),
    "span": part_rows("logits", DENSE, "qa_outputs"),
}
GPT_COPIES = {"tokens": {"lm_head.weight": "transformer.tokens_embed.weight"}}
GPT2_COPIES = {"tokens": {"lm_head.weight": "transformer.wte.weight"}}

GPT = System(
    name="OpenAIGPT",
    class_name="TransformerBackbone",
    model_type="openai-gpt",
    prefix="transformer.",
    rows=gpt_rows,
    sizes=sizes,
    heads=GPT_HEADS,
    tied=GPT_COPIES,
    read_hugging_face=functools.partial(_read, GPT_CONFIG),
    write_hugging_face=functools.partial(_write, GPT_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(_other_head, GPT_ARCHITECTURES),
    write_head_config=_write_heads(None, pad_is_last=False),
    architectures=GPT_ARCHITECTURES,
    tokenizer=tokenizer_format.GPT,
    ignored=IGNORED,
)
GPT2 = System(
    name="GPT2",
    class_name="TransformerBackbone",
    model_type="gpt2",
    prefix="transformer.",
    rows=gpt2_rows,
    sizes=sizes,
    heads=GPT2_HEADS,
    tied=GPT2_COPIES,
    read_hugging_face=functools.partial(_read, GPT2_CONFIG),
    write_hugging_face=functools.partial(_write, GPT2_CONFIG),
    read_head_settings=read_head_settings,
    other_head=functools.partial(_other_head, GPT2_ARCHITECTURES),
    write_head_config=_write_heads("classifier_dropout", pad_is_last=True),
    architectures=GPT2_ARCHITECTURES,
    tokenizer=tokenizer_format.GPT2,
    tensorflow_config="hparams.json",
    tensorflow_checkpoint="model.ckpt",
    read_tensorflow=read_openai,
    ignored=IGNORED,
)
