"""passes.py: the order of documents, and what is made once per pass."""

import pickle

import numpy as np

from keras_plm.data.rows.passes import LastPasses, RowRequest, document_order


class Recorder:
    """Makes a list of what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, number):
        self.asked.append(number)
        return [number]


def test_the_last_two_are_kept():
    make = Recorder()
    passes = LastPasses(make)
    first = passes(0)
    assert passes(0) is first == [0] and passes(1) == [1] and passes(0) is first
    assert make.asked == [0, 1]
    passes(2)
    assert passes(1) == [1] and make.asked == [0, 1, 2]  # 0 made room
    passes(0)
    assert make.asked == [0, 1, 2, 0]


def test_copies_start_empty():
    passes = LastPasses(Recorder())
    passes(3)
    copy = pickle.loads(pickle.dumps(passes))
    assert copy._made == {} and copy(5) == [5]


def test_document_order(make_random_corpus):
    corpus = make_random_corpus(20, documents=[3, 5, 8, 13])
    assert document_order(RowRequest(corpus, 4, 1, training=False), 7).tolist() == [3, 5, 8, 13]
    requests = [RowRequest(corpus, 4, seed) for seed in (0, 1)]
    orders = [document_order(one, number) for one in requests for number in range(9)]
    assert all(sorted(order) == [3, 5, 8, 13] for order in orders)
    assert len({tuple(order) for order in orders}) > 9
    np.testing.assert_array_equal(document_order(RowRequest(corpus, 4), 4), orders[4])
