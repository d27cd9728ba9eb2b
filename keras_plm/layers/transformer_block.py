"""The block of the original Transformer, of encoders and of decoders that read a source."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, choice, flag, integer, number
from keras_plm.layers.activation import get_activation
from keras_plm.layers.attention.projected_attention import ProjectedAttention
from keras_plm.layers.initializer import initializer
from keras_plm.layers.norm import NORMS, make_norm
from keras_plm.layers.replayable_dropout import ReplayableDropout, rematerialise
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class TransformerBlock(SequenceLayer):
    """Attention and a feed-forward network, each with a residual connection and a norm.

    The block projects keys and values once, from the content rows, and lets any rows read them.
    Called, it is a block over content rows; `TwoStream(block)` reads for query rows as well, with
    the same weights, and `AttentionMaps(block)` returns what the rows read.

    With `cross_attention` a third sublayer stands between the two: the rows read another sequence
    as well, the source, which `project_source` projects once.

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
        norm: str. "layer" or "rms", which has no mean and no offset (T5).
        use_bias: bool. Whether projections and feed-forward layers have biases (not in T5).
        scale_scores: bool. Whether scores are divided by the root of K (not in T5).
        gated: bool. Whether the activated feed-forward layer is multiplied with a second one that
            is not activated (T5 1.1).
        cross_attention: bool. Whether rows read a source as well.
        activation_dropout: float. Dropout rate inside the feed-forward network.
        query_initializer: initializer of the projections of rows; None: as the others.

    Call arguments:
        content: tensor of shape (B, T, D).
        visible, causal, bias, mask, content_mask: as in `ProjectedAttention`.
        source: tensor of shape (B, N, D), which a block with `cross_attention` needs.
        source_visible: bool tensor of shape (B, T, N), or (B, 1, N), or None: all is visible.
        source_mask: bool tensor of shape (B, N) or None: the implicit mask of the source.

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
    2019), section 2.3; gated: Shazeer, arXiv:2002.05202.
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
        norm: choice(NORMS) = "layer",
        use_bias: flag() = True,
        scale_scores: flag() = True,
        gated: flag() = False,
        cross_attention: flag() = False,
        activation_dropout: number(0, 1) = 0.0,
        query_initializer: initializer(none=True) = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.normalize_first = normalize_first
        self.remat = remat
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.query_initializer = keras.initializers.get(query_initializer)
        self.norm = norm
        self.use_bias = use_bias
        self.gated = gated
        policy = self.dtype_policy

        def attention(name):
            return ProjectedAttention(
                num_heads,
                key_dim,
                dropout=attention_dropout,
                kernel_initializer=self.kernel_initializer.clone(),
                output_initializer=self.output_initializer and self.output_initializer.clone(),
                use_bias=use_bias,
                scale_scores=scale_scores,
                query_initializer=self.query_initializer and self.query_initializer.clone(),
                dtype=policy,
                name=name,
            )

        self.attention = attention("attention")
        self.attention_dropout = ReplayableDropout(dropout, dtype=policy)
        self.attention_norm = make_norm(norm, layer_norm_epsilon, policy, "attention_norm")
        self.cross_attention = None
        if cross_attention:
            self.cross_attention = attention("cross_attention")
            self.cross_attention_dropout = ReplayableDropout(dropout, dtype=policy)
            self.cross_attention_norm = make_norm(
                norm, layer_norm_epsilon, policy, "cross_attention_norm"
            )
        self.intermediate = self._dense(
            intermediate_dim, self.kernel_initializer, "intermediate", get_activation(activation)
        )
        self.multiplier = None
        if gated:
            self.multiplier = self._dense(intermediate_dim, self.kernel_initializer, "multiplier")
        self.activation_dropout = ReplayableDropout(activation_dropout, dtype=policy)
        self.feedforward_dropout = ReplayableDropout(dropout, dtype=policy)
        self.feedforward_norm = make_norm(norm, layer_norm_epsilon, policy, "feedforward_norm")

    def _dense(self, units, initializer, name, activation=None):
        """A feed-forward layer."""
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, content_shape):
        last = self.output_initializer or self.kernel_initializer
        self.feedforward_output = self._dense(content_shape[-1], last, "feedforward_output")
        self.attention.build(content_shape)
        self.attention_norm.build(content_shape)
        if self.cross_attention is not None:
            self.cross_attention.build(content_shape)
            self.cross_attention_norm.build(content_shape)
        self.intermediate.build(content_shape)
        if self.multiplier is not None:
            self.multiplier.build(content_shape)
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

    def project_source(self, source):
        """Project what the rows of a block with `cross_attention` read besides.

        Args:
            source: tensor of shape (B, N, D).

        Returns:
            Pair of tensors of shape (B, N, H, K).
        """
        return self.cross_attention.project(source)

    def read(
        self,
        rows,
        projection,
        visible=None,
        causal=False,
        bias=None,
        weights=False,
        training=None,
        source=None,
        source_visible=None,
    ):
        """Let rows go through the block, reading a projection; see `ProjectedAttention.read`.

        Args:
            source: pair, from `project_source`.
            source_visible: as in the call, with R rows.

        Returns:
            Tensor of the shape of `rows`, (B, R, D); with `weights` a tuple of it, the attention
            weights (B, H, R, S) and, with `cross_attention`, those of the source (B, H, R, N).
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
        all_shares = [shares]
        if self.cross_attention is not None:
            norm = self.cross_attention_norm
            attended = self.cross_attention.read(
                self._before(norm, rows), source, source_visible, weights=weights, training=training
            )
            attended, shares = attended if weights else (attended, None)
            attended = self.cross_attention_dropout(attended, training=training)
            rows = self._after(norm, rows + attended)  # (B, R, D)
            all_shares.append(shares)
        rows = self._feed_forward(rows, training)
        return (rows, *all_shares) if weights else rows

    def _feed_forward(self, rows, training):
        """The last sublayer."""
        # In one axis: TensorFlow's graphs fuse bias and GELU into products of matrices alone.
        flat = ops.reshape(self._before(self.feedforward_norm, rows), (-1, rows.shape[-1]))
        hidden = self.intermediate(flat)  # (B R, F)
        if self.multiplier is not None:
            hidden = hidden * self.multiplier(flat)
        hidden = self.activation_dropout(hidden, training=training)
        hidden = ops.reshape(self.feedforward_output(hidden), ops.shape(rows))
        hidden = self.feedforward_dropout(hidden, training=training)
        return self._after(self.feedforward_norm, rows + hidden)  # (B, R, D)

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
        source=None,
        source_visible=None,
        source_mask=None,
    ):
        visible = hide_masked(visible, mask, content_mask)
        source_visible = hide_masked(source_visible, source_mask)
        self.check_source(source)

        def compute(content, bias, source):
            options = {"source_visible": source_visible, "training": training}
            if source is not None:
                options["source"] = self.project_source(source)
            return self.read(content, self.project(content), visible, causal, bias, **options)

        return self.compute(compute, 1, training, content, bias, source)

    def check_source(self, source):
        """Refuse a source that the block does not read, or a missing one.

        Args:
            source: tensor or None.

        Raises:
            ValueError: naming the block, and what it was given.
        """
        if (source is None) == (self.cross_attention is not None):
            received = "none" if source is None else f"one of shape {source.shape}"
            raise ValueError(
                f"A block takes a `source` if it has `cross_attention`, and only then. {self.name} "
                f"has cross_attention={self.cross_attention is not None}. Received: {received}."
            )

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
        dropouts = [self.attention.dropout, self.attention_dropout]
        if self.cross_attention is not None:
            dropouts += [self.cross_attention.dropout, self.cross_attention_dropout]
        dropouts += [self.activation_dropout, self.feedforward_dropout]
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
            "norm": self.norm,
            "use_bias": self.use_bias,
            "scale_scores": self.attention.scale_scores,
            "gated": self.gated,
            "cross_attention": self.cross_attention is not None,
            "activation_dropout": self.activation_dropout.rate,
            "query_initializer": keras.initializers.serialize(self.query_initializer),
        }
