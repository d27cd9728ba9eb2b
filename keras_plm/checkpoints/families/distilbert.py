"""DistilBERT's checkpoints: a BERT without segments and pooler, with heads of its own.

Source: transformers' `DistilBertModel`; Sanh et al., arXiv:1910.01108.
"""

import functools

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import read_choice
from keras_plm.checkpoints.conversion import Row, System
from keras_plm.checkpoints.families.transformer_config import (
    TransformerConfig,
    read_classes,
    write_heads,
)
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.transformer_weights import (
    DENSE,
    NORM,
    part_rows,
    sizes,
    transformer_rows,
)

EPSILON = 1e-12  # of its norms, which no config says
CONFIG = TransformerConfig(
    model_type="distilbert",
    sizes={
        "vocabulary_size": "vocab_size",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "hidden_dim": "dim",
        "intermediate_dim": "hidden_dim",
        "max_sequence_length": "max_position_embeddings",
    },
    numbers={
        "dropout": ("dropout", 0.1),
        "attention_dropout": ("attention_dropout", 0.1),
        "initializer_range": ("initializer_range", 0.02),
    },
    activation=("activation", "gelu"),
    flags=families.DISTILBERT["flags"],
    constants={"pad_token_id": 0, "sinusoidal_pos_embds": False, "tie_weights_": True},
)
LAYER = "distilbert.transformer.layer.{layer}."
distilbert_rows = transformer_rows(
    {
        "token_embedding": "distilbert.embeddings.word_embeddings",
        "position_embedding": "distilbert.embeddings.position_embeddings",
        "embedding_norm": "distilbert.embeddings.LayerNorm",
        "block_{layer}/attention/query": LAYER + "attention.q_lin",
        "block_{layer}/attention/key": LAYER + "attention.k_lin",
        "block_{layer}/attention/value": LAYER + "attention.v_lin",
        "block_{layer}/attention/attention_output": LAYER + "attention.out_lin",
        "block_{layer}/attention_norm": LAYER + "sa_layer_norm",
        "block_{layer}/intermediate": LAYER + "ffn.lin1",
        "block_{layer}/feedforward_output": LAYER + "ffn.lin2",
        "block_{layer}/feedforward_norm": LAYER + "output_layer_norm",
    }
)
CLASSIFIER = part_rows("logits", DENSE, "classifier")
SUMMARY = (*part_rows("summary", DENSE, "pre_classifier"), *CLASSIFIER)
HEADS = {
    "tokens": (
        *part_rows("transform", DENSE, "vocab_transform"),
        *part_rows("transform_norm", NORM, "vocab_layer_norm"),
        Row("bias", "V", "vocab_projector.bias"),
    ),
    "label": SUMMARY,
    "score": SUMMARY,
    "choice": SUMMARY,
    "token_label": CLASSIFIER,
    "span": part_rows("logits", DENSE, "qa_outputs"),
}
COPIES = {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"}
ARCHITECTURES = {
    ("tokens",): "ForMaskedLM",
    ("label",): "ForSequenceClassification",
    ("score",): "ForSequenceClassification",
    ("choice",): "ForMultipleChoice",
    ("token_label",): "ForTokenClassification",
    ("span",): "ForQuestionAnswering",
}


def _read(config, arrays):
    """A Hugging Face config."""
    return {**CONFIG.read(config), "layer_norm_epsilon": EPSILON}, []


def _write(arguments):
    """A Hugging Face config."""
    epsilon = arguments["layer_norm_epsilon"]
    if epsilon != EPSILON:
        raise ValueError(f"Its norms add {EPSILON}. Received: layer_norm_epsilon={epsilon}.")
    return CONFIG.write(arguments), []


def read_head_settings(config, shapes):
    """What a checkpoint says about its heads; texts are read at the first token, through a ReLU.

    Args:
        config: dict, its configuration.
        shapes: dict of str to tuple, its arrays.

    Returns:
        dict of arguments that a task may take.
    """
    of_texts = "pre_classifier.weight" in shapes
    summary = {"pooling": "first", "summary_activation": "relu"} if of_texts else {}
    rate = "seq_classif_dropout" if of_texts else "dropout"
    return {
        "transform": True,
        "use_bias": True,
        "head_activation": read_choice(config, "activation", CONFIG.activations, "gelu"),
        **summary,
        **read_classes(config, shapes, ("classifier.weight",), (rate,)),
    }


DISTILBERT = System(
    name="DistilBert",
    class_name="TransformerBackbone",
    model_type="distilbert",
    prefix="distilbert.",
    rows=distilbert_rows,
    sizes=sizes,
    heads=HEADS,
    tied={"tokens": COPIES},
    read_hugging_face=_read,
    write_hugging_face=_write,
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_heads(
        "seq_classif_dropout",
        summary=dict.fromkeys(("label", "score", "choice"), ("first", "relu")),
    ),
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.BERT,
    ignored=r"embeddings\.position_ids",
)
