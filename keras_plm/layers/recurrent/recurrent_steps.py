"""What recurrent layers share: texts with steps first, what they begin with, what they give."""

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
    pair = pair and all(hasattr(one, "shape") for one in state)
    shapes = [tuple(one.shape) for one in state] if pair else None
    rows = {like.shape[0], *[shape[0] for shape in shapes or ()]} - {None}
    if not pair or len(rows) > 1 or [one[1:] for one in shapes] != [(hidden_dim,), (cell_dim,)]:
        raise ValueError(
            f"`state` must be a hidden state (B, {hidden_dim}) and a cell (B, {cell_dim}) for each "
            f"of the B = {like.shape[0]} texts. Received: shapes {shapes or state}."
        )
    return tuple(ops.cast(one, like.dtype) for one in state)


def steps_first(rows):
    """Rows (B, T, ...) as a loop over steps reads them, (T, B, ...); None stays None."""
    return rows if rows is None else ops.swapaxes(rows, 0, 1)


def gates_of(content, dense):
    """What token states (B, T, D) give to the gates of each step, (T, B, 4C).

    States are turned, not the wider gates; and they are rows of one matrix, so that the gradient
    of the kernel is one plain product (XLA's CPU takes .6 of the time).

    Raises:
        ValueError: if there is no token.
    """
    if content.shape[1] == 0:
        raise ValueError(f"A text must have a token at least. Received: shape {content.shape}.")
    rows = steps_first(content)
    gates = dense(ops.reshape(rows, (-1, rows.shape[-1])))
    return ops.reshape(gates, (*ops.shape(rows)[:2], gates.shape[-1]))


def outputs_of(steps, real):
    """Outputs (B, T, P) of steps (T, B, P): 0 at padding, where `real` (B, T) is given."""
    outputs = steps_first(steps)
    if real is None:
        return outputs
    return outputs * ops.cast(real, outputs.dtype)[..., None]


def output_specs(content, hidden_dim, cell_dim, dtype):
    """Shapes of what a recurrent layer gives: outputs, hidden state and cell."""
    shapes = (*content.shape[:2], hidden_dim), (content.shape[0], hidden_dim)
    shapes += ((content.shape[0], cell_dim),)
    return tuple(keras.KerasTensor(shape, dtype=dtype) for shape in shapes)
