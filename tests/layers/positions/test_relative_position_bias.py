import numpy as np
import pytest
from keras import ops

from keras_plm.layers import RelativePositionBias
from keras_plm.ops import relative_buckets

POSITIONS = np.arange(6, dtype="int32")[None]


def test_looks_up_the_bucket_of_each_distance():
    layer = RelativePositionBias(8, 3, max_distance=16)
    rows = np.array([[4, 0], [5, 2]], "int32")
    bias = ops.convert_to_numpy(layer(rows, POSITIONS))
    table = ops.convert_to_numpy(layer.embeddings)
    buckets = ops.convert_to_numpy(relative_buckets(rows, POSITIONS, 8, 16))  # (2, 2, 6)
    np.testing.assert_array_equal(bias, np.moveaxis(table[buckets], -1, 1))


@pytest.mark.parametrize("num_buckets", [2, 7])
def test_an_odd_number_is_refused(num_buckets):
    with pytest.raises(ValueError, match=f"even number of at least 4. Received: {num_buckets}"):
        RelativePositionBias(num_buckets, 2)


def test_in_one_direction_what_lies_ahead_shares_the_bucket_of_the_row():
    """T5's decoder: bucket by how far a key lies behind, 32 buckets up to 128."""
    layer = RelativePositionBias(32, 1, bidirectional=False)
    layer.build()
    layer.embeddings.assign(np.arange(32)[:, None])
    keys = np.arange(301, dtype="int32")[None]
    bias = ops.convert_to_numpy(layer(np.array([[150]], "int32"), keys))[0, 0, 0]
    buckets = {distance: int(bias[150 - distance]) for distance in range(151)}
    expected = {**{distance: distance for distance in range(17)}, 17: 16, 18: 16, 19: 17, 20: 17}
    expected |= {31: 21, 32: 21, 45: 23, 46: 24, 63: 26, 64: 26, 90: 29, 91: 29}
    expected |= {127: 31, 128: 31, 150: 31}
    assert {distance: buckets[distance] for distance in expected} == expected
    assert not bias[150:].any()
