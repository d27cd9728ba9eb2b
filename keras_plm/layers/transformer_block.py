"""The block of the original Transformer: norms after the sublayers, or before them."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, number
from keras_plm.layers.activation import get_activation
from keras_plm.layers.initializer import initializer
from keras_plm.layers.projected_attention import ProjectedAttention
from keras_plm.layers.replayable_dropout import ReplayableDropout, rematerialise
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class TransformerBlock(SequenceLayer):
    """Attention and a feed-forward network, each with a residual connection and a norm.

    The block projects keys and values once, from the content rows, and lets any rows read them.
    Called, it is a block over content rows; `TwoStream(block)` reads for query rows as well, with
    the same weights, and `AttentionMaps(block)` returns what the rows read.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        intermediate_dim: int. The feed-forward width F.
        dropout: float. Dropout rate of the two sublayers' outputs.
        attention_dropout: float. Dropout rate of the attention weights.
        activation: str. "gelu" (erf), "gelu_tanh" or another name that Keras knows.
        normalize_first: bool. Whether the norm comes before each sublayer (GPT-2) or after its
            residual (BERT).
        layer_norm_epsilon: float.
        remat: bool. Whether training computes the block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        kernel_initializer: initializer of all kernels; biases start at 0.
        output_initializer: initializer of the two kernels whose products are added to the
            residual; None: as the others.

    Call arguments:
        content: tensor of shape (B, T, D).
        visible, causal, bias, mask, content_mask: as in `ProjectedAttention`.

    Returns:
        Tensor of shape (B, T, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import TransformerBlock

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    block = TransformerBlock(num_heads=2, key_dim=4, intermediate_dim=16)
    assert tuple(block(content).shape) == (2, 5, 8)
    ```

    Source: Vaswani et al., arXiv:1706.03762, section 3.1; norms first: GPT-2 (Radford et al.
    2019), section 2.3.
    """

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        intermediate_dim: integer(1),
        dropout: number(0, 1) = 0.0,
        attention_dropout: number(0, 1) = 0.0,
        activation="gelu",
        normalize_first: flag() = False,
        layer_norm_epsilon: number(0) = 1e-12,
        remat: flag() = False,
        kernel_initializer: initializer() = "glorot_uniform",
        output_initializer: initializer(none=True) = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.normalize_first = normalize_first
        self.remat = remat
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        policy = self.dtype_policy
        self.attention = ProjectedAttention(
            num_heads,
            key_dim,
            dropout=attention_dropout,
            kernel_initializer=self.kernel_initializer.clone(),
            output_initializer=self.output_initializer and self.output_initializer.clone(),
            dtype=policy,
            name="attention",
        )
        self.attention_dropout = ReplayableDropout(dropout, dtype=policy)
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=policy, name="attention_norm"
        )
        self.intermediate = keras.layers.Dense(
            intermediate_dim,
            activation=get_activation(activation),
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=policy,
            name="intermediate",
        )
        self.feedforward_dropout = ReplayableDropout(dropout, dtype=policy)
        self.feedforward_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=policy, name="feedforward_norm"
        )

    def build(self, content_shape):
        hidden_dim = content_shape[-1]
        self.feedforward_output = keras.layers.Dense(
            hidden_dim,
            kernel_initializer=(self.output_initializer or self.kernel_initializer).clone(),
            dtype=self.dtype_policy,
            name="feedforward_output",
        )
        self.attention.build(content_shape)
        self.attention_norm.build(content_shape)
        self.intermediate.build(content_shape)
        self.feedforward_output.build((*content_shape[:-1], self.intermediate_dim))
        self.feedforward_norm.build(content_shape)

    def project(self, content):
        """Project what rows read.

        Args:
            content: tensor of shape (B, T, D).

        Returns:
            Pair of tensors of shape (B, T, H, K).
        """
        return self.attention.project(self._before(self.attention_norm, content))

    def read(
        self, rows, projection, visible=None, causal=False, bias=None, weights=False, training=None
    ):
        """Let rows go through the block, reading a projection; see `ProjectedAttention.read`.

        Returns:
            Tensor of the shape of `rows`, (B, R, D); with `weights` a pair of it and the
            attention weights (B, H, R, S).
        """
        attended = self.attention.read(
            self._before(self.attention_norm, rows),
            projection,
            visible,
            causal,
            bias,
            weights,
            training,
        )
        attended, shares = attended if weights else (attended, None)
        attended = self.attention_dropout(attended, training=training)
        rows = self._after(self.attention_norm, rows + attended)  # (B, R, D)
        # In one axis: TensorFlow's graphs fuse bias and GELU into products of matrices alone.
        flat = ops.reshape(self._before(self.feedforward_norm, rows), (-1, rows.shape[-1]))
        hidden = ops.reshape(self.feedforward_output(self.intermediate(flat)), ops.shape(rows))
        hidden = self.feedforward_dropout(hidden, training=training)
        rows = self._after(self.feedforward_norm, rows + hidden)  # (B, R, D)
        return (rows, shares) if weights else rows

    def _before(self, norm, rows):
        """What a sublayer takes."""
        return norm(rows) if self.normalize_first else rows

    def _after(self, norm, rows):
        """What comes after the residual."""
        return rows if self.normalize_first else norm(rows)

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

        def compute(content, bias):
            projection = self.project(content)
            return self.read(content, projection, visible, causal, bias, training=training)

        return self.compute(compute, 1, training, content, bias)

    def compute(self, function, reads, training, *values):
        """Call a function that reads with this block; with `remat`, again in the backward pass.

        Args:
            function: function of the values.
            reads: int. How often it calls `read`.
            training: bool or None.
            values: what gradients go through, and what else the function takes.
        """
        if not (self.remat and training):
            return function(*values)
        dropouts = [self.attention.dropout, self.attention_dropout, self.feedforward_dropout]
        return rematerialise(function, dropouts, reads, *values)

    def compute_output_spec(self, content, *args, **kwargs):
        return keras.KerasTensor(content.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.attention.num_heads,
            "key_dim": self.attention.key_dim,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.feedforward_dropout.rate,
            "attention_dropout": self.attention.dropout.rate,
            "activation": self.activation,
            "normalize_first": self.normalize_first,
            "layer_norm_epsilon": self.attention_norm.epsilon,
            "remat": self.remat,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }
