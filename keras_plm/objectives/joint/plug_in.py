"""Plug-ins: objectives about what another one hides, parts of an `ObjectiveSum`.

A literal example: which tokens differ from the text (replaced token detection).

    token             CLS  the  cat     sat  on   mats  SEP
    hidden.token_ids  CLS  the  [MASK]  sat  on   mats  SEP       "mats" is kept
    hidden            positions 2 5 0, tokens cat mats 0, weights 1 1 0, units 1 2 0

    y["replaced"]     0    0    1       0    0    0     0         hidden.token_ids != token_ids
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from keras_plm.objectives.objective import Objective


@dataclass(frozen=True)
class Hidden:
    """What an objective hid; the module's docstring shows one row.

    Args:
        positions: (B, P) int32, ascending; 0 where unused.
        tokens: (B, P) int32, what stood there; 0 where unused.
        weights: (B, P) float32, 1 for a target, 0 where unused.
        units: (B, P) int32, the unit of each (a word, a span), from 1; 0 where unused.
        token_ids: (B, T) int32, the rows as the model reads them.
    """

    positions: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    units: np.ndarray
    token_ids: np.ndarray


@dataclass(frozen=True)
class PlugIn(Objective, ABC):
    """Base of what is asked about hidden tokens besides: it hides nothing and has no rows.

    Rows, T and P are those of the objective of the sum that `tells_hidden`.
    """

    hides = False
    sequence_length = None
    row_settings = {}
    draws_per_row = 0

    @abstractmethod
    def __call__(self, batch, rng, hidden):
        """Make what this part adds to the examples.

        Args:
            batch: dict of the rows as they were before.
            rng: hands out (B, `draws_per_row`) numbers once, as `numpy.random.Generator` does.
            hidden: `Hidden`.

        Returns:
            `(x, y, sample_weight)`, see `Objective`; `x` with the features of this part alone.
        """
