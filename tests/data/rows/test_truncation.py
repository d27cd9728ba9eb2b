"""truncation.py: the closed form against the loop that takes one token at a time."""

import itertools

import numpy as np

from keras_plm.data.rows.planned_rows import truncated_lengths


def one_at_a_time(lengths, total):
    lengths = list(lengths)
    while sum(lengths) > total:
        longest = max(range(len(lengths)), key=lambda k: (lengths[k], k))
        lengths[longest] -= 1
    return lengths


def test_the_example():
    assert truncated_lengths([[5, 2, 9]], 12).tolist() == [[5, 2, 5]]
    assert truncated_lengths([[5, 2, 9]], 16).tolist() == [[5, 2, 9]]


def test_it_takes_one_token_at_a_time():
    for number, longest in ((1, 30), (2, 14), (3, 9)):
        lengths = np.array(list(itertools.product(range(longest), repeat=number)))
        for total in (number, 3, 4, 8, 9, 13):
            expected = [one_at_a_time(row, total) for row in lengths]
            assert truncated_lengths(lengths, total).tolist() == expected
