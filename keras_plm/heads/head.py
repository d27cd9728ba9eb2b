"""What a head is: it reads token states, and says what it is trained on."""

from typing import NamedTuple

import keras
from keras import ops

from keras_plm.layers.composite_layer import CompositeLayer
from keras_plm.ops.keras_internals import get_keras_mask


class Targets(NamedTuple):
    """The labels of a head: for each example, token or slot one class, or one number.

    Args:
        axes: str. The axes of the labels, and of their weights: "B", one for each example; "BT",
            one for each token; "BP", one for each slot of `target_positions`.
        num_classes: int, str or None. How many classes there are, and logits for each label; "T"
            or "C": as many as the example has tokens or choices. 1: each label is a yes or no,
            with one logit. None: labels are numbers. With 1 and None outputs may or may not have
            a last axis of length 1.
    """

    axes: str
    num_classes: int | str | None


class Head(CompositeLayer):
    """Abstract base of the heads: what a task or an objective trains on a backbone.

    A head reads what a backbone gives, and says by itself how its outputs are trained: the loss,
    the metrics, and the shape of its labels. `compile` of every task asks its heads. A subclass
    that is registered with Keras, or handed over as `custom_objects`, works in every place where
    those of this package do.

    Attributes:
        targets: `Targets`, or a plain tuple of these two; or a dict of them by output, where
            `read` gives a dict.
        loss_weights: dict of the share that each output has in the loss, or None: they are added.
    """

    targets = Targets("B", None)
    loss_weights = None

    def read(self, encoded, features):
        """Read a backbone's outputs: what the loss is computed from, usually logits.

        Args:
            encoded: dict, what the backbone's `encode` returned.
            features: dict of the features of the batch.

        Returns:
            Tensor, or dict of tensors by output.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `read`.")

    @property
    def loss(self):
        """A new loss of what `read` returns; a dict of losses, where that is one.

        By default cross-entropy of classes, or of yes and no, or the squared error of numbers;
        the mean by weight over what counts in a batch. A loss may use weights of the head itself,
        which are trained like those that `read` uses.
        """
        reduction = "mean_with_sample_weight"
        num_classes = Targets(*self.targets).num_classes
        if num_classes is None:
            return keras.losses.MeanSquaredError(reduction=reduction)
        if num_classes == 1:
            return keras.losses.BinaryCrossentropy(from_logits=True, reduction=reduction)
        return class_loss(reduction)

    def __dir__(self):
        """Without `loss`: Keras saves what it finds, and each new loss may hold the head."""
        return [name for name in super().__dir__() if name != "loss"]

    def new_metrics(self):
        """New metrics of what `read` returns: a list, or a dict of lists by output."""
        num_classes = Targets(*self.targets).num_classes
        if num_classes is None:
            return [keras.metrics.MeanSquaredError(name="mse")]
        return [yes_no_accuracy() if num_classes == 1 else class_accuracy()]


def class_loss(reduction="sum_over_batch_size"):
    """Return a new cross-entropy of logits and numbers of classes.

    Args:
        reduction: str. As a Keras loss takes it.

    Returns:
        `keras.losses.Loss`.
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)


@keras.saving.register_keras_serializable(package="keras_plm")
class ClassAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The share of labels whose class has the largest logit, each label with its own weight.

    Keras's metric takes means over the tokens of each example before it sums up, so that a token
    counts less in a batch of longer rows.

    Example: of four words in two batches one is wrong
    ```python
    import numpy as np
    from keras_plm.heads.head import ClassAccuracy

    accuracy = ClassAccuracy()
    accuracy.update_state([[1]], np.array([[[0.0, 1.0]]]))
    accuracy.update_state([[1, 1, 0]], np.array([[[0.0, 1.0]] * 3]))
    assert float(accuracy.result()) == 0.75
    ```
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) < 3:
            return super().update_state(y_true, y_pred, sample_weight)
        y_true = ops.reshape(y_true, ops.shape(y_pred)[:-1])  # Keras gives it an axis more
        weights = ops.ones_like(y_true, dtype=self.dtype)
        for one in (sample_weight, get_keras_mask(y_pred)):
            if one is not None:
                one = ops.cast(one, self.dtype)
                missing = len(y_true.shape) - len(one.shape)
                weights = weights * ops.reshape(one, (*ops.shape(one), *[1] * missing))
        flat = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1, ops.shape(y_pred)[-1]))
        return super().update_state(*flat, ops.reshape(weights, (-1,)))


def class_accuracy():
    """Return a new metric: the share of labels whose class has the largest logit."""
    return ClassAccuracy(name="accuracy")


def yes_no_accuracy():
    """Return a new metric: the share of yes and no that the sign of the logit says."""
    return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)


def as_head(layer, output):
    """Return a layer that is trained as a head.

    Args:
        layer: `Head`; or another layer with `read`, whose logits are then taken to be of classes.
        output: tensor that it gave.

    Returns:
        `layer`, or a `Head` that says how it is trained.
    """
    if isinstance(layer, Head):
        return layer
    head = Head(name=layer.name)
    head.targets = Targets("BP" if len(output.shape) == 3 else "B", output.shape[-1])
    return head


def targets_of(head):
    """Return the `Targets` of a head, or a dict of them by output, as such.

    Args:
        head: `Head`. What it says may be a plain tuple.
    """
    if isinstance(head.targets, dict):
        return {name: Targets(*one) for name, one in head.targets.items()}
    return Targets(*head.targets)
