"""Matthews correlation, also of more than two classes."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer
from keras_plm.metrics.class_ids import predicted_class_ids


@keras.saving.register_keras_serializable(package="keras_plm")
class MatthewsCorrelation(keras.metrics.Metric):
    """The correlation of true and predicted classes, from the confusion matrix of all batches.

    1 = always right, 0 = no better than chance, and also where only one class occurs. Put it in
    `weighted_metrics` where labels have weights.

    Args:
        num_classes: int. How many classes C.
        from_logits: bool. Whether `y_pred` are scores of C classes; False: class numbers.

    Call arguments:
        y_true: int tensor of shape (...) or (..., 1), class numbers in [0, C).
        y_pred: tensor of shape (..., C), or as `y_true`.
        sample_weight: tensor of shape (...) or None. The weight of each; 0 = leave out.

    Raises:
        ValueError: if `num_classes` is no integer of at least 2, or the shapes do not fit.

    Source: Gorodkin, Comparing two K-category assignments by a K-category correlation
    coefficient, 2004; of two classes, as CoLA uses it, Matthews 1975.
    """

    @check_arguments
    def __init__(
        self, num_classes: integer(2), from_logits: flag() = True, name="matthews", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.from_logits = from_logits
        self.confusion = self.add_variable(
            (num_classes, num_classes), "zeros", dtype="float32", name="confusion"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = predicted_class_ids(y_true, y_pred, self.num_classes, self.from_logits)
        cells = ops.reshape(y_true * self.num_classes + y_pred, (-1,))  # (N,)
        if sample_weight is None:
            weight = ops.ones_like(cells, dtype="float32")
        else:
            weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
            weight = ops.reshape(weight, (-1,))
        counts = ops.segment_sum(weight, cells, self.num_classes**2)
        self.confusion.assign(self.confusion.value + ops.reshape(counts, self.confusion.shape))

    def result(self):
        total = ops.sum(self.confusion.value)
        share = ops.divide_no_nan(self.confusion.value, total)  # (C, C)
        # Written as sums of what is not negative, so that rare classes lose no digits.
        others = 1.0 - ops.eye(self.num_classes, dtype="float32")
        hits = ops.diagonal(share)  # (C,)
        missed = ops.sum(share * others, axis=1)
        wrongly = ops.sum(share * others, axis=0)
        rest = ops.sum(ops.matmul(others, share) * others, axis=1)  # neither true nor predicted
        covariance = ops.sum(hits * rest - missed * wrongly)
        true, predicted = hits + missed, hits + wrongly
        spread = ops.sum(true * ops.matmul(others, true))
        spread = spread * ops.sum(predicted * ops.matmul(others, predicted))
        return ops.divide_no_nan(covariance, ops.sqrt(spread))

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "from_logits": self.from_logits,
        }
