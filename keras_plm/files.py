"""Reading files that nobody vouches for, and writing directories that are whole or not there."""

import contextlib
import ctypes
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

DEEPEST_JSON = 100  # objects and lists inside each other
MOST_ARRAYS = 50_000  # of one file; a model of 1000 layers has 20,000
LARGEST_INTEGER = 10_000_000  # of any configuration value without a limit of its own
INTEGER_LIMITS = {
    "vocabulary_size": 10_000_000,
    "num_layers": 1_000,
    "num_heads": 65_536,
    "head_dim": 65_536,
    "hidden_dim": 65_536,
    "intermediate_dim": 1_048_576,
    "seed": 2**63 - 1,
}


@contextlib.contextmanager
def atomic_directory(path, overwrite_marker):
    """Writes a directory that appears under its name when it is complete, or not at all.

    Yields a new sibling directory to write into. On success everything in it is flushed to the
    disk and it is renamed to `path`; on any exception (a full disk, Ctrl-C) it is removed and
    what was at `path` stays as it was. An old directory and the new one change places at once,
    where the system can do that; else a kill between two renames leaves the old one to
    `recover_directory`. What a killed run left beside `path` is cleared away.

    Args:
        path: where the directory shall appear. Its parents are made.
        overwrite_marker: name of a file. An existing directory at `path` is replaced if it is
            empty or contains this file, so that no foreign directory is ever deleted.

    Raises:
        ValueError: if `path` is a file, or a directory that is neither empty nor ours.
    """
    path = Path(os.path.realpath(path))
    recover_directory(path)
    _check_replaceable(path, overwrite_marker)
    path.parent.mkdir(parents=True, exist_ok=True)
    run = secrets.token_hex(8)
    partial = path.with_name(f".{path.name}.partial-{run}")
    replaced = path.with_name(f".{path.name}.replaced-{run}")
    with writing(path), contextlib.ExitStack() as locks:
        _hold(locks, _make_locked(partial))
        try:
            yield partial
            _flush(partial)
            _check_replaceable(path, overwrite_marker)
            there = path.exists()
            if there:
                _hold(locks, _lock_current(path))
            if not there or not _exchange(partial, path):
                if there:
                    path.rename(replaced)
                try:
                    partial.rename(path)
                except BaseException:
                    if replaced.exists():
                        replaced.rename(path)
                    raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _flush_entry(path.parent)
        if replaced.exists():
            replaced.rename(partial)  # half removed it must not be put back
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(first, second):
    """Let two directories change places at once, where the system can (Linux, macOS); whether."""
    try:
        library, here = ctypes.CDLL(None, use_errno=True), -100  # AT_FDCWD
        names = os.fsencode(first), os.fsencode(second)
        if sys.platform == "darwin":
            return library.renamex_np(*names, 2) == 0  # RENAME_SWAP
        return library.renameat2(here, names[0], here, names[1], 2) == 0  # RENAME_EXCHANGE
    except (AttributeError, OSError, TypeError):  # there is no such function, or no such library
        return False


@contextlib.contextmanager
def replacing_files(directory, last=None):
    """Writes files into a directory whose other files stay: all of them, or none.

    Yields a new directory to write into. On success its files are flushed to the disk and take
    the places of those of their names one right after the other; on any exception nothing has
    changed. A directory that was not there appears whole. What a killed run left in it is cleared
    away.

    Args:
        directory: str or path.
        last: str or None. The file that takes its place after all others are on the disk, the one
            that says which of them count: a kill in between then changes nothing that counts.
    """
    directory = Path(os.path.realpath(directory))
    if not directory.exists():
        with atomic_directory(directory, "") as partial:
            yield partial
        return
    partial = directory / f".partial-{secrets.token_hex(8)}"
    with writing(directory), contextlib.ExitStack() as locks:
        for left in directory.glob(".partial-*"):
            _recover(left, directory)
        _hold(locks, _make_locked(partial))
        locks.callback(shutil.rmtree, partial, ignore_errors=True)
        yield partial
        _flush(partial)
        for path in sorted(partial.iterdir(), key=lambda path: (path.name == last, path)):
            if path.name == last:
                _flush_entry(directory)
            path.replace(directory / path.name)
        _flush_entry(directory)


