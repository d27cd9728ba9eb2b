"""Whole words are dropped, in all of the batch, and none in evaluation."""

import numpy as np
from keras import ops

from keras_plm.layers import EmbeddingDropout

IDS = np.random.default_rng(0).integers(0, 200, (8, 300)).astype("int32")


def test_words_are_dropped():
    layer, ones = EmbeddingDropout(200, 0.25), np.ones((8, 300, 2), "float32")
    rows = ops.convert_to_numpy(layer(ones, IDS, training=True))
    of_word = [np.unique(rows[IDS == word]) for word in range(200)]
    assert all(len(values) == 1 for values in of_word)  # all of its tokens have one share
    values = np.array([values[0] for values in of_word])
    dropped = values == 0
    np.testing.assert_allclose(values[~dropped], 4 / 3, rtol=1e-6)
    assert 25 <= dropped.sum() <= 75
    again = ops.convert_to_numpy(layer(ones, IDS, training=True))
    assert (again != rows).any()
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(ones, IDS)), ones)
