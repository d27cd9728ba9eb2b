"""Cross-entropy with smoothed labels, of numbers of classes: no label is written out."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, choice, number

SHARED_BY = ("others", "all")


@keras.saving.register_keras_serializable(package="keras_plm")
class SmoothedCrossEntropy(keras.losses.Loss):
    """The cross-entropy of logits with labels of which a share goes to other classes.

        "others": the label has 1 - s, each other class s / (V - 1)      (Transformer, fairseq)
        "all":    the label has 1 - s + s / V, each other class s / V    (Keras, fairseq until 2021)

    It is computed from the log-probability of the label and the sum of all, so nothing of the
    shape of the logits is made for the labels. What labels have by themselves, their entropy, is
    not subtracted, as Tensor2Tensor does: the loss is never 0.

    Args:
        label_smoothing: float, s, from 0 on and below 1.
        shared_by: str. "others" or "all", see above.
        reduction: str. As a Keras loss takes it.

    Call arguments:
        y_true: int tensor of shape (...), numbers of classes.
        y_pred: tensor of shape (..., V), logits.
        sample_weight: tensor of shape (...) or None.

    Raises:
        ValueError: if a setting is out of range, or, from a call, there is one class alone.

    Example: logits 2, 1, 0, -1, the label 0 and a share of .1 (without, it is .440190):
    ```python
    import numpy as np
    from keras_plm.heads import SmoothedCrossEntropy

    logits = np.array([[2.0, 1.0, 0.0, -1.0]])
    np.testing.assert_allclose(SmoothedCrossEntropy(0.1)([0], logits), 0.640190, rtol=1e-5)
    loss = SmoothedCrossEntropy(0.1, shared_by="all")
    np.testing.assert_allclose(loss([0], logits), 0.590190, rtol=1e-5)
    ```

    Source: Szegedy et al. (arXiv:1512.00567), section 7; Transformer (arXiv:1706.03762), section
    5.4; "others": Tensor2Tensor's `smoothing_cross_entropy`, fairseq's
    `label_smoothed_cross_entropy`.
    """

    @check_arguments
    def __init__(
        self,
        label_smoothing: number(0, 1) = 0.1,
        shared_by: choice(SHARED_BY) = "others",
        reduction="mean_with_sample_weight",
        name="smoothed_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        check_smoothing(label_smoothing)
        self.label_smoothing = label_smoothing
        self.shared_by = shared_by

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1]
        if classes == 1:
            raise ValueError(
                "Smoothed labels need two classes at least. Received: logits of shape "
                f"{tuple(y_pred.shape)}."
            )
        y_true = ops.cast(y_true, "int32")
        if len(y_true.shape) == len(y_pred.shape):
            y_true = ops.squeeze(y_true, axis=-1)  # Keras gives labels as many axes
        y_pred = ops.cast(y_pred, "float32")
        total = ops.logsumexp(y_pred, axis=-1)  # (...)
        loss = total - ops.squeeze(ops.take_along_axis(y_pred, y_true[..., None], axis=-1), -1)
        of_all = total - ops.mean(y_pred, axis=-1)  # the mean of -log p over all classes
        share, rest = self.label_smoothing, of_all
        if self.shared_by == "others":
            rest = (of_all * classes - loss) / (classes - 1)
        return (1 - share) * loss + share * rest

    def get_config(self):
        config = super().get_config()
        return {**config, "label_smoothing": self.label_smoothing, "shared_by": self.shared_by}


def check_smoothing(label_smoothing):
    """Refuse a share that leaves nothing to the label itself.

    Args:
        label_smoothing: float.

    Raises:
        ValueError: if it is 1.
    """
    if label_smoothing >= 1:
        raise ValueError(
            "`label_smoothing` must be below 1: the label itself has the rest. Received: "
            f"label_smoothing={label_smoothing}."
        )
