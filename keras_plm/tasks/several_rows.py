"""Examples that are several rows each: the choices of a question, a pair in both orders."""

import keras
import numpy as np
from keras import ops

from keras_plm.layers import ChoicesToRows
from keras_plm.tasks.task_graph import text_inputs


def inputs_of_several(backbone, number=None):
    """The inputs of a backbone that texts have values for, with several rows per example.

    Args:
        backbone: a backbone of this package.
        number: int or None. How many rows C; None: any number.

    Returns:
        Pair of dicts of str to Keras tensor: the inputs (B, C, T), and the same as rows
        (B * C, T), which the backbone takes.
    """
    inputs = {
        name: keras.Input((number, None), dtype=tensor.dtype, name=name)  # (B, C, T)
        for name, tensor in text_inputs(backbone).items()
    }
    rows = {name: ChoicesToRows(name=f"{name}_rows")(tensor) for name, tensor in inputs.items()}
    return inputs, rows


def sum_of_several(summary, number):
    """Add the vectors that stand for the rows of an example.

    Args:
        summary: tensor of shape (B * C, D).
        number: int. C.

    Returns:
        Tensor of shape (B, D).
    """
    return ops.sum(ops.reshape(summary, (-1, number, summary.shape[-1])), axis=1)


def checked_rows(x, number=None):
    """The features of examples with several rows each as those of rows.

    Args:
        x: dict of arrays (B, C, T), or what is no dict: that is returned as it is.
        number: int or None. How many rows C there must be.

    Returns:
        dict of arrays (B * C, T).

    Raises:
        ValueError: if they are not of one shape (B, C, T).
    """
    if not isinstance(x, dict):
        return x
    arrays = {name: np.asarray(value) for name, value in x.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    wrong = len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values())
    if wrong or (number is not None and any(shape[1] != number for shape in shapes.values())):
        what = "C choices each" if number is None else f"C = {number} rows each"
        raise ValueError(
            f"Features must all have the same shape (B, C, T), {what}. Received: {shapes}."
        )
    return {name: array.reshape(-1, array.shape[-1]) for name, array in arrays.items()}


def in_both_orders(preprocessor, x):
    """The features of pairs of texts, in both orders.

    Args:
        preprocessor: `TextPreprocessor`.
        x: tuple of two lists of N str, A and B.

    Returns:
        dict of arrays (N, 2, T): rows of A and B, and rows of B and A.

    Raises:
        TypeError, ValueError: as the preprocessor, or if `x` is no pair.
    """
    if not isinstance(x, tuple) or len(x) != 2:
        raise ValueError(
            "With `both_orders=True` texts come in pairs: a tuple of two lists. "
            f"Received: {type(x).__name__}."
        )
    orders = [preprocessor.call(pair) for pair in (x, x[::-1])]
    return {name: np.stack([one[name] for one in orders], axis=1) for name in orders[0]}
