"""Other orders of a text's tokens: choices for `arrange` of `Denoising`.

A literal example, `.` the full stop; what stands around the text never moves.

    token                               <s>  a    b  .  c  .    d  e  </s>
    SentencePermutation, order 2 0 1    <s>  d    e  a  b  .    c  .  </s>
    LocalShuffle(1)                     <s>  b    a  .  .  c    d  e  </s>
    rotated by 3                        <s>  c    .  d  e  a    b  .  </s>
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from keras_plm.checks import integer, integers, number
from keras_plm.objectives.settings import Settings


@dataclass(frozen=True)
class Arrangement(Settings, ABC):
    """Base of the orders in which a row's tokens may be put before some of them are selected."""

    kind: ClassVar[str] = "arrangement"

    @abstractmethod
    def draws(self, length):
        """How many uniform random numbers a row of `length` tokens takes."""

    @abstractmethod
    def __call__(self, token_ids, inner, uniform):
        """Says which token comes to each place.

        Args:
            token_ids: (B, T) int32.
            inner: (B, T) bool, one run in each row: what may move.
            uniform: (B, `draws(T)`) float in [0, 1).

        Returns:
            (B, T) int: the position of the token that comes to each place; a permutation of each
            row, which leaves what is not `inner` where it is.
        """


def inner_tokens(real, functional):
    """Returns (B, T) bool: all between the first and the last token that is not functional.

    Args:
        real: (B, T) bool, no padding.
        functional: (B, T) bool, tokens that are no text.
    """
    text = real & ~functional
    before = np.logical_or.accumulate(text, axis=1)  # a token of the text is here or before
    behind = np.logical_or.accumulate(text[:, ::-1], axis=1)[:, ::-1]
    return before & behind


def _sorted_inner(keys, inner):
    """The order of ascending keys (B, T), which are at least 0, among the inner tokens alone."""
    behind = ~inner & np.logical_or.accumulate(inner, axis=1)
    keys = np.where(inner, keys, np.where(behind, np.inf, -1.0))
    return np.argsort(keys, axis=1, kind="stable")


@dataclass(frozen=True)
class SentencePermutation(Arrangement):
    """Puts the sentences of a row in random order (BART).

    A sentence ends with a full stop whose predecessor is none, and with the last token of the
    text; what a row has behind its last end stays there. ceil(share * S) of the S sentences, chosen
    at random, change places among each other.

    Args:
        end_token_ids: ids of the full stops, at least one.
        share: share of the sentences, between 0 and 1.

    Raises:
        ValueError: a setting is out of range.

    Source: BART (arXiv:1910.13461), section 2.2; `permute_sentences` of the released
    `denoising_dataset.py`.
    """

    end_token_ids: integers(0)
    share: number(0, 1) = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not self.end_token_ids:
            raise ValueError(
                "end_token_ids must have the id of a full stop at least. Received: end_token_ids=()"
            )

    def draws(self, length):
        """Two for each sentence, of which there are no more than tokens."""
        return 2 * length

    def __call__(self, token_ids, inner, uniform):
        """See `Arrangement`."""
        num_rows, length = token_ids.shape
        stops = inner & np.isin(token_ids, self.end_token_ids)
        stops[:, :-1] |= inner[:, :-1] & ~inner[:, 1:]  # the text's last token
        stops[:, -1] |= inner[:, -1]
        ends = stops.copy()
        ends[:, 1:] &= ~stops[:, :-1]
        sentence = np.cumsum(ends, axis=1) - ends  # of each token; of those behind the last end S
        counts = np.count_nonzero(ends, axis=1)[:, None]  # (B, 1), S
        number = np.arange(length)
        keys = np.where(number < counts, uniform[:, :length], 2.0)
        rank = np.argsort(np.argsort(keys, axis=1), axis=1)
        moving = rank < [[ceil(round(float(self.share * one), 6))] for one in counts[:, 0]]
        moving &= number < counts
        # the n-th of the moving places takes the n-th of the moving sentences in random order
        shuffled = np.argsort(np.where(moving, uniform[:, length:], 2.0), axis=1)
        rows, places = np.nonzero(moving)
        nth = np.cumsum(moving, axis=1)[rows, places] - 1
        place = np.tile(np.arange(length + 1), (num_rows, 1))  # of each sentence
        place[rows, shuffled[rows, nth]] = places
        return _sorted_inner(np.take_along_axis(place, sentence, axis=1), inner)


@dataclass(frozen=True)
class LocalShuffle(Arrangement):
    """Shuffles a row's tokens so that none moves by more than a few places.

    Tokens are sorted by i + U(0, distance + 1), i their position.

    Args:
        distance: k, the most places that a token moves.

    Raises:
        ValueError: a setting is out of range.

    Source: Lample et al. (arXiv:1711.00043), section 2.3. The released `word_shuffle` of XLM and
    MASS counts otherwise: its 3 is a distance of 2.
    """

    distance: integer(0) = 3

    def draws(self, length):
        """One for each token."""
        return length

    def __call__(self, token_ids, inner, uniform):
        """See `Arrangement`."""
        keys = np.arange(token_ids.shape[1]) + uniform * (self.distance + 1)
        return _sorted_inner(keys, inner)


def rotation(inner, rate, uniform):
    """Turns the inner tokens of some rows: each begins with one of them, or as it did.

    Args:
        inner: (B, N) bool, one run in each row.
        rate: the chance that a row is turned.
        uniform: (B, 2) float in [0, 1): whether, and by how much.

    Returns:
        (B, N) int: the position of the token that comes to each place.

    Source: BART (arXiv:1910.13461), section 2.2; `add_rolling_noise` of the released
    `denoising_dataset.py`, whose offset of n - 1 turns nothing, as that of 1.
    """
    counts = np.count_nonzero(inner, axis=1)  # (B,)
    offset = np.where(uniform[:, 0] < rate, (uniform[:, 1] * (counts + 1)).astype("int64"), 0)
    number = np.cumsum(inner, axis=1) - 1
    keys = (number - offset[:, None]) % np.maximum(counts, 1)[:, None]
    return _sorted_inner(keys, inner)
