"""The files of a SentencePiece tokenizer: our own, and those of released checkpoints."""

import json
from pathlib import Path

from keras_plm import presets
from keras_plm.data.tokenizers_json import sentencepiece_from_tokenizers_json
from keras_plm.files import file_inside, read_json

TOKENIZER_FILE = "tokenizer.json"
MODEL_FILE = "vocabulary.spm"
CLASS = "SentencePieceTokenizer"
LARGEST_MODEL_BYTES = 100_000_000


def write_tokenizer(directory, tokenizer):
    """Write a tokenizer's model and settings into a directory.

    Args:
        directory: str or path, made if it is not there; its other files stay.
        tokenizer: `SentencePieceTokenizer`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL_FILE).write_bytes(tokenizer.proto)
    config = {
        "class": CLASS,
        "fingerprint": tokenizer.fingerprint,
        "settings": tokenizer.settings,
    }
    (directory / TOKENIZER_FILE).write_text(json.dumps(config, indent=2), encoding="utf-8")


def read_tokenizer(directory, known):
    """Read what `write_tokenizer` wrote.

    Args:
        directory: str or path.
        known: iterable of str, the settings that a tokenizer may have.

    Returns:
        The serialised model, bytes; dict of settings; the fingerprint that they must have, str.

    Raises:
        FileNotFoundError: if one of the files is missing.
        ValueError: if the files are no tokenizer.
    """
    config = read_json(file_inside(directory, TOKENIZER_FILE))
    if config.get("class") != CLASS:
        raise ValueError(
            f"{directory}/{TOKENIZER_FILE} must be of class {CLASS}. "
            f"Received: {config.get('class')!r}"
        )
    settings = config.get("settings", {})
    if not isinstance(settings, dict) or not settings.keys() <= set(known):
        raise ValueError(
            f"{directory}/{TOKENIZER_FILE} must have settings of {sorted(known)}. "
            f"Received: {settings!r:.200}"
        )
    return _model(file_inside(directory, MODEL_FILE)), settings, config.get("fingerprint")


def read_preset_tokenizer(preset):
    """Read the tokenizer of somebody else's checkpoint.

    Args:
        preset: str. What `keras_plm.presets.find_preset` takes.

    Returns:
        The serialised model, bytes, and a dict of settings; or the directory of a preset of our
        own, and None.

    Raises:
        FileNotFoundError: if there is no such preset, or it has no tokenizer.
        ValueError: if a file is damaged.
    """
    directory = presets.find_preset(preset)
    checkpoint = presets.open_checkpoint(directory)
    if checkpoint is None:
        return directory, None
    path, settings = checkpoint.tokenizer()
    if path is None:
        raise FileNotFoundError(f"{directory} has no spiece.model and no tokenizer.json.")
    if path.name.endswith(".json"):
        return sentencepiece_from_tokenizers_json(path), settings
    return _model(path), settings


def _model(path):
    """The bytes of a SentencePiece model, unless there are too many."""
    if path.stat().st_size > LARGEST_MODEL_BYTES:
        raise ValueError(f"{path} is larger than {LARGEST_MODEL_BYTES} bytes")
    return path.read_bytes()
