"""Positions as sines and cosines, in the three forms that systems have."""

import keras
import numpy as np
from keras import ops

from keras_plm.checks import check_arguments, choice, integer
from keras_plm.layers.sequence_layer import SequenceLayer

KINDS = ("interleaved", "halves", "halves_inclusive")


@keras.saving.register_keras_serializable(package="keras_plm")
class SinusoidalPositionEncoding(SequenceLayer):
    """Sines and cosines of positions, from short waves to long ones. It has no weights.

    Two kinds have the same waves in another order of columns; the third has other waves, whose
    last is the longest, so that the kinds cannot be told apart by their order alone.

    Args:
        hidden_dim: int. The width D, even.
        kind: str. "interleaved": sine and cosine of a wave side by side (the paper); "halves": all
            sines, then all cosines (Marian as `transformers` computes it); "halves_inclusive": so
            too, with waves up to 10000 inclusive, for D of at least 4 (Tensor2Tensor, fairseq,
            OpenNMT, and Marian itself).
        start: int. The number of the first position: 0, or 1 (OpenNMT), or 2 (fairseq, whose
            positions are counted behind those of padding).

    Call arguments:
        positions: int tensor of shape (B, T) or (1, T), counted from 0.

    Returns:
        Tensor of shape (B or 1, T, D).

    Raises:
        ValueError: if `hidden_dim` is odd, or too small for the kind.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import SinusoidalPositionEncoding

    encoding = SinusoidalPositionEncoding(hidden_dim=4)(np.array([[0, 1, 2]]))
    np.testing.assert_allclose(encoding[0, 1], [0.841471, 0.540302, 0.01, 0.99995], atol=1e-5)
    ```

    Source: Vaswani et al., arXiv:1706.03762, section 3.5; "halves_inclusive":
    `get_timing_signal_1d` of tensorflow/tensor2tensor; "halves":
    `MarianSinusoidalPositionalEmbedding` of huggingface/transformers.
    """

    @check_arguments
    def __init__(
        self,
        hidden_dim: integer(1),
        kind: choice(KINDS) = "interleaved",
        start: integer(0) = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        least = 4 if kind == "halves_inclusive" else 2
        if hidden_dim % 2 or hidden_dim < least:
            raise ValueError(
                f"`hidden_dim` must be even, and at least {least} for positions of the kind "
                f"{kind!r}. Received: hidden_dim={hidden_dim}."
            )
        self.hidden_dim = hidden_dim
        self.kind = kind
        self.start = start

    def build(self, positions_shape):
        pass

    def call(self, positions):
        waves = self.hidden_dim // 2
        steps = waves - 1 if self.kind == "halves_inclusive" else waves
        frequency = (10000.0 ** -(np.arange(waves) / steps)).astype("float32")  # (D / 2,)
        position = ops.cast(positions, "float32")[..., None] + float(self.start)
        angle = position * frequency  # (B, T, D / 2)
        pair = ops.sin(angle), ops.cos(angle)
        if self.kind == "interleaved":
            encoding = ops.stack(pair, axis=-1)  # (B, T, D / 2, 2)
            encoding = ops.reshape(encoding, (*ops.shape(positions), self.hidden_dim))
        else:
            encoding = ops.concatenate(pair, axis=-1)
        return ops.cast(encoding, self.compute_dtype)  # (B, T, D)

    def compute_output_spec(self, positions):
        shape = (*positions.shape, self.hidden_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "kind": self.kind,
            "start": self.start,
        }
