"""From a preset's name or handle to a directory: the cache first, then the network."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from keras_plm.checks import did_you_mean
from keras_plm.presets.catalogue import PRESETS

# What a Hugging Face preset may consist of; nothing else is downloaded.
FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "spiece.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
)
HANDLE = re.compile(r"hf://([\w-][\w.-]*)/([\w-][\w.-]*)(?:@([\w-][\w./-]*))?")


def find_preset(preset):
    """The directory of a preset; one that is published is downloaded when it is first used.

    Environment variables: `KERAS_PLM_CACHE`, the directory of downloaded presets (default:
    `keras_plm` in Hugging Face's own, `HF_HOME`); `KERAS_PLM_OFFLINE=1`: the network is not used.

    Args:
        preset: a directory, a name of `list_presets`, or a handle "hf://owner/name@revision".

    Returns:
        str, or what was passed if it is a directory.

    Raises:
        FileNotFoundError: if there is no such preset, or it cannot be downloaded; the message
            says where its files can be put.
        ValueError: if the handle is malformed, or downloaded contents are not those expected.
    """
    text = os.fspath(preset)
    if os.path.isdir(text):
        return preset
    sha256 = {}
    if text in PRESETS:
        name, handle, sha256 = text, PRESETS[text].handle, PRESETS[text].sha256
    elif text.startswith("hf:"):
        name, handle = text.removeprefix("hf://").replace("/", "--"), text
    else:
        raise FileNotFoundError(
            f"There is no preset {text!r}: no directory with a config.json, none of the names "
            f"{sorted(PRESETS)}, and no handle hf://owner/name@revision."
            f"{did_you_mean(text, PRESETS)}"
        )
    match = HANDLE.fullmatch(handle)
    if not match or ".." in handle:
        raise ValueError(f"A handle must be hf://owner/name@revision. Received: {handle!r}.")
    owner, repository, revision = match.groups()
    directory = cache_directory() / name
    if not directory.is_dir():
        _download(f"{owner}/{repository}", revision, directory, sha256)
    return str(directory)


def cache_directory():
    """The directory that presets are downloaded to.

    Returns:
        `pathlib.Path`. It need not be there.
    """
    own = os.environ.get("KERAS_PLM_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join("~", ".cache", "huggingface")
    return Path(home).expanduser() / "keras_plm"


def _download(repository, revision, directory, sha256):
    """Fetch the files of a repository; the directory appears when all are there and checked."""
    where = (
        "Put its files (config.json, model.safetensors, and those of its tokenizer), from "
        f"https://huggingface.co/{repository}/tree/{revision or 'main'}, into {directory}, or load "
        "any other directory that holds them by its path."
    )
    if os.environ.get("KERAS_PLM_OFFLINE", "0").lower() not in ("", "0", "false"):
        raise FileNotFoundError(f"KERAS_PLM_OFFLINE is set, and {directory} is not there. {where}")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise FileNotFoundError(
            f"{directory} is not there, and to download it, `pip install keras-plm[hub]` is "
            f"needed. {where}"
        ) from error
    partial = directory.with_name(f".{directory.name}.download")
    try:
        snapshot_download(
            repository, revision=revision, local_dir=partial, allow_patterns=list(FILES)
        )
    except Exception as error:  # of many kinds: no network, no such repository, no space
        raise FileNotFoundError(
            f"{repository} could not be downloaded: {type(error).__name__}: {error}. {where}"
        ) from error
    for name, expected in sha256.items():
        received = _sha256(partial / name)
        if received != expected:
            shutil.rmtree(partial)
            raise ValueError(
                f"{name} of {repository} is not what was published: expected SHA-256 {expected}, "
                f"received {received}. It was removed."
            )
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    os.replace(partial, directory)


def _sha256(path):
    """The digest of a file's contents; a missing file has none."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
