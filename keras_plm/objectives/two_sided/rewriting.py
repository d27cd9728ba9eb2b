"""What one side of a denoised row becomes: choices for the input and the target of `Denoising`.

A literal example: "b c" and "e" are selected; S0 and S1 are the sentinels 99 and 98, M the mask.

    token                 a   b   c   d   e   </s>
    units                 0   1   1   0   2   0

    SentinelInput(99)     a   S0  d   S1  </s>           T5's input
    SentinelTarget(99)    S0  b   c   S1  e              T5's target
    InfilledInput(M)      a   M   d   M   </s>           BART's input, in `noising`
    WholeTarget()         a   b   c   d   e   </s>       BART's target
    CorruptedInput(M)     a   M   M   d   M   </s>       MASS's input, with ALL_MASK
    SpanTarget()          b   c   e                      MASS's target; read from a b d
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from keras_plm.checks import flag, integer, integers, kind
from keras_plm.objectives.corruption import Corruption
from keras_plm.objectives.settings import Settings


@dataclass(frozen=True)
class SelectedRows:
    """Rows of which some tokens are selected.

    Args:
        token_ids: (B, T) int32, in the order of `arrange`.
        real: (B, T) bool, no padding.
        units: (B, T) int, the run of selected tokens that each belongs to, from 1; 0 for others.
        begins: (B, T) bool, the first token of each run.
        batch: dict of all arrays of the rows, in the order of `arrange`.
        vocabulary_size: V.
        functional: (B, T) bool, tokens that are no text.
        spans: (B, T) int, as `units`, but runs that touch are two where the selection says so.
        empty_spans: (B,) int, how many spans have no token, or None: none has.
        whole: (B, T) int32, the tokens in the order of the text; None: that is their order.
        start_token_id: what a decoder reads first.
    """

    token_ids: np.ndarray
    real: np.ndarray
    units: np.ndarray
    begins: np.ndarray
    batch: dict
    vocabulary_size: int
    functional: np.ndarray | None = None
    spans: np.ndarray | None = None
    empty_spans: np.ndarray | None = None
    whole: np.ndarray | None = None
    start_token_id: int | None = None


@dataclass(frozen=True)
class Rewriting(Settings, ABC):
    """Base of these choices: says what stands on one side, in the order of the text.

    A call returns arrays (B, W) of any width W, of which `keep` says what is there: W may be T, or
    2 T where something may stand before each token (`before_each`), or another order of the text.

    Attributes:
        features: tuple of str. What it gives beside `token_ids`, such as "position_ids". A target
            may give "inputs" (not listed), what the decoder reads; else it reads the start and
            all but the last of the target. A row of which nothing is asked for reads the start.
    """

    kind: ClassVar[str] = "rewriting"
    features: ClassVar[tuple] = ()

    def draws(self, length):
        """How many uniform random numbers a row of `length` tokens takes."""
        return 0

    @abstractmethod
    def longest(self, length, most):
        """How many tokens it gives at most, of rows of `length` of which `most` are selected."""

    @abstractmethod
    def __call__(self, rows, uniform):
        """Rewrites rows.

        Args:
            rows: `SelectedRows`.
            uniform: (B, `draws(T)`) float in [0, 1).

        Returns:
            dict of (B, W) arrays: keep bool, token_ids int32, and the `features`.
        """


def before_each(first, second):
    """Puts one array's elements before those of another: (B, 2 T) of (B, T) and (B, T)."""
    return np.stack([first, second], axis=2).reshape(len(first), -1)


@dataclass(frozen=True)
class _Sentinels(Rewriting, ABC):
    """Base of both sides with sentinels, which count down.

    Args:
        first: id of the first sentinel, V - 1 in T5.
        number: how many there are.

    Raises:
        ValueError: a setting is out of range, or from a call, a row has more spans than sentinels.
    """

    first: integer(0)
    number: integer(1) = 100

    def __post_init__(self):
        super().__post_init__()
        if self.number > self.first + 1:
            raise ValueError(
                "number must be at most first + 1: sentinels count down to 0. Received: "
                f"first={self.first}, number={self.number}"
            )

    def _ids(self, units):
        """The sentinel of each unit."""
        if units.max(initial=0) > self.number:
            raise ValueError(
                "A row has more spans than there are sentinels: shorten the rows, or select fewer "
                f"or longer spans. Received: {units.max()} spans, number={self.number}"
            )
        return (self.first + 1 - units).astype("int32")


