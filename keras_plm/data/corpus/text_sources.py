"""What a caller hands over as text: files, folders, patterns, pairs of files, texts in memory."""

import collections
import contextlib
import glob
import itertools
import logging
import os
from collections.abc import Mapping, Set
from pathlib import Path

from keras_plm.files import reading
from keras_plm.tokenizers.text_columns import column_names

logger = logging.getLogger("keras_plm")
PLAIN = ".txt"
# Suffixes that a folder is searched for, each alone or before ".gz".
SUFFIXES = (PLAIN, ".md", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")


class Texts:
    """Texts in memory, or made one by one, in the place of files; each of them is a document.

    `Corpus.build` and `train_tokenizer` take an iterable of texts as it is, if the first of them
    cannot be meant for the name of a file. This says so where it can, as one word can, and where
    texts stand in a list of files, one for each language.

    Args:
        values: iterable of str, such as a list, a generator, or a column of `datasets`, Arrow or
            pandas; of bytes of UTF-8; or of records, dicts whose text is in `text_field`. Or a
            table with such a column. It is never gathered; an iterator can be read once.

    Raises:
        TypeError: if it is one text, a dict, a set, or cannot be iterated.

    Example:

    >>> texts = Texts(line for line in ["Yes.", "No."])
    >>> list(texts)
    ['Yes.', 'No.']
    """

    def __init__(self, values):
        single = isinstance(values, (str, bytes, os.PathLike, Mapping))
        if single or not (hasattr(values, "__iter__") or hasattr(values, "__getitem__")):
            raise TypeError(
                "Texts must be an iterable of strings, such as a list or a column. "
                f"Received: {type(values).__name__} {values!r:.80}."
            )
        if isinstance(values, Set):
            raise TypeError(
                "Texts must have an order, which a set has not: use sorted(...). "
                f"Received: {type(values).__name__} of {len(values)} items."
            )
        self.values = values

    def __iter__(self):
        return iter(self.values)


def text_sources(given):
    """Finds the files that a caller named, and says in the log what was found and what skipped.

    Args:
        given: a path, a pattern such as "texts/**/*.txt", or an iterable of these, of pairs
            (tuples) of paths, and of `Texts`; or an iterable of texts. Folders are searched for
            files with a suffix of `SUFFIXES`, also in folders below, in the order of their names;
            what is empty, hidden, or a link to a folder is skipped there. Files that are named, or
            found by a pattern, are taken whatever their suffix.

    Returns:
        list with one source for each thing that was named: a list of `pathlib.Path`, a tuple of
        two of them, or `Texts`.

    Raises:
        FileNotFoundError: if a path does not exist, or nothing fits a pattern.
        ValueError: if there is no text file at all, a file that was named is empty, or a pair is
            not of two plain text files.
        TypeError: if it is none of these.
    """
    read, skipped = collections.Counter(), collections.Counter()
    sources = [_source(one, read, skipped) for one in _named(given)]
    if not read:
        raise ValueError(
            "No text file was given, and no text; an iterator gives its texts once. "
            f"Received: {given!r:.200}{_counts('; skipped', skipped)}"
        )
    level = logging.WARNING if skipped.total() else logging.INFO
    logger.log(level, "Text is read%s%s.", _counts(" from", read), _counts("; skipped", skipped))
    return sources


def num_bytes(sources):
    """The size of text, or None where it is not known before it is read.

    Args:
        sources: what `text_sources` returns.

    Returns:
        int, or None if texts are in memory or files are compressed.
    """
    if any(isinstance(source, Texts) for source in sources):
        return None
    paths = [path for source in sources for path in source]
    if any(path.suffix.lower() == ".gz" for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def file_suffix(path):
    """The suffix that says what a file holds, in lower case: ".csv" of "A.CSV.gz".

    Args:
        path: `pathlib.Path`.
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


def is_pair(source):
    """Whether one of `text_sources` is a pair of files."""
    return isinstance(source, tuple)


def _named(given):
    """What was named, in a list."""
    if isinstance(given, (str, os.PathLike, Texts)):
        return [given]
    if isinstance(given, Mapping) or column_names(given) is not None:
        return [Texts(given)]
    Texts(given)  # refuses what is no iterable
    items, seen = iter(given), []
    for item in items:
        seen.append(item)
        if not isinstance(item, str) or item.strip():
            break
    if seen and _is_text(seen[-1]) and not _has_files(given):
        return [Texts(itertools.chain(seen, items))]
    return [*seen, *items]


def _is_text(item):
    """Whether the first item of an iterable is a text or a record, and nothing that is named."""
    if isinstance(item, str):
        looks_named = file_suffix(Path(item)) in SUFFIXES or len(item.split()) == 1
        return not (looks_named or os.path.exists(item) or _fits_a_file(item))
    return isinstance(item, (bytes, Mapping)) or hasattr(item, "as_py") or hasattr(item, "numpy")


def _has_files(given):
    """Whether a list whose first string could be a text has names of files behind it."""
    first = given[:100] if isinstance(given, (list, tuple)) else []
    return any(isinstance(one, str) and os.path.isfile(one) for one in first)


def _source(named, read, skipped):
    """One source, which is counted."""
    if isinstance(named, (str, os.PathLike)):
        files = _files(named, skipped)
        read.update(map(_kind, files))
        return files
    if isinstance(named, (tuple, list)):
        files = _pair(named)
        read.update(map(_kind, files))
        return files
    read["in memory"] += 1
    return named if isinstance(named, Texts) else Texts(named)


def _pair(named):
    """Two files of aligned lines."""
    if len(named) != 2:
        raise ValueError(f"A pair of files must be a tuple of two paths. Received: {named!r:.200}")
    for path in map(Path, named):
        if not path.is_file():
            raise FileNotFoundError(f"There is no text file {path}")
        if file_suffix(path) in SUFFIXES[2:]:
            raise ValueError(
                f"A pair must be of plain text, line by line. Received: {path}, whose suffix "
                "stands for records"
            )
    return tuple(map(Path, named))


def _files(named, skipped):
    """The files that a path or a pattern stands for."""
    path, pattern = Path(named), os.fspath(named)
    if os.path.isfile(path):  # False as well for what cannot be a name
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty. Leave it out or give text.")
        return [path]
    if os.path.isdir(path) and pattern:
        found = sorted(_files_below(path, skipped))
    elif glob.has_magic(pattern):
        with reading(pattern):
            found = sorted(_fitting_files(path, skipped))
        if not found:
            raise FileNotFoundError(f"No file fits the pattern {pattern!r}")
    else:
        raise FileNotFoundError(
            f"There is no text file {pattern!r:.200}. Texts in memory, and no names of files, are "
            "given as data.Texts([...])"
        )
    files = [one for one in found if one.stat().st_size]
    skipped["empty"] += len(found) - len(files)
    return files


def _files_below(folder, skipped):
    """The text files in a folder and in those below it."""

    def refuse(error):
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        parent = Path(parent)
        links = [one for one in folders if (parent / one).is_symlink()]
        hidden = [one for one in {*folders, *names} if one.startswith(".")]
        skipped["links to folders"] += len(set(links) - set(hidden))
        skipped["hidden"] += len(hidden)
        folders[:] = [one for one in folders if one not in hidden]
        for path in (parent / one for one in names if one not in hidden):
            if file_suffix(path) in SUFFIXES and path.is_file():
                yield path
            else:
                skipped[_kind(path)] += 1


def _fitting_files(pattern, skipped):
    """The files that fit a pattern. `**` never follows links, which may lead round and round."""
    first = next(place for place, part in enumerate(pattern.parts) if glob.has_magic(part))
    folder = Path(*pattern.parts[:first])
    for path in folder.glob(str(Path(*pattern.parts[first:]))):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            skipped["hidden"] += path.is_file()
        elif path.is_file():
            yield path


def _fits_a_file(text):
    """Whether a string that may be a text is a pattern that some file fits."""
    if not glob.has_magic(text) or not text.isprintable():
        return False
    with contextlib.suppress(ValueError, OSError):  # "**bold**" is no pattern
        return any(_fitting_files(Path(text), collections.Counter()))
    return False


def _kind(path):
    """What is said of a file in the log: its suffix."""
    packed = ".gz" if path.suffix.lower() == ".gz" else ""
    return (file_suffix(path) + packed) or "without a suffix"


def _counts(what, counts):
    """Counts by kind as part of a sentence."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()) if count)
    return f"{what} {kinds}" if kinds else ""
