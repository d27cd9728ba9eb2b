"""Buckets of relative distances: near ones exactly, far ones by their logarithm."""

import numpy as np
from keras import ops


def relative_buckets(row_positions, key_positions, num_buckets=32, max_distance=128):
    """Sort the distance from each row to each key into a bucket.

    Half of the buckets are for keys before the row (and itself), half for keys after it; of each
    half, half are for single distances and half for ranges that grow by a constant factor up to
    `max_distance`, from where on all share the last.

    Args:
        row_positions: int tensor of shape (B, R).
        key_positions: int tensor of shape (B, S).
        num_buckets: int. An even number.
        max_distance: int. A distance in tokens.

    Returns:
        Int tensor of shape (B, R, S), in [0, num_buckets).

    Source: T5, arXiv:1910.10683, section 2.1; with 32 buckets and 128 MPNet, arXiv:2004.09297.
    """
    half = num_buckets // 2
    exact = half // 2
    steps = np.arange(1, half - exact) / (half - exact)
    # The smallest distance of each bucket; rounded because 8 * 16 ** 0.5 is to be 32.
    ranges = np.ceil(np.round(exact * (max_distance / exact) ** steps, 6))
    starts = np.concatenate([np.arange(1, exact + 1), ranges])
    table = np.searchsorted(starts, np.arange(max_distance + 1), side="right").astype("int32")
    distance = key_positions[:, None, :] - row_positions[:, :, None]  # (B, R, S)
    near = ops.minimum(ops.abs(distance), max_distance)
    bucket = ops.take(ops.convert_to_tensor(table), near, axis=0)  # (B, R, S)
    return bucket + half * ops.cast(distance > 0, "int32")
