import pytest

from keras_plm.presets.bert_weights import (
    BERT_HEADS,
    ROBERTA_HEADS,
    bert_copies,
    bert_rows,
    ernie_rows,
    mpnet_rows,
    roberta_copies,
    roberta_rows,
)

WITH = {"embedding_norm": True, "pooler": True}


def names_of(rows, form="hugging_face"):
    return {row.ours: getattr(row, form) for row in rows}


def test_bert():
    names = names_of(bert_rows({**WITH, "num_segments": 2}))
    assert names["token_embedding/embeddings"] == "bert.embeddings.word_embeddings.weight"
    name = "bert.encoder.layer.{layer}.attention.self.query.bias"
    assert names["block_{layer}/attention/query/bias"] == name
    assert names["embedding_norm/gamma"] == "bert.embeddings.LayerNorm.weight"
    names = names_of(bert_rows({**WITH, "num_segments": 2}), "tensorflow")
    assert names["token_embedding/embeddings"] == "bert/embeddings/word_embeddings"
    name = "bert/encoder/layer_{layer}/attention/output/dense/kernel"
    assert names["block_{layer}/attention/attention_output/kernel"] == name
    assert names["embedding_norm/gamma"] == "bert/embeddings/LayerNorm/gamma"
    assert names["pooler/kernel"] == "bert/pooler/dense/kernel"


def test_what_the_others_have():
    assert "task_embedding/embeddings" in names_of(ernie_rows({**WITH, "num_tasks": 3}))
    names = names_of(roberta_rows({**WITH, "num_segments": 1}))
    assert all(name.startswith("roberta.") for name in names.values())
    names = names_of(mpnet_rows({**WITH, "relative_position_buckets": 32}))
    name = "mpnet.encoder.relative_attention_bias.weight"
    assert names["relative_position_bias/embeddings"] == name
    name = "mpnet.encoder.layer.{layer}.attention.attn.o.weight"
    assert names["block_{layer}/attention/attention_output/kernel"] == name
    with pytest.raises(ValueError, match="num_segments"):
        mpnet_rows({**WITH, "num_segments": 2})


def test_heads():
    assert {"tokens", "label", "score", "choice", "token_label", "span"} == set(ROBERTA_HEADS)
    assert set(BERT_HEADS) == {*ROBERTA_HEADS, "sentence_pair"}
    names = names_of(BERT_HEADS["tokens"], "tensorflow")
    assert names["bias"] == "cls/predictions/output_bias"
    assert names["transform_norm/beta"] == "cls/predictions/transform/LayerNorm/beta"
    for copies in (bert_copies("bert."), roberta_copies("roberta.")):
        assert len(copies["tokens"]) == 2
