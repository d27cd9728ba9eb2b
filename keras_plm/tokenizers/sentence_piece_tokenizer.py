"""A SentencePiece tokenizer with XLNet's special pieces, or T5's."""

import functools
import hashlib
import json

import numpy as np
import sentencepiece

from keras_plm import files
from keras_plm.checks import check_integer
from keras_plm.tokenizers.piece_offsets import piece_offsets
from keras_plm.tokenizers.row_layout import layout_by_name
from keras_plm.tokenizers.sentinel_pieces import (
    MOST_SENTINELS,
    sentinel_entries,
    sentinel_ids,
)
from keras_plm.tokenizers.text_normalization import (
    TextNormalization,
    digit_comma_splits,
    split_digit_commas,
)
from keras_plm.tokenizers.tokenizer import Tokenizer
from keras_plm.tokenizers.tokenizer_files import read_bytes

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
MODEL_FILE = "vocabulary.spm"
LAYOUT = "xlnet"
# The settings, and the values that change nothing.
PLAIN_SETTINGS = {
    "clean_text": False,
    "keep_accents": True,
    "lowercase": False,
    "split_digit_commas": False,
    "num_sentinels": 0,
}


class SentencePieceTokenizer(Tokenizer):
    """Turns text into vocabulary ids and back with a SentencePiece model.

    Special pieces in the text, such as a literal `<sep>`, never become special ids (`<eop>`, which
    XLNet's model has as a user-defined piece, does, and so do T5's sentinels: `decode` shows them).
    It can be pickled. Two tokenizers are equal if their fingerprints are.

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
        layout: str. The name of the `RowLayout` of the model's rows.
        num_sentinels: int. How many of T5's sentinels follow the pieces of the model, with ids that
            count down to `<extra_id_0>`, the last; 100 in the released models. A text has them as
            words of their own: "The <extra_id_0> walks in <extra_id_1> park".

    Attributes:
        proto: the same bytes.
        settings: dict of the other arguments, but the layout.
        layout: the `RowLayout`.
        fingerprint: SHA-256 of `proto`, and of settings and layout that are not the default, as
            hexadecimal digits.
        vocabulary_size: number of pieces.
        special_token_ids: `{"cls": 3, ...}`, those of `SPECIAL_PIECES` that the model has, and its
            sentinels, "extra_id_0" and so on.

    Raises:
        ValueError: if `proto` is no SentencePiece model, or a setting is not a bool, or there is
            no such layout, or the commas are to be split and the model has no piece for a comma, or
            there cannot be so many sentinels.

    Source: SentencePiece (Kudo and Richardson, 2018); the settings: `prepro_utils.py`, released
        with XLNet (Yang et al., 2019); sentinels: T5 (Raffel et al., 2020), section 3.1.4.
    """

    def __init__(
        self,
        proto,
        clean_text=False,
        keep_accents=True,
        lowercase=False,
        split_digit_commas=False,
        layout=LAYOUT,
        num_sentinels=0,
    ):
        if not isinstance(proto, bytes) or not proto:
            raise ValueError(
                "proto must be the bytes of a SentencePiece model, not its path. "
                f"Received: {type(proto).__name__}"
            )
        check_integer("num_sentinels", num_sentinels, 0, MOST_SENTINELS)
        with files.reading("proto", "a SentencePiece model"):
            whole = proto + sentinel_entries(num_sentinels)
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=whole)
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
            "num_sentinels": num_sentinels,
        }
        self.layout = layout_by_name(layout)
        self.fingerprint = _fingerprint(proto, self.settings, layout)
        self.vocabulary_size = len(self._processor)
        ids = {name: self._processor.piece_to_id(piece) for name, piece in SPECIAL_PIECES.items()}
        self.special_token_ids = {
            name: index
            for name, index in ids.items()
            if self._processor.id_to_piece(index) == SPECIAL_PIECES[name]
        } | sentinel_ids(self._processor)
        if split_digit_commas and self._processor.is_unknown(self._processor.piece_to_id(",")):
            raise ValueError(
                "This SentencePiece model has no piece `,`, so that no comma can be split off. "
                "Received: split_digit_commas=True"
            )

    def __reduce__(self):
        made = functools.partial(SentencePieceTokenizer, layout=self.layout.name, **self.settings)
        return made, (self.proto,)

    @functools.cached_property
    def word_starts(self):
        """Which ids may start a word, (V,) bool: `▁...`, `<...` or one mark of punctuation.

        Source: XLNet's released `data_utils.py`, `_is_start_piece`.
        """
        pieces = self.pieces(range(self.vocabulary_size))
        return np.array([starts_word(piece) for piece in pieces])  # (V,)

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
        texts = self._checked_texts(text)
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
        texts = self._checked_texts(text)
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

    def _run(self, texts, out_type, num_threads):
        """SentencePiece's ids or pieces of checked texts."""
        return self._processor.encode(texts, out_type=out_type, num_threads=num_threads)

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
        return self._processor.decode(self._checked_ids(ids))

    def pieces(self, ids):
        """Returns the vocabulary entry of every id.

        Args:
            ids: ids, a list or an array (T,).

        Returns:
            A list of strings.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        return [self._processor.id_to_piece(index) for index in self._checked_ids(ids)]

    vocabulary_file = MODEL_FILE

    def _save_vocabulary(self, path):
        path.write_bytes(self.proto)

    @classmethod
    def _from_file(cls, path, settings, layout):
        if not settings.keys() <= PLAIN_SETTINGS.keys():
            raise ValueError(
                f"A tokenizer of SentencePiece must have settings of {sorted(PLAIN_SETTINGS)}. "
                f"Received: {settings!r:.200}"
            )
        return cls(read_bytes(path), **settings, layout=layout or LAYOUT)


def starts_word(piece):
    """Whether a piece may start a word: `▁...`, `<...` or one mark of punctuation.

    Args:
        piece: str.
    """
    return piece[0] in "▁<" or piece in START_CHARACTERS


def _fingerprint(proto, settings, layout):
    """SHA-256 of the model, and of the settings and the layout that are not the default."""
    digest = hashlib.sha256(proto)
    special = {name: value for name, value in settings.items() if value != PLAIN_SETTINGS[name]}
    if layout != LAYOUT:
        special["layout"] = layout
    if special:
        digest.update(json.dumps(special, sort_keys=True).encode())
    return digest.hexdigest()
