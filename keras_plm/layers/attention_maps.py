"""What the rows of a block read, to be looked at."""

import keras

from keras_plm.checks import check_arguments, kind
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class AttentionMaps(SequenceLayer):
    """A block over content rows that returns its attention weights as well.

    A layer that two Functional graphs share must return the same number of tensors in each; the
    block returns one, so this wrapper over the same weights returns the pair.

    Args:
        block: `TransformerBlock`.

    Call arguments:
        content, visible, causal, bias, mask, content_mask: as in `TransformerBlock`.

    Returns:
        Pair of tensors: the block's output (B, T, D), and its weights before dropout,
        (B, H, T, T), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import AttentionMaps, TransformerBlock

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    block = TransformerBlock(num_heads=2, key_dim=4, intermediate_dim=16)
    content, weights = AttentionMaps(block)(content, causal=True)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-5)
    ```

    Source: Vaswani et al., arXiv:1706.03762, appendix (attention visualizations).
    """

    masked_outputs = (True, False)

    @check_arguments
    def __init__(self, block: kind(keras.layers.Layer), **kwargs):
        kwargs.setdefault("dtype", block.dtype_policy)
        super().__init__(**kwargs)
        self.block = block

    def build(self, content_shape):
        if not self.block.built:
            self.block.build(content_shape)

    def call(
        self,
        content,
        visible=None,
        causal=False,
        bias=None,
        training=None,
        mask=None,
        content_mask=None,
    ):
        visible = hide_masked(visible, mask, content_mask)
        projection = self.block.project(content)
        return self.block.read(
            content, projection, visible, causal, bias, weights=True, training=training
        )

    def compute_output_spec(self, content, *args, **kwargs):
        batch, length, _ = content.shape
        maps = (batch, self.block.attention.num_heads, length, length)
        return (
            keras.KerasTensor(content.shape, dtype=self.compute_dtype),
            keras.KerasTensor(maps, dtype="float32"),
        )

    def get_config(self):
        return {**super().get_config(), "block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
