"""The two sides of Denoising: the literal example, bad input."""

import numpy as np
import pytest

from keras_plm.objectives import (
    ALL_MASK,
    CorruptedInput,
    Corruption,
    InfilledInput,
    Rewriting,
    SentinelInput,
    SentinelTarget,
    SpanTarget,
    WholeTarget,
)
from keras_plm.objectives.two_sided.rewriting import SelectedRows

A, B, C, D, E, END, MASK, S0, S1 = 10, 11, 12, 13, 14, 1, 4, 99, 98


def rows():
    """The row of the module's docstring, and padding."""
    units = np.array([[0, 1, 1, 0, 2, 0, 0]])
    return SelectedRows(
        token_ids=np.array([[A, B, C, D, E, END, 0]], "int32"),
        real=np.array([[True] * 6 + [False]]),
        units=units,
        begins=np.array([[0, 1, 0, 0, 1, 0, 0]], bool),
        batch={},
        vocabulary_size=100,
    )


@pytest.mark.parametrize(
    "slot, expected",
    [
        (SentinelInput(S0), [A, S0, D, S1, END]),
        (SentinelTarget(S0), [S0, B, C, S1, E]),
        (InfilledInput(MASK), [A, MASK, D, MASK, END]),
        (WholeTarget(), [A, B, C, D, E, END]),
        (CorruptedInput(MASK, ALL_MASK), [A, MASK, MASK, D, MASK, END]),
        (SpanTarget(), [B, C, E]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_literal_example(slot, expected):
    """The example of the module's docstring."""
    uniform = np.full((1, slot.draws(7)), 0.5)
    made = slot(rows(), uniform)
    assert made["token_ids"][made["keep"]].tolist() == expected
    assert set(made) >= {"keep", "token_ids", *slot.features}
    assert made["keep"].sum() <= slot.longest(7, 3)
    assert Rewriting.from_config(slot.get_config()) == slot


def test_what_stands_beside_the_tokens():
    made = SpanTarget()(rows(), None)
    assert made["inputs"][made["keep"]].tolist() == [A, B, D]
    assert made["position_ids"][made["keep"]].tolist() == [0, 1, 3]
    uniform = np.full((1, 14), 0.99)  # kept
    uniform[0, 2] = 0.1  # C is masked
    made = CorruptedInput(MASK)(rows(), uniform)
    assert made["token_ids"][made["keep"]].tolist() == [A, B, MASK, D, E, END]
    assert made["visible"][made["keep"]].tolist() == [1, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SentinelInput(-1), "`first` must be an integer of at least 0"),
        (lambda: SentinelInput(True), "`first` must be an integer of at least 0"),
        (lambda: SentinelTarget(99, 0), "`number` must be an integer of at least 1"),
        (lambda: SentinelTarget(5, 7), "number must be at most first"),
        (lambda: SentinelInput(99, 1)(rows(), None), "more spans than .*2 spans, number=1"),
        (lambda: CorruptedInput(4, Corruption(random_ids="corpus")), "random_ids must be"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "Received: " in str(error.value)
