"""Both streams of a block: content rows and query rows over one projection."""

import keras


@keras.saving.register_keras_serializable(package="keras_plm")
class TwoStream(keras.layers.Layer):
    """One projection of a block, read twice: by the content rows and by query rows.

    A layer that two Functional graphs share must return the same number of tensors in each; the
    block returns one, so this wrapper over the same weights returns the pair.

    Args:
        block: layer with `project` and `read`, such as `TransformerXLBlock`.

    Call arguments:
        content: tensor of shape (B, T, D).
        query: tensor of shape (B, P, D).
        query_positions: int tensor of shape (B, P): the position that each query row stands at.
        content_visible, query_visible, content_same_segment, query_same_segment,
        position_encoding, memory, backward: as in `TwoStreamAttention`.

    Returns:
        Pair of tensors of shapes (B, T, D) and (B, P, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding, TransformerXLBlock, TwoStream

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    query = np.random.normal(size=(2, 1, 8)).astype("float32")
    block = TransformerXLBlock(num_heads=2, key_dim=4, intermediate_dim=16)
    table = RelativePositionEncoding(8)(content)
    content, query = TwoStream(block)(content, query, np.array([[4], [0]]), table)
    assert tuple(query.shape) == (2, 1, 8)
    ```

    Source: XLNet, arXiv:1906.08237, section 2.3.
    """

    def __init__(self, block, **kwargs):
        kwargs.setdefault("dtype", block.dtype_policy)
        super().__init__(**kwargs)
        self.block = block

    def build(self, content_shape):
        if not self.block.built:
            self.block.build(content_shape)

    def call(
        self,
        content,
        query,
        query_positions,
        position_encoding,
        memory=None,
        content_visible=None,
        query_visible=None,
        content_same_segment=None,
        query_same_segment=None,
        backward=None,
        training=None,
    ):
        def compute(content, query, memory=None):
            projection = self.block.project(content, position_encoding, memory, backward)
            content = self.block.read(
                content, projection, content_visible, content_same_segment, training=training
            )
            query = self.block.read(
                query, projection, query_visible, query_same_segment, query_positions, training
            )
            return content, query

        tensors = [content, query] + [memory] * (memory is not None)
        return self.block.compute(compute, 2, training, *tensors)

    def compute_output_spec(self, content, query, *args, **kwargs):
        return tuple(
            keras.KerasTensor(rows.shape, dtype=self.compute_dtype) for rows in (content, query)
        )

    def get_config(self):
        return {**super().get_config(), "block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
