"""Sinusoids of signed distances, the position input of relative attention."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
class RelativePositionEncoding(keras.layers.Layer):
    """Encodes every distance between a row of a segment and a key as sinusoids.

    For T rows and S = M + T keys the distances run from S down to -T + 1 (to 0 if causal);
    positive = the key lies to the left. `keras_plm.ops.relative_shift` aligns scores by distance
    with keys. Angles are computed in float32 whatever the dtype policy: in bfloat16 the integers
    above 256 collapse.

    Args:
        hidden_dim: int. The width D of the encoding, even: D/2 sines, then D/2 cosines.
        causal: bool. Whether rows see no key to their right, so that no negative distance is
            needed.
        clamp_length: int or None. Distances are clipped to [-clamp_length, clamp_length].
        dropout: float. Dropout rate of the encoding, in training.

    Call arguments:
        inputs: tensor of shape (B, T, D). Only its length T counts.
        memory_length: int. The M keys in front of the segment.
        both_directions: bool. Whether rows that were read right to left (the feature `backward`)
            need the encoding of the negated distances as well.

    Returns:
        Tensor of shape (1, C, D), or (2, C, D) with both directions (0 = forward, 1 = backward);
        C = T + S columns, S + 1 if causal. Column c encodes the distance S - c.

    Raises:
        ValueError: if `hidden_dim` is odd or `clamp_length` is below 1.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding

    encoding = RelativePositionEncoding(hidden_dim=8)
    table = encoding(np.zeros((2, 5, 8), "float32"), memory_length=3)
    assert tuple(table.shape) == (1, 13, 8)  # the distances 8, 7, ..., -4
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.3; both directions: XLNet's released
    code (`bi_data`).
    """

    def __init__(self, hidden_dim, causal=False, clamp_length=None, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if hidden_dim % 2:
            raise ValueError(f"`hidden_dim` must be even. Received: hidden_dim={hidden_dim}.")
        if clamp_length is not None and clamp_length < 1:
            raise ValueError(
                f"`clamp_length` must be None or at least 1. Received: {clamp_length}."
            )
        self.hidden_dim = hidden_dim
        self.causal = causal
        self.clamp_length = clamp_length
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, inputs_shape):
        pass

    def call(self, inputs, memory_length=0, both_directions=False, training=None):
        length = ops.shape(inputs)[1]  # T
        key_length = length + memory_length  # S
        last = -1 if self.causal else -length  # the column after the last distance
        distance = ops.cast(ops.arange(key_length, last, -1), "float32")  # (C,)
        if self.clamp_length is not None:
            distance = ops.clip(distance, -self.clamp_length, self.clamp_length)
        frequency = 10000.0 ** (-np.arange(0, self.hidden_dim, 2) / self.hidden_dim)
        angle = distance[:, None] * ops.convert_to_tensor(frequency, "float32")  # (C, D/2)
        sine, cosine = ops.sin(angle), ops.cos(angle)
        directions = [ops.concatenate([sine, cosine], axis=-1)]  # (C, D)
        if both_directions:
            directions.append(ops.concatenate([-sine, cosine], axis=-1))
        encoding = ops.cast(ops.stack(directions), self.compute_dtype)  # (1 or 2, C, D)
        return self.dropout(encoding, training=training)

    def compute_output_spec(self, inputs, memory_length=0, both_directions=False, training=None):
        length, columns = inputs.shape[1], None
        if length is not None:
            columns = length + memory_length + (1 if self.causal else length)
        shape = (2 if both_directions else 1, columns, self.hidden_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "causal": self.causal,
            "clamp_length": self.clamp_length,
            "dropout": self.dropout.rate,
        }
