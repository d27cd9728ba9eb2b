"""Lines of text files that nobody vouches for: UTF-8, maybe compressed, in bounded memory."""

import codecs
import gzip
import io
import zlib

BLOCK = 1 << 20  # bytes that are read at once
LONGEST_RECORD = 50_000_000  # characters of a line, or of a record, that are held at once
GZIP = b"\x1f\x8b"  # what such a file begins with, and no UTF-8 text


def read_pieces(path):
    """Yields the text of a file in pieces, without a byte order mark, every line end as "\\n".

    Line ends are "\\n", "\\r\\n" and "\\r". What gzip has compressed is told by its first bytes.

    Args:
        path: `pathlib.Path`.

    Yields:
        str of at most 1,048,576 characters.

    Raises:
        ValueError: if the file is not UTF-8, or compressed and damaged or cut off, or no text at
            all; it names the file and the place.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    line_ends = io.IncrementalNewlineDecoder(None, translate=True)
    begin, is_first = 0, True  # where the block begins; whether there was no text so far
    for block, last in _blocks(path):
        kept = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, last)
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 1]
            raise ValueError(
                f"{path} is not UTF-8 at byte {begin - kept + error.start} ({wrong!r}). Convert it "
                "to UTF-8 first."
            ) from error
        begin += len(block)
        if text and is_first:
            text, is_first = text.removeprefix("\ufeff"), False
            if "\0" in text[:1000]:  # which is valid UTF-8, and in UTF-16 every other byte
                raise ValueError(
                    f"{path} has bytes 0 where it begins, as UTF-16 and archives have. Convert it "
                    "to UTF-8, or unpack it, first."
                )
        if text := line_ends.decode(text, last):
            yield text


def read_lines(path, cut_at=None):
    """Yields the lines of a file with "\\n" at their ends; see `read_pieces`.

    Args:
        path: `pathlib.Path`.
        cut_at: int or None. Lines of more characters come in parts of about so many, which end
            after white space where there is some. None: lines of more than 50,000,000 are refused.

    Raises:
        ValueError: as `read_pieces`, or if a line is too long.
    """
    begun, length, number = [], 0, 1
    for piece in read_pieces(path):
        *ended, last = piece.split("\n")
        for part in ended:
            yield "".join([*begun, part, "\n"])
            begun, length = [], 0
        number += len(ended)
        begun.append(last)
        length += len(last)
        if cut_at is None:
            check_length(length, f"{path}, line {number}")
        elif length > cut_at:
            text = "".join(begun)
            end = _place_to_cut(text)
            yield text[:end]
            begun, length = [text[end:]], len(text) - end
    if length:
        yield "".join(begun)


def check_length(length, place):
    """Refuse a line or record that would fill the memory.

    Args:
        length: int. Its characters so far.
        place: str. Where it stands.

    Raises:
        ValueError: if it is too long.
    """
    if length > LONGEST_RECORD:
        raise ValueError(
            f"{place} must be at most {LONGEST_RECORD:,} characters long, as it is held in memory "
            "at once. Split it, or look for a quote or line end that is missing."
        )


def _blocks(path):
    """The bytes of a file, decompressed, and whether a block is the last, which is empty."""
    with path.open("rb") as file:
        packed = file.peek(len(GZIP)).startswith(GZIP)
        source = gzip.GzipFile(fileobj=file) if packed else file
        try:
            while block := source.read(BLOCK):
                yield block, False
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path} is no whole gzip file: {error}. Fetch or compress it again."
            ) from error
    yield b"", True


def _place_to_cut(text):
    """Behind white space, so that what is left is not blank; else before the last character."""
    text = text.rstrip() or text
    return max(text.rfind(" ") + 1, text.rfind("\t") + 1) or len(text) - 1
