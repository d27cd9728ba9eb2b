"""A tokenizer whose units are words, of which the vocabulary is a text file."""

import collections
import functools
import hashlib
import json
from pathlib import Path

import numpy as np

from keras_plm.checks import check_choice, check_flag, check_integer
from keras_plm.tokenizers.row_layout import layout_by_name
from keras_plm.tokenizers.tokenizer import Tokenizer
from keras_plm.tokenizers.vocabulary_files import read_words
from keras_plm.tokenizers.words.character_ids import UnknownWord, character_ids
from keras_plm.tokenizers.words.word_rules import FASTAI_WORDS, WORD_RULES

VOCABULARY_FILE = "vocab.txt"
# By layout: the rule; the special tokens in the order of their ids; whether characters are read.
TRAINED = {
    # Dai et al. (2019), `vocabulary.py`: a line ends with <eos>.
    "transformer_xl": ("split", {"eos": "<eos>", "unk": "<unk>"}, False),
    # Peters et al. (2018), the vocabularies of the released code, in their spelling.
    "elmo": ("split", {"bos": "<S>", "eos": "</S>", "unk": "<UNK>"}, True),
    # Howard and Ruder (2018), fastai 2: what begins a document separates documents, too.
    "ulmfit": (
        "fastai",
        {"unk": "xxunk", "pad": "xxpad", "bos": "xxbos", "eod": "xxbos", "eos": "xxeos"},
        False,
    ),
}


