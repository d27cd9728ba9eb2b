"""The records of files of word vectors: a word, and the bytes of its numbers.

    word2vec text, fastText     "2 3", then "the 0.1 0.2 0.3", a word on each line
    GloVe                       the same without that header; words may have spaces in them
    word2vec binary             "2 3", then for each word its bytes, a space, 3 float32

Lines end at line feeds alone: words hold what Python, too, takes for the end of a line. They are
read from the right, since numbers have no spaces in them.
"""

import numpy as np

BLOCK = 2**20  # bytes of a binary file that are read at once
LONGEST_LINE, LONGEST_WORD, WIDEST = 2**21, 2**16, 2**16  # bytes, bytes, numbers

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# === Text ===


def text_records(file, header):
    """Begin to read a text.

    Args:
        file: binary file, at its beginning.
        header: bool or None, see `keras_plm.checkpoints.word_vectors.read_vectors`.

    Returns:
        int or None, how many words the header says; int, D; and an iterator of tuples of the line's
        number, the word as bytes, and a list of the bytes of its D numbers.

    Raises:
        ValueError: naming the line that is none; the iterator, too.
    """
    first, second = _line(file, 1).removeprefix(_BYTE_ORDER_MARK), _line(file, 2)
    if not first.strip():
        raise ValueError("it must begin with a word and its numbers. Received: an empty line 1")
    says = first.split()
    is_header = len(says) == 2 and all(one.isdigit() for one in says)
    if header is None:
        header = is_header and (not second or len(second.split()) > int(says[1]))
    elif header and not is_header:
        raise ValueError(f"line 1: a header must be two whole numbers. Received: {first!r:.100}")
    count, width = map(int, says) if header else (None, _width(first))
    _check_width(width)
    lines = ([(1, first)] if not header else []) + ([(2, second)] if second else [])
    return count, width, _rows_of_text(file, lines, width)


def _width(line):
    """How many numbers stand behind the word of a first line."""
    fields = line.split()
    numbers = 0
    while numbers < len(fields) - 1 and is_number(fields[-1 - numbers]):
        numbers += 1
    if not numbers:
        raise ValueError(f"line 1: there must be a word and its numbers. Received: {line!r:.100}")
    return numbers


def _rows_of_text(file, lines, width):
    """(line number, word, list of the bytes of its numbers) of these lines, and of the rest."""
    last = lines[-1][0] if lines else 1
    while lines:
        for number, line in lines:
            fields = line.rsplit(None, width)
            word = fields[0] if fields else b""
            if len(fields) != width + 1:
                raise ValueError(
                    f"line {number}: there must be a word and {width} numbers. Received: "
                    f"{len(fields)} columns, {line!r:.100}"
                )
            if b"\r" in word:
                raise ValueError(
                    f"line {number}: lines must end with a line feed. Received: a carriage return "
                    f"in {line!r:.100}"
                )
            if b" " in word and is_number(word.rsplit(None, 1)[-1]):
                raise ValueError(
                    f"line {number}: there must be {width} numbers behind a word. Received: more, "
                    f"{line!r:.100}"
                )
            yield number, word, fields[1:]
        last += 1
        line = _line(file, last)
        lines = [(last, line)] if line else []


def _line(file, number):
    """One line with its end, b"" behind the last one."""
    line = file.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise ValueError(
            f"line {number}: a line must have less than {LONGEST_LINE} bytes. Received: more. A "
            'binary file is read with format="binary".'
        )
    return line


def is_number(field):
    """Whether bytes are a number in digits: "nan" may be a word.

    Args:
        field: bytes.
    """
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field and any(48 <= byte < 58 for byte in field)


# === Binary ===


def binary_header(file):
    """Read the first line of a binary file.

    Args:
        file: binary file, at its beginning.

    Returns:
        two ints: how many words there are, and D.

    Raises:
        ValueError: if it is no header.
    """
    first = _line(file, 1)
    says = first.split()
    if len(says) != 2 or not all(one.isdigit() for one in says):
        raise ValueError(
            "a binary file must begin with the numbers of words and of columns. Received: "
            f'{first!r:.100}. A text is read with format="text".'
        )
    _check_width(int(says[1]))
    return tuple(map(int, says))


def binary_records(file, width):
    """Yield the words of a binary file; a line feed may stand behind the numbers of each.

    Args:
        file: binary file, behind its header.
        width: int, D.

    Yields:
        tuples of the number of the word, from 1 on, its bytes, and a float32 array (D,).

    Raises:
        ValueError: naming the word whose record is not whole.
    """
    data, begin, number = b"", 0, 1
    while True:
        space = data.find(b" ", begin)
        end = space + 1 + 4 * width
        if space >= 0 and end <= len(data):
            word = data[begin:space].lstrip(b"\n")
            yield number, word, np.frombuffer(data, "<f4", width, space + 1)
            begin, number = end, number + 1
            continue
        if space < 0 and len(data) - begin > LONGEST_WORD:
            raise ValueError(f"word {number}: it has more than {LONGEST_WORD} bytes")
        data, begin = data[begin:] + (more := file.read(BLOCK)), 0
        if not more:
            break
    if data.strip(b"\n"):
        raise ValueError(
            f"word {number}: there must be {width} numbers of 4 bytes behind a space. Received: "
            f"the last {len(data)} bytes of the file"
        )


def _check_width(width):
    """Refuse a number of columns that no file of vectors has."""
    if not 1 <= width <= WIDEST:
        raise ValueError(f"there must be 1 to {WIDEST} numbers for a word. Received: {width}")
