import numpy as np
import pytest
from keras import ops

from keras_plm.layers import LastStates

SEGMENT = np.arange(1.0, 9.0, dtype="float32").reshape(2, 4, 1)  # 1 to 4, and 5 to 8


@pytest.mark.parametrize("length, expected", [(3, [2, 3, 4]), (6, [0, 0, 1, 2, 3, 4])])
def test_a_text_begins_with_zeros_in_front(length, expected):
    memory = ops.convert_to_numpy(LastStates(length)(SEGMENT))
    np.testing.assert_array_equal(memory[0, :, 0], expected)


@pytest.mark.parametrize("number, expected", [(2, [7, 8]), (6, [-1, -1, 5, 6, 7, 8])])
def test_a_memory_keeps_its_own_length(number, expected):
    before = -np.ones((2, number, 1), "float32")
    memory = ops.convert_to_numpy(LastStates(3)(SEGMENT, before))
    np.testing.assert_array_equal(memory[1, :, 0], expected)


def test_flags_are_states_too():
    real = LastStates(3)(np.array([[True, False]]), np.array([[False, True, True]]))
    assert ops.convert_to_numpy(real).tolist() == [[True, True, False]]


def test_no_gradient_goes_into_the_memory(gradient):
    def total(segment):
        return ops.sum(LastStates(3)(segment, segment) + 0 * segment[:, :1])

    assert not gradient(total, SEGMENT).any()
