import keras
import numpy as np
import pytest

from keras_plm.transfer import WarmupPolynomialDecay


def xlnet_learning_rate(step, peak, warmup_steps, train_steps, min_lr_ratio, power):
    """The rule of XLNet's optimizer, by hand: a warm-up, then a decay that counts from its end."""
    if step < warmup_steps:
        return peak * step / warmup_steps
    decay_steps = train_steps - warmup_steps
    decayed = min(step - warmup_steps, decay_steps)
    end = peak * min_lr_ratio
    return (peak - end) * (1 - decayed / decay_steps) ** power + end


def test_linear_warmup_then_linear_decay():
    schedule = WarmupPolynomialDecay(1.0, warmup_steps=4, total_steps=12)
    rates = [float(schedule(step)) for step in (0, 1, 2, 3, 4, 6, 8, 10, 11, 12, 100)]
    expected = [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.125, 0.0, 0.0]
    np.testing.assert_array_equal(rates, expected)


def test_no_warmup_starts_at_the_peak():
    schedule = WarmupPolynomialDecay(0.5, warmup_steps=0, total_steps=4)
    rates = [float(schedule(step)) for step in range(5)]
    np.testing.assert_array_equal(rates, [0.5, 0.375, 0.25, 0.125, 0.0])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("min_lr_ratio", [0.0, 0.1])
@pytest.mark.parametrize("warmup_steps", [0, 7, 999])
def test_equals_the_rule_of_the_original(power, min_lr_ratio, warmup_steps):
    peak, total_steps = 4e-4, 1000
    schedule = WarmupPolynomialDecay(peak, warmup_steps, total_steps, peak * min_lr_ratio, power)
    steps = np.array([0, 1, 6, 7, 8, 500, 998, 999, 1000, 1001, 5000])
    expected = [
        xlnet_learning_rate(step, peak, warmup_steps, total_steps, min_lr_ratio, power)
        for step in steps
    ]
    rates = keras.ops.convert_to_numpy(schedule(steps))
    assert rates.dtype == np.float32
    # (1 - p) has a float32 error of 1e-7 next to p = 1, and its square root one of 3e-4.
    tolerance = 1e-6 if power >= 1 else 1e-4
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=tolerance * peak)


def test_the_decay_continues_keras_polynomial_decay():
    ours = WarmupPolynomialDecay(1e-3, 10, 110, end_learning_rate=1e-5, power=1.5)
    decay = keras.optimizers.schedules.PolynomialDecay(1e-3, 100, 1e-5, power=1.5)
    for step in (0, 1, 50, 99, 100, 200):
        assert float(ours(step + 10)) == pytest.approx(float(decay(step)), rel=1e-5)


def test_serialises():
    schedule = WarmupPolynomialDecay(1e-3, 10, 100, end_learning_rate=1e-5, power=2)
    config = keras.optimizers.schedules.serialize(schedule)
    assert config["registered_name"] == "keras_plm>WarmupPolynomialDecay"
    again = keras.optimizers.schedules.deserialize(config)
    assert isinstance(again, WarmupPolynomialDecay)
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize("jit_compile", [True, False])
def test_is_followed_in_fit_and_saved_with_the_model(jit_compile, tmp_path):
    """The gradient of this loss is -1, so that the weight is the sum of the learning rates."""
    schedule = WarmupPolynomialDecay(0.5, warmup_steps=2, total_steps=6)
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(keras.optimizers.SGD(schedule), loss="mae", jit_compile=jit_compile)
    x = np.ones((5, 1), "float32")
    model.fit(x, 100 * x, batch_size=1, verbose=0)
    assert int(model.optimizer.iterations) == 5
    weight = float(keras.ops.squeeze(dense.kernel))
    assert weight == pytest.approx(0.0 + 0.25 + 0.5 + 0.375 + 0.25, rel=1e-6)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.125)

    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(0.125)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"warmup_steps": -1}, "warmup_steps=-1"),
        ({"warmup_steps": 0.1}, "warmup_steps=0.1"),
        ({"warmup_steps": True}, "warmup_steps=True"),
        ({"total_steps": 10}, "total_steps=10, warmup_steps=10"),
        ({"total_steps": float("inf")}, "total_steps=inf"),
        ({"end_learning_rate": -1e-3}, "end_learning_rate=-0.001"),
        ({"end_learning_rate": 2.0}, "end_learning_rate=2.0"),
        ({"power": 0}, "power=0"),
    ],
)
def test_refuses_bad_arguments(change, message):
    arguments = {"learning_rate": 1e-3, "warmup_steps": 10, "total_steps": 100, **change}
    with pytest.raises(ValueError, match=message):
        WarmupPolynomialDecay(**arguments)
