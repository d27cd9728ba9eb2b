"""What a selection is: it says which tokens of a row are hidden, and which of them together."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from keras_plm.checks import check_integer, check_number
from keras_plm.objectives.settings import Settings

ROWS_AT_ONCE = 256  # enough that numpy's calls do not count, few enough for the caches


@dataclass(frozen=True)
class Selection(Settings, ABC):
    """Base of all selections: a frozen dataclass of settings, called on ready rows.

    One of your own says how many random numbers a row takes (`draws`), which tokens are selected
    (`_select`) and, unless it has a `rate`, how many at most (`predictions`).

    Functional tokens (CLS, SEP, ...) and padding are never selected, and a unit never reaches
    over one (but see `OneSpan`). A row without any other token selects nothing. Row b depends on
    row b of the batch and of the random numbers only, so a shard of a batch is exactly a slice of
    the whole batch.

    Raises:
        ValueError: there is a rate, and it is not in (0, 1].
    """

    kind: ClassVar[str] = "selection"

    def __post_init__(self):
        super().__post_init__()
        if hasattr(self, "rate"):  # of a user's own, which may not declare it
            check_number("rate", self.rate, above=0, most=1)

    @property
    def batch_names(self):
        """The arrays of the batch that it reads, a tuple of strings."""
        return ("padding_mask", "functional", "word_starts")

    @abstractmethod
    def draws(self, length):
        """How many uniform random numbers a row of `length` tokens takes."""

    def predictions(self, length):
        """How many slots P a row of `length` tokens needs for all that is selected."""
        rate = getattr(self, "rate", 1)
        return max(1, min(length, ceil(round(rate * length, 6))))

    def __call__(self, batch, uniform, most):
        """Selects tokens of each row.

        Args:
            batch: dict with the (B, T) arrays `batch_names`.
            uniform: (B, `draws(T)`) float in [0, 1): all random numbers of the rows.
            most: P, how many tokens a row may select at most; at least 0.

        Returns:
            (B, T) int32: 0 where nothing is selected, else the number of the unit that the token
            was selected with. The units of a row are numbered 1, 2, ... from left to right.

        Raises:
            ValueError: an array is missing or has another shape or dtype, or `most` is negative.
        """
        arrays = self._check(batch, uniform, most)
        units = np.empty(arrays["functional"].shape, "int32")
        for start in range(0, len(units), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            block = {name: values[rows] for name, values in arrays.items()}
            maskable = block["padding_mask"] & ~block["functional"]
            units[rows] = self._select(block, maskable, uniform[rows], most)
        return units

    def empty_spans(self, batch, uniform):
        """How many spans of no token each row has, for those who write something there.

        Args:
            batch, uniform: see `__call__`.

        Returns:
            (B,) int, or None: none has any.
        """
        return None

    @abstractmethod
    def _select(self, batch, maskable, uniform, most):
        """The units (B, T) of a block of rows; `maskable` (B, T) bool is what may be selected."""

    def _check(self, batch, uniform, most):
        """The arrays that are read, each with the right shape and dtype."""
        missing = [name for name in self.batch_names if name not in batch]
        if missing:
            hint = ""
            if "span_marks" in missing:
                hint = " A corpus has span_marks if it is built with `find_spans`."
            raise ValueError(
                f"{type(self).__name__} needs {', '.join(missing)} in the batch.{hint} "
                f"Received: {sorted(batch)}"
            )
        arrays = {name: np.asarray(batch[name]) for name in self.batch_names}
        shape = arrays["functional"].shape
        for name, values in arrays.items():
            dtype = "uint8" if name == "span_marks" else "bool"
            if values.shape != shape or len(shape) != 2 or values.dtype != dtype:
                raise ValueError(
                    f"{name} must be (B, T) {dtype}, T as in functional. Received: "
                    f"{name} {values.shape} {values.dtype}, functional {shape}"
                )
        expected = (shape[0], self.draws(shape[1]))
        if uniform.shape != expected:
            raise ValueError(
                f"uniform must have the shape (B, draws(T)) = {expected}. "
                f"Received: uniform.shape={uniform.shape}"
            )
        check_integer("most", most, 0)
        return arrays


def exact_count(padding_mask, rate, most):
    """BERT's count of tokens to select: `min(P, max(1, round(rate * n)))`, halves to even.

    Args:
        padding_mask: (B, T) bool; its n real tokens per row include the special ones.
        rate: share of the tokens.
        most: P.

    Returns:
        (B,) int64.

    Source: BERT (arXiv:1810.04805), `create_masked_lm_predictions` of the released code.
    """
    rounded = np.rint(np.count_nonzero(padding_mask, axis=1) * rate).astype("int64")
    return np.minimum(np.maximum(rounded, 1), most)
