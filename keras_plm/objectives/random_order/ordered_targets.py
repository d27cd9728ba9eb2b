"""The targets of rows in the order in which they are predicted.

A literal example: "cat" and "mats" are selected and masked; "mats" comes first.

    position     0    1    2    3    4     5
    token        CLS  the  cat  on   mats  SEP
    order        0    0    2    0    1     0

    positions    4       2       0        slot i is the token predicted as number i
    tokens       mats    cat     0
    corrupted    [MASK]  [MASK]  0
    weights      1       1       0
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.objectives.objective import DrawnNumbers


@dataclass(frozen=True)
class OrderedTargets:
    """Targets by the step at which they are predicted; the module's docstring shows one row.

    Args:
        positions: (B, P) int32; slot i is predicted as number i. Unused slots are 0, at the end.
        tokens: (B, P) int32, what is to be predicted; 0 where unused.
        corrupted: (B, P) int32, what stands in its place; 0 where unused.
        weights: (B, P) float32, 1 for a target, 0 where unused.
    """

    positions: np.ndarray
    tokens: np.ndarray
    corrupted: np.ndarray
    weights: np.ndarray

    def order(self, length):
        """Returns the order of all tokens, (B, T) int32: i + 1 for target i, 0 for the others.

        Args:
            length: T.
        """
        order = np.zeros((len(self.positions), length), "int32")
        rows, slots = np.nonzero(self.weights)
        order[rows, self.positions[rows, slots]] = slots + 1
        return order


def draw_targets(masking, batch, rng):
    """Lets a masked objective select and corrupt, and draws the order of what it selected.

    All orders of the targets of a row are equally likely.

    Args:
        masking: `MaskedModeling`.
        batch: what it takes.
        rng: `numpy.random.Generator`; each row takes the numbers of `masking` and then P.

    Returns:
        `OrderedTargets`.

    Raises:
        ValueError: the batch does not fit the masking.
    """
    own, slots = masking.draws_per_row, masking.num_predict
    uniform = rng.random((len(batch["token_ids"]), own + slots))
    x, y, sample_weight = masking(batch, DrawnNumbers(uniform[:, :own]))
    positions, weights = x["target_positions"], sample_weight["tokens"]
    used = weights > 0
    corrupted = np.where(used, np.take_along_axis(x["token_ids"], positions, axis=1), 0)
    place = np.argsort(np.where(used, uniform[:, own:], 2.0), axis=1)  # unused ones last
    arrays = (positions, y["tokens"], corrupted)
    return OrderedTargets(*(np.take_along_axis(one, place, axis=1) for one in arrays), weights)
