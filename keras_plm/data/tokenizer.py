"""A SentencePiece tokenizer with XLNet's special pieces."""

import functools
import hashlib
import json

import numpy as np
import sentencepiece

from keras_plm.data.digit_commas import digit_comma_splits, split_digit_commas
from keras_plm.data.piece_offsets import piece_offsets
from keras_plm.data.text_normalization import TextNormalization
from keras_plm.data.tokenizer_files import (
    read_preset_tokenizer,
    read_tokenizer,
    write_tokenizer,
)

SPECIAL_PIECES = {
    "unk": "<unk>",
    "bos": "<s>",
    "eos": "</s>",
    "cls": "<cls>",
    "sep": "<sep>",
    "pad": "<pad>",
    "mask": "<mask>",
    "eod": "<eod>",
    "eop": "<eop>",
}
# One-character pieces that start a word (data_utils.py, `_is_start_piece`: not ', = and >).
START_CHARACTERS = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~')
# The constructor's arguments beside `proto`, and the values that change nothing.
PLAIN_SETTINGS = {
    "clean_text": False,
    "keep_accents": True,
    "lowercase": False,
    "split_digit_commas": False,
}


class SentencePieceTokenizer:
    """Turns text into vocabulary ids and back with a SentencePiece model.

    Special pieces in the text, such as a literal `<sep>`, never become special ids (`<eop>`, which
    XLNet's model has as a user-defined piece, does). It can be pickled. Two tokenizers are equal if
    their fingerprints are.

    The settings are preprocessing that a released model was trained with and that its SentencePiece
    model knows nothing about. By default there is none. The released cased XLNet models take
    `clean_text=True, keep_accents=False, split_digit_commas=True`.

    Args:
        proto: the serialised SentencePiece model, `bytes`.
        clean_text: bool. Strip the text, make one space of any whitespace and `"` of two
            backquotes or two apostrophes.
        keep_accents: bool. If False, decompose characters (NFKD) and drop combining marks.
        lowercase: bool. Lower-case the text.
        split_digit_commas: bool. Encode a piece that ends in a digit and a comma anew without its
            comma, which becomes a piece of its own.

    Attributes:
        proto: the same bytes.
        settings: dict of the other arguments.
        fingerprint: SHA-256 of `proto`, and of the settings that are not the default, as
            hexadecimal digits.
        vocabulary_size: number of pieces.
        special_token_ids: `{"cls": 3, ...}`, those of `SPECIAL_PIECES` that the model has.

    Raises:
        ValueError: if `proto` is no SentencePiece model, or a setting is not a bool, or the commas
            are to be split and the model has no piece for a comma.

    Source: SentencePiece (Kudo and Richardson, 2018); the settings: `prepro_utils.py`, released
        with XLNet (Yang et al., 2019).
    """

    def __init__(
        self,
        proto,
        clean_text=False,
        keep_accents=True,
        lowercase=False,
        split_digit_commas=False,
    ):
        if not isinstance(proto, bytes) or not proto:
            raise ValueError(
                "proto must be the bytes of a SentencePiece model, not its path. "
                f"Received: {type(proto).__name__}"
            )
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        except RuntimeError as error:
            raise ValueError(f"proto is no SentencePiece model: {error}") from error
        self._normalization = TextNormalization(clean_text, keep_accents, lowercase)
        if not isinstance(split_digit_commas, bool):
            raise ValueError(
                f"split_digit_commas must be True or False. Received: {split_digit_commas!r}"
            )
        self.proto = proto
        self.settings = {
            "clean_text": clean_text,
            "keep_accents": keep_accents,
            "lowercase": lowercase,
            "split_digit_commas": split_digit_commas,
        }
        self.fingerprint = _fingerprint(proto, self.settings)
        self.vocabulary_size = len(self._processor)
        ids = {name: self._processor.piece_to_id(piece) for name, piece in SPECIAL_PIECES.items()}
        self.special_token_ids = {
            name: index
            for name, index in ids.items()
            if self._processor.id_to_piece(index) == SPECIAL_PIECES[name]
        }
        if split_digit_commas and self._processor.is_unknown(self._processor.piece_to_id(",")):
            raise ValueError(
                "This SentencePiece model has no piece `,`, so that no comma can be split off. "
                "Received: split_digit_commas=True"
            )

    def __reduce__(self):
        return SentencePieceTokenizer, (self.proto, *self.settings.values())

    def __eq__(self, other):
        if not isinstance(other, SentencePieceTokenizer):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self):
        return hash(self.fingerprint)

    def _special(self, name):
        if name not in self.special_token_ids:
            raise ValueError(f"This SentencePiece model has no piece {SPECIAL_PIECES[name]}")
        return self.special_token_ids[name]

    @property
    def cls_token_id(self):
        """Id of `<cls>`."""
        return self._special("cls")

    @property
    def sep_token_id(self):
        """Id of `<sep>`."""
        return self._special("sep")

    @property
    def pad_token_id(self):
        """Id of `<pad>`."""
        return self._special("pad")

    @property
    def mask_token_id(self):
        """Id of `<mask>`."""
        return self._special("mask")

    @property
    def eod_token_id(self):
        """Id of `<eod>`, the end of a document."""
        return self._special("eod")

    @functools.cached_property
    def word_starts(self):
        """Which ids may start a word, (V,) bool: `▁...`, `<...` or one mark of punctuation.

        Source: XLNet's released `data_utils.py`, `_is_start_piece`.
        """
        pieces = self.pieces(range(self.vocabulary_size))
        starts = [piece[0] in "▁<" or piece in START_CHARACTERS for piece in pieces]
        return np.array(starts)  # (V,)

    def encode(self, text, num_threads=1):
        """Turns text into ids, without adding any special id.

        Args:
            text: a string, or a list or tuple of strings.
            num_threads: how many threads share a list.

        Returns:
            A list of ids, or a list of such lists.

        Raises:
            TypeError: if there is anything but strings.
        """
        texts = self._texts(text)
        if not self._normalization.changes_nothing:
            texts = [self._normalization(one) for one in texts]
        rows = self._run(texts, int, num_threads)
        splits = self._comma_splits
        for number, row in enumerate(rows if splits else ()):
            if not splits.keys().isdisjoint(row):
                rows[number] = split_digit_commas(row, row, splits)[0]
        return rows[0] if isinstance(text, str) else rows

    def encode_with_offsets(self, text, num_threads=1):
        """Turns text into ids and says which part of the text each of them stands for.

        The part has no whitespace around it: `text[begin:end]` of "▁cat" is "cat". A mark or a
        character that the normalisation drops belongs to the character before it; a character that
        becomes several (`½`) belongs to each piece with a part of it. A piece without surface, such
        as "▁" alone, has begin = end = where the next character begins.

        Args:
            text: a string, or a list or tuple of strings.
            num_threads: how many threads share a list.

        Returns:
            Two values: what `encode` gives, and for each text a (T, 2) int32 array of character
            offsets [begin, end) into the text as it was passed; a list of them for a list. Both
            columns rise or stay from row to row.

        Raises:
            TypeError: if there is anything but strings.
            ValueError: if the model falls back to bytes, whose pieces are no characters.
        """
        texts = self._texts(text)
        cleaned = [self._normalization.with_origins(one) for one in texts]
        rows = self._run([one for one, _ in cleaned], int, num_threads)
        pieces = self._run([one for one, _ in cleaned], str, num_threads)
        offsets = []
        for number, (one, origins) in enumerate(cleaned):
            normalized, positions = self._processor.normalize(one, with_offsets=True)
            if "".join(pieces[number]) != normalized:
                raise ValueError(
                    "The pieces of this SentencePiece model do not spell the text (it falls back "
                    f"to bytes), so that they have no offsets. Received: {texts[number]!r:.100}"
                )
            lengths = [len(piece) for piece in pieces[number]]
            rows[number], lengths = split_digit_commas(rows[number], lengths, self._comma_splits)
            ends = np.cumsum(lengths, dtype="int64")  # (T,)
            offsets.append(piece_offsets(texts[number], origins, normalized, positions, ends))
        return (rows[0], offsets[0]) if isinstance(text, str) else (rows, offsets)

    def _texts(self, text):
        """The texts as a list, each of them checked."""
        texts = [text] if isinstance(text, str) else text
        if not isinstance(texts, (list, tuple)):
            texts = list(texts) if hasattr(texts, "__iter__") else [texts]
        for one in texts:
            if not isinstance(one, str):
                raise _no_text(one)
        return list(texts)

    def _run(self, texts, out_type, num_threads):
        """SentencePiece's ids or pieces of checked texts."""
        try:
            return self._processor.encode(texts, out_type=out_type, num_threads=num_threads)
        except (TypeError, UnicodeError):
            raise _no_text(next(filter(_has_surrogates, texts), texts)) from None

    @functools.cached_property
    def _comma_splits(self):
        """What pieces with a comma become; nothing, unless so set."""
        return digit_comma_splits(self._processor) if self.settings["split_digit_commas"] else {}

    def decode(self, ids):
        """Turns ids back into text; control pieces such as `<cls>` leave nothing.

        Args:
            ids: ids, a list or an array (T,).

        Returns:
            A string.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        return self._processor.decode(self._checked(ids))

    def pieces(self, ids):
        """Returns the vocabulary entry of every id.

        Args:
            ids: ids, a list or an array (T,).

        Returns:
            A list of strings.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        return [self._processor.id_to_piece(index) for index in self._checked(ids)]

    def _checked(self, ids):
        ids = [int(index) for index in ids]
        wrong = [index for index in ids if not 0 <= index < self.vocabulary_size]
        if wrong:
            raise ValueError(
                f"ids must be within [0, {self.vocabulary_size}). Received: {wrong[:5]}"
            )
        return ids

    def save(self, directory):
        """Writes `tokenizer.json` and `vocabulary.spm` into a directory.

        Args:
            directory: the directory, made if it is not there; its other files stay.
        """
        write_tokenizer(directory, self)

    @classmethod
    def load(cls, directory):
        """Reads what `save` wrote.

        Args:
            directory: the directory.

        Raises:
            FileNotFoundError: if one of the files is missing.
            ValueError: if the files are not a tokenizer, or do not belong to each other.
        """
        proto, settings, fingerprint = read_tokenizer(directory, PLAIN_SETTINGS)
        tokenizer = cls(proto, **settings)
        if tokenizer.fingerprint != fingerprint:
            raise ValueError(
                f"{directory}/vocabulary.spm is not the file that tokenizer.json describes. "
                f"Received: fingerprint={tokenizer.fingerprint}, expected {fingerprint}"
            )
        return tokenizer

    @classmethod
    def from_preset(cls, preset):
        """Load the tokenizer of a preset, with the settings that its model was trained with.

        Args:
            preset: str. A directory of this package, of Hugging Face or of an original checkpoint;
                a name of `keras_plm.presets.list_presets`; or a handle.

        Raises:
            FileNotFoundError: if there is no such preset, or it has no tokenizer.
            ValueError: if a file is not what it should be.
        """
        proto, settings = read_preset_tokenizer(preset)
        return cls.load(proto) if settings is None else cls(proto, **settings)


def _fingerprint(proto, settings):
    """SHA-256 of the model, and of the settings that are not the default."""
    digest = hashlib.sha256(proto)
    special = {name: value for name, value in settings.items() if value != PLAIN_SETTINGS[name]}
    if special:
        digest.update(json.dumps(special, sort_keys=True).encode())
    return digest.hexdigest()


def _no_text(wrong):
    """The error for what is no text."""
    return TypeError(
        "text must be a string or a list of strings that can be written in UTF-8. "
        f"Received: {wrong!r:.100}"
    )


def _has_surrogates(text):
    """Whether a string holds half a character, which UTF-8 cannot write."""
    return any("\ud800" <= character <= "\udfff" for character in text)
