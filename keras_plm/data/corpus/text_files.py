"""Documents of text files and of texts in memory, and aligned lines of two files, as streams."""

import itertools

from keras_plm.data.corpus.text_lines import read_lines
from keras_plm.data.corpus.text_records import (
    read_json,
    read_json_lines,
    read_table,
    record_texts,
)
from keras_plm.data.corpus.text_sources import Texts, file_suffix
from keras_plm.tokenizers.text_columns import column_names

LONGEST_PART = 1_000_000  # characters of a document of plain text that are held at once


def read_documents(source, text_field="text"):
    """Yields the documents of a source, long ones of plain text in parts: memory stays bounded.

    Args:
        source: list of `pathlib.Path`, or `Texts`; see `text_sources`. What a file holds is said
            by its suffix, before ".gz" if it has that. In `.jsonl` and `.ndjson` each line is a
            JSON value, `.json` is an array of values, or values one after the other: strings, or
            records with a text in a field. `.csv` and `.tsv` are tables whose first line names
            the columns. All else is plain text, in which a blank line ends a document, and so
            does the end of the file.
        text_field: str. The field or column of the text.

    Yields:
        `(text, ends)`: a document, or a part of one that stops at the end of a line (or of a
        word, in a line of more than 1,000,000 characters), and whether the document ends with it.
        The text of the last part may be empty.

    Raises:
        ValueError: if a file is not UTF-8 or not what its suffix says, or a record has no such
            text; it names the place.
    """
    if isinstance(source, Texts):
        yield from ((text, True) for text in _texts_in_memory(source, text_field))
        return
    for path in source:
        suffix = file_suffix(path)
        if suffix in (".jsonl", ".ndjson"):
            texts = read_json_lines(path, text_field)
        elif suffix == ".json":
            texts = read_json(path, text_field)
        elif suffix in (".csv", ".tsv"):
            texts = read_table(path, text_field, "," if suffix == ".csv" else "\t")
        else:
            yield from _documents_of_text(path)
            continue
        yield from ((text, True) for text in texts)


def read_pairs(source, target):
    """Yields the lines of two plain text files side by side: sentences and their translations.

    Args:
        source: `pathlib.Path` of the first file.
        target: `pathlib.Path` of the second, which has as many lines.

    Yields:
        `(pair, places)`: two lines without the white space around them, and for messages two
        strings that say where they stand.

    Raises:
        ValueError: if a file is not UTF-8, or one has more lines than the other.
    """
    paths = [source, target]
    lines = [read_lines(path) for path in paths]
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
    for line in read_lines(path, cut_at=LONGEST_PART):
        blank = not line.strip()
        if not blank:
            lines.append(line)
            length += len(line)
        if blank or length >= LONGEST_PART:
            yield "".join(lines), blank
            lines, length = [], 0
    yield "".join(lines), True


def _texts_in_memory(source, text_field):
    """The texts of an iterable of texts or records, or of a table."""
    values, names = source.values, column_names(source.values)
    if names is not None:
        if text_field not in names:
            raise ValueError(
                f"The table must have a column {text_field!r}; choose another one with "
                f"`text_field`. Received: the columns {names!r:.500}"
            )
        values = values[text_field]
    for number, item in enumerate(values):
        for method in ("as_py", "numpy"):  # scalars of Arrow, of TensorFlow
            item = getattr(item, method, lambda item=item: item)()
        yield from record_texts(item, text_field, f"text {number}")
