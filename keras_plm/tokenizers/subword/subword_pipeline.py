"""A `tokenizer.json` taken apart: what turns text into ids, and the pieces that text never is."""

import json
import math

import tokenizers

from keras_plm import files
from keras_plm.tokenizers.vocabulary_files import check_piece_ids

MODELS = ("WordPiece", "BPE")
# Steps that are plain rules. `Precompiled` is SentencePiece's, which has its own class.
STEPS = {
    "normalizer": (
        *("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt"),
        *("Prepend", "Replace", "Strip", "StripAccents"),
    ),
    "pre_tokenizer": (
        *("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace"),
        *("Punctuation", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"),
    ),
    "decoder": (
        *("BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip"),
        "WordPiece",
    ),
}
# How many characters one may become; of those that are not here, one.
GROWTH = {
    "BertNormalizer": 12,  # spaces around what is decomposed
    "ByteLevel": 4,
    "Lowercase": 3,
    "NFC": 3,
    "NFD": 4,
    "NFKC": 18,
    "NFKD": 18,
}
LARGEST_GROWTH = 10_000  # of all steps one after the other
LONGEST_PART = 1_000  # characters of what a step puts into a text
MOST_STEPS = 64
SEQUENCES = ("normalizers", "pretokenizers", "decoders")


class SubwordPipeline:
    """What the library `tokenizers` runs, without the special tokens, which no text may become.

    Special tokens are taken out of the vocabulary, and tokens that were added to it stay. Merges
    whose pieces are not in the vocabulary get ids behind it; they stand for the unknown piece.

    Args:
        content: dict, the content of a `tokenizer.json` of type WordPiece or BPE. Padding,
            truncation and post-processing in it are left out.
        special: collection of str. The special tokens, beside those that it says are special.

    Attributes:
        content: dict of what decides about ids, special tokens included.
        backend: `tokenizers.Tokenizer`.
        pieces: list of the V pieces, "" for ids without any.
        ids: dict of a piece to its id.
        hidden: set of the ids of special tokens that no text becomes.
        unknown: the id of the unknown piece, or None.

    Raises:
        ValueError: if it describes no such tokenizer, or a special token is not in it.
    """

    def __init__(self, content, special=()):
        model, added = _checked(content)
        self.content = {name: content.get(name) for name in ("version", *STEPS)}
        self.content.update(added_tokens=added, model=model)
        self.ids = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
        check_piece_ids(self.ids, "tokenizer.json")
        missing = sorted(set(special) - self.ids.keys())
        if missing:
            raise ValueError(
                "Special tokens must be in the vocabulary. Received: "
                f"{missing}, which are not among its {len(self.ids)} pieces"
            )
        self.pieces = [""] * (max(self.ids.values()) + 1)
        for piece, index in self.ids.items():
            self.pieces[index] = piece
        unknown = model.get("unk_token") or None
        if unknown is not None and unknown not in self.ids:
            raise ValueError(
                "The unknown piece of tokenizer.json must be in the vocabulary. "
                f"Received: unk_token={unknown!r:.100}"
            )
        self.unknown = self.ids.get(unknown)
        special = {*special, *(token["content"] for token in added if token["special"])}
        special -= {unknown}
        self.hidden = {self.ids[piece] for piece in special}
        self.backend = self._backend(special)

    def _backend(self, special):
        """The tokenizer of the library."""
        model = dict(self.content["model"])
        vocabulary = {piece: index for piece, index in self.ids.items() if piece not in special}
        if model["type"] == "BPE":
            next_id = len(self.pieces)
            for piece in _merged_pieces(model):
                if vocabulary.setdefault(piece, next_id) == next_id:
                    next_id += 1
        model["vocab"] = vocabulary
        added = [one for one in self.content["added_tokens"] if one["content"] not in special]
        added = [{**one, "special": False} for one in added]
        content = {**self.content, "model": model, "added_tokens": added}
        with files.reading("tokenizer.json", "the description of a tokenizer"):
            return tokenizers.Tokenizer.from_str(json.dumps(content))


def _checked(content):
    """The model, and the added tokens, of a `tokenizer.json`."""
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind not in MODELS:
        raise ValueError(
            f"tokenizer.json must have a model of the types {list(MODELS)}; one of type Unigram "
            f"is a SentencePieceTokenizer's. Received: type={kind!r:.100}"
        )
    check_piece_ids(model.get("vocab"), "The vocab of tokenizer.json")
    growth = 1
    for name, known in STEPS.items():
        steps = _steps(content.get(name), name, known)
        before = 1 if name == "decoder" else growth
        growth = before * math.prod(map(_growth, steps))
        if len(steps) > MOST_STEPS or growth > LARGEST_GROWTH:
            raise ValueError(
                f"The {name} of tokenizer.json must be of at most {MOST_STEPS} steps that make a "
                f"text at most {LARGEST_GROWTH} times as long. Received: {len(steps)} steps"
            )
    added = content.get("added_tokens") or []
    if not isinstance(added, list) or not all(map(_is_added_token, added)):
        raise ValueError(
            "tokenizer.json must list its added_tokens with `content` and `id`. "
            f"Received: {added!r:.200}"
        )
    return model, [{**token, "special": bool(token.get("special"))} for token in added]


def _steps(step, name, known):
    """The steps as a flat list; refused are those that are not plain rules."""
    if step is None:
        return []
    kind = step.get("type") if isinstance(step, dict) else step
    if isinstance(step, dict) and kind == "Sequence":
        parts = [part for key in SEQUENCES for part in _list(step.get(key), key)]
        return [one for part in parts for one in _steps(part, name, known)]
    if not isinstance(step, dict) or kind not in known:
        raise ValueError(
            f"The {name} of tokenizer.json must be of the types {sorted(known)}. "
            f"Received: {kind!r:.100}"
        )
    return [step]


def _growth(step):
    """How many times as long a step makes a text at most."""
    parts = [str(step.get(key) or "") for key in ("content", "prepend", "replacement")]
    if max(map(len, parts)) > LONGEST_PART:
        raise ValueError(
            f"What a {step['type']} of tokenizer.json puts into a text must be of at most "
            f"{LONGEST_PART} characters. Received: {max(map(len, parts))}"
        )
    if step["type"] != "Replace":
        return GROWTH.get(step["type"], 1)
    pattern = step.get("pattern")
    text = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(text, str) and text:
        return max(1, len(parts[0]) / len(text))
    return 1 + len(parts[0])  # a regular expression may fit between all characters


def _list(value, name):
    """A list; None is an empty one."""
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{name} must be a list. Received: {value!r:.100}")
    return value or []


def _is_added_token(token):
    return (
        isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and token["content"] != ""
        and type(token.get("id")) is int
    )


def _merged_pieces(model):
    """The pieces that merges take and make, in their order."""
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in _list(model.get("merges"), "merges"):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        valid = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not valid or not all(isinstance(piece, str) and piece for piece in pair):
            raise ValueError(f"A merge must be two pieces. Received: {merge!r:.100}")
        yield from pair
        yield pair[0] + pair[1].removeprefix(prefix)
