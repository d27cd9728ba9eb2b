import numpy as np
import pytest
from keras import ops

from keras_plm.ops import (
    factorised_scores,
    position_basis,
    relative_gather,
    relative_shift,
    sinusoid_frequencies,
)

SHAPES = [(16, 1, 0), (16, 5, 0), (32, 16, 10), (64, 100, 0), (256, 64, 200)]  # (D, T, M)


def by_distance(hidden_dim, length, key_length):
    """Sinusoids of the distances S .. -T + 1 in double precision."""
    angle = np.arange(key_length, -length, -1)[:, None] * sinusoid_frequencies(hidden_dim)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)  # (C, D)


def scores(rows, kernel, table):
    """Rows (B, T, H, K) times a projected table: (B, H, T, C), in float32."""
    projected = np.einsum("cd,dhk->chk", table, kernel)
    return np.einsum("brhk,chk->bhrc", rows, projected).astype("float32")


@pytest.mark.parametrize("hidden_dim, length, memory_length", SHAPES)
def test_equals_the_shift_at_all_rows(hidden_dim, length, memory_length, jitted):
    rng = np.random.default_rng(0)
    key_length = memory_length + length
    rows = rng.normal(size=(2, length, 2, 4))
    kernel = rng.normal(size=(hidden_dim, 2, 4)) * 3 / np.sqrt(hidden_dim)
    table = by_distance(hidden_dim, length, key_length)
    expected = ops.convert_to_numpy(relative_shift(scores(rows, kernel, table), key_length))

    basis = position_basis(hidden_dim, length, key_length)
    by_feature = scores(rows, kernel, basis.coefficients)
    factorised = jitted(lambda s: factorised_scores(s, basis.rows, basis.keys))
    result = ops.convert_to_numpy(factorised(by_feature))
    assert np.abs(expected).max() > 2
    np.testing.assert_allclose(result, expected, atol=1e-6 * np.abs(expected).max())

    positions = rng.integers(0, length, (2, 3))
    chosen = np.take_along_axis(by_feature, positions[:, None, :, None], axis=2)
    by_column = scores(rows, kernel, table)
    by_column = np.take_along_axis(by_column, positions[:, None, :, None], axis=2)
    expected = ops.convert_to_numpy(relative_gather(by_column, positions, length, key_length))
    result = factorised_scores(chosen, basis.rows, basis.keys, positions)
    np.testing.assert_allclose(
        ops.convert_to_numpy(result), expected, atol=1e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    "hidden_dim, length, memory_length, features",
    [(256, 256, 0, 90), (256, 512, 0, 110), (768, 512, 384, 248)],
)
def test_few_features_serve_many_distances(hidden_dim, length, memory_length, features):
    """The figures of docs/performance.md."""
    basis = position_basis(hidden_dim, length, length + memory_length)
    assert basis.keys.shape == (length + memory_length, features)
    assert np.abs(basis.coefficients).max() < 4  # no error is amplified


def test_frequencies_are_the_papers():
    np.testing.assert_allclose(sinusoid_frequencies(8), [1, 10**-1, 10**-2, 10**-3], rtol=1e-12)
