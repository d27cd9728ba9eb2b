"""One half of an encoder-decoder: embeddings, blocks and what stands above them.

A stack has what a `TransformerBackbone` has for reading a few tokens at a time: the decoder of an
encoder-decoder is a causal Transformer whose blocks read one projection more.
"""

import keras
from keras import ops

from keras_plm.layers import (
    AttentionMaps,
    RelativePositionBias,
    ReplayableDropout,
    SinusoidalPositionEncoding,
    TransformerBlock,
)
from keras_plm.layers.norm import make_norm
from keras_plm.layers.positions.sinusoidal_position_encoding import KINDS

POSITIONS = ("learned", *KINDS, "relative")
MAX_DISTANCE = 128  # in tokens; T5, arXiv:1910.10683, section 2.1


class Stack:
    """The layers of one half, and how they are computed.

    Args:
        token_embedding: `keras.layers.Embedding`.
        side: str. "encoder" or "decoder", with which the layers' names begin.
        num_layers: int. L.
        config: dict of the arguments of `Seq2SeqBackbone`.
        drawn: function of a kind of weights, see `Seq2SeqBackbone`, that makes an initializer.

    Attributes:
        other_embeddings: dict of `language_ids` to the layer, where there are languages; see
            `TransformerBackbone`.
        windows: list of L None: rows see any distance.
        relative_position_bias: layer or None.
        final_norm: layer or None.
    """

    def __init__(self, token_embedding, side, num_layers, config, drawn):
        self.token_embedding = token_embedding
        self.side = side
        self.config = config
        self.windows = [None] * num_layers
        dtype, width, kind = config["dtype"], config["hidden_dim"], config["positions"]
        offset, epsilon = config["position_offset"], config["layer_norm_epsilon"]

        def norm(name):
            return make_norm(config["norm"], epsilon, dtype, f"{side}_{name}")

        self.position_embedding = self.position_encoding = self.relative_position_bias = None
        if kind == "learned":
            self.position_embedding = keras.layers.Embedding(
                config["max_sequence_length"] + offset,
                width,
                embeddings_initializer=drawn("embedding"),
                dtype=dtype,
                name=f"{side}_position_embedding",
            )
        elif kind == "relative":
            self.relative_position_bias = RelativePositionBias(
                config["relative_position_buckets"],
                config["num_heads"],
                MAX_DISTANCE,
                embeddings_initializer=drawn("kernel"),
                bidirectional=side == "encoder",
                dtype=dtype,
                name=f"{side}_relative_position_bias",
            )
        else:
            self.position_encoding = SinusoidalPositionEncoding(
                width, kind, start=offset, dtype=dtype, name=f"{side}_position_encoding"
            )
        self.other_embeddings = {}
        if config["num_languages"]:
            self.other_embeddings["language_ids"] = keras.layers.Embedding(
                config["num_languages"],
                width,
                embeddings_initializer=drawn("embedding"),
                dtype=dtype,
                name=f"{side}_language_embedding",
            )
        self.embedding_norm = norm("embedding_norm") if config["embedding_norm"] else None
        self.embedding_dropout = ReplayableDropout(
            config["dropout"], dtype=dtype, name=f"{side}_embedding_dropout"
        )
        passed_on = (
            *("num_heads", "intermediate_dim", "dropout", "attention_dropout", "activation"),
            *("normalize_first", "layer_norm_epsilon", "remat", "norm", "use_bias"),
            *("scale_scores", "gated", "activation_dropout", "dtype"),
        )
        self.blocks = [
            TransformerBlock(
                **{name: config[name] for name in passed_on},
                key_dim=config["head_dim"] or width // config["num_heads"],
                kernel_initializer=drawn("kernel"),
                query_initializer=drawn("query"),
                output_initializer=drawn("output"),
                cross_attention=side == "decoder",
                name=f"{side}_block_{index}",
            )
            for index in range(num_layers)
        ]
        self.final_norm = norm("final_norm") if config["normalize_first"] else None
        self.output_dropout = ReplayableDropout(
            config["output_dropout"], dtype=dtype, name=f"{side}_output_dropout"
        )

    @property
    def compute_dtype(self):
        """str: that of keys and values."""
        return self.blocks[0].compute_dtype

    def counted_positions(self, index):
        """The positions of tokens without padding before them.

        Args:
            index: int tensor: how many tokens stand before each; below 0 as 0, and beyond a table
                as at its end.

        Returns:
            Int tensor of the same shape.
        """
        index, longest = ops.maximum(index, 0), self.config["max_sequence_length"]
        return index if longest is None else ops.minimum(index, longest - 1)

    def embed(self, token_ids, positions, others=None, training=None):
        """Embed tokens and their positions.

        Args:
            token_ids: int tensor of shape (B, R).
            positions: int tensor of shape (B, R) or (1, R), counted from 0.
            others: dict of `language_ids`, int tensor of shape (B, R), where there are languages.
            training: bool or None.

        Returns:
            Tensor of shape (B, R, D).
        """
        config, rows = self.config, self.token_embedding(token_ids)  # (B, R, D)
        if config["zero_token_id"] is not None:
            is_zero = ops.equal(token_ids, config["zero_token_id"])[:, :, None]
            rows = ops.where(is_zero, ops.zeros_like(rows), rows)
        if config["scale_embeddings"]:
            rows = rows * config["hidden_dim"] ** 0.5
        if self.position_embedding is not None:
            rows = rows + self.position_embedding(positions + config["position_offset"])
        elif self.position_encoding is not None:
            rows = rows + self.position_encoding(positions)
        for name, table in self.other_embeddings.items():
            rows = rows + table(others[name])
        if self.embedding_norm is not None:
            rows = self.embedding_norm(rows)
        return self.embedding_dropout(rows, training=training)

    def run(self, rows, positions, attention_maps=False, training=None, **options):
        """Run all blocks over all rows.

        Args:
            rows: tensor of shape (B, T, D), from `embed`.
            positions: as in `embed`.
            attention_maps: bool.
            training: bool or None.
            options: what `TransformerBlock` takes.

        Returns:
            Pair: a list of L + 1 tensors (B, T, D), of which the last is the output, and a list
            of lists of L tensors: the attention maps, and in a decoder those of the source.
        """
        if self.relative_position_bias is not None:
            options["bias"] = self.relative_position_bias(positions, positions)  # (1, H, T, T)
        hidden_states, maps = [rows], []
        for index, block in enumerate(self.blocks):
            if attention_maps:
                block = AttentionMaps(block, name=f"attention_maps_{self.side}_{index}")
                rows, *weights = block(rows, training=training, **options)
                maps.append(weights)
            else:
                rows = block(rows, training=training, **options)
            hidden_states.append(rows)
        if self.final_norm is not None:
            rows = self.final_norm(rows)
        hidden_states[-1] = self.output_dropout(rows, training=training)
        return hidden_states, [list(kind) for kind in zip(*maps)]