def recover_directory(path):
    """Clears away what killed runs of `atomic_directory` left beside `path`.

    A run that died between two renames left the old directory, whole, under another name:
    it is put back. `atomic_directory` calls this; a program that is about to read what a killed
    run may have been replacing calls it too. A run that is alive holds locks on its directories,
    which end with its process, so neither host names nor process numbers matter. Where a file
    system has no such locks, an old directory is put back, and nothing is cleared away.

    Args:
        path: the directory's name, which need not exist.

    Returns:
        bool. Whether the directory is there now. A writer that is replacing it is waited for.
    """
    path = Path(os.path.realpath(path))
    if os.name != "posix" or not path.parent.is_dir():
        return path.is_dir()
    absent = 0
    for _ in range(1000):  # a writer may be between its renames again and again
        # Of two that were replaced the newer one is put back.
        for entry in sorted(_left_beside(path), key=_time_of_change, reverse=True):
            _recover(entry, path)
        if path.is_dir():
            return True
        absent += not any(_is_replaced(one) for one in _left_beside(path))
        if absent == 3:
            break
    return False


def _left_beside(path):
    """What runs of `atomic_directory` left, or are at work with, beside a directory."""
    # Runs of before had a host and a process in the name, and no lock while they wrote.
    name = re.compile(
        re.escape(f".{path.name}.")
        + "(partial-[0-9a-f]{16}|replaced-([0-9a-f]{16}|[0-9a-f]{8}-[0-9]+-[0-9a-f]{8}))"
    )
    found = [one for one in list(path.parent.iterdir()) if name.fullmatch(one.name)]
    return [one for one in found if one.is_dir() and not one.is_symlink()]


def _is_replaced(entry):
    """Whether a directory was renamed to make room, and not yet for the one to be removed."""
    return ".replaced-" in entry.name[-42:]


def _recover(entry, path):
    """Puts one directory back or clears it away, unless whoever made it is alive."""
    may_go_back = _is_replaced(entry)
    with contextlib.ExitStack() as locks:
        try:  # a run that is between its renames is soon through
            handle = _lock(entry, wait=may_go_back and not path.exists())
            _hold(locks, handle)
            if may_go_back and not path.exists():
                entry.rename(path)
            elif handle is not None:
                shutil.rmtree(entry, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):  # in use, or somebody else was faster
            return


def _make_locked(path):
    """Makes a directory and locks it; again, if somebody cleared it away in between."""
    while True:
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):
            return _lock(path)


def _lock_current(path):
    """Locks the directory of that name, after others that are about to replace it."""
    while True:
        try:
            return _lock(path)
        except FileNotFoundError:
            if not path.exists():
                raise


def _lock(path, wait=True):
    """Locks a directory for as long as this process lives and the handle is open.

    Returns:
        The handle, or None where there are no such locks.

    Raises:
        BlockingIOError: if somebody else has the lock and `wait` is False.
        FileNotFoundError: if the directory is gone, or is another one, when it is locked.
    """
    if fcntl is None:
        return None
    handle, kept = os.open(path, os.O_RDONLY), False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if not os.path.samestat(os.stat(path), os.fstat(handle)):
            raise FileNotFoundError(f"{path} is another directory now.")
        kept = True
        return handle
    except (BlockingIOError, FileNotFoundError):
        raise
    except OSError:  # some network file systems
        return None
    finally:
        if not kept:
            os.close(handle)


def _hold(locks, handle):
    """Keeps a lock until a stack of contexts ends."""
    if handle is not None:
        locks.callback(os.close, handle)


