"""XLM's checkpoints.

Source: transformers' `XLMModel`.
"""

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_number
from keras_plm.checkpoints.conversion import Row, System
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
    write_class_config,
    write_summary,
)
from keras_plm.checkpoints.weight_names.transformer_weights import (
    DENSE,
    part_rows,
    sizes,
    transformer_rows,
)

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
    flags=families.XLM["flags"],
    free=("num_languages", "causal"),
    required={"is_encoder": True, "asm": False},
    activations={True: "gelu", False: "relu"},
    constants={"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2},
)
ARCHITECTURES = {
    ("tokens",): "WithLMHeadModel",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("choice",): "ForMultipleChoice",
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
    settings = {"transform": False, "use_bias": True}
    summary = shapes.get("sequence_summary.summary.weight")
    if summary is None:
        return settings | read_classes(config, shapes, ("classifier.weight",), ("dropout",))
    choices = "logits_proj.weight" in shapes
    if choices:
        settings["summary_dim"] = summary[0]
    else:
        settings |= read_classes(config, shapes, ("sequence_summary.summary.weight",), ())
    rate = read_number(config, "summary_first_dropout", 0.1)
    return {
        **settings,
        "summarise": choices,
        "dropout": rate,
        **read_summary(config, "first", None),
    }


def _other_head(config, head):
    """See `System.other_head`; the layer that gives logits at once has no activation here."""
    other = other_head(ARCHITECTURES, config, head)
    if other is None and head in ("label", "score"):
        check_summary(config, **LOGITS_AT_ONCE)
    elif other is None and head == "choice":
        check_summary(config, summary_proj_to_labels=(True,), summary_use_proj=(True,))
    return other


def write_head_config(task, head, weights):
    """What a Hugging Face config says about a head.

    Args:
        task: the task, for its `class_names` and other settings, as far as it has them.
        head: str. The head's name.
        weights: dict of the path below the head to array.

    Returns:
        dict.

    Raises:
        ValueError: if the head reads something that transformers' does not.
    """
    if head not in ("label", "score", "choice"):
        return write_heads(None)(task, head, weights)
    config = write_class_config(task, head, weights) | write_summary(task, head)
    if head == "choice":  # as many labels as the summary is wide
        width = {"logits/kernel": weights["summary/kernel"]}
        config = write_class_config(None, head, width) | write_summary(task, head)
    elif config["summary_activation"]:
        raise ValueError(
            "An activation before the logits is an activation of the logits there. "
            f"Received: summary_activation={task.summary_activation!r}."
        )
    rate = float(getattr(task, "dropout", 0.1))
    return {**config, "summary_proj_to_labels": True, "summary_first_dropout": rate}


xlm_rows = transformer_rows(
    {
        "token_embedding": "transformer.embeddings",
        "position_embedding": "transformer.position_embeddings",
        "language_embedding": "transformer.lang_embeddings",
        "embedding_norm": "transformer.layer_norm_emb",
        "block_{layer}/attention/query": "transformer.attentions.{layer}.q_lin",
        "block_{layer}/attention/key": "transformer.attentions.{layer}.k_lin",
        "block_{layer}/attention/value": "transformer.attentions.{layer}.v_lin",
        "block_{layer}/attention/attention_output": "transformer.attentions.{layer}.out_lin",
        "block_{layer}/attention_norm": "transformer.layer_norm1.{layer}",
        "block_{layer}/intermediate": "transformer.ffns.{layer}.lin1",
        "block_{layer}/feedforward_output": "transformer.ffns.{layer}.lin2",
        "block_{layer}/feedforward_norm": "transformer.layer_norm2.{layer}",
    }
)
SUMMARY = "sequence_summary.summary"  # to the classes at once; of choices, to a second layer
LABELS = part_rows("logits", DENSE, SUMMARY)
XLM_HEADS = {
    "tokens": (Row("bias", "V", "pred_layer.proj.bias"),),
    "label": LABELS,
    "score": LABELS,
    "choice": (
        *part_rows("summary", DENSE, SUMMARY),
        *part_rows("logits", DENSE, "logits_proj"),
    ),
    "token_label": part_rows("logits", DENSE, "classifier"),
    "span": part_rows("logits", DENSE, "qa_outputs"),
}
XLM_COPIES = {"tokens": {"pred_layer.proj.weight": "transformer.embeddings.weight"}}

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
    other_head=_other_head,
    write_head_config=write_head_config,
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.XLM,
    ignored=r"position_ids",
    spare=("qa_outputs.*",),  # of the head of answers with beams, which no task has for XLM
    never_spare=("transformer.lang_embeddings.*",),
)
