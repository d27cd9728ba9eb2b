import numpy as np
import pytest
from keras import ops

from keras_plm.ops import summary_row

ROWS = np.arange(2 * 4 * 3, dtype="float32").reshape(2, 4, 3)
PADDED = np.array([[True, True, False, False], [False, False, True, True]])


@pytest.mark.parametrize("where, places", [("first", [0, 2]), ("last", [1, 3])])
def test_real_tokens_on_either_side(where, places):
    found = ops.convert_to_numpy(summary_row(ROWS, PADDED, where))
    np.testing.assert_array_equal(found, ROWS[[0, 1], places])


@pytest.mark.parametrize("where, place", [("first", 0), ("last", 3)])
def test_without_padding_or_without_real_tokens(where, place):
    for mask in (None, np.zeros((2, 4), bool)):
        found = ops.convert_to_numpy(summary_row(ROWS, mask, where))
        np.testing.assert_array_equal(found, ROWS[:, place])


def test_another_place_is_refused():
    with pytest.raises(ValueError, match="'first' or 'last'. Received: where='middle'"):
        summary_row(ROWS, PADDED, "middle")
