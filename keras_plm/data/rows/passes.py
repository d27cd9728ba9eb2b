"""What a pass over a corpus needs: the order of its documents, and a store of the last two."""

import numpy as np


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


def document_order(corpus, seed, number, training):
    """The documents of a pass, one after the other.

    Args:
        corpus: a `Corpus`.
        seed: int >= 0.
        number: int, of the pass.
        training: whether the documents are shuffled anew in every pass.

    Returns:
        (num_documents,) int, `corpus.documents` in the order of the pass.
    """
    documents = np.asarray(corpus.documents)
    if training:
        documents = np.random.default_rng((seed, 0, number)).permutation(documents)
    return documents
