"""What the rows of a block read, to be looked at."""

import keras

from keras_plm.checks import check_arguments, kind
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class AttentionMaps(SequenceLayer):
    """A block over content rows that returns its attention weights as well.

    A layer that two Functional graphs share must return the same number of tensors in each; the
    block returns one, so this wrapper over the same weights returns them all.

    Args:
        block: `TransformerBlock`.

    Call arguments:
        content, visible, causal, bias, mask, content_mask, source, source_visible, source_mask: as
            in `TransformerBlock`.

    Returns:
        Tuple of tensors: the block's output (B, T, D), its weights before dropout, (B, H, T, T),
        float32, and of a block with `cross_attention` those of the source, (B, H, T, N).

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

    @check_arguments
    def __init__(self, block: kind(keras.layers.Layer), **kwargs):
        kwargs.setdefault("dtype", block.dtype_policy)
        super().__init__(**kwargs)
        self.block = block
        self.masked_outputs = (True, False) + (False,) * self._reads_source

    @property
    def _reads_source(self):
        """Whether the block has cross-attention."""
        return getattr(self.block, "cross_attention", None) is not None

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
        source=None,
        source_visible=None,
        source_mask=None,
    ):
        options = {"weights": True, "training": training}
        if self._reads_source or source is not None:
            self.block.check_source(source)
            options["source"] = self.block.project_source(source)
            options["source_visible"] = hide_masked(source_visible, source_mask)
        visible = hide_masked(visible, mask, content_mask)
        return self.block.read(
            content, self.block.project(content), visible, causal, bias, **options
        )

    def compute_output_spec(self, content, *args, source=None, **kwargs):
        batch, length, _ = content.shape
        keys = [length] if source is None else [length, source.shape[1]]
        maps = [(batch, self.block.attention.num_heads, length, number) for number in keys]
        return (
            keras.KerasTensor(content.shape, dtype=self.compute_dtype),
            *(keras.KerasTensor(shape, dtype="float32") for shape in maps),
        )

    def get_config(self):
        return {**super().get_config(), "block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
