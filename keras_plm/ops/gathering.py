"""Gathering rows by position."""

from keras import ops


def gather_rows(values, positions):
    """Take, in each example, the rows at the given positions.

    Args:
        values: tensor of shape (B, T, ...).
        positions: int tensor of shape (B, P), each in [0, T).

    Returns:
        Tensor of shape (B, P, ...): `values[b, positions[b, p]]`.
    """
    index = positions
    for _ in range(len(values.shape) - 2):
        index = ops.expand_dims(index, -1)  # (B, P, 1, ...)
    return ops.take_along_axis(values, index, axis=1)