def _time_of_change(path):
    """When an entry changed last; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def digest(arrays, mark=""):
    """The SHA-256 of named arrays: of their names, data types, shapes and bytes.

    Args:
        arrays: dict of numpy arrays.
        mark: str. What else they stand for.

    Returns:
        str of hexadecimal digits.
    """
    sha = hashlib.sha256(mark.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(np.ascontiguousarray(array).reshape(-1).view("uint8"))
    return sha.hexdigest()


def write_json(path, value):
    """Write a value as JSON text.

    Args:
        path: str. The file.
        value: dict of plain values.
    """
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


def read_json(path, max_bytes=1_000_000):
    """Reads a JSON object from a file of bounded size.

    Args:
        path: the file.
        max_bytes: the largest size that is read.

    Returns:
        A dict.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if the file is too large, nested too deeply, or is not a UTF-8 JSON object with
            finite numbers.
    """
    path = Path(path)
    with reading(path, "valid JSON"):
        size = path.stat().st_size
        if size > max_bytes:
            raise ValueError(
                f"{path} is too large: at most {max_bytes} bytes. Received: {size} bytes"
            )
        value = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
        if not isinstance(value, dict):
            raise ValueError(f"{path} must hold a JSON object. Received: {type(value).__name__}")
        _check_depth(value)
    return value


def _check_depth(value):
    """Refuse JSON that is nested so deeply that a walk through it would not end well."""
    level = [value]
    for _ in range(DEEPEST_JSON):
        parts = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for part in parts for one in part if isinstance(one, (dict, list))]
        if not level:
            return
    raise ValueError(f"its objects and lists are nested more than {DEEPEST_JSON} deep")


@contextlib.contextmanager
def reading(path, what=None):
    """Let whatever is raised about a file name it: libraries raise anything about a broken one.

    Args:
        path: str or path. The file; maybe with more that is to be said about it.
        what: str or None. What it should be, such as "a usable weights file". None: what is raised
            says it.

    Raises:
        OSError: where the system said no (no such file, no permission), as it said it.
        MemoryError: for one inside.
        ValueError: for all else but an interruption.
    """
    try:
        yield
    except BaseException as error:
        about = _about(error, path, what)
        if about is error:
            raise
        raise about from error


@contextlib.contextmanager
def writing(path):
    """Let a full disk, and whatever else the system refuses, be an OSError that names a path.

    Args:
        path: str or path. What is written.

    Raises:
        OSError: for one inside, and for what a library made of it.
    """
    try:
        yield
    except Exception as error:
        number = _system_number(error)
        if number is None:
            raise
        if isinstance(error, OSError):
            _name(error, path)
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _about(error, path, what):
    """What is to be raised in place of an error about a file."""
    panic = type(error).__module__ == "pyo3_runtime"  # of Rust; no Exception
    if not panic and not isinstance(error, Exception):
        return error
    if isinstance(error, MemoryError):
        return MemoryError(f"{path}: {error}")
    number = _system_number(error)
    if number is not None and number != errno.EINVAL:  # which an absurd offset is as well
        if not isinstance(error, OSError):
            return OSError(number, os.strerror(number), str(path))
        _name(error, path)
        return error
    if isinstance(error, OSError) and type(error) is not OSError:
        return error  # ours, such as a FileNotFoundError
    is_ours = isinstance(error, ValueError)
    folder = re.escape(os.path.dirname(path) or str(path))
    if is_ours and re.search(rf"(?<![\w/]){folder}(/|\b)", str(error)):
        return error  # it names this file, or one beside it
    text = str(error) if is_ours else f"{type(error).__name__}: {error}"
    if what is not None:
        text = f"{text.rstrip('.')}. Save it again, or take another copy."
    return ValueError(f"{path}: {text}" if what is None else f"{path} is not {what}: {text}")


def _system_number(error):
    """The number of what the system said, also where a library made a text of it; or None."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, (ValueError, TypeError)):
        return None
    found = re.search(r"\(os error (\d+)\)|\berrno = (\d+)", str(error))
    return int(found[1] or found[2]) if found else None


def _name(error, path):
    """Give an OSError the name of its file, if it has none."""
    if error.errno is not None and error.filename is None:
        error.filename = str(path)


def check_count(number):
    """Refuse a file of so many arrays that looking through them takes long.

    Args:
        number: int. How many it has, or has so far.

    Raises:
        ValueError: if there are more than `MOST_ARRAYS`.
    """
    if number > MOST_ARRAYS:
        raise ValueError(f"it must hold at most {MOST_ARRAYS} arrays. Received: {number} or more")


def has_entry(directory, name):
    """Whether a directory has a file, directory or link of that name, broken or not.

    Args:
        directory: str or path.
        name: str.
    """
    return os.path.lexists(os.path.join(directory, name))


