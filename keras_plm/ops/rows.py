"""Taking rows by position, the row that stands for a text, and which rows are of a text."""

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


def summary_row(rows, padding_mask=None, where="first"):
    """Take the row of the first or last real token of each example, whatever side is padded.

    Args:
        rows: tensor of shape (B, T, D).
        padding_mask: bool tensor of shape (B, T) or None: all tokens are real. A row without any
            real token gives its first (last) token.
        where: str. "first" or "last".

    Returns:
        Tensor of shape (B, D).

    Raises:
        ValueError: if `where` is neither.
    """
    if where not in ("first", "last"):
        raise ValueError(f"`where` must be 'first' or 'last'. Received: where={where!r}.")
    if padding_mask is None:
        return rows[:, 0] if where == "first" else rows[:, -1]
    real = ops.cast(padding_mask, "int32")  # (B, T)
    place = ops.cumsum(ops.ones_like(real), axis=1)  # (B, T): 1 .. T
    if where == "first":
        place = -place
    # Real tokens before all others; of them the one that is furthest to that side.
    score = ops.where(real > 0, place, place - 2**20)
    position = ops.argmax(score, axis=1)[:, None]  # (B, 1)
    return gather_rows(rows, position)[:, 0]  # (B, D)


def real_tokens(*masks):
    """Put masks of padding together.

    Args:
        masks: bool tensors of shape (B, T), or None: explicit ones, and implicit ones of Keras.

    Returns:
        Bool tensor of shape (B, T), True where all say that a token is real; None: all tokens are.
    """
    real = None
    for mask in masks:
        if mask is not None:
            mask = ops.cast(mask, "bool")
            real = mask if real is None else ops.logical_and(real, mask)
    return real
