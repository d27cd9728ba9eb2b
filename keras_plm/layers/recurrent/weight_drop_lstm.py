"""An LSTM whose recurrent matrix is dropped out, one mask for all steps."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.layers.initializer import in_float32, initializer
from keras_plm.layers.recurrent.recurrent_steps import (
    gates_of,
    output_specs,
    outputs_of,
    start_of,
    steps_first,
)
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import lstm, real_tokens


@keras.saving.register_keras_serializable(package="keras_plm")
class WeightDropLSTM(SequenceLayer):
    """An LSTM with DropConnect: entries of its recurrent matrix are left out in training.

    One mask is drawn for each call, the same at every step and for all examples; evaluation has
    none. Gates stand in the order of Keras's LSTM: input, forget, candidate, output.

    Args:
        units: int. The width C of cell and output.
        weight_dropout: float. The share of the recurrent matrix that is left out.
        kernel_initializer: initializer of the matrix (D, 4C) that reads the tokens.
        recurrent_initializer: initializer of the recurrent matrix (C, 4C).
        bias_initializer: initializer of the bias (4C,), of which there is one.

    Call arguments:
        content: tensor of shape (B, T, D).
        state: pair of tensors (B, C), hidden state and cell before the first token, or None: 0.
        padding_mask: bool tensor of shape (B, T) or None. Padding, wherever it stands, leaves the
            state as it is, and its output is 0.

    Returns:
        Triple: outputs (B, T, C), and the last hidden state and cell, (B, C) each.

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import WeightDropLSTM

    layer = WeightDropLSTM(units=4, weight_dropout=0.5)
    text = np.ones((2, 6, 3), "float32")
    outputs, hidden, cell = layer(text)
    first, *state = layer(text[:, :4])
    second, *_ = layer(text[:, 4:], state=state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), outputs, atol=1e-6)
    ```

    Source: AWD-LSTM, arXiv:1708.02182, section 2; DropConnect, Wan et al. 2013.
    """

    masked_outputs = (True, False, False)

    @check_arguments
    def __init__(
        self,
        units: integer(1),
        weight_dropout: number(0, 1) = 0.0,
        kernel_initializer: initializer() = "glorot_uniform",
        recurrent_initializer: initializer() = "orthogonal",
        bias_initializer: initializer() = "zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.gates = keras.layers.Dense(
            4 * units,
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=self.bias_initializer.clone(),
            dtype=self.dtype_policy,
            name="gates",
        )
        self.weight_dropout = ReplayableDropout(
            weight_dropout, dtype=self.dtype_policy, name="weight_dropout"
        )

    def build(self, content_shape):
        self.gates.build(content_shape)
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, 4 * self.units),
            initializer=in_float32(self.recurrent_initializer.clone()),
        )

    def call(
        self,
        content,
        state=None,
        padding_mask=None,
        training=None,
        mask=None,
        content_mask=None,
    ):
        gates = gates_of(content, self.gates)  # (T, B, 4C)
        recurrent = ops.convert_to_tensor(self.recurrent_kernel, gates.dtype)
        recurrent = self.weight_dropout(recurrent, training=training)
        hidden, cell = start_of(state, gates[0], self.units, self.units)
        real = real_tokens(padding_mask, mask, content_mask)
        outputs, hidden, cell = lstm(gates, recurrent, hidden, cell, steps_first(real))
        return outputs_of(outputs, real), hidden, cell

    def compute_output_spec(self, content, *args, **kwargs):
        return output_specs(content, self.units, self.units, self.compute_dtype)

    def get_config(self):
        serialize = keras.initializers.serialize
        return {
            **super().get_config(),
            "units": self.units,
            "weight_dropout": self.weight_dropout.rate,
            "kernel_initializer": serialize(self.kernel_initializer),
            "recurrent_initializer": serialize(self.recurrent_initializer),
            "bias_initializer": serialize(self.bias_initializer),
        }
