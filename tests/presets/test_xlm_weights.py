from keras_plm.presets.xlm_weights import XLM_COPIES, XLM_HEADS, xlm_rows


def test_names():
    names = {row.ours: row.hugging_face for row in xlm_rows({"num_languages": 3})}
    assert names["language_embedding/embeddings"] == "transformer.lang_embeddings.weight"
    name = "transformer.ffns.{layer}.lin1.weight"
    assert names["block_{layer}/intermediate/kernel"] == name
    assert not any(name.startswith("embedding_norm") for name in names)


def test_heads():
    assert [row.ours for row in XLM_HEADS["tokens"]] == ["bias"]
    assert XLM_COPIES["tokens"] == {"pred_layer.proj.weight": "transformer.embeddings.weight"}
