"""Weights of classes: `class_weight` of `fit`, in every task."""

import keras
import numpy as np
from keras import ops

from keras_plm.tasks.training.label_kinds import IDS, SHARES, SOFT, YES_NO, numbers


def class_weights(class_weight, outputs):
    """Return the weights of classes of each output, checked.

    Args:
        class_weight: dict of a class's number to its weight, where one output has classes; else a
            dict of such dicts by output. A class that is not there counts 1. None: no weights.
        outputs: dict of an output's name to a pair (its `Targets`, the kind of its labels).

    Returns:
        dict of an output's name to a dict of int to float; empty without weights.

    Raises:
        ValueError: naming what is wrong.
    """
    if class_weight is None:
        return {}
    if not isinstance(class_weight, dict):
        raise ValueError(
            "`class_weight` must be a dict of a class's number to its weight. "
            f"Received: {class_weight!r:.100}."
        )
    by_output = any(isinstance(one, dict) for one in class_weight.values())
    if not by_output and len(outputs) > 1:
        raise ValueError(
            "`class_weight` must be a dict by output, with the weights of its classes, as there "
            f"are several outputs: {sorted(outputs)}. Received: {class_weight!r:.100}."
        )
    given = class_weight if by_output else {name: class_weight for name in outputs}
    if not set(given) <= set(outputs):
        raise ValueError(
            f"`class_weight` must be of outputs among {sorted(map(str, outputs))}. "
            f"Received: {sorted(map(str, given))}."
        )
    for name, weights in given.items():
        targets, kind = outputs[name]
        if kind == SOFT:
            raise ValueError(
                "`class_weight` needs labels of one class each. Received soft labels: give a "
                "`sample_weight`."
            )
        if kind == YES_NO or isinstance(targets.num_classes, str) and targets.num_classes == "T":
            raise ValueError(
                "`class_weight` needs labels of one class each. Received labels that are "
                f"{'a yes or no for each class' if kind == YES_NO else 'positions'}: give a "
                "`sample_weight`."
            )
        check_class_weight(weights, targets.num_classes)
    return given


def check_class_weight(class_weight, num_classes=None):
    """Refuse weights of classes that `fit` cannot use: Keras would train on NaN, or on nothing.

    Args:
        class_weight: dict of int to float. A class that is not there counts 1.
        num_classes: int; or None or a letter, where their number is not known.

    Raises:
        ValueError: naming what is wrong.
    """
    most = num_classes if isinstance(num_classes, int) else float("inf")
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


def weighted_by_class(batch, by_output, kinds):
    """Multiply the weights of a batch by those of the classes of its labels.

    Args:
        batch: tuple (x, y, sample_weight) of tensors, or of dicts of them by output; the last one
            may be missing or None.
        by_output: dict of an output's name to a dict of int to float.
        kinds: dict of an output's name to the kind of its labels.

    Returns:
        Tuple (x, y, sample_weight).
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    if not isinstance(y, dict):
        (name,) = by_output
        return x, y, _weighted(y, weight, by_output[name], kinds[name])
    weight = weight or {}
    return (
        x,
        y,
        {
            name: _weighted(one, weight.get(name), by_output.get(name, {}), kinds[name])
            for name, one in y.items()
        },
    )


def _weighted(y, weight, weights, kind):
    """The weights of labels, each times that of its class."""
    ids = ops.argmax(y, axis=-1) if kind == SHARES else y
    if kind != IDS and len(ids.shape) > 1 and ids.shape[-1] == 1:
        ids = ops.squeeze(ids, -1)
    ids = ops.cast(ids, "int32")
    most = max(weights, default=0)
    table = np.ones(most + 2, "float32")  # the last one: of classes that have no weight
    table[list(weights)] = list(weights.values())
    known = ops.logical_and(ids >= 0, ids <= most)
    factor = ops.take(ops.convert_to_tensor(table), ops.where(known, ids, most + 1), axis=0)
    if weight is None:
        return factor
    return ops.cast(weight, "float32") * ops.reshape(factor, ops.shape(weight))
