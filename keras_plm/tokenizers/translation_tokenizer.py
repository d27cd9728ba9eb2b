"""A tokenizer of two languages: a SentencePiece model of each, and one vocabulary (Marian's)."""

import base64
import functools
import hashlib
import json
import re

import numpy as np
import sentencepiece

from keras_plm import files
from keras_plm.checks import did_you_mean
from keras_plm.tokenizers.row_layout import layout_by_name
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer, starts_word
from keras_plm.tokenizers.tokenizer import Tokenizer

VOCABULARY_FILE = "vocabulary.json"
LARGEST_BYTES = 100_000_000
SPECIAL_TOKENS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
LANGUAGE_CODE = re.compile(r">>([\w-]{1,30})<<")


class TranslationTokenizer(Tokenizer):
    """Turns texts of two languages into ids of one vocabulary, with a SentencePiece model of each.

    A model says of which pieces a text is; their ids are those of `pieces`, which has both
    languages' (the ids of the models are not used). A piece that it has not is the unknown one.
    This is the tokenizer of the texts that are read; `target` is that of those that are written.

    Models with several target languages are told which by a code before the text, ">>fra<< Hello",
    which is one token. It is the only special token that a text becomes. Texts are not normalised
    as Moses does it (quotes, dashes and the like of other scripts), which OPUS's were, and which
    transformers does if `sacremoses` is there.

    Args:
        pieces: list of V str, the piece of each id; all are different.
        source_proto: the serialised SentencePiece model of the texts that are read, `bytes`.
        target_proto: that of the texts that are written; None: the same.
        special_tokens: dict of a name ("eos", "unk", "pad") to its piece; "unk" must be there.
            None: `</s>`, `<unk>` and `<pad>`, as far as there are such pieces.
        layout: str. The name of the `RowLayout` of the model's rows.

    Attributes:
        pieces_by_id, source_proto, target_proto: the arguments.
        settings: dict of `special_tokens`.
        language_codes: dict of the code of a target language ("fra") to the id of its token.
        fingerprint: SHA-256 of all arguments, as hexadecimal digits.

    Raises:
        TypeError, ValueError: if an argument is not what it should be, or a special token is no
            piece.

    Source: Marian (Junczys-Dowmunt et al. 2018) and OPUS-MT (Tiedemann and Thottingal 2020); the
    files as transformers' `MarianTokenizer` has them.
    """

    def __init__(
        self, pieces, source_proto, target_proto=None, special_tokens=None, layout="marian"
    ):
        self.pieces_by_id = _checked_pieces(pieces)
        self.source_proto, self.target_proto = source_proto, target_proto
        self._processor = _processor("source_proto", source_proto)
        if target_proto is not None:
            _processor("target_proto", target_proto)
        ids = {piece: index for index, piece in enumerate(self.pieces_by_id)}
        if special_tokens is None:
            special_tokens = {n: piece for n, piece in SPECIAL_TOKENS.items() if piece in ids}
        self.special_token_ids = _special_ids(special_tokens, ids)
        codes = {piece: LANGUAGE_CODE.fullmatch(piece) for piece in ids}
        self.language_codes = {code[1]: ids[piece] for piece, code in codes.items() if code}
        special = {*self.special_token_ids.values(), *self.language_codes.values()}
        self._ids = {piece: index for piece, index in ids.items() if index not in special}
        self._silent = special - {self.unk_token_id}  # `decode` leaves them out
        self.vocabulary_size = len(self.pieces_by_id)
        self.layout = layout_by_name(layout)
        self.settings = {"special_tokens": dict(special_tokens)}
        text = json.dumps([self.pieces_by_id, self.settings, layout], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for proto in (source_proto, target_proto or b""):
            digest.update(hashlib.sha256(proto).digest())
        self.fingerprint = digest.hexdigest()

    def __reduce__(self):
        arguments = (self.pieces_by_id, self.source_proto, self.target_proto)
        return TranslationTokenizer, (*arguments, *self.settings.values(), self.layout.name)

    @functools.cached_property
    def target(self):
        """The tokenizer of the texts that are written: the same ids, by the other model."""
        if self.target_proto is None:
            return self
        settings = {**self.settings, "layout": self.layout.name}
        return TranslationTokenizer(self.pieces_by_id, self.target_proto, **settings)

    @functools.cached_property
    def word_starts(self):
        """Which ids may start a word, (V,) bool: `▁...`, `<...` or one mark of punctuation."""
        return np.array([starts_word(piece) for piece in self.pieces_by_id])

    def encode(self, text, num_threads=1):
        """Turns text into ids, without adding any special id.

        Args:
            text: a string, or a list or tuple of strings.
            num_threads: how many threads share a list.

        Returns:
            A list of ids, or a list of such lists.

        Raises:
            TypeError: if there is anything but strings.
            ValueError: if a text begins with the code of a language that the model has not.
        """
        texts = self._checked_texts(text)
        begins = [self._language_code(one) for one in texts]
        rests = [one[end:] for one, (_, end) in zip(texts, begins)]
        rows = self._processor.encode(rests, out_type=str, num_threads=num_threads)
        rows = [[*code, *self._ids_of(row)] for row, (code, _) in zip(rows, begins)]
        return rows[0] if isinstance(text, str) else rows

    def encode_with_offsets(self, text, num_threads=1):
        texts = self._checked_texts(text)
        offsets = []
        for one in texts:
            code, end = self._language_code(one)
            _, bounds = self._of_source.encode_with_offsets(one[end:])  # (T, 2)
            before = np.array([[0, end]][: len(code)], "int32").reshape(-1, 2)
            offsets.append(np.concatenate([before, bounds + np.int32(end)]))
        rows = self.encode(texts, num_threads)
        return (rows[0], offsets[0]) if isinstance(text, str) else (rows, offsets)

    def decode(self, ids):
        ids = [index for index in self._checked_ids(ids) if index not in self._silent]
        text = self._processor.decode([self.pieces_by_id[index] for index in ids])
        return text.replace("▁", " ").strip()  # of pieces that only the other language has

    def pieces(self, ids):
        return [self.pieces_by_id[index] for index in self._checked_ids(ids)]

    def _ids_of(self, pieces):
        return [self._ids.get(piece, self.special_token_ids["unk"]) for piece in pieces]

    def _language_code(self, text):
        """The id of the language code before a text, in a list, and where the text begins."""
        found = LANGUAGE_CODE.match(text)
        if found is None:
            return [], 0
        if found[1] not in self.language_codes:
            known = f"has {sorted(self.language_codes)}" if self.language_codes else "has none"
            raise ValueError(
                "A text that begins with the code of a language must have one that the model has, "
                f"which {known:.500}. Received: {text!r:.100}."
                f"{did_you_mean(found[1], self.language_codes)}"
            )
        return [self.language_codes[found[1]]], found.end()

    @functools.cached_property
    def _of_source(self):
        """What knows the offsets of the pieces."""
        return SentencePieceTokenizer(self.source_proto)

    # === Files ===

    vocabulary_file = VOCABULARY_FILE

    def _save_vocabulary(self, path):
        protos = {"source": self.source_proto, "target": self.target_proto}
        content = {n: one and base64.b64encode(one).decode() for n, one in protos.items()}
        files.write_json(path, {"pieces": self.pieces_by_id, **content})

    @classmethod
    def _from_file(cls, path, settings, layout):
        content = files.read_json(path, max_bytes=LARGEST_BYTES)
        if content.keys() != {"pieces", "source", "target"} or settings.keys() != {
            "special_tokens"
        }:
            raise ValueError(
                "A tokenizer of translation must have pieces, the models source and target, and "
                f"the setting special_tokens. Received: {sorted(content)}, {settings!r:.200}"
            )
        with files.reading(path, "base64"):
            source, target = (
                content[side] if content[side] is None else base64.b64decode(content[side])
                for side in ("source", "target")
            )
        return cls(content["pieces"], source, target, **settings, layout=layout or "marian")


def _checked_pieces(pieces):
    """The pieces as a list."""
    pieces = list(pieces) if isinstance(pieces, (list, tuple)) else []
    if not pieces or not all(isinstance(piece, str) and piece for piece in pieces):
        raise TypeError(
            "pieces must be a list of strings with characters, at least one. "
            f"Received: {pieces[:5]!r:.200}"
        )
    if len(set(pieces)) < len(pieces):
        twice = next(piece for number, piece in enumerate(pieces) if piece in pieces[:number])
        raise ValueError(f"pieces must all be different. Received: {twice!r:.100} twice")
    return pieces


def _processor(name, proto):
    """The SentencePiece model."""
    if not isinstance(proto, bytes) or not proto:
        raise ValueError(
            f"{name} must be the bytes of a SentencePiece model, not its path. "
            f"Received: {type(proto).__name__}"
        )
    with files.reading(name, "a SentencePiece model"):
        return sentencepiece.SentencePieceProcessor(model_proto=proto)


def _special_ids(special_tokens, ids):
    """The ids of the special tokens by name."""
    valid = isinstance(special_tokens, dict) and all(
        isinstance(one, str) for pair in special_tokens.items() for one in pair
    )
    if not valid or "unk" not in special_tokens:
        raise ValueError(
            "A vocabulary must have an unknown piece, <unk> or what special_tokens names 'unk': "
            "every piece becomes it that is not in the vocabulary. Received: "
            f"special_tokens={special_tokens!r:.200}"
        )
    missing = sorted(set(special_tokens.values()) - ids.keys())
    if missing:
        raise ValueError(
            f"Special tokens must be in the vocabulary. Received: {missing}, which are not among "
            f"its {len(ids)} pieces"
        )
    return {name: ids[piece] for name, piece in special_tokens.items()}
