"""The loss of outputs that are log-probabilities already, which no softmax may change again."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
class NegativeLogLikelihood(keras.losses.Loss):
    """Minus the log-probability of the label, for a head that gives log-probabilities.

    Cross-entropy of logits takes a softmax, which leaves log-probabilities as they are only if
    they sum to 1. Those of `SANHead` do not in training, where turns are left out.

    Args:
        reduction: str. As a Keras loss takes it.

    Call arguments:
        y_true: int tensor of shape (...), numbers of classes.
        y_pred: tensor of shape (..., C), log-probabilities.
        sample_weight: tensor of shape (...) or None.

    Example: a row that sums to .5 loses log 4, and not log 2
    ```python
    import numpy as np
    from keras_plm.heads import NegativeLogLikelihood

    loss = NegativeLogLikelihood()([0], np.log([[0.25, 0.25]]))
    np.testing.assert_allclose(loss, np.log(4), rtol=1e-5)
    ```
    """

    def __init__(
        self, reduction="mean_with_sample_weight", name="negative_log_likelihood", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        if len(y_true.shape) == len(y_pred.shape):
            y_true = ops.squeeze(y_true, axis=-1)  # Keras gives labels as many axes
        y_pred = ops.cast(y_pred, "float32")
        return -ops.squeeze(ops.take_along_axis(y_pred, y_true[..., None], axis=-1), -1)
