"""A learned bias of the attention scores by relative distance."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import relative_buckets


@keras.saving.register_keras_serializable(package="keras_plm")
class RelativePositionBias(SequenceLayer):
    """One number per head and bucket of distances, added to the attention scores.

    Args:
        num_buckets: int. An even number of at least 4.
        num_heads: int. The heads H.
        max_distance: int. The distance in tokens from which on all share a bucket.
        embeddings_initializer: initializer of the table.
        bidirectional: bool. Whether keys after a row have buckets of their own (an encoder), or
            share that of the row itself, since they are not seen (a decoder).

    Call arguments:
        row_positions: int tensor of shape (B, R) or (1, R).
        key_positions: int tensor of shape (B, S) or (1, S).

    Returns:
        Tensor of shape (B or 1, H, R, S).

    Raises:
        ValueError: if `num_buckets` is odd or below 4.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionBias

    positions = np.arange(5, dtype="int32")[None]
    bias = RelativePositionBias(num_buckets=32, num_heads=2)(positions, positions)
    assert tuple(bias.shape) == (1, 2, 5, 5)
    ```

    Source: T5, arXiv:1910.10683, section 2.1; MPNet, arXiv:2004.09297, section 2.4.
    """

    masked_outputs = (False,)

    @check_arguments
    def __init__(
        self,
        num_buckets: integer(),
        num_heads: integer(1),
        max_distance: integer(1) = 128,
        embeddings_initializer: initializer() = "uniform",
        bidirectional: flag() = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_buckets < 4 or num_buckets % 2:
            raise ValueError(
                f"`num_buckets` must be an even number of at least 4. Received: {num_buckets!r}."
            )
        self.num_buckets = num_buckets
        self.num_heads = num_heads
        self.max_distance = max_distance
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.bidirectional = bidirectional

    def build(self, row_positions_shape=None, key_positions_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, self.num_heads),
            initializer=self.embeddings_initializer,
        )

    def call(self, row_positions, key_positions):
        buckets = relative_buckets(
            row_positions, key_positions, self.num_buckets, self.max_distance, self.bidirectional
        )  # (B, R, S)
        table = ops.transpose(ops.convert_to_tensor(self.embeddings))  # (H, buckets)
        bias = ops.take(ops.cast(table, self.compute_dtype), buckets, axis=1)  # (H, B, R, S)
        return ops.transpose(bias, (1, 0, 2, 3))

    def compute_output_spec(self, row_positions, key_positions):
        (batch, rows), (other, keys) = row_positions.shape, key_positions.shape
        batch = other if batch == 1 else batch
        return keras.KerasTensor((batch, self.num_heads, rows, keys), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "num_heads": self.num_heads,
            "max_distance": self.max_distance,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "bidirectional": self.bidirectional,
        }
