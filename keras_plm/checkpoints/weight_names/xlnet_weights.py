"""What XLNet's weights are called: ours, Hugging Face's and the original TensorFlow code's."""

from keras_plm.checkpoints.conversion import Row

LAYER = ("block_{layer}/", "transformer.layer.{layer}.", "model/transformer/layer_{layer}/")


def _dense(names, axes="IO", bias=True, within=("", "", "")):
    """A dense layer: our name, Hugging Face's, and TensorFlow's or None."""
    ours, theirs, tensorflow = (
        name if name is None else place + name for place, name in zip(within, names)
    )
    kernel, row = (
        None if tensorflow is None else f"{tensorflow}/{name}" for name in ("kernel", "bias")
    )
    rows = (
        Row(f"{ours}/kernel", axes, f"{theirs}.weight", kernel, hugging_face_axes=axes[::-1]),
        Row(f"{ours}/bias", axes[-1], f"{theirs}.bias", row),
    )
    return rows if bias else rows[:1]


def _norm(names, within=("", "", "")):
    """A layer norm."""
    ours, theirs, tensorflow = (place + name for place, name in zip(within, names))
    return (
        Row(f"{ours}/gamma", "D", f"{theirs}.weight", f"{tensorflow}/gamma"),
        Row(f"{ours}/beta", "D", f"{theirs}.bias", f"{tensorflow}/beta"),
    )


def _projection(ours, theirs):
    """A projection of the attention; nobody transposes it."""
    return Row(
        f"block_{{layer}}/attention/{ours}/kernel",
        "DHK",
        f"transformer.layer.{{layer}}.rel_attn.{theirs}",
        f"model/transformer/layer_{{layer}}/rel_attn/{theirs}/kernel",
    )


def _bias(ours, theirs, axes, tensorflow_axes=None):
    """A weight that TensorFlow keeps in one variable for all layers."""
    return Row(
        ours,
        axes,
        f"transformer.layer.{{layer}}.rel_attn.{theirs}",
        f"model/transformer/{theirs}",
        tensorflow_axes=tensorflow_axes,
    )


# === Backbone ===

BACKBONE = (
    Row(
        "embedding/token_embedding/embeddings",
        "VD",
        "transformer.word_embedding.weight",
        "model/transformer/word_embedding/lookup_table",
    ),
    Row(
        "embedding/query_vector",
        "D",
        "transformer.mask_emb",
        "model/transformer/mask_emb/mask_emb",
        hugging_face_axes="11D",
        tensorflow_axes="11D",
        optional=True,  # checkpoints that were fine-tuned with TensorFlow have none
    ),
    _projection("query", "q"),
    _projection("key", "k"),
    _projection("value", "v"),
    _projection("position", "r"),
    _projection("attention_output", "o"),
    _bias("block_{layer}/attention/segment_encoding/segment_embedding", "seg_embed", "2HK", "L2HK"),
    *_norm(("attention_norm", "rel_attn.layer_norm", "rel_attn/LayerNorm"), LAYER),
    *_dense(("intermediate", "ff.layer_1", "ff/layer_1"), "DF", within=LAYER),
    *_dense(("feedforward_output", "ff.layer_2", "ff/layer_2"), "FD", within=LAYER),
    *_norm(("feedforward_norm", "ff.layer_norm", "ff/LayerNorm"), LAYER),
)
OWN_BIASES = (
    _bias("block_{layer}/attention/biases/content_bias", "r_w_bias", "HK", "LHK"),
    _bias("block_{layer}/attention/biases/position_bias", "r_r_bias", "HK", "LHK"),
    _bias("block_{layer}/attention/biases/segment_bias", "r_s_bias", "HK", "LHK"),
)
TIED_BIASES = (
    _bias("attention_biases/content_bias", "r_w_bias", "HK"),
    _bias("attention_biases/position_bias", "r_r_bias", "HK"),
    _bias("attention_biases/segment_bias", "r_s_bias", "HK"),
)

# === Heads ===

SUMMARY = _dense(  # the typing error is the original's
    ("summary", "sequence_summary.summary", "model/sequnece_summary/summary")
)
CLASSES = (*SUMMARY, *_dense(("logits", "logits_proj", "model/*/logit")))
CHOICES = (*SUMMARY, *_dense(("logits", "logits_proj", "logits/dense")))
BEAM = (
    *_dense(("start_logits", "start_logits.dense", "start_logits/dense")),
    *_dense(("end_logits/dense_0", "end_logits.dense_0", "end_logits/dense_0")),
    *_norm(("end_logits/LayerNorm", "end_logits.LayerNorm", "end_logits/LayerNorm")),
    *_dense(("end_logits/dense_1", "end_logits.dense_1", "end_logits/dense_1")),
    *_dense(("answer_class/dense_0", "answer_class.dense_0", "answer_class/dense_0")),
    *_dense(("answer_class/dense_1", "answer_class.dense_1", "answer_class/dense_1"), bias=False),
)
LOGITS = _dense(("logits", "logits_proj", None))  # without a summary: transformers' alone
HEADS = {
    "tokens": (Row("bias", "V", "lm_loss.bias", "model/lm_loss/bias"),),
    "label": (CLASSES, LOGITS),
    "score": (CLASSES, LOGITS),
    "choice": (CHOICES, LOGITS),
    "token_label": _dense(("logits", "classifier", None)),
    "span": (_dense(("logits", "qa_outputs", None)), BEAM),
}
# Copies of a weight of the backbone, which files may hold or not.
TIED = {"tokens": {"lm_loss.weight": "transformer.word_embedding.weight"}}


def rows(arguments):
    """The table of a backbone.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        tuple of `Row`.
    """
    return BACKBONE + (TIED_BIASES if arguments.get("tied_biases") else OWN_BIASES)


def sizes(arguments):
    """What the letters of the table's shapes stand for.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of str to int.
    """
    hidden_dim, num_heads = arguments["hidden_dim"], arguments["num_heads"]
    return {
        "V": arguments["vocabulary_size"],
        "D": hidden_dim,
        "F": arguments["intermediate_dim"],
        "H": num_heads,
        "K": hidden_dim // max(num_heads, 1),
        "2": 2,
    }
