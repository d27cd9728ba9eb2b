"""Relative positions without a shift: sinusoids of a distance as a product of row and key.

The position term of relative attention is u . R(i - j), R(k) = [sin(k w), cos(k w)] for D/2
frequencies w. The angle sum splits each sinusoid of i - j into sinusoids of i times sinusoids of
j, so u can be turned by its row's angles (as rotary embeddings do) and multiplied with one table
of the keys that all heads, rows and layers share: no table by distance, no shift, and any row
can read, wherever it stands.

D features per row would be more work than the shift. But on a window of W distances the low
frequencies lie far closer together than W can tell apart: a uniform grid of spacing 2 pi / 1.3 W
serves all of them. The exact high frequencies and that grid are the basis; R(k) is a fixed linear
combination of it, fitted once in float64. The weights of a model stay what they are.
"""

from collections import namedtuple
from functools import lru_cache

import numpy as np
from keras import ops

# For G features, the cosines of all frequencies, then their sines: coefficients (G, D) of the
# sinusoids, and the features of the rows (T, G) and of the keys (S, G).
PositionBasis = namedtuple("PositionBasis", ["coefficients", "rows", "keys"])

OVERSAMPLING = 1.3  # of the grid; at 1.0 the fit fails
TOLERANCE = 1e-8  # largest error of the fitted sinusoids, well below float32


@lru_cache(maxsize=64)
def position_basis(hidden_dim, query_length, key_length):
    """The basis in which sinusoids of all distances of a segment factorise.

    Args:
        hidden_dim: int. The width D of the position encoding, even.
        query_length: int. The T rows of the segment.
        key_length: int. The S keys, S = M + T.

    Returns:
        `PositionBasis` of float32 numpy arrays: coefficients (G, D), rows (T, G), keys (S, G),
        for G features.

    Source: the angle sum as in Funnel-Transformer's factorised relative attention,
    arXiv:2006.03236, appendix A.2; the grid is this package's.
    """
    frequency = sinusoid_frequencies(hidden_dim)  # (D/2,), falling
    distance = np.arange(1 - query_length, key_length)  # (W,)
    angle = distance[:, None] * frequency
    sinusoids = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)  # (W, D)
    spacing = 2 * np.pi / (OVERSAMPLING * len(distance))
    dense = np.append(frequency[:-1] - frequency[1:], 0) < spacing
    exact = frequency[: np.argmax(dense)]
    highest = frequency[len(exact)]  # of those that the grid serves
    centre = (key_length - query_length) / 2
    for beyond in range(len(distance)):  # points of the grid above the highest frequency
        grid = np.arange(np.ceil(highest / spacing) + 1 + beyond) * spacing
        basis = np.concatenate([exact, grid])
        features = _features((distance - centre)[:, None] * basis)  # (W, G)
        coefficients = np.linalg.lstsq(features, sinusoids, rcond=1e-12)[0]  # (G, D)
        if np.abs(features @ coefficients - sinusoids).max() < TOLERANCE:
            break
    row = key_length - query_length + np.arange(query_length) - centre  # (T,)
    rows = _features(row[:, None] * basis)
    keys = _features(np.arange(key_length)[:, None] * basis)
    arrays = (coefficients, rows, keys)
    return PositionBasis(*(array.astype("float32") for array in arrays))


def sinusoid_frequencies(hidden_dim):
    """The frequencies of a position encoding of width D: 10000^(-2 m / D), m = 0 .. D/2 - 1.

    Args:
        hidden_dim: int. D.

    Returns:
        numpy array of shape (D/2,), float64, falling from 1.
    """
    return 10000.0 ** (-np.arange(0, hidden_dim, 2) / hidden_dim)


def factorised_scores(scores, rows, keys, positions=None):
    """Position scores of rows by key, from their scores by feature.

    Args:
        scores: tensor of shape (B, H, R, G), rows times the projected coefficients.
        rows: tensor of shape (T, G), from `position_basis`.
        keys: tensor of shape (S, G), from `position_basis`.
        positions: int tensor of shape (B, R), the position of each row in the segment; None:
            rows 0 .. T-1.

    Returns:
        Tensor of shape (B, H, R, S), equal to `relative_shift` of the scores by distance.
    """
    if positions is not None:
        rows = ops.take(rows, ops.cast(positions, "int32"), axis=0)[:, None]  # (B, 1, R, G)
    cosine, sine = ops.split(rows, 2, axis=-1)
    even, odd = ops.split(scores, 2, axis=-1)  # of the cosines, of the sines
    turned = ops.concatenate([even * cosine + odd * sine, even * sine - odd * cosine], axis=-1)
    return ops.einsum("bhrg,sg->bhrs", turned, keys)


def _features(angle):
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
