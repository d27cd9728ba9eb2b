"""The one Transformer of the BERT and GPT families: a dozen flags, no system's name."""

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import (
    Backbone,
    check_sizes,
    grouped_weights,
    make_initializer,
)
from keras_plm.backbones.decoding.transformer_decoding import TransformerDecoder
from keras_plm.checks import (
    check_arguments,
    constructor_arguments,
    flag,
    integer,
    is_integer,
    number,
)
from keras_plm.layers import (
    AttentionMaps,
    RelativePositionBias,
    ReplayableDropout,
    TransformerBlock,
    TwoStream,
)
from keras_plm.ops import content_visibility, gather_rows, query_visibility, summary_row

_FEATURES = (
    "token_ids",
    "padding_mask",
    "position_ids",
    "segment_ids",
    "language_ids",
    "task_ids",
    "order",
    "until",
    "target_positions",
    "target_token_ids",
)
# Positions that are counted begin here: a table of RoBERTa's has two rows more than positions.
FIRST_COUNTED = 2


@keras.saving.register_keras_serializable(package="keras_plm")
class TransformerBackbone(Backbone):
    """The Transformer of BERT, RoBERTa, SpanBERT, ERNIE, XLM, MPNet, UniLM and GPT-1 to GPT-3.

    The default graph takes `token_ids`, `padding_mask` and one input per embedding table that
    the flags ask for (`segment_ids`, `language_ids`, `task_ids`). Who sees whom is bidirectional
    or causal; with the feature `order` (and `until`), what that says.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The layers L.
        num_heads: int. The heads H.
        hidden_dim: int. The width D.
        intermediate_dim: int. The feed-forward width F.
        max_sequence_length: int. How many tokens have a position.
        head_dim: int or None. The width K of a head; None: D / H.
        dropout: float. Dropout rate of embeddings and sublayers.
        attention_dropout: float. Dropout rate of the attention weights.
        activation: str. "gelu" (erf: RoBERTa, MPNet, `transformers`' BERT), "gelu_tanh" (Google's
            BERT, GPT), "relu" (ERNIE 1.0), or another name that Keras knows.
        normalize_first: bool. Whether norms come before the sublayers, and one at the end (GPT-2,
            GPT-3), or after them.
        embedding_norm: bool. Whether the embeddings are normalised (not in GPT).
        layer_norm_epsilon: float.
        num_segments: int. Rows of the segment table; 0 = none.
        num_languages: int. Rows of the language table (XLM); 0 = none.
        num_tasks: int. Rows of the table of pretraining tasks (ERNIE 2.0); 0 = none.
        positions_from_padding: bool. Whether real tokens alone are counted, from row 2 of the
            position table on, and padding has row 1 (RoBERTa, MPNet).
        causal: bool. Whether, without an `order`, no token sees one to its right.
        relative_position_buckets: int. Buckets of distances that bias the attention of all
            layers (MPNet: 32, up to a distance of 128); 0 = none.
        pooler: bool. Whether `pooled_output`, a dense layer with tanh on the first real token,
            is made.
        window: int, list of int or None, or None. How many keys to the left each row sees, itself
            included; a list is a cycle over the layers (GPT-3).
        initializer: str. "truncated_normal" (BERT, ERNIE): initial weights beyond two deviations
            are drawn anew; or "normal" (GPT, RoBERTa, SpanBERT, UniLM, MPNet).
        initializer_range: float. Standard deviation of the initial weights.
        position_initializer_range: float or None. That of the position table, where it is another
            (GPT-2: half as large).
        scaled_residuals: bool. Whether the 2 L kernels whose products are added to the residual
            begin smaller, by sqrt(2 L) (the papers of GPT-2 and GPT-3; not the released code).
        remat: bool. Whether training computes each block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        task_id: int. The row of the table of pretraining tasks that tokens have where there are no
            `task_ids`: in all tasks beside pretraining. It must be below `num_tasks`.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size is no positive integer, a count is negative, heads do not divide the
            width, a window is below 1, or there is no such `initializer`.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import TransformerBackbone

    backbone = TransformerBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=8,
    )
    encoded = backbone.encode({"token_ids": np.array([[7, 8, 9, 10]])}, attention_maps=True)
    assert tuple(encoded["sequence_output"].shape) == (1, 4, 16)
    assert tuple(encoded["attention_maps"][0].shape) == (1, 2, 4, 4)
    ```

    Source: Vaswani et al., arXiv:1706.03762, section 3; BERT, arXiv:1810.04805, section 3; RoBERTa,
    arXiv:1907.11692; MPNet, arXiv:2004.09297; GPT-2 (Radford et al. 2019), section 2.3 (norms
    first, scaled residuals); GPT-3, arXiv:2005.14165, section 2.1. Initial weights: `modeling.py`
    of google-research/bert, `model.py` of openai/gpt-2, `init_bert_params` of fairseq,
    `init_bert_weights` of facebookresearch/SpanBERT and microsoft/unilm.
    """

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        max_sequence_length,
        head_dim=None,
        dropout: number(0, 1) = 0.1,
        attention_dropout: number(0, 1) = 0.1,
        activation="gelu",
        normalize_first: flag() = False,
        embedding_norm: flag() = True,
        layer_norm_epsilon: number(0) = 1e-12,
        num_segments=2,
        num_languages=0,
        num_tasks=0,
        positions_from_padding: flag() = False,
        causal: flag() = False,
        relative_position_buckets=0,
        pooler: flag() = False,
        window=None,
        initializer="truncated_normal",
        initializer_range: number(0) = 0.02,
        position_initializer_range: number(0, none=True) = None,
        scaled_residuals: flag() = False,
        remat: flag() = False,
        task_id: integer(0) = 0,
        dtype=None,
        **kwargs,
    ):
        sizes = {
            "vocabulary_size": vocabulary_size,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "hidden_dim": hidden_dim,
            "intermediate_dim": intermediate_dim,
            "max_sequence_length": max_sequence_length,
        }
        check_sizes(**sizes, **({} if head_dim is None else {"head_dim": head_dim}))
        counts = {
            "num_segments": num_segments,
            "num_languages": num_languages,
            "num_tasks": num_tasks,
            "relative_position_buckets": relative_position_buckets,
        }
        if any(not is_integer(count) or not 0 <= count < 2**31 for count in counts.values()):
            raise ValueError(
                f"{sorted(counts)} must be integers of at least 0. Received: {counts!r:.300}."
            )
        if head_dim is None and hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`, unless `head_dim` is given. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}."
            )
        if task_id >= max(num_tasks, 1):
            raise ValueError(
                "`task_id` must be a row of the table of tasks, below `num_tasks`, and 0 without "
                f"one. Received: task_id={task_id}, num_tasks={num_tasks}."
            )
        windows = _checked_windows(window)
        positions_range = position_initializer_range
        positions_range = initializer_range if positions_range is None else positions_range
        output_range = initializer_range / (2 * num_layers) ** 0.5

        def drawn(deviation=initializer_range):
            return make_initializer(initializer, deviation)

        # === Layers ===
        tables = {
            "segment_ids": ("segment_embedding", num_segments),
            "language_ids": ("language_embedding", num_languages),
            "task_ids": ("task_embedding", num_tasks),
        }
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=drawn(),
            dtype=dtype,
            name="token_embedding",
        )
        self.position_embedding = keras.layers.Embedding(
            max_sequence_length + FIRST_COUNTED * positions_from_padding,
            hidden_dim,
            embeddings_initializer=drawn(positions_range),
            dtype=dtype,
            name="position_embedding",
        )
        self.other_embeddings = {
            feature: keras.layers.Embedding(
                rows,
                hidden_dim,
                embeddings_initializer=drawn(),
                dtype=dtype,
                name=name,
            )
            for feature, (name, rows) in tables.items()
            if rows
        }
        self.embedding_norm_layer = None
        if embedding_norm:
            self.embedding_norm_layer = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=dtype, name="embedding_norm"
            )
        self.embedding_dropout = ReplayableDropout(dropout, dtype=dtype, name="embedding_dropout")
        self.relative_position_bias = None
        if relative_position_buckets:
            self.relative_position_bias = RelativePositionBias(
                relative_position_buckets,
                num_heads,
                embeddings_initializer=drawn(),
                dtype=dtype,
                name="relative_position_bias",
            )
        self.blocks = [
            TransformerBlock(
                num_heads=num_heads,
                key_dim=head_dim or hidden_dim // num_heads,
                intermediate_dim=intermediate_dim,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation=activation,
                normalize_first=normalize_first,
                layer_norm_epsilon=layer_norm_epsilon,
                remat=remat,
                kernel_initializer=drawn(),
                output_initializer=drawn(output_range) if scaled_residuals else None,
                dtype=dtype,
                name=f"block_{index}",
            )
            for index in range(num_layers)
        ]
        self.windows = [windows[index % len(windows)] for index in range(num_layers)]
        self.final_norm = None
        if normalize_first:
            self.final_norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=dtype, name="final_norm"
            )
        self.pooler_layer = None
        if pooler:
            self.pooler_layer = keras.layers.Dense(
                hidden_dim,
                activation="tanh",
                kernel_initializer=drawn(),
                dtype=dtype,
                name="pooler",
            )
        self.causal = causal
        self.task_id = task_id
        self.positions_from_padding = positions_from_padding
        for name, size in {**sizes, **counts}.items():
            setattr(self, name, size)

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        for feature in self.other_embeddings:
            inputs[feature] = keras.Input((None,), dtype="int32", name=feature)
        encoded = self.encode(inputs)
        outputs = encoded["sequence_output"]
        if pooler:
            names = ("sequence_output", "pooled_output")
            outputs = {name: encoded[name] for name in names}
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.head_dim = head_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.normalize_first = normalize_first
        self.embedding_norm = embedding_norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.pooler = pooler
        self.window = window
        self.initializer = initializer
        self.initializer_range = initializer_range
        self.position_initializer_range = position_initializer_range
        self.scaled_residuals = scaled_residuals
        self.remat = remat

    @property
    def summary_row(self):
        """Which real token of a row stands for it: one that has seen the whole row."""
        return "last" if self.causal else "first"

    @property
    def first_position(self):
        """The row of the position table that the first token has."""
        return FIRST_COUNTED * self.positions_from_padding

    def layer_groups(self):
        """Group the weights from bottom to top; a bias by distance is below the blocks."""
        above = [layer for layer in (self.final_norm, self.pooler_layer) if layer is not None]
        return grouped_weights(self, self.blocks, above)

    def decoder(self):
        """Make what keeps keys and values; see `TransformerDecoder`."""
        return TransformerDecoder(self)

    @property
    def bounds(self):
        """dict of str to int: what the ids of each feature must lie below."""
        rows = {name: table.input_dim for name, table in self.other_embeddings.items()}
        positions = self.position_embedding.input_dim
        return {**rows, "position_ids": positions, "sequence_length": self.max_sequence_length}

    def encode(self, features, attention_maps=False):
        """Run the content rows and, with `target_token_ids`, query rows.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask`,
                `position_ids` (rows of the position table), `segment_ids` (missing: all 0),
                `task_ids` (missing: all `task_id`), `language_ids` (if the config has languages,
                needed), `order`, `until`, `target_positions`, `target_token_ids`.
            attention_maps: bool. Whether `attention_maps` are returned as well: for each layer
                the weights before dropout, (B, H, T, S), float32.

        Returns:
            dict, see `Backbone.encode`, with `pooled_output` (B, D) if there is a pooler.
            `target_output` are the query rows where `target_token_ids` is given, else the content
            rows of the targets. The last of `hidden_states` is `sequence_output`.

        Raises:
            ValueError: for a feature that the backbone does not take or that is missing, for rows
                that are longer than `max_sequence_length`, or for query rows without an order.
        """
        known = set(_FEATURES) - {"segment_ids", "language_ids", "task_ids"}
        contract.check_names(features, known | set(self.other_embeddings), type(self).__name__)
        features = {name: tensor for name, tensor in features.items() if tensor is not None}
        self._check(features, attention_maps)
        token_ids = features["token_ids"]  # (B, T)
        padding_mask = features.get("padding_mask")
        if padding_mask is not None:
            padding_mask = ops.cast(padding_mask, "bool")
        targets = features.get("target_positions")  # (B, P)
        index = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1  # (B, T)
        positions = features.get("position_ids")
        if positions is None:
            positions = index
            if self.positions_from_padding:
                positions = _counted(index, padding_mask)

        ids = {name: features.get(name) for name in self.other_embeddings}
        missing = {name: self.task_id if name == "task_ids" else 0 for name in ids}
        ids = {n: ops.full_like(token_ids, missing[n]) if i is None else i for n, i in ids.items()}
        content = self.embed(token_ids, positions, ids)  # (B, T, D)
        windows = dict.fromkeys(self.windows)  # each once
        seen = {w: self._content(features, padding_mask, index, w) for w in windows}
        own = [seen[window] for window in self.windows]
        query = query_own = None
        if "target_token_ids" in features:
            at_targets = {name: gather_rows(i, targets) for name, i in ids.items()}
            target_rows = gather_rows(positions, targets)  # (B, P)
            query = self.embed(features["target_token_ids"], target_rows, at_targets)
            seen = {w: self._query(features, padding_mask, index, w) for w in windows}
            query_own = [seen[window] for window in self.windows]
        if self.relative_position_bias is not None:
            bias = self.relative_position_bias(positions, positions)  # (B, H, T, T)
            own = [{**options, "bias": bias} for options in own]
            if query is not None:
                bias = self.relative_position_bias(target_rows, positions)  # (B, H, P, T)
                query_own = [{**options, "bias": bias} for options in query_own]

        hidden_states, maps = [content], []
        for index, block in enumerate(self.blocks):
            if query is not None:
                content, query = TwoStream(block, name=f"two_stream_{index}")(
                    content, query, content_own=own[index], query_own=query_own[index]
                )
            elif attention_maps:
                wrapper = AttentionMaps(block, name=f"attention_maps_{index}")
                content, weights = wrapper(content, **own[index])
                maps.append(weights)
            else:
                content = block(content, **own[index])
            hidden_states.append(content)
        if self.final_norm is not None:
            content = hidden_states[-1] = self.final_norm(content)
            query = query if query is None else self.final_norm(query)

        encoded = {"sequence_output": content, "hidden_states": hidden_states}
        if self.pooler_layer is not None:
            encoded["pooled_output"] = self.pooler_layer(summary_row(content, padding_mask))
        if targets is not None:
            encoded["target_output"] = gather_rows(content, targets) if query is None else query
        if attention_maps:
            encoded["attention_maps"] = maps
        return encoded

    def _check(self, features, attention_maps):
        """Refuse what cannot be computed."""
        length = features["token_ids"].shape[1]
        numbered = "position_ids" in features  # more tokens than positions: some share theirs
        if length is not None and not numbered and length > self.max_sequence_length:
            raise ValueError(
                f"This backbone has positions for {self.max_sequence_length} tokens. Received: "
                f"rows of {length}. Shorten them, or load weights with more positions."
            )
        if "language_ids" in self.other_embeddings and "language_ids" not in features:
            raise ValueError(
                f"This backbone has {self.num_languages} languages: give `language_ids` (B, T). "
                f"Received: {sorted(features)}."
            )
        ordered = "order" in features
        if "until" in features and not ordered:
            raise ValueError("`until` needs `order`: it says from which step on a key is hidden.")
        if "target_token_ids" in features:
            if "target_positions" not in features or not (ordered or self.causal):
                raise ValueError(
                    "`target_token_ids` makes query rows, which need `target_positions` and an "
                    f"`order`: else they would see their targets. Received: {sorted(features)}."
                )
            if attention_maps:
                raise ValueError(
                    "Attention maps are of content rows; leave `target_token_ids` out."
                )

    def embed(self, token_ids, positions, others, training=None):
        """The sum of the embeddings, normalised: content rows or query rows.

        Args:
            token_ids: int tensor of shape (B, R).
            positions: int tensor of shape (B, R) or (1, R): rows of the position table.
            others: dict of a feature's name to its ids (B, R), for each of `other_embeddings`.
            training: bool or None.

        Returns:
            Tensor of shape (B, R, D).
        """
        rows = self.token_embedding(token_ids) + self.position_embedding(positions)
        for feature, table in self.other_embeddings.items():
            rows = rows + table(others[feature])
        if self.embedding_norm_layer is not None:
            rows = self.embedding_norm_layer(rows)
        return self.embedding_dropout(rows, training=training)

    def counted_positions(self, index):
        """The rows of the position table for tokens without padding before them.

        Args:
            index: int tensor: how many tokens stand before each; below 0 as 0, and beyond the
                table as at its end.

        Returns:
            Int tensor of the same shape.
        """
        index = ops.maximum(index, 0) + FIRST_COUNTED * self.positions_from_padding
        return ops.minimum(index, self.position_embedding.input_dim - 1)

    def _content(self, features, padding_mask, index, window):
        """What content rows see: as a pattern that attention can fuse, or each row its own."""
        order = features.get("order")
        if order is None and window is None and "target_token_ids" not in features:
            visible = None if padding_mask is None else padding_mask[:, None, :]  # (B, 1, T)
            return {"visible": visible, "causal": self.causal}
        if order is None:
            order = index if self.causal else ops.zeros_like(index)
        until = features.get("until")
        return {"visible": content_visibility(order, padding_mask, window=window, until=until)}

    def _query(self, features, padding_mask, index, window):
        """What query rows see, each its own."""
        order = features.get("order", index)
        targets, until = features["target_positions"], features.get("until")
        visible = query_visibility(order, targets, padding_mask, window=window, until=until)
        return {"visible": visible}

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


_ARGUMENTS = [name for name in constructor_arguments(TransformerBackbone) if name != "dtype"]


def _counted(index, padding_mask):
    """Positions that count real tokens, from 2 on; padding has 1. (B, T)"""
    if padding_mask is None:
        return index + FIRST_COUNTED
    real = ops.cast(padding_mask, index.dtype)
    return ops.cumsum(real, axis=1) * real + FIRST_COUNTED - 1


def _checked_windows(window):
    """The cycle of windows."""
    windows = window if isinstance(window, (list, tuple)) else [window]
    for one in windows:
        if one is not None and (not is_integer(one) or not 1 <= one < 2**31):
            raise ValueError(
                "`window` must be None, an integer of at least 1, or a list of such. "
                f"Received: window={window!r:.200}."
            )
    if not windows:
        raise ValueError(f"`window` must not be an empty list. Received: window={window!r}.")
    return list(windows)
