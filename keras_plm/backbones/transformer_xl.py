"""Transformer-XL: a causal language model that remembers the segment before."""

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import (
    Backbone,
    check_sizes,
    grouped_weights,
    make_initializer,
)
from keras_plm.backbones.decoding.transformer_xl_decoding import TransformerXLDecoder
from keras_plm.checks import (
    check_arguments,
    check_choice,
    check_integer,
    constructor_arguments,
    flag,
    number,
)
from keras_plm.heads import AdaptiveSoftmaxHead
from keras_plm.heads.vocabulary.adaptive_softmax_head import TIED_PROJECTIONS
from keras_plm.layers import (
    AdaptiveEmbedding,
    AttentionBiases,
    LastStates,
    RelativePositionEncoding,
    ReplayableDropout,
    TransformerXLBlock,
)
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import content_visibility, gather_rows

_FEATURES = ("token_ids", "padding_mask", "target_positions", "state")


@keras.saving.register_keras_serializable(package="keras_plm")
class TransformerXLBackbone(Backbone):
    """Transformer-XL: relative attention over the tokens before, and over a carried memory.

    A token sees those before it in its segment and the memory: what the layer below made of the M
    tokens in front of the segment, which gets no gradient. `encode` takes the memory as `state`
    and hands on the new one. A memory may be longer than those in training, and no weight depends
    on its length.

    Distances are not bounded, so that a text of any length can be read at once, without a memory.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The layers L.
        num_heads: int. The heads H.
        hidden_dim: int. The width D, even.
        intermediate_dim: int. The feed-forward width F.
        head_dim: int or None. The width K of a head; None: D / H.
        cutoffs: list of int. The first ids of the clusters of the vocabulary behind the first, by
            frequency, for an adaptive embedding and softmax; []: a plain one.
        div_val: int. By how much the vectors of each cluster are shorter than those before.
        embedding_dim: int or None. The width of the embedding of the first cluster; None: D.
        project_same_width: bool. Whether, with `div_val` above 1, vectors that have the width D
            are projected as well (not for One Billion Word).
        tie_weights: bool. Whether a head over the vocabulary has the embedding's tables.
        tie_projections: str. Which of the embedding's projections such a head has: "all",
            "all_but_first" or "none"; see `AdaptiveSoftmaxHead`.
        dropout: float. Dropout rate of embeddings, positions, sublayers and output.
        attention_dropout: float. Dropout rate of the attention weights.
        activation: str. "relu", or another name that Keras knows.
        normalize_first: bool. Whether norms come before the sublayers (`pre_lnorm`; there is none
            at the end) or after them.
        tied_biases: bool. Whether all layers share one set of position biases (the paper) or each
            has its own (`untie_r`).
        memory_length: int. The tokens M that `encode` hands on as memory; 0 = none.
        evaluation_memory_length: int or None. Those in evaluation, by `Pretrainer.evaluate` and in
            validation; None: `memory_length`.
        start_from_zeros: bool. Whether a text begins with a memory of M zero states, which are
            attended to (the original TensorFlow code, and `transformers`), or with none (the
            original PyTorch code). The figures differ in the first segments.
        same_length: bool. Whether every token sees itself and M tokens before it and no more.
        same_length_with_itself: bool. Whether, with `same_length`, the token itself is one of the
            M (the original PyTorch code, and `transformers`) or not (the TensorFlow code).
        clamp_length: int or None. Distances beyond it count as this one.
        layer_norm_epsilon: float.
        initializer_range: float. Standard deviation of the initial weights.
        remat: bool. Whether training computes each block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size or a length is no integer or too small, `hidden_dim` is odd, or not a
            multiple of `num_heads` without a `head_dim`, `same_length` has no memory, or `cutoffs`
            do not ascend within the vocabulary.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import TransformerXLBackbone

    backbone = TransformerXLBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        memory_length=4,
    )
    first = backbone.encode({"token_ids": np.array([[7, 8, 9]])})
    then = backbone.encode({"token_ids": np.array([[10, 11, 12]]), "state": first["state"]})
    assert tuple(then["sequence_output"].shape) == (1, 3, 16)
    assert tuple(then["state"]["memory"].shape) == (1, 2, 4, 16)
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3; the released code of kimiyoung/
    transformer-xl (`mem_transformer.py` of PyTorch, `model.py` of TensorFlow).
    """

    initializer = "normal"
    causal = True

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        head_dim=None,
        cutoffs=(),
        div_val=1,
        embedding_dim=None,
        project_same_width: flag() = True,
        tie_weights: flag() = True,
        tie_projections="all_but_first",
        dropout: number(0, 1) = 0.1,
        attention_dropout: number(0, 1) = 0.0,
        activation="relu",
        normalize_first: flag() = False,
        tied_biases: flag() = True,
        memory_length=0,
        evaluation_memory_length=None,
        start_from_zeros: flag() = False,
        same_length: flag() = False,
        same_length_with_itself: flag() = False,
        clamp_length=None,
        layer_norm_epsilon: number(0) = 1e-5,
        initializer_range: number(0) = 0.02,
        remat: flag() = False,
        dtype=None,
        **kwargs,
    ):
        sizes = {
            "vocabulary_size": vocabulary_size,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "hidden_dim": hidden_dim,
            "intermediate_dim": intermediate_dim,
        }
        check_sizes(**sizes, **({} if head_dim is None else {"head_dim": head_dim}))
        if hidden_dim % 2 or (head_dim is None and hidden_dim % num_heads):
            raise ValueError(
                "`hidden_dim` must be even, and a multiple of `num_heads` unless `head_dim` is "
                f"given. Received: hidden_dim={hidden_dim}, num_heads={num_heads}."
            )
        flags = {
            "project_same_width": project_same_width,
            "tie_weights": tie_weights,
            "normalize_first": normalize_first,
            "tied_biases": tied_biases,
            "start_from_zeros": start_from_zeros,
            "same_length": same_length,
            "same_length_with_itself": same_length_with_itself,
            "remat": remat,
        }
        why = ": every token sees as many tokens as the memory has" if same_length else ""
        check_integer("memory_length", memory_length, int(same_length), why=why)
        least = 1 if memory_length else 0
        why = ": with `memory_length` > 0 there is a memory" if least else ": there is no memory"
        most = None if memory_length else 0
        check_integer(
            "evaluation_memory_length", evaluation_memory_length, least, most, none=True, why=why
        )
        check_integer("clamp_length", clamp_length, 1, none=True)
        check_choice("tie_projections", tie_projections, TIED_PROJECTIONS)
        clusters = {
            "embedding_dim": embedding_dim,
            "cutoffs": cutoffs,
            "div_val": div_val,
            "project_same_width": project_same_width,
        }

        def drawn():
            return make_initializer(self.initializer, initializer_range)

        # === Layers ===
        self.is_adaptive = bool(cutoffs) or embedding_dim not in (None, hidden_dim)
        self.is_adaptive = self.is_adaptive or not tie_weights
        kind, options = keras.layers.ReversibleEmbedding, {}
        if self.is_adaptive:
            kind = AdaptiveEmbedding
            options = {**clusters, "projection_initializer": drawn()}
        self.token_embedding = kind(
            vocabulary_size,
            hidden_dim,
            **options,
            embeddings_initializer=drawn(),
            dtype=dtype,
            name="token_embedding",
        )
        self.embedding_dropout = ReplayableDropout(dropout, dtype=dtype, name="embedding_dropout")
        self.position_encoding = RelativePositionEncoding(
            hidden_dim,
            causal=True,
            clamp_length=clamp_length,
            dropout=dropout,
            dtype=dtype,
            name="position_encoding",
        )
        key_dim = head_dim or hidden_dim // num_heads
        biases = None
        if tied_biases:
            biases = AttentionBiases(
                num_heads,
                key_dim,
                segments=False,
                initializer=drawn(),
                dtype=dtype,
                name="attention_biases",
            )
            biases.build((None, None, num_heads, key_dim))
        self.blocks = [
            TransformerXLBlock(
                num_heads=num_heads,
                key_dim=key_dim,
                intermediate_dim=intermediate_dim,
                segments=False,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=dropout,
                activation=activation,
                normalize_first=normalize_first,
                layer_norm_epsilon=layer_norm_epsilon,
                biases=biases,
                remat=remat,
                kernel_initializer=drawn(),
                dtype=dtype,
                name=f"block_{index}",
            )
            for index in range(num_layers)
        ]
        self.output_dropout = ReplayableDropout(dropout, dtype=dtype, name="output_dropout")
        self.last_states = LastStates(memory_length, dtype=dtype, name="last_states")
        self.memory_length = memory_length
        for name, value in {**sizes, **flags}.items():
            setattr(self, name, value)

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.head_dim = head_dim
        self.cutoffs = list(cutoffs)
        self.div_val = div_val
        self.embedding_dim = embedding_dim
        self.tie_projections = tie_projections
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.evaluation_memory_length = evaluation_memory_length
        self.clamp_length = clamp_length
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range

    def encode(self, features):
        """Run the forward pass over a segment.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask`,
                `target_positions` and `state`, as `state_spec` says, or of another M.

        Returns:
            dict, see `Backbone.encode`. The new `state` has as many tokens as the one that was
            given; without one, and with `memory_length`, it begins.

        Raises:
            ValueError: for a feature that Transformer-XL does not take, such as `order`: a text
                begins where the state is all zeros; or for a state of another form or batch size.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        token_ids = features["token_ids"]  # (B, T)
        padding_mask, targets = features.get("padding_mask"), features.get("target_positions")
        if padding_mask is not None:
            padding_mask = ops.cast(padding_mask, "bool")
        content = self.embed(token_ids)  # (B, T, D)
        memories, memory_mask = self.start_memories(features.get("state"), content)
        index = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1  # (B, T)
        visible = content_visibility(
            index, padding_mask, window=self.window(memory_mask), memory_mask=memory_mask
        )  # (B, T, S)
        positions = self.position_encoding(content, memory=memories[0])
        hidden_states = [content]
        for block, memory in zip(self.blocks, memories):
            content = block(content, positions, memory=memory, visible=visible)
            hidden_states.append(content)
        encoded = {"sequence_output": self.output_dropout(content), "hidden_states": hidden_states}
        if targets is not None:
            encoded["target_output"] = gather_rows(encoded["sequence_output"], targets)
        if self.memory_length or memory_mask is not None:
            new = [self.last_states(*pair) for pair in zip(hidden_states, memories)]
            encoded["state"] = {"memory": ops.stack(new, axis=1)}  # (B, L, M, D)
            if not self.start_from_zeros:
                real = padding_mask
                if real is None:
                    real = ops.ones_like(token_ids, dtype="bool")
                encoded["state"]["real"] = self.last_states(real, memory_mask)  # (B, M)
        return encoded

    def embed(self, token_ids, training=None):
        """Embed tokens, times the root of D, as the original does.

        Args:
            token_ids: int tensor of shape (B, T).
            training: bool or None.

        Returns:
            Tensor of shape (B, T, D).
        """
        content = self.token_embedding(token_ids)
        if not self.is_adaptive:
            content = content * self.hidden_dim**0.5
        return self.embedding_dropout(content, training=training)

    def lm_head(self, cutoffs=(), **options):
        """Make the head over the vocabulary; an adaptive embedding brings its clusters.

        Args:
            cutoffs, options: as in `Backbone.lm_head`; an adaptive embedding takes none of them
                but `use_bias`: an adaptive softmax always has biases.
        """
        if not self.is_adaptive:
            return super().lm_head(cutoffs, **options)
        if (cutoffs and list(cutoffs) != self.cutoffs) or options.get("transform"):
            raise ValueError(
                "The softmax over an adaptive embedding has its clusters, and no transform. "
                f"Received: cutoffs={cutoffs} and transform={options.get('transform', False)}, the "
                f"embedding has {self.cutoffs}."
            )
        return AdaptiveSoftmaxHead(
            self.token_embedding,
            tie_weights=self.tie_weights,
            tie_projections=self.tie_projections,
            kernel_initializer=self.kernel_initializer(),
            name="tokens",
        )

    def start_memories(self, state, content):
        """Give every layer its memory: of a state, or the one that a text begins with.

        Args:
            state: dict, as `state_spec` says, or None.
            content: tensor of shape (B, T, D), the embedded segment.

        Returns:
            Pair: list of L tensors (B, M, D), or of None; and which of their tokens are seen, bool
            (B, M), or None.

        Raises:
            ValueError: if the state has another form or batch size.
        """
        if not state:
            if not (self.start_from_zeros and self.memory_length):
                return [None] * self.num_layers, None
            zeros = ops.repeat(ops.zeros_like(content[:, :1]), self.memory_length, axis=1)
            return [zeros] * self.num_layers, ops.ones_like(zeros[:, :, 0], dtype="bool")
        names = {"memory"} if self.start_from_zeros else {"memory", "real"}
        if set(state) != names:
            raise ValueError(f"`state` must have {sorted(names)}. Received: {sorted(state)}.")
        memory = state["memory"]
        batch, layers, length, width = memory.shape
        if (layers, width) != (self.num_layers, self.hidden_dim) or not length:
            raise ValueError(
                f"The memory must have the shape (B, L, M, D) with L = {self.num_layers}, "
                f"D = {self.hidden_dim} and M of at least 1. Received: shape {memory.shape}."
            )
        if None not in (batch, content.shape[0]) and batch != content.shape[0]:
            raise ValueError(
                "The memory must have a row for every text of the batch. Received: a memory of "
                f"{batch} rows and a batch of {content.shape[0]}."
            )
        memory = ops.cast(memory, content.dtype)
        memories = [memory[:, layer] for layer in range(self.num_layers)]  # (B, M, D) each
        if self.start_from_zeros:
            return memories, ops.ones_like(memories[0][:, :, 0], dtype="bool")
        return memories, ops.cast(state["real"], "bool")

    def window(self, memory_mask):
        """How many keys a token sees at most, itself included: an int or int tensor, or None.

        Args:
            memory_mask: bool tensor (B, M), of the memory that is there, or None.
        """
        if not self.same_length:
            return None
        length = self.memory_length
        if memory_mask is not None:
            length = ops.sum(ops.cast(ops.ones_like(memory_mask[0]), "int32"))
        return length + 1 - self.same_length_with_itself

    def layer_groups(self):
        """Group the weights from bottom to top; biases that layers share are below them."""
        return grouped_weights(self, self.blocks)

    def decoder(self):
        """Make what keeps keys and values; see `TransformerXLDecoder`."""
        return TransformerXLDecoder(self)

    def state_spec(self, batch_size=None):
        """Say what is carried: the `memory` (B, L, M, D), in the dtype of computation.

        Unless texts start from zeros, also which of its tokens are `real`, bool (B, M): neither
        padding nor before the beginning of a text. All others are not seen.
        """
        return self._state_spec(batch_size, self.memory_length)

    def evaluation_state_spec(self, batch_size=None):
        """Say what is carried in evaluation: a memory of `evaluation_memory_length`."""
        return self._state_spec(batch_size, self.evaluation_memory_length or self.memory_length)

    def _state_spec(self, batch_size, length):
        """The state of a memory of some length."""
        if not length:
            return {}
        dtype = float_policy(self.dtype_policy).compute_dtype
        shape = (batch_size, self.num_layers, length, self.hidden_dim)
        spec = {"memory": keras.KerasTensor(shape, dtype=dtype)}
        if not self.start_from_zeros:
            spec["real"] = keras.KerasTensor((batch_size, length), dtype="bool")
        return spec

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


_ARGUMENTS = [name for name in constructor_arguments(TransformerXLBackbone) if name != "dtype"]
