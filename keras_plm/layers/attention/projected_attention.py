"""Attention whose keys and values are projected once and read by any rows."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, number
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import attend, attention_weights, hide_masked


@keras.saving.register_keras_serializable(package="keras_plm")
class ProjectedAttention(SequenceLayer):
    """Multi-head attention in two steps: `project` the content, let rows `read` the projection.

    Keys and values come from content rows only. Called, the content reads itself.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        dropout: float. Dropout rate of the attention weights.
        kernel_initializer: initializer of the four projections; their biases start at 0.
        output_initializer: initializer of the last of them; None: as the others.
        use_bias: bool. Whether the projections have biases (not in T5).
        scale_scores: bool. Whether scores are divided by the root of K (not in T5, whose initial
            queries are smaller in its place).
        query_initializer: initializer of the projection of the rows; None: as the others.

    Call arguments:
        content: tensor of shape (B, T, D).
        visible: bool tensor of shape (B, T, T), or (B, 1, T) if all rows see the same, or None:
            all is visible.
        causal: bool. Whether row i sees, besides, no key after i.
        bias: float tensor of shape (B or 1, H, T, T), added to the scores, or None.
        mask, content_mask: bool tensors of shape (B, T) or None: the implicit mask, as Keras hands
            it over. It hides keys besides.

    Returns:
        Tensor of shape (B, T, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ProjectedAttention

    content = np.random.normal(size=(2, 5, 8)).astype("float32")
    attention = ProjectedAttention(num_heads=2, key_dim=4)
    assert tuple(attention(content, causal=True).shape) == (2, 5, 8)
    ```

    Source: Vaswani et al., arXiv:1706.03762, section 3.2.2.
    """

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        dropout: number(0, 1) = 0.0,
        kernel_initializer: initializer() = "glorot_uniform",
        output_initializer: initializer(none=True) = None,
        use_bias: flag() = True,
        scale_scores: flag() = True,
        query_initializer: initializer(none=True) = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.use_bias = use_bias
        self.scale_scores = scale_scores
        self.query_initializer = keras.initializers.get(query_initializer)
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, content_shape):
        hidden_dim = content_shape[-1]
        for name in ("query", "key", "value"):
            heads = (None, self.num_heads, self.key_dim)
            first = self.query_initializer if name == "query" else None
            first = first or self.kernel_initializer
            projection = self._dense("btd,dhk->bthk", heads, first, name)
            projection.build((None, None, hidden_dim))
            setattr(self, name, projection)
        last = self.output_initializer or self.kernel_initializer
        self.attention_output = self._dense(
            "bthk,hkd->btd", (None, hidden_dim), last, "attention_output"
        )
        self.attention_output.build((None, None, self.num_heads, self.key_dim))

    def _dense(self, equation, output_shape, initializer, name):
        """A projection, with a bias over all axes that it makes."""
        axes = "hk" if len(output_shape) == 3 else "d"
        projection = keras.layers.EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=axes if self.use_bias else None,
            kernel_initializer=initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
        projection.supports_masking = True  # which Keras leaves to the equation
        return projection

    def project(self, content):
        """Project keys and values.

        Args:
            content: tensor of shape (B, S, D).

        Returns:
            Pair of tensors of shape (B, S, H, K).
        """
        return self.key(content), self.value(content)

    def read(
        self, rows, projection, visible=None, causal=False, bias=None, weights=False, training=None
    ):
        """Let rows read a projection.

        Args:
            rows: tensor of shape (B, R, D), or (B * W, R, D): the rows of W beams of each text,
                one after the other, all of which read its projection.
            projection: pair, from `project`.
            visible, causal, bias: as in the call, with R rows and S keys.
            weights: bool. Whether the attention weights are returned as well.
            training: bool or None.

        Returns:
            Tensor of shape (B, R, D); with `weights` a pair of it and the weights before dropout,
            (B, H, R, S), float32.

        Raises:
            ValueError: if the rows are of another number of texts, or of beams that read so.
        """
        key, value = projection  # (B, S, H, K)
        if None not in (rows.shape[0], key.shape[0]) and rows.shape[0] != key.shape[0]:
            if causal or bias is not None or weights or rows.shape[0] % key.shape[0]:
                raise ValueError(
                    "Rows must be those of the projection's texts, or of as many beams of each, "
                    "which read without `causal`, `bias` and `weights`. Received: "
                    f"{rows.shape[0]} rows of {key.shape[0]} texts, causal={causal}, bias "
                    f"{'not ' * (bias is not None)}None, weights={weights}."
                )
            beams = ops.reshape(rows, (key.shape[0], -1, rows.shape[-1]))  # (B, W * R, D)
            return ops.reshape(self.read(beams, projection, visible), rows.shape)
        query = self.query(rows)  # (B, R, H, K)
        scale = None if self.scale_scores else 1.0
        if not weights and not (training and self.dropout.rate > 0):
            return self.attention_output(attend(query, key, value, visible, causal, bias, scale))
        shares = attention_weights(query, key, visible, causal, bias, scale)  # (B, H, R, S)
        dropped = self.dropout(ops.cast(shares, value.dtype), training=training)
        values = ops.einsum("bhrs,bshk->brhk", dropped, value)  # (B, R, H, K)
        output = self.attention_output(values)
        return (output, shares) if weights else output

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
        return self.read(content, self.project(content), visible, causal, bias, training=training)

    def compute_output_spec(self, content, *args, **kwargs):
        return keras.KerasTensor(content.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "dropout": self.dropout.rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "use_bias": self.use_bias,
            "scale_scores": self.scale_scores,
            "query_initializer": keras.initializers.serialize(self.query_initializer),
        }
