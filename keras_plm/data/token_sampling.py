"""Tokens drawn from a corpus: a vocabulary's unigram distribution without counting."""

import numpy as np


class TokenSampler:
    """Draws tokens of a corpus's documents uniformly.

    Args:
        corpus: a `Corpus`, or a part of one, whose documents alone are drawn from.
    """

    def __init__(self, corpus):
        documents = np.asarray(corpus.documents)
        offsets = np.asarray(corpus.document_offsets)
        begins, ends = offsets[documents], offsets[documents + 1]
        self._corpus = corpus
        self._stops = np.cumsum(ends - begins)  # tokens up to the end of each document
        self._shifts = ends - self._stops

    def __call__(self, uniform):
        """Turns uniform random numbers into tokens.

        Args:
            uniform: array of any shape, in [0, 1).

        Returns:
            int32 array of the same shape: token ids.
        """
        number = (uniform * self._stops[-1]).astype("int64")
        document = np.searchsorted(self._stops, number, side="right")
        token_ids = np.asarray(self._corpus.token_ids)  # a plain view: memmap's indexing is slow
        return token_ids[number + self._shifts[document]].astype("int32")
