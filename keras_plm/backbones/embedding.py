"""A backbone of an embedding alone: static vectors, and the control of every comparison."""

import logging

import keras
import numpy as np
from keras import ops

from keras_plm import features as contract
from keras_plm.backbones.backbone import Backbone, check_sizes
from keras_plm.checks import (
    check_arguments,
    check_rectangular,
    choice,
    constructor_arguments,
    flag,
    integer,
    number,
)
from keras_plm.ops import gather_rows

logger = logging.getLogger("keras_plm")

POOLINGS = ("mean", "max", "mean_max")
UNKNOWN_RANGE = 0.25  # Kim (2014), section 3.1: about the variance of word2vec's vectors
_FEATURES = ("token_ids", "padding_mask", "target_positions")


@keras.saving.register_keras_serializable(package="keras_plm")
class EmbeddingBackbone(Backbone):
    """An embedding and nothing above it: a token has the same state in every text.

    Its pooled output is what stands for a text: `TextClassifier(backbone, num_classes)` is SWEM's
    classifier, and with `summarise=True` it has one hidden layer, as a deep averaging network.

    Args:
        vocabulary_size: int. The vocabulary size V.
        hidden_dim: int. The width D.
        pooling: str. "mean" or "max" over the real tokens of a row; "mean_max": both, side by
            side, of width 2 D.
        word_dropout: float. The rate at which whole tokens become 0 in training, in [0, 1]; those
            that are left grow as in other dropout.
        dtype: str or dtype policy.

    Call arguments:
        inputs: dict of `token_ids` int (B, T) and `padding_mask` bool (B, T).

    Returns:
        dict of `sequence_output` (B, T, D) and `pooled_output` (B, D or 2 D).

    Raises:
        ValueError: if a size is below 1, or another argument out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import EmbeddingBackbone

    backbone = EmbeddingBackbone(vocabulary_size=20, hidden_dim=8)
    ids = np.array([[3, 4, 0]])
    encoded = backbone.encode({"token_ids": ids, "padding_mask": ids > 0})
    rows, pooled = encoded["sequence_output"], encoded["pooled_output"]
    np.testing.assert_allclose(pooled[0], (rows[0, 0] + rows[0, 1]) / 2, rtol=1e-5)
    ```

    Source: SWEM (Shen et al. 2018, arXiv:1805.09843), section 3.2; word dropout and the hidden
    layer: deep averaging networks (Iyyer et al. 2015), sections 3 and 3.1; the initial weights:
    the released word2vec.c, `InitNet`.
    """

    causal = True  # no token sees any other, and so none to its right
    pooler = True
    num_layers = 0

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        pooling: choice(POOLINGS) = "mean",
        word_dropout: number(0, 1) = 0.0,
        dtype=None,
        **kwargs,
    ):
        sizes = dict(vocabulary_size=vocabulary_size, hidden_dim=hidden_dim)
        check_sizes(**sizes)

        # === Layers ===
        largest = 0.5 / hidden_dim
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=keras.initializers.RandomUniform(-largest, largest),
            dtype=dtype,
            name="token_embedding",
        )
        self.embedding_dropout = keras.layers.Dropout(
            word_dropout, noise_shape=(None, None, 1), dtype=dtype, name="embedding_dropout"
        )
        self.pooling = pooling
        self.word_dropout = word_dropout
        for name, size in sizes.items():
            setattr(self, name, size)

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        encoded = self.encode(inputs)
        outputs = {name: encoded[name] for name in ("sequence_output", "pooled_output")}
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

    @classmethod
    @check_arguments
    def from_vectors(
        cls,
        words,
        vectors,
        tokenizer=None,
        trainable: flag() = True,
        seed: integer(0) = 0,
        **kwargs,
    ):
        """Make a backbone of given vectors.

        What the tokenizer has beside the words is drawn from U(-.25, .25), but for its padding,
        which is 0. The log "keras_plm" says how many words of the tokenizer have a vector.

        Args:
            words: list of N str, such as `keras_plm.data.read_vectors` returns.
            vectors: float array (N, D).
            tokenizer: `keras_plm.data.Tokenizer` or None. The vectors are put in the order of its
                ids, by its pieces; None: an id is the number of a word in `words`.
            trainable: bool. Whether training changes the vectors. False: also not as part of a
                task.
            seed: int. Of what is drawn.
            kwargs: other arguments of the class.

        Returns:
            `EmbeddingBackbone`.

        Raises:
            TypeError, ValueError: if the vectors are not as many as the words, not finite, or none
                of them is of the tokenizer.

        Source: the range of what is drawn: Kim (2014, arXiv:1408.5882), section 3.1.
        """
        vectors = _checked_vectors(words, vectors)
        if tokenizer is not None:
            vectors = _in_order(words, vectors, tokenizer, seed)
        backbone = cls(*vectors.shape, trainable=trainable, **kwargs)
        backbone.token_embedding.embeddings.assign(vectors)
        return backbone

    @property
    def reads(self):
        """That tokens are read alone, and the pooled output."""
        return frozenset({"causal", "alone", "pooler"})

    def encode(self, features):
        """Look the tokens up.

        Args:
            features: dict of str to tensor: `token_ids`, and any of `padding_mask` and
                `target_positions`.

        Returns:
            dict, see `Backbone.encode`, with one entry of `hidden_states`, and `pooled_output`.

        Raises:
            ValueError: for a feature that the backbone does not take.
        """
        contract.check_names(features, _FEATURES, type(self).__name__)
        rows = self.embedding_dropout(self.token_embedding(features["token_ids"]))  # (B, T, D)
        encoded = {
            "sequence_output": rows,
            "hidden_states": [rows],
            "pooled_output": _pooled(rows, features.get("padding_mask"), self.pooling),
        }
        targets = features.get("target_positions")  # (B, P)
        if targets is not None:
            encoded["target_output"] = gather_rows(rows, targets)
        return encoded

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


