"""Rows for the tests of the selections, and the slow, plain forms of what they share."""

import numpy as np
import pytest


@pytest.fixture
def make_rows():
    """A function that makes random rows: CLS, text, SEP, text, SEP, padding."""

    def make(rng, num_rows, length, shortest=3, word_share=0.7, given_spans=False):
        real = rng.integers(shortest, length + 1, (num_rows, 1))
        middle = rng.integers(1, np.maximum(real - 1, 2))
        position = np.arange(length)
        padding_mask = position < real
        functional = (position == 0) | (position == middle) | (position >= real - 1)
        starts = rng.random((num_rows, length)) < word_share
        batch = {"padding_mask": padding_mask, "functional": functional}
        batch["word_starts"] = starts | functional
        if given_spans:
            marks = np.zeros((num_rows, length), "uint8")
            marks[(rng.random(marks.shape) < 0.1) & ~functional] = 1
            for i in range(1, length):  # each span goes on with a chance of 0.6
                goes_on = (marks[:, i - 1] > 0) & (marks[:, i] == 0) & ~functional[:, i]
                marks[goes_on & (rng.random(num_rows) < 0.6), i] = 2
            batch["span_marks"] = marks
        return batch

    return make


@pytest.fixture
def random_list():
    """A function that puts 0 to count - 1 in the order that the numbers say, one at a time."""

    def shuffle(count, numbers):
        left, drawn = list(range(count)), []
        for number in numbers[:count]:
            place = int(number * len(left))
            drawn.append(left[place])
            left[place] = left[0]
            del left[0]
        return drawn

    return shuffle


@pytest.fixture
def list_units():
    """A function that lists the units of one row as lists of positions, token by token."""

    def list_row(row, unit):
        units, in_span, after_break = [], False, True
        for i in range(len(row["functional"])):
            if row["functional"][i] or not row["padding_mask"][i]:
                in_span, after_break = False, True
                continue
            mark = row["span_marks"][i] if unit == "span" else 0
            if unit == "token" or after_break or mark == 1:
                begins = True
            elif mark == 2:
                begins = False
            else:
                begins = bool(row["word_starts"][i]) or in_span
            if begins:
                units.append([])
            units[-1].append(i)
            in_span, after_break = mark > 0, False
        return units

    return list_row


@pytest.fixture
def check_units():
    """A function that checks what holds for the units of every selection."""

    def check(batch, units, most):
        maskable = batch["padding_mask"] & ~batch["functional"]
        assert units.shape == maskable.shape and units.dtype == np.int32
        assert not units[~maskable].any()
        assert (np.count_nonzero(units, axis=1) <= most).all()
        for row in units.tolist():  # 1, 2, ... from left to right, each in one run
            runs = [n for i, n in enumerate(row) if n and (i == 0 or row[i - 1] != n)]
            assert runs == list(range(1, len(runs) + 1))

    return check
