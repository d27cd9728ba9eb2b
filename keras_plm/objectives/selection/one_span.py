"""One run of tokens in each row, or in each block of it: the masking of MASS.

A literal example: `OneSpan(0.5)` of a row of n = 8 tokens; round(0.5 * 8) = 4 of them are taken.

    token     </s>  a   b   c   d   e   f   </s>
    units     0     0   0   1   1   1   1   0        it begins anywhere from 1 to n - 4, here at 3

and `OneSpan(0.5, block_length=3)`: the blocks "a b c", "d e f" and "</s>" lose 1, 1 and 0 tokens.

    units     0     0   1   0   2   0   0   0
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import integer, number
from keras_plm.objectives.selection.row_units import number_units
from keras_plm.objectives.selection.selection import Selection


@dataclass(frozen=True)
class OneSpan(Selection):
    """Selects one run of tokens; the module's docstring shows one row.

    Unlike the other selections it takes functional tokens as well, so that a decoder learns to end;
    but never the first token of a row, which has none before it. Of n tokens with the special ones
    max(1, round(share * n)) are taken, halves to even, n - 1 at most; of each block the whole part
    of share * its length. The run begins behind the first token with the chance `at_start`, ends
    with the last with the chance `at_end`, and else lies anywhere, these places included.

    Where it departs from the released code: that counts by the first row of a batch, and fails of
    a block that loses one token.

    Args:
        share: share of the tokens, in (0, 1].
        at_start: the chance of a run that begins with the row, or block.
        at_end: the chance of one that ends with it.
        block_length: None: the row is one; else how many tokens a block has, counted from the
            second token of the row on, each with a run of its own.

    Raises:
        ValueError: a setting is out of range, or the two chances are more than 1 together.

    Source: MASS (arXiv:1905.02450), sections 3.1 and 4.1; `restricted_mask_sent` and
    `shuffle_segments` of the released `trainer.py`; blocks: `masked_dataset.py` for summaries.
    """

    share: number(above=0, most=1) = 0.5
    at_start: number(0, 1) = 0.2
    at_end: number(0, 1) = 0.2
    block_length: integer(1, none=True) = None

    def __post_init__(self):
        super().__post_init__()
        if self.at_start + self.at_end > 1 + 1e-9:
            raise ValueError(
                "at_start and at_end are chances of the same runs: together at most 1. "
                f"Received: at_start={self.at_start}, at_end={self.at_end}"
            )

    @property
    def batch_names(self):
        """The arrays of the batch that it reads."""
        return ("padding_mask", "functional")

    def draws(self, length):
        """Two for each block: where the run stands, and where else."""
        return 2 * self._blocks(length)

    def predictions(self, length):
        """As many as of a row without padding, which loses the most."""
        lengths = self._block_lengths(np.array([length]), length)
        return max(1, int(self._taken(lengths).sum()))

    def _blocks(self, length):
        """How many blocks a row of `length` tokens has."""
        return 1 if self.block_length is None else max(1, -(-(length - 1) // self.block_length))

    def _block_lengths(self, counts, length):
        """(B, blocks): the tokens of each block, of rows of so many tokens."""
        size = length if self.block_length is None else self.block_length
        left = counts[:, None] - 1 - size * np.arange(self._blocks(length))
        return np.clip(left, 0, size)

    def _taken(self, lengths):
        """How many tokens blocks of these lengths lose."""
        if self.block_length is not None:
            return np.floor(np.round(self.share * lengths, 6)).astype("int64")
        taken = np.maximum(1, np.rint(self.share * (lengths + 1)).astype("int64"))
        return np.minimum(taken, lengths)

    def _select(self, batch, maskable, uniform, most):
        real = batch["padding_mask"]
        length = real.shape[1]
        lengths = self._block_lengths(np.count_nonzero(real, axis=1), length)  # (B, blocks)
        taken = self._taken(lengths)
        taken = np.minimum(taken, np.maximum(most - (np.cumsum(taken, axis=1) - taken), 0))
        where, share = uniform[:, 0::2], uniform[:, 1::2]
        free = lengths - taken
        start = (share * (free + 1)).astype("int64")
        start = np.where(where < self.at_start, 0, start)
        start = np.where(where >= 1 - self.at_end, free, start)
        begin = 1 + np.cumsum(lengths, axis=1) - lengths + start  # places in the row
        steps = np.zeros((len(real), length + 1), "int32")
        rows = np.arange(len(real))[:, None]
        np.add.at(steps, (rows, np.minimum(begin, length)), taken > 0)
        np.add.at(steps, (rows, np.minimum(begin + taken, length)), -1 * (taken > 0))
        first = np.zeros((len(real), length + 1), bool)
        first[np.broadcast_to(rows, begin.shape)[taken > 0], begin[taken > 0]] = True
        place = np.where(real, np.cumsum(real, axis=1) - 1, length)  # of each token in its row
        chosen = np.take_along_axis(np.cumsum(steps, axis=1) > 0, place, axis=1) & real
        return number_units(chosen, np.take_along_axis(first, place, axis=1) & chosen)
