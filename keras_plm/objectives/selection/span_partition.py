"""Spans of random lengths, as many as the rate and the mean length say: T5's span corruption.

A literal example: 20 tokens, `SpanPartition(0.3, 3)`: 6 tokens in 2 spans.

    kept and hidden parts    5 kept, 2 hidden, 9 kept, 4 hidden
    units    0 0 0 0 0  1 1  0 0 0 0 0 0 0 0 0  2 2 2 2
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from keras_plm.checks import number
from keras_plm.objectives.selection.row_units import after_break, number_units
from keras_plm.objectives.selection.selection import Selection


@dataclass(frozen=True)
class SpanPartition(Selection):
    """Cuts the tokens of a row into parts that are kept and hidden by turns.

    Of n tokens without the special ones min(P, clip(round(rate * n), 1, n - 1)) are hidden, halves
    to even, in max(1, round(hidden / mean_length)) spans. The hidden and the kept tokens are each
    cut into as many parts, none empty, every way with the same chance; the first part is kept, the
    last hidden. So a row of one span always loses its end, as in the original. A special token
    within a span makes two of it; a row of less than two tokens keeps them.

    Args:
        rate: share of the tokens, in (0, 1].
        mean_length: number above 0, the mean length of a span.

    Raises:
        ValueError: a setting is out of range.

    Source: T5 (arXiv:1910.10683), section 3.1.4 and appendix; `random_spans_noise_mask` of the
    released code.
    """

    rate: number(above=0, most=1) = 0.15
    mean_length: number(above=0) = 3.0

    @property
    def batch_names(self):
        """The arrays of the batch that it reads."""
        return ("padding_mask", "functional")

    def draws(self, length):
        """One for each gap between hidden tokens, and one for each between kept ones."""
        return 2 * length

    def predictions(self, length):
        """Halves are rounded, so at most half a token more than the rate; never all of them."""
        return max(1, min(length, ceil(self.rate * length)))

    def _select(self, batch, maskable, uniform, most):
        counts = np.count_nonzero(maskable, axis=1)  # (B,)
        hidden, spans = self.sizes(counts, most)
        half = uniform.shape[1] // 2
        kept = _parts(counts - hidden, spans, uniform[:, :half])  # (B, S)
        lengths = np.stack([kept, _parts(hidden, spans, uniform[:, half:])], axis=2)
        lengths = lengths.reshape(len(counts), -1)  # (B, 2 S): kept, hidden, kept, hidden, ...
        ends = np.cumsum(lengths, axis=1)
        steps = np.zeros((len(counts), maskable.shape[1] + 1), "int8")
        rows = np.arange(len(counts))[:, None]
        np.add.at(steps, (rows, ends[:, 0::2]), 1)  # a hidden part begins where a kept one ends
        np.add.at(steps, (rows, ends[:, 1::2]), -1)
        is_hidden = np.cumsum(steps, axis=1) > 0  # by the number of the token
        number = np.cumsum(maskable, axis=1) - 1
        selected = maskable & np.take_along_axis(is_hidden, np.maximum(number, 0), axis=1)
        return number_units(selected, after_break(selected))

    def sizes(self, counts, most):
        """How many tokens are hidden, and in how many spans.

        Args:
            counts: (B,) int, tokens of each row without the special ones.
            most: P, the most that may be hidden.

        Returns:
            (B,) int64 each.
        """
        hidden = np.rint(np.asarray(counts) * self.rate).astype("int64")
        hidden = np.minimum(np.maximum(np.minimum(np.maximum(hidden, 1), counts - 1), 0), most)
        spans = np.maximum(1, np.rint(hidden / self.mean_length).astype("int64"))
        return hidden, np.minimum(np.minimum(spans, hidden), counts - hidden)


def _parts(totals, numbers, uniform):
    """Cuts each total into as many parts, none empty, all ways alike: (B, S), 0 where no part."""
    gaps = np.arange(uniform.shape[1]) < (totals - 1)[:, None]
    order = np.argsort(np.where(gaps, uniform, 2.0), axis=1)
    cuts = np.zeros(uniform.shape, bool)  # whether a part ends behind the token
    chosen = np.arange(uniform.shape[1]) < (numbers - 1)[:, None]
    np.put_along_axis(cuts, order, chosen, axis=1)
    part = np.cumsum(cuts, axis=1) - cuts  # of each token
    most = max(1, int(numbers.max(initial=0)))
    rows, tokens = np.nonzero(np.arange(uniform.shape[1]) < totals[:, None])
    index = rows * most + part[rows, tokens]
    return np.bincount(index, minlength=len(totals) * most).reshape(-1, most)
