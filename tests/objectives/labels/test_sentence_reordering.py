"""The numbers of orders: the literal examples, a bijection, itertools as what nobody here wrote."""

import itertools

import numpy as np
import pytest

from keras_plm.objectives.labels.sentence_reordering import SentenceReordering, order_classes


def number(*order, most=3):
    padded = [*order, *range(len(order), most)]
    return order_classes([padded], [len(order)]).tolist()[0]


def test_the_example():
    """The sentences A B C in two parts, which stand as [C] [A B]."""
    assert number(1, 0) == 2
    table = {(0,): 0, (0, 1): 1, (1, 0): 2, (0, 1, 2): 3, (0, 2, 1): 4, (1, 0, 2): 5}
    table |= {(1, 2, 0): 6, (2, 0, 1): 7, (2, 1, 0): 8}
    assert {order: number(*order) for order in table} == table
    assert SentenceReordering(8).classes[2:6] == ("1 0", "0 1 2", "0 2 1", "1 0 2")


@pytest.mark.parametrize("most, classes", [(2, 3), (3, 9), (4, 33), (5, 153)])
def test_a_bijection(most, classes):
    """All orders have all numbers, by the alphabet; that of the text is the first of its length."""
    orders = [o for s in range(1, most + 1) for o in itertools.permutations(range(s))]
    assert [number(*order, most=most) for order in orders] == list(range(classes))
    named = SentenceReordering(8, most).classes
    assert named == tuple(" ".join(map(str, order)) for order in orders)
    firsts = [number(*range(count), most=most) for count in range(1, most + 1)]
    assert firsts == [0, 1, 3, 9, 33][:most]


def test_many_at_once_whatever_stands_behind():
    orders, counts = [[2, 0, 1, 9], [1, 0, 9, 9], [3, 2, 1, 0], [0, 7, 7, 7]], [3, 2, 4, 1]
    found = order_classes(np.array(orders), np.array(counts))
    assert found.tolist() == [7, 2, 32, 0] and found.dtype == np.int32
