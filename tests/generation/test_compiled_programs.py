from types import SimpleNamespace

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_plm.generation.compiled_programs import PROGRAMS_KEPT, CompiledPrograms, xla_is_allowed


def made(**options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(**options)
    return model


def test_compiled_once_with_the_weights_of_the_call():
    model = made()
    programs, calls, x = CompiledPrograms(model), [], np.ones((1, 2), "float32")

    def function(x, scale):
        calls.append(None)
        return {"y": model(x["x"]) * scale}

    first = programs.run(("f",), function, None, {"x": x}, 2.0)["y"]
    np.testing.assert_allclose(first, 2 * x @ model.get_weights()[0], atol=1e-5)
    model.set_weights([np.ones((2, 3)), np.ones(3)])
    traced = len(calls)
    second = programs.run(("f",), function, None, {"x": x}, 3.0)["y"]
    np.testing.assert_allclose(second, np.full((1, 3), 9.0))
    assert isinstance(second, np.ndarray) and len(calls) == traced
    programs.run(("f",), function, None, {"x": np.ones((4, 2), "float32")}, 3.0)
    assert len(calls) > traced


def test_eager_is_the_same():
    model = made(run_eagerly=True)
    calls, x = [], np.ones((1, 2), "float32")

    def function(x):
        calls.append(None)
        return model(x)

    programs = CompiledPrograms(model)
    results = [programs.run(("f",), function, None, x) for _ in range(2)]
    np.testing.assert_array_equal(*results)
    assert len(calls) == 2


def test_samplers_of_a_name_are_one_and_start_from_a_seed():
    programs = CompiledPrograms(made(run_eagerly=keras.backend.backend() != "jax"))
    sampler = programs.sampler("random", seed=3)
    assert programs.sampler("random") is sampler
    own = keras_hub.samplers.RandomSampler(seed=1)
    assert programs.sampler(own) is own

    def draw(x):
        return sampler.get_next_token(x)

    x = np.full((50, 20), 0.05, "float32")
    first, second = (programs.run(("draw",), draw, sampler, x) for _ in range(2))
    assert (first != second).any()
    programs.sampler("random", seed=3)
    np.testing.assert_array_equal(programs.run(("draw",), draw, sampler, x), first)


def test_the_oldest_programs_are_forgotten():
    programs = CompiledPrograms(made(run_eagerly=True))
    for number in range(PROGRAMS_KEPT + 3):
        result = programs.run((number,), lambda x: ops.add(x, 1), None, np.zeros(1))
        assert result == 1
    assert len(programs._compiled) <= PROGRAMS_KEPT


@pytest.mark.parametrize("value, allowed", [("0", False), ("1", True), (None, True)])
def test_xla_is_turned_off_by_the_environment(value, allowed, make_classifier, monkeypatch):
    """On TensorFlow only, and what is saved stays what was asked for."""
    monkeypatch.delenv("KERAS_PLM_JIT_COMPILE")
    if value is not None:
        monkeypatch.setenv("KERAS_PLM_JIT_COMPILE", value)
    allowed = allowed or keras.backend.backend() == "jax"
    assert xla_is_allowed() == allowed
    model = make_classifier(num_layers=1)
    model.compile("sgd", jit_compile=True)
    assert model.jit_compile == allowed
    assert model.get_compile_config()["jit_compile"] is True
    model.compile("sgd", jit_compile=False)
    assert not model.jit_compile and model.get_compile_config()["jit_compile"] is False


@pytest.mark.parametrize("on_cpu", [True, False])
def test_what_auto_means(on_cpu, make_classifier, monkeypatch, with_xla):
    """The default, and what Keras means by it: no XLA on a CPU under TensorFlow."""
    if keras.backend.backend() == "tensorflow" and not on_cpu:
        import tensorflow as tf

        devices = [SimpleNamespace(device_type=name) for name in ("CPU", "GPU")]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: devices)
    model = make_classifier(num_layers=1)
    for options in ({}, {"jit_compile": "auto"}):
        model.compile("sgd", **options)
        assert model.jit_compile == (keras.backend.backend() == "jax" or not on_cpu)
        assert model.get_compile_config()["jit_compile"] == "auto"
    model.compile("sgd", run_eagerly=True)
    assert not model.jit_compile
    model.backbone.supports_jit = False
    model.compile("sgd")
    assert not model.jit_compile  # of a layer that XLA cannot compile


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a matter of tf.function")
@pytest.mark.parametrize("value", ["0", "1"])
def test_steps_and_programs_are_compiled_as_the_environment_says(
    value, make_classifier, monkeypatch
):
    import tensorflow as tf

    monkeypatch.setenv("KERAS_PLM_JIT_COMPILE", value)
    model, asked, function = make_classifier(num_layers=1), [], tf.function

    def spy(*arguments, jit_compile=None, **options):
        asked.append(bool(jit_compile))
        return function(*arguments, **options)  # without XLA, which would take seconds

    model.compile("sgd", jit_compile=True)
    monkeypatch.setattr(tf, "function", spy)
    model.make_train_function()
    assert any(asked) == (value == "1")
    asked.clear()
    CompiledPrograms(made()).run(("f",), lambda x: x, None, np.ones(1))
    assert asked == [value == "1"]


@pytest.mark.parametrize("value", ["no", "", "2"])
def test_a_bad_value_of_the_environment_is_refused(value, monkeypatch):
    monkeypatch.setenv("KERAS_PLM_JIT_COMPILE", value)
    with pytest.raises(ValueError, match=f"KERAS_PLM_JIT_COMPILE must be 0 or 1.*{value!r}"):
        xla_is_allowed()
