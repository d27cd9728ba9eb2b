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
