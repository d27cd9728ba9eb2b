"""The files of a tokenizer: our own, and those of released checkpoints."""

import contextlib
import json
import re
from pathlib import Path

from keras_plm import presets
from keras_plm.files import file_inside, has_entry, read_json, reading
from keras_plm.tokenizers.subword import subword_models
from keras_plm.tokenizers.tokenizers_json import sentencepiece_from_tokenizers_json
from keras_plm.tokenizers.vocabulary_files import (
    read_merges,
    read_piece_ids,
    read_piece_list,
    read_words,
)

TOKENIZER_FILE = "tokenizer.json"
OTHER_VOCABULARY = r"vocab(ulary)?-[0-9a-f]{12}\.(spm|json|txt)"  # beside one of the plain name
LARGEST_VOCABULARY_BYTES = 100_000_000


def write_tokenizer(directory, tokenizer, vocabulary=None):
    """Write what a tokenizer is, beside its vocabulary, into a directory that is there.

    Args:
        directory: str or path.
        tokenizer: `Tokenizer`.
        vocabulary: str or None. The name of its vocabulary's file, None: that of its class.
    """
    config = {
        "class": type(tokenizer).__name__,
        "fingerprint": tokenizer.fingerprint,
        "layout": tokenizer.layout.name,
        "settings": tokenizer.settings,
    }
    if vocabulary not in (None, tokenizer.vocabulary_file):
        config["vocabulary"] = vocabulary
    text = json.dumps(config, indent=2)
    Path(directory, TOKENIZER_FILE).write_text(text, encoding="utf-8")


def read_tokenizer(directory):
    """Read what `write_tokenizer` wrote.

    Args:
        directory: str or path.

    Returns:
        The class's name; dict of settings; the layout's name, None in files that were written
        before there were layouts; the fingerprint that the tokenizer must have; the name of the
        vocabulary's file, None: that of the class.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it describes no tokenizer.
    """
    config = read_json(file_inside(directory, TOKENIZER_FILE))
    settings, layout = config.get("settings", {}), config.get("layout")
    if not isinstance(settings, dict) or not isinstance(layout, (str, type(None))):
        raise ValueError(
            f"{directory}/{TOKENIZER_FILE} must have an object of settings and the name of a "
            f"layout. Received: settings={settings!r:.200}, layout={layout!r:.100}"
        )
    vocabulary = config.get("vocabulary")
    if vocabulary is not None and not re.fullmatch(OTHER_VOCABULARY, str(vocabulary)):
        raise ValueError(
            f"{directory}/{TOKENIZER_FILE} must name a file such as vocabulary-0123456789ab.spm. "
            f"Received: vocabulary={vocabulary!r:.100}"
        )
    return config.get("class"), settings, layout, config.get("fingerprint"), vocabulary


def vocabulary_name(directory, tokenizer):
    """Choose the name of a vocabulary's file, which no other vocabulary in a directory has.

    Args:
        directory: str or path. It need not be there.
        tokenizer: `Tokenizer`.

    Returns:
        str: the one of its class, or one with the beginning of its fingerprint.
    """
    name = tokenizer.vocabulary_file
    if not has_entry(directory, name):
        return name
    with contextlib.suppress(ValueError, OSError):  # what cannot be read need not be kept
        *_, fingerprint, vocabulary = read_tokenizer(directory)
        if fingerprint == tokenizer.fingerprint:
            return vocabulary or name
    stem, ending = name.split(".")
    return f"{stem}-{tokenizer.fingerprint[:12]}.{ending}"


def remove_older_vocabularies(directory, name):
    """Remove the vocabularies of tokenizers that were saved in a directory before.

    Args:
        directory: str or path.
        name: str. The file of the one that stays.
    """
    plain = re.sub("-[0-9a-f]{12}", "", name)
    for path in Path(directory).iterdir():
        if path.name != name and (path.name == plain or re.fullmatch(OTHER_VOCABULARY, path.name)):
            path.unlink()


def read_preset_tokenizer(preset):
    """Read the tokenizer of somebody else's checkpoint.

    Args:
        preset: str or `OpenedPreset`. What `keras_plm.presets.open_preset` takes.

    Returns:
        The name of the tokenizer's class, and a dict of its constructor's arguments; or None, and
        the directory of a preset of our own.

    Raises:
        FileNotFoundError: if there is no such preset, or it has no tokenizer.
        ValueError: if a file is damaged.
    """
    opened = presets.open_preset(preset)
    if opened.checkpoint is None:
        return None, opened.directory
    if opened.tokenizer_files is None:
        raise FileNotFoundError(f"{opened} has no files of a tokenizer.")
    with reading(str(opened)):
        return arguments_of_files(opened.tokenizer_files)


