"""text_files.py: documents of plain text in parts, and aligned lines of two files."""

import pytest

from keras_plm.data.corpus import text_files
from keras_plm.data.corpus.text_files import read_documents, read_pairs


def documents(*paths):
    """Whole documents, with white space made one space; empty ones left out."""
    whole, part = [], ""
    for text, ends in read_documents(list(paths)):
        part += text
        if ends:
            whole.append(" ".join(part.split()))
            part = ""
    assert not part
    return [text for text in whole if text]


def test_blank_lines_and_file_ends_separate_documents(tmp_path):
    one, two, three = tmp_path / "one.txt", tmp_path / "two.md", tmp_path / "three"
    one.write_bytes(b"\xef\xbb\xbf\n\na\r\nb\r\n \t\r\n\r\nc\r\n")
    two.write_bytes("é".encode())
    three.write_bytes(b"d\re\r\rf\r")
    assert documents(one, two, three) == ["a b", "c", "é", "d e", "f"]


def test_long_documents_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST_PART", 10)
    path = tmp_path / "long.txt"
    path.write_text("12345678\n" * 5 + "\nend\n")
    assert max(len(text) for text, _ in read_documents([path])) <= 18
    assert documents(path) == [" ".join(["12345678"] * 5), "end"]
    path.write_text("123 45 678 " * 5 + "\n\nend\n")
    assert documents(path) == [" ".join(["123 45 678"] * 5), "end"]


def test_lines_of_two_files_side_by_side(tmp_path):
    one, two = tmp_path / "one.en", tmp_path / "two.fr"
    one.write_bytes(b"\xef\xbb\xbfthe cat \r\n\nend")
    two.write_text("le chat\u2028noir\n \nfin\n", "utf-8")
    found = list(read_pairs(one, two))
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
