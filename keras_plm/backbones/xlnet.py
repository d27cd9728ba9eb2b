"""XLNet: Transformer-XL read by two streams."""

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import (
    Backbone,
    check_sizes,
    grouped_weights,
    make_initializer,
)
from keras_plm.backbones.decoding.xlnet_decoding import XLNetDecoder
from keras_plm.checks import check_arguments, flag, integer, number
from keras_plm.layers import (
    AttentionBiases,
    QueryRows,
    RelativePositionEncoding,
    ReplayableDropout,
    TokenAndQueryEmbedding,
    TransformerXLBlock,
    TwoStream,
)
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import content_visibility, gather_rows, query_visibility

_FEATURES = (
    "token_ids",
    "padding_mask",
    "segment_ids",
    "order",
    "target_positions",
    "backward",
    "memory",
    "state",
)


@keras.saving.register_keras_serializable(package="keras_plm")
class XLNetBackbone(Backbone):
    """XLNet's two-stream Transformer-XL.

    The default graph is the content stream over `token_ids`, `padding_mask` and `segment_ids`,
    for fine-tuning. `encode` with `order` and `target_positions` adds the query stream, over
    exactly the P rows that predict; `memory` continues an earlier segment.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The layers L.
        num_heads: int. The heads H; they share the width, K = D / H.
        hidden_dim: int. The width D.
        intermediate_dim: int. The feed-forward width F.
        dropout: float. Dropout rate of embeddings, positions, sublayers and output.
        attention_dropout: float. Dropout rate of the attention weights.
        activation_dropout: float or None. Dropout rate after the feed-forward activation; None:
            `dropout`, as the released code has it. (The paper's table 7 says 0.)
        position_dropout: float or None. Dropout rate of the position encoding; None: `dropout`,
            as the released code has it.
        activation: str. "gelu_tanh", as the released code computes it; "gelu" (erf), as
            `transformers` does; or another name that Keras knows.
        causal: bool. Whether no token sees one to its right ("uni" in the released code; the
            `order` then defaults to the position).
        same_length: bool. Whether every row sees itself and as many tokens to its left as the
            memory has, neither more nor fewer; causal backbones only.
        tied_biases: bool. Whether all layers share one set of attention biases, as Transformer-XL
            does; the released XLNet does not (`untie_r`).
        clamp_length: int or None. Distances are clipped to [-clamp_length, clamp_length].
        memory_length: int. The tokens M that `encode` hands on as memory; 0 = none.
        reuse_length: int. How many leading tokens of a segment go into the memory; 0 = all.
        factorise_positions: bool. Whether positions factorise where they can, which is faster;
            their dropout is then of whole features (see `RelativePositionEncoding`). False: the
            table by distance of the released code, and dropout of its single entries.
        layer_norm_epsilon: float.
        initializer_range: float. Standard deviation of the initial weights.
        remat: bool. Whether training computes each block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size is no positive integer, `hidden_dim` is odd or not a multiple of
            `num_heads`, or a length is negative, or `same_length` is asked for without `causal`.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import XLNetBackbone

    backbone = XLNetBackbone(
        vocabulary_size=100, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32
    )
    token_ids = np.array([[7, 8, 9, 10]])
    encoded = backbone.encode(
        {
            "token_ids": token_ids,
            "order": np.array([[0, 2, 0, 1]]),  # predict token 3, then token 1
            "target_positions": np.array([[1, 3]]),
        }
    )
    assert tuple(encoded["sequence_output"].shape) == (1, 4, 16)
    assert tuple(encoded["target_output"].shape) == (1, 2, 16)
    ```

    Source: XLNet, arXiv:1906.08237; the released configurations (base: 12 layers, width 768,
    12 heads, 3072; large: 24, 1024, 16, 4096).
    """

    initializer = "normal"

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        dropout: number(0, 1) = 0.1,
        attention_dropout: number(0, 1) = 0.1,
        activation_dropout: number(0, 1, none=True) = None,
        position_dropout: number(0, 1, none=True) = None,
        activation="gelu_tanh",
        causal: flag() = False,
        same_length: flag() = False,
        tied_biases: flag() = False,
        clamp_length=None,
        memory_length: integer() = 0,
        reuse_length: integer() = 0,
        factorise_positions: flag() = True,
        layer_norm_epsilon: number(0) = 1e-12,
        initializer_range: number(0) = 0.02,
        remat: flag() = False,
        dtype=None,
        **kwargs,
    ):
        check_sizes(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
        )
        if hidden_dim % num_heads or hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be even and a multiple of `num_heads`. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}."
            )
        if memory_length < 0 or reuse_length < 0:
            raise ValueError(
                "`memory_length` and `reuse_length` must be at least 0. "
                f"Received: memory_length={memory_length}, reuse_length={reuse_length}."
            )
        if same_length and not causal:
            raise ValueError(
                "`same_length` is for causal backbones. Received: same_length=True, causal=False."
            )

        # === Layers ===
        self.embedding = TokenAndQueryEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=make_initializer(self.initializer, initializer_range),
            dtype=dtype,
            name="embedding",
        )
        self.token_embedding = self.embedding.token_embedding
        self.embedding_dropout = ReplayableDropout(dropout, dtype=dtype, name="embedding_dropout")
        self.query_dropout = ReplayableDropout(dropout, dtype=dtype, name="query_dropout")
        self.position_encoding = RelativePositionEncoding(
            hidden_dim,
            causal=causal,
            clamp_length=clamp_length,
            factorise=factorise_positions,
            dropout=dropout if position_dropout is None else position_dropout,
            dtype=dtype,
            name="position_encoding",
        )
        key_dim = hidden_dim // num_heads
        biases = None
        if tied_biases:
            biases = AttentionBiases(
                num_heads,
                key_dim,
                initializer=make_initializer(self.initializer, initializer_range),
                dtype=dtype,
                name="attention_biases",
            )
            biases.build((None, None, num_heads, key_dim))
        self.blocks = [
            TransformerXLBlock(
                num_heads=num_heads,
                key_dim=key_dim,
                intermediate_dim=intermediate_dim,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=dropout if activation_dropout is None else activation_dropout,
                activation=activation,
                layer_norm_epsilon=layer_norm_epsilon,
                biases=biases,
                remat=remat,
                kernel_initializer=make_initializer(self.initializer, initializer_range),
                dtype=dtype,
                name=f"block_{index}",
            )
            for index in range(num_layers)
        ]
        self.output_dropout = ReplayableDropout(dropout, dtype=dtype, name="output_dropout")
        self.causal = causal
        self.same_length = same_length
        self.memory_length = memory_length
        self.reuse_length = reuse_length

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
            "segment_ids": keras.Input((None,), dtype="int32", name="segment_ids"),
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation_dropout = activation_dropout
        self.position_dropout = position_dropout
        self.activation = activation
        self.clamp_length = clamp_length
        self.tied_biases = tied_biases
        self.factorise_positions = factorise_positions
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range
        self.remat = remat

    def encode(self, features):
        """Run the content stream and, with `target_positions`, the query stream.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask`,
                `segment_ids` (missing: all 0), `order`, `target_positions`, `backward`; and
                `memory`, or `state`, which is {"memory": memory}.

        Returns:
            dict, see `Backbone.encode`. `target_output` are the query rows; they need `order`
            (or a causal backbone). With `memory_length` also the new `memory` (B, L, M, D).

        Raises:
            ValueError: for a feature that XLNet does not take, for targets without an order, for
                memory of another number of layers or width, or given twice.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        token_ids = features["token_ids"]  # (B, T)
        segment_ids = features.get("segment_ids")
        if segment_ids is None:
            segment_ids = ops.zeros_like(token_ids)
        targets = features.get("target_positions")  # (B, P)
        memory = self._given_memory(features)  # (B, L, M, D)
        backward = features.get("backward")  # (B,)
        memory_length = self._memory_length(memory)

        padding_mask, order = features.get("padding_mask"), features.get("order")
        if order is None:
            if targets is not None and not self.causal:
                raise ValueError(
                    "`target_positions` needs `order`: without it a target would be seen by "
                    "others. Give the order of the factorisation."
                )
            order = ops.zeros_like(token_ids)
            if self.causal:
                order = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
        seen_by = {
            "memory_length": memory_length,
            "causal": self.causal,
            "window": memory_length + 1 if self.same_length else None,
        }
        visible = content_visibility(order, padding_mask, **seen_by)  # (B, T, S)
        key_segments = segment_ids  # (B, S): memory has segment 0
        if memory_length:
            before = ops.repeat(ops.zeros_like(segment_ids[:, :1]), memory_length, axis=1)
            key_segments = ops.concatenate([before, segment_ids], axis=1)
        same_segment = ops.equal(segment_ids[:, :, None], key_segments[:, None, :])  # (B, T, S)

        content = self.embedding_dropout(self.embedding(token_ids))  # (B, T, D)
        shared = {
            "position_encoding": self.position_encoding(
                content, memory_length=memory_length, both_directions=backward is not None
            ),
            "backward": backward,
        }
        query = None
        if targets is not None:
            query = self.query_dropout(QueryRows(self.embedding)(targets))  # (B, P, D)
            query_visible = query_visibility(order, targets, padding_mask, **seen_by)  # (B, P, S)
            query_segments = gather_rows(segment_ids, targets)  # (B, P)
            query_same = ops.equal(query_segments[:, :, None], key_segments[:, None, :])
        hidden_states = [content]
        for index, block in enumerate(self.blocks):
            shared["memory"] = None if memory is None else memory[:, index]  # (B, M, D)
            own = {"visible": visible, "same_segment": same_segment}
            if query is None:
                content = block(content, **own, **shared)
            else:
                query_own = {
                    "visible": query_visible,
                    "same_segment": query_same,
                    "positions": targets,
                }
                content, query = TwoStream(block, name=f"two_stream_{index}")(
                    content, query, shared=dict(shared), content_own=own, query_own=query_own
                )
            hidden_states.append(content)

        encoded = {
            "sequence_output": self.output_dropout(content),
            "hidden_states": hidden_states,
        }
        if query is not None:
            encoded["target_output"] = self.output_dropout(query)
        if self.memory_length:
            encoded["memory"] = self._new_memory(memory, hidden_states[:-1])
            encoded["state"] = {"memory": encoded["memory"]}
        return encoded

    @property
    def reads(self):
        """Those of its config, and queries."""
        return super().reads | {"queries"}

    def layer_groups(self):
        """Group the weights from bottom to top; biases that layers share are below them."""
        return grouped_weights(self, self.blocks)

    def decoder(self):
        """Make what fills slots in their order; see `XLNetDecoder`."""
        return XLNetDecoder(self)

    def state_spec(self, batch_size=None):
        """Say what is carried: the memory (B, L, M, D), in the dtype of computation."""
        if not self.memory_length:
            return {}
        shape = (batch_size, self.num_layers, self.memory_length, self.hidden_dim)
        dtype = float_policy(self.dtype_policy).compute_dtype
        return {"memory": keras.KerasTensor(shape, dtype=dtype)}

    def train_query_rows(self, trainable):
        """Set free, or freeze, the vector that query rows start from.

        Args:
            trainable: bool; or None: see `Backbone.train_query_rows`.
        """
        self.embedding.train_query_vector(trainable)

    @property
    def query_weights(self):
        """The vector that query rows start from, as a list; empty if it was frozen."""
        return [] if self.embedding.query_vector_is_frozen else [self.embedding.query_vector]

    def _given_memory(self, features):
        """The memory, given by its own name or as the state."""
        memory, state = features.get("memory"), features.get("state")
        if not state:
            return memory
        if memory is not None or set(state) != {"memory"}:
            raise ValueError(
                "`state` must be {'memory': ...}, with no `memory` beside it. "
                f"Received: state with {sorted(state)}, features {sorted(features)}."
            )
        return state["memory"]

    def _memory_length(self, memory):
        """M of the memory that was given."""
        if memory is None:
            return 0
        _, layers, length, width = memory.shape
        if layers != len(self.blocks) or width != self.embedding.hidden_dim or length is None:
            raise ValueError(
                f"`memory` must have the shape (B, L, M, D) with L = {len(self.blocks)}, "
                f"D = {self.embedding.hidden_dim} and a known M. Received: shape {memory.shape}."
            )
        return length

    def _new_memory(self, memory, block_inputs):
        """The last M of what was remembered and of the leading block inputs; no gradient."""
        reused = slice(0, self.reuse_length or None)
        new = ops.stack([hidden[:, reused] for hidden in block_inputs], axis=1)  # (B, L, R, D)
        if memory is not None:
            new = ops.concatenate([ops.cast(memory, new.dtype), new], axis=2)
        return ops.stop_gradient(new[:, :, -self.memory_length :])  # (B, L, M, D)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation_dropout": self.activation_dropout,
            "position_dropout": self.position_dropout,
            "activation": self.activation,
            "causal": self.causal,
            "same_length": self.same_length,
            "tied_biases": self.tied_biases,
            "clamp_length": self.clamp_length,
            "memory_length": self.memory_length,
            "reuse_length": self.reuse_length,
            "factorise_positions": self.factorise_positions,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
            "remat": self.remat,
        }
