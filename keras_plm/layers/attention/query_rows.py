"""The rows that predict: at the position of a target, knowing nothing of its token."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, kind
from keras_plm.layers.embedding.token_and_query_embedding import TokenAndQueryEmbedding
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class QueryRows(SequenceLayer):
    """The query rows of some targets: the query vector of an embedding, once per target.

    Args:
        embedding: `TokenAndQueryEmbedding`, built.

    Call arguments:
        target_positions: int tensor of shape (B, P).

    Returns:
        Tensor of shape (B, P, D).
    """

    @check_arguments
    def __init__(self, embedding: kind(TokenAndQueryEmbedding), **kwargs):
        kwargs.setdefault("dtype", float_policy(embedding.dtype_policy))
        super().__init__(**kwargs)
        self.embedding = embedding

    def build(self, target_positions_shape):
        if not self.embedding.built:
            self.embedding.build(target_positions_shape)

    def call(self, target_positions):
        vector = ops.cast(self.embedding.query_vector, self.compute_dtype)
        return ops.broadcast_to(vector, (*ops.shape(target_positions), self.embedding.hidden_dim))

    def compute_output_shape(self, target_positions_shape):
        return (*target_positions_shape, self.embedding.hidden_dim)

    def get_config(self):
        embedding = keras.saving.serialize_keras_object(self.embedding)
        return {**super().get_config(), "embedding": embedding}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("embedding"))
        return cls(embedding, **config)
