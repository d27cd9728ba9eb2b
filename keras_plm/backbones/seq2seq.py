"""The one encoder-decoder of the families of the original Transformer, BART and T5: flags alone."""

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import (
    Backbone,
    check_sizes,
    grouped_weights,
    make_initializer,
)
from keras_plm.backbones.decoding.seq2seq_decoding import SOURCE, Seq2SeqDecoder
from keras_plm.backbones.seq2seq_stack import POSITIONS, Stack
from keras_plm.checks import (
    check_arguments,
    check_integer,
    choice,
    constructor_arguments,
    flag,
    integer,
    number,
)
from keras_plm.layers.initializer import ZeroRow
from keras_plm.layers.norm import NORMS
from keras_plm.ops import content_visibility, gather_rows

_FEATURES = (
    *SOURCE,
    *("token_ids", "padding_mask", "position_ids", "language_ids", "order", "until"),
    "target_positions",
)
INITIALIZERS = ("normal", "truncated_normal", "fan_in")


@keras.saving.register_keras_serializable(package="keras_plm")
class Seq2SeqBackbone(Backbone):
    """The encoder-decoder of the original Transformer, Marian, MASS, BART and T5.

    The encoder reads the source in both directions. The decoder is a causal Transformer whose
    blocks read, besides, what the encoder made of the source. Its features have the names that
    those of any backbone have, so that heads, targets and samplers serve it as they are; those of
    the source begin with `source_`. The defaults are the paper's.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The layers L of the encoder.
        num_heads: int. The heads H.
        hidden_dim: int. The width D.
        intermediate_dim: int. The feed-forward width F.
        max_sequence_length: int or None. How many tokens have a position, on each side; None: any
            number, where positions are not learned.
        num_decoder_layers: int or None. The layers of the decoder; None: L.
        source_vocabulary_size: int or None. Rows of a token table for the source alone (OpenNMT);
            None: both sides share one.
        head_dim: int or None. The width K of a head; None: D / H.
        dropout: float. Dropout rate of embeddings and sublayers.
        attention_dropout: float. Dropout rate of the attention weights.
        activation_dropout: float. Dropout rate inside the feed-forward networks (BART, T5).
        output_dropout: float. Dropout rate of what each side gives (T5).
        activation: str. "relu" (the paper, T5 1.0), "silu" (Marian), "gelu" (MASS, BART),
            "gelu_tanh" (T5 1.1), or another name that Keras knows.
        positions: str. "interleaved" (the paper), "halves" or "halves_inclusive", see
            `SinusoidalPositionEncoding`; "learned", a table for each side (MASS, BART); "relative",
            a bias by distance that all blocks of a side share (T5).
        position_offset: int. The row or the number of the first position (BART: 2), where
            positions are not relative.
        relative_position_buckets: int. Buckets of distances, an even number of at least 4, of
            "relative" positions; up to a distance of 128.
        norm: str. "layer", or "rms", which has no mean and no offset (T5).
        normalize_first: bool. Whether norms come before the sublayers, and one at the end of each
            side (T5, Tensor2Tensor), or after them.
        embedding_norm: bool. Whether the embeddings of each side are normalised (MASS, BART).
        layer_norm_epsilon: float.
        use_bias: bool. Whether projections and feed-forward layers have biases (not in T5).
        gated: bool. Whether feed-forward networks are gated (T5 1.1).
        scale_scores: bool. Whether scores are divided by the root of K (not in T5).
        scale_embeddings: bool. Whether embeddings are multiplied by the root of D (the paper,
            Marian, MASS), before positions are added.
        zero_token_id: int or None. A token whose embedding counts as 0 and is not trained
            (Marian: padding, with which its decoder begins); None: there is none.
        tie_weights: bool. Whether the head over the vocabulary has the token table, or a matrix of
            its own (T5 1.1, OpenNMT), which is a weight of the backbone.
        output_bias: bool. Whether `lm_head` has a bias (Marian, OpenNMT).
        scale_logits: bool. Whether `lm_head` divides its rows by the root of D (T5 1.0).
        initializer: str. "normal" or "truncated_normal", with one deviation; or "fan_in": each
            kernel with the root of one over what it sums up, queries smaller still by the root of K
            if scores are not scaled, and embeddings with 1 (T5).
        initializer_range: float. Standard deviation of the initial weights, but for "fan_in".
        num_languages: int. Rows of a table of languages on each side (MASS for translation, whose
            output projections for each language are not here); 0: none.
        remat: bool. Whether training computes each block again in the backward pass instead of
            storing what lies inside: less memory, about a third more time.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size or a length is no integer or too small, heads do not divide the
            width, learned positions have no `max_sequence_length`, relative ones an offset,
            `zero_token_id` is beyond the vocabulary, or there is no such kind.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import Seq2SeqBackbone

    backbone = Seq2SeqBackbone(
        vocabulary_size=100, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32
    )
    features = {
        "source_token_ids": np.array([[7, 8, 9, 10, 2]]),
        "token_ids": np.array([[2, 11, 12]]),
    }
    encoded = backbone.encode(features, attention_maps=True)
    assert tuple(encoded["encoder_output"].shape) == (1, 5, 16)
    assert tuple(encoded["sequence_output"].shape) == (1, 3, 16)
    assert tuple(encoded["cross_attention_maps"][0].shape) == (1, 2, 3, 5)
    ```

    Source: Vaswani et al., arXiv:1706.03762; MASS, arXiv:1905.02450; BART, arXiv:1910.13461; T5,
    arXiv:1910.10683, section 2.1; T5 1.1: `released_checkpoints.md` of google-research/
    text-to-text-transfer-transformer, and Shazeer, arXiv:2002.05202; Marian, arXiv:1804.00344.
    """

    causal = True

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        max_sequence_length=None,
        num_decoder_layers=None,
        source_vocabulary_size=None,
        head_dim=None,
        dropout: number(0, 1) = 0.1,
        attention_dropout: number(0, 1) = 0.0,
        activation_dropout: number(0, 1) = 0.0,
        output_dropout: number(0, 1) = 0.0,
        activation="relu",
        positions: choice(POSITIONS) = "interleaved",
        position_offset: integer(0, 2**24) = 0,
        relative_position_buckets: integer(4, 2**24) = 32,
        norm: choice(NORMS) = "layer",
        normalize_first: flag() = False,
        embedding_norm: flag() = False,
        layer_norm_epsilon: number(0) = 1e-6,
        use_bias: flag() = True,
        gated: flag() = False,
        scale_scores: flag() = True,
        scale_embeddings: flag() = True,
        zero_token_id=None,
        tie_weights: flag() = True,
        output_bias: flag() = False,
        scale_logits: flag() = False,
        initializer: choice(INITIALIZERS) = "normal",
        initializer_range: number(0) = 0.02,
        num_languages: integer(0, 2**24) = 0,
        remat: flag() = False,
        dtype=None,
        **kwargs,
    ):
        given = locals()
        config = {name: given[name] for name in _ARGUMENTS}
        _check_config(config)
        for name, value in config.items():
            if name != "dtype":
                setattr(self, name, value)

        # === Layers ===
        def table(rows, name, tied=True):
            kind, options = keras.layers.Embedding, {}
            if name == "token_embedding":
                kind, options = keras.layers.ReversibleEmbedding, {"tie_weights": tied}
            initial = self._drawn("embedding")
            if zero_token_id is not None:
                initial = ZeroRow(initial, zero_token_id)
            return kind(
                rows,
                hidden_dim,
                embeddings_initializer=initial,
                dtype=dtype,
                name=name,
                **options,
            )

        self.token_embedding = table(vocabulary_size, "token_embedding", tie_weights)
        self.source_token_embedding = self.token_embedding
        if source_vocabulary_size is not None:
            self.source_token_embedding = table(source_vocabulary_size, "source_token_embedding")
        self.source_stack = Stack(
            self.source_token_embedding, "encoder", num_layers, config, self._drawn
        )
        self.target_stack = Stack(
            *(self.token_embedding, "decoder", num_decoder_layers or num_layers),
            *(config, self._drawn),
        )

        # === Functional model ===
        kinds = {"token_ids": "int32", "padding_mask": "bool"}
        kinds |= {"language_ids": "int32"} if num_languages else {}
        inputs = {
            side + name: keras.Input((None,), dtype=kind, name=side + name)
            for side in ("source_", "")
            for name, kind in kinds.items()
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

    @property
    def reads(self):
        """Those of its config, and a source."""
        return super().reads | {"source"}

    @property
    def bounds(self):
        """dict of str to int: what the ids of each feature must lie below."""
        bounds = {"source_token_ids": self.source_token_embedding.input_dim}
        if self.num_languages:
            bounds |= dict.fromkeys(("source_language_ids", "language_ids"), self.num_languages)
        longest = self.max_sequence_length
        bounds["position_ids"] = longest or 2**24  # beyond it float32 has no odd numbers
        if longest is not None:
            bounds |= {"sequence_length": longest, "source_length": longest}
        return bounds

    def kernel_initializer(self):
        """Make the initializer of kernels, which new heads take as well."""
        return self._drawn("output") or self._drawn("kernel")

    def lm_head(self, cutoffs=(), **options):
        """Make the head over the vocabulary, as the flags say.

        Args:
            cutoffs, options: as in `Backbone.lm_head`; of `use_bias`, `scale` and `zero_token_id`
                the backbone has the defaults.
        """
        if cutoffs:
            return super().lm_head(cutoffs, **options)
        own = {"use_bias": self.output_bias, "zero_token_id": self.zero_token_id}
        own["scale"] = self.hidden_dim**-0.5 if self.scale_logits else 1.0
        return super().lm_head(**{**own, **options})

    def layer_groups(self):
        """Group the weights: embeddings, the encoder's blocks, then the decoder's.

        The encoder's final norm is in the group of its last block; what the blocks of a side share
        is in the first group.
        """
        sides = self.source_stack, self.target_stack
        last = [[layer for layer in [side.final_norm] if layer is not None] for side in sides]
        groups = grouped_weights(self, [*sides[0].blocks, *sides[1].blocks], last[1])
        for layer in last[0]:
            moved = {id(weight) for weight in layer.weights}
            groups[0] = [weight for weight in groups[0] if id(weight) not in moved]
            groups[len(sides[0].blocks)] += layer.weights
        return groups

    def decoder(self):
        """Make what keeps keys and values; see `keras_plm.backbones.decoding.seq2seq_decoding`."""
        return Seq2SeqDecoder(self)

    def encode(self, features, attention_maps=False):
        """Run the encoder over the source, and the decoder over the tokens.

        Args:
            features: dict of str to tensor: `source_token_ids` and `token_ids`, and any of
                `source_padding_mask`; `source_visible`, which of the source the decoder may read;
                `padding_mask`; `position_ids`, counted from 0; `order` and `until` (missing:
                causal); `target_positions`; `source_language_ids` and `language_ids`, if the config
                has languages: then they are needed.
            attention_maps: bool. Whether `attention_maps` of the decoder, (B, H, T, T),
                `cross_attention_maps`, (B, H, T, N), and `encoder_attention_maps`, (B, H, N, N),
                are returned as well: for each layer the weights before dropout, float32.

        Returns:
            dict, see `Backbone.encode`; `hidden_states` are the decoder's. Besides
            `encoder_output` (B, N, D), and `encoder_hidden_states`, of which it is the last.

        Raises:
            ValueError: for a feature that the backbone does not take or that is missing, or for
                texts that are longer than `max_sequence_length`.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        features = {name: tensor for name, tensor in features.items() if tensor is not None}
        self._check(features)
        source = {name: features[name] for name in SOURCE if name in features}
        encoded = self.encode_source(source, attention_maps)
        stack, token_ids = self.target_stack, features["token_ids"]  # (B, T)
        positions = features.get("position_ids")
        positions = _counted(token_ids) if positions is None else positions
        visible = self.visible_source(source)  # (B, N)
        hidden_states, maps = stack.run(
            stack.embed(token_ids, positions, _languages(features, "")),
            positions,
            attention_maps,
            source=encoded["encoder_output"],
            source_visible=visible if visible is None else visible[:, None],  # (B, 1, N)
            **_seen(features),
        )
        encoded |= {"sequence_output": hidden_states[-1], "hidden_states": hidden_states}
        if attention_maps:
            encoded["attention_maps"], encoded["cross_attention_maps"] = maps
        if "target_positions" in features:
            encoded["target_output"] = gather_rows(hidden_states[-1], features["target_positions"])
        return encoded

    def encode_source(self, features, attention_maps=False, training=None):
        """Run the encoder alone.

        Args:
            features: dict of those features that begin with `source_`.
            attention_maps: bool.
            training: bool or None.

        Returns:
            dict of `encoder_output`, `encoder_hidden_states` and, where they are asked for,
            `encoder_attention_maps`.

        Raises:
            ValueError: if there is no source, or if it is longer than `max_sequence_length`.
        """
        self._check_source(features)
        stack, token_ids = self.source_stack, features["source_token_ids"]  # (B, N)
        self._check_length(token_ids, "a source")
        positions, visible = _counted(token_ids), features.get("source_padding_mask")
        hidden_states, maps = stack.run(
            stack.embed(token_ids, positions, _languages(features, "source_"), training),
            positions,
            attention_maps,
            training,
            visible=visible if visible is None else ops.cast(visible, "bool")[:, None],
        )
        encoded = {"encoder_output": hidden_states[-1], "encoder_hidden_states": hidden_states}
        if attention_maps:
            (encoded["encoder_attention_maps"],) = maps
        return encoded

    def visible_source(self, features):
        """Say what of the source the decoder may read.

        Args:
            features: dict of features.

        Returns:
            Bool tensor (B, N), or None: all of it.
        """
        masks = [features.get(name) for name in ("source_padding_mask", "source_visible")]
        masks = [ops.cast(mask, "bool") for mask in masks if mask is not None]
        return ops.logical_and(*masks) if len(masks) == 2 else next(iter(masks), None)

    def _check(self, features):
        """Refuse what cannot be computed."""
        self._check_source(features)
        self._check_languages(features, "language_ids")
        if "position_ids" not in features:  # else some share theirs
            self._check_length(features["token_ids"], "a text")
        if "until" in features and "order" not in features:
            raise ValueError("`until` needs `order`: it says from which step on a key is hidden.")

    def _check_source(self, features):
        """Refuse features without a source."""
        if features.get("source_token_ids") is None:
            raise ValueError(
                f"{type(self).__name__} reads a source: give `source_token_ids` (B, N). "
                f"Received: {sorted(features)}."
            )
        self._check_languages(features, "source_language_ids")

    def _check_languages(self, features, name):
        """Refuse features without languages where there are some, and with some where not."""
        if bool(self.num_languages) != (features.get(name) is not None):
            do = f"give `{name}`" if self.num_languages else f"leave `{name}` out"
            raise ValueError(
                f"This backbone has {self.num_languages} languages: {do}. "
                f"Received: {sorted(features)}."
            )

    def _check_length(self, token_ids, what):
        """Refuse what is longer than positions are."""
        length, longest = token_ids.shape[1], self.max_sequence_length
        if None not in (length, longest) and length > longest:
            raise ValueError(
                f"This backbone has positions for {longest} tokens. Received: {what} of {length}. "
                "Shorten it, or load weights with more positions."
            )

    def _drawn(self, kind):
        """The initializer of embeddings, kernels, queries or outputs; None: that of kernels."""
        if self.initializer != "fan_in":
            drawn = make_initializer(self.initializer, self.initializer_range)
            return drawn if kind in ("embedding", "kernel") else None
        width = self.hidden_dim
        key_dim = self.head_dim or width // self.num_heads
        if kind == "output":  # of (H, K, D) Keras knows that H K are summed up
            return keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
        if kind == "query" and not self.scale_scores:
            return make_initializer("normal", (width * key_dim) ** -0.5)
        deviations = {"embedding": 1.0, "kernel": width**-0.5}
        return make_initializer("normal", deviations[kind]) if kind != "query" else None

    def get_config(self):
        own = {name: getattr(self, name) for name in _ARGUMENTS if name != "dtype"}
        return {**super().get_config(), **own}


_ARGUMENTS = tuple(constructor_arguments(Seq2SeqBackbone))


def _languages(features, side):
    """The languages of the tokens of a side, if there are some."""
    name = f"{side}language_ids"
    return {"language_ids": features[name]} if name in features else {}


def _counted(token_ids):
    """Positions from 0, (1, T): the length may be unknown in a Functional graph."""
    return ops.expand_dims(ops.cumsum(ops.ones_like(token_ids[0])) - 1, 0)


def _seen(features):
    """What the decoder's rows see of its own: a pattern that attention can fuse, or by order."""
    padding_mask, order = features.get("padding_mask"), features.get("order")
    if padding_mask is not None:
        padding_mask = ops.cast(padding_mask, "bool")
    if order is not None:
        visible = content_visibility(order, padding_mask, until=features.get("until"))
        return {"visible": visible}  # (B, T, T)
    return {"visible": None if padding_mask is None else padding_mask[:, None], "causal": True}


def _check_config(config):
    """Refuse sizes that do not fit together."""
    needed = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")
    others = ("max_sequence_length", "num_decoder_layers", "source_vocabulary_size", "head_dim")
    sizes = {name: config[name] for name in needed}
    check_sizes(**sizes, **{name: config[name] for name in others if config[name] is not None})
    width, heads, positions = config["hidden_dim"], config["num_heads"], config["positions"]
    if config["head_dim"] is None and width % heads:
        raise ValueError(
            "`hidden_dim` must be a multiple of `num_heads`, unless `head_dim` is given. "
            f"Received: hidden_dim={width}, num_heads={heads}."
        )
    if positions == "learned" and config["max_sequence_length"] is None:
        raise ValueError(
            "Learned `positions` need a `max_sequence_length`: it is the size of their table. "
            "Received: max_sequence_length=None."
        )
    why = ": relative positions have none" if positions == "relative" else ""
    most = 0 if positions == "relative" else None
    check_integer("position_offset", config["position_offset"], 0, most, why=why)
    if config["relative_position_buckets"] % 2:
        raise ValueError(
            "`relative_position_buckets` must be an even number of at least 4. "
            f"Received: relative_position_buckets={config['relative_position_buckets']}."
        )
    tables = [config["vocabulary_size"], config["source_vocabulary_size"]]
    rows = min(size for size in tables if size is not None)
    why = f": the vocabulary has {rows} tokens"
    check_integer("zero_token_id", config["zero_token_id"], 0, rows - 1, none=True, why=why)
    if config["zero_token_id"] is not None and not config["tie_weights"]:
        raise ValueError(
            "A `zero_token_id` is one of a table that is the output matrix too. "
            f"Received: zero_token_id={config['zero_token_id']}, tie_weights=False."
        )
