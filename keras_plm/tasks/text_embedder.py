"""Vectors of texts, from any layers of any backbone."""

import types

import keras
import numpy as np
from keras import ops

from keras_plm.backbones import Backbone
from keras_plm.checks import (
    check_arguments,
    check_number,
    choice,
    flag,
    integer,
    is_integer,
    kind,
)
from keras_plm.ops import summary_row
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.preprocessing.word_preprocessor import WordPreprocessor
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import encode_texts, text_inputs

POOLINGS = ("mean", "max", "first", "last", "none")


@keras.saving.register_keras_serializable(package="keras_plm")
class TextEmbedder(Task):
    """Turns texts, or pairs of texts, into vectors. It has no weights beside the backbone's.

    Of an encoder and a decoder (BART, T5) the encoder alone reads them.

    Args:
        backbone: a backbone of this package.
        preprocessor: `TextPreprocessor` or None: then features are given, not strings.
        layers: int, or list or tuple of int. Which of the L + 1 `hidden_states` are taken: 0 is
            the embeddings, -1 the output. Of several the mean is taken; or of pairs (int, float)
            the sum by these weights, such as those of a `ScalarMix` that was trained.
        pooling: str. "mean" or "max" over the real tokens, special ones included; the "first" or
            "last" real token; or "none": a vector for every token.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T).

    Returns:
        Tensor of shape (B, D), with "none" (B, T, D); float32.

    Raises:
        ValueError: if there is no such layer or pooling.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import TextEmbedder, TextPreprocessor

    def similarity(path, first, second):
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        embedder = TextEmbedder(backbone, TextPreprocessor(tokenizer, sequence_length=64))
        first, second = (embedder.embed(texts, normalize=True) for texts in (first, second))
        return (first * second).sum(axis=1)  # (N,)
    ```

    Source: BERT, arXiv:1810.04805, section 5.3 (layers as features); Sentence-BERT,
    arXiv:1908.10084, section 3 (poolings); Sentence-T5, arXiv:2108.08877, section 3 (the encoder).
    """

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        layers=-1,
        pooling: choice(POOLINGS) = "mean",
        **kwargs,
    ):
        places = _checked_layers(layers, backbone.num_layers)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.heads = {}
        self._others = types.SimpleNamespace(by_choice={})  # Keras does not look into it

        # === Functional model ===
        inputs = text_inputs(backbone)
        encoded = encode_texts(backbone, inputs)
        hidden_states = encoded.get("encoder_hidden_states", encoded["hidden_states"])
        rows = _mixed(hidden_states, places)  # (B, T, D)
        outputs = _pool(rows, inputs["padding_mask"], pooling)  # (B, D)

        # === Config ===
        self.hidden_layers = places if isinstance(layers, (list, tuple)) else places[0]
        self.pooling = pooling
        self.outputs_of_tokens = pooling == "none"
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    @check_arguments
    def embed(
        self,
        texts,
        layers=None,
        pooling: choice(POOLINGS, none=True) = None,
        batch_size: integer(1) = 32,
        normalize: flag() = False,
        verbose="auto",
    ):
        """Turn texts into vectors.

        Args:
            texts: list of N str, or a pair (tuple) of two such lists; or a list of N lists of str,
                the words of each text, see `WordPreprocessor`.
            layers: as the class's; None: what the class was given.
            pooling: as the class's; None: what the class was given.
            batch_size: int. How many texts are read at once.
            normalize: bool. Whether each vector is divided by its length, so that the product of
                two is their cosine.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            float32 array (N, D); with pooling "none" a list of N arrays (T_i, D), one vector per
            token of each text, special ones included; of lists of words one per word, that of its
            first piece, but for words beyond `sequence_length`.

        Raises:
            TypeError, ValueError: see `TextPreprocessor` and the class.
        """
        if self.preprocessor is None:
            raise ValueError("Texts need a preprocessor. Received: preprocessor=None.")
        model = self._with(layers, pooling)
        features, asked = self._features(texts)
        features = self.keep_inputs(features)
        self.check_x(features)
        found = [None] * len(asked)
        for numbers, vectors, columns in model._predicted(features, batch_size, verbose=verbose):
            if normalize:
                lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
                vectors = vectors / np.maximum(lengths, 1e-12)
            for number, own in zip(numbers, vectors):
                kept = asked[number, columns]
                found[number] = own[kept] if model.pooling == "none" else own
        return found if model.pooling == "none" else np.stack(found)

    def _features(self, texts):
        """The features of texts, and for which tokens there is a vector, bool (N, T)."""
        of_words = isinstance(texts, list) and texts and isinstance(texts[0], (list, tuple))
        if not of_words and not isinstance(self.preprocessor, WordPreprocessor):
            features = self.preprocessor.padded(self.preprocessor.rows(texts))
            return features, features["padding_mask"]
        own = self.preprocessor
        words = WordPreprocessor(own.tokenizer, own.sequence_length, own.language)
        features, positions = words.features_and_words(texts)
        asked = np.zeros(features["padding_mask"].shape, bool)  # (N, T)
        for row, places in enumerate(positions):
            asked[row, places] = True
        return features, asked

    def _with(self, layers, pooling):
        """This model, or one of other layers and pooling over the same weights."""
        layers = self.hidden_layers if layers is None else layers
        pooling = self.pooling if pooling is None else pooling
        key = (str(_checked_layers(layers, self.backbone.num_layers)), pooling)
        if key == (
            str(_checked_layers(self.hidden_layers, self.backbone.num_layers)),
            self.pooling,
        ):
            return self
        others = self._others.by_choice
        if key not in others:
            model = TextEmbedder(self.backbone, self.preprocessor, layers, pooling, compile=False)
            model.compile(
                jit_compile=self.jit_compile,
                run_eagerly=self.run_eagerly,
                fixed_shapes=self.fixed_shapes,
            )
            others[key] = model
        return others[key]

    def fit(self, *args, **kwargs):
        """Refuse to be trained."""
        raise NotImplementedError(
            "TextEmbedder is not trained. Train its backbone in another task, such as "
            "TextClassifier or TextRegressor, whose preset it loads."
        )

    def evaluate(self, *args, **kwargs):
        """Refuse to be evaluated: there are no labels."""
        raise NotImplementedError("TextEmbedder has no labels to be evaluated on: use `embed`.")

    def train_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Refuse to be trained; see `fit`."""
        self.fit()

    def test_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Refuse to be evaluated: there are no labels."""
        self.evaluate()

    def settings(self):
        return {"layers": self.hidden_layers, "pooling": self.pooling}


