"""Both streams of a block: content rows and query rows over one projection."""

import keras

from keras_plm.checks import check_arguments, kind
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked, mask_of_keys
from keras_plm.ops.keras_internals import set_keras_mask


@keras.saving.register_keras_serializable(package="keras_plm")
class TwoStream(SequenceLayer):
    """One projection of a block, read twice: by the content rows and by query rows.

    A layer that two Functional graphs share must return the same number of tensors in each; the
    block returns one, so this wrapper over the same weights returns the pair.

    Args:
        block: layer with `project`, `read` and `compute`, such as `TransformerXLBlock` or
            `TransformerBlock`.

    Call arguments:
        content: tensor of shape (B, T, D).
        query: tensor of shape (B, P, D).
        shared: dict: what `block.project` takes beside the content.
        content_own, query_own: dicts: what `block.read` takes for the rows of each stream, such
            as `visible`, beside rows and projection.
        content_mask, query_mask, shared_mask: the implicit masks, as Keras hands them over. Those
            of the content and of the `memory` in `shared` hide keys from both streams, besides.

    Returns:
        Pair of tensors of shapes (B, T, D) and (B, P, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding, TransformerXLBlock, TwoStream

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    query = np.random.normal(size=(2, 1, 8)).astype("float32")
    block = TransformerXLBlock(num_heads=2, key_dim=4, intermediate_dim=16)
    content, query = TwoStream(block)(
        content,
        query,
        shared={"position_encoding": RelativePositionEncoding(8)(content)},
        query_own={"positions": np.array([[4], [0]])},
    )
    assert tuple(query.shape) == (2, 1, 8)
    ```

    Source: XLNet, arXiv:1906.08237, section 2.3.
    """

    masked_outputs = (True, False)  # and the query rows' own mask, see `call`

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
        query,
        shared=None,
        content_own=None,
        query_own=None,
        training=None,
        content_mask=None,
        query_mask=None,
        shared_mask=None,
    ):
        shared, content_own, query_own = shared or {}, content_own or {}, query_own or {}
        memory_mask = (shared_mask or {}).get("memory")
        keys = mask_of_keys(content, content_mask, shared.get("memory"), memory_mask)  # (B, S)
        if keys is not None:
            content_own, query_own = (
                {**own, "visible": hide_masked(own.get("visible"), keys)}
                for own in (content_own, query_own)
            )
        options = [shared, content_own, query_own]

        def compute(content, query, *values):
            shared, content_own, query_own = keras.tree.pack_sequence_as(options, values)
            projection = self.block.project(content, **shared)
            content = self.block.read(content, projection, **content_own, training=training)
            query = self.block.read(query, projection, **query_own, training=training)
            return content, query

        values = keras.tree.flatten(options)
        content, query = self.block.compute(compute, 2, training, content, query, *values)
        set_keras_mask(query, query_mask)
        return content, query

    def compute_output_spec(self, content, query, *args, query_mask=None, **kwargs):
        content, query = (
            keras.KerasTensor(rows.shape, dtype=self.compute_dtype) for rows in (content, query)
        )
        set_keras_mask(query, query_mask)
        return content, query

    def get_config(self):
        return {**super().get_config(), "block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
