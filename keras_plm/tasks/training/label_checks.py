"""What tasks check of labels and weights before a backend sees them.

Labels are checked by what the head predicts, its `Targets`, and by what the compiled loss takes of
it: numbers of classes, a share for each class, a yes or no for each class, or numbers.
"""

import numpy as np

from keras_plm.checks import check_rectangular
from keras_plm.tasks.training.label_kinds import IDS, SHARES, SOFT, YES_NO, is_classes, numbers

NEAR_ONE = 1e-3  # probabilities of float16 sum to 1 as far


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
    weight = check_rectangular("`sample_weight`", sample_weight)
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


def check_labelled(x, y, sample_weight, outputs, by_output, weighted, weights_may_be_missing=False):
    """Refuse labels and weights of a batch that outputs cannot be trained on.

    Args:
        x: dict of features, checked.
        y: array, or dict of arrays by output, or None.
        sample_weight: as `y`; None if `y` is, or if weights may be left out.
        outputs: dict of an output's name to a pair (its `keras_plm.heads.Targets`, the kind of
            its labels, see `label_kind`).
        by_output: bool. Whether labels come in a dict.
        weighted: bool. Whether there is a weight for each label, that says whether it counts; else
            one for each example.
        weights_may_be_missing: bool. Whether such weights may be left out.

    Raises:
        ValueError: naming what is wrong.
    """
    sizes = axis_sizes(x)
    if not weighted:
        check_weights(sample_weight, sizes["B"], "example")
    if y is None and (sample_weight is None or not by_output):
        return
    if not by_output:
        y, (name,) = {None: y}, outputs
        sample_weight = {None: sample_weight}
        outputs = {None: outputs[name]}
    given = (("y", y), ("sample_weight", sample_weight)) if weighted else (("y", y),)
    for what, value in given:
        if not isinstance(value, dict) or set(value) != set(outputs):
            raise ValueError(
                f"`{what}` must be a dict with the keys {sorted(outputs)}. "
                f"Received: {sorted(value) if isinstance(value, dict) else type(value).__name__}."
            )
    counts = not weighted
    for name, (targets, kind) in outputs.items():
        what = "" if name is None else f" of {name!r}"
        check_labels(y[name], kind, targets, sizes, what)
        if not weighted:
            continue
        if sample_weight[name] is not None:
            shape = check_rectangular("Labels", y[name]).shape[: len(targets.axes)]
            check_weights_of_labels(sample_weight[name], shape, what)
            counts = counts or np.any(sample_weight[name])
        elif weights_may_be_missing:
            counts = True
        else:
            raise ValueError(
                "Features need a `sample_weight`, one for each label, that is 0 where none counts. "
                f"Received: sample_weight=None{what}."
            )
    if not counts:
        raise ValueError(
            "A batch needs weights that are not all 0: without a target there is no loss. "
            f"Received: only 0{'' if None in outputs else f' for {sorted(outputs)}'}."
        )


