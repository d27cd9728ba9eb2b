"""scaled_rate.py: a step at a multiple of the rate, and the optimizer as it was behind it."""

import keras
import numpy as np
import pytest

from keras_plm.tasks.optimizers import scaled_rate as module
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.tasks.optimizers.scaled_rate import scaled_rate


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_rate_is_in_proportion(name, grouped):
    """As an optimizer of that rate; weight decay and clipping are not left out."""
    options = {"weight_decay": 0.1, "global_clipnorm": 0.5}
    new = getattr(keras.optimizers, name)
    one, other = new(0.2, **options), new(0.2 * 0.25, **options)
    gradient = np.array([3.0, -4.0], "float32")
    weights = []
    for optimizer, factor in ((one, 0.25), (other, 1.0)):
        weight = keras.Variable([1.0, 2.0])
        optimizer = GroupedOptimizer(optimizer, [[weight]], [0.5]) if grouped else optimizer
        optimizer.build([weight])
        with scaled_rate(optimizer, factor):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        weights.append(keras.ops.convert_to_numpy(weight))
    np.testing.assert_allclose(*weights, rtol=1e-6)
    assert abs(float(one.learning_rate) - 0.2) < 1e-7


def test_replicas_are_refused(monkeypatch):
    monkeypatch.setattr(module, "under_strategy", lambda: True)
    with pytest.raises(ValueError, match="variable_length=False"):
        with scaled_rate(keras.optimizers.SGD(0.1), 0.5):
            pass
