"""What XLM's weights are called in transformers."""

from keras_plm.presets.conversion import Row
from keras_plm.presets.transformer_weights import DENSE, part_rows, transformer_rows

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
