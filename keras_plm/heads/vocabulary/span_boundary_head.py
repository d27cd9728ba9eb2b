"""The tokens of a span, from the two tokens around it."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, kind, number
from keras_plm.heads.head import Head, Targets
from keras_plm.heads.vocabulary.masked_lm_head import MaskedLMHead, token_metrics
from keras_plm.layers.activation import get_activation
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import gather_rows


@keras.saving.register_keras_serializable(package="keras_plm")
class SpanBoundaryHead(SequenceLayer, Head):
    """Logits over the vocabulary for each token of a span, which is seen from its edges alone.

    With the outputs x of the tokens before and after the span (s, e), and the embedding p of the
    token's place in it:

        h = layer_norm(activation(W1 [x[s - 1]; x[e + 1]; p[i - s]]))
        y = layer_norm(activation(W2 h))
        logits = y times the transposed token embedding, plus a bias of the head's own

    Args:
        token_embedding: `keras.layers.ReversibleEmbedding` of shape (V, D), shared with the
            backbone.
        max_length: int. How many places of a span have an embedding. Later ones take the last;
            the objective gives them the weight 0.
        position_dim: int. The width of these embeddings.
        activation: str. "gelu" (erf), "gelu_tanh", or a name that Keras knows.
        layer_norm_epsilon: float. Of both layer norms.
        kernel_initializer: initializer of the kernels and of the places' embeddings.

    Call arguments:
        left: tensor of shape (B, P, D), the output at the token before the span of each target.
        right: tensor of shape (B, P, D), the output at the token after it.
        offsets: int tensor of shape (B, P), the place of each target in its span, from 0.

    Returns:
        Tensor of shape (B, P, V), float32.

    Raises:
        ValueError: if a size is below 1, or the activation is unknown.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_plm.heads import SpanBoundaryHead

    embedding = keras.layers.ReversibleEmbedding(10, 4)
    head = SpanBoundaryHead(embedding, max_length=5, position_dim=3)
    rows, offsets = np.ones((2, 3, 4), "float32"), np.array([[0, 1, 0]] * 2)
    assert tuple(head(rows, rows, offsets).shape) == (2, 3, 10)
    ```

    Source: SpanBERT, arXiv:1907.10529, section 3.2; the widths: the released code.
    """

    @check_arguments
    def __init__(
        self,
        token_embedding: kind(keras.layers.Embedding),
        max_length: integer(1) = 20,
        position_dim: integer(1) = 200,
        activation="gelu",
        layer_norm_epsilon: number(0) = 1e-12,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        kwargs.setdefault("dtype", float_policy(token_embedding.dtype_policy))
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.max_length = max_length
        self.position_dim = position_dim
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.position_embedding = keras.layers.Embedding(
            max_length,
            position_dim,
            embeddings_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="position_embedding",
        )
        self.edges = keras.layers.Dense(
            token_embedding.output_dim,
            activation=get_activation(activation),
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="edges",
        )
        self.edges_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="edges_norm"
        )
        self.output_head = MaskedLMHead(
            token_embedding,
            transform=True,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="output_head",
        )

    def build(self, left_shape, right_shape, offsets_shape):
        self.position_embedding.build(offsets_shape)
        width = left_shape[-1] + right_shape[-1] + self.position_dim
        self.edges.build((*left_shape[:-1], width))
        self.edges_norm.build(left_shape)
        self.output_head.build(left_shape)

    @property
    def targets(self):
        """One token of the vocabulary for each slot."""
        return Targets("BP", self.token_embedding.input_dim)

    def new_metrics(self):
        """Accuracy and perplexity over the targets."""
        return token_metrics()

    def call(self, left, right, offsets):
        places = self.position_embedding(ops.minimum(offsets, self.max_length - 1))
        rows = ops.concatenate([left, right, places], axis=-1)  # (B, P, 2 D + position_dim)
        return self.output_head(self.edges_norm(self.edges(rows)))  # (B, P, V)

    def read(self, encoded, features):
        """The logits of the targets from the edges of their spans.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `sequence_output` (B, T, D).
            features: dict of `left_positions`, `right_positions` and `span_offsets`, (B, P) each.

        Returns:
            Tensor of shape (B, P, V), float32.
        """
        rows = encoded["sequence_output"]
        left = gather_rows(rows, features["left_positions"])  # (B, P, D)
        right = gather_rows(rows, features["right_positions"])
        return self(left, right, features["span_offsets"])

    def compute_output_spec(self, left, right, offsets):
        shape = (*left.shape[:-1], self.token_embedding.input_dim)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "max_length": self.max_length,
            "position_dim": self.position_dim,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("token_embedding"))
        return cls(embedding, **config)
