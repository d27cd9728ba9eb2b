"""The loss of a student: the class of each text, and what its teachers make of it."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, choice, flag

SOFT_LOSSES = ("cross_entropy", "mse")


@keras.saving.register_keras_serializable(package="keras_plm")
class SoftLabelLoss(keras.losses.Loss):
    """Cross-entropy with the class of a text, plus a loss of the probabilities of teachers.

        "cross_entropy":  - sum_k Q_k log p_k       (the paper, at a temperature of 1)
        "mse":            mean_k (z_k - Q_k)^2      (the released code: of logits and probabilities)

    Q are the probabilities of the teachers, z the outputs, p what a softmax makes of them.
    `keras_plm.transfer.with_soft_labels` puts labels together; a task that is compiled with this
    loss takes plain numbers of classes too: Q is then 1 for the class, as in evaluation.

    Args:
        soft_loss: str. "cross_entropy" or "mse", see above.
        from_logits: bool. False: the outputs are log-probabilities, as those of `SANHead`, of
            which no softmax is taken.
        reduction: str. As a Keras loss takes it.

    Call arguments:
        y_true: tensor of shape (..., 1 + K): the number of the class, then K probabilities.
        y_pred: tensor of shape (..., K).
        sample_weight: tensor of shape (...) or None.

    Raises:
        ValueError: if a setting is none of these.

    Example: logits 0 and log 3, so p is 1/4 and 3/4; the class 1; teachers who say 1/2 each
    ```python
    import numpy as np
    from keras_plm.heads import SoftLabelLoss

    y, logits = np.array([[1.0, 0.5, 0.5]]), np.array([[0.0, np.log(3)]])
    expected = -np.log(0.75) - (np.log(0.25) + np.log(0.75)) / 2
    np.testing.assert_allclose(SoftLabelLoss()(y, logits), expected, rtol=1e-5)
    squares = -np.log(0.75) + (0.5**2 + (np.log(3) - 0.5) ** 2) / 2
    np.testing.assert_allclose(SoftLabelLoss("mse")(y, logits), squares, rtol=1e-5)
    ```

    Source: Liu et al., arXiv:1904.09482, section 3; `MseCriterion` beside the loss of labels, in
    the released code of namisan/mt-dnn.
    """

    @check_arguments
    def __init__(
        self,
        soft_loss: choice(SOFT_LOSSES) = "cross_entropy",
        from_logits: flag() = True,
        reduction="mean_with_sample_weight",
        name="soft_label_loss",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.soft_loss = soft_loss
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        outputs = ops.cast(y_pred, "float32")
        log_probs = ops.log_softmax(outputs, axis=-1) if self.from_logits else outputs
        hard = ops.one_hot(ops.cast(y_true[..., 0], "int32"), outputs.shape[-1], dtype="float32")
        soft = ops.cast(y_true[..., 1:], "float32")
        loss = -ops.sum(hard * log_probs, axis=-1)
        if self.soft_loss == "mse":
            return loss + ops.mean(ops.square(outputs - soft), axis=-1)
        return loss - ops.sum(soft * log_probs, axis=-1)

    def get_config(self):
        config = super().get_config()
        return {**config, "soft_loss": self.soft_loss, "from_logits": self.from_logits}


def accuracy_of_soft_labels():
    """Return a new metric: the share of soft labels whose class has the largest logit."""
    return keras.metrics.MeanMetricWrapper(_is_right, name="accuracy")


def _is_right(y_true, y_pred):
    """1.0 where the class with the largest output is the one of the label."""
    best = ops.cast(ops.argmax(y_pred, axis=-1), "float32")
    return ops.cast(ops.equal(best, ops.cast(y_true[..., 0], "float32")), "float32")
