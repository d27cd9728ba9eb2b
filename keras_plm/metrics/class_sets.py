"""Scores of texts that have a set of classes each, as entity typing has them."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, choice, number


@keras.saving.register_keras_serializable(package="keras_plm")
class StrictAccuracy(keras.metrics.Metric):
    """The share of examples whose predicted classes are exactly the true ones.

    Args:
        threshold: float. A class is predicted where its score lies above; of logits 0.

    Call arguments:
        y_true: tensor of shape (B, C), 1 for the classes that an example has, else 0.
        y_pred: tensor of shape (B, C), a score of each class.
        sample_weight: tensor of shape (B,) or None. The weight of each; 0 = leave out.

    Raises:
        ValueError: if the shapes do not fit.

    Source: Ling and Weld, Fine-grained entity recognition, AAAI 2012, section 4.
    """

    @check_arguments
    def __init__(self, threshold: number() = 0.0, name="strict_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.threshold = threshold
        self.sums = self.add_variable((2,), "zeros", dtype="float32", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        true, predicted, weight = predicted_sets(y_true, y_pred, sample_weight, self.threshold)
        same = ops.cast(ops.all(ops.equal(true, predicted), axis=1), "float32")
        self.sums.assign(self.sums.value + ops.stack([ops.sum(same * weight), ops.sum(weight)]))

    def result(self):
        return ops.divide_no_nan(self.sums.value[0], self.sums.value[1])

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="keras_plm")
class LooseF1(keras.metrics.Metric):
    """The harmonic mean of precision and recall of the classes of each example.

    "macro": precision is the mean, over all examples, of the share of predicted classes that are
    true, and recall that of the share of true classes that are predicted; a share of no classes is
    0, as the released code of ERNIE (Tsinghua) counts. "micro": all classes of all examples are
    counted together. 0 where nothing is right.

    Args:
        average: "macro" or "micro".
        threshold: float. A class is predicted where its score lies above; of logits 0.

    Call arguments:
        y_true: tensor of shape (B, C), 1 for the classes that an example has, else 0.
        y_pred: tensor of shape (B, C), a score of each class.
        sample_weight: tensor of shape (B,) or None. The weight of each; 0 = leave out.

    Raises:
        ValueError: if `average` is neither, or the shapes do not fit.

    Source: Ling and Weld, Fine-grained entity recognition, AAAI 2012, section 4.
    """

    @check_arguments
    def __init__(
        self,
        average: choice(("macro", "micro")) = "macro",
        threshold: number() = 0.0,
        name="loose_f1",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.average = average
        self.threshold = threshold
        # Two parts and their wholes: of precision, then of recall.
        self.sums = self.add_variable((4,), "zeros", dtype="float32", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        true, predicted, weight = predicted_sets(y_true, y_pred, sample_weight, self.threshold)
        right, own = (
            ops.sum(ops.cast(one, "float32"), axis=1)
            for one in (ops.logical_and(true, predicted), predicted)
        )
        wanted = ops.sum(ops.cast(true, "float32"), axis=1)  # (B,), as the others
        if self.average == "macro":
            one = ops.ones_like(own)
            parts = ops.divide_no_nan(right, own), one, ops.divide_no_nan(right, wanted), one
        else:
            parts = right, own, right, wanted
        sums = ops.stack([ops.sum(part * weight) for part in parts])
        self.sums.assign(self.sums.value + sums)

    def result(self):
        shares = ops.divide_no_nan(self.sums.value[::2], self.sums.value[1::2])
        precision, recall = shares[0], shares[1]
        return ops.divide_no_nan(2 * precision * recall, precision + recall)

    def get_config(self):
        return {**super().get_config(), "average": self.average, "threshold": self.threshold}


def predicted_sets(y_true, y_pred, sample_weight, threshold):
    """Bool tensors (B, C) of true and predicted classes, and the float weights (B,)."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    widths = {shape[1] for shape in shapes if len(shape) == 2} - {None}
    if {len(shape) for shape in shapes} != {2} or len(widths) > 1:
        raise ValueError(
            "Labels and scores must be of shape (B, C), one for each class. "
            f"Received: y_true of shape {shapes[0]}, y_pred of shape {shapes[1]}."
        )
    if sample_weight is None:
        weight = ops.ones_like(y_pred[:, 0], dtype="float32")
    else:
        weight = ops.reshape(ops.cast(ops.convert_to_tensor(sample_weight), "float32"), (-1,))
    return ops.cast(y_true, "float32") > 0, y_pred > threshold, weight
