"""Spans of words of Poisson lengths, some of which are empty: BART's infilling.

A literal example: `PoissonSelection(0.3)` of W = 7 words; ceil(0.3 * 7) = 3 words are to be hidden.

    token     <s>  The  cat  sat  .  It  ran  .  </s>
    words     -    0    1    2    3  4   5    6  -

    lengths drawn    2, 0, 1                   until they are 3 together
    words drawn      "cat", "ran"              one for each that is not 0

    units     0    0    1    1    0  0   2    0  0         and one empty span
"""

from dataclasses import dataclass
from math import ceil, exp, log

import numpy as np

from keras_plm.checks import number
from keras_plm.objectives.selection.random_order import random_order
from keras_plm.objectives.selection.row_units import RowUnits, number_units, word_begins
from keras_plm.objectives.selection.selection import Selection

LONGEST = 128  # words that a span is long at most, as released


@dataclass(frozen=True)
class PoissonSelection(Selection):
    """Selects spans of whole words; the module's docstring shows one row.

    Lengths are drawn until they are ceil(share * W) together, W the words of the row; the last is
    cut so that they are that exactly. Each span that is not empty begins with another word, all
    alike, ends with its length, the text or a functional token, and may run over the begin of
    another: then both are one, and fewer words are hidden. Spans that only touch are two.

    Args:
        share: share of the words, between 0 and 1.
        mean_length: lambda of the lengths, in words; None: all spans are one word.

    Raises:
        ValueError: a setting is out of range.

    Source: BART (arXiv:1910.13461), section 2.2 (lambda 3), and `add_whole_word_mask` of the
    released `denoising_dataset.py` (3.5).
    """

    share: number(0, 1) = 0.3
    mean_length: number(above=0, most=30, none=True) = 3.5

    def draws(self, length):
        """For each span that is not empty its length, the empty ones before it, and its word."""
        return 3 * self._most_spans(length)

    def predictions(self, length):
        """Words may be of any length."""
        return length if self.share else 0

    def _most_spans(self, length):
        return ceil(round(self.share * length, 6))

    def empty_spans(self, batch, uniform):
        """How many spans are empty, (B,); see `Selection`."""
        maskable = batch["padding_mask"] & ~batch["functional"]
        counts = np.count_nonzero(word_begins(maskable, batch["word_starts"]), axis=1)
        lengths, empty = self._spans(counts, uniform)
        return np.where(lengths > 0, empty, 0).sum(axis=1)

    def _spans(self, counts, uniform):
        """Lengths (B, S), 0 behind the last span, and how many empty ones stand before each."""
        goal = np.ceil(np.round(self.share * counts, 6)).astype("int64")[:, None]
        most = uniform.shape[1] // 3
        if self.mean_length is None:
            lengths = np.ones((len(counts), most), "int64")
            empty = np.zeros_like(lengths)
        else:
            # a length that is 0 with p, in two: how many 0 come first, and one that is not
            lengths = 1 + np.searchsorted(self._limits(), uniform[:, :most], side="right")
            empty = np.log1p(-uniform[:, most : 2 * most]) / -self.mean_length
            empty = empty.astype("int64")
        before = np.cumsum(lengths, axis=1) - lengths
        return np.clip(goal - before, 0, lengths), empty

    def _limits(self):
        """The chances of a length of at most 1, 2, ..., given that it is not 0."""
        number = np.arange(1, LONGEST + 1)
        logs = number * log(self.mean_length) - np.cumsum(np.log(number))
        chances = np.exp(logs - self.mean_length) / (1 - exp(-self.mean_length))
        return np.cumsum(chances / chances.sum())[:-1]

    def _select(self, batch, maskable, uniform, most):
        words = RowUnits(maskable, word_begins(maskable, batch["word_starts"]))
        lengths, _ = self._spans(words.counts, uniform)
        ends = words.segment_ends()
        begins = np.zeros(len(words.offsets), bool)
        steps = np.zeros(len(words.offsets) + 1, "int64")  # where words are run over
        for slots, drawn in random_order(words.counts, uniform[:, 2 * uniform.shape[1] // 3 :]):
            size = lengths[:, slots].T  # (steps, B)
            used = size > 0
            word = (words.first + np.maximum(drawn, 0))[used]
            begins[word] = True
            end = np.minimum(word + size[used], ends[word])
            np.add.at(steps, word + 1, 1)
            np.add.at(steps, end, -1)
            if not used.any():
                break
        over = np.cumsum(steps)[:-1] > 0
        selected = words.tokens_of(begins | over)
        selected &= np.cumsum(selected, axis=1) <= most
        first = words.begins & words.tokens_of(begins & ~over)
        return number_units(selected, first & selected)
