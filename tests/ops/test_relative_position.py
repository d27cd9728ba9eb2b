import numpy as np
import pytest
from keras import ops

from keras_plm.ops import relative_gather, relative_shift

# Batch, heads, rows T, memory M.
SIZES = [(1, 1, 1, 0), (2, 3, 5, 0), (2, 2, 4, 3), (1, 2, 3, 8)]


def by_distance(batch, heads, rows, columns):
    return np.random.default_rng(0).normal(size=(batch, heads, rows, columns)).astype("float32")


def wanted(scores, positions, length, memory):
    """Entry (p, j) by the definition: the column of the distance M + position - j."""
    key_length = memory + length
    result = np.full((*scores.shape[:3], key_length), np.nan, "float32")
    for example, head, row, key in np.ndindex(result.shape):
        distance = memory + positions[example, row] - key
        column = key_length - distance
        if column < scores.shape[3]:
            result[example, head, row, key] = scores[example, head, row, column]
    return result


@pytest.mark.parametrize("size", SIZES)
def test_shift_takes_each_distance(size):
    batch, heads, length, memory = size
    scores = by_distance(batch, heads, length, 2 * length + memory)
    positions = np.tile(np.arange(length), (batch, 1))
    result = relative_shift(scores, memory + length)
    expected = wanted(scores, positions, length, memory)
    np.testing.assert_array_equal(ops.convert_to_numpy(result), expected)


def test_shift_by_hand():
    # Two rows, two keys: the columns are the distances 2, 1, 0, -1.
    scores = np.array([[[[2, 1, 0, -1], [12, 11, 10, 9]]]], "float32")
    expected = [[[[0, -1], [11, 10]]]]
    np.testing.assert_array_equal(ops.convert_to_numpy(relative_shift(scores, 2)), expected)


@pytest.mark.parametrize("size", SIZES)
def test_shift_of_a_causal_table(size):
    """S + 1 columns hold every distance down to 0; what lies right of a row means nothing."""
    batch, heads, length, memory = size
    scores = by_distance(batch, heads, length, length + memory + 1)
    positions = np.tile(np.arange(length), (batch, 1))
    result = ops.convert_to_numpy(relative_shift(scores, memory + length))
    expected = wanted(scores, positions, length, memory)
    seen = ~np.isnan(expected)
    assert result.shape == expected.shape and np.isfinite(result).all()
    not_right = np.arange(memory + length) <= memory + np.arange(length)[:, None]
    np.testing.assert_array_equal(seen, np.broadcast_to(not_right, seen.shape))
    np.testing.assert_array_equal(result[seen], expected[seen])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_gather_takes_each_distance(size, causal):
    batch, heads, length, memory = size
    columns = length + memory + (1 if causal else length)
    positions = np.random.default_rng(1).integers(0, length, (batch, 4))  # with repetitions
    scores = by_distance(batch, heads, 4, columns)
    result = ops.convert_to_numpy(relative_gather(scores, positions, length, memory + length))
    expected = wanted(scores, positions, length, memory)
    seen = ~np.isnan(expected)
    assert np.isfinite(result).all()
    not_right = np.arange(memory + length) <= memory + positions[:, None, :, None]
    np.testing.assert_array_equal(seen, np.broadcast_to(not_right | (not causal), seen.shape))
    np.testing.assert_array_equal(result[seen], expected[seen])


@pytest.mark.parametrize("size", SIZES)
def test_gather_at_all_positions_is_the_shift(size):
    batch, heads, length, memory = size
    scores = by_distance(batch, heads, length, 2 * length + memory)
    positions = np.tile(np.arange(length), (batch, 1))
    shifted = relative_shift(scores, memory + length)
    gathered = relative_gather(scores, positions, length, memory + length)
    np.testing.assert_array_equal(ops.convert_to_numpy(shifted), ops.convert_to_numpy(gathered))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_gradient_of_gather_is_that_of_a_plain_gather(jit, causal, gradient):
    batch, heads, length, memory = 2, 2, 5, 3
    key_length = memory + length
    columns = key_length + (1 if causal else length)
    positions = np.array([[4, 0, 2, 2], [1, 3, 0, 0]], "int32")
    scores = by_distance(batch, heads, 4, columns)
    column = length - positions[:, None, :, None] + np.arange(key_length, dtype="int32")
    weight = np.random.default_rng(2).normal(size=(batch, heads, 4, key_length))
    weight = np.where(column < columns, weight, 0.0).astype("float32")  # the mask of causal rows
    column = np.minimum(column, columns - 1)

    def ours(scores):
        return ops.sum(relative_gather(scores, positions, length, key_length) ** 2 * weight)

    def plain(scores):
        return ops.sum(ops.take_along_axis(scores, column, axis=3) ** 2 * weight)

    expected = gradient(plain, scores)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(gradient(ours, scores, jit=jit), expected, atol=1e-6)


def test_both_compile(jitted):
    scores = by_distance(2, 2, 3, 8)
    positions = np.array([[0, 1, 2], [2, 2, 0]], "int32")

    def both(scores):
        return relative_shift(scores, 5), relative_gather(scores, positions, 3, 5)

    for eager, compiled in zip(both(scores), jitted(both)(ops.convert_to_tensor(scores))):
        np.testing.assert_array_equal(ops.convert_to_numpy(eager), ops.convert_to_numpy(compiled))
