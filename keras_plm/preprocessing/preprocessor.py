"""What every preprocessor has: a tokenizer, a length, and presets that other tasks can use."""

import logging
import os

import keras
import keras_hub
import numpy as np

from keras_plm import features as contract
from keras_plm import files, presets
from keras_plm.checks import (
    check_arguments,
    check_names,
    constructor_arguments,
    did_you_mean,
    flag,
    integer,
    kind,
    text,
)
from keras_plm.files import write_json
from keras_plm.tokenizers.text_columns import refuse_empty, text_list
from keras_plm.tokenizers.tokenizer import Tokenizer

PREPROCESSOR_FILE = "preprocessor.json"

logger = logging.getLogger("keras_plm")


class Preprocessor(keras_hub.models.Preprocessor):
    """Abstract base of the preprocessors: raw strings to the features of a backbone.

    A row is laid out as the tokenizer's `layout` says, see `keras_plm.data.RowLayout`: XLNet's
    `A SEP B SEP CLS` is padded at the left, BERT's `CLS A SEP B SEP` at the right.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        language: str or None. The language of all texts, one of `tokenizer.languages`; for
            tokenizers of models that are told the language (XLM), where None will do if there is
            but one.
        pre_split: bool. Whether spaces separate the words of all texts, which XLM's tokenizer
            needs of Chinese, Thai and Japanese.

    Raises:
        ValueError: if `sequence_length` is no integer of at least 4, or the tokenizer does not
            know the language or its words.

    Source: XLNet, arXiv:1906.08237, section 2.5; BERT, arXiv:1810.04805, section 3.
    """

    @check_arguments
    def __init__(
        self,
        tokenizer: kind(Tokenizer, none=True) = None,
        sequence_length: integer(4) = 128,
        language: text(none=True) = None,
        pre_split: flag() = False,
        **kwargs,
    ):
        cls, common = type(self), ("dtype", "name", "trainable")
        check_names(cls.__name__, kwargs, {*constructor_arguments(cls), *common})
        super().__init__(**kwargs)
        self.built = True  # on JAX Keras runs a model with an unbuilt layer eagerly before a batch
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.language = language
        self.pre_split = pre_split
        # Whether a warning was given for the data that a task reads now; None: it reads nothing,
        # and every call may warn.
        self.has_warned = None
        if tokenizer is not None and language is not None:
            self._language_id(self.language)

    def __call__(self, *args, **kwargs):
        """Make features; see `call`. It runs in Python, and in no graph of TensorFlow's."""
        for value in keras.tree.flatten((args, kwargs)):
            if _is_symbolic(value):
                raise ValueError(
                    "The tokenizer runs in Python, not in a graph, such as that of "
                    "`tf.data.Dataset.map`. Give the dataset of strings itself to `fit`, "
                    "`evaluate` or `predict` of a task with this preprocessor, or preprocess lists "
                    f"before you make a dataset. Received: {type(value).__name__}."
                )
        return super().__call__(*args, **kwargs)

    def quantize(self, *args, **kwargs):
        """Do nothing: there are no weights, and `quantize` of a task asks every layer."""

    def settings(self):
        """The constructor arguments beside the tokenizer, as plain JSON values."""
        given = {"language": self.language, "pre_split": self.pre_split}
        given = {name: value for name, value in given.items() if value}
        return {"sequence_length": self.sequence_length, **given}

    def __repr__(self):
        settings = [f"{name}={value!r}" for name, value in self.settings().items()]
        return f"<{type(self).__name__}: {', '.join([*settings, repr(self.tokenizer)])}>"

    @property
    def layout(self):
        """How the tokenizer's texts become rows, a `keras_plm.data.RowLayout`."""
        return self.tokenizer.layout

    def encode_texts(self, texts, what="`x`"):
        """The ids of texts, each of at least one.

        Args:
            texts: list of str, or what else `keras_plm.tokenizers.text_columns.text_list` takes.
            what: str. What they are, for the message.

        Returns:
            list of lists of int.

        Raises:
            TypeError: if there is anything but strings.
            ValueError: if there are no texts, or one is empty or of characters without any ids.
        """
        texts = text_list(texts, what)
        ids = self.tokenizer.encode(texts)
        refuse_empty(texts, ids, what)
        return ids

    def pair_row(self, first, second=None):
        """Lay out one row; what is too long loses its end, of a pair the longer text first.

        Args:
            first: list of int. The ids of A.
            second: list of int or None. The ids of B.

        Returns:
            Two lists of at most T ints: token ids and segment ids, without padding.
        """
        room = self.room(second is not None)
        if second is None:
            return self.layout.lay_out(self.tokenizer, list(first[:room]))
        shorter = min(len(first), len(second))
        if len(first) + len(second) > room:
            if 2 * shorter < room:  # the shorter one stays whole
                longer = room - shorter
                first, second = first[:longer], second[:longer]
            else:  # B gives way if both are as long
                first, second = first[: (room + 1) // 2], second[: room // 2]
        return self.layout.lay_out(self.tokenizer, list(first), list(second))

    def say_cut(self, found):
        """Say in the log "keras_plm" what is cut; of the batches that a task reads, once.

        Args:
            found: str. What is too long, how many of how many, and what becomes of it.
        """
        if self.has_warned is None:
            logger.warning("%s.", found)
        elif not self.has_warned:
            self.has_warned = True
            logger.warning("%s. Said once for all batches.", found)

    def room(self, pair=False):
        """How many tokens of texts a row holds beside the special ones.

        Args:
            pair: bool. Whether the row is one of two texts.

        Returns:
            int.

        Raises:
            ValueError: if there is no room.
        """
        room = self.sequence_length - self.layout.num_special(pair)
        if room < 1:
            raise ValueError(
                f"A row has {self.layout.num_special(pair)} special tokens, which leave no room "
                f"for texts. Received: sequence_length={self.sequence_length}."
            )
        return room

    def padded(self, rows, sequence_length=None):
        """Put rows into arrays, padded at the side that the layout says.

        Args:
            rows: list of N pairs (token ids, segment ids), as from `pair_row`; or triples, with
                the entity of each token.
            sequence_length: int or None. The length T of the arrays; None: that of the class.

        Returns:
            dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T)
            bool, `language_ids` (N, T) int32 if the tokenizer has languages, `character_ids`
            (N, T, 50) int32 if it is of words that are read by their characters, and `entity_ids`
            (N, T) int32 of triples.

        Raises:
            ValueError: if the tokenizer has several languages and none was given.
        """
        shape = (len(rows), sequence_length or self.sequence_length)
        token_ids = np.full(shape, self.tokenizer.pad_token_id, "int32")  # (N, T)
        segment_ids = np.zeros(shape, "int32")
        padding_mask = np.zeros(shape, "bool")
        spelled = getattr(self.tokenizer, "characters", False)
        character_ids = np.zeros((*shape, contract.WORD_LENGTH) if spelled else 0, "int32")
        entity_ids = np.zeros(shape, "int32")
        for row, (ids, segments, *entities) in enumerate(rows):
            first = self.first_position(ids, shape[1])
            place = slice(first, first + len(ids))
            token_ids[row, place] = ids
            segment_ids[row, place] = segments
            padding_mask[row, place] = True
            if entities:
                entity_ids[row, place] = entities[0]
            if spelled:
                character_ids[row, place] = self.tokenizer.character_ids(ids)
        features = {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": padding_mask,
        }
        if self.tokenizer.languages:
            features["language_ids"] = np.full(shape, self._language_id(self.language), "int32")
        if spelled:
            features["character_ids"] = character_ids
        if rows and len(rows[0]) == 3:
            features["entity_ids"] = entity_ids
        return features

    def first_position(self, ids, sequence_length=None):
        """Where a row's first token stands in its array.

        Args:
            ids: list of int. The row, as from `pair_row`.
            sequence_length: int or None. The length T of the array; None: that of the class.

        Returns:
            int.
        """
        return (sequence_length or self.sequence_length) - len(ids) if self.layout.pad_left else 0

    def _language_id(self, language):
        """The id of a language; None: the one that there is."""
        languages = self.tokenizer.languages
        if language is None and len(languages) == 1:
            return next(iter(languages.values()))
        if language not in languages:
            known = f"Give one of {sorted(languages)}." if languages else "It has no languages."
            raise ValueError(
                "`language` must be one that the tokenizer knows, the language of the texts. "
                f"{known} Received: language={language!r}.{did_you_mean(language, languages)}"
            )
        return self.tokenizer.language_id(language, self.pre_split)

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), **self.settings()}

    # === Files ===

    def save_assets(self, path):
        """Write the tokenizer beside the weights of a saved model."""
        if self.tokenizer is not None:
            self.tokenizer.save(path)

    def load_assets(self, path):
        """Read the tokenizer of a saved model."""
        self.tokenizer = Tokenizer.load(path)

    def write_preset(self, directory):
        """Write settings and tokenizer into a directory that is there.

        Args:
            directory: str.
        """
        settings = {"class": type(self).__name__, **self.settings()}
        write_json(os.path.join(directory, PREPROCESSOR_FILE), settings)
        self.tokenizer.save(directory)

    def save_to_preset(self, preset_dir):
        """Save settings and tokenizer to a directory, whole or not at all.

        Args:
            preset_dir: str. The directory; older settings that are there already are replaced.
        """
        with files.atomic_directory(preset_dir, PREPROCESSOR_FILE) as directory:
            self.write_preset(directory)

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Load the preprocessor of a preset directory.

        Of another class's preprocessor the tokenizer, its length and its language are taken.

        Args:
            preset: str. A directory that `save_to_preset` of a task wrote, or any other preset
                with a tokenizer, such as "xlnet_base_en_cased"; or an `OpenedPreset`.
            kwargs: constructor arguments that replace the saved ones.

        Raises:
            FileNotFoundError: if the preset has no preprocessor.
            ValueError: if its files are not what they should be.
        """
        preset = presets.open_preset(preset)
        tokenizer = Tokenizer.from_preset(preset)
        if preset.checkpoint is not None:
            return cls(tokenizer, **kwargs)
        saved = preset.read_json(PREPROCESSOR_FILE)
        with files.reading(f"{preset}/{PREPROCESSOR_FILE}"):
            files.check_config(saved)
            settings = {name: value for name, value in saved.items() if name != "class"}
            if saved.get("class") != cls.__name__:
                shared = ("sequence_length", "language", "pre_split")
                shared = set(shared) & set(preprocessor_arguments(cls))
                settings = {name: settings[name] for name in shared if name in settings}
            unknown = sorted(set(settings) - set(preprocessor_arguments(cls)))
            if not str(saved.get("class")).endswith("Preprocessor") or unknown:
                raise ValueError(
                    f"{preset}/{PREPROCESSOR_FILE} does not describe a {cls.__name__}. "
                    f"Received: {saved!r:.200}."
                )
            return cls(tokenizer, **{**settings, **kwargs})


def right_padded(rows, length, value=0):
    """Put rows into one array, padded at the right.

    Args:
        rows: list of N lists of at most T ints.
        length: int. T.
        value: int. What stands behind the rows.

    Returns:
        Pair of arrays (N, T): int32, and bool: which of it is of a row.
    """
    ids = np.full((len(rows), length), value, "int32")
    for array, row in zip(ids, rows):
        array[: len(row)] = row
    lengths = np.array([len(row) for row in rows])
    return ids, np.arange(length) < lengths[:, None]


def preprocessor_arguments(cls):
    """The names of a preprocessor's constructor arguments beside the tokenizer.

    Args:
        cls: class of the preprocessor.

    Returns:
        list of str.
    """
    return [name for name in constructor_arguments(cls) if name != "tokenizer"]


def _is_symbolic(value):
    """Whether this is a tensor of a TensorFlow graph, which has no values yet."""
    value = getattr(value, "flat_values", value)  # of ragged ones
    return type(value).__module__.startswith("tensorflow.") and not hasattr(value, "numpy")