@dataclass(frozen=True)
class SentinelInput(_Sentinels):
    """T5's input: each span becomes its sentinel. Source: T5, arXiv:1910.10683, section 3.1.4."""

    def longest(self, length, most):
        """Never longer than the row."""
        return length

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        token_ids = np.where(rows.begins, self._ids(rows.units), rows.token_ids)
        return {"keep": rows.real & ((rows.units == 0) | rows.begins), "token_ids": token_ids}


@dataclass(frozen=True)
class SentinelTarget(_Sentinels):
    """T5's target: each span behind its sentinel. Source: T5, arXiv:1910.10683, section 3.1.4."""

    def longest(self, length, most):
        """Each token behind a sentinel of its own."""
        return 2 * most

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        return {
            "keep": before_each(rows.begins, rows.units > 0),
            "token_ids": before_each(self._ids(rows.units), rows.token_ids),
        }


@dataclass(frozen=True)
class CorruptedInput(Rewriting):
    """MASS's input: selected tokens are replaced one by one.

    Args:
        mask_token_id: id of the mask.
        corrupt: `Corruption`, whose random tokens do not come from the corpus.
        special_token_ids: ids that "ordinary" random tokens never are.
        closed: whether the decoder does not see what has become a mask, as in MASS for translation:
            the feature `source_visible` says so. It does in MASS for summaries.

    Source: MASS, arXiv:1905.02450, section 3.1; `mass_step` of the released `trainer.py`, and for
    summaries `masked_dataset.py`.
    """

    mask_token_id: integer(0)
    corrupt: kind(Corruption) = field(default_factory=Corruption)
    special_token_ids: integers(0) = ()
    closed: flag() = True

    def __post_init__(self):
        super().__post_init__()
        if self.corrupt.random_ids == "corpus":
            raise ValueError(
                'random_ids must be "ordinary" or "vocabulary" here. Received: '
                f"corrupt={self.corrupt}"
            )

    @property
    def features(self):
        """What it gives beside `token_ids`."""
        return ("visible",) if self.closed else ()

    def draws(self, length):
        """Two per token: what it becomes, and which random one."""
        return 2 * length

    def longest(self, length, most):
        """As long as the row."""
        return length

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        ids, mask = rows.token_ids, self.mask_token_id
        settings = rows.vocabulary_size, mask, self.special_token_ids
        corrupted = self.corrupt(ids, rows.units, uniform, *settings)
        token_ids = np.where(rows.units > 0, corrupted, ids)
        written = {"keep": rows.real, "token_ids": token_ids, "visible": token_ids != mask}
        return {name: written[name] for name in ("keep", "token_ids", *self.features)}


@dataclass(frozen=True)
class SpanTarget(Rewriting):
    """MASS's target: the selected tokens, each read from the token before it in the text.

    The first token of a row is read from the start.

    Source: MASS, arXiv:1905.02450, section 3.1: `position_ids` are those of what is read.
    """

    features: ClassVar[tuple] = ("position_ids",)

    def longest(self, length, most):
        """All that is selected."""
        return most

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        place = np.cumsum(rows.real, axis=1) - 1  # in the row, wherever its padding stands
        before = np.maximum(np.arange(rows.token_ids.shape[1]) - 1, 0)
        start = np.int32(rows.start_token_id or 0)
        return {
            "keep": rows.units > 0,
            "token_ids": rows.token_ids,
            "inputs": np.where(place > 0, rows.token_ids[:, before], start),
            "position_ids": np.maximum(place - 1, 0),
        }


@dataclass(frozen=True)
class WholeTarget(Rewriting):
    """BART's target: the row as it was, whatever the order of the input.

    A row that begins with the token that the decoder reads first does not ask for it again.
    """

    def longest(self, length, most):
        """As long as the row."""
        return length

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        token_ids = rows.token_ids if rows.whole is None else rows.whole
        keep = rows.real.copy()
        first = rows.real & (np.cumsum(rows.real, axis=1) == 1)
        if rows.start_token_id is not None and rows.functional is not None:
            keep &= ~(first & rows.functional & (token_ids == rows.start_token_id))
        return {"keep": keep, "token_ids": token_ids}
