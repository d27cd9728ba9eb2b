"""A plain port of XLNet's pretraining model to keras.ops, as a yardstick within one engine.

It does what transformers and KerasHub do, line for line in meaning: a query stream of T rows
reached by a one-hot target mapping, dense (B, T, T) permutation masks as input, the position table
tiled over the batch and projected in every row of it, a relative shift through two 4-D transposes,
and segments as a one-hot (B, T, S, 2) product. tests/benchmarks/pretrain_step.py times our
Pretrainer against it.
"""

import keras
import numpy as np
from keras import ops


class NaiveBlock(keras.layers.Layer):
    """One layer of XLNet over both streams, post-norm."""

    def __init__(self, num_heads, intermediate_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.feedforward_norm = keras.layers.LayerNormalization(epsilon=1e-12)

    def build(self, hidden_dim):
        head = (self.num_heads, hidden_dim // self.num_heads)
        for name in ("q", "k", "v", "r", "o"):
            setattr(self, name, self.add_weight(name=name, shape=(hidden_dim, *head)))
        for name in ("r_w_bias", "r_r_bias", "r_s_bias"):
            setattr(self, name, self.add_weight(name=name, shape=head))
        self.segment_embedding = self.add_weight(name="segment_embedding", shape=(2, *head))
        self.inner = keras.layers.Dense(self.intermediate_dim, activation="gelu")
        self.outer = keras.layers.Dense(hidden_dim)
        self.inner.build((None, None, hidden_dim))
        self.outer.build((None, None, self.intermediate_dim))
        self.attention_norm.build((None, None, hidden_dim))
        self.feedforward_norm.build((None, None, hidden_dim))

    def call(self, h, g, memory, position, one_hot_segment, mask_h, mask_g, mapping):
        both = h if memory is None else ops.concatenate([memory, h], axis=1)  # (B, S, D)
        key = ops.einsum("bsd,dnk->bsnk", both, self.k)
        value = ops.einsum("bsd,dnk->bsnk", both, self.v)
        key_r = ops.einsum("bcd,dnk->bcnk", position, self.r)  # (B, C, H, K)
        query_h = ops.einsum("btd,dnk->btnk", h, self.q)
        query_g = ops.einsum("bpd,dnk->bpnk", g, self.q)
        query_g = ops.einsum("bpnk,bpt->btnk", query_g, mapping)  # (B, T, H, K)
        vector_h = self.attend(query_h, key, value, key_r, one_hot_segment, mask_h)
        vector_g = self.attend(query_g, key, value, key_r, one_hot_segment, mask_g)
        vector_g = ops.einsum("btnk,bpt->bpnk", vector_g, mapping)
        return self.finish(h, vector_h), self.finish(g, vector_g)

    def attend(self, query, key, value, key_r, one_hot_segment, mask):
        content = ops.einsum("btnk,bsnk->bnts", query + self.r_w_bias, key)
        position = ops.einsum("btnk,bcnk->bntc", query + self.r_r_bias, key_r)
        position = relative_shift(position, ops.shape(key)[1])
        segment = ops.einsum("btnk,enk->bnte", query + self.r_s_bias, self.segment_embedding)
        segment = ops.einsum("btse,bnte->bnts", one_hot_segment, segment)
        score = (content + position + segment) * query.shape[-1] ** -0.5
        weights = ops.softmax(score - 1e30 * mask[:, None], axis=-1)  # (B, H, T, S)
        return ops.einsum("bnts,bsnk->btnk", weights, value)

    def finish(self, rows, vector):
        rows = self.attention_norm(rows + ops.einsum("btnk,dnk->btd", vector, self.o))
        return self.feedforward_norm(rows + self.outer(self.inner(rows)))


def relative_shift(scores, key_length):
    """The shift of the released code: between two transposes, in the (T, C, B, H) layout."""
    scores = ops.transpose(scores, (2, 3, 0, 1))  # (T, C, B, H)
    rows, columns, batch, heads = ops.shape(scores)
    scores = ops.reshape(scores, (columns, rows, batch, heads))[1:]
    scores = ops.reshape(scores, (rows, columns - 1, batch, heads))[:, :key_length]
    return ops.transpose(scores, (2, 3, 0, 1))  # (B, H, T, S)


class NaiveXLNet(keras.Model):
    """Two streams over T rows and tied logits (B, P, V); memory is carried in a variable.

    Args:
        batch_size, sequence_length: int. The fixed B and T.
        memory_length, reuse_length: int. The M tokens remembered, of the first ones of a segment.
        vocabulary_size, num_layers, num_heads, hidden_dim, intermediate_dim: int. The sizes.

    Call arguments:
        inputs: dict of token_ids (B, T), segment_ids (B, T), perm_mask (B, T, T) float with
            1 = hidden, target_mapping (B, P, T) float one-hot.
    """

    def __init__(
        self,
        batch_size,
        sequence_length,
        memory_length,
        reuse_length,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.memory_length = memory_length
        self.reuse_length = reuse_length
        self.hidden_dim = hidden_dim
        self.embedding = self.add_weight(
            name="embedding", shape=(vocabulary_size, hidden_dim), initializer="random_normal"
        )
        self.query_vector = self.add_weight(name="query_vector", shape=(1, 1, hidden_dim))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(vocabulary_size,), initializer="zeros"
        )
        self.blocks = [NaiveBlock(num_heads, intermediate_dim) for _ in range(num_layers)]
        for block in self.blocks:
            block.build(hidden_dim)
        self.memory = None
        if memory_length:
            shape = (num_layers, batch_size, memory_length, hidden_dim)
            self.memory = self.add_weight(
                name="memory", shape=shape, initializer="zeros", trainable=False
            )
        self.table = position_table(sequence_length, memory_length, hidden_dim)
        self.built = True

    def call(self, inputs):
        token_ids, segment_ids = inputs["token_ids"], inputs["segment_ids"]
        perm_mask, mapping = inputs["perm_mask"], inputs["target_mapping"]
        batch, length = ops.shape(token_ids)
        h = ops.take(self.embedding, token_ids, axis=0)  # (B, T, D)
        g = ops.tile(self.query_vector, (batch, ops.shape(mapping)[1], 1))  # (B, P, D)
        position = ops.tile(ops.convert_to_tensor(self.table)[None], (batch, 1, 1))  # (B, C, D)
        eye = ops.eye(length)
        mask_h = ops.cast(perm_mask - eye > 0, "float32")
        key_segments, mask_g = segment_ids, perm_mask
        if self.memory_length:
            zeros = ops.zeros((batch, length, self.memory_length))
            mask_h = ops.concatenate([zeros, mask_h], axis=2)
            mask_g = ops.concatenate([zeros, mask_g], axis=2)
            memory_segments = ops.zeros((batch, self.memory_length), segment_ids.dtype)
            key_segments = ops.concatenate([memory_segments, segment_ids], axis=1)
        different = ops.not_equal(segment_ids[:, :, None], key_segments[:, None, :])
        one_hot_segment = ops.one_hot(ops.cast(different, "int32"), 2)  # (B, T, S, 2)
        old_memory = ops.convert_to_tensor(self.memory) if self.memory_length else None
        new_memory = []
        for index, block in enumerate(self.blocks):
            memory = None
            if self.memory_length:
                memory = old_memory[index]
                cached = ops.concatenate([memory, h[:, : self.reuse_length]], axis=1)
                new_memory.append(ops.stop_gradient(cached[:, -self.memory_length :]))
            h, g = block(h, g, memory, position, one_hot_segment, mask_h, mask_g, mapping)
        if self.memory_length:
            self.memory.assign(ops.stack(new_memory))
        return ops.einsum("bpd,vd->bpv", g, self.embedding) + self.output_bias


def position_table(sequence_length, memory_length, hidden_dim):
    """Sinusoids of the distances S, S - 1, ..., -T + 1, (C, D) float32."""
    key_length = sequence_length + memory_length
    distance = np.arange(key_length, -sequence_length, -1.0)
    angle = distance[:, None] / 10000 ** (np.arange(0, hidden_dim, 2) / hidden_dim)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype("float32")