def file_inside(directory, name):
    """Returns the resolved path of a file of a directory, and refuses any that leads out of it.

    Args:
        directory: the directory.
        name: relative name of a regular file below it.

    Raises:
        ValueError: if the name is absolute, contains `..` or is a link that leads out.
        FileNotFoundError: if there is no such file.
    """
    parts = re.split(r"[/\\]", name)
    if not name or "\0" in name or ":" in parts[0] or "" in parts or ".." in parts:
        raise ValueError(
            f"A file of {directory} must have a relative name. Received: {name!r:.200}"
        )
    with reading(os.path.join(directory, name)):  # links may go round in a circle
        root = Path(directory).resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"{name!r} is a link that leads out of {directory}. Received: {path}")
        if not path.is_file():
            raise FileNotFoundError(f"{directory} has no file {name!r}")
    return path


def check_config(config, limits=None):
    """Refuses a configuration whose values could make loading it unsafe or unbounded.

    Strings must be plain words (no path, no URL), integers bounded, numbers finite.

    Args:
        config: nested dict and list of strings, numbers, booleans and None, as JSON gives it.
        limits: `{key: largest absolute value}`, added to `INTEGER_LIMITS`. An integer under any
            other key is bounded by `LARGEST_INTEGER`.

    Raises:
        ValueError: naming the key, its value and what is allowed.
    """
    _check_value(config, "config", None, {**INTEGER_LIMITS, **(limits or {})})


def load_array(path, dtype=None, ndim=None):
    """Opens an array file as a read-only memory map; nothing is unpickled.

    Args:
        path: a `.npy` file.
        dtype: the data type, or a tuple of allowed ones. None allows booleans and numbers.
        ndim: the number of axes, if it is known.

    Returns:
        A `numpy.ndarray` view of the file.

    Raises:
        ValueError: if the file is no array, is truncated, or is not of that type or rank.
    """
    path = Path(path)
    with reading(path, "a complete .npy array"):
        array = np.lib.format.open_memmap(path, mode="r")
    size = path.stat().st_size
    if array.offset + array.nbytes != size:
        raise ValueError(
            f"{path} must have {array.offset + array.nbytes} bytes for its shape {array.shape}. "
            f"Received: {size} bytes"
        )
    allowed = (dtype,) if dtype is not None and not isinstance(dtype, tuple) else dtype
    if allowed is None:
        wrong = array.dtype.kind not in "biuf"
    else:
        wrong = array.dtype not in [np.dtype(one) for one in allowed]
    if wrong:
        names = "a number" if allowed is None else [np.dtype(one).name for one in allowed]
        raise ValueError(f"{path} must have data type {names}. Received: {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{path} must have {ndim} axes. Received: shape={array.shape}")
    return array


def _check_replaceable(path, overwrite_marker):
    """Refuses to replace what is not an empty directory or one of ours."""
    if path.is_dir():
        if (path / overwrite_marker).is_file() or not any(path.iterdir()):
            return
        raise ValueError(
            f"{path} exists and holds no {overwrite_marker}: it is not replaced. Choose another "
            "directory or remove it."
        )
    if path.exists():
        raise ValueError(f"{path} must be a directory, but a file of that name exists.")


def _flush(directory):
    """Waits until a directory and all below it is on the disk."""
    for folder, _, names in os.walk(directory):
        for name in names:
            _flush_entry(os.path.join(folder, name))
        _flush_entry(folder)


def _flush_entry(path):
    """Waits until one file or directory is on the disk."""
    if os.name != "posix" and os.path.isdir(path):
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_constant(name):
    """JSON has no NaN and no infinity."""
    raise ValueError(f"{name} is not a JSON number")


def _check_value(value, place, key, limits):
    """Checks one value of a configuration and those below it; `place` says where it stands."""
    if isinstance(value, dict):
        for name, below in value.items():
            if not isinstance(name, str):
                raise ValueError(f"The keys of {place} must be strings. Received: {name!r}")
            _check_value(below, f"{place}[{name!r}]", name, limits)
    elif isinstance(value, (list, tuple)):
        for index, below in enumerate(value):
            _check_value(below, f"{place}[{index}]", key, limits)
    elif isinstance(value, str):
        if re.search(r"[/\\\x00-\x1f]|\.\.|^[~.]|^[A-Za-z]:", value):
            raise ValueError(f"{place} must not be a path or a URL. Received: {value!r}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place} must be finite. Received: {value}")
    elif isinstance(value, int):
        largest = limits.get(key, LARGEST_INTEGER)
        if abs(value) > largest:
            raise ValueError(f"{place} must be within +-{largest}. Received: {value}")
    elif value is not None:
        raise ValueError(f"{place} must be plain JSON. Received: {type(value).__name__}")
