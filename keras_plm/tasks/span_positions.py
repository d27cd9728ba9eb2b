"""Checks of the positions of answers, as labels of rows."""

import numpy as np


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
