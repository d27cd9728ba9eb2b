"""The files of a training checkpoint: those of the newest, and in `before` of the one before it."""

import json
import logging
import os
import shutil
import types

from safetensors import safe_open
from safetensors.numpy import save_file

from keras_plm import files
from keras_plm.files import write_json

CHECKPOINT_FILE = "checkpoint.json"
LARGEST_DESCRIPTION = 16_000_000  # bytes: names of classes are in it
STATE_FILE = "state.safetensors"
BEFORE = "before"
NESTS = ("dtypes", "fingerprint", "versions", "examples")  # each a dict, or not there
logger = logging.getLogger("keras_plm")


def write_checkpoint(directory, description, arrays, trusted=False):
    """Write a checkpoint, whole or not at all, and keep the newest older one that is whole.

    The arrays are bound to their step, and to what they are, by a SHA-256 in their own file.

    Args:
        directory: str or path.
        description: dict of plain values: "step", an integer, and what else is to be known.
        arrays: dict of numpy arrays.
        trusted: bool. Whether what is in the directory need not be read again to be kept.

    Raises:
        ValueError: if the directory is there and holds something else than a checkpoint.
    """
    step = description["step"]
    metadata = {"step": str(step), "sha256": files.digest(arrays, f"step {step}")}
    with files.atomic_directory(directory, CHECKPOINT_FILE) as partial:
        save_file(arrays, os.path.join(partial, STATE_FILE), metadata=metadata)
        write_json(os.path.join(partial, CHECKPOINT_FILE), {"format": 1, **description})
        kept = _folder_to_keep(directory, step, trusted)
        if kept is not None:
            os.mkdir(os.path.join(partial, BEFORE))
            for name in (CHECKPOINT_FILE, STATE_FILE):
                source = files.file_inside(directory, kept + name)
                _link(source, os.path.join(partial, BEFORE, name))


def read_checkpoint(directory):
    """Read the newest checkpoint that is whole, and say so if it is not the newest of all.

    Args:
        directory: str or path, which is there.

    Returns:
        `(description, arrays)`: what `write_checkpoint` took.

    Raises:
        FileNotFoundError: if the directory holds no checkpoint, or a file of it is gone.
        ValueError: if the checkpoint is damaged and there is no whole one before it.
    """
    number = _number_of(directory)
    try:
        return _read(directory)
    except (ValueError, OSError) as error:
        if files.recover_directory(directory) and _number_of(directory) != number:
            return read_checkpoint(directory)  # it was replaced meanwhile
        if not os.path.isdir(os.path.join(directory, BEFORE)):
            raise
        try:
            found = _read(directory, f"{BEFORE}/")
        except (ValueError, OSError) as of_older:
            raise ValueError(f"{error} So is the checkpoint before it: {of_older}") from error
        step = found[0]["step"]
        logger.warning("%s The checkpoint before it is taken, of step %d.", error, step)
        return found


def _number_of(directory):
    """What tells a directory from one that replaced it; None while there is none."""
    try:
        return os.stat(directory).st_ino
    except FileNotFoundError:
        return None


def _read(directory, folder=""):
    """The checkpoint in a folder of the directory, which ends with a slash."""
    description = _read_description(directory, folder)
    path = f"{directory}/{folder}{STATE_FILE}"
    with files.reading(path, "whole"):
        with safe_open(files.file_inside(directory, folder + STATE_FILE), "numpy") as file:
            metadata, names = file.metadata(), file.keys()
            files.check_count(len(names))
            arrays = {name: file.get_tensor(name) for name in names}
    if metadata is None:
        logger.warning("%s has no digest, as it was saved before there were any.", path)
        return description, arrays
    step = description["step"]
    if metadata.get("step") != str(step):
        raise ValueError(
            f"{path} is damaged: its arrays are of step {metadata.get('step')}, {CHECKPOINT_FILE} "
            f"is of step {step}."
        )
    if metadata.get("sha256") != files.digest(arrays, f"step {step}"):
        raise ValueError(f"{path} is damaged: its arrays are not what was saved, by their SHA-256.")
    return description, arrays


def _read_description(directory, folder):
    """What is known of the checkpoint in a folder."""
    path = files.file_inside(directory, folder + CHECKPOINT_FILE)
    description = files.read_json(path, LARGEST_DESCRIPTION)
    step, nests = description.get("step"), [description.get(name) for name in NESTS]
    known = description.get("format") == 1 and all(
        isinstance(nest, (dict, types.NoneType)) for nest in nests
    )
    if not known or type(step) is not int or not 0 <= step < 2**53:
        raise ValueError(
            f"{directory}/{folder}{CHECKPOINT_FILE} is not a checkpoint that can be read: "
            f"{json.dumps(description)[:200]}."
        )
    return description


def _folder_to_keep(directory, step, trusted):
    """Where the newest checkpoint of an earlier step is that is whole; None if there is none."""
    for folder in ("", f"{BEFORE}/"):
        try:
            description = _read_description(directory, folder)
            if description["step"] < step:
                if not trusted:
                    _read(directory, folder)
                return folder
        except (ValueError, OSError):
            continue
    return None


def _link(source, target):
    """The same file under another name, or a copy where there are no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
