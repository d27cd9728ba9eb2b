from pathlib import Path

import pytest

from keras_plm.data import train_tokenizer
from keras_plm.data.rows.planned_rows import SEPARATORS
from keras_plm.generation.canvas import BLANK
from keras_plm.generation.text_ids import TextIds

BOOK = Path(__file__).parents[1] / "fixtures" / "botchan.txt"


@pytest.fixture(scope="module")
def text(tokenizer):
    return TextIds(tokenizer, tokenizer.vocabulary_size + 2)


def test_blanks_stand_where_pieces_are_missing(text, tokenizer):
    """A part after a blank is encoded as it is in the whole text."""
    (ids,), as_text = text.encode(["I am <mask> the red<mask><mask>ing, I said"], blank="<mask>")
    pieces = ["_" if index == BLANK else tokenizer.pieces([index])[0] for index in ids]
    joined = "".join(pieces)
    assert as_text and joined == "▁I▁am_▁the▁red__ing,▁I▁said"
    (ids,), _ = text.encode(["_"], blank="_")
    assert ids == [BLANK]
    assert text.encode(["a _"])[0] == [tokenizer.encode("a _")]


def test_ids_are_taken_as_they_are(text):
    assert text.encode([[3, 4, BLANK]], blank="_") == ([[3, 4, BLANK]], False)
    with pytest.raises(ValueError, match="must lie in"):
        text.encode([[3, 4, BLANK]])


def test_a_text_begins_after_the_end_of_a_document(text, tokenizer):
    assert text.context(None) == [tokenizer.eod_token_id]
    assert text.context("I am") == tokenizer.encode("I am") + [tokenizer.eod_token_id]
    assert text.context([9, 10]) == [9, 10]
    assert TextIds(None, 20).context(None) == []


def test_what_is_not_filled_in(text, tokenizer):
    special = set(tokenizer.special_token_ids.values())
    beyond = {tokenizer.vocabulary_size, tokenizer.vocabulary_size + 1}
    assert set(text.never_filled_in("auto")) == special - {8} | beyond
    assert 7 not in text.never_filled_in("auto", but=text.stop_ids("auto"))
    assert text.never_filled_in([4, 4, 2]) == (2, 4)
    assert TextIds(None, 20).never_filled_in("auto") == ()
    with pytest.raises(ValueError, match="Not all ids"):
        TextIds(None, 3).never_filled_in(range(3))
    with pytest.raises(ValueError, match="ids or 'auto'"):
        text.never_filled_in("none")


def test_the_one_special_token_of_gpt():
    """It begins texts and stops them; without being asked for a stop it is never written."""
    tokenizer = train_tokenizer(BOOK, 300, model="bpe", layout="gpt")
    text, end = TextIds(tokenizer, 302, SEPARATORS), tokenizer.eos_token_id
    assert tokenizer.pieces([end]) == ["<|endoftext|>"]
    assert text.context(None) == [end] and text.stop_ids("auto") == (end,)
    assert text.never_filled_in("auto", but=text.stop_ids("auto")) == (300, 301)
    assert text.never_filled_in("auto") == (end, 300, 301)
    assert text.decode([*tokenizer.encode("I am <|endoftext|>"), end], True) == "I am <|endoftext|>"


def test_what_ends_a_text(text):
    assert text.stop_ids("auto") == (7,) and text.stop_ids(None) == ()
    assert text.stop_ids([5, 9]) == (5, 9)
    assert TextIds(None, 20).stop_ids("auto") == ()
    with pytest.raises(ValueError, match="ids or 'auto'"):
        text.stop_ids("eod")


def test_decoding(text, tokenizer):
    ids = tokenizer.encode("I am here")
    assert text.decode(ids + [tokenizer.vocabulary_size], as_text=True) == "I am here"
    assert text.decode(ids, as_text=False) == ids


@pytest.mark.parametrize(
    "texts, error, message",
    [
        ([], ValueError, "holds no texts"),
        ("a _", TypeError, "must be a list of texts"),
        ([3], TypeError, "must be a string"),
        (None, TypeError, "must be a list of texts"),
        ([[3], "a"], TypeError, "lists of ids"),
    ],
)
def test_what_is_no_text(text, texts, error, message):
    with pytest.raises(error, match=message):
        text.encode(texts, blank="_")


def test_blank_and_tokenizer_are_needed(text):
    with pytest.raises(ValueError, match="`blank` must be a string"):
        text.encode(["a"], blank="  ")
    with pytest.raises(ValueError, match="must be lists of ids"):
        TextIds(None, 20).encode(["a"])