_ARGUMENTS = [name for name in constructor_arguments(EmbeddingBackbone) if name != "dtype"]


def _pooled(rows, padding_mask, pooling):
    """The mean, the largest values, or both, of the real tokens; (B, D) or (B, 2 D)."""
    if padding_mask is None:
        padding_mask = ops.ones_like(rows[..., 0], dtype="bool")  # (B, T)
    real = ops.cast(padding_mask, "bool")[:, :, None]  # (B, T, 1)
    wide, pooled = ops.cast(rows, "float32"), []
    if pooling != "max":
        count = ops.sum(ops.cast(real, "float32"), axis=1)  # (B, 1)
        total = ops.sum(ops.where(real, wide, 0.0), axis=1)
        pooled.append(total / ops.maximum(count, 1.0))
    if pooling != "mean":
        largest = ops.max(ops.where(real, wide, -1e30), axis=1)
        pooled.append(ops.where(ops.any(real, axis=1), largest, 0.0))
    return ops.cast(ops.concatenate(pooled, axis=-1), rows.dtype)


def _checked_vectors(words, vectors):
    """The vectors as a float32 array, one for each word."""
    if not isinstance(words, (list, tuple)) or not all(isinstance(one, str) for one in words):
        raise TypeError(f"`words` must be a list of strings. Received: words={words!r:.100}.")
    vectors = check_rectangular("`vectors`", vectors)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or 0 in vectors.shape:
        raise ValueError(
            "`vectors` must be an array of numbers of the shape (N, D). Received: shape "
            f"{vectors.shape}, dtype {vectors.dtype}."
        )
    if len(words) != len(vectors):
        raise ValueError(
            "`vectors` must have a row for each word. Received: "
            f"{len(words)} words and {len(vectors)} rows."
        )
    with np.errstate(over="ignore"):
        vectors = vectors.astype("float32")
    if not (finite := np.isfinite(vectors).all(axis=1)).all():
        word = words[int(np.argmin(finite))]
        raise ValueError(f"`vectors` must be finite. Received: that of {word!r:.100} is not.")
    return vectors


def _in_order(words, vectors, tokenizer, seed):
    """The vectors of a tokenizer's pieces (V, D)."""
    if not hasattr(tokenizer, "pieces") or not hasattr(tokenizer, "special_token_ids"):
        raise TypeError(
            "`tokenizer` must be a `keras_plm.data.Tokenizer`, or None. Received: "
            f"{tokenizer!r:.100}."
        )
    places = {word: place for place, word in reversed(list(enumerate(words)))}  # the first counts
    pieces = tokenizer.pieces(list(range(tokenizer.vocabulary_size)))
    found = np.array([places.get(piece, -1) for piece in pieces])
    known = found >= 0
    if not known.any():
        raise ValueError(
            "Some words must be pieces of the tokenizer. Received: words such as "
            f"{words[:3]!r:.100}, pieces such as {pieces[-3:]!r:.100}."
        )
    shape = (len(pieces), vectors.shape[1])
    table = np.random.default_rng(seed).uniform(-UNKNOWN_RANGE, UNKNOWN_RANGE, shape)
    table = table.astype("float32")
    table[known] = vectors[found[known]]
    padding = tokenizer.special_token_ids.get("pad")
    if padding is not None:
        table[padding] = 0
    logger.info(
        "EmbeddingBackbone.from_vectors: %d of the tokenizer's %d pieces have a vector.",
        *(int(known.sum()), len(pieces)),
    )
    return table
