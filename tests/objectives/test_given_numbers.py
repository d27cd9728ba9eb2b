"""Numbers that were drawn already are handed out row after row."""

import numpy as np
import pytest

from keras_plm.objectives.objective import DrawnNumbers


def test_literal_example():
    uniform = np.arange(6).reshape(3, 2) / 10
    numbers = DrawnNumbers(uniform)
    assert numbers.random((2, 2)).tolist() == [[0.0, 0.1], [0.2, 0.3]]
    assert numbers.random((1, 2)).tolist() == [[0.4, 0.5]]


@pytest.mark.parametrize("shape", [(2, 3), (4, 2), (2,), (6, 1)])
def test_other_shapes(shape):
    with pytest.raises(ValueError, match="There are 3 rows of 2 numbers left. Received"):
        DrawnNumbers(np.zeros((3, 2))).random(shape)
