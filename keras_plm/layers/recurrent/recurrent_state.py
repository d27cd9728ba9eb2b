"""What recurrent layers begin with, and the shapes of what they give."""

import keras
from keras import ops


def start_of(state, like, hidden_dim, cell_dim):
    """The hidden state and cell that a recurrent layer begins with.

    Args:
        state: pair of tensors (B, P) and (B, C), or None: zeros.
        like: tensor (B, ...) of the data type of the computation, and of as many examples.
        hidden_dim, cell_dim: int. P and C.

    Returns:
        Pair of tensors (B, P) and (B, C).

    Raises:
        ValueError: if the state is no such pair.
    """
    if state is None:
        zeros = ops.zeros_like(like[:, :1])  # (B, 1)
        return ops.repeat(zeros, hidden_dim, axis=1), ops.repeat(zeros, cell_dim, axis=1)
    pair = isinstance(state, (list, tuple)) and len(state) == 2
    shapes = [tuple(one.shape) for one in state] if pair else None
    rows = {like.shape[0], *[shape[0] for shape in shapes or ()]} - {None}
    if not pair or len(rows) > 1 or [one[1:] for one in shapes] != [(hidden_dim,), (cell_dim,)]:
        raise ValueError(
            f"`state` must be a hidden state (B, {hidden_dim}) and a cell (B, {cell_dim}) for each "
            f"of the B = {like.shape[0]} texts. Received: shapes {shapes or state}."
        )
    return tuple(ops.cast(one, like.dtype) for one in state)


def output_specs(content, hidden_dim, cell_dim, dtype):
    """Shapes of what a recurrent layer gives: outputs, hidden state and cell."""
    shapes = (*content.shape[:2], hidden_dim), (content.shape[0], hidden_dim)
    shapes += ((content.shape[0], cell_dim),)
    return tuple(keras.KerasTensor(shape, dtype=dtype) for shape in shapes)
