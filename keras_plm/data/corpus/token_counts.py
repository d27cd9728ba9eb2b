"""How often each token of the vocabulary is in a corpus."""

import numpy as np

DOCUMENTS_AT_ONCE = 1_000


def token_counts(corpus):
    """Count the tokens of a corpus's documents.

    Args:
        corpus: a `Corpus`, or a part of one, whose documents alone are counted.

    Returns:
        (V,) int64: how often each token of the vocabulary occurs.
    """
    offsets, token_ids = np.asarray(corpus.document_offsets), np.asarray(corpus.token_ids)
    is_part = np.zeros(len(offsets) - 1, bool)
    is_part[np.asarray(corpus.documents)] = True
    counts = np.zeros(corpus.vocabulary_size, "int64")
    for first in range(0, len(is_part), DOCUMENTS_AT_ONCE):
        bounds = offsets[first : first + DOCUMENTS_AT_ONCE + 1]
        own = np.repeat(is_part[first : first + DOCUMENTS_AT_ONCE], np.diff(bounds))
        counts += np.bincount(token_ids[bounds[0] : bounds[-1]][own], minlength=len(counts))
    return counts
