"""A tokenizer of WordPiece or of byte pairs, over the library `tokenizers`."""

import functools
import hashlib
import json
import unicodedata

import numpy as np

from keras_plm import files
from keras_plm.files import read_json
from keras_plm.tokenizers.piece_offsets import visible_limits
from keras_plm.tokenizers.row_layout import layout_by_name
from keras_plm.tokenizers.subword.subword_pipeline import SubwordPipeline
from keras_plm.tokenizers.text_normalization import without_case_and_accents
from keras_plm.tokenizers.tokenizer import Tokenizer

VOCABULARY_FILE = "vocabulary.json"
LARGEST_BYTES = 200_000_000


class SubwordTokenizer(Tokenizer):
    """Turns text into vocabulary ids and back by WordPiece or by merging pairs.

    The model is one JSON text, the `tokenizer.json` of Hugging Face, of which only what decides
    about ids is kept. `tokenizers.subword.subword_models` makes it from the files of BERT, MPNet,
    GPT-1, GPT-2, RoBERTa and XLM; `Tokenizer.from_preset` does so for a checkpoint. Special
    tokens in the text, such as a literal `[SEP]`, never become special ids; only the unknown piece
    may.

    Args:
        model: str, the JSON text.
        special_tokens: dict of a name ("cls", "sep", "pad", "mask", "unk", "bos", "eos", ...) to
            its piece, such as "[CLS]". Two names may share one.
        layout: str. The name of the `RowLayout` of the model's rows.
        languages: dict of a language's name to its id, or None.
        lower_and_strip: bool. Whether to lower-case words and to drop their accents as XLM does.

    Attributes:
        model: the JSON text, in the form in which it is saved.
        settings: dict of `lower_and_strip`.
        fingerprint: SHA-256 of all arguments, as hexadecimal digits.

    Raises:
        ValueError: if the model is damaged or of another type, a special token is not in it, or
            another argument is not what it should be.
    """

    def __init__(self, model, special_tokens, layout="bert", languages=None, lower_and_strip=False):
        if not isinstance(lower_and_strip, bool):
            raise ValueError(
                f"lower_and_strip must be True or False. Received: {lower_and_strip!r:.100}"
            )
        _check_names("special_tokens", special_tokens, str)
        _check_names("languages", languages or {}, int)
        self._pipeline = SubwordPipeline(_parsed(model), special_tokens.values())
        self.model = _to_json(self._pipeline.content)
        self.vocabulary_size = len(self._pipeline.pieces)
        self.special_token_ids = {
            name: self._pipeline.ids[piece] for name, piece in special_tokens.items()
        }
        self.layout = layout_by_name(layout)
        self.languages = dict(languages or {})
        self.settings = {"lower_and_strip": lower_and_strip}
        rest = [special_tokens, layout, self.languages, self.settings]
        text = self.model + json.dumps(rest, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        kind = self._pipeline.content["model"]
        self._ends_words = bool(kind.get("end_of_word_suffix"))

    def __reduce__(self):
        arguments = (self.model, self.special_tokens, self.layout.name, self.languages)
        return SubwordTokenizer, (*arguments, *self.settings.values())

    @functools.cached_property
    def word_starts(self):
        """Which ids may start a word, (V,) bool.

        All but those after `##` (WordPiece); those with a space and the special ones (byte
        level); any, where `</w>` ends a word: `starts_words` then looks at the piece before.
        """
        pieces, ids = self._pipeline.pieces, range(self.vocabulary_size)
        model = self._pipeline.content["model"]
        if model["type"] == "WordPiece":
            prefix = model.get("continuing_subword_prefix") or "##"
            special = set(self.special_token_ids.values())
            return np.array([not pieces[i].startswith(prefix) or i in special for i in ids])
        if self._is_byte_level:
            special = self._pipeline.hidden | set(self.special_token_ids.values())
            return np.array([pieces[i][:1] in tuple("ĠĊĉč") or i in special for i in ids])
        return np.ones(self.vocabulary_size, bool)

    def starts_words(self, ids):
        ids = np.asarray(ids, "int64")
        starts = self.word_starts[ids]
        if self._ends_words and len(ids):
            starts = np.append(True, self._word_ends[ids[:-1]])
        starts[:1] = True
        return starts

    def encode(self, text, num_threads=1):
        encodings = self._run([one for one, _ in self._prepared(text)], num_threads)
        rows = [self._within(encoding.ids) for encoding in encodings]
        return rows[0] if isinstance(text, str) else rows

    def encode_words(self, words):
        if self._is_byte_level:
            words = [" " + word for word in self._checked_texts(words)]
        return self.encode(words)

    def encode_with_offsets(self, text, num_threads=1):
        prepared = self._prepared(text)
        encodings = self._run([one for one, _ in prepared], num_threads, offsets=True)
        rows = [self._within(encoding.ids) for encoding in encodings]
        texts = [text] if isinstance(text, str) else text
        offsets = [
            _trimmed(one, _original(encoding.offsets, origins), self._blank[row])
            for one, encoding, row, (_, origins) in zip(texts, encodings, rows, prepared)
        ]
        return (rows[0], offsets[0]) if isinstance(text, str) else (rows, offsets)

    def decode(self, ids):
        hidden = self._pipeline.hidden
        ids = [index for index in self._checked_ids(ids) if index not in hidden]
        if self._ends_words:  # added words have no `</w>`
            suffix, pieces = self._pipeline.content["model"]["end_of_word_suffix"], self.pieces(ids)
            words = [p if i not in self._added else p + suffix for i, p in zip(ids, pieces)]
            return self._pipeline.backend.decoder.decode(words)
        return self._pipeline.backend.decode(ids, skip_special_tokens=False)

    def pieces(self, ids):
        return [self._pipeline.pieces[index] for index in self._checked_ids(ids)]

    @functools.cached_property
    def _is_byte_level(self):
        return '"ByteLevel"' in json.dumps(self._pipeline.content["pre_tokenizer"])

    @functools.cached_property
    def _blank(self):
        """Which ids are a space and nothing else, (V,) bool."""
        return np.array([piece == "Ġ" and self._is_byte_level for piece in self._pipeline.pieces])

    @functools.cached_property
    def _word_ends(self):
        """Which ids end a word, (V,) bool."""
        suffix = self._pipeline.content["model"]["end_of_word_suffix"]
        whole = {*self.special_token_ids.values(), *self._added}
        pieces = enumerate(self._pipeline.pieces)
        return np.array([piece.endswith(suffix) or i in whole for i, piece in pieces])

    @functools.cached_property
    def _added(self):
        """The ids of words that were added to the vocabulary."""
        return {one["id"] for one in self._pipeline.content["added_tokens"] if not one["special"]}

    def _prepared(self, text):
        """Checked texts as the library gets them; and where their characters come from, or None."""
        texts = self._checked_texts(text)
        if self.settings["lower_and_strip"]:
            return [without_case_and_accents(one) for one in texts]
        return [(one, None) for one in texts]

    def _run(self, texts, num_threads, offsets=False):
        """The library's encodings. One thread alone starts no others, so that a fork is safe."""
        backend = self._pipeline.backend
        with files.reading("The rules of this tokenizer, with one of the texts"):
            if num_threads == 1 or len(texts) < 2:
                return [backend.encode(one, add_special_tokens=False) for one in texts]
            run = backend.encode_batch if offsets else backend.encode_batch_fast
            return run(texts, add_special_tokens=False)

    @functools.cached_property
    def _all_within(self):
        """Whether the library's ids cannot be behind the vocabulary."""
        largest = max(self._pipeline.backend.get_vocab().values(), default=-1)
        return largest < self.vocabulary_size

    def _within(self, ids):
        """The ids, unknown where the library's is behind the vocabulary."""
        size, unknown = self.vocabulary_size, self._pipeline.unknown
        if self._all_within or not ids or max(ids) < size:
            return ids
        if unknown is None:
            return [index for index in ids if index < size]
        return [index if index < size else unknown for index in ids]

    # === Files ===

    vocabulary_file = VOCABULARY_FILE

    def _save_vocabulary(self, path):
        parts = {"special_tokens": self.special_tokens, "languages": self.languages}
        text = f'{{"parts":{_to_json(parts)},\n"model":{self.model}}}\n'
        path.write_text(text, encoding="utf-8")

    @classmethod
    def _from_file(cls, path, settings, layout):
        saved = read_json(path, max_bytes=LARGEST_BYTES)
        parts, model = saved.get("parts"), saved.get("model")
        valid = isinstance(parts, dict) and parts.keys() == {"special_tokens", "languages"}
        if not valid or not isinstance(model, dict):
            raise ValueError(f"{path} must hold parts and a model. Received: {list(saved)!r:.100}")
        if not settings.keys() <= {"lower_and_strip"}:
            raise ValueError(
                "A tokenizer of subwords must have the setting lower_and_strip alone. "
                f"Received: {settings!r:.200}"
            )
        return cls(_to_json(model), **parts, layout=layout, **settings)


def _parsed(model):
    """The JSON text as a dict."""
    try:
        content = json.loads(model) if isinstance(model, str) else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"model must be JSON: {error}. Received: {model!r:.80}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"model must be the text of a tokenizer.json, not its path. Received: {model!r:.80}"
        )
    return content


