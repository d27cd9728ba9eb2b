"""An LSTM that hands on a projection of its cells, and bounds both."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.layers.initializer import ForgetBias, initializer
from keras_plm.layers.recurrent.recurrent_steps import (
    gates_of,
    output_specs,
    outputs_of,
    start_of,
    steps_first,
)
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import lstm, real_tokens


@keras.saving.register_keras_serializable(package="keras_plm")
class ProjectedLSTM(SequenceLayer):
    """An LSTM with a projection (LSTMP): its recurrent input and output are narrower than its cell.

    Gates stand in the order of Keras's LSTM: input, forget, candidate, output. The bias of the
    forget gate holds the 1 that TensorFlow's cell adds when it runs.

    Args:
        units: int. The width C of the cell.
        projection_dim: int. The width P of the output.
        cell_clip: float or None. The largest absolute value of a cell.
        projection_clip: float or None. The largest absolute value of an output.
        kernel_initializer: initializer of the matrix (D, 4C) that reads the tokens, the recurrent
            matrix (P, 4C) and the projection (C, P).
        bias_initializer: initializer of the bias (4C,); by default 1 for the forget gate, else 0.

    Call arguments:
        content: tensor of shape (B, T, D).
        state: pair of tensors (B, P) and (B, C), output and cell before the first token, or None:
            0.
        padding_mask: bool tensor of shape (B, T) or None. Padding, wherever it stands, leaves the
            state as it is, and its output is 0.

    Returns:
        Triple: outputs (B, T, P), the last of them (B, P), and the last cell (B, C).

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ProjectedLSTM

    outputs, hidden, cell = ProjectedLSTM(16, 4)(np.ones((2, 6, 3), "float32"))
    assert tuple(outputs.shape) == (2, 6, 4) and tuple(cell.shape) == (2, 16)
    ```

    Source: Sak et al., arXiv:1402.1128, section 2; ELMo, arXiv:1802.05365, section 3.4, and the
    released bilm-tf (`training.py`: `LSTMCell(num_proj, cell_clip, proj_clip)`).
    """

    masked_outputs = (True, False, False)

    @check_arguments
    def __init__(
        self,
        units: integer(1),
        projection_dim: integer(1),
        cell_clip: number(above=0, none=True) = 3.0,
        projection_clip: number(above=0, none=True) = 3.0,
        kernel_initializer: initializer() = "glorot_uniform",
        bias_initializer: initializer(none=True) = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.projection_dim = projection_dim
        self.cell_clip = cell_clip
        self.projection_clip = projection_clip
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.gates = keras.layers.Dense(
            4 * units,
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=ForgetBias() if bias_initializer is None else self.bias_initializer,
            dtype=self.dtype_policy,
            name="gates",
        )

    def build(self, content_shape):
        self.gates.build(content_shape)
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.projection_dim, 4 * self.units),
            initializer=self.kernel_initializer.clone(),
        )
        self.projection = self.add_weight(
            name="projection",
            shape=(self.units, self.projection_dim),
            initializer=self.kernel_initializer.clone(),
        )

    def call(self, content, state=None, padding_mask=None, mask=None, content_mask=None):
        gates = gates_of(content, self.gates)  # (T, B, 4C)
        recurrent, projection = (
            ops.convert_to_tensor(one, gates.dtype)
            for one in (self.recurrent_kernel, self.projection)
        )
        hidden, cell = start_of(state, gates[0], self.projection_dim, self.units)
        real = real_tokens(padding_mask, mask, content_mask)
        clips = self.cell_clip, self.projection_clip
        outputs, hidden, cell = lstm(
            gates, recurrent, hidden, cell, steps_first(real), projection, *clips
        )
        return outputs_of(outputs, real), hidden, cell

    def compute_output_spec(self, content, *args, **kwargs):
        return output_specs(content, self.projection_dim, self.units, self.compute_dtype)

    def get_config(self):
        bias = self.bias_initializer
        return {
            **super().get_config(),
            "units": self.units,
            "projection_dim": self.projection_dim,
            "cell_clip": self.cell_clip,
            "projection_clip": self.projection_clip,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": bias and keras.initializers.serialize(bias),
        }
