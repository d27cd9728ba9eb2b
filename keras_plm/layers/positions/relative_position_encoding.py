"""Sinusoids of signed distances, the position input of relative attention."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, number
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import position_basis, sinusoid_frequencies


@keras.saving.register_keras_serializable(package="keras_plm")
class RelativePositionEncoding(SequenceLayer):
    """Encodes every distance between a row of a segment and a key as sinusoids.

    For T rows and S = M + T keys the distances run from S down to -T + 1 (to 0 if causal);
    positive = the key lies to the left. Angles are computed in float32 whatever the dtype policy:
    in bfloat16 the integers above 256 collapse.

    There are two forms with the same scores. A table by distance, which
    `keras_plm.ops.relative_shift` aligns with keys, is always right. Where T is known and distances
    are not clipped, the sinusoids factorise (`keras_plm.ops.position_basis`): no shift, and rows at
    any position are served alike.

    Dropout of a layer that may factorise drops features: one that is dropped is so at all
    distances, and both forms still agree. Other layers drop each entry of the table by itself, as
    the released codes do. Each entry has the same expectation and variance in both.

    Args:
        hidden_dim: int. The width D of the encoding, even: D/2 sines, then D/2 cosines.
        causal: bool. Whether rows see no key to their right, so that no negative distance is
            needed.
        clamp_length: int or None. Distances are clipped to [-clamp_length, clamp_length].
        factorise: bool. False: always the table by distance, with dropout of single entries.
        dropout: float. Dropout rate of the encoding, in training.

    Call arguments:
        inputs: tensor of shape (B, T, D). Only its length T counts.
        memory_length: int. The M keys in front of the segment.
        memory: tensor of shape (B, M, ...) or None. Only its length M counts, in place of
            `memory_length`.
        both_directions: bool. Whether rows that were read right to left (the feature `backward`)
            need the encoding of the negated distances as well.

    Returns:
        Tuple of three tensors. By distance: a table (1, C, D), or (2, C, D) with both directions
        (0 = forward, 1 = backward), C = T + S columns, S + 1 if causal, of which column c encodes
        the distance S - c; and two empty tensors. Factorised: coefficients (1 or 2, G, D), the
        features of the rows (T, G) and of the keys (S, G).

    Raises:
        ValueError: if `hidden_dim` is odd or `clamp_length` is below 1.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding

    encoding = RelativePositionEncoding(hidden_dim=8, factorise=False)
    table, _, _ = encoding(np.zeros((2, 5, 8), "float32"), memory_length=3)
    assert tuple(table.shape) == (1, 13, 8)  # the distances 8, 7, ..., -4
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.3; both directions: XLNet's released
    code (`bi_data`).
    """

    masked_outputs = (False, False, False)

    @check_arguments
    def __init__(
        self,
        hidden_dim: integer(1),
        causal: flag() = False,
        clamp_length: integer(none=True) = None,
        factorise: flag() = True,
        dropout: number(0, 1) = 0.0,
        **kwargs,
    ):
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
        self.factorise = factorise
        self.dropout = keras.layers.Dropout(
            dropout,
            noise_shape=(None, 1, None) if self._may_factorise() else None,  # of whole features
            dtype=self.dtype_policy,
            name="dropout",
        )

    def build(self, inputs_shape):
        pass

    def call(self, inputs, memory_length=0, both_directions=False, training=None, memory=None):
        if memory is not None:
            memory_length = ops.shape(memory)[1]
        if inputs.shape[1] is None or not self._may_factorise():
            table = self._sinusoids(ops.shape(inputs)[1], memory_length)  # (C, D)
            rows = keys = ops.zeros((0, 0), self.compute_dtype)
        else:
            length = inputs.shape[1]  # T
            basis = position_basis(self.hidden_dim, length, length + memory_length)
            table = ops.convert_to_tensor(basis.coefficients, "float32")  # (G, D)
            rows, keys = (ops.convert_to_tensor(a, self.compute_dtype) for a in basis[1:])
        directions = [table]
        if both_directions:  # the sines of the negated distances
            sines, cosines = ops.split(table, 2, axis=-1)
            directions.append(ops.concatenate([-sines, cosines], axis=-1))
        table = ops.cast(ops.stack(directions), self.compute_dtype)  # (1 or 2, C or G, D)
        return self.dropout(table, training=training), rows, keys

    def _may_factorise(self):
        """Whether sinusoids of all distances are wanted, and as they are.

        A causal table is half as long, so that the shift costs less than the product.
        """
        return self.factorise and not self.clamp_length and not self.causal

    def _sinusoids(self, length, memory_length):
        """The sinusoids (C, D) of each distance."""
        key_length = length + memory_length  # S
        last = -1 if self.causal else -length  # the column after the last distance
        distance = ops.cast(ops.arange(key_length, last, -1), "float32")  # (C,)
        if self.clamp_length is not None:
            distance = ops.clip(distance, -self.clamp_length, self.clamp_length)
        frequency = ops.convert_to_tensor(sinusoid_frequencies(self.hidden_dim), "float32")
        angle = distance[:, None] * frequency  # (C, D/2)
        return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)

    def compute_output_spec(
        self, inputs, memory_length=0, both_directions=False, training=None, memory=None
    ):
        directions = 2 if both_directions else 1
        table = keras.KerasTensor((directions, None, self.hidden_dim), dtype=self.compute_dtype)
        rows, keys = (keras.KerasTensor((None, None), dtype=self.compute_dtype) for _ in range(2))
        return table, rows, keys

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "causal": self.causal,
            "clamp_length": self.clamp_length,
            "factorise": self.factorise,
            "dropout": self.dropout.rate,
        }
