"""What every test file gets: a quiet backend, and random numbers and memory of its own."""

import gc
import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA takes seconds for every step that it compiles: it is on where a test is about it (`with_xla`).
os.environ.setdefault("KERAS_PLM_JIT_COMPILE", "0")


def pytest_report_header():
    return f"keras backend: {os.environ.get('KERAS_BACKEND', 'tensorflow (the default)')}"


@pytest.fixture(autouse=True)
def fixed_seed():
    """Start every test from the same seeds, so that no test depends on the ones before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def pytest_collection_finish():
    """Leave what was imported out of every later collection: half a million objects, .4 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def freed_memory():
    """Forget the graphs of a test file when it is done; `clear_session` collects the garbage."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


@pytest.fixture
def with_xla(monkeypatch):
    """Let XLA compile what asks for it, as it does for users by default."""
    monkeypatch.setenv("KERAS_PLM_JIT_COMPILE", "1")


@pytest.fixture
def jitted():
    """A function that compiles another by XLA, on any backend."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit
    import tensorflow as tf

    return lambda function: tf.function(function, jit_compile=True)


@pytest.fixture
def gradient(jitted):
    """The gradient of a scalar function of one float array, on any backend, jitted or not."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        derivative_of = jax.grad
    else:
        import tensorflow as tf

        def derivative_of(function):
            def derivative(value):
                with tf.GradientTape() as tape:
                    tape.watch(value)
                    result = function(value)
                return tape.gradient(result, value, unconnected_gradients="zero")

            return derivative

    def gradient(function, value, jit=False):
        derivative = jitted(derivative_of(function)) if jit else derivative_of(function)
        result = derivative(keras.ops.convert_to_tensor(value, "float32"))
        return keras.ops.convert_to_numpy(result)

    return gradient
