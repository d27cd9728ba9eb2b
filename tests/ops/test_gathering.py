import numpy as np
import pytest
from keras import ops

from keras_plm.ops import gather_rows


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (2, 5, 2, 3)])
def test_takes_the_rows_of_each_example(shape):
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    positions = np.array([[4, 0, 0], [1, 3, 4]])
    result = ops.convert_to_numpy(gather_rows(values, positions))
    expected = np.stack([values[0][[4, 0, 0]], values[1][[1, 3, 4]]])
    np.testing.assert_array_equal(result, expected)


def test_keeps_integers():
    result = gather_rows(np.array([[7, 8, 9]], "int32"), np.array([[2]], "int32"))
    assert ops.convert_to_numpy(result).dtype == np.int32 and int(result[0, 0]) == 9


@pytest.mark.parametrize("jit", [False, True])
def test_gradient_adds_up_over_repeated_rows(jit, gradient):
    values = np.ones((1, 3, 2), "float32")
    positions = np.array([[1, 1, 2]], "int32")
    result = gradient(lambda rows: ops.sum(gather_rows(rows, positions)), values, jit=jit)
    np.testing.assert_array_equal(result, [[[0, 0], [2, 2], [1, 1]]])
