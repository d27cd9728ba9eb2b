"""Sources and targets as rows: what surrounds them, what is cut, and what is refused."""

import numpy as np
import pytest

from keras_plm.preprocessing.seq2seq_preprocessor import (
    Seq2SeqPreprocessor,
    pair_arrays,
    source_arrays,
)

LONG = "the dog was red " * 20


def test_sources(byte_level):
    """BART's `<s> text </s>`, padded at the right, behind the name of a task."""
    preprocessor = Seq2SeqPreprocessor(byte_level, 24, prefix="say: ")
    features = preprocessor(["a fish", "the dog was red"])
    ids = [byte_level.encode("say: " + text) for text in ("a fish", "the dog was red")]
    begin, end = byte_level.cls_token_id, byte_level.sep_token_id
    for row, real, own in zip(*features.values(), ids, strict=True):
        expected = [begin, *own, end]
        assert row[: len(expected)].tolist() == expected
        assert real.tolist() == [True] * len(expected) + [False] * (24 - len(expected))
        assert (row[len(expected) :] == byte_level.pad_token_id).all()


def test_targets_are_read_behind_their_start(byte_level):
    """What a row begins with is the start itself, or is asked for."""
    preprocessor = Seq2SeqPreprocessor(byte_level, 24)
    own = list(byte_level.encode("a fish"))
    begin, end = byte_level.cls_token_id, byte_level.sep_token_id
    assert preprocessor.target_rows(["a fish"]) == [[*own, end]]
    assert preprocessor.target_rows(["a fish"], start=end) == [[begin, *own, end]]


def test_a_layout_without_an_end_gets_one(tokenizers):
    tokenizer = tokenizers["gpt"]
    preprocessor = Seq2SeqPreprocessor(tokenizer, 8)
    (row,) = preprocessor.target_rows([LONG], start=5, end=7)
    assert len(row) == 8 and row[-1] == 7
    assert row[:-1] == list(tokenizer.encode(LONG)[:7])


def test_what_is_too_long_loses_its_end(byte_level, caplog):
    preprocessor = Seq2SeqPreprocessor(byte_level, 16, 12)
    rows = preprocessor.source_rows(["a fish", LONG])
    assert len(rows[1]) == 16 and rows[1][-1] == rows[0][-1]
    assert "1 of 2 texts of `x` are longer than the 14 tokens" in caplog.text
    (target,) = preprocessor.target_rows([LONG])
    assert len(target) == 12 and target[-1] == rows[0][-1]
    (target,) = preprocessor.target_rows([LONG], start=rows[0][-1])
    assert len(target) == 12 and target[-1] == rows[0][-1]
    strict = Seq2SeqPreprocessor(byte_level, 16, truncate=False)
    with pytest.raises(ValueError, match="Raise `sequence_length` or `target_length`"):
        strict.source_rows([LONG])
    with pytest.raises(ValueError, match="leave no room"):
        Seq2SeqPreprocessor(byte_level, 16, 2).target_rows(["a"], start=5)


def test_arrays_of_both_sides():
    rows = [[7, 8, 2], [9, 2]]
    features, y, weight = pair_arrays(rows, rows, 4, 4, start=1, pad=3)
    asked, real = y["tokens"], weight["tokens"] > 0
    assert features["source_token_ids"].tolist() == [[7, 8, 2, 3], [9, 2, 3, 3]]
    assert features["token_ids"].tolist() == [[1, 7, 8, 3], [1, 9, 3, 3]]
    assert asked.tolist() == [[7, 8, 2, 0], [9, 2, 0, 0]]
    np.testing.assert_array_equal(features["padding_mask"], real)
    assert features["target_positions"].tolist() == [[0, 1, 2, 3]] * 2
    assert source_arrays(rows, 4, 3)["source_token_ids"].tolist() == [[7, 8, 2, 3], [9, 2, 3, 3]]


def test_what_is_refused(byte_level, tokenizers):
    preprocessor = Seq2SeqPreprocessor(byte_level, 16)
    with pytest.raises(ValueError, match="`y` has an empty text in row 1"):
        preprocessor.target_rows(["a", ""])
    with pytest.raises(TypeError, match="must be a string"):
        preprocessor.source_rows(["a", 3])
    with pytest.raises(ValueError, match="target_length"):
        Seq2SeqPreprocessor(byte_level, 16, 1)
    xlm = tokenizers["xlm"]
    with pytest.raises(ValueError, match="must differ"):
        Seq2SeqPreprocessor(xlm, 24, language="en", target_language="en")
    with pytest.raises(ValueError, match="one that the tokenizer knows"):
        Seq2SeqPreprocessor(xlm, 24, language="en", target_language="xx")
