"""The ends of an answer, given where it starts."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.heads.span_head import masked_logits
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class EndLogits(SequenceLayer):
    """A logit for every end, given a start: dense, tanh, layer norm, dense.

    Args:
        hidden_dim: int. The width D.
        layer_norm_epsilon: float.
        kernel_initializer: initializer of both kernels.

    Call arguments:
        rows: tensor of shape (B, T, D).
        start_rows: tensor of shape (B, S, D), the rows of S possible starts.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, as Keras hands it over.
            The logits of padding are -1e30.

    Returns:
        Tensor of shape (B, S, T), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import EndLogits

    rows = np.zeros((2, 5, 8), "float32")
    assert tuple(EndLogits(hidden_dim=8)(rows, rows[:, :3]).shape) == (2, 3, 5)
    ```

    Source: the released `function_builder.py` of XLNet (`get_qa_outputs`, "end_logits").
    """

    masked_outputs = (False,)  # they are over positions: a position is a class

    @check_arguments
    def __init__(
        self,
        hidden_dim: integer(1),
        layer_norm_epsilon: number(0) = 1e-12,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dense_0 = keras.layers.Dense(
            hidden_dim,
            activation="tanh",
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="dense_0",
        )
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="LayerNorm"
        )
        self.dense_1 = keras.layers.Dense(
            1,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="dense_1",
        )

    def build(self, rows_shape, start_rows_shape=None):
        self.dense_0.build((None, None, None, 2 * rows_shape[-1]))
        self.layer_norm.build((None, None, None, self.hidden_dim))
        self.dense_1.build((None, None, None, self.hidden_dim))

    def call(self, rows, start_rows, rows_mask=None):
        batch, length, width = ops.shape(rows)
        shape = (batch, ops.shape(start_rows)[1], length, width)
        both = [
            ops.broadcast_to(rows[:, None], shape),
            ops.broadcast_to(start_rows[:, :, None], shape),
        ]
        hidden = self.dense_0(ops.concatenate(both, axis=-1))  # (B, S, T, D)
        logits = self.dense_1(self.layer_norm(hidden))  # (B, S, T, 1)
        logits = ops.cast(ops.squeeze(logits, -1), "float32")  # (B, S, T)
        return logits if rows_mask is None else masked_logits(logits, rows_mask[:, None])

    def compute_output_spec(self, rows, start_rows, rows_mask=None):
        shape = (rows.shape[0], start_rows.shape[1], rows.shape[1])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
