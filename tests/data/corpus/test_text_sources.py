"""text_sources.py: files, folders, patterns, pairs and texts in memory; what is said of them."""

import logging
import os

import numpy as np
import pandas
import pytest

from keras_plm.data import Texts
from keras_plm.data.corpus.text_files import read_documents
from keras_plm.data.corpus.text_sources import text_sources

FILES = [
    "B.TXT",
    "a.md",
    "below/deep/c.csv.gz",
    "below/d.JSONL.GZ",
    "e.ndjson",
    "f.json",
    "g.tsv",
]
OTHERS = [
    "image.png",
    "LICENSE",
    "data.gz",
    ".hidden.txt",
    ".git/config.txt",
    "below/._c.txt",
    "x.tar.gz",
]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "some texts"
    for name in (*FILES, *OTHERS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (folder / "empty.txt").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.txt").write_text("x")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (folder / "linked.txt").symlink_to(tmp_path / "elsewhere" / "linked.txt")
    return folder


def found(given, folder):
    (source,) = text_sources(given)
    return [path.relative_to(folder).as_posix() for path in source]


def test_a_folder(folder, caplog):
    for given in (folder, str(folder), [folder]):
        caplog.clear()
        assert found(given, folder) == sorted([*FILES, "linked.txt"])
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            "Text is read from 1 .csv.gz, 1 .json, 1 .jsonl.gz, 1 .md, 1 .ndjson, 1 .tsv, 2 .txt; "
            "skipped 1 .gz, 1 .png, 1 .tar.gz, 1 empty, 3 hidden, 2 links to folders, "
            "1 without a suffix."
        )


def test_nothing_skipped_is_no_warning(folder, caplog):
    with caplog.at_level(logging.INFO, "keras_plm"):
        text_sources([folder / "B.TXT", Texts(["a"]), f"{folder}/[ag].*"])
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage() == "Text is read from 1 .md, 1 .tsv, 1 .txt, 1 in memory."


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.TXT", ["B.TXT"]),
        ("[ag].*", ["a.md", "g.tsv"]),
        ("**/*.gz", ["below/deep/c.csv.gz", "data.gz", "x.tar.gz"]),
        ("**/*c*", ["below/deep/c.csv.gz"]),  # neither below/._c.txt nor what links lead to
        ("*.??g", ["image.png"]),
        ("*/d*", ["below/d.JSONL.GZ", "round/data.gz"]),
    ],
)
def test_patterns(folder, pattern, names):
    for given in (f"{folder}/{pattern}", folder / pattern, [f"{folder}/{pattern}"]):
        assert found(given, folder) == names


def test_names_with_brackets_are_names(tmp_path):
    path = tmp_path / "a[1].txt"
    path.write_text("x")
    assert text_sources([str(path)]) == [[path]]


def test_sources_stay_apart(folder):
    first, second = folder / "B.TXT", folder / "a.md"
    texts = Texts(["one"])
    for given in ([first, (str(first), second), texts], iter([first, [first, second], texts])):
        assert text_sources(given) == [[first], (first, second), texts]
    column, other = pandas.Series(["a", "b"]), np.array(["c"])
    sources = text_sources([column, other])
    assert [list(source) for source in sources] == [["a", "b"], ["c"]]
    assert text_sources(path for path in (first, second)) == [[first], [second]]
    assert text_sources([str(first), str(second)]) == [[first], [second]]


def texts_of(source, text_field="text"):
    return [text for text, _ in read_documents(source, text_field)]


THREE = ["the old man", "東京", ""]
RECORDS = [{"text": text, "id": 1} for text in THREE]


class Column:
    """A column of Hugging Face `datasets` before its version 4: it has no `__iter__`."""

    def __len__(self):
        return len(THREE)

    def __getitem__(self, index):
        return THREE[index]


