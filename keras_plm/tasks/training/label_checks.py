"""What tasks check of labels and weights before a backend sees them."""

import numpy as np

from keras_plm.tokenizers.text_columns import column_items, is_column


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


def check_multi_hot(y, count, num_classes):
    """Refuse labels that are not one number from 0 to 1 for each class of each text.

    Args:
        y: array of labels.
        count: int. How many texts there are.
        num_classes: int. How many classes there are.

    Raises:
        ValueError: naming what is wrong.
    """
    y = np.asarray(y)
    if y.shape != (count, num_classes):
        raise ValueError(
            f"With `multi_label` there must be {num_classes} numbers per text, 1 for each of its "
            "classes and 0 for the others; or a list of names per text, where there are "
            f"`class_names`. Received: {y.dtype} of shape {y.shape} for {count} texts."
        )
    if y.dtype.kind != "b" and (not numbers(y) or y.min() < 0 or y.max() > 1):
        raise ValueError(
            "Labels with `multi_label` must be numbers from 0 to 1. "
            f"Received: {y.dtype} values such as {y.ravel()[:5].tolist()}."
        )


def check_class_names(class_names, num_classes):
    """Refuse names of classes that are not one for each.

    Args:
        class_names: list of str, or None: the classes have no names.
        num_classes: int. How many classes there are.

    Returns:
        list of str, or None.

    Raises:
        ValueError: naming what is wrong.
    """
    if class_names is None:
        return None
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    text = all(isinstance(name, str) for name in names)
    if not text or not len(set(names)) == len(names) == num_classes:
        raise ValueError(
            f"`class_names` must be {num_classes} different strings, as `num_classes` says. "
            f"Received: {class_names!r:.200}."
        )
    return names


def class_ids_of_names(y, class_names):
    """Turn labels that are names of classes into their numbers.

    Args:
        y: list, array or column of labels; numbers, and what is none of these, stay what they are.
        class_names: list of str.

    Returns:
        int array, or `y`.

    Raises:
        ValueError: if a name is unknown.
    """
    items = _label_items(y)
    if items is None or not any(isinstance(one, str) for one in items):
        return y
    return np.array(_known_ids(items, class_names))


def multi_hot(y, class_names):
    """Turn labels of several classes into rows of numbers, one for each class.

    Args:
        y: list, array or column of N lists of names, where there are `class_names`; or numbers
            (N, C). Anything else stays what it is.
        class_names: list of C str, or None.

    Returns:
        float32 array of shape (N, C), or `y`.

    Raises:
        ValueError: if a name is unknown.
    """
    if len(getattr(y, "shape", ())) == 2 and hasattr(y, "to_numpy"):  # a table
        y = y.to_numpy()
    items = _label_items(y)
    several = (list, tuple, set, frozenset, np.ndarray)
    if class_names is not None and items is not None:
        named = all(
            isinstance(own, several) and all(isinstance(one, str) for one in own) for own in items
        )
        if named:
            rows = np.zeros((len(items), len(class_names)), "float32")
            for number, own in enumerate(items):
                rows[number, _known_ids(own, class_names, number)] = 1.0
            return rows
    if not isinstance(y, (list, tuple, np.ndarray)):
        return y
    try:
        array = np.asarray(y)
    except ValueError:  # rows of several lengths
        return np.array([None] * len(y))
    return array.astype("float32") if array.dtype.kind in "biuf" else array  # one graph for all


def _label_items(y):
    """The items of a list, an array or a column of labels; None if it is something else."""
    listed = isinstance(y, (list, tuple)) or isinstance(y, np.ndarray) and y.ndim == 1
    listed = listed or hasattr(y, "to_list") or is_column(y)
    return column_items(y, "`y`", "labels") if listed else None


def _known_ids(labels, class_names, row=None):
    """The numbers of the classes of these names; what is no name stays what it is."""
    numbers_of = {name: number for number, name in enumerate(class_names)}
    for place, name in enumerate(labels):
        if isinstance(name, str) and name not in numbers_of:
            raise ValueError(
                f"Labels must be among {list(numbers_of)}. Received: {name!r:.80} in text "
                f"{place if row is None else row}."
            )
    return [numbers_of.get(name, name) if isinstance(name, str) else name for name in labels]


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


def check_positions(y, names, answer_mask):
    """Refuse labels that are no positions, or that masks rule out: their loss would be 1e30.

    Args:
        y: dict of `start` and `end`, each (W,) int, and maybe `impossible`, (W,) of 0 and 1.
        names: set of str. The labels that there must be.
        answer_mask: bool array (W, T). Where an answer may start or end.

    Raises:
        ValueError: naming the label, the row and what is wrong.
    """
    count, length = answer_mask.shape
    if not isinstance(y, dict) or set(y) != set(names):
        raise ValueError(
            f"The labels of features must be a dict of {sorted(names)}. "
            f"Received: {sorted(y) if isinstance(y, dict) else type(y).__name__}."
        )
    y = {name: np.asarray(value) for name, value in y.items()}
    for name, value in y.items():
        if value.shape != (count,):
            raise ValueError(
                f"Labels {name!r} must have the shape ({count},). Received: {value.shape}."
            )
    for name in ("start", "end"):
        value = y[name]
        if value.dtype.kind not in "iu" or value.min() < 0 or value.max() >= length:
            raise ValueError(
                f"Labels {name!r} must be integers in [0, {length}). "
                f"Received: {value.dtype} values such as {np.unique(value)[:5].tolist()}."
            )
        if not answer_mask[np.arange(count), value].all():
            row = int(np.argmin(answer_mask[np.arange(count), value]))
            raise ValueError(
                f"No answer may be at the label {name!r} of row {row}, {value[row]}: "
                "`answer_mask` is False there."
            )
    if (y["end"] < y["start"]).any():
        row = int(np.argmax(y["end"] < y["start"]))
        raise ValueError(
            f"The answer of row {row} ends before it starts. "
            f"Received: start {y['start'][row]}, end {y['end'][row]}."
        )
    if "impossible" in names and not np.isin(y["impossible"], (0, 1)).all():
        raise ValueError(
            "Labels 'impossible' must be 0 or 1. "
            f"Received: {np.unique(y['impossible'])[:5].tolist()}."
        )
