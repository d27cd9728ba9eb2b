"""Losses of large and of quickly changing outputs of a recurrent layer."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, number
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import real_tokens


@keras.saving.register_keras_serializable(package="keras_plm")
class ActivationRegularization(SequenceLayer):
    """Adds two losses in training, and hands the outputs on unchanged.

    Activation regularisation (AR) is the mean square of the outputs behind their dropout, temporal
    activation regularisation (TAR) that of the differences from one token to the next before it.
    Both are means over real tokens.

    Args:
        activation: float. The weight of AR.
        temporal: float. The weight of TAR.

    Call arguments:
        dropped: tensor of shape (B, T, D), the outputs behind their dropout.
        raw: tensor of shape (B, T, D), those before it.
        padding_mask: bool tensor of shape (B, T) or None. True = a real token.

    Returns:
        `dropped`.

    Raises:
        ValueError: if a weight is negative.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ActivationRegularization

    layer = ActivationRegularization(activation=2.0, temporal=1.0)
    outputs = np.array([[[1.0], [4.0]]], "float32")
    layer(outputs, outputs, training=True)
    (loss,) = layer.losses
    assert float(loss) == 2.0 * (1.0 + 16.0) / 2 + (4.0 - 1.0) ** 2
    ```

    Source: Merity et al., arXiv:1708.01009, section 3; AWD-LSTM, arXiv:1708.02182, section 4.6
    (which takes both of the last layer alone, with the weights 2 and 1).
    """

    @check_arguments
    def __init__(self, activation: number(0) = 2.0, temporal: number(0) = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation
        self.temporal = temporal

    def build(self, dropped_shape):
        pass

    def call(
        self,
        dropped,
        raw,
        padding_mask=None,
        training=None,
        dropped_mask=None,
        raw_mask=None,
    ):
        if training and (self.activation or self.temporal):
            real = real_tokens(padding_mask, dropped_mask, raw_mask)
            if real is None:
                real = ops.ones_like(raw[..., 0], dtype="bool")
            real = ops.cast(real, "float32")  # (B, T)
            size, change = ops.cast(dropped, "float32"), ops.cast(raw, "float32")
            change = change[:, 1:] - change[:, :-1]  # (B, T - 1, D)
            loss = self.activation * _mean_square(size, real)
            loss += self.temporal * _mean_square(change, real[:, 1:] * real[:, :-1])
            self.add_loss(loss)
        return dropped

    def compute_output_spec(self, dropped, *args, **kwargs):
        return keras.KerasTensor(dropped.shape, dtype=dropped.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "activation": self.activation,
            "temporal": self.temporal,
        }


def _mean_square(rows, counts):
    """The mean over the rows (B, T, D) that count; 0 if none does."""
    squares = ops.sum(rows * rows * counts[..., None])
    return squares / (ops.maximum(ops.sum(counts), 1.0) * rows.shape[-1])
