import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import AuxiliaryLMLoss

TABLE = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
ROWS = np.random.default_rng(1).normal(size=(3, 5, 4)).astype("float32")
IDS = np.array([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0], [1, 0, 0, 0, 0]], "int32")
REAL = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], "bool")


@pytest.fixture
def embedding():
    embedding = keras.layers.ReversibleEmbedding(7, 4)
    embedding.build()
    embedding.embeddings.assign(TABLE)
    return embedding


def by_hand():
    """The mean of each row's tokens; of three rows, the last of which predicts nothing."""
    logits = ROWS.astype("float64") @ TABLE.T
    losses = np.log(np.exp(logits).sum(-1))[:, :-1]
    losses -= np.take_along_axis(logits[:, :-1], IDS[:, 1:, None], axis=2)[..., 0]
    return (losses[0].mean() + losses[1, 0]) / 3


def test_the_mean_over_the_tokens_of_each_row(embedding):
    layer = AuxiliaryLMLoss(embedding, 0.5)
    summary = ROWS[:, -1]
    np.testing.assert_array_equal(layer(summary, ROWS, IDS, REAL), summary)
    (loss,) = layer.losses
    np.testing.assert_allclose(ops.convert_to_numpy(loss), 0.5 * by_hand(), rtol=1e-5)


def test_padding_is_no_target_and_predicts_nothing(embedding, gradient):
    layer = AuxiliaryLMLoss(embedding, 1.0)

    def loss(rows):
        layer(rows[:, -1], rows, IDS, REAL)
        return layer.losses[0]

    found = gradient(loss, ROWS)
    predicts = np.zeros((3, 5), "bool")
    predicts[0, :4] = predicts[1, 0] = True
    assert (np.abs(found).max(-1) > 0).tolist() == predicts.tolist()
    ids = np.where(REAL, IDS, 6)
    layer(ROWS[:, -1], ROWS, ids, REAL)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.losses[0]), by_hand(), rtol=1e-5)


def test_the_loss_of_half_precision_is_float32():
    layer = AuxiliaryLMLoss(keras.layers.ReversibleEmbedding(7, 4, dtype="mixed_float16"), 1.0)
    layer(ROWS[:, -1], ROWS, IDS, REAL)
    assert keras.backend.standardize_dtype(layer.losses[0].dtype) == "float32"


def test_padding_at_the_left(embedding):
    layer = AuxiliaryLMLoss(embedding, 1.0)
    layer(ROWS[:, -1], ROWS[:, ::-1], IDS[:, ::-1], REAL[:, ::-1])
    logits = ROWS[1].astype("float64") @ TABLE.T
    expected = np.log(np.exp(logits[1]).sum()) - logits[1, 2]
    layer(ROWS[:1, -1], ROWS[1:2, ::-1], IDS[1:2, ::-1], REAL[1:2, ::-1])
    np.testing.assert_allclose(ops.convert_to_numpy(layer.losses[0]), expected, rtol=1e-5)