def _to_json(value):
    """The same text for the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _check_names(name, values, kind):
    """Refuse what is no dict of strings to values of a kind."""
    valid = isinstance(values, dict) and all(isinstance(one, str) for one in values)
    if not valid or any(type(one) is not kind for one in values.values()):
        raise ValueError(
            f"{name} must be a dict of names to values of {kind.__name__}. "
            f"Received: {values!r:.200}"
        )


def _original(offsets, origins):
    """Offsets into the text as it was passed, (T, 2) int."""
    offsets = np.array(offsets, "int64").reshape(-1, 2)
    if origins is None or not len(offsets):
        return offsets
    following = np.searchsorted(origins, origins, side="right")  # the next with another origin
    ends = origins[np.minimum(following, len(origins) - 1)]
    return np.stack([origins[offsets[:, 0]], ends[np.maximum(offsets[:, 1] - 1, 0)]], axis=-1)


def _trimmed(text, offsets, blank):
    """Offsets without whitespace around; what was dropped belongs to what is before it.

    `blank` (T,) bool says which pieces are spaces alone: they begin and end at the next character.
    """
    visible = np.array([not one.isspace() for one in text], bool)  # (C,)
    ends = np.where(blank, offsets[:, 0], offsets[:, 1])
    begins, after_last = visible_limits(visible, offsets[:, 0], ends)
    shown = begins < after_last
    ends = np.where(shown, after_last, begins)
    if not text.isascii() or not text.isprintable():
        dropped = np.array([unicodedata.category(one)[0] in "MC" for one in text], bool) & visible
        following = visible_limits(~dropped, ends, ends)[0]
        bounds = np.append(begins[1:], len(text))
        ends = np.where(shown, np.maximum(ends, np.minimum(following, bounds)), ends)
    ends = np.maximum.accumulate(ends)
    return np.stack([begins, ends], axis=-1).astype("int32")