def _checked_layers(layers, num_layers):
    """Layers as a list of their numbers, counted from the embeddings, or of [number, weight]."""
    given = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    weighted = bool(given) and all(isinstance(one, (list, tuple)) for one in given)
    if weighted and all(len(one) == 2 for one in given):
        numbers = [one[0] for one in given]
    else:
        numbers, weighted = given, False
    integers = all(map(is_integer, numbers))
    if not given or not integers or any(not -num_layers - 1 <= n <= num_layers for n in numbers):
        raise ValueError(
            f"`layers` must be one or several integers in [{-num_layers - 1}, {num_layers}]: 0 is "
            f"the embeddings, {num_layers} or -1 the output; or pairs of such and their weights. "
            f"Received: layers={layers!r:.200}."
        )
    places = [int(number) % (num_layers + 1) for number in numbers]
    if not weighted:
        return places
    weights = [float(check_number("a weight of `layers`", weight)) for _, weight in given]
    return [list(pair) for pair in zip(places, weights)]


def _mixed(hidden_states, places):
    """The mean of layers, or their sum by weights, (B, T, D)."""
    if isinstance(places[0], list):
        return sum(weight * ops.cast(hidden_states[place], "float32") for place, weight in places)
    rows = [ops.cast(hidden_states[place], "float32") for place in places]
    return sum(rows[1:], rows[0]) / len(rows)


def _pool(rows, padding_mask, pooling):
    """One vector (B, D) of the real tokens' rows (B, T, D); or the rows as they are."""
    if pooling == "none":
        return rows
    if pooling in ("first", "last"):
        return summary_row(rows, padding_mask, pooling)
    real = ops.cast(padding_mask, "bool")[:, :, None]  # (B, T, 1)
    if pooling == "max":
        return ops.max(ops.where(real, rows, -1e30), axis=1)
    count = ops.maximum(ops.sum(ops.cast(real, "float32"), axis=1), 1.0)  # (B, 1)
    return ops.sum(ops.where(real, rows, 0.0), axis=1) / count
