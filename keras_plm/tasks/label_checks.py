"""What tasks check of labels and weights before a backend sees them."""

import numpy as np


def check_weights(sample_weight, count, rows="text"):
    """Refuse weights that are not one finite number of at least 0 per row, or all of them 0.

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
    if not weight.any():
        raise ValueError(
            f"The weights must not all be 0: without a {rows} that counts there is no loss. "
            f"Received: {count} weights of 0."
        )


def check_class_weight(class_weight, num_classes=None):
    """Refuse weights of classes that `fit` cannot use: Keras would train on NaN, or on nothing.

    Args:
        class_weight: dict of int to float, or None: no weights. A class that is not there counts 1.
        num_classes: int or None. How many classes there are, where a task knows.

    Raises:
        ValueError: naming what is wrong.
    """
    if class_weight is None:
        return
    if not isinstance(class_weight, dict):
        raise ValueError(
            "`class_weight` must be a dict of a class's number to its weight. "
            f"Received: {class_weight!r:.100}."
        )
    most = float("inf") if num_classes is None else num_classes
    unknown = [
        one
        for one in class_weight
        if not isinstance(one, (int, np.integer)) or isinstance(one, bool) or not 0 <= one < most
    ]
    if unknown:
        raise ValueError(
            f"`class_weight` must be of classes in [0, {most}). Received: {unknown[:5]!r}."
        )
    weights = np.asarray(list(class_weight.values()))
    if weights.ndim != 1 or not numbers(weights) or weights.size and weights.min() < 0:
        raise ValueError(
            "The weights of classes must be finite numbers of at least 0. "
            f"Received: {class_weight!r:.200}."
        )
    if len(weights) == num_classes and not weights.any():
        raise ValueError(
            "The weights of classes must not all be 0: there would be no loss. "
            f"Received: {class_weight!r:.200}."
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


def check_targets(x, y, sample_weight, outputs):
    """Refuse targets, numbers of classes with a weight each, that a model cannot train on.

    Args:
        x: dict of features, checked; with `target_positions` (B, P) where a head predicts tokens.
        y: dict of int arrays by head, or None: (B, P) of a head over tokens, (B,) of one over
            whole examples.
        sample_weight: dict of float arrays by head, as `y`; None if `y` is. One head may have no
            targets in a batch, but not all of them.
        outputs: dict of a head's name to its logits, tensors of shape (B, P, V) or (B, number of
            classes).

    Raises:
        ValueError: naming what is wrong.
    """
    if y is None and sample_weight is None:
        return
    for what, value in (("y", y), ("sample_weight", sample_weight)):
        if not isinstance(value, dict) or set(value) != set(outputs):
            raise ValueError(
                f"`{what}` must be a dict with the keys {sorted(outputs)}. "
                f"Received: {sorted(value) if isinstance(value, dict) else type(value)}."
            )
    for name, logits in outputs.items():
        shape = (len(x["token_ids"]),)
        if len(logits.shape) == 3:
            shape = np.shape(x["target_positions"])
        _check_targets_of_head(name, y[name], sample_weight[name], shape, logits.shape[-1])
    if not any(np.any(weight) for weight in sample_weight.values()):
        raise ValueError(
            "A batch needs weights that are not all 0: without a target there is no loss. "
            f"Received: only 0 for {sorted(outputs)}."
        )


def _check_targets_of_head(name, target, weight, shape, num_classes):
    """One head's targets: whole numbers below `num_classes`, with usable weights."""
    target, weight = np.asarray(target), np.asarray(weight)
    if target.shape != shape or weight.shape != shape or target.dtype.kind not in "iu":
        raise ValueError(
            f"The targets of {name!r} must be integers, with a weight each, of shape "
            f"{shape}. Received: {target.dtype} {target.shape}, weights {weight.shape}."
        )
    if not numbers(weight) or weight.min() < 0:
        raise ValueError(
            f"The weights of {name!r} must be finite and at least 0. "
            f"Received: {weight.dtype}, such as {weight.ravel()[:5].tolist()}."
        )
    if target.min() < 0 or target.max() >= num_classes:
        raise ValueError(
            f"The targets of {name!r} must lie in [0, {num_classes}). "
            f"Received: values from {target.min()} to {target.max()}."
        )
