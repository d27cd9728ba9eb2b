import math

import keras
import numpy as np
import pytest

from keras_plm.layers.activation import gelu_tanh, get_activation

VALUES = np.linspace(-6, 6, 101)


def erf_form(x):
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def tanh_form(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("name, form", [("gelu", erf_form), ("gelu_tanh", tanh_form)])
def test_both_forms_of_gelu(name, form):
    result = keras.ops.convert_to_numpy(get_activation(name)(VALUES.astype("float32")))
    np.testing.assert_allclose(result, [form(x) for x in VALUES], atol=2e-6)


def test_the_forms_are_told_apart():
    """They differ by up to 4.7e-4, more than the tolerance of parity."""
    largest = max(abs(erf_form(x) - tanh_form(x)) for x in VALUES)
    assert 4e-4 < largest < 5e-4


def test_other_names_are_keras_names():
    assert get_activation("relu") is keras.activations.relu
    with pytest.raises(ValueError, match="no_such_activation"):
        get_activation("no_such_activation")

    with pytest.raises(ValueError, match="by its name"):
        get_activation({"module": "keras.layers", "class_name": "ReLU", "config": {}})


def test_survives_serialisation():
    layer = keras.layers.Dense(2, activation=gelu_tanh)
    again = keras.layers.Dense.from_config(layer.get_config())
    assert again.activation is gelu_tanh
