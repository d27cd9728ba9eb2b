"""A Transformer that reads, beside a text, the entities that it mentions."""

import contextlib

import keras
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import Backbone, check_sizes, grouped_weights, make_initializer
from keras_plm.backbones.entity_vectors_at_hand import at_hand, checked_source, find_table
from keras_plm.checks import check_arguments, constructor_arguments, number
from keras_plm.families import fusing_block_types
from keras_plm.layers import EntityTable, KnowledgeFusionBlock, ReplayableDropout, TransformerBlock
from keras_plm.ops import gather_rows, summary_row

BLOCK_TYPES = ("text", "fuse", "fuse_attend")
_FEATURES = (
    "token_ids",
    "padding_mask",
    "position_ids",
    "segment_ids",
    "entity_ids",
    "target_positions",
)


@keras.saving.register_keras_serializable(package="keras_plm")
class KnowledgeBackbone(Backbone):
    """BERT whose upper blocks carry a second stream, of the entities that the text mentions.

    `entity_ids` names the entity of each mention, at its first token; their vectors come from a
    frozen table, such as a knowledge graph's, which is a file of its own: weights and presets
    leave it out, and the config has its name and digest. Without a table, and for texts without
    entities, all of it works, but no `entity_ids` other than 0 are taken.

    Args:
        vocabulary_size: int. The vocabulary size V.
        num_layers: int. The layers L.
        num_heads: int. The heads H.
        hidden_dim: int. The width D.
        intermediate_dim: int. The feed-forward width F, where the streams meet as well.
        max_sequence_length: int. How many tokens have a position.
        entity_dim: int. The width E of an entity's vector.
        entity_heads: int. The heads with which entities read entities; they divide E.
        block_types: list of L str, or None. What each block is, bottom to top: "text", that of
            BERT, which entities pass by; "fuse", where both streams meet; "fuse_attend", where
            entities read entities before. None: the lower half "text", but for its last, "fuse",
            and above "fuse_attend", as released.
        entity_vectors: str, path, float array (N + 1, E), or None. The table: row 0, of no entity,
            is zero; entity n has row n. A file is what `keras_plm.checkpoints.read_entity_vectors`
            reads.
        entity_source: dict or None. What a saved config says of its table: `file`, `num_entities`
            and `sha256`. A table with another digest is refused.
        dropout: float. Dropout rate of embeddings and sublayers.
        attention_dropout: float. Dropout rate of the attention weights.
        activation: str. "gelu" (erf), "gelu_tanh", or another name that Keras knows.
        layer_norm_epsilon: float.
        num_segments: int. Rows of the segment table.
        initializer: str. "normal" or "truncated_normal"; see `TransformerBackbone`.
        initializer_range: float. Standard deviation of the initial weights.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size is no positive integer, heads do not divide their width, there is no
            such type of a block, or the table has another width, a row 0 that is not zero, values
            that are not finite, or another digest than `entity_source` says.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import KnowledgeBackbone

    vectors = np.array([[0, 0, 0, 0], [1, 2, 3, 4]])
    backbone = KnowledgeBackbone(
        *(100, 2, 2, 16, 32, 8), entity_dim=4, entity_heads=2, entity_vectors=vectors
    )
    features = {"token_ids": np.array([[7, 8, 9]]), "entity_ids": np.array([[0, 1, 0]])}
    encoded = backbone.encode(features)
    assert tuple(encoded["sequence_output"].shape) == (1, 3, 16)
    assert tuple(encoded["entity_states"][-1].shape) == (1, 3, 4)
    ```

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), sections 3.2 and 3.3; the released
    `modeling.py` and `ernie_config.json` (`layer_types`).
    """

    pooler = True
    summary_row = "first"
    not_in_checkpoints = frozenset({"entity_table/vectors"})

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        max_sequence_length,
        entity_dim=100,
        entity_heads=4,
        block_types=None,
        entity_vectors=None,
        entity_source=None,
        dropout: number(0, 1) = 0.1,
        attention_dropout: number(0, 1) = 0.1,
        activation="gelu",
        layer_norm_epsilon: number(0) = 1e-12,
        num_segments=2,
        initializer="normal",
        initializer_range: number(0) = 0.02,
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
            "entity_dim": entity_dim,
            "entity_heads": entity_heads,
            "num_segments": num_segments,
        }
        check_sizes(**sizes)
        if hidden_dim % num_heads or entity_dim % entity_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`, `entity_dim` of `entity_heads`. "
                f"Received: num_heads={num_heads}, hidden_dim={hidden_dim}, "
                f"entity_heads={entity_heads}, entity_dim={entity_dim}."
            )
        types = _checked_types(block_types, num_layers)
        source, vectors = find_table(entity_vectors, checked_source(entity_source), entity_dim)

        def drawn():
            return make_initializer(initializer, initializer_range)

        def embedding(cls, rows, name):
            return cls(
                rows,
                hidden_dim,
                embeddings_initializer=drawn(),
                dtype=dtype,
                name=f"{name}_embedding",
            )

        # === Layers ===
        self.token_embedding = embedding(keras.layers.ReversibleEmbedding, vocabulary_size, "token")
        self.position_embedding = embedding(keras.layers.Embedding, max_sequence_length, "position")
        self.segment_embedding = embedding(keras.layers.Embedding, num_segments, "segment")
        self.embedding_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=dtype, name="embedding_norm"
        )
        self.embedding_dropout = ReplayableDropout(dropout, dtype=dtype, name="embedding_dropout")
        num_entities = 0 if vectors is None else len(vectors) - 1
        self.entity_table = EntityTable(num_entities, entity_dim, dtype=dtype, name="entity_table")
        common = dict(
            num_heads=num_heads,
            key_dim=hidden_dim // num_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            dtype=dtype,
        )
        self.blocks = [
            TransformerBlock(kernel_initializer=drawn(), name=f"block_{index}", **common)
            if kind == "text"
            else KnowledgeFusionBlock(
                entity_dim=entity_dim,
                entity_heads=entity_heads,
                entity_attention=kind == "fuse_attend",
                kernel_initializer=drawn(),
                name=f"block_{index}",
                **common,
            )
            for index, kind in enumerate(types)
        ]
        self.pooler_layer = keras.layers.Dense(
            hidden_dim, activation="tanh", kernel_initializer=drawn(), dtype=dtype, name="pooler"
        )

        # === Functional model ===
        inputs = {
            name: keras.Input((None,), dtype=contract.FEATURES[name].dtype, name=name)
            for name in ("token_ids", "padding_mask", "segment_ids", "entity_ids")
        }
        encoded = self.encode(inputs)
        outputs = {name: encoded[name] for name in ("sequence_output", "pooled_output")}
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)
        if vectors is not None:
            self.entity_table.give(vectors)
        fusing = [block for block in self.blocks if isinstance(block, KnowledgeFusionBlock)]
        for layer in (fusing[-1].entity_output, fusing[-1].entity_norm) if fusing else ():
            layer.trainable = False  # nobody reads the entities above: there is no gradient

        # === Config ===
        for name, size in sizes.items():
            setattr(self, name, size)
        self.block_types = types
        self.entity_source = source
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer = initializer
        self.initializer_range = initializer_range

    @property
    def reads(self):
        """That it reads in both directions, makes a pooled output, and takes entities."""
        return super().reads | {"entities"}

    @property
    def bounds(self):
        """dict of str to int: what the ids of each feature must lie below."""
        entities = self.entity_table.num_entities + 1
        return {
            "segment_ids": self.num_segments,
            "position_ids": self.max_sequence_length,
            "sequence_length": self.max_sequence_length,
            "entity_ids": entities,
            "candidate_entity_ids": entities,
        }

    def layer_groups(self):
        """Group the weights from bottom to top; the table of entities is below the blocks."""
        return grouped_weights(self, self.blocks, [self.pooler_layer])

    def encode(self, features):
        """Run both streams.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask`,
                `position_ids`, `segment_ids` and `entity_ids` (missing: all 0), and
                `target_positions`.

        Returns:
            dict, see `Backbone.encode`, with `pooled_output` (B, D) and `entity_states`, a list of
            L + 1 tensors (B, T, E), the vectors of the table first.

        Raises:
            ValueError: for a feature that the backbone does not take, for rows that are longer
                than `max_sequence_length`, or for `entity_ids` that are not one for each token.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        features = {name: tensor for name, tensor in features.items() if tensor is not None}
        self._check(features)
        token_ids = features["token_ids"]  # (B, T)
        index = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
        padding_mask = features.get("padding_mask")
        if padding_mask is None:
            visible, has_entity = None, ops.equal(index, 0)
        else:
            padding_mask = ops.cast(padding_mask, "bool")
            visible = padding_mask[:, None, :]  # (B, 1, T)
            number = ops.cumsum(ops.cast(padding_mask, "int32"), axis=1)
            has_entity = ops.logical_and(ops.equal(number, 1), padding_mask)
        # The first token counts as one with an entity, of which the vector is zero.
        entity_ids = features.get("entity_ids")
        if entity_ids is None:
            entity_ids = ops.zeros_like(token_ids)
        named = ops.greater(entity_ids, 0)  # (B, T)
        named = named if padding_mask is None else ops.logical_and(named, padding_mask)
        has_entity = ops.logical_or(has_entity, named)

        rows = self.token_embedding(token_ids)
        rows = rows + self.position_embedding(features.get("position_ids", index))
        segment_ids = features.get("segment_ids")
        if segment_ids is None:
            segment_ids = ops.zeros_like(token_ids)
        rows = rows + self.segment_embedding(segment_ids)
        content = self.embedding_dropout(self.embedding_norm(rows))  # (B, T, D)
        entities = ops.cast(self.entity_table(entity_ids), content.dtype)  # (B, T, E)
        hidden_states, entity_states = [content], [entities]
        for block in self.blocks:
            if isinstance(block, KnowledgeFusionBlock):
                content, entities = block(content, entities, has_entity, visible)
            else:
                content = block(content, visible=visible)
            hidden_states.append(content)
            entity_states.append(entities)
        encoded = {
            "sequence_output": content,
            "hidden_states": hidden_states,
            "entity_states": entity_states,
            "pooled_output": self.pooler_layer(summary_row(content, padding_mask)),
        }
        if "target_positions" in features:
            encoded["target_output"] = gather_rows(content, features["target_positions"])
        return encoded

    def _check(self, features):
        """Refuse what cannot be computed."""
        shape = tuple(features["token_ids"].shape)
        numbered = "position_ids" in features  # more tokens than positions: some share theirs
        if shape[1] is not None and not numbered and shape[1] > self.max_sequence_length:
            raise ValueError(
                f"This backbone has positions for {self.max_sequence_length} tokens. Received: "
                f"rows of {shape[1]}. Shorten them, or load weights with more positions."
            )
        found = tuple(features.get("entity_ids", features["token_ids"]).shape)
        known = [a == b for a, b in zip(found, shape) if None not in (a, b)]
        if len(found) != 2 or not all(known):
            raise ValueError(
                "`entity_ids` must be of the shape of `token_ids`, (B, T): the entity of each "
                "mention at its first token, 0 at all others. Received: entity_ids of shape "
                f"{found}, token_ids of shape {shape}."
            )

    def copy_text_weights(self, backbone):
        """Start the text stream from the weights of a backbone without entities.

        What entities need keeps its values. The paper starts so, from BERT.

        Args:
            backbone: `TransformerBackbone` of the same sizes.

        Raises:
            ValueError: if the other one lacks a weight of the text stream, or has one of another
                shape; nothing is changed.

        Source: ERNIE, arXiv:1905.07129, section 4.1.
        """
        others = {weight.path: weight for weight in backbone.weights}
        own = {
            weight.path: weight
            for weight in self.weights
            if not any(part.startswith("entity_") for part in weight.path.split("/"))
            and not weight.path.split("/")[-1].startswith("seed")
        }
        shapes = {path: tuple(one.shape) for path, one in others.items()}
        wrong = [path for path, one in own.items() if shapes.get(path) != tuple(one.shape)]
        if wrong:
            raise ValueError(
                "The other backbone must have all weights of the text stream, in their shapes: "
                "give a `TransformerBackbone` of the same sizes, with a pooler. Received: "
                f"{type(backbone).__name__}, without {wrong[:5]}."
            )
        for path, weight in own.items():
            weight.assign(others[path])

    def copy_scope(self):
        """Let configs that name this backbone's table find it; see `entity_vectors_at_hand`."""
        table = self.entity_table.vectors
        if table is None:
            return contextlib.nullcontext()
        return at_hand(self.entity_source["sha256"], ops.convert_to_numpy(table))

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


_GIVEN = ("dtype", "entity_vectors")  # what a config does not say
_ARGUMENTS = [name for name in constructor_arguments(KnowledgeBackbone) if name not in _GIVEN]


def _checked_types(types, num_layers):
    """What each block is, a list of str."""
    if types is None:
        return fusing_block_types(num_layers)
    several = isinstance(types, (list, tuple)) and len(types) == num_layers
    if not several or not all(isinstance(one, str) and one in BLOCK_TYPES for one in types):
        raise ValueError(
            f"`block_types` must be a list of num_layers={num_layers} of {list(BLOCK_TYPES)}, or "
            f"None. Received: block_types={types!r:.200}."
        )
    return list(types)
