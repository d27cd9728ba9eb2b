"""What every tokenizer has: special ids, a row layout, a fingerprint, files."""

import abc
import functools
from pathlib import Path

import numpy as np

from keras_plm.checks import did_you_mean
from keras_plm.files import file_inside, reading, replacing_files
from keras_plm.tokenizers.text_columns import column_items
from keras_plm.tokenizers.tokenizer_files import (
    TOKENIZER_FILE,
    read_preset_tokenizer,
    read_tokenizer,
    remove_older_vocabularies,
    vocabulary_name,
    write_tokenizer,
)

UNSPLIT_LANGUAGES = ("zh", "th", "ja")


class Tokenizer(abc.ABC):
    """Abstract base of the tokenizers: text to vocabulary ids and back.

    No text ever becomes a special id: a literal `[SEP]` in it is text like any other. Two
    tokenizers are equal if their fingerprints are. All of them can be pickled.

    Attributes:
        fingerprint: hexadecimal digits that stand for all that decides about the ids.
        vocabulary_size: V, the number of pieces.
        special_token_ids: dict of a name ("cls", "sep", "pad", "mask", "unk", "bos", "eos", ...)
            to an id, without the names that the vocabulary has not.
        settings: dict of plain values, how texts are prepared.
        layout: `RowLayout`, how texts become rows.
        languages: dict of a language's name to its id; empty unless the model has languages.
    """

    languages = {}
    vocabulary_file = None  # the name of its file, if no other vocabulary is there

    @abc.abstractmethod
    def encode(self, text, num_threads=1):
        """Turns text into ids, without adding any special id.

        Args:
            text: a string, or a list or tuple of strings.
            num_threads: how many threads may share a list.

        Returns:
            A list of ids, or a list of such lists.

        Raises:
            TypeError: if there is anything but strings.
        """

    @abc.abstractmethod
    def encode_with_offsets(self, text, num_threads=1):
        """Turns text into ids and says which part of the text each of them stands for.

        Args:
            text: a string, or a list or tuple of strings.
            num_threads: how many threads may share a list.

        Returns:
            Two values: what `encode` gives, and for each text a (T, 2) int32 array of character
            offsets [begin, end) into the text as it was passed; a list of them for a list. Both
            columns rise or stay from row to row, and no part has whitespace around it.

        Raises:
            TypeError: if there is anything but strings.
        """

    @abc.abstractmethod
    def decode(self, ids):
        """Turns ids back into text; special tokens leave nothing.

        Args:
            ids: ids, a list or an array (T,).

        Returns:
            A string.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """

    @abc.abstractmethod
    def pieces(self, ids):
        """Returns the vocabulary entry of every id.

        Args:
            ids: ids, a list or an array (T,).

        Returns:
            A list of strings.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """

    def __repr__(self):
        languages = f", {len(self.languages)} languages" if self.languages else ""
        return (
            f"<{type(self).__name__}: {self.vocabulary_size:,} pieces, "
            f"layout {self.layout.name!r}{languages}>"
        )

    @functools.cached_property
    def keeps_spaces(self):
        """Whether a space before a text makes a difference, as it does to GPT-2 and RoBERTa."""
        return self.encode("a") != self.encode(" a")

    @property
    @abc.abstractmethod
    def word_starts(self):
        """Which ids may start a word, (V,) bool."""

    def starts_words(self, ids):
        """Which tokens of a text start a word.

        Args:
            ids: the ids of a text from its begin, a list or an array (T,).

        Returns:
            (T,) bool.
        """
        return self.word_starts[np.asarray(ids, "int64")]

    def encode_words(self, words):
        """Turns the words of a text that is already split into ids, as if spaces separated them.

        Args:
            words: list of strings.

        Returns:
            A list of ids for each word; empty for a word of characters that are dropped.

        Raises:
            TypeError: if there is anything but strings.
        """
        return self.encode(list(words))

    @abc.abstractmethod
    def _save_vocabulary(self, path):
        """Write what is no setting into a file."""

    @classmethod
    @abc.abstractmethod
    def _from_file(cls, path, settings, layout):
        """The tokenizer that `_save_vocabulary` wrote."""

    def __eq__(self, other):
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self):
        return hash(self.fingerprint)

    @property
    def target(self):
        """The tokenizer of what a model writes, where texts it reads have another; else itself."""
        return self

    # === Special tokens ===

    def special_token_id(self, name):
        """The id of a special token.

        Args:
            name: str, such as "cls".

        Raises:
            ValueError: if the vocabulary has none of that name.
        """
        if name not in self.special_token_ids:
            raise ValueError(
                f"This tokenizer has no special token {name!r}: take one of a model that has it. "
                f"Received: special_token_ids={self.special_token_ids}"
            )
        return self.special_token_ids[name]

    @property
    def unk_token_id(self):
        """Id of the token for what is not in the vocabulary."""
        return self.special_token_id("unk")

    @property
    def cls_token_id(self):
        """Id of the token that stands for a whole row."""
        return self.special_token_id("cls")

    @property
    def sep_token_id(self):
        """Id of the token that ends a text."""
        return self.special_token_id("sep")

    @property
    def mask_token_id(self):
        """Id of the token that hides another."""
        return self.special_token_id("mask")

    @property
    def bos_token_id(self):
        """Id of the token that begins a text."""
        return self.special_token_id("bos")

    @property
    def eos_token_id(self):
        """Id of the token that ends a generated text."""
        return self.special_token_id("eos")

    @property
    def eod_token_id(self):
        """Id of the end of a document."""
        return self.special_token_id("eod")

    @property
    def pad_token_id(self):
        """Id that fills rows up: "pad"; where there is none, "eos"; else 0. No mask shows it."""
        ids = self.special_token_ids
        return ids.get("pad", ids.get("eos", 0))

    @functools.cached_property
    def special_tokens(self):
        """dict of the names of the special tokens to their pieces, such as "[MASK]"."""
        names = list(self.special_token_ids)
        return dict(zip(names, self.pieces(self.special_token_ids.values())))

    @property
    def mask_token(self):
        """The piece of the token that hides another, such as "[MASK]"."""
        return self.pieces([self.mask_token_id])[0]

    def language_id(self, name, pre_split=False):
        """The id of a language.

        Args:
            name: str, one of `languages`.
            pre_split: bool. Whether the words of the texts are already separated by spaces, which
                Chinese, Thai and Japanese need.

        Raises:
            ValueError: if there is no such language, or its words have to be separated first.
        """
        if name not in self.languages:
            raise ValueError(
                f"language must be one of {sorted(self.languages)}. "
                f"Received: language={name!r:.100}.{did_you_mean(name, self.languages)}"
            )
        if name.split("-")[0] in UNSPLIT_LANGUAGES and not pre_split:
            raise ValueError(
                "Texts of this language have no spaces between words, which this tokenizer needs: "
                "separate them by a segmenter first, and say pre_split=True. "
                f"Received: language={name!r}"
            )
        return self.languages[name]

    # === Files ===

    def save(self, directory):
        """Writes `tokenizer.json` and the vocabulary into a directory.

        Args:
            directory: the directory, made if it is not there; its other files stay. What was
                saved there before stays whole if this fails, or is killed: the new vocabulary
                then has another name than the old one, and `tokenizer.json` says which is meant.

        Raises:
            OSError: if the disk is full.
        """
        name = vocabulary_name(directory, self)
        with replacing_files(directory, last=TOKENIZER_FILE) as partial:
            self._save_vocabulary(partial / name)
            write_tokenizer(partial, self, name)
        remove_older_vocabularies(directory, name)

    @classmethod
    def load(cls, directory):
        """Reads what `save` wrote, as the class that it was.

        Args:
            directory: the directory.

        Returns:
            A tokenizer of this class; of any class if this is `Tokenizer`.

        Raises:
            FileNotFoundError: if one of the files is missing.
            ValueError: if the files are not a tokenizer, or do not belong to each other.
        """
        saved = read_tokenizer(directory)
        name, settings, layout, fingerprint, vocabulary = saved
        with reading(Path(directory, TOKENIZER_FILE)):
            named = cls._class_named(name, directory)
            path = file_inside(directory, vocabulary or named.vocabulary_file)
            tokenizer = named._from_file(path, settings, layout)
        if tokenizer.fingerprint != fingerprint:
            raise ValueError(
                f"The vocabulary in {directory} is not the one that {TOKENIZER_FILE} describes. "
                f"Received: fingerprint={tokenizer.fingerprint}, expected {fingerprint}"
            )
        return tokenizer

    @classmethod
    def from_preset(cls, preset):
        """Load the tokenizer of a preset, with the settings that its model was trained with.

        Args:
            preset: str. A directory of this package, of Hugging Face or of an original checkpoint;
                a name of `keras_plm.presets.list_presets`; or a handle. Or an `OpenedPreset`.

        Returns:
            A tokenizer of this class; of any class if this is `Tokenizer`.

        Raises:
            FileNotFoundError: if there is no such preset, or it has no tokenizer.
            ValueError: if a file is not what it should be.
        """
        name, arguments = read_preset_tokenizer(preset)
        if name is None:
            return cls.load(arguments)
        with reading(str(preset)):
            return cls._class_named(name, preset)(**arguments)

    @classmethod
    def _class_named(cls, name, directory):
        """The class of that name, if it is one of this class."""
        classes = {one.__name__: one for one in (cls, *cls.__subclasses__())}
        classes.pop("Tokenizer", None)
        if not isinstance(name, str) or name not in classes:
            raise ValueError(
                f"{directory} must hold a tokenizer of one of the classes {sorted(classes)}. "
                f"Received: class={name!r:.100}"
            )
        return classes[name]

    # === Checks ===

    def _checked_ids(self, ids):
        """The ids as a list of int, all of them within the vocabulary."""
        ids = [int(index) for index in ids]
        wrong = [index for index in ids if not 0 <= index < self.vocabulary_size]
        if wrong:
            raise ValueError(
                f"ids must be within [0, {self.vocabulary_size}). Received: {wrong[:5]}"
            )
        return ids

    @staticmethod
    def _checked_texts(text):
        """The texts as a list, each of them checked."""
        texts = [text] if isinstance(text, str) else column_items(text, "text", "strings")
        for one in texts:
            if not isinstance(one, str) or not one.isascii() and _has_surrogates(one):
                raise TypeError(
                    "text must be a string or a list of strings that can be written in UTF-8. "
                    f"Received: {one!r:.100}"
                )
        return texts


def _has_surrogates(text):
    """Whether a string holds half a character, which UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
