import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks.default_optimizer import default_optimizer


def test_its_settings():
    optimizer = default_optimizer(3e-5, epsilon=1e-6)
    assert float(optimizer.learning_rate) == pytest.approx(3e-5)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.01, 1.0)
    assert optimizer.epsilon == 1e-6


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_without_a_gradient_shrinks_kernels_only(jit_compile):
    """Checked by what a step does: TensorFlow's names differ from those before it."""
    layers = [keras.layers.Dense(3, name="dense"), keras.layers.LayerNormalization(name="norm")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    model.compile(default_optimizer(0.1), loss="mse", jit_compile=jit_compile)
    model.fit(np.ones((2, 3)), np.ones((2, 3)), sample_weight=np.zeros(2), verbose=0)
    values = {weight.name: ops.convert_to_numpy(weight) for weight in model.trainable_weights}
    np.testing.assert_allclose(values.pop("kernel"), 1 - 0.1 * 0.01, rtol=1e-6)
    assert sorted(values) == ["beta", "bias", "gamma"]
    for value in values.values():
        np.testing.assert_array_equal(value, 1)
