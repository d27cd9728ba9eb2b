"""The units of rows: literal examples, token by token, and malformed spans."""

import numpy as np
import pytest

from keras_plm.objectives.selection.row_units import (
    RowUnits,
    after_break,
    number_units,
    span_begins,
    word_begins,
)


def bools(text):
    return np.array([[c == "x" for c in row] for row in text.split()])


def test_literal_words():
    maskable = bools(".xxx.xx.")
    begins = word_begins(maskable, bools("xx.xxx.x"))
    assert (begins == bools(".x.x.x..")).all()
    assert (after_break(maskable) == bools(".x...x..")).all()
    units = RowUnits(maskable, begins)
    assert units.places.tolist() == [1, 3, 5]
    assert units.offsets.tolist() == [0, 2, 3, 5]
    assert units.segment_ends().tolist() == [2, 2, 3, 3]
    assert units.number.reshape(1, 8)[maskable[:1]].tolist() == [0, 0, 1, 2, 2]
    assert (units.tokens_of(np.array([1, 0, 1, 0], bool)) == bools(".xx..xx.")).all()


def test_a_functional_token_ends_a_word():
    """A continuation right after CLS, SEP or at the begin of a row is a unit of its own."""
    assert (word_begins(bools("xx.xx"), bools("..x..")) == bools("x..x.")).all()


def test_several_rows_some_empty():
    maskable = bools("... xx. ... .xx")
    units = RowUnits(maskable, maskable)
    assert units.counts.tolist() == [0, 2, 0, 2]
    assert units.first.tolist() == [0, 0, 2, 2]
    assert units.segment_ends().tolist() == [2, 2, 4, 4, 4]
    nothing = RowUnits(bools("..."), bools("..."))
    assert nothing.offsets.tolist() == [0] and nothing.segment_ends().tolist() == [0]
    assert not nothing.tokens_of(np.zeros(1, bool)).any()


def test_literal_spans():
    """A span of 3 over a word's begin, the rest of that word, a span of 1, a span of 2."""
    marks = np.array([[0, 0, 1, 2, 2, 0, 1, 1, 2, 0]], "uint8")
    starts = bools("xxx.x.x.xx")
    assert (span_begins(bools(".xxxxxxxxx"), starts, marks) == bools(".xx..xxx.x")).all()


def test_a_span_that_was_cut_off_begins_with_the_text():
    marks = np.array([[0, 2, 2, 0, 2, 2]], "uint8")
    assert (span_begins(bools(".xx.xx"), bools("xxxxxx"), marks) == bools(".x..x.")).all()


@pytest.mark.parametrize(
    "marks, message", [([0, 1, 0, 2, 0], r"\[0, 2:4\]=\[0, 2\]"), ([0, 1, 3, 0, 0], "up to 3")]
)
def test_malformed_spans(marks, message):
    with pytest.raises(ValueError, match=message):
        span_begins(bools(".xxx."), bools("xxxxx"), np.array([marks], "uint8"))


def test_numbers_go_from_left_to_right():
    numbers = number_units(bools("xx.xx x.x.x"), bools("xx.x. x.x.x"))
    assert numbers.tolist() == [[1, 2, 0, 3, 3], [1, 0, 2, 0, 3]] and numbers.dtype == np.int32
