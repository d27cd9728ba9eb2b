"""The units of rows: tokens, words or given spans, each selected as a whole.

A literal example: one row of 8 tokens, `##` continues a word.

    token        CLS  un  ##do  it  SEP  now  ##adays  PAD
    maskable     -    x   x     x   -    x    x        -
    begins       -    x   -     x   -    x    -        -

    units        "un ##do" at 1, 2 tokens; "it" at 3, 1 token; "now ##adays" at 5, 2 tokens
    segments     the first two stand in one run of maskable tokens, the third in another
"""

from dataclasses import dataclass

import numpy as np


def after_break(maskable):
    """(B, T) bool: maskable tokens at a row's begin or behind a token that is not maskable."""
    first = maskable.copy()
    first[:, 1:] &= ~maskable[:, :-1]
    return first


def word_begins(maskable, word_starts):
    """Says where the words begin; a functional token ends the word before it.

    Args:
        maskable: (B, T) bool.
        word_starts: (B, T) bool, True at the first token of each word.

    Returns:
        (B, T) bool, subset of `maskable`.
    """
    return maskable & word_starts | after_break(maskable)


def span_begins(maskable, word_starts, span_marks):
    """Says where units begin if given spans are units and all words outside of them too.

    A span whose begin was cut off with the text before it begins where the text does; a word of
    which a span took only the first part begins again behind the span.

    Args:
        maskable: (B, T) bool.
        word_starts: (B, T) bool, True at the first token of each word.
        span_marks: (B, T) uint8, 1 at the first token of a span, 2 at its other tokens, else 0.

    Returns:
        (B, T) bool, subset of `maskable`.

    Raises:
        ValueError: a mark is neither 0, 1 nor 2, or a 2 follows the text outside of spans.
    """
    if (span_marks > 2).any():
        raise ValueError(
            "span_marks must be 0 (outside of spans), 1 (first token) or 2 (continues). "
            f"Received: values up to {span_marks.max()}"
        )
    first = after_break(maskable)
    inside = span_marks > 0
    left_span = np.zeros_like(maskable)  # the token before is in a span
    left_span[:, 1:] = inside[:, :-1]
    continued = span_marks == 2
    lost = continued & maskable & ~first & ~left_span
    if lost.any():
        row, position = np.argwhere(lost)[0]
        raise ValueError(
            "A span must begin with the mark 1: a 2 follows a token outside of all spans. "
            f"Received: span_marks[{row}, {position - 1}:{position + 1}]=[0, 2]"
        )
    return maskable & ~continued & (inside | word_starts | left_span) | first


def number_units(selected, begins):
    """Numbers the selected units of each row from left to right.

    Args:
        selected: (B, T) bool.
        begins: (B, T) bool, subset of `selected`, True at the first token of each unit.

    Returns:
        (B, T) int32, 0 where nothing is selected, else 1, 2, ... of the unit.
    """
    return np.cumsum(begins, axis=1, dtype="int32") * selected


@dataclass(frozen=True)
class RowUnits:
    """All units of a block of rows, numbered from 0 on through all the rows.

    Args:
        maskable: (B, T) bool, what may be selected.
        begins: (B, T) bool, subset of `maskable`, the first token of each unit. The first
            maskable token of a row, and each one behind a token that is not, must be one.

    Attributes:
        number: (B * T,) int32, the unit that a token belongs to; for tokens that are not maskable
            that of a unit before, or -1.
        counts: (B,) int64, units per row.
        first: (B,) int64, the number of each row's first unit.
        offsets: (U + 1,) int64, how many maskable tokens lie before each unit, in all rows: unit
            u has `offsets[u + 1] - offsets[u]` tokens.
    """

    maskable: np.ndarray
    begins: np.ndarray

    def __post_init__(self):
        number = np.cumsum(self.begins.ravel(), dtype="int32")
        number -= 1
        counts = np.count_nonzero(self.begins, axis=1)
        values = {
            "number": number,
            "counts": counts,
            "first": np.cumsum(counts) - counts,
            "offsets": np.flatnonzero(np.append(self.begins[self.maskable], True)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def places(self):
        """(U,) int64: the position of the first token of each unit, counted through the rows."""
        return np.flatnonzero(self.begins)

    def segment_ends(self):
        """(U + 1,) int64: for each unit the first unit behind its run of maskable tokens."""
        last = len(self.offsets) - 1
        edges = np.flatnonzero(np.append(after_break(self.maskable)[self.begins], True))
        return np.append(np.repeat(edges[1:], np.diff(edges)), last)

    def tokens_of(self, taken):
        """(B, T) bool: the tokens of the units that `taken` has True; (U + 1,), the last False."""
        return taken[self.number].reshape(self.maskable.shape) & self.maskable
