import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import MaskedLMHead
from keras_plm.layers import TokenAndQueryEmbedding

ROWS = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def made(**options):
    embedding = TokenAndQueryEmbedding(10, 4, embeddings_initializer="random_normal", **options)
    embedding.build((None, None))
    head = MaskedLMHead(embedding.token_embedding)
    head.build(ROWS.shape)
    return head


def test_logits_are_rows_times_the_table_plus_bias():
    head = made()
    head.bias.assign(np.arange(10, dtype="float32"))
    table = ops.convert_to_numpy(head.token_embedding.embeddings)
    expected = ROWS @ table.T + np.arange(10)
    np.testing.assert_allclose(ops.convert_to_numpy(head(ROWS)), expected, atol=1e-6)


def test_reads_the_rows_of_the_targets():
    head = made()
    logits = head.read({"target_output": ROWS, "sequence_output": None}, {})
    np.testing.assert_array_equal(*(ops.convert_to_numpy(x) for x in (logits, head(ROWS))))


def test_bias_starts_at_zero_and_the_table_is_shared():
    head = made()
    assert not ops.convert_to_numpy(head.bias).any()
    assert any(weight is head.token_embedding.embeddings for weight in head.weights)
    assert len(head.weights) == 2


def test_the_transform():
    embedding = keras.layers.ReversibleEmbedding(10, 4, embeddings_initializer="random_normal")
    head = MaskedLMHead(embedding, transform=True, kernel_initializer="random_normal")
    head.build(ROWS.shape)
    for number, weight in enumerate((head.transform.bias, head.transform_norm.beta, head.bias)):
        weight.assign(np.linspace(-1, number, weight.shape[0]))
    rows = ROWS @ np.array(head.transform.kernel) + np.array(head.transform.bias)
    rows = np.array(keras.activations.gelu(rows, approximate=False))
    rows = (rows - rows.mean(-1, keepdims=True)) / rows.std(-1, keepdims=True)
    rows += np.array(head.transform_norm.beta)
    table = ops.convert_to_numpy(embedding.embeddings)
    expected = rows @ table.T + np.array(head.bias)
    np.testing.assert_allclose(ops.convert_to_numpy(head(ROWS)), expected, atol=1e-5)


def test_paths_of_weights():
    embedding = keras.layers.ReversibleEmbedding(10, 4, name="table")
    head = MaskedLMHead(embedding, transform=True, name="tokens")
    head.build(ROWS.shape)
    names = ("transform/kernel", "transform/bias", "transform_norm/gamma", "transform_norm/beta")
    expected = {f"tokens/{name}" for name in (*names, "bias")}
    assert {v.path for v in head.weights if v is not embedding.embeddings} == expected
    bare = MaskedLMHead(embedding, use_bias=False)
    bare.build(ROWS.shape)
    assert len(bare.weights) == 1
    table = ops.convert_to_numpy(embedding.embeddings)
    np.testing.assert_allclose(ops.convert_to_numpy(bare(ROWS)), ROWS @ table.T, atol=1e-6)


def test_bad_activation():
    embedding = keras.layers.ReversibleEmbedding(10, 4)
    with pytest.raises(ValueError, match="activation=3"):
        MaskedLMHead(embedding, transform=True, activation=3)


@pytest.mark.parametrize("tied", [True, False])
def test_a_scale_and_a_matrix_of_its_own(tied):
    """T5 1.0 has smaller rows, T5 1.1 another matrix."""
    embedding = keras.layers.ReversibleEmbedding(10, 4, tie_weights=tied)
    head = MaskedLMHead(embedding, use_bias=False, scale=0.5)
    head.build(ROWS.shape)
    table = ops.convert_to_numpy(embedding.embeddings).T
    matrix = table if tied else ops.convert_to_numpy(embedding.reverse_embeddings)
    assert (table is matrix) == tied and len(head.weights) == (1 if tied else 2)
    np.testing.assert_allclose(ops.convert_to_numpy(head(ROWS)), ROWS @ matrix / 2, atol=1e-6)


def test_a_token_whose_embedding_counts_as_0():
    """Whatever stands in the table, its logit is the bias."""
    embedding = keras.layers.ReversibleEmbedding(10, 4, embeddings_initializer="ones")
    head = MaskedLMHead(embedding, zero_token_id=7)
    head.build(ROWS.shape)
    head.bias.assign(np.arange(10, dtype="float32"))
    expected = ROWS.sum(-1, keepdims=True) * (np.arange(10) != 7) + np.arange(10)
    np.testing.assert_allclose(ops.convert_to_numpy(head(ROWS)), expected, atol=1e-6)
