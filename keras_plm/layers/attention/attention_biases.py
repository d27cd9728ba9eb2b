"""The three biases of XLNet's attention: one set per layer, or one for all."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class AttentionBiases(SequenceLayer):
    """Adds to projected rows what they ask for whatever they are: u, v and w in the paper.

    XLNet has a set in every layer (`untie_r` in the released configurations), Transformer-XL one
    that all layers share: give the same `AttentionBiases` to all of their attentions.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        segments: bool. Whether there is a bias of the segment term.
        initializer: initializer of the biases.

    Call arguments:
        query: tensor of shape (B, R, H, K), the projected rows.

    Returns:
        Tuple of three tensors of that shape: the rows for the content, position and segment term;
        the last is None without segments.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import AttentionBiases, TransformerXLBlock

    shared = AttentionBiases(num_heads=2, key_dim=4)
    blocks = [TransformerXLBlock(2, 4, intermediate_dim=16, biases=shared) for _ in range(3)]
    content, position, segment = shared(np.zeros((1, 5, 2, 4), "float32"))
    assert tuple(segment.shape) == (1, 5, 2, 4)
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.3 (u, v); XLNet, arXiv:1906.08237, section
    2.5 (b).
    """

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        segments: flag() = True,
        initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.segments = segments
        self.initializer = keras.initializers.get(initializer)
        self.masked_outputs = (True, True, segments)  # Keras fails at a mask for None

    def build(self, query_shape):
        names = ["content_bias", "position_bias"] + ["segment_bias"] * self.segments
        for name in names:
            bias = self.add_weight(
                name=name,
                shape=(self.num_heads, self.key_dim),
                initializer=self.initializer.clone(),
            )
            setattr(self, name, bias)

    def call(self, query):
        biases = (self.content_bias, self.position_bias)
        content, position = (query + ops.cast(bias, query.dtype) for bias in biases)
        segment = query + ops.cast(self.segment_bias, query.dtype) if self.segments else None
        return content, position, segment

    def compute_output_spec(self, query):
        content, position, segment = (
            keras.KerasTensor(query.shape, dtype=self.compute_dtype) for _ in range(3)
        )
        return content, position, segment if self.segments else None

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "segments": self.segments,
            "initializer": keras.initializers.serialize(self.initializer),
        }
