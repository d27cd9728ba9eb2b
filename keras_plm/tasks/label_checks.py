"""What tasks check of labels and weights before a backend sees them."""

import numpy as np


def check_weights(sample_weight, count, rows="text"):
    """Refuse weights that are not one finite number of at least 0 per row.

    Args:
        sample_weight: array, or None: no weights.
        count: int. How many rows there are.
        rows: str. What a row is, for the message.

    Raises:
        ValueError: naming what is wrong.
    """
    if sample_weight is None:
        return
    weight = np.asarray(sample_weight)
    if weight.shape not in ((count,), (count, 1)) or not numbers(weight) or weight.min() < 0:
        raise ValueError(
            f"There must be a weight of at least 0 per {rows}. "
            f"Received: {weight.shape} for {count} {rows}s, {weight.ravel()[:5].tolist()}."
        )


def check_class_ids(y, count, num_classes, rows="text"):
    """Refuse labels that are not one class number per row: JAX gives them a silent loss of 0.

    Args:
        y: array of labels.
        count: int. How many rows there are.
        num_classes: int. How many classes there are.
        rows: str. What a row is, for the message.

    Raises:
        ValueError: naming what is wrong.
    """
    y = np.asarray(y)
    if y.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"There must be one label per {rows}. Received: {y.shape} for {count} {rows}s."
        )
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= num_classes:
        raise ValueError(
            f"Labels must be integers in [0, {num_classes}). "
            f"Received: {y.dtype} values such as {np.unique(y)[:5].tolist()}."
        )


def numbers(array):
    """Whether an array holds finite numbers only.

    Args:
        array: numpy array.

    Returns:
        bool.
    """
    return array.dtype.kind in "iuf" and bool(np.isfinite(array).all())