def check_labels(y, kind, targets, sizes, what=""):
    """Refuse labels that a loss cannot take: JAX would give many of them a silent loss of 0.

    Args:
        y: array of labels.
        kind: what the loss takes, see `label_kind`.
        targets: `keras_plm.heads.Targets`.
        sizes: dict of a letter of an axis to its length in this batch.
        what: str. What the labels are of, for the message, such as " of 'tokens'".

    Raises:
        ValueError: naming what is wrong.
    """
    y = check_rectangular("Labels", y)
    shape = tuple(sizes.get(letter, -1) for letter in targets.axes)
    num_classes = sizes.get(targets.num_classes, targets.num_classes)
    several = kind in (SHARES, YES_NO, SOFT) and num_classes not in (None, 1)
    expected = (*shape, num_classes + (kind == SOFT)) if several else shape
    known = [a == b for a, b in zip(y.shape, expected) if b != -1]
    exact = len(y.shape) == len(expected) or not several and y.shape == (*y.shape[:-1], 1)
    if kind is None:  # a loss that nobody knows: as many labels as there are examples
        exact = y.ndim > 0
    if not exact or not all(known) or y.ndim < len(shape):
        each = f"a row of {expected[-1]} numbers" if several else "one label"
        per = {"B": "example", "BT": "token", "BP": "target"}.get(targets.axes, "output")
        hint = ""
        if kind == IDS and y.shape == (*shape, num_classes):
            hint = " One-hot and soft labels need another loss, `CategoricalCrossentropy`."
        raise ValueError(
            f"There must be {each} per {per}: labels{what} of shape {expected}. "
            f"Received: {y.dtype} of shape {y.shape}.{hint}"
        )
    if kind == IDS:
        whole = y.dtype.kind in "iu"
        wrong = y[(y < 0) | (y >= num_classes)] if whole else y
        if not whole or wrong.size:
            raise ValueError(
                f"Labels{what} must be integers in [0, {num_classes}). "
                f"Received: {y.dtype} values such as {_some(wrong)}."
            )
    if kind != IDS and y.dtype.kind != "b" and not numbers(y):
        raise ValueError(
            f"Labels{what} must be finite numbers. Received: {y.dtype} values such as {_some(y)}."
        )
    if kind == SOFT:
        if not (y[..., 0] == np.round(y[..., 0])).all() or not is_classes(y[..., 0], num_classes):
            raise ValueError(
                f"Soft labels{what} must begin with the number of a class, in [0, {num_classes}). "
                f"Received: values such as {_some(y[..., 0])}."
            )
        check_soft_rows(y[..., 1:].reshape(-1, num_classes))
    if kind == SHARES and (y < 0).any() or kind == YES_NO and (np.min(y) < 0 or np.max(y) > 1):
        bounds = "from 0 to 1" if kind == YES_NO else "of at least 0"
        raise ValueError(
            f"Labels{what} must be numbers {bounds}, as the loss takes them. "
            f"Received: {y.dtype} values such as {_some(y)}."
        )


def check_soft_rows(rows):
    """Refuse probabilities that are none, or do not sum to 1.

    Args:
        rows: float array (N, K).

    Raises:
        ValueError: naming the first row that is wrong.
    """
    wrong = ~np.isfinite(rows).all(axis=1) | (rows < 0).any(axis=1)
    wrong |= ~(np.abs(rows.sum(axis=1) - 1) <= NEAR_ONE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            "Soft labels must be probabilities that sum to 1 in each row. "
            f"Received: row {row}, {rows[row][:8].tolist()}, the sum {rows[row].sum():.6g}."
        )


def _some(y):
    """Some of the labels, for a message."""
    try:
        return np.unique(y)[:5].tolist()
    except TypeError:  # of several types
        return y.ravel()[:5].tolist()


def axis_sizes(x):
    """Return the lengths of the axes of a batch of features, by their letters.

    Args:
        x: dict of features, checked.

    Returns:
        dict of "B", "T", and "C" or "P" where there are choices, candidates or slots, to int.
    """
    shape = np.shape(x["token_ids"])
    sizes = dict(zip("BCT" if len(shape) == 3 else "BT", shape))
    if "target_positions" in x:
        sizes["P"] = np.shape(x["target_positions"])[1]
    if "candidate_entity_ids" in x:
        sizes["C"] = np.shape(x["candidate_entity_ids"])[1]
    return sizes


def check_weights_of_labels(weight, shape, what=""):
    """Refuse weights that are not one finite number of at least 0 for each label.

    Args:
        weight: array.
        shape: tuple of int. The shape of the labels.
        what: str. What the labels are of, for the message.

    Raises:
        ValueError: naming what is wrong.
    """
    weight = check_rectangular(f"The weights{what}", weight)
    if weight.shape != tuple(shape):
        raise ValueError(
            f"There must be a weight for each label{what}, of shape {tuple(shape)}. "
            f"Received: {weight.dtype} of shape {weight.shape}."
        )
    if not numbers(weight) or weight.size and weight.min() < 0:
        raise ValueError(
            f"The weights{what} must be finite and at least 0. "
            f"Received: {weight.dtype}, such as {weight.ravel()[:5].tolist()}."
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
    y = {name: check_rectangular(f"Labels {name!r}", value) for name, value in y.items()}
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
