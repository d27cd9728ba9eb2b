"""One vector for a text: its rows by attention, which an LSTM of the task may read before."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.layers.initializer import initializer
from keras_plm.layers.recurrent.weight_drop_lstm import WeightDropLSTM
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import real_tokens

HIDDEN = -1e9  # the energy of what is padding; others are within [-1, 1], before dropout


@keras.saving.register_keras_serializable(package="keras_plm")
class AttentionPooling(SequenceLayer):
    """Adds up the real rows of a text, each by a share that a learned vector gives it.

    With the rows h_t, `e_t = tanh(w . h_t + b)`, the shares are the softmax of e over the real
    tokens, and the result is `sum_t share_t h_t`. With `units` the rows are those of an LSTM that
    reads the inputs from left to right.

    Args:
        units: int or None. The width of that LSTM; None: there is none.
        dropout: float. Dropout rate of the LSTM's outputs, one mask for all tokens of a text.
        attention_dropout: float. Dropout rate of the e_t.
        kernel_initializer: initializer of the vector w and of the LSTM's matrix of inputs.

    Call arguments:
        rows: tensor of shape (B, T, D).
        padding_mask: bool tensor of shape (B, T) or None. True = a real token, on whatever side
            the others stand. A text without any gives 0.

    Returns:
        Tensor of shape (B, units), or (B, D) without an LSTM.

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import AttentionPooling

    pool = AttentionPooling(kernel_initializer="zeros")  # all shares are equal
    rows = np.array([[[1.0], [5.0], [9.0]]], "float32")
    pooled = pool(rows, np.array([[True, True, False]]))
    assert np.asarray(pooled).tolist() == [[3.0]]
    ```

    Source: Chronopoulou et al., SiATL, arXiv:1902.10547, section 3.2, and its released code.
    """

    masked_outputs = (False,)

    @check_arguments
    def __init__(
        self,
        units: integer(1, none=True) = None,
        dropout: number(0, 1) = 0.0,
        attention_dropout: number(0, 1) = 0.0,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        policy = self.dtype_policy
        self.lstm = None
        if units is not None:
            self.lstm = WeightDropLSTM(
                units,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=policy,
                name="lstm",
            )
        self.dropout = keras.layers.SpatialDropout1D(dropout, dtype=policy, name="dropout")
        self.energy = keras.layers.Dense(
            1,
            activation="tanh",
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=policy,
            name="energy",
        )
        self.attention_dropout = ReplayableDropout(
            attention_dropout, dtype=policy, name="attention_dropout"
        )

    def build(self, rows_shape):
        width = rows_shape[-1]
        if self.lstm is not None:
            self.lstm.build(rows_shape)
            width = self.units
        self.energy.build((*rows_shape[:-1], width))

    def call(self, rows, padding_mask=None, training=None, mask=None, rows_mask=None):
        real = real_tokens(padding_mask, mask, rows_mask)
        if self.lstm is not None:
            rows, *_ = self.lstm(rows, padding_mask=real)  # (B, T, units)
            rows = self.dropout(rows, training=training)  # padding is 0
        elif real is not None:
            rows = ops.where(real[..., None], rows, ops.zeros_like(rows))
        energies = self.attention_dropout(self.energy(rows), training=training)
        energies = ops.cast(energies, "float32")  # (B, T, 1)
        if real is not None:
            energies = ops.where(real[..., None], energies, HIDDEN)
        shares = ops.softmax(energies, axis=1)
        return ops.sum(ops.cast(shares, rows.dtype) * rows, axis=1)

    def compute_output_spec(self, rows, *args, **kwargs):
        width = rows.shape[-1] if self.units is None else self.units
        return keras.KerasTensor((rows.shape[0], width), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout.rate,
            "attention_dropout": self.attention_dropout.rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
