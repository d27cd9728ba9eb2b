"""text_files.py: documents, lines and clear errors."""

import json

import pytest

from keras_plm.data.corpus import text_files
from keras_plm.data.corpus.text_files import read_documents, read_pairs, text_paths


def documents(*paths, **options):
    """Whole documents, with white space made one space; empty ones left out."""
    whole, part = [], ""
    for text, ends in read_documents(list(paths), **options):
        part += text
        if ends:
            whole.append(" ".join(part.split()))
            part = ""
    assert not part
    return [text for text in whole if text]


def test_blank_lines_and_file_ends_separate_documents(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.md"
    one.write_bytes(b"\xef\xbb\xbf\n\na\r\nb\r\n \t\r\n\r\nc\r\n")
    two.write_bytes("é".encode())
    assert documents(one, two) == ["a b", "c", "é"]


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"body": "a\n\nb"}) + "\n\n" + json.dumps({"body": "c", "x": 1}))
    assert documents(path, text_field="body") == ["a b", "c"]


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"text": 1}', "string under 'text'"),
        ('{"other": "a"}', r"Received: \['other'\]"),
        ("[1]", "Received: list"),
        ('{"text": ', "not valid JSON"),
        ('{"text": "\\ud800"}', "surrogate"),
    ],
)
def test_bad_json_lines_are_named(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n' + line)
    with pytest.raises(ValueError, match=f"a.jsonl, line 2 .*{message}"):
        documents(path)


def test_bytes_that_are_not_utf8_are_placed(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first\ncaf\xe9 au lait\n")
    with pytest.raises(ValueError, match=r"latin.txt is not UTF-8 at byte 9 \(b'\\xe9'\)"):
        documents(path)


def test_long_documents_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST_PART", 10)
    path = tmp_path / "long.txt"
    path.write_text("12345678\n" * 5 + "\nend\n")
    assert max(len(text) for text, _ in read_documents(path)) <= 18
    assert documents(path) == [" ".join(["12345678"] * 5), "end"]


def test_paths(tmp_path):
    for name in ["b.txt", "a.md", "c.jsonl", "image.png"]:
        (tmp_path / name).write_text("x")
    assert [path.name for path in text_paths(tmp_path)] == ["a.md", "b.txt", "c.jsonl"]
    assert text_paths(str(tmp_path / "image.png")) == [tmp_path / "image.png"]
    with pytest.raises(FileNotFoundError, match="missing.txt"):
        text_paths([tmp_path / "missing.txt"])
    with pytest.raises(ValueError, match="No text file"):
        text_paths([])
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match="empty.txt is empty"):
        text_paths(tmp_path)


def test_lines_of_two_files_side_by_side(tmp_path):
    one, two = tmp_path / "one.en", tmp_path / "two.fr"
    one.write_bytes(b"\xef\xbb\xbfthe cat \r\n\nend")
    two.write_text("le chat\u2028noir\n \nfin\n", "utf-8")
    found = list(read_pairs(one, str(two)))
    assert [pair for pair, _ in found] == [
        ["the cat", "le chat\u2028noir"],
        ["", ""],
        ["end", "fin"],
    ]
    assert found[2][1] == [f"{one}, line 3", f"{two}, line 3"]


def test_bad_pairs_of_files(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a\n" * 3)
    for count in (0, 2, 7):
        two.write_text("b\n" * count)
        with pytest.raises(
            ValueError, match=f"as many lines.*: 3 lines in .*one, {count} in .*two"
        ):
            list(read_pairs(one, two))
        with pytest.raises(
            ValueError, match=f"as many lines.*: {count} lines in .*two, 3 in .*one"
        ):
            list(read_pairs(two, one))
    two.write_bytes(b"b\nb\ncaf\xe9\n")
    with pytest.raises(ValueError, match="two is not UTF-8 at byte 7"):
        list(read_pairs(one, two))
    for paths in ((one, tmp_path / "missing"), (tmp_path / "missing", one), (one, tmp_path)):
        with pytest.raises(FileNotFoundError, match="There is no text file"):
            list(read_pairs(*paths))
