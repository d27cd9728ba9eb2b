"""A SentencePiece tokenizer with XLNet's special pieces."""

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import sentencepiece

from keras_plm.files import file_inside, read_json

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
LARGEST_MODEL_BYTES = 100_000_000


class SentencePieceTokenizer:
    """Turns text into vocabulary ids and back with a SentencePiece model.

    Special pieces in the text, such as a literal `<sep>`, never become special ids (`<eop>`, which
    XLNet's model has as a user-defined piece, does). It can be pickled.

    Args:
        proto: the serialised SentencePiece model, `bytes`.

    Attributes:
        proto: the same bytes.
        fingerprint: their SHA-256 as hexadecimal digits.
        vocabulary_size: number of pieces.
        special_token_ids: `{"cls": 3, ...}`, those of `SPECIAL_PIECES` that the model has.

    Raises:
        ValueError: if `proto` is no SentencePiece model.
    """

    def __init__(self, proto):
        if not isinstance(proto, bytes) or not proto:
            raise ValueError(
                "proto must be the bytes of a SentencePiece model, not its path. "
                f"Received: {type(proto).__name__}"
            )
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        except RuntimeError as error:
            raise ValueError(f"proto is no SentencePiece model: {error}") from error
        self.proto = proto
        self.fingerprint = hashlib.sha256(proto).hexdigest()
        self.vocabulary_size = len(self._processor)
        ids = {name: self._processor.piece_to_id(piece) for name, piece in SPECIAL_PIECES.items()}
        self.special_token_ids = {
            name: index
            for name, index in ids.items()
            if self._processor.id_to_piece(index) == SPECIAL_PIECES[name]
        }

    def __reduce__(self):
        return SentencePieceTokenizer, (self.proto,)

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
        texts = [text]
        try:
            texts = texts if isinstance(text, str) else list(text)
            ids = self._processor.encode(texts, out_type=int, num_threads=num_threads)
        except TypeError:
            wrong = next((one for one in texts if not isinstance(one, str)), text)
            raise TypeError(
                "text must be a string or a list of strings that can be written in UTF-8. "
                f"Received: {wrong!r:.100}"
            ) from None
        return ids[0] if isinstance(text, str) else ids

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
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "vocabulary.spm").write_bytes(self.proto)
        config = {"class": "SentencePieceTokenizer", "fingerprint": self.fingerprint}
        (directory / "tokenizer.json").write_text(json.dumps(config, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, directory):
        """Reads what `save` wrote.

        Args:
            directory: the directory.

        Raises:
            FileNotFoundError: if one of the files is missing.
            ValueError: if the files are not a tokenizer, or do not belong to each other.
        """
        config = read_json(file_inside(directory, "tokenizer.json"))
        if config.get("class") != "SentencePieceTokenizer":
            raise ValueError(
                f"{directory}/tokenizer.json must be of class SentencePieceTokenizer. "
                f"Received: {config.get('class')!r}"
            )
        path = file_inside(directory, "vocabulary.spm")
        if path.stat().st_size > LARGEST_MODEL_BYTES:
            raise ValueError(f"{path} is larger than {LARGEST_MODEL_BYTES} bytes")
        tokenizer = cls(path.read_bytes())
        if tokenizer.fingerprint != config.get("fingerprint"):
            raise ValueError(
                f"{path} is not the file that tokenizer.json describes. Received: "
                f"fingerprint={tokenizer.fingerprint}, expected {config.get('fingerprint')}"
            )
        return tokenizer
