"""Token embeddings, and the vector that every query row of XLNet starts from."""

import keras

from keras_plm.checks import check_arguments, integer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class TokenAndQueryEmbedding(SequenceLayer):
    """A token embedding that also owns the start vector of query rows.

    A query row must not know the token that it predicts, so all of them start from one trained
    vector, w in the paper. It lives here so that a model has the same weights with and without
    query rows; it is frozen until `train_query_vector`, because a graph without query rows gives
    it no gradient, and stays so when a model around it is frozen and set free again.

    Args:
        vocabulary_size: int. The vocabulary size V.
        hidden_dim: int. The width D.
        embeddings_initializer: initializer of the table and of the vector.

    Call arguments:
        token_ids: int tensor of shape (B, T).

    Returns:
        Tensor of shape (B, T, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import QueryRows, TokenAndQueryEmbedding

    embedding = TokenAndQueryEmbedding(vocabulary_size=10, hidden_dim=4)
    content = embedding(np.array([[1, 2, 3]]))
    query = QueryRows(embedding)(np.array([[0, 2]]))  # target_positions
    assert tuple(content.shape) == (1, 3, 4) and tuple(query.shape) == (1, 2, 4)
    ```

    Source: XLNet, arXiv:1906.08237, section 2.3 (w).
    """

    @check_arguments
    def __init__(
        self,
        vocabulary_size: integer(1),
        hidden_dim: integer(1),
        embeddings_initializer: initializer() = "uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=self.embeddings_initializer.clone(),
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self.token_embedding.supports_masking = True  # it takes ids with a mask, and has none

    def build(self, token_ids_shape):
        self.token_embedding.build(token_ids_shape)
        self.query_vector = self.add_weight(
            name="query_vector",
            shape=(self.hidden_dim,),
            initializer=self.embeddings_initializer.clone(),
        )
        # Frozen only now: TensorFlow's tape watches what was made trainable, for ever.
        self.train_query_vector(None)

    def train_query_vector(self, trainable):
        """Set free, or freeze, the vector that query rows start from.

        Args:
            trainable: bool; or None, as it is at first: a task with query rows trains it, in any
                other model it is frozen.
        """
        self._trains_query_vector = trainable
        self.query_vector.trainable = self.trainable and bool(trainable)

    @property
    def query_vector_is_frozen(self):
        """Whether the query vector must not be trained, not even by a task with query rows."""
        return not self.trainable or self._trains_query_vector is False

    @property
    def trainable(self):
        """Whether the layer is trained; for the query vector see `train_query_vector`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        if self.built:
            self.train_query_vector(self._trains_query_vector)

    def call(self, token_ids):
        return self.token_embedding(token_ids)

    def compute_output_shape(self, token_ids_shape):
        return (*token_ids_shape, self.hidden_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
