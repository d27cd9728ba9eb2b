"""From rows to a distribution over the vocabulary, with the token embedding as output matrix."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
class MaskedLMHead(keras.layers.Layer):
    """Logits over the vocabulary: rows times the transposed token embedding, plus a bias.

    XLNet has no transform between the last block and the product.

    Args:
        token_embedding: `keras.layers.ReversibleEmbedding` of shape (V, D), shared with the
            backbone.

    Call arguments:
        rows: tensor of shape (B, P, D).

    Returns:
        Tensor of shape (B, P, V), float32.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_plm.heads import MaskedLMHead

    embedding = keras.layers.ReversibleEmbedding(10, 4)
    head = MaskedLMHead(embedding)
    assert tuple(head(np.zeros((2, 3, 4), "float32")).shape) == (2, 3, 10)
    ```

    Source: XLNet, arXiv:1906.08237, equation 4.
    """

    def __init__(self, token_embedding, **kwargs):
        kwargs.setdefault("dtype", token_embedding.dtype_policy)
        super().__init__(**kwargs)
        self.token_embedding = token_embedding

    def build(self, rows_shape):
        if not self.token_embedding.built:
            self.token_embedding.build(rows_shape)
        self.bias = self.add_weight(
            name="bias", shape=(self.token_embedding.input_dim,), initializer="zeros"
        )

    def call(self, rows):
        logits = self.token_embedding(rows, reverse=True)  # (B, P, V)
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def compute_output_spec(self, rows):
        shape = (*rows.shape[:-1], self.token_embedding.input_dim)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        embedding = keras.saving.serialize_keras_object(self.token_embedding)
        return {**super().get_config(), "token_embedding": embedding}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("token_embedding"))
        return cls(embedding, **config)
