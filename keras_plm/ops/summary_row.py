"""The row that stands for a text: that of its first or of its last real token."""

from keras import ops

from keras_plm.ops.gathering import gather_rows


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
