"""What makes the tests of backbones quick on JAX, where compilation is what takes the time."""

import keras
import pytest


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile without most optimizations: for many small graphs that run once each."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
