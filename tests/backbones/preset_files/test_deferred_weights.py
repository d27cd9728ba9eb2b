import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights


def make():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    )


def values(model):
    return [np.array(ops.convert_to_numpy(one.value)) for one in model.variables]


def test_what_is_not_given_is_drawn_as_without_deferring():
    """With the same seeds: also of the layers that are made afterwards."""
    keras.utils.set_random_seed(7)
    expected = [*values(make()), *values(make())]
    keras.utils.set_random_seed(7)
    weights = DeferredWeights()
    with weights.building():
        first = make()
    second = make()
    weights.fill()
    for found, value in zip([*values(first), *values(second)], expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_what_is_given_is_read_once_and_the_largest_first():
    weights, read = DeferredWeights(), []
    with weights.building():
        model = make()
    kernel, bias = model.layers[0].weights
    assert tuple(kernel.shape) == (3, 4)

    def give(variable, value):
        weights.give(variable, lambda: read.append(variable.path) or value)

    give(bias, np.arange(4.0))
    give(kernel, np.arange(12.0).reshape(3, 4))
    assert not read
    weights.fill()
    weights.fill()
    assert read == [kernel.path, bias.path]
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel.value), np.arange(12).reshape(3, 4))
    give(bias, np.ones(4))  # it has a value already
    weights.fill()
    np.testing.assert_array_equal(ops.convert_to_numpy(bias.value), np.ones(4))
    assert model(np.ones((1, 3))).shape == (1, 2)


def test_an_error_leaves_nothing_that_waits():
    weights = DeferredWeights()
    with pytest.raises(KeyError), weights.building():
        keras.layers.Dense(10**6).build((None, 10**9))  # 4 PB
        raise KeyError
    with keras.StatelessScope():
        pass  # Keras draws here what waits
    weights.fill()


class Counter(keras.layers.Layer):
    """Its constructor assigns a value."""

    def __init__(self):
        super().__init__()
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.count.assign(3.0)


def test_what_a_constructor_assigns_stays():
    weights = DeferredWeights()
    with weights.building():
        counter, other = Counter(), Counter()
    weights.give(other.count, lambda: np.array(5.0))
    weights.fill()
    assert float(counter.count.value) == 3.0 and float(other.count.value) == 5.0


def test_a_weight_that_is_frozen_meanwhile_can_be_trained_later():
    """TensorFlow's tape watches what was trainable when it was made."""
    weights = DeferredWeights()
    with weights.building():
        layer = keras.layers.Dense(1)
        layer.build((None, 2))
        layer.trainable = False
    weights.fill()
    assert not layer.trainable_weights
    layer.trainable = True
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile("sgd", "mse")
    before = values(layer)[0]
    model.train_on_batch(np.ones((4, 2)), np.full((4, 1), 9.0))
    assert not np.array_equal(values(layer)[0], before)
