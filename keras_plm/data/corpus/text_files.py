"""Documents from plain text and JSON lines, and aligned lines of two files, as streams."""

import itertools
import json
from pathlib import Path

from keras_plm.files import reading

TEXT_SUFFIXES = (".txt", ".md", ".jsonl")
LONGEST_PART = 1_000_000  # characters of a document that are held in memory at once


def text_paths(paths):
    """Lists the text files that a caller named.

    Args:
        paths: a path or a list of paths, of files (`.jsonl` holds JSON lines, any other name
            plain text) or of directories, whose `.txt`, `.md` and `.jsonl` files are taken in
            the order of their names.

    Returns:
        A list of `pathlib.Path`.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if there is no file at all, or a file is empty.
    """
    files = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        path = Path(path)
        if path.is_dir():
            files += sorted(one for one in path.iterdir() if one.suffix in TEXT_SUFFIXES)
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f"There is no text file {path}")
    if not files:
        raise ValueError(f"No text file was given. Received: paths={paths!r}")
    for path in files:
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty. Leave it out or give text.")
    return files


def read_documents(paths, text_field="text"):
    """Yields the documents of text files, long ones in parts, so that memory stays bounded.

    In plain text a blank line ends a document, and so does the end of the file; in JSON lines
    every line is an object whose `text_field` is a document.

    Args:
        paths: as in `text_paths`.
        text_field: key of the text in JSON lines.

    Yields:
        `(text, ends)`: a document, or a part of one that stops at the end of a line, and whether
        the document ends with it. The text of the last part may be empty.

    Raises:
        ValueError: if a file is not UTF-8 or a JSON line has no such text; it names the place.
    """
    for path in text_paths(paths):
        if path.suffix == ".jsonl":
            for number, line in enumerate(_read_lines(path), start=1):
                if line.strip():
                    yield _document_of_json(line, text_field, f"{path}, line {number}"), True
        else:
            yield from _documents_of_text(path)


def read_pairs(source, target):
    """Yields the lines of two plain text files side by side: sentences and their translations.

    Args:
        source: path of the first file.
        target: path of the second, which has as many lines.

    Yields:
        `(pair, places)`: two lines without the white space around them, and for messages two
        strings that say where they stand.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is not UTF-8, or one has more lines than the other.
    """
    paths = [Path(source), Path(target)]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"There is no text file {path}")
    lines = [_read_lines(path) for path in paths]
    for number, pair in enumerate(itertools.zip_longest(*lines), start=1):
        if None in pair:
            counts = [number - 1 if line is None else number for line in pair]
            counts = [count + sum(1 for _ in rest) for count, rest in zip(counts, lines)]
            raise ValueError(
                "Files of translations must have as many lines each, of which those with the same "
                f"number belong together. Received: {counts[0]} lines in {paths[0]}, {counts[1]} "
                f"in {paths[1]}"
            )
        yield [line.strip() for line in pair], [f"{path}, line {number}" for path in paths]


def _documents_of_text(path):
    """Documents that are separated by blank lines, in parts of whole lines."""
    lines, length = [], 0
    for line in _read_lines(path):
        blank = not line.strip()
        if not blank:
            lines.append(line)
            length += len(line)
        if blank or length >= LONGEST_PART:
            yield "".join(lines), blank
            lines, length = [], 0
    yield "".join(lines), True


def _document_of_json(line, text_field, place):
    """The text of one JSON line."""
    with reading(place, "valid JSON"):
        record = json.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get(text_field), str):
        received = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(
            f"{place} must be an object with a string under {text_field!r}; name another key with "
            f"`text_field`. Received: {received}"
        )
    try:
        record[text_field].encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{place} holds half a surrogate pair, which is no text") from error
    return record[text_field]


def _read_lines(path):
    """The lines of a UTF-8 file with their ends, without a byte order mark."""
    position = 0
    with path.open("rb") as file:
        for line in file:
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path} is not UTF-8 at byte {position + error.start} "
                    f"({line[error.start : error.start + 1]!r}). Convert it to UTF-8 first."
                ) from error
            yield text.removeprefix("\ufeff") if position == 0 else text
            position += len(line)
