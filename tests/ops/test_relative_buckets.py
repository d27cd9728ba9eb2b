import math

import numpy as np
import pytest
from keras import ops

from keras_plm.ops import relative_buckets


def bucket(distance, num_buckets, max_distance):
    """T5's section 2.1, one distance, with the formula of its released code."""
    half = num_buckets // 2
    offset = half if distance > 0 else 0
    distance = abs(distance)
    exact = half // 2
    if distance < exact:
        return offset + distance
    share = math.log(distance / exact) / math.log(max_distance / exact)
    return offset + min(exact + int(share * (half - exact) + 1e-9), half - 1)


@pytest.mark.parametrize("num_buckets, max_distance", [(32, 128), (16, 64), (4, 20)])
def test_every_distance(num_buckets, max_distance):
    keys = np.arange(-200, 201, dtype="int32")[None]
    rows = np.zeros((1, 1), "int32")
    found = ops.convert_to_numpy(relative_buckets(rows, keys, num_buckets, max_distance))
    expected = [bucket(int(key), num_buckets, max_distance) for key in keys[0]]
    np.testing.assert_array_equal(found[0, 0], expected)
    assert found.min() == 0 and found.max() == num_buckets - 1


def test_positions_of_each_row():
    rows = np.array([[3], [0]], "int32")
    keys = np.array([[3, 4, 1], [3, 4, 1]], "int32")
    found = ops.convert_to_numpy(relative_buckets(rows, keys))
    np.testing.assert_array_equal(found, [[[0, 17, 2]], [[19, 20, 17]]])
