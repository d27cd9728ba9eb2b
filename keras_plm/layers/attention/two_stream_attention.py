"""Transformer-XL's relative attention, read by content rows and by query rows."""

from collections import namedtuple

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, integer, kind, number
from keras_plm.layers.attention.attention_biases import AttentionBiases
from keras_plm.layers.initializer import initializer
from keras_plm.layers.positions.relative_segment_encoding import RelativeSegmentEncoding
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import (
    factorised_scores,
    hide_masked,
    mask_of_keys,
    relative_gather,
    relative_shift,
)
from keras_plm.ops.keras_internals import set_keras_mask

# What rows read: keys (B, S, H, K), values (B, S, H, K), positions (C, H, K) or (B, C, H, K), by
# distance or by feature; the features of rows (T, G) and keys (S, G); the segment's length T.
Projection = namedtuple(
    "Projection",
    ["key", "value", "position", "row_features", "key_features", "query_length"],
)


@keras.saving.register_keras_serializable(package="keras_plm")
class TwoStreamAttention(SequenceLayer):
    """Relative attention whose keys are projected once and read by two kinds of rows.

    Keys and values come from the content rows (and from the memory in front of them) and never
    from query rows, so nobody sees a query row: it can stand at the position of a token, read
    the others, and predict the token without seeing it. Both kinds of rows read with the same
    weights.

        score = ((q + u) . k + (q + v) . r + (q + w) . s) / sqrt(K)      r by distance, s by segment

    A row that sees no key gets 0.

    Args:
        num_heads: int. The heads H.
        key_dim: int. The width K of a head.
        segments: bool. Whether there is a segment term (XLNet) or not (Transformer-XL).
        dropout: float. Dropout rate of the attention weights.
        biases: `AttentionBiases` that other layers share, or None: a set of its own.
        kernel_initializer: initializer of the five projections, the biases and the table.

    Call arguments:
        content: tensor of shape (B, T, D).
        position_encoding: tuple of three tensors, from `RelativePositionEncoding`.
        query: tensor of shape (B, P, D) or None. Query rows.
        query_positions: int tensor of shape (B, P): the position that each query row stands at.
        memory: tensor of shape (B, M, D) or None. Content of the M tokens before the segment.
        content_visible: bool tensor of shape (B, T, S), S = M + T, or None: all is visible.
        query_visible: bool tensor of shape (B, P, S) or None.
        content_same_segment: bool tensor of shape (B, T, S), or None: no segment term.
        query_same_segment: bool tensor of shape (B, P, S) or None.
        backward: bool tensor of shape (B,) or None: rows that were read right to left; needs
            a position encoding of both directions.
        content_mask, memory_mask: bool tensors of shape (B, T) and (B, M) or None: the implicit
            masks, as Keras hands them over. They hide keys from both kinds of rows, besides.
        query_mask: bool tensor of shape (B, P) or None: the implicit mask of the query rows, which
            their output has.

    Returns:
        Tensor of shape (B, T, D); with `query` a pair, of shapes (B, T, D) and (B, P, D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RelativePositionEncoding, TwoStreamAttention
    from keras_plm.ops import content_visibility, query_visibility

    content = np.random.normal(size=(1, 4, 8)).astype("float32")
    query = np.random.normal(size=(1, 2, 8)).astype("float32")
    order = np.array([[0, 2, 0, 1]])  # token 3 is predicted first, then token 1
    targets = np.array([[1, 3]])
    attention = TwoStreamAttention(num_heads=2, key_dim=4, segments=False)
    content_output, query_output = attention(
        content,
        RelativePositionEncoding(8)(content),
        query=query,
        query_positions=targets,
        content_visible=content_visibility(order),
        query_visible=query_visibility(order, targets),
    )
    assert tuple(query_output.shape) == (1, 2, 8)
    ```

    Source: XLNet, arXiv:1906.08237, section 2.3; relative attention: Transformer-XL,
    arXiv:1901.02860, section 3.3.
    """

    @check_arguments
    def __init__(
        self,
        num_heads: integer(1),
        key_dim: integer(1),
        segments: flag() = True,
        dropout: number(0, 1) = 0.0,
        biases: kind(AttentionBiases, none=True) = None,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.has_own_biases = biases is None
        if biases is None:
            biases = AttentionBiases(
                num_heads,
                key_dim,
                segments=segments,
                initializer=self._initializer(),
                dtype=self.dtype_policy,
                name="biases",
            )
        self.biases = biases
        self.segment_encoding = None
        if segments:
            self.segment_encoding = RelativeSegmentEncoding(
                num_heads,
                key_dim,
                use_bias=False,
                kernel_initializer=self._initializer(),
                dtype=self.dtype_policy,
                name="segment_encoding",
            )

    def build(self, content_shape):
        hidden_dim = content_shape[-1]
        head_shape = (self.num_heads, self.key_dim)
        for name in ("query", "key", "value", "position"):
            projection = keras.layers.EinsumDense(
                "btd,dhk->bthk",
                output_shape=(None, *head_shape),
                kernel_initializer=self._initializer(),
                dtype=self.dtype_policy,
                name=name,
            )
            projection.supports_masking = True  # which Keras leaves to the equation
            projection.build((None, None, hidden_dim))
            setattr(self, name, projection)
        self.attention_output = keras.layers.EinsumDense(
            "bthk,dhk->btd",
            output_shape=(None, hidden_dim),
            kernel_initializer=self._initializer(),
            dtype=self.dtype_policy,
            name="attention_output",
        )
        self.attention_output.build((None, None, *head_shape))
        if not self.biases.built:
            self.biases.build((None, None, *head_shape))
        if self.segment_encoding is not None:
            self.segment_encoding.build((None, None, *head_shape))

    def project(self, content, position_encoding, memory=None, backward=None):
        """Project what rows read, once: keys and values of memory and content, and positions.

        Args:
            content, position_encoding, memory, backward: as in the call.

        Returns:
            `Projection` of a key and a value (B, S, H, K) and positions (C, H, K) or, with
            `backward`, (B, C, H, K).
        """
        query_length = ops.shape(content)[1]  # T
        if memory is not None:
            content = ops.concatenate([memory, content], axis=1)  # (B, S, D)
        positions = self.project_positions(position_encoding, query_length, backward)
        key, value = self.key(content), self.value(content)  # (B, S, H, K)
        return positions._replace(key=key, value=value)

    def project_positions(self, position_encoding, query_length, backward=None):
        """Project positions alone, which rows that are read one after the other share.

        Args:
            position_encoding, backward: as in the call.
            query_length: int. The T tokens of the segment.

        Returns:
            `Projection` without key and value.
        """
        table, row_features, key_features = position_encoding
        position = self.position(table)  # (1 or 2, C, H, K)
        if backward is None:
            position = position[0]  # (C, H, K)
        else:
            position = ops.take(position, ops.cast(backward, "int32"), axis=0)  # (B, C, H, K)
        return Projection(None, None, position, row_features, key_features, query_length)

    def read(
        self, rows, projection, visible=None, same_segment=None, positions=None, training=None
    ):
        """Let rows read a projection.

        Args:
            rows: tensor of shape (B, R, D): the content rows of the segment, or query rows.
            projection: `Projection`, from `project`.
            visible: bool tensor of shape (B, R, S), or (B, 1, S) if all rows see the same, or None.
            same_segment: bool tensor of shape (B, R, S) or None.
            positions: int tensor of shape (B, R): where each row stands; None: rows 0 .. T-1.
            training: bool or None.

        Returns:
            Tensor of shape (B, R, D).
        """
        query = self.query(rows)  # (B, R, H, K)
        content_query, position_query, segment_query = self.biases(query)
        score = ops.einsum("brhk,bshk->bhrs", content_query, projection.key)  # (B, H, R, S)
        score = score + self._position_score(position_query, projection, positions)
        if same_segment is not None and self.segment_encoding is not None:
            score = score + self.segment_encoding(segment_query, same_segment)
        score = ops.cast(score, "float32") * self.key_dim**-0.5
        if visible is not None:
            score = ops.where(visible[:, None], score, -1e30)
        weights = ops.cast(ops.softmax(score, axis=-1), query.dtype)  # (B, H, R, S)
        weights = self.dropout(weights, training=training)
        values = ops.einsum("bhrs,bshk->brhk", weights, projection.value)  # (B, R, H, K)
        if visible is not None:
            sees_any = ops.any(visible, axis=-1)[:, :, None, None]  # (B, R, 1, 1)
            values = ops.where(sees_any, values, ops.zeros_like(values))
        return self.attention_output(values)

    def _position_score(self, query, projection, positions):
        """The position term (B, H, R, S) of rows that stand at `positions`."""
        columns = "chk" if len(projection.position.shape) == 3 else "bchk"
        by_column = ops.einsum(f"brhk,{columns}->bhrc", query, projection.position)  # (B, H, R, C)
        if projection.key_features.shape[0] != 0:
            features = projection.row_features, projection.key_features
            return factorised_scores(by_column, *features, positions)
        key_length = ops.shape(projection.key)[1]  # S
        if positions is None:
            return relative_shift(by_column, key_length)
        return relative_gather(by_column, positions, projection.query_length, key_length)

    def call(
        self,
        content,
        position_encoding,
        query=None,
        query_positions=None,
        memory=None,
        content_visible=None,
        query_visible=None,
        content_same_segment=None,
        query_same_segment=None,
        backward=None,
        training=None,
        content_mask=None,
        memory_mask=None,
        query_mask=None,
    ):
        keys = mask_of_keys(content, content_mask, memory, memory_mask)  # (B, S)
        content_visible = hide_masked(content_visible, keys)
        projection = self.project(content, position_encoding, memory, backward)
        content = self.read(
            content, projection, content_visible, content_same_segment, training=training
        )
        if query is None:
            return content
        query_visible = hide_masked(query_visible, keys)
        query = self.read(
            query, projection, query_visible, query_same_segment, query_positions, training
        )
        set_keras_mask(query, query_mask)
        return content, query

    def compute_output_spec(
        self, content, position_encoding, query=None, *args, query_mask=None, **kwargs
    ):
        content = keras.KerasTensor(content.shape, dtype=self.compute_dtype)
        if query is None:
            return content
        query = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        set_keras_mask(query, query_mask)
        return content, query

    def _initializer(self):
        """A fresh copy: one unseeded initializer gives two weights the same values."""
        return self.kernel_initializer.clone()

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "segments": self.segment_encoding is not None,
            "dropout": self.dropout.rate,
            "biases": None
            if self.has_own_biases
            else keras.saving.serialize_keras_object(self.biases),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        biases = keras.saving.deserialize_keras_object(config.get("biases"))
        return cls(**{**config, "biases": biases})
