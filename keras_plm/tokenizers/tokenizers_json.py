"""Reading the `tokenizer.json` of a Hugging Face tokenizer that was a SentencePiece model."""

import base64
import math
import re
import struct

import sentencepiece

from keras_plm.files import read_json, reading

LARGEST_JSON_BYTES = 100_000_000
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4  # SentencePiece.Type
UNIGRAM = 1  # TrainerSpec.ModelType
# The conversion to tokenizer.json takes this from the scores of pieces like `▁2000,`.
COMMA_PENALTY = 100.0
SENTINEL = r"<extra_id_\d+>"  # of T5


def sentencepiece_from_tokenizers_json(path):
    """Rebuilds the SentencePiece model of a `tokenizer.json` of type Unigram.

    Its ids are those of the model that the file was made from. Of the normalisation only the part
    that belongs to SentencePiece is in it; quotes, accents, case and commas after digits are
    settings of `SentencePieceTokenizer`. A piece of score 0 is a control piece if the file lists it
    as a special token, and else user-defined; `<eop>`, which the file may list, is user-defined.
    T5's sentinels at the end of the list are left out: they are no part of its model, but a setting
    of the tokenizer.

    Args:
        path: a `tokenizer.json` in the format of Hugging Face `tokenizers`.

    Returns:
        The serialised model, `bytes`, as `SentencePieceTokenizer` takes it.

    Raises:
        ValueError: if the file is no tokenizer of type Unigram (but BPE or WordPiece, say), or is
            malformed.
    """
    content = read_json(path, max_bytes=LARGEST_JSON_BYTES)
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind != "Unigram":
        raise ValueError(f"{path} must hold a model of type Unigram. Received: type={kind!r:.100}")
    if model.get("byte_fallback"):
        raise ValueError(f"{path} must hold a model without byte_fallback, which is not supported")
    vocabulary = _vocabulary(model.get("vocab"), path)
    unknown = model.get("unk_id")
    if type(unknown) is not int or not 0 <= unknown < len(vocabulary):
        raise ValueError(
            f"{path} must have an unk_id within [0, {len(vocabulary)}). Received: {unknown!r}"
        )
    special = _special_tokens(content.get("added_tokens"), path) - {"<eop>"}
    pieces = []
    for index, (piece, score) in enumerate(vocabulary):
        kind = NORMAL
        if index == unknown:
            kind = UNKNOWN
        elif score == 0:
            kind = CONTROL if piece in special else USER_DEFINED
        pieces.append(piece_entry(piece, score, kind))
    trainer = _integer(3, UNIGRAM) + _integer(4, len(vocabulary)) + _integer(40, unknown)
    trainer += _bytes(45, vocabulary[unknown][0].encode())
    proto = b"".join(pieces)
    proto += _bytes(2, trainer) + _bytes(3, _normalizer(content, path))
    with reading(path, "the description of a SentencePiece model"):
        sentencepiece.SentencePieceProcessor(model_proto=proto)
    return proto


def piece_entry(piece, score, kind=NORMAL):
    """One entry of the list of pieces of a SentencePiece model; more may be put at its end.

    Args:
        piece: str.
        score: float. The logarithm of its probability.
        kind: int. `NORMAL`, `UNKNOWN`, `CONTROL` or `USER_DEFINED`.

    Returns:
        bytes of the serialised model.
    """
    return _bytes(1, _bytes(1, piece.encode()) + _float(2, score) + _integer(3, kind))


def _vocabulary(entries, path):
    """The checked pieces and scores, those of digits with a comma as they were."""
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} must have a list of [piece, score] under model.vocab")
    vocabulary = []
    for index, entry in enumerate(entries):
        valid = isinstance(entry, list) and len(entry) == 2
        valid = valid and isinstance(entry[0], str) and entry[0] and _is_utf8(entry[0])
        valid = valid and isinstance(entry[1], (int, float)) and not isinstance(entry[1], bool)
        if not valid or not math.isfinite(entry[1]) or abs(entry[1]) > 1e30:
            raise ValueError(
                f"{path}: model.vocab[{index}] must be [piece, score]. Received: {entry!r:.100}"
            )
        piece, score = entry
        if score <= -COMMA_PENALTY and len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
            score += COMMA_PENALTY
        vocabulary.append((piece, float(score)))
    while len(vocabulary) > 1 and re.fullmatch(SENTINEL, vocabulary[-1][0]):
        del vocabulary[-1]
    return vocabulary


def _special_tokens(entries, path):
    """The contents of the added tokens that are special."""
    entries = [] if entries is None else entries
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("content"), str) for entry in entries
    ):
        raise ValueError(f"{path} must have a list of tokens with `content` under added_tokens")
    return {entry["content"] for entry in entries if entry.get("special")}


def _normalizer(content, path):
    """The NormalizerSpec: characters, a space before the text, spaces that are too many."""
    normalizers = _parts(content.get("normalizer"), "normalizers", path)
    splitters = _parts(content.get("pre_tokenizer"), "pretokenizers", path)
    names = {part.get("type") for part in normalizers + splitters}
    charsmap = b""
    for part in normalizers:
        if part.get("type") == "Precompiled":
            with reading(f"{path}: precompiled_charsmap", "base64"):
                charsmap = base64.b64decode(part.get("precompiled_charsmap") or b"", validate=True)
    dummy_prefix = False
    for part in splitters:
        if part.get("type") == "Metaspace":  # older files have add_prefix_space
            dummy_prefix = part.get("prepend_scheme", "always") != "never"
            dummy_prefix = dummy_prefix and part.get("add_prefix_space", True) is not False
    extra = "WhitespaceSplit" in names or any(
        part.get("type") == "Replace" and part.get("pattern") == {"Regex": " {2,}"}
        for part in normalizers
    )
    spec = _bytes(2, charsmap) if charsmap else b""
    return spec + _integer(3, dummy_prefix) + _integer(4, extra) + _integer(5, True)


def _parts(part, key, path):
    """A normalizer or pre-tokenizer as a flat list; a `Sequence` lists others under `key`."""
    if part is None:
        return []
    if not isinstance(part, dict):
        raise ValueError(f"{path} must describe its normalizer by objects. Received: {part!r:.100}")
    if part.get("type") != "Sequence":
        return [part]
    below = part.get(key)
    if not isinstance(below, list):
        raise ValueError(f"{path}: a Sequence must have a list {key}. Received: {below!r:.100}")
    return [one for each in below for one in _parts(each, key, path)]


def _is_utf8(text):
    """Whether a string can be written in UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


# The format of protocol buffers, of sentencepiece_model.proto: a key, then the value. The module
# that sentencepiece brings for it loads only with a protobuf at least as new as its compiler.


def _bytes(field, value):
    """A string or message."""
    return _variable(field << 3 | 2) + _variable(len(value)) + value


def _integer(field, value):
    """A number, enum or bool, not negative."""
    return _variable(field << 3) + _variable(int(value))


def _float(field, value):
    """A 32-bit float."""
    return _variable(field << 3 | 5) + struct.pack("<f", value)


def _variable(value):
    """An integer in groups of 7 bits, the lowest first."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
