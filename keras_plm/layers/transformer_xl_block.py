"""The block of Transformer-XL and XLNet: norms after the sublayers, or before them."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, kind, number
from keras_plm.layers.activation import get_activation
from keras_plm.layers.attention.attention_biases import AttentionBiases
from keras_plm.layers.attention.two_stream_attention import TwoStreamAttention
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout, rematerialise
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked, mask_of_keys


@keras.saving.register_keras_serializable(package="keras_plm")
class TransformerXLBlock(SequenceLayer):
    """Relative attention and a feed-forward network, each with a residual connection and a norm.

    The block projects keys and values once, from the content rows, and lets any rows read them.
    Called, it is a block over content rows; `TwoStream(block)` reads for query rows as well,
    with the same weights.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        intermediate_dim: int. The feed-forward width F.
        segments: bool. Whether attention has a segment term.
        dropout: float. Dropout rate of the two sublayers' outputs.
        attention_dropout: float. Dropout rate of the attention weights.
        activation_dropout: float. Dropout rate after the feed-forward activation.
        activation: str. "gelu_tanh", "gelu" (erf) or another name that Keras knows.
        normalize_first: bool. Whether the norm comes before each sublayer, also of the memory
            (Transformer-XL's `pre_lnorm`), or after its residual.
        layer_norm_epsilon: float.
        biases: `AttentionBiases` that other blocks share, or None: a set of its own.
        remat: bool. Whether training computes the block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        kernel_initializer: initializer of all kernels; biases of the feed-forward start at 0.

    Call arguments:
        content: tensor of shape (B, T, D).
        position_encoding, memory, backward, content_mask, memory_mask: as in
            `TwoStreamAttention`.
        visible: bool tensor of shape (B, T, S), S = M + T, or None: all is visible.
        same_segment: bool tensor of shape (B, T, S) or None: no segment term.

    Returns:
        Tensor of shape (B, T, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding, TransformerXLBlock

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    block = TransformerXLBlock(num_heads=2, key_dim=4, intermediate_dim=16)
    output = block(content, RelativePositionEncoding(8)(content))
    assert tuple(output.shape) == (2, 5, 8)
    ```

    Source: XLNet, arXiv:1906.08237, appendix A.2; Transformer-XL, arXiv:1901.02860, section 3.3.
    """

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        intermediate_dim: integer(1),
        segments: flag() = True,
        dropout: number(0, 1) = 0.0,
        attention_dropout: number(0, 1) = 0.0,
        activation_dropout: number(0, 1) = 0.0,
        activation="gelu_tanh",
        layer_norm_epsilon: number(0) = 1e-12,
        biases: kind(AttentionBiases, none=True) = None,
        remat: flag() = False,
        kernel_initializer: initializer() = "glorot_uniform",
        normalize_first: flag() = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.remat = remat
        self.normalize_first = normalize_first
        self.activation = activation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        policy = self.dtype_policy
        self.attention = TwoStreamAttention(
            num_heads,
            key_dim,
            segments=segments,
            dropout=attention_dropout,
            biases=biases,
            kernel_initializer=self.kernel_initializer.clone(),
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
        self.activation_dropout = ReplayableDropout(activation_dropout, dtype=policy)
        self.feedforward_dropout = ReplayableDropout(dropout, dtype=policy)
        self.feedforward_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=policy, name="feedforward_norm"
        )

    def build(self, content_shape):
        hidden_dim = content_shape[-1]
        self.feedforward_output = keras.layers.Dense(
            hidden_dim,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="feedforward_output",
        )
        self.attention.build(content_shape)
        self.attention_norm.build(content_shape)
        self.intermediate.build(content_shape)
        self.feedforward_output.build((*content_shape[:-1], self.intermediate_dim))
        self.feedforward_norm.build(content_shape)

    def project(self, content, position_encoding, memory=None, backward=None):
        """Project what rows read; see `TwoStreamAttention.project`."""
        content, memory = self._before_attention(content), self._before_attention(memory)
        return self.attention.project(content, position_encoding, memory, backward)

    def project_tokens(self, content):
        """Project keys and values of some more tokens, without positions.

        Args:
            content: tensor of shape (B, R, D).

        Returns:
            Pair of tensors of shape (B, R, H, K).
        """
        content = self._before_attention(content)
        return self.attention.key(content), self.attention.value(content)

    def read(
        self, rows, projection, visible=None, same_segment=None, positions=None, training=None
    ):
        """Let rows go through the block, reading a projection; see `TwoStreamAttention.read`.

        Returns:
            Tensor of the shape of `rows`, (B, R, D).
        """
        asking = self._before_attention(rows)
        attended = self.attention.read(
            asking, projection, visible, same_segment, positions, training
        )
        rows = rows + self.attention_dropout(attended, training=training)  # (B, R, D)
        if not self.normalize_first:
            rows = self.attention_norm(rows)
        flat = self.feedforward_norm(rows) if self.normalize_first else rows
        # In one axis: TensorFlow's graphs fuse bias and GELU into products of matrices alone.
        flat = ops.reshape(flat, (-1, rows.shape[-1]))  # (B R, D)
        flat = self.activation_dropout(self.intermediate(flat), training=training)  # (B R, F)
        hidden = ops.reshape(self.feedforward_output(flat), ops.shape(rows))
        rows = rows + self.feedforward_dropout(hidden, training=training)
        return rows if self.normalize_first else self.feedforward_norm(rows)  # (B, R, D)

    def _before_attention(self, content):
        """What attention takes of content, rows or a memory that may be None."""
        if content is None or not self.normalize_first:
            return content
        return self.attention_norm(content)

    def call(
        self,
        content,
        position_encoding,
        memory=None,
        visible=None,
        same_segment=None,
        backward=None,
        training=None,
        content_mask=None,
        memory_mask=None,
    ):
        visible = hide_masked(visible, mask_of_keys(content, content_mask, memory, memory_mask))

        def compute(content, memory=None):
            projection = self.project(content, position_encoding, memory, backward)
            return self.read(content, projection, visible, same_segment, training=training)

        return self.compute(compute, 1, training, content, *[memory] * (memory is not None))

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
        dropouts = [
            self.attention.dropout,
            self.attention_dropout,
            self.activation_dropout,
            self.feedforward_dropout,
        ]
        return rematerialise(function, dropouts, reads, *values)

    def compute_output_spec(self, content, *args, **kwargs):
        return keras.KerasTensor(content.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.attention.num_heads,
            "key_dim": self.attention.key_dim,
            "intermediate_dim": self.intermediate_dim,
            "segments": self.attention.segment_encoding is not None,
            "dropout": self.feedforward_dropout.rate,
            "attention_dropout": self.attention.dropout.rate,
            "activation_dropout": self.activation_dropout.rate,
            "activation": self.activation,
            "layer_norm_epsilon": self.attention_norm.epsilon,
            "biases": self.attention.get_config()["biases"],
            "remat": self.remat,
            "normalize_first": self.normalize_first,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        biases = keras.saving.deserialize_keras_object(config.get("biases"))
        return cls(**{**config, "biases": biases})
