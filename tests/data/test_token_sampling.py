"""token_sampling.py: every token of the documents, and no other, equally often."""

import pickle

import numpy as np

from keras_plm.data.examples import TokenSampler


def test_each_token_once(make_random_corpus):
    for documents in (None, [3, 4, 11]):
        corpus = make_random_corpus(12, documents=documents)
        sampler = TokenSampler(corpus)
        bounds = corpus.document_offsets
        places = [np.arange(bounds[d], bounds[d + 1]) for d in corpus.documents]
        expected = corpus.token_ids[np.concatenate(places)]
        uniform = (np.arange(len(expected)) + 0.5) / len(expected)
        drawn = sampler(uniform[None])
        assert drawn.dtype == np.int32 and drawn.shape == (1, len(expected))
        np.testing.assert_array_equal(drawn[0], expected)
        ends = sampler(np.array([0, np.nextafter(1, 0)]))
        assert ends.tolist() == expected[[0, -1]].tolist()


def test_the_tokens_stay_in_the_corpus(make_random_corpus):
    sampler = TokenSampler(make_random_corpus(12))
    sampler._corpus = None  # which is pickled by its directory
    assert len(pickle.dumps(sampler)) < 1_000
