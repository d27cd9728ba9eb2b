import keras
import numpy as np
import pytest

from keras_plm.tasks.optimizers import adam_weight_decay
from keras_plm.tasks.optimizers.adam_kernel import has_adam_kernel
from keras_plm.tasks.optimizers.adam_weight_decay import AdamWeightDecay

BACKEND = keras.backend.backend()

OPTIONS = {
    "plain": dict(weight_decay=0.0),
    "decay": dict(weight_decay=0.3),
    "corrected decay": dict(weight_decay=0.3, corrected_decay=True),
    "no correction": dict(bias_correction=False),
    "other moments": dict(beta_1=0.7, beta_2=0.9, epsilon=0.1),
    "average": dict(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "clipped": dict(global_clipnorm=0.1),
}


def trained(options, **compilation):
    """The weights, moments and averages after a few steps."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(AdamWeightDecay(0.02, **options), "mse", **compilation)
    random = np.random.default_rng(0)
    for _ in range(4):
        model.train_on_batch(random.normal(size=(8, 4)), random.normal(size=(8, 1)))
    return [np.array(one) for one in (*model.weights, *model.optimizer.variables)]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a kernel of TensorFlow")
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_kernel_computes_what_the_operations_do(options, run_eagerly, monkeypatch):
    compilation = dict(run_eagerly=run_eagerly, jit_compile=False)
    asked = []

    def has_none(*variables):
        asked.append(has_adam_kernel(*variables))
        return False

    found = trained(options, **compilation)
    monkeypatch.setattr(adam_weight_decay, "has_adam_kernel", has_none)
    expected = trained(options, **compilation)
    assert asked and all(asked)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-5, atol=2e-6)


def test_where_there_is_none():
    """Other backends, half precision, a stateless scope, XLA."""
    variable = keras.Variable([1.0])
    assert has_adam_kernel(variable) == (BACKEND == "tensorflow")
    assert not has_adam_kernel(variable, keras.Variable([1.0], dtype="bfloat16"))
    with keras.StatelessScope([(variable, keras.ops.zeros((1,)))]):
        assert not has_adam_kernel(variable)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def compiled():
            assert not has_adam_kernel(variable)
            return tf.constant(0)

        compiled()
