"""What the weights of BERT, RoBERTa, ERNIE and MPNet are called elsewhere."""

from keras_plm.checkpoints.conversion import Row
from keras_plm.checkpoints.weight_names.transformer_weights import (
    DENSE,
    NORM,
    part_rows,
    transformer_rows,
)

BERT_NAMES = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "block_{layer}/attention/query": "encoder.layer.{layer}.attention.self.query",
    "block_{layer}/attention/key": "encoder.layer.{layer}.attention.self.key",
    "block_{layer}/attention/value": "encoder.layer.{layer}.attention.self.value",
    "block_{layer}/attention/attention_output": "encoder.layer.{layer}.attention.output.dense",
    "block_{layer}/attention_norm": "encoder.layer.{layer}.attention.output.LayerNorm",
    "block_{layer}/intermediate": "encoder.layer.{layer}.intermediate.dense",
    "block_{layer}/feedforward_output": "encoder.layer.{layer}.output.dense",
    "block_{layer}/feedforward_norm": "encoder.layer.{layer}.output.LayerNorm",
    "pooler": "pooler.dense",
}
ERNIE_NAMES = {**BERT_NAMES, "task_embedding": "embeddings.task_type_embeddings"}
MPNET_NAMES = {
    **{part: name for part, name in BERT_NAMES.items() if part != "segment_embedding"},
    "relative_position_bias": "encoder.relative_attention_bias",
    "block_{layer}/attention/query": "encoder.layer.{layer}.attention.attn.q",
    "block_{layer}/attention/key": "encoder.layer.{layer}.attention.attn.k",
    "block_{layer}/attention/value": "encoder.layer.{layer}.attention.attn.v",
    "block_{layer}/attention/attention_output": "encoder.layer.{layer}.attention.attn.o",
    "block_{layer}/attention_norm": "encoder.layer.{layer}.attention.LayerNorm",
}


def _prefixed(prefix, names):
    return {part: prefix + name for part, name in names.items()}


def _google(name):
    """Google's name of a part, which Hugging Face's was made from."""
    return "bert/" + name.replace(".{layer}", "_{layer}").replace(".", "/")


# === Backbones ===

bert_rows = transformer_rows(
    _prefixed("bert.", BERT_NAMES),
    tensorflow={part: _google(name) for part, name in BERT_NAMES.items()},
)
ernie_rows = transformer_rows(_prefixed("ernie.", ERNIE_NAMES))
roberta_rows = transformer_rows(_prefixed("roberta.", BERT_NAMES))
mpnet_rows = transformer_rows(_prefixed("mpnet.", MPNET_NAMES))

# === Heads ===

CLASSIFIER = part_rows("logits", DENSE, "classifier")
SPANS = part_rows("logits", DENSE, "qa_outputs")
# Google's fine-tuned classifiers and NSP keep a transposed matrix under another name.
LABELS = (
    Row("logits/kernel", "IO", "classifier.weight", "output_weights", "OI", "OI"),
    Row("logits/bias", "O", "classifier.bias", "output_bias"),
)
BERT_HEADS = {
    "tokens": (
        *part_rows(
            "transform",
            DENSE,
            "cls.predictions.transform.dense",
            tensorflow="cls/predictions/transform/dense",
        ),
        *part_rows(
            "transform_norm",
            NORM,
            "cls.predictions.transform.LayerNorm",
            tensorflow="cls/predictions/transform/LayerNorm",
        ),
        Row("bias", "V", "cls.predictions.bias", "cls/predictions/output_bias"),
    ),
    "sentence_pair": (
        Row(
            "logits/kernel",
            "IO",
            "cls.seq_relationship.weight",
            "cls/seq_relationship/output_weights",
            "OI",
            "OI",
        ),
        Row("logits/bias", "O", "cls.seq_relationship.bias", "cls/seq_relationship/output_bias"),
    ),
    "label": LABELS,
    "score": LABELS,
    "choice": CLASSIFIER,
    "token_label": CLASSIFIER,
    "span": SPANS,
}
SUMMARY = (
    *part_rows("summary", DENSE, "classifier.dense"),
    *part_rows("logits", DENSE, "classifier.out_proj"),
)
ROBERTA_HEADS = {
    "tokens": (
        *part_rows("transform", DENSE, "lm_head.dense"),
        *part_rows("transform_norm", NORM, "lm_head.layer_norm"),
        Row("bias", "V", "lm_head.bias"),
    ),
    "label": SUMMARY,
    "score": SUMMARY,
    "choice": CLASSIFIER,
    "token_label": CLASSIFIER,
    "span": SPANS,
}


def bert_copies(prefix):
    """The copies that a file may have of weights that its masked-LM head shares.

    Args:
        prefix: str. The prefix of the backbone's names.

    Returns:
        dict, see `System.tied`.
    """
    return {
        "tokens": {
            "cls.predictions.decoder.weight": f"{prefix}embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        }
    }


def roberta_copies(prefix):
    """The same, for RoBERTa and MPNet.

    Args:
        prefix: str. The prefix of the backbone's names.

    Returns:
        dict, see `System.tied`.
    """
    return {
        "tokens": {
            "lm_head.decoder.weight": f"{prefix}embeddings.word_embeddings.weight",
            "lm_head.decoder.bias": "lm_head.bias",
        }
    }
