"""Sentence reordering: in which order do the shuffled parts of a paragraph stand?

A literal example with at most three parts: the sentences A B C in two, [A B] [C], which stand as
[C] [A B]. Part 1 stands first, part 0 second: the order `1 0`.

    token                        CLS  C  A  B  SEP
    y["sentence_reordering"]     2

    class     0    1    2    3      4      5      6      7      8
    order     0    0 1  1 0  0 1 2  0 2 1  1 0 2  1 2 0  2 0 1  2 1 0
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import integer
from keras_plm.objectives.labels.label_objective import PairLabel

MOST_PARTS = 5  # 153 classes


def order_classes(orders, counts):
    """Number the orders of one part, then those of two, and so on; each by the alphabet.

    Args:
        orders: (R, M) int, which part stands at each place; what stands behind the parts of a row
            is not looked at.
        counts: (R,) int, how many parts each row has, 1 to M.

    Returns:
        (R,) int32. The parts in their own order are the first class of their number.

    Source: Lehmer's code (1960): the rank of a permutation.
    """
    orders, counts = np.asarray(orders), np.asarray(counts)
    most = orders.shape[1]
    factorials = np.array([math.factorial(number) for number in range(most + 1)])
    before = np.concatenate([[0], np.cumsum(factorials[1:])])  # orders of fewer parts
    used = np.arange(most) < counts[:, None]  # (R, M)
    later = np.triu(np.ones((most, most), bool), 1) & used[:, None] & used[:, :, None]
    smaller = (later & (orders[:, None] < orders[:, :, None])).sum(axis=2)  # (R, M)
    behind = np.maximum(counts[:, None] - 1 - np.arange(most), 0)
    return (before[counts - 1] + (smaller * factorials[behind]).sum(axis=1)).astype("int32")


@dataclass(frozen=True)
class SentenceReordering(PairLabel):
    """Asks in which order the parts of a paragraph stand, of all orders of up to M parts.

    A paragraph is a row of whole sentences of one document, see "sentence_reordering" in
    `docs/objectives.md`. Its parts stand behind each other in one segment, with nothing between.

    Args:
        sequence_length: T, tokens per row.
        num_parts: M, how many parts there are at most: 2 to 5. There are 3, 9, 33 or 153 classes.

    Source: ERNIE 2.0 (arXiv:1907.12412), section 4.2.2 "Sentence Reordering Task"; which class is
    which order is ours.
    """

    label = "sentence_reordering"
    rows = "sentence_reordering"

    num_parts: integer(2, MOST_PARTS) = 3

    @property
    def classes(self):
        """The orders, such as "1 0"."""
        numbers = range(1, self.num_parts + 1)
        orders = [order for count in numbers for order in itertools.permutations(range(count))]
        return tuple(" ".join(map(str, order)) for order in orders)

    @property
    def row_settings(self):
        """The keyword arguments of the row builder."""
        return {"sequence_length": self.sequence_length, "num_parts": self.num_parts}
