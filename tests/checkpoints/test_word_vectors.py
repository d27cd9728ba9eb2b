import gzip
import logging
import re
import tracemalloc

import numpy as np
import pytest

from keras_plm.checkpoints import word_vector_records, word_vectors
from keras_plm.data import read_vectors

GLOVE = "the 0.418 .24968 -4e-1\n. . . 1 2 3\nnew york 0.1 0.2 0.3\nnan 7 8 9\n"
WORDS = ["the", ". . .", "new york", "nan"]
NUMBERS = np.array([[0.418, 0.24968, -0.4], [1, 2, 3], [0.1, 0.2, 0.3], [7, 8, 9]], "float32")


def binary(words, rows, end=b"\n", header=None):
    """What word2vec.c writes: fwrite of the floats behind "%s "."""
    rows = np.asarray(rows, "<f4")
    header = b"%d %d\n" % rows.shape if header is None else header
    records = (word.encode() + b" " + row.tobytes() + end for word, row in zip(words, rows))
    return header + b"".join(records)


# What is in the file, and its name. word2vec.c and fastText end each line with a space.
FILES = {
    "glove": ("glove.txt", GLOVE.encode()),
    "glove of a first word with a space": ("glove.txt", GLOVE.replace("the", "a b").encode()),
    "word2vec text": ("vectors.vec", b"4 3\n" + GLOVE.replace("\n", " \n").encode()),
    "no line feed at the end": ("glove.txt", GLOVE.encode()[:-1]),
    "lines of windows, tabs": (
        "glove.txt",
        GLOVE.replace("\n", "\r\n").replace("3\n", "\t3\n").encode(),
    ),
    "byte order mark": ("vectors.txt", b"\xef\xbb\xbf4 3\n" + GLOVE.encode()),
    "gzip": ("glove.txt.gz", gzip.compress(GLOVE.encode())),
    "gzip of another name": ("glove.txt", gzip.compress(GLOVE.encode())),
    "word2vec": ("vectors.bin", binary(["</s>", "a", "nan", "b"], NUMBERS)),
    "word2vec without line feeds": ("vectors.bin", binary(["a", "b", "c", "nan"], NUMBERS, b"")),
    "word2vec, gzipped": ("v.bin.gz", gzip.compress(binary(["a", "b", "c", "d"], NUMBERS))),
}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", FILES)
def test_every_form_of_a_file(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(word_vector_records, "BLOCK", 7)  # so that records lie across blocks
    monkeypatch.setattr(word_vectors, "ROWS_AT_ONCE", 3)
    words, vectors = read_vectors(written(tmp_path, *FILES[kind]))
    if "word2vec" in kind and kind != "word2vec text":
        assert len(words) == 4 and set(words) < {"</s>", *"abcd", "nan"}
    else:
        assert words == ["a b" if "first word" in kind else "the", *WORDS[1:]]
    assert vectors.dtype == np.float32 and vectors.flags.c_contiguous
    np.testing.assert_array_equal(vectors, NUMBERS)


def test_words_hold_what_python_takes_for_an_end_of_a_line(tmp_path):
    odd = ["a\x85b", "a\u2028b", "\u00a0", "a\x1cb", "</s>"]
    lines = "".join(f"{word} {n} 0\n" for n, word in enumerate(odd, 1))
    words, vectors = read_vectors(written(tmp_path, "odd.vec", f"5 2\n{lines}"))
    assert words == odd and vectors[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_header_and_a_row_of_one_column(tmp_path):
    """In one column a header looks like a row."""
    path = written(tmp_path, "one.txt", "7 5\n8 0.5\n")
    assert read_vectors(path)[0] == ["7", "8"]
    path = written(tmp_path, "header.txt", "2 1\n7 5\n8 0.5\n")
    assert read_vectors(path)[0] == ["7", "8"]
    assert read_vectors(path, header=False)[0] == ["2", "7", "8"]
    assert read_vectors(written(tmp_path, "year.txt", "1984 2\nthe 3\n"))[0] == ["1984", "the"]


def test_some_words_and_the_first_ones(tmp_path, caplog):
    text = GLOVE + "the 9 9 9\nlast -1 -2 -3\n"
    path = written(tmp_path, "glove.txt", text)
    with caplog.at_level(logging.WARNING, "keras_plm"):
        words, vectors = read_vectors(path)
    assert words == [*WORDS, "last"] and (vectors[0] == NUMBERS[0]).all()
    assert "1 vectors of words that it had before" in caplog.text
    words, vectors = read_vectors(path, words={"last", "new york", "absent"})
    assert words == ["new york", "last"] and vectors[1].tolist() == [-1, -2, -3]
    assert read_vectors(path, limit=2)[0] == WORDS[:2]
    assert read_vectors(path, words=["nan", "last"], limit=4)[0] == ["nan"]
    with_header = written(tmp_path, "some.vec", "4 3\n" + GLOVE)
    assert len(read_vectors(with_header, limit=3)[0]) == 3
    assert len(read_vectors(with_header, limit=9)[0]) == 4
    as_binary = written(tmp_path, "some.bin", binary("abcd", NUMBERS))
    assert read_vectors(as_binary, words=["c"], limit=3)[1].tolist() == [NUMBERS[2].tolist()]


def test_words_that_are_not_utf8(tmp_path):
    path = written(tmp_path, "latin.txt", b"the 1 2\ncaf\xe9 3 4\n")
    with pytest.raises(ValueError, match=r"latin.txt: line 2: .*UTF-8.*caf"):
        read_vectors(path)
    assert read_vectors(path, errors="replace")[0] == ["the", "caf\ufffd"]
    assert read_vectors(path, errors="ignore")[0] == ["the", "caf"]


WRONG = {
    "fewer numbers": ("v.txt", "a 1 2\nb 3\n", r"v.txt: line 2: .* 2 numbers.*2 columns"),
    "more numbers": ("v.txt", "a 1 2\nb 3 4 5\n", "line 2: .* 2 numbers.*more.*b 3 4 5"),
    "more than the header": ("v.txt", "1 2\nb 3 4 5\n", "line 2: .* 2 numbers.*more"),
    "an empty line": ("v.txt", "a 1 2\n\nb 3 4\n", "line 2: .*0 columns"),
    "no word": ("v.txt", "a 1 2\n 3 4\n", "line 2"),
    "no number": ("v.txt", "a 1 2\nb 3 x\n", r"line 2: .*Received: \[b'x'\]"),
    "an underscore": ("v.txt", "b 1 2\na 1 1_0\n", r"line 2: .*Received: \[b'1_0'\]"),
    "carriage returns": ("v.txt", "a 1 2\rb 3 4\n", "line 1: .*Received: a carriage return"),
    "nothing": ("v.txt", "", "empty line 1"),
    "a header alone": ("v.txt", "3 2\n", "there are 3 words. Received: 0"),
    "words alone": ("v.txt", "a\nb\n", "line 1: there must be a word and its numbers"),
    "nan": ("v.txt", "a 1 2\nb 3 4\nc nan 5\n", r"line 3: .*finite.*\[nan\].*'c'"),
    "infinite": ("v.txt", "2 2\na 1 2\nb 1e39 5\n", r"line 3: .*finite.*\[inf\].*'b'"),
    "cut off": ("v.vec", "3 2\na 1 2\nb 3 4\n", r"there are 3 words. Received: 2"),
    "too many": ("v.vec", "1 2\na 1 2\nb 3 4\n", r"there are 1 words. Received: 2"),
    "no column": ("v.vec", "2 0\na\nb\n", "1 to 65536 numbers.*Received: 0"),
    "a zip archive": ("v.zip", b"PK\x03\x04....", "v.zip: it is a zip archive"),
    "a model of fastText": ("v.bin", b"\xba\x16\x4f\x2f\x0c\x00", "model of fastText"),
    "cut off, gzipped": ("v.txt.gz", gzip.compress(GLOVE.encode())[:-9], "v.txt.gz"),
    "binary without a header": ("v.bin", GLOVE, 'begin with the numbers.*format="text"'),
    "binary, cut off": ("v.bin", binary("abc", NUMBERS[:3])[:-3], "word 3: .*last 13 bytes"),
    "binary, fewer": (
        "v.bin",
        binary("ab", NUMBERS[:2], header=b"3 3\n"),
        r"Received: 2. Take another copy\.$",
    ),
    "binary, nan": ("v.bin", binary("ab", [[1, 2], [np.nan, 3]]), r"word 2: .*\[nan\].*'b'"),
    "binary, of absurd width": ("v.bin", b"1 99999999999\na 1", "1 to 65536"),
    "binary without a space": ("v.bin", b"1 1\n" + b"a" * 70_000, "word 1: .*65536 bytes"),
    "binary as a text": ("v.txt", b"2 2\n" + b"\0" * 3_000_000, "line 2: a line .*binary"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_wrong(kind, tmp_path):
    *file, message = WRONG[kind]
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        read_vectors(written(tmp_path, *file))


def test_what_is_asked_must_make_sense(tmp_path):
    path = written(tmp_path, "glove.txt", GLOVE)
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        read_vectors(tmp_path / "absent.txt")
    with pytest.raises(ValueError, match="a word of the 2 that are asked for. Received: none"):
        read_vectors(path, words=["x", "y"])
    with pytest.raises(ValueError, match="line 1: a header must be two whole numbers"):
        read_vectors(path, header=True)
    with pytest.raises(TypeError, match="`path` must be.*path=3"):
        read_vectors(3)  # a number would be a file that is open already
    for options in (dict(limit=0), dict(format="glove"), dict(errors="x"), dict(words=[1])):
        with pytest.raises((TypeError, ValueError), match=next(iter(options))):
            read_vectors(path, **options)


def test_memory_is_that_of_what_is_kept(tmp_path):
    """Of a file of 12,000 rows a sixth: neither the others nor numbers of Python's remain."""
    lines = "".join(f"{n}" + " 0.5" * 100 + "\n" for n in range(12_000))
    path = written(tmp_path, "v.txt.gz", gzip.compress(lines.encode(), 1))
    words = [str(n) for n in range(0, 12_000, 6)]
    tracemalloc.start()
    found, vectors = read_vectors(path, words=words)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == words and vectors.shape == (2_000, 100) and (vectors == 0.5).all()
    assert most < 2 * vectors.nbytes + 4_000_000
