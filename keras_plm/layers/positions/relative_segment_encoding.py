"""Whether two tokens lie in the same segment, as a term of the attention score."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class RelativeSegmentEncoding(SequenceLayer):
    """The segment term of XLNet's attention score: (q + bias) . s, s = same or different.

    Any number of segments: only equality matters, so the table has two rows. Softmax ignores
    what is constant over the keys of a row, so (q + bias) . s_different is subtracted from every
    entry and the term is (q + bias) . (s_same - s_different) where the segments are equal and 0
    elsewhere: the same attention and the same gradients from one selected value per row.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        use_bias: bool. Whether the layer has the bias; else the rows come with it.
        kernel_initializer: initializer of the table and of the bias.

    Call arguments:
        query: tensor of shape (B, R, H, K), the projected rows.
        same_segment: bool tensor of shape (B, R, S), whether row and key share a segment.

    Returns:
        Tensor of shape (B, H, R, S), to be added to the score before the softmax.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativeSegmentEncoding

    segment_ids = np.array([[0, 0, 1, 1, 2]])
    same_segment = segment_ids[:, :, None] == segment_ids[:, None, :]
    query = np.random.normal(size=(1, 5, 2, 4)).astype("float32")
    term = RelativeSegmentEncoding(num_heads=2, key_dim=4)(query, same_segment)
    assert tuple(term.shape) == (1, 2, 5, 5)
    ```

    Source: XLNet, arXiv:1906.08237, section 2.5.
    """

    masked_outputs = (False,)

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        use_bias: flag() = True,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape):
        head_shape = (self.num_heads, self.key_dim)
        self.segment_embedding = self.add_weight(
            name="segment_embedding", shape=(2, *head_shape), initializer=self.kernel_initializer
        )
        if self.use_bias:
            self.segment_bias = self.add_weight(
                name="segment_bias", shape=head_shape, initializer=self.kernel_initializer.clone()
            )

    def call(self, query, same_segment):
        same, different = self.segment_embedding[0], self.segment_embedding[1]  # (H, K)
        if self.use_bias:
            query = query + ops.cast(self.segment_bias, self.compute_dtype)
        difference = ops.cast(same - different, self.compute_dtype)
        term = ops.einsum("brhk,hk->bhr", query, difference)[..., None]  # (B, H, R, 1)
        return ops.where(same_segment[:, None], term, ops.zeros_like(term))  # (B, H, R, S)

    def compute_output_spec(self, query, same_segment):
        shape = (query.shape[0], self.num_heads, *same_segment.shape[1:])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
