"""Texts in records: JSON lines, JSON, tables of comma or tab separated values, dicts."""

import csv
import json
import re
from collections.abc import Mapping

from keras_plm.data.corpus.text_lines import check_length, read_lines, read_pieces

WHITE_SPACE = re.compile(r"[ \t\n\r]*")


def read_table(path, text_field, delimiter):
    """Yields the texts in one column of a table whose first line names the columns.

    A field may stand in double quotes, and then hold delimiters, line ends and doubled quotes.

    Args:
        path: `pathlib.Path`.
        text_field: str. The name of the column.
        delimiter: str. What separates fields.

    Yields:
        str.

    Raises:
        ValueError: if there is no such column, or rows are not as long as the first.
    """
    rows = _rows(path, delimiter)
    _, names = next(rows, (None, []))
    if names.count(text_field) != 1:
        raise ValueError(
            f"{path} must name one column {text_field!r} in its first line; choose another one "
            f"with `text_field`. Received: the columns {names!r:.500}"
        )
    column = names.index(text_field)
    for place, row in rows:
        if len(row) != len(names):
            raise ValueError(
                f"{place} must have {len(names)} fields, as the first line has: put those that "
                f"hold {delimiter!r} in double quotes. Received: {len(row)} fields, {row!r:.200}"
            )
        yield row[column]


def read_json_lines(path, text_field):
    """Yields the texts of a file with a JSON value in each line; see `record_texts`.

    Args:
        path: `pathlib.Path`.
        text_field: str. The key of the text.

    Yields:
        str.

    Raises:
        ValueError: if a line is not valid JSON, or holds no text; it names the line.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{place} is not valid JSON: {error}") from error
            yield from record_texts(record, text_field, place)


def read_json(path, text_field):
    """Yields the texts of a JSON file: of an array, or of values one after the other.

    Each value is read on its own, so that an array may be larger than the memory.

    Args:
        path: `pathlib.Path`.
        text_field: str. The key of the text.

    Yields:
        str.

    Raises:
        ValueError: as `read_json_lines`.
    """
    values = _JsonValues(path)
    end = ""
    if values.next_character() == "[":
        values.pass_over("[")
        end = "]"
    count = 0
    while values.next_character() != end:
        if end and count:
            values.pass_over(",")
        place, record = values.read()
        yield from record_texts(record, text_field, place)
        count += 1
    if end:
        values.pass_over(end)
        values.pass_over("")


def record_texts(record, text_field, place):
    """Yields what text a record holds: it is a text, or has one, or a list of them, in a field.

    Args:
        record: str, bytes of UTF-8, or mapping.
        text_field: str. The field.
        place: str. Where it stands, for messages.

    Yields:
        str.

    Raises:
        ValueError: if it has no such field, or no text there.
    """
    texts = record
    if isinstance(record, Mapping):
        if text_field not in record:
            _refuse_record(place, text_field, f"the fields {list(record)!r:.500}")
        texts = record[text_field]
    for text in texts if isinstance(texts, list) and texts is not record else [texts]:
        try:
            text = text.decode() if isinstance(text, bytes) else text
            if not isinstance(text, str):
                _refuse_record(place, text_field, f"{type(text).__name__} {text!r:.100}")
            text.encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{place} must be UTF-8: {error}") from error
        except UnicodeEncodeError as error:
            raise ValueError(f"{place} holds half a surrogate pair, which is no text") from error
        yield text


def _refuse_record(place, text_field, received):
    raise ValueError(
        f"{place} must be a string, or have a string, or a list of strings, under {text_field!r}; "
        f"name another field with `text_field`. Received: {received}"
    )


def _rows(path, delimiter):
    """The rows of a table that are not blank, each with the place where it begins."""
    length = 0  # of the row that is read

    def lines():
        nonlocal length
        for line in read_lines(path):
            length += len(line)
            check_length(length, place)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        place, length = f"{path}, line {reader.line_num + 1}", 0
        limit = csv.field_size_limit(2**31 - 1)  # 131,072, and one for all of the process
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{place} begins a row that is no row of a table: {error}. A field that holds "
                f"quotes must stand in double quotes, and each of its quotes twice."
            ) from error
        finally:
            csv.field_size_limit(limit)
        if row is None:
            return
        if row:
            yield place, row


class _JsonValues:
    """The values in a JSON file, of which no more is held than the one that is read."""

    def __init__(self, path):
        self.path, self.line = path, 1
        self._pieces, self._text, self._at = read_pieces(path), "", 0
        self._decode = json.JSONDecoder().raw_decode

    def next_character(self):
        """The next one that is no white space; "" at the end of the file."""
        while True:
            self._go_to(WHITE_SPACE.match(self._text, self._at).end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def pass_over(self, character):
        """Go on behind a character that must stand here; "" is the end of the file."""
        found = self.next_character()
        if found != character:
            self._refuse(f"{character!r} expected, {found!r} found" if character else "more text")
        self._at += len(character)

    def read(self):
        """The next value, and the place where it begins."""
        self.next_character()
        place = f"{self.path}, line {self.line}"
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:  # which a value that goes on gives as well
                check_length(len(self._text) - self._at, place)
                if not self._read_on():
                    self._refuse(error.msg, error)
            except (ValueError, RecursionError) as error:
                self._refuse(error, error)
            else:
                self._go_to(end)
                return place, value

    def _go_to(self, place):
        self.line += self._text.count("\n", self._at, place)
        self._at = place

    def _read_on(self):
        """Double what is at hand, or more; False at the end of the file."""
        rest = self._text[self._at :]
        parts, length = [rest], len(rest)
        for piece in self._pieces:
            parts.append(piece)
            length += len(piece)
            if length >= 2 * len(rest):
                break
        self._text, self._at = "".join(parts), 0
        return length > len(rest)

    def _refuse(self, why, error=None):
        raise ValueError(f"{self.path}, line {self.line} is not valid JSON: {why}") from error
