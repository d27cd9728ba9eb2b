"""From scores by distance to scores by key: the shift of Transformer-XL.

The position term of relative attention is computed for every distance once: column c of a
table of C columns holds the distance S - c, positive = the key lies to the left. Row i of the
segment (at position M + i among the S = M + T keys) needs, for key j, the distance M + i - j,
which is column T - i + j (arXiv:1901.02860, appendix B).

Buckets of relative distances: near ones exactly, far ones by their logarithm (T5, MPNet).
"""

import numpy as np
from keras import ops


def relative_shift(scores, key_length):
    """Align position scores with keys for the content rows 0 .. T-1.

    Two slices and two reshapes, no transpose: row i reads T - i columns further right than the
    row before the first, which in the flattened array is one column less per row.

    Args:
        scores: tensor of shape (B, H, T, C), by distance; C = T + S, or S + 1 under a causal
            mask (then the entries to the right of a row mean nothing and must be masked).
        key_length: int, the S keys.

    Returns:
        Tensor of shape (B, H, T, S): `scores[..., i, T - i + j]`.
    """
    batch, heads, rows, columns = ops.shape(scores)
    flat = ops.reshape(scores, (batch, heads, rows * columns))[:, :, rows:]
    shifted = ops.reshape(flat, (batch, heads, rows, columns - 1))
    return shifted[:, :, :, :key_length]


def relative_gather(scores, positions, query_length, key_length):
    """Align position scores with keys for the rows at any positions of the segment.

    The gradient of a gather is a scatter, which is slow under XLA; here every column is read at
    most once (but for keys that a causal mask hides, where no gradient arrives), so the gradient
    is a gather as well.

    Args:
        scores: tensor of shape (B, H, P, C), by distance (see `relative_shift`).
        positions: int tensor of shape (B, P), the position of each row in the segment.
        query_length: int, the T rows of the segment.
        key_length: int, the S keys.

    Returns:
        Tensor of shape (B, H, P, S): `scores[..., p, T - positions[p] + j]`.
    """
    columns = ops.shape(scores)[3]

    def first_column():
        """The column of key 0, (B, 1, P, 1)."""
        return query_length - ops.cast(positions, "int32")[:, None, :, None]

    @ops.custom_gradient
    def gather(scores):
        def gradient(*upstreams, upstream=None):
            # From `positions` again: under remat, JAX lets no other tensor in from outside.
            upstream = upstreams[0] if upstream is None else upstream
            to_column = ops.arange(columns) - first_column()  # (B, 1, P, C): the key of each column
            was_read = ops.logical_and(to_column >= 0, to_column < key_length)
            to_column = ops.clip(to_column, 0, key_length - 1)
            back = ops.take_along_axis(upstream, to_column, axis=3)  # (B, H, P, C)
            return ops.where(was_read, back, ops.zeros_like(back))

        to_key = ops.clip(first_column() + ops.arange(key_length), 0, columns - 1)  # (B, 1, P, S)
        return ops.take_along_axis(scores, to_key, axis=3), gradient

    return gather(scores)


def relative_buckets(
    row_positions, key_positions, num_buckets=32, max_distance=128, bidirectional=True
):
    """Sort the distance from each row to each key into a bucket.

    Half of the buckets are for keys before the row (and itself), half for keys after it; of each
    half, half are for single distances and half for ranges that grow by a constant factor up to
    `max_distance`, from where on all share the last. In one direction all buckets are for keys
    before the row, and every key after it has bucket 0.

    Args:
        row_positions: int tensor of shape (B, R).
        key_positions: int tensor of shape (B, S).
        num_buckets: int. An even number.
        max_distance: int. A distance in tokens.
        bidirectional: bool. Whether keys after the row have buckets of their own.

    Returns:
        Int tensor of shape (B, R, S), in [0, num_buckets).

    Source: T5, arXiv:1910.10683, section 2.1; with 32 buckets and 128 MPNet, arXiv:2004.09297.
    """
    half = num_buckets // 2 if bidirectional else num_buckets
    exact = half // 2
    steps = np.arange(1, half - exact) / (half - exact)
    # The smallest distance of each bucket; rounded because 8 * 16 ** 0.5 is to be 32.
    ranges = np.ceil(np.round(exact * (max_distance / exact) ** steps, 6))
    starts = np.concatenate([np.arange(1, exact + 1), ranges])
    table = np.searchsorted(starts, np.arange(max_distance + 1), side="right").astype("int32")
    distance = key_positions[:, None, :] - row_positions[:, :, None]  # (B, R, S)
    far = ops.abs(distance) if bidirectional else ops.maximum(-distance, 0)
    near = ops.minimum(far, max_distance)
    bucket = ops.take(ops.convert_to_tensor(table), near, axis=0)  # (B, R, S)
    return bucket + half * ops.cast(distance > 0, "int32") if bidirectional else bucket
