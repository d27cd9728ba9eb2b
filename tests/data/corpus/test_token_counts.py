"""token_counts.py: every token of the documents, and no other."""

import sys

import numpy as np

from keras_plm.data import token_counts


def test_counts_are_those_of_the_documents(make_random_corpus, monkeypatch):
    module = sys.modules["keras_plm.data.corpus.token_counts"]
    monkeypatch.setattr(module, "DOCUMENTS_AT_ONCE", 5)
    for documents in (None, [3, 4, 11], [4, 5]):
        corpus = make_random_corpus(12, documents=documents)
        bounds, expected = corpus.document_offsets, np.zeros(corpus.vocabulary_size, int)
        for document in corpus.documents:
            for token in corpus.token_ids[bounds[document] : bounds[document + 1]]:
                expected[token] += 1
        found = token_counts(corpus)
        assert found.dtype == np.int64 and found.sum() > 0
        np.testing.assert_array_equal(found, expected)
