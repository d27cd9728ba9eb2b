"""What all rows are made from, the order of a pass's documents, and a store of the last two."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RowRequest:
    """What rows are asked for.

    Args:
        corpus: a `Corpus`.
        batch_size: B, rows per batch.
        seed: int >= 0; all that is drawn depends on it, and on the number of the pass or batch.
        training: whether documents and rows are shuffled, and drawn anew, in every pass.
        bidirectional: whether half of the rows of a batch are read right to left.
    """

    corpus: object
    batch_size: int
    seed: int = 0
    training: bool = True
    bidirectional: bool = False


class LastPasses:
    """What is made once per pass, kept for the last two: threads may work across their edge.

    Copies that go to another process start empty.

    Args:
        make: function from the number of a pass to what the pass needs.
    """

    def __init__(self, make):
        self._make, self._made = make, {}

    def __call__(self, number):
        """Returns what `make` makes of a pass's number."""
        made = self._made
        if number not in made:
            new = self._make(number)
            kept = sorted(made, key=lambda other: abs(other - number))[:1]
            made = self._made = {**{other: made[other] for other in kept}, number: new}
        return made[number]

    def __getstate__(self):
        return {"_make": self._make, "_made": {}}


def document_order(request, number):
    """The documents of a pass, one after the other.

    Args:
        request: `RowRequest`.
        number: int, of the pass.

    Returns:
        (num_documents,) int, `corpus.documents` in the order of the pass.
    """
    documents = np.asarray(request.corpus.documents)
    if request.training:
        documents = np.random.default_rng((request.seed, 0, number)).permutation(documents)
    return documents