IN_MEMORY = {
    "list": lambda: THREE,
    "tuple": lambda: tuple(THREE),
    "generator": lambda: (text for text in THREE),
    "iterator": lambda: iter(THREE),
    "like patterns": lambda: ["**bold** [and] more?", *THREE[1:]],
    "bytes": lambda: [text.encode() for text in THREE],
    "numpy": lambda: np.array(THREE),
    "objects": lambda: np.array(THREE, object),
    "series": lambda: pandas.Series(THREE, index=[7, 8, 9]),
    "frame": lambda: pandas.DataFrame(RECORDS),
    "column": Column,
    "records": lambda: RECORDS,
    "made records": lambda: iter(RECORDS),
    "said so": lambda: Texts(THREE),
    "records, said so": lambda: Texts(iter(RECORDS)),
}


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_texts_in_memory(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (source,) = text_sources(IN_MEMORY[kind]())
    first = "**bold** [and] more?" if kind == "like patterns" else THREE[0]
    assert texts_of(source) == [first, *THREE[1:]]


def test_arrow():
    arrow = pytest.importorskip("pyarrow")
    for given in (arrow.array(THREE), arrow.chunked_array([THREE]), arrow.table({"text": THREE})):
        (source,) = text_sources(given)
        assert texts_of(source) == THREE


def test_what_may_be_a_name_is_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two words").write_text("x")
    assert [str(path) for path in text_sources(["two words"])[0]] == ["two words"]
    assert [str(path) for path in text_sources(["two w*"])[0]] == ["two words"]
    long = "one text " * 1_000
    with pytest.raises(FileNotFoundError, match="There is no text file 'one text one text"):
        text_sources(long)
    assert texts_of(*text_sources([long])) == [long]
    with pytest.raises(FileNotFoundError, match="There is no text file 'my novels'"):
        text_sources(["my novels", "two words"])  # the second is a file
    for given in (
        ["novels"],
        ["my novels.txt"],
        ["my novels.CSV.gz"],
        "the old man",
        "",
        ["", "x"],
    ):
        with pytest.raises(FileNotFoundError, match="There is no text file '.*data.Texts"):
            text_sources(given)
    assert texts_of(*text_sources(Texts(["novels"]))) == ["novels"]
    blank_first = ["", " \n", "the old man"]
    assert texts_of(*text_sources(iter(blank_first))) == blank_first


def test_an_iterator_is_not_gathered():
    given = ("some words" for _ in range(10**12))
    (source,) = text_sources(given)
    documents = read_documents(source)
    assert [next(documents) for _ in range(3)] == [("some words", True)] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"some words": 1}, "iterable of strings.*Received: dict"),
        ({"some words"}, "must have an order.*set of 1 items"),
        (5, "iterable of strings.*Received: int 5"),
        (None, "iterable of strings.*Received: NoneType"),
        (b"some words", "iterable of strings.*Received: bytes"),
    ],
)
def test_no_texts(given, message):
    with pytest.raises(TypeError, match=message):
        text_sources(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["some words", None], "text 1 must be a string.*Received: NoneType"),
        (["some words", float("nan")], "text 1 must be a string.*Received: float"),
        (["some words", "\ud800"], "text 1 holds half a surrogate pair"),
        ([b"\xff words"], "text 0 must be UTF-8"),
        ([{"body": "a"}], r"text 0 .*`text_field`. Received: the fields \['body'\]"),
        (pandas.DataFrame({"body": ["a"], "id": [1]}), r"a column 'text'.*\['body', 'id'\]"),
    ],
)
def test_bad_texts_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        texts_of(*text_sources(given))


def test_bad_files(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.txt"):
        text_sources([folder / "a.md", tmp_path / "missing.txt"])
    with pytest.raises(FileNotFoundError, match="No file fits the pattern '.*none"):
        text_sources(f"{folder}/none*.txt")
    with pytest.raises(ValueError, match="a[*][*].txt: .*[*][*]"):
        text_sources(folder / "a**.txt")
    with pytest.raises(ValueError, match="empty.txt is empty"):
        text_sources(folder / "empty.txt")
    with pytest.raises(ValueError, match=r"No text file was given.*once. Received: \[\]$"):
        text_sources([])
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.png").write_text("x")
    with pytest.raises(ValueError, match="No text file was given.*; skipped 1 .png"):
        text_sources(tmp_path / "none")
    for pair in ((folder / "a.md",), (folder / "a.md",) * 3):
        with pytest.raises(ValueError, match="a tuple of two paths. Received"):
            text_sources([pair])
    with pytest.raises(FileNotFoundError, match="There is no text file"):
        text_sources([(folder / "a.md", tmp_path / "missing")])
    with pytest.raises(ValueError, match="plain text, line by line. Received: .*g.tsv"):
        text_sources([(folder / "a.md", folder / "g.tsv")])
    if os.name == "posix" and os.getuid():
        (folder / "below").chmod(0)
        with pytest.raises(PermissionError, match="below"):
            text_sources(folder)
        (folder / "below").chmod(0o700)
