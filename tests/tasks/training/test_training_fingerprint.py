"""What decides about a training, in plain values: the literal is the same on every backend."""

import keras
import numpy as np
import pytest

from keras_plm import transfer
from keras_plm.tasks.training.training_fingerprint import (
    differences,
    refuse_differences,
    remember_optimizer,
    training_fingerprint,
    versions,
)


def test_of_a_pretrainer(make_pretrainer, objective):
    model = make_pretrainer(num_layers=1, dtype="mixed_bfloat16")
    rate = transfer.WarmupPolynomialDecay(1e-3, 10, 100)
    model.compile(transfer.bert_optimizer(rate, beta_2=0.98))
    found = training_fingerprint(model)
    assert found["class"] == "keras_plm>Pretrainer"
    assert found["task"] == {"objective": objective.get_config()}
    assert "preprocessor" not in found  # the examples say their tokenizer
    backbone = found["backbone"]
    assert backbone["class"] == "keras_plm>XLNetBackbone" and "name" not in backbone
    assert (backbone["dtype"], backbone["num_layers"]) == ("mixed_bfloat16", 1)
    optimizer = found["optimizer"]
    assert optimizer["class"] == "keras_plm>AdamWeightDecay" and "name" not in optimizer
    assert optimizer["beta_2"] == 0.98 and optimizer["bias_correction"] is False
    schedule = optimizer["learning_rate"]
    assert schedule["registered_name"] == "keras_plm>WarmupPolynomialDecay"
    assert schedule["config"]["warmup_steps"] == 10
    assert training_fingerprint(make_compiled_again(model)) == found


def make_compiled_again(model):
    """The same model with the same settings in new objects, after a first compilation."""
    other = type(model).from_config(model.get_config())
    other.compile("sgd")
    rate = transfer.WarmupPolynomialDecay(1e-3, 10, 100)
    other.compile(transfer.bert_optimizer(rate, beta_2=0.98))
    return other


def test_of_any_model():
    """Literal: numbers that a backend rounds are rounded alike by the others."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="bias_like")])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, "mse", jit_compile=False)
    expected = {
        "class": "Sequential",
        "optimizer": {
            "class": "SGD",
            "clipnorm": None,
            "clipvalue": None,
            "ema_momentum": 0.99,
            "ema_overwrite_frequency": None,
            "excluded_from_decay": ["bias"],
            "global_clipnorm": None,
            "gradient_accumulation_steps": None,
            "learning_rate": float(np.float32(0.1)),
            "loss_scale_factor": None,
            "momentum": 0.9,
            "nesterov": False,
            "use_ema": False,
            "weight_decay": 0.01,
        },
    }
    assert training_fingerprint(model) == expected
    model.optimizer.learning_rate = 0.5
    assert training_fingerprint(model) == expected
    remember_optimizer(model, anew=True)
    assert training_fingerprint(model)["optimizer"]["learning_rate"] == 0.5


def test_of_a_wrapped_optimizer(make_pretrainer):
    model = make_pretrainer(num_layers=1, dtype="mixed_float16")
    model.compile(keras.optimizers.Adam(0.5))
    found = training_fingerprint(model)["optimizer"]
    assert found["class"] == "LossScaleOptimizer"
    assert found["inner_optimizer"]["config"]["learning_rate"] == 0.5


def test_of_what_is_no_plain_value(make_classifier):
    """Values that JSON has not become their text or the name of their class."""

    class Odd(keras.optimizers.SGD):
        def get_config(self):
            odd = {"a": np.float32(0.5), "b": float("nan"), "c": (1, object()), "d": np.arange(2)}
            return {**super().get_config(), **odd}

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(Odd(), "mse", jit_compile=False)
    found = training_fingerprint(model)["optimizer"]
    assert [found[name] for name in "abcd"] == [0.5, "nan", [1, "object"], "ndarray"]


@pytest.mark.parametrize(
    "saved, now, expected",
    [
        ({"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": (2, None)}),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, {"a.b.1.c": (2, 3)}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": ([1, 2], [1])}),
        ({"a": 1}, {"a": True}, {"a": (1, True)}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"class": "A", "x": 1}, {"class": "B", "x": 2}, {"class": ("A", "B")}),
        ({"class_name": "A", "x": 1}, {"class_name": "A", "x": 2}, {"x": (1, 2)}),
        ({"a": 0.5}, {"a": {"class_name": "A"}}, {"a": (0.5, {"class_name": "A"})}),
    ],
)
def test_differences(saved, now, expected):
    assert differences(saved, now) == expected


def test_what_may_differ():
    found = {"optimizer.learning_rate": (1, 2), "backbone.dropout": (0.1, 0.2)}
    assert refuse_differences(found, ("learning_rate", "dropout"), "", "") == list(found)
    with pytest.raises(ValueError, match=r"^It: backbone.dropout was 0.1 and is 0.2. Do, or"):
        refuse_differences(found, "optimizer", "It:", "Do")
    with pytest.raises(ValueError, match="optimizer.learning_rate was 1 and is 2; backbone"):
        refuse_differences(found, ["rate", "drop"], "It:", "Do")
    assert refuse_differences({}, (), "", "") == []


def test_versions():
    found = versions()
    assert found.keys() == {"keras_plm", "keras", "keras_hub", keras.backend.backend()}
    assert all(value[0].isdigit() for value in found.values())
