"""text_lines.py: line ends, compressed files, long lines, and clear errors."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from keras_plm.data.corpus import text_lines
from keras_plm.data.corpus.text_lines import read_lines, read_pieces


@pytest.fixture(params=[1, 2, 3, 1 << 20])
def block(request, monkeypatch):
    """Every number of bytes at which a character or a line end may be torn."""
    monkeypatch.setattr(text_lines, "BLOCK", request.param)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\nb\n", ["a\n", "b\n"]),
        ("a\r\nb\r\n\r\nc", ["a\n", "b\n", "\n", "c"]),
        ("a\rb\r\rc\r", ["a\n", "b\n", "\n", "c\n"]),
        ("\ufeffé\u2028b\x85c\x0cd\n東京\n", ["é\u2028b\x85c\x0cd\n", "東京\n"]),
    ],
)
def test_lines(tmp_path, block, content, lines, pack):
    path = tmp_path / "text"
    path.write_bytes(pack(content.encode()))
    assert list(read_lines(path)) == lines
    assert "".join(read_pieces(path)) == "".join(lines)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "byte", "shown"), [(b"ab\ncaf\xe9 au", 6, "xe9"), ("aé東".encode()[:-1], 3, "xe6")]
)
def test_bytes_that_are_not_utf8_are_placed(tmp_path, block, content, byte, shown, pack):
    path = tmp_path / "latin.txt"
    path.write_bytes(pack(content))
    with pytest.raises(ValueError, match=rf"latin.txt is not UTF-8 at byte {byte} \(b'\\{shown}"):
        list(read_lines(path))


def test_damaged_gzip_files(tmp_path):
    path, whole = tmp_path / "text.gz", gzip.compress(bytes(range(32, 127)) * 50)
    flipped = whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]
    for content in (whole[:-9], whole[:20], whole[:-8] + b"12345678", flipped, whole + b"more"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="text.gz is no whole gzip file: .*again"):
            list(read_lines(path))
    path.write_bytes(whole + whole)  # files one after the other are one
    assert len("".join(read_pieces(path))) == 2 * 95 * 50


def test_what_is_no_text(tmp_path):
    path, member = tmp_path / "a.tar.gz", tmp_path / "member.txt"
    member.write_text("some text")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(member, "member.txt")
    (tmp_path / "wide.txt").write_bytes("some text".encode("utf-16-le"))
    for name in ("a.tar.gz", "wide.txt"):
        with pytest.raises(ValueError, match=f"{name} has bytes 0 where it begins.*first"):
            list(read_lines(tmp_path / name))
    (tmp_path / "wide.txt").write_bytes("some text".encode("utf-16"))
    with pytest.raises(ValueError, match="wide.txt is not UTF-8 at byte 0"):
        list(read_lines(tmp_path / "wide.txt"))
    path.write_bytes(b"a" * 2000 + b"\0" + b"a")  # one that strayed into a text
    assert len("".join(read_pieces(path))) == 2002


def test_a_long_line_is_cut_between_words_or_refused(tmp_path, block, monkeypatch):
    path = tmp_path / "long.txt"
    path.write_text("one two three four\n\n" + "x" * 30 + "\nend")
    parts = list(read_lines(path, cut_at=8))
    assert "".join(parts) == path.read_text()
    assert [part for part in parts if not part.strip()] == ["\n"]
    monkeypatch.setattr(text_lines, "BLOCK", 3)
    assert list(read_lines(path, cut_at=8))[:3] == ["one two ", "three ", "four\n"]
    monkeypatch.setattr(text_lines, "LONGEST_RECORD", 20)
    with pytest.raises(ValueError, match="long.txt, line 3 must be at most 20 characters long"):
        list(read_lines(path))


def test_memory_of_a_file_that_unpacks_to_much_more(tmp_path):
    path = tmp_path / "bomb.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"a" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    length = sum(len(part) for part in read_lines(path, cut_at=1_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert length == 64 << 20 and peak < 24 << 20


def test_files_are_closed(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("a\nb\n")
    opened = []
    monkeypatch.setattr(
        type(path), "open", lambda self, mode: opened.append(io.open(self, mode)) or opened[-1]
    )
    list(read_lines(path))
    unfinished = read_lines(path)
    next(unfinished)
    unfinished.close()
    assert len(opened) == 2 and all(file.closed for file in opened)
