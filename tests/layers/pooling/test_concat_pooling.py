"""Last, maximum and mean of the real tokens, on whatever side the padding stands."""

import numpy as np
from keras import ops

from keras_plm.layers import ConcatPooling

# All numbers are negative: a maximum over padding of 0 would be seen.
ROWS = -np.abs(np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")) - 1
REAL = np.array([[1] * 6, [0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


def test_padding_does_not_count():
    found = ops.convert_to_numpy(ConcatPooling()(ROWS, REAL))
    for row, real, pooled in zip(ROWS, REAL, found):
        own = row[real]
        expected = np.concatenate([own[-1], own.max(axis=0), own.mean(axis=0)])
        np.testing.assert_allclose(pooled, expected, rtol=1e-6)
    whole = ops.convert_to_numpy(ConcatPooling()(ROWS[:1]))
    np.testing.assert_allclose(whole, found[:1], rtol=1e-6)


def test_nothing_real_is_zero():
    assert not ops.convert_to_numpy(ConcatPooling()(ROWS, np.zeros_like(REAL))).any()


def test_what_is_padding_may_be_anything():
    rows = np.where(REAL[..., None], ROWS, np.float32(np.inf))
    found = ops.convert_to_numpy(ConcatPooling()(rows, REAL))
    np.testing.assert_array_equal(found, ops.convert_to_numpy(ConcatPooling()(ROWS, REAL)))
