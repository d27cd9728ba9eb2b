"""vocabulary_files.py: lists, tables and merges, whole and damaged."""

import json

import pytest

from keras_plm.tokenizers import vocabulary_files
from keras_plm.tokenizers.vocabulary_files import read_merges, read_piece_ids, read_piece_list


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("[PAD]\nthe\n##e\n", {"[PAD]": 0, "the": 1, "##e": 2}),
        ("[PAD]\r\nthe", {"[PAD]": 0, "the": 1}),
        ("a\u2028b\n\x85\n \n", {"a\u2028b": 0, "\x85": 1, " ": 2}),
        ("[UNK]\t2\n的\t0\n", {"[UNK]": 2, "的": 0}),
        ("a\t1\nb\n", {"a\t1": 0, "b": 1}),
        ("a\nb\na\n", {"a": 2, "b": 1}),
    ],
)
def test_lists(path, text, pieces):
    path.write_bytes(text.encode())
    assert read_piece_list(path) == pieces


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Received: no lines"),
        (b"a\n\nb\n", "Received: an empty line 2"),
        (b"a\n\xff\n", "is not UTF-8"),
    ],
)
def test_damaged_lists(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_piece_list(path)


def test_tables(path):
    path.write_text(json.dumps({"a": 0, "Ġb": 3}))
    assert read_piece_ids(path) == {"a": 0, "Ġb": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "object of pieces"),
        ({"a": "0"}, "ids from 0.*Received: '0' for 'a'"),
        ({"a": -1}, "ids from 0"),
        ({"a": True}, "ids from 0"),
        ({"a": 10**9}, "ids from 0"),
        ({"a": 1, "b": 1}, "different ids.*Received: 1 for 'a' and 'b'"),
        ([], "must hold a JSON object"),
    ],
)
def test_damaged_tables(path, content, message):
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_piece_ids(path)


@pytest.mark.parametrize(
    "text", ["#version: 0.2\na b\n# #\n", "a b\n# #", "a b 12\n# # 3\n\n", "a b\r\n# #\r\n"]
)
def test_merges(path, text):
    path.write_text(text)
    assert read_merges(path) == [("a", "b"), ("#", "#")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no merges"),
        ("#version: 0.2\n", "holds no merges"),
        ("a b\nc\n", "two pieces on every line. Received: 'c'"),
        ("a b c\n", "Received: 'a b c'"),
        ("a  b\n", "Received: 'a  b'"),
    ],
)
def test_damaged_merges(path, text, message):
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_merges(path)


def test_too_large_files(path, monkeypatch):
    path.write_text("a b\n")
    monkeypatch.setattr(vocabulary_files, "LARGEST_BYTES", 3)
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        read_merges(path)
