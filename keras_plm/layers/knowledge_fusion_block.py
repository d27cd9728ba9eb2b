"""A block of two streams, of tokens and of entities, that meet in its feed-forward layer."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, number
from keras_plm.layers.activation import get_activation
from keras_plm.layers.attention.projected_attention import ProjectedAttention
from keras_plm.layers.initializer import initializer
from keras_plm.layers.norm import make_norm
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class KnowledgeFusionBlock(SequenceLayer):
    """Fuses the states of tokens with those of the entities that they mention.

    Tokens read tokens, as in `TransformerBlock` with norms behind its sublayers, and entities read
    entities. Both make one hidden layer, of which both are made anew (w tokens, e entities, m
    whether a token has an entity):

        a  = norm(w + attention(w))
        b  = norm(e + attention(e, keys where m)) * m      or e * m, without `entity_attention`
        h  = activation(W_a a + W_b b)                     each product with a bias
        w' = norm(a + W_w h)
        e' = norm(b + W_e h)

    Where a token has no entity b is 0, but e' is not: the next block hides it again.

    Args:
        num_heads: int. The heads of the tokens' attention, H.
        key_dim: int. The width of such a head, K.
        intermediate_dim: int. The width of the hidden layer, F.
        entity_dim: int. The width of an entity's state, E.
        entity_heads: int. The heads of the entities' attention, which divide E.
        entity_attention: bool. Whether entities read entities.
        dropout: float. Dropout rate of what is added to the residuals.
        attention_dropout: float. Dropout rate of the attention weights.
        activation: str. "gelu" (erf), "gelu_tanh" or another name that Keras knows.
        layer_norm_epsilon: float.
        kernel_initializer: initializer of all kernels; biases start at 0.

    Call arguments:
        content: tensor of shape (B, T, D), the states of tokens.
        entities: tensor of shape (B, T, E), those of entities.
        has_entity: bool tensor of shape (B, T), or None: all tokens have one.
        visible: bool tensor of shape (B, T, T) or (B, 1, T), which tokens are seen; or None: all.
        content_mask, entities_mask: bool tensors of shape (B, T) or None: the implicit masks, as
            Keras hands them over. They hide keys besides; what either leaves out has no entity.

    Returns:
        Tuple of tensors of shape (B, T, D) and (B, T, E).

    Raises:
        ValueError: if the entities have another width.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import KnowledgeFusionBlock

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    entities = np.random.normal(size=(2, 5, 6)).astype("float32")
    block = KnowledgeFusionBlock(2, 4, intermediate_dim=16, entity_dim=6, entity_heads=3)
    tokens, entities = block(content, entities, np.eye(2, 5, dtype=bool))
    assert tuple(tokens.shape) == (2, 5, 8) and tuple(entities.shape) == (2, 5, 6)
    ```

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), section 3.3, equations 2 to 5; the masks
    and the form without `entity_attention`: the released `modeling.py`, `BertLayerMix`.
    """

    masked_outputs = (True, True)

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        intermediate_dim: integer(1),
        entity_dim: integer(1),
        entity_heads: integer(1) = 4,
        entity_attention: flag() = True,
        dropout: number(0, 1) = 0.0,
        attention_dropout: number(0, 1) = 0.0,
        activation="gelu",
        layer_norm_epsilon: number(0) = 1e-12,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if entity_dim % entity_heads:
            raise ValueError(
                "`entity_dim` must be a multiple of `entity_heads`. Received: "
                f"entity_dim={entity_dim}, entity_heads={entity_heads}."
            )
        self.intermediate_dim = intermediate_dim
        self.entity_dim = entity_dim
        self.entity_heads = entity_heads
        self.activation = activation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        policy = self.dtype_policy

        def attention(heads, width, name):
            return ProjectedAttention(
                heads,
                width,
                dropout=attention_dropout,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=policy,
                name=name,
            )

        def norm(name):
            return make_norm("layer", layer_norm_epsilon, policy, name)

        self.attention = attention(num_heads, key_dim, "attention")
        self.attention_norm = norm("attention_norm")
        self.entity_attention = self.entity_attention_norm = None
        if entity_attention:
            head_dim = entity_dim // entity_heads
            self.entity_attention = attention(entity_heads, head_dim, "entity_attention")
            self.entity_attention_norm = norm("entity_attention_norm")
        self.intermediate = self._dense(intermediate_dim, "intermediate")
        self.entity_intermediate = self._dense(intermediate_dim, "entity_intermediate")
        self.activate = get_activation(activation)
        self.feedforward_norm = norm("feedforward_norm")
        self.entity_output = self._dense(entity_dim, "entity_output")
        self.entity_norm = norm("entity_norm")
        self.dropout = ReplayableDropout(dropout, dtype=policy, name="dropout")

    def _dense(self, units, name):
        """A feed-forward layer."""
        return keras.layers.Dense(
            units,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, content_shape, entities_shape):
        if entities_shape[-1] != self.entity_dim:
            raise ValueError(
                f"The block takes entities of the width {self.entity_dim}, its `entity_dim`. "
                f"Received: entities of shape {tuple(entities_shape)}."
            )
        hidden_shape = (*content_shape[:-1], self.intermediate_dim)
        self.feedforward_output = self._dense(content_shape[-1], "feedforward_output")
        for layer in (self.attention, self.attention_norm, self.intermediate):
            layer.build(content_shape)
        if self.entity_attention is not None:
            self.entity_attention.build(entities_shape)
            self.entity_attention_norm.build(entities_shape)
        self.entity_intermediate.build(entities_shape)
        self.feedforward_output.build(hidden_shape)
        self.feedforward_norm.build(content_shape)
        self.entity_output.build(hidden_shape)
        self.entity_norm.build(entities_shape)

    def call(
        self,
        content,
        entities,
        has_entity=None,
        visible=None,
        training=None,
        content_mask=None,
        entities_mask=None,
    ):
        def added(norm, rows, change):
            return norm(rows + self.dropout(change, training=training))

        seen = hide_masked(visible, content_mask)
        attended = self.attention(content, visible=seen, training=training)
        tokens = added(self.attention_norm, content, attended)  # (B, T, D)
        keys = None if has_entity is None else ops.cast(has_entity, "bool")[:, None]  # (B, 1, T)
        keys = hide_masked(keys, content_mask, entities_mask)
        if self.entity_attention is not None:
            attended = self.entity_attention(entities, visible=keys, training=training)
            entities = added(self.entity_attention_norm, entities, attended)  # (B, T, E)
        if keys is not None:
            entities = ops.where(keys[:, 0, :, None], entities, ops.zeros_like(entities))
        hidden = self.intermediate(tokens) + self.entity_intermediate(entities)
        hidden = self.activate(hidden)  # (B, T, F)
        return (
            added(self.feedforward_norm, tokens, self.feedforward_output(hidden)),
            added(self.entity_norm, entities, self.entity_output(hidden)),
        )

    def compute_output_spec(self, content, entities, *args, **kwargs):
        return tuple(
            keras.KerasTensor(one.shape, dtype=self.compute_dtype) for one in (content, entities)
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.attention.num_heads,
            "key_dim": self.attention.key_dim,
            "intermediate_dim": self.intermediate_dim,
            "entity_dim": self.entity_dim,
            "entity_heads": self.entity_heads,
            "entity_attention": self.entity_attention is not None,
            "dropout": self.dropout.rate,
            "attention_dropout": self.attention.dropout.rate,
            "activation": self.activation,
            "layer_norm_epsilon": self.attention_norm.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