def arguments_of_files(found):
    """What makes the tokenizer of a released checkpoint.

    Args:
        found: `keras_plm.checkpoints.conversion.TokenizerFiles`.

    Returns:
        The name of the tokenizer's class, and a dict of its constructor's arguments.

    Raises:
        ValueError: if a file is damaged.
    """
    if found.kind == "sentencepiece" and not _is_of_subwords(found):
        return "SentencePieceTokenizer", _sentencepiece_arguments(found)
    if found.kind == "words" and "vocabulary" in found.files:
        words = read_words(found.files["vocabulary"])
        special = {name: word for name, word in found.special.items() if word in set(words)}
        settings = {**found.settings, "special_tokens": special}
        return "WordTokenizer", {"words": words, **settings, "layout": found.layout}
    if found.kind == "translation" and "vocabulary" in found.files:
        return "TranslationTokenizer", _translation_arguments(found)
    if found.kind not in (*BUILDERS, *("translation", "sentencepiece")):
        kinds = ["sentencepiece", "translation", "words", *BUILDERS]
        raise ValueError(f"A tokenizer must be of the kinds {kinds}. Received: kind={found.kind!r}")
    settings = dict(found.settings)
    languages = settings.pop("languages", None)
    lower_and_strip = found.kind == "xlm_bpe" and bool(settings.pop("lowercase", True))
    if "vocabulary" in found.files:
        content = BUILDERS[found.kind](found, settings)
        content["added_tokens"] = _added_tokens(found, content["model"]["vocab"])
    else:
        content = read_json(found.files["json"], max_bytes=LARGEST_VOCABULARY_BYTES)
        _set_said(content.get("normalizer"), settings)
    known = _known_pieces(content)
    special = {name: piece for name, piece in found.special.items() if piece in known}
    return "SubwordTokenizer", {
        "model": json.dumps(content),
        "special_tokens": special,
        "layout": found.layout,
        "languages": languages,
        "lower_and_strip": lower_and_strip,
    }


def _sentencepiece_arguments(found):
    """The arguments of a `SentencePieceTokenizer`."""
    if "model" in found.files:
        path = found.files["model"]
        proto = read_bytes(file_inside(path.parent, path.name))
    else:
        proto = sentencepiece_from_tokenizers_json(found.files["json"])
    return {"proto": proto, **found.settings, "layout": found.layout}


def _is_of_subwords(found):
    """Whether there is a `tokenizer.json` alone, and that of no SentencePiece model, as in T5s."""
    if not found.special or "model" in found.files:
        return False
    model = read_json(found.files["json"], max_bytes=LARGEST_VOCABULARY_BYTES).get("model")
    return isinstance(model, dict) and model.get("type") in ("BPE", "WordPiece")


def _translation_arguments(found):
    """The arguments of a `TranslationTokenizer`."""
    path = found.files["vocabulary"]
    ids = read_piece_ids(path)
    pieces = sorted(ids, key=ids.get)
    if ids[pieces[-1]] != len(pieces) - 1:
        raise ValueError(
            f"{path} must have all ids from 0 on. Received: {len(pieces)} pieces, and the id "
            f"{ids[pieces[-1]]}"
        )
    if found.special["unk"] not in ids:
        raise ValueError(
            f"{path} must have the unknown piece {found.special['unk']!r}, which every piece "
            f"becomes that it has not. Received: {len(pieces)} pieces without it"
        )
    special = {name: piece for name, piece in found.special.items() if piece in ids}
    source, target = (read_bytes(found.files[side]) for side in ("source", "target"))
    arguments = {"pieces": pieces, "source_proto": source, "target_proto": target}
    return {**arguments, "special_tokens": special, "layout": found.layout}


def _wordpiece(found, settings):
    vocabulary = read_piece_list(found.files["vocabulary"])
    settings = {name: value for name, value in settings.items() if value is not None}
    return subword_models.wordpiece(vocabulary, found.special["unk"], **settings)


def _byte_level(found, settings):
    settings = {name: value for name, value in settings.items() if value is not None}
    return subword_models.byte_level(*_pairs(found), **settings)


def _word_end(found, settings):
    return subword_models.word_end(*_pairs(found), found.special["unk"])


def _whitespace_word_end(found, settings):
    return subword_models.whitespace_word_end(*_pairs(found), found.special["unk"])


def _pairs(found):
    """The vocabulary and the merges."""
    return read_piece_ids(found.files["vocabulary"]), read_merges(found.files["merges"])


BUILDERS = {
    "wordpiece": _wordpiece,
    "byte_level_bpe": _byte_level,
    "bpe": _word_end,
    "xlm_bpe": _whitespace_word_end,
}


def _set_said(normalizer, settings):
    """Let BERT's normalizer do what a `tokenizer_config.json` says, as transformers does."""
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        for name in ("lowercase", "strip_accents"):
            if settings.get(name) is not None:
                normalizer[name] = settings[name]


def _added_tokens(found, vocabulary):
    """What a `tokenizer.json` beside the vocabulary adds to it."""
    if "json" not in found.files:
        return []
    content = read_json(found.files["json"], max_bytes=LARGEST_VOCABULARY_BYTES)
    added = content.get("added_tokens")
    tokens = [one for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    return [one for one in tokens if one.get("content") not in vocabulary]


def _known_pieces(content):
    """The pieces that a `tokenizer.json` names, as far as it is one."""
    model, added = content.get("model"), content.get("added_tokens")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    tokens = [one for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    pieces = pieces if isinstance(pieces, dict) else {}
    return {*pieces, *(str(one.get("content")) for one in tokens)}


def read_bytes(path):
    """The bytes of a vocabulary's file.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: if it is too large.
    """
    with reading(path):
        if path.stat().st_size > LARGEST_VOCABULARY_BYTES:
            raise ValueError(f"{path} is larger than {LARGEST_VOCABULARY_BYTES} bytes")
        return path.read_bytes()
