"""Files of static word vectors: word2vec's text and binary, GloVe's, fastText's `.vec`."""

import gzip
import logging
import os

import numpy as np

from keras_plm.checkpoints.word_vector_records import (
    binary_header,
    binary_records,
    is_number,
    text_records,
)
from keras_plm.checks import check_arguments, check_kind, choice, flag, integer
from keras_plm.files import reading

logger = logging.getLogger("keras_plm")

FORMATS = ("text", "binary")
ROWS_AT_ONCE = 1_000  # how many rows of numbers are Python's, before they become an array

_GZIP, _ZIP, _FASTTEXT_MODEL = b"\x1f\x8b", b"PK\x03\x04", b"\xba\x16\x4f\x2f"


@check_arguments
def read_vectors(
    path,
    words=None,
    limit: integer(1, none=True) = None,
    format: choice(FORMATS, none=True) = None,
    header: flag(none=True) = None,
    errors: choice(("strict", "replace", "ignore")) = "strict",
):
    """Read a file of word vectors, also a gzipped one. Nothing is unpickled.

    Of a word that occurs again the first vector counts; the log "keras_plm" says how many there
    were. Memory is needed for at most twice what is returned, whatever the file has beside it.

    Args:
        path: str or path of the file.
        words: collection of str, or None. The words that are kept; None: all.
        limit: int or None. How many words of the file are looked at, from its beginning, where the
            common ones are.
        format: str or None. "text" or "binary"; None: "binary" where the name ends with `.bin` or
            `.bin.gz`.
        header: bool or None. Whether a text begins with the numbers of words and of columns. None:
            if its first line are two whole numbers, and the second has as many columns.
        errors: str. What is done with words that are not UTF-8: "strict" refuses the file;
            "replace" and "ignore" are those of `bytes.decode`.

    Returns:
        list of V str, in the order of the file, and a float32 array (V, D).

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if `path` is no path, or `words` are no strings.
        ValueError: naming the file and the line, or the word of a binary file, if there are more
            or less numbers than D, or one that is none or not finite; if there are more or less
            words than the header says; or if none is left.

    Example:
    ```python
    from pathlib import Path
    from keras_plm.data import read_vectors

    Path("vectors.txt").write_text("the 0.5 1 2\\nnew york 3 4 5\\n")
    words, vectors = read_vectors("vectors.txt")
    assert words == ["the", "new york"] and vectors.tolist() == [[0.5, 1, 2], [3, 4, 5]]
    ```

    Source: the released word2vec.c (`word2vec.c`, `distance.c`), GloVe (`glove.c`), and fastText
    (`FastText::saveVectors`).
    """
    check_kind("path", path, (str, os.PathLike))
    if words is not None:
        words = _checked_words(words)
    if format is None:
        format = "binary" if str(path).endswith((".bin", ".bin.gz")) else "text"
    found = _Found(words, "word" if format == "binary" else "line", errors)
    with reading(path), _opened(path) as file:
        if format == "binary":
            count, width = binary_header(file)
            records = binary_records(file, width)
        else:
            count, width, records = text_records(file, header)
        number = 0
        for number, (place, word, values) in enumerate(records, 1):
            found.add(place, word, values)
            if number == limit:
                break
        if count is not None and count != number and (number != limit or count < number):
            or_a_word = ", or say header=False if the first line is a word"
            or_a_word = "" if format == "binary" else or_a_word
            raise ValueError(
                f"its header says that there are {count} words. Received: {number}. Take another "
                f"copy{or_a_word}."
            )
        vectors = found.vectors(width)
    if found.repeated:
        logger.warning(
            "read_vectors: %s has %d vectors of words that it had before; the first ones count.",
            *(path, found.repeated),
        )
    return list(found.words), vectors


def _checked_words(words):
    """The words that are kept, as a set."""
    several = hasattr(words, "__iter__") and not isinstance(words, (str, bytes))
    kept = frozenset(words) if several else {None}
    if not all(isinstance(word, str) for word in kept):
        raise TypeError(
            f"`words` must be a collection of strings, or None. Received: words={words!r:.100}."
        )
    return kept


class _Found:
    """The words that were found, and their vectors as blocks."""

    def __init__(self, kept, unit, errors):
        self.words, self.repeated = {}, 0
        self._kept, self._unit, self._errors = kept, unit, errors
        self._blocks, self._rows, self._places = [], [], []

    def add(self, place, word, values):
        """Take the vector of a word, unless it is not asked for or was there before."""
        try:
            word = word.decode("utf-8", self._errors)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._unit} {place}: a word must be UTF-8. Received: {word!r:.100} ({error}). "
                'Say errors="replace" or "ignore", or save the file as UTF-8.'
            ) from None
        if self._kept is not None and word not in self._kept:
            return
        if word in self.words:
            self.repeated += 1
            return
        try:
            self._rows.append(_numbers(values))
        except ValueError:
            raise _wrong_numbers(place, values) from None
        self.words[word] = place
        self._places.append(place)
        if len(self._rows) == ROWS_AT_ONCE:
            self._finish_block()

    def _finish_block(self):
        with np.errstate(over="ignore"):
            block = np.array(self._rows, "float32")  # (rows, D)
        good = np.isfinite(block).all(axis=1)
        if not good.all():
            first = int(np.argmin(good))
            raise ValueError(
                f"{self._unit} {self._places[first]}: numbers must be finite. Received: "
                f"{block[first][~np.isfinite(block[first])][:3].tolist()} among those of "
                f"{list(self.words)[first - len(block)]!r:.100}"
            )
        self._blocks.append(block)
        self._rows, self._places = [], []

    def vectors(self, width):
        """All vectors (V, D); the blocks are given up one by one."""
        if self._rows:
            self._finish_block()
        if not self.words:
            asked = "" if self._kept is None else f" of the {len(self._kept)} that are asked for"
            raise ValueError(f"it must hold a word{asked}. Received: none")
        vectors, begin = np.empty((len(self.words), width), "float32"), 0
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            vectors[begin : begin + len(block)] = block
            begin += len(block)
        return vectors


def _opened(path):
    """The file, unpacked, of which the first bytes have been looked at."""
    with open(path, "rb") as file:
        start = file.read(4)
    if start == _ZIP:
        raise ValueError("it is a zip archive. Unpack it, and read the file in it.")
    opened = gzip.open(path, "rb") if start[:2] == _GZIP else open(path, "rb")
    if opened.read(4) == _FASTTEXT_MODEL:
        opened.close()
        raise ValueError("it is a model of fastText, not vectors. Read the `.vec` beside it.")
    opened.seek(0)
    return opened


def _numbers(values):
    """The numbers of one word: of their bytes in a text, or as a binary file has them."""
    if not isinstance(values, list):
        return values
    if b"_" in b" ".join(values):  # Python takes 1_0 for 10
        raise ValueError("numbers have no underscores")
    return [float(value) for value in values]


def _wrong_numbers(place, values):
    """What is to be raised about numbers of a text that are none."""
    wrong = [value for value in values if not is_number(value)]
    return ValueError(
        f"line {place}: there must be {len(values)} numbers behind a word. Received: "
        f"{wrong[:3]!r:.100}"
    )
