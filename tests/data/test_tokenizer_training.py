"""tokenizer_training.py: the same tokenizer every time, and clear errors."""

import json
from pathlib import Path

import pytest

from keras_plm.data import train_tokenizer
from keras_plm.data.tokenizer import SentencePieceTokenizer

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"


def test_training_is_deterministic_and_reads_json_lines(tmp_path, capsys):
    text = BOTCHAN.read_text("utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": text}))
    one = train_tokenizer([BOTCHAN], vocabulary_size=300)
    two = train_tokenizer(tmp_path, vocabulary_size=300, text_field="body")
    assert one.fingerprint == two.fingerprint
    assert isinstance(one, SentencePieceTokenizer) and one.vocabulary_size == 300
    assert capsys.readouterr().out == ""


def test_the_vocabulary_is_lowered_with_a_note(tmp_path, capsys):
    path = tmp_path / "small.txt"
    path.write_text("a small text carries a small vocabulary\n" * 20)
    tokenizer = train_tokenizer(path, vocabulary_size=4_000)
    assert 17 < tokenizer.vocabulary_size < 200
    note = capsys.readouterr().out
    assert f"{tokenizer.vocabulary_size} pieces" in note and "from 4,000" in note
    assert tokenizer.decode(tokenizer.encode("a small text")) == "a small text"


def test_large_text_is_thinned_out():
    path = BOTCHAN
    all_lines = train_tokenizer(path, vocabulary_size=300)
    thinned = train_tokenizer(path, vocabulary_size=300, max_bytes=20_000)
    assert all_lines.fingerprint != thinned.fingerprint
    assert thinned.vocabulary_size == 300


def test_long_lines_are_read(tmp_path):
    path = tmp_path / "line.txt"
    path.write_text("one line of many words " * 1_000)
    tokenizer = train_tokenizer(path, vocabulary_size=40)
    assert tokenizer.decode(tokenizer.encode("many lines of one word")) == "many lines of one word"


@pytest.mark.parametrize("size", [0, -1, 2, 20, 2.5, "4000"])
def test_a_vocabulary_that_is_too_small_is_refused(size):
    with pytest.raises(ValueError, match=r"vocabulary_size must be .*Received: "):
        train_tokenizer(BOTCHAN, vocabulary_size=size)


def test_bad_files_keep_their_own_errors(tmp_path):
    path = tmp_path / "text.txt"
    with pytest.raises(FileNotFoundError, match="text.txt"):
        train_tokenizer(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="text.txt is empty"):
        train_tokenizer(path)
    path.write_bytes(b" \n\n")
    with pytest.raises(ValueError, match="no text to learn from"):
        train_tokenizer(path)
    path.write_bytes(b"good\nb\xffd\n")
    with pytest.raises(ValueError, match="text.txt is not UTF-8 at byte 6"):
        train_tokenizer(path)