class WordTokenizer(Tokenizer):
    """Turns text into ids of words and back.

    What is not in the vocabulary is the unknown word. Words of the vocabulary that are special
    tokens are never found in a text: a literal `<eos>` is unknown there. `decode` puts one space
    between words; of the rule "fastai" it takes `xxmaj`, `xxup`, `xxrep` and `xxwrep` back first.

    Args:
        words: list of V str, the word of each id; none is empty or has white space in it. One that
            occurs twice is found as its last id.
        special_tokens: dict of a name ("unk", "bos", "eos", "pad", ...) to its word; "unk" must be
            there. Two names may share one.
        rule: "split": white space separates words; "fastai": the rules of fastai 2, see
            `keras_plm.tokenizers.words.word_rules`.
        lowercase: bool. Whether words are lowered; "fastai" does it in any case, and takes False.
        layout: str. The name of the `RowLayout` of the model's rows.
        characters: bool. Whether a model reads the bytes of the words beside their ids, as ELMo
            does, also of words that are not in the vocabulary: their ids are `UnknownWord`, and
            corpora and preprocessors have the feature `character_ids`.

    Attributes:
        words: the same list.
        settings: dict of `special_tokens`, `rule`, `lowercase` and `characters`.
        fingerprint: SHA-256 of all arguments, as hexadecimal digits.

    Raises:
        TypeError, ValueError: if an argument is not what it should be.

    Example:

    >>> tokenizer = WordTokenizer(["<eos>", "<unk>", "the", "cat"], {"unk": "<unk>"})
    >>> tokenizer.encode("the cat sat")
    [2, 3, 1]
    """

    def __init__(
        self,
        words,
        special_tokens,
        rule="split",
        lowercase=False,
        layout="transformer_xl",
        characters=False,
    ):
        self.words = _checked_words(words)
        check_choice("rule", rule, tuple(WORD_RULES))
        self._rule = WORD_RULES[rule]
        if not isinstance(lowercase, bool) or lowercase and self._rule.lowers:
            raise ValueError(
                "lowercase must be True or False, and False with the rule 'fastai', which lowers "
                f"by itself. Received: lowercase={lowercase!r:.100}, rule={rule!r}"
            )
        ids = {word: index for index, word in enumerate(self.words)}
        self.special_token_ids = _special_ids(special_tokens, ids)
        special = set(self.special_token_ids.values())
        self._ids = {word: index for word, index in ids.items() if index not in special}
        self._silent = special - {self.special_token_ids["unk"]}  # `decode` leaves them out
        self._lowercase = lowercase
        self.characters = check_flag("characters", characters)
        self.vocabulary_size = len(self.words)
        self.layout = layout_by_name(layout)
        self.settings = {
            "special_tokens": dict(special_tokens),
            "rule": rule,
            "lowercase": lowercase,
            "characters": characters,
        }
        text = json.dumps([self.words, self.settings, layout], sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def train(cls, texts, vocabulary_size, min_count=1, lowercase=False, layout="transformer_xl"):
        """Count the words of texts and take the most frequent ones.

        The special tokens of the layout come first, then the words that its rule brings in, then
        words by how often they occur, equally frequent ones by their letters.

        Args:
            texts: iterable of str.
            vocabulary_size: int. V at most.
            min_count: int. How often a word must occur.
            lowercase: bool. Whether words are lowered.
            layout: "transformer_xl", "elmo": white space separates words, which ELMo reads by
                their characters; or "ulmfit": words by fastai's rules.

        Returns:
            A `WordTokenizer`.

        Raises:
            ValueError: if an argument is out of range, or no word occurs so often.
        """
        check_integer("vocabulary_size", vocabulary_size, 1)
        check_integer("min_count", min_count, 1)
        check_choice("layout", layout, tuple(TRAINED))
        rule, special_tokens, characters = TRAINED[layout]
        first = list(dict.fromkeys(special_tokens.values()))
        first += FASTAI_WORDS if rule == "fastai" else ()
        words = cls(first, special_tokens, rule, lowercase, layout)._words_of
        counts = collections.Counter()
        for text in texts:
            counts.update(words(text))
        for word in first:
            counts.pop(word, None)
        found = [word for word, count in counts.items() if count >= min_count]
        found.sort(key=lambda word: (-counts[word], word))
        if not found or vocabulary_size <= len(first):
            raise ValueError(
                f"A vocabulary must have a word beside its first {len(first)}: raise "
                "vocabulary_size, or lower min_count. Received: "
                f"vocabulary_size={vocabulary_size}, min_count={min_count}, and {len(found)} words"
            )
        found = [*first, *found[: vocabulary_size - len(first)]]
        return cls(found, special_tokens, rule, lowercase, layout, characters)

    @classmethod
    def from_vocabulary(cls, path, special_tokens=None, lowercase=False, layout="transformer_xl"):
        """Read a vocabulary that lies in a text file, a word on each line, as those of ELMo do.

        Args:
            path: str or path of the file, which is UTF-8.
            special_tokens: dict of a name to its word; None: those of the layout, as far as the
                file has them.
            lowercase: bool. Whether words are lowered.
            layout: str, as in `train`.

        Returns:
            A `WordTokenizer`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a line is empty or has white space in it, or there is no unknown word.
        """
        check_choice("layout", layout, tuple(TRAINED))
        rule, known, characters = TRAINED[layout]
        words = read_words(Path(path))
        if special_tokens is None:
            there = set(words)
            special_tokens = {name: word for name, word in known.items() if word in there}
        return cls(words, special_tokens, rule, lowercase, layout, characters)

    def __reduce__(self):
        special_tokens, rule, lowercase, characters = self.settings.values()
        rest = lowercase, self.layout.name, characters
        return WordTokenizer, (self.words, special_tokens, rule, *rest)

    @functools.cached_property
    def word_starts(self):
        """Which ids may start a word, (V,) bool: all."""
        return np.ones(self.vocabulary_size, bool)

    def encode(self, text, num_threads=1):
        rows = [self._ids_of(self._words_of(one)) for one in self._checked_texts(text)]
        return rows[0] if isinstance(text, str) else rows

    def encode_with_offsets(self, text, num_threads=1):
        rows, offsets = [], []
        for one in self._checked_texts(text):
            words, bounds = self._rule.words_with_bounds(one)
            words = [word.lower() for word in words] if self._lowercase else words
            rows.append(self._ids_of(words))
            offsets.append(_trimmed(one, bounds))
        return (rows[0], offsets[0]) if isinstance(text, str) else (rows, offsets)

    def character_ids(self, ids):
        """Return the bytes of words, see `keras_plm.tokenizers.words.character_ids`.

        The special tokens "bos" and "eos" are the marks of a sentence, and "pad" is 0 throughout.

        Args:
            ids: list of T ids; of an `UnknownWord` the word that it stands for is read.

        Returns:
            (T, 50) int32.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        for_each = zip(ids, self.pieces(ids))
        words = [one.word if isinstance(one, UnknownWord) else word for one, word in for_each]
        result = character_ids(words, None)
        numbers = np.array(ids, "int64")
        for name, row in zip(("bos", "eos", "pad"), _special_rows()):
            result[numbers == self.special_token_ids.get(name, -1)] = row
        return result

    def decode(self, ids):
        ids = [index for index in self._checked_ids(ids) if index not in self._silent]
        return self._rule.joined([self.words[index] for index in ids])

    def pieces(self, ids):
        return [self.words[index] for index in self._checked_ids(ids)]

    def _words_of(self, text):
        words = self._rule.words(text)
        return [word.lower() for word in words] if self._lowercase else words

    def _ids_of(self, words):
        unknown = self.special_token_ids["unk"]
        if self.characters:
            found = [(self._ids.get(word, -1), word) for word in words]
            return [UnknownWord(unknown, word) if one < 0 else one for one, word in found]
        return [self._ids.get(word, unknown) for word in words]

    # === Files ===

    vocabulary_file = VOCABULARY_FILE

    def _save_vocabulary(self, path):
        text = "".join(f"{word}\n" for word in self.words)
        path.write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def _from_file(cls, path, settings, layout):
        if settings.keys() != {"special_tokens", "rule", "lowercase", "characters"}:
            raise ValueError(
                "A tokenizer of words must have the settings special_tokens, rule, lowercase and "
                f"characters. Received: {settings!r:.200}"
            )
        return cls(read_words(path), **settings, layout=layout)


def _checked_words(words):
    """The vocabulary as a list."""
    words = list(words) if isinstance(words, (list, tuple)) else None
    if not words or not all(isinstance(word, str) for word in words):
        raise TypeError("words must be a list of strings, at least one. Received: " + _said(words))
    for index, word in enumerate(words):
        if word.split() != [word]:
            raise ValueError(
                "A word must have characters, and no white space among them, which no text would "
                f"become. Received: {word!r:.100}, word {index}"
            )
    return words


def _said(words):
    """What was given for a vocabulary, for a message."""
    return "no list, or an empty one" if not words else f"{words[:5]!r:.200}"


def _special_ids(special_tokens, ids):
    """The ids of the special tokens by name."""
    valid = isinstance(special_tokens, dict) and "unk" in special_tokens
    if not valid or not all(
        isinstance(one, str) for pair in special_tokens.items() for one in pair
    ):
        raise ValueError(
            "special_tokens must be a dict of names to words, one of which is 'unk', what every "
            f"word becomes that is not in the vocabulary. Received: {special_tokens!r:.200}"
        )
    missing = sorted(set(special_tokens.values()) - ids.keys())
    if missing:
        raise ValueError(
            f"Special tokens must be in the vocabulary. Received: {missing}, which are not among "
            f"its {len(ids)} words"
        )
    return {name: ids[word] for name, word in special_tokens.items()}


def _special_rows():
    """The bytes of begin and end of a sentence, and of padding."""
    begin, end = character_ids(["<S>", "</S>"])
    return begin, end, np.zeros_like(begin)


def _trimmed(text, bounds):
    """Bounds without white space around, rising, (T, 2) int32."""
    result = np.zeros((len(bounds), 2), "int32")
    for row, (begin, end) in enumerate(bounds):
        part = text[begin:end]
        begin += len(part) - len(part.lstrip())
        result[row] = begin, max(begin, end - len(part) + len(part.rstrip()))
    return np.maximum.accumulate(result, axis=0)
