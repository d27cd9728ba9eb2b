"""ProjectedLSTM: its bounds and its start; its equality with ELMo is in tests/backbones."""

import numpy as np
import pytest
from keras import ops

from keras_plm.layers import ProjectedLSTM, WeightDropLSTM

TEXT = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
REAL = np.array([[1] * 6, [0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], bool)


def made(**options):
    layer = ProjectedLSTM(5, 5, **options)
    layer.build((None, None, 4))
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape, scale=2))
    return layer


def test_without_bounds_and_with_a_projection_that_is_none_it_is_an_lstm():
    layer = made(cell_clip=None, projection_clip=None)
    layer.projection.assign(np.eye(5))
    other = WeightDropLSTM(5)
    other.build((None, None, 4))
    other.gates.set_weights(layer.gates.get_weights())
    other.recurrent_kernel.assign(layer.recurrent_kernel)
    for one, expected in zip(layer(TEXT, None, REAL), other(TEXT, None, REAL), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(expected), atol=1e-6
        )


def test_bounds():
    free = [np.abs(ops.convert_to_numpy(one)).max() for one in made()(TEXT)]
    assert free[0] > 0.9 and free[2] > 0.7  # within 3 and 3
    bounded = [ops.convert_to_numpy(one) for one in made(cell_clip=0.7, projection_clip=0.9)(TEXT)]
    np.testing.assert_allclose([np.abs(one).max() for one in bounded], [0.9, 0.9, 0.7])


def test_how_it_begins():
    layer = ProjectedLSTM(3, 2)
    layer.build((None, None, 4))
    bias = ops.convert_to_numpy(layer.gates.bias)
    assert bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6  # input, forget, candidate and output


@pytest.mark.parametrize("name", ["cell_clip", "projection_clip"])
def test_bounds_that_are_none(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a number above 0"):
        ProjectedLSTM(3, 2, **{name: 0})
