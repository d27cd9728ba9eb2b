"""What labels are, by what the compiled loss takes: classes, shares, yes and no, or numbers."""

import keras
import numpy as np

from keras_plm.checks import did_you_mean
from keras_plm.heads import NegativeLogLikelihood, SmoothedCrossEntropy, SoftLabelLoss

IDS, SHARES, YES_NO, NUMBERS = "ids", "shares", "yes_no", "numbers"
SOFT = "soft"  # the number of a class, and a share for each
_LOSSES = {
    IDS: (
        NegativeLogLikelihood,
        SmoothedCrossEntropy,
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.sparse_categorical_crossentropy,
    ),
    SHARES: (
        keras.losses.CategoricalCrossentropy,
        keras.losses.categorical_crossentropy,
        keras.losses.CategoricalFocalCrossentropy,
        keras.losses.categorical_focal_crossentropy,
        keras.losses.KLDivergence,
        keras.losses.kl_divergence,
    ),
    SOFT: (SoftLabelLoss,),
    YES_NO: (
        keras.losses.BinaryCrossentropy,
        keras.losses.binary_crossentropy,
        keras.losses.BinaryFocalCrossentropy,
        keras.losses.binary_focal_crossentropy,
    ),
}


def label_kind(loss):
    """Return what a loss takes as labels.

    Args:
        loss: a Keras loss, the function of one, or its name.

    Returns:
        str: "ids", "shares", "soft" or "yes_no"; or None: nobody knows.
    """
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError as error:
            hint = did_you_mean(loss, [one for one in vars(keras.losses) if one[0] != "_"])
            raise ValueError(f"{error}.{hint}") from None
    for kind, known in _LOSSES.items():
        if loss in known or type(loss) in known:
            return kind
    return None


def as_labels(y, kind, axes=None, num_classes=None):
    """Return labels in the form that their kind is trained on.

    Numbers of classes become integers, whatever type they come in.

    Args:
        y: array of labels.
        kind: see `label_kind`.
        axes: str or None. The axes of `Targets`: a column has one more, which goes, so that one
            program serves both.
        num_classes: int or None. How many classes there are: of soft labels, numbers of classes
            stand for rows that are sure of them.

    Returns:
        Array; `y` itself where it is not what it should be, which `check_labels` says.
    """
    if kind == SOFT:
        return _sure(y, num_classes)
    if kind != IDS or isinstance(y, dict):
        return y
    if isinstance(y, (list, tuple)):
        try:
            y = np.asarray(y)
        except ValueError:  # of several lengths
            return y
    if not isinstance(y, np.ndarray):
        return y
    if axes is not None and y.ndim == len(axes) + 1 and y.shape[-1] == 1:
        y = y[..., 0]
    if y.dtype.kind == "b" or y.dtype.kind == "f" and numbers(y) and (y == np.round(y)).all():
        y = y.astype("int32")
    return y


def _sure(y, num_classes):
    """Numbers of classes (N,) as soft labels (N, 1 + K); anything else as it is."""
    whole = np.asarray(y) if np.ndim(y) == 1 and len(y) else None
    if whole is None or whole.dtype.kind not in "iu" or not is_classes(whole, num_classes):
        return y
    return np.concatenate([whole[:, None], np.eye(num_classes)[whole]], axis=1).astype("float32")


def with_class_axis(tensor, targets, kind):
    """Give numbers, and yes and no, a last axis: Keras's losses and metrics average over it.

    Without it they would average over tokens or examples before their weights are known.

    Args:
        tensor: labels or outputs.
        targets: `keras_plm.heads.Targets`.
        kind: see `label_kind`.

    Returns:
        Tensor with one axis more than `targets` has, or `tensor`.
    """
    one = kind in (NUMBERS, YES_NO) and targets.num_classes in (None, 1)
    if one and len(tensor.shape) == len(targets.axes):
        return keras.ops.expand_dims(tensor, -1)
    return tensor


def is_classes(y, num_classes):
    """Whether all of some integers are numbers of classes.

    Args:
        y: int array.
        num_classes: int.

    Returns:
        bool.
    """
    return bool(((y >= 0) & (y < num_classes)).all())


def numbers(array):
    """Whether an array holds finite numbers only.

    Args:
        array: numpy array.

    Returns:
        bool.
    """
    return array.dtype.kind in "iuf" and bool(np.isfinite(array).all())
