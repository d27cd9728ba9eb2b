import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks.optimizers.adam_weight_decay import AdamWeightDecay

# Every argument of its own, none at its default.
OTHERS = dict(
    learning_rate=0.05,
    weight_decay=0.2,
    beta_1=0.8,
    beta_2=0.95,
    epsilon=1e-3,
    bias_correction=False,
    corrected_decay=True,
    no_decay=["bias", "table.x"],
)


def made_variables(dtype="float32"):
    random = np.random.default_rng(0)
    shapes = {"kernel": (3, 2), "bias": (2,), "content_bias": (2,), "tablexx": (4,)}
    return [
        keras.Variable(random.normal(size=shape), dtype=dtype, name=name)
        for name, shape in shapes.items()
    ]


def gradients(step):
    random = np.random.default_rng(step)
    return [random.normal(size=v.shape).astype("float32") for v in made_variables()]


def run(optimizer, steps, dtype="float32", scale=1.0):
    """The variables after steps of one or more batches of gradients, each as a list."""
    variables = made_variables(dtype)
    for step in steps:
        batch = [ops.convert_to_tensor(one * scale, dtype) for one in gradients(step)]
        optimizer.apply(batch, variables)
    return [ops.convert_to_numpy(variable).astype("float32") for variable in variables]


def close(found, expected, tolerance=1e-6):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def plain(**options):
    """Keras's own with the same settings."""
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.2, beta_2=0.95, epsilon=1e-3, **options)
    optimizer.exclude_from_weight_decay(var_names=["^bias", "/bias"])
    return optimizer


def ours(**options):
    settings = dict(weight_decay=0.2, beta_2=0.95, epsilon=1e-3, no_decay=["bias"])
    return AdamWeightDecay(0.05, **{**settings, **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"global_clipnorm": 0.5},
        {"clipnorm": 0.5},
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 8.0},
    ],
    ids=lambda options: "".join(list(options)[:1]),
)
def test_with_the_correction_it_is_keras_adamw(options):
    found, expected = (run(make(**options), range(6)) for make in (ours, plain))
    close(found, expected)
    without = run(ours(bias_correction=False, **options), range(6))
    assert np.abs(without[0] - expected[0]).max() > 1e-2


@pytest.mark.parametrize("jit_compile", [False, True])
def test_loss_scale(jit_compile):
    x, y = np.random.default_rng(0).normal(size=(2, 3, 8, 4)).astype("float32")
    ends = []
    for scaled in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        optimizer = ours(bias_correction=False, corrected_decay=True)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0)
        model.compile(optimizer, loss="mse", jit_compile=jit_compile)
        for batch in zip(x, y):
            model.fit(*batch, shuffle=False, verbose=0)
        ends.append([ops.convert_to_numpy(weight) for weight in model.weights])
    close(*ends)


def test_two_halves_of_a_batch_are_the_batch():
    halves = ours(bias_correction=False, corrected_decay=True, gradient_accumulation_steps=2)
    found = run(halves, [0, 1, 2, 3])
    variables, whole = made_variables(), ours(bias_correction=False, corrected_decay=True)
    for pair in ([0, 1], [2, 3]):
        batch = [(one + other) / 2 for one, other in zip(*map(gradients, pair))]
        whole.apply([ops.convert_to_tensor(one) for one in batch], variables)
    close(found, [ops.convert_to_numpy(variable) for variable in variables])


def test_the_average_follows_the_values():
    variables, optimizer = made_variables(), ours(use_ema=True, ema_momentum=0.7)
    average = 0.0
    for step in range(4):
        optimizer.apply([ops.convert_to_tensor(one) for one in gradients(step)], variables)
        value = ops.convert_to_numpy(variables[0])
        average = value if step == 0 else 0.7 * average + 0.3 * value
    optimizer.finalize_variable_values(variables)
    np.testing.assert_allclose(ops.convert_to_numpy(variables[0]), average, rtol=1e-5)


def test_bfloat16_variables_move():
    """Keras rounds 0.999 to 1 there, and every step to nothing."""
    for correction in (True, False):
        optimizer = AdamWeightDecay(0.05, bias_correction=correction)
        after = run(optimizer, range(3), "bfloat16")
        expected = run(AdamWeightDecay(0.05, bias_correction=correction), range(3))
        close(after, expected, 0.03)


def test_names_are_meant_whole():
    """ "content_bias" is no "bias", and the point of "table.x" no pattern."""
    variables, optimizer = made_variables(), AdamWeightDecay(**OTHERS)
    before = [ops.convert_to_numpy(variable).copy() for variable in variables]
    optimizer.apply([ops.zeros(variable.shape) for variable in variables], variables)
    after = [ops.convert_to_numpy(variable) for variable in variables]
    decays = {v.name: (one != other).any() for v, one, other in zip(variables, before, after)}
    assert decays == {"kernel": True, "bias": False, "content_bias": True, "tablexx": True}


def test_nothing_is_left_out():
    variables = made_variables()
    optimizer = AdamWeightDecay(0.5, weight_decay=0.5, no_decay=[])
    optimizer.apply([ops.zeros(variable.shape) for variable in variables], variables)
    for before, variable in zip(made_variables(), variables):
        value = ops.convert_to_numpy(variable)
        np.testing.assert_allclose(value, 0.75 * ops.convert_to_numpy(before), rtol=1e-6)


def test_config():
    optimizer = AdamWeightDecay(**OTHERS, global_clipnorm=2.0, name="mine")
    config = keras.optimizers.serialize(optimizer)
    assert config["registered_name"] == "keras_plm>AdamWeightDecay"
    again = keras.optimizers.deserialize(config)
    assert type(again) is AdamWeightDecay
    assert again.get_config() == optimizer.get_config()
    found = again.get_config()
    assert {name: found[name] for name in OTHERS} == {
        **OTHERS,
        "learning_rate": pytest.approx(0.05),
    }
    close(run(again, range(3)), run(optimizer, range(3)))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_keras_file_of_any_model_goes_on(tmp_path, policy):
    def make_data(seed):
        return np.random.default_rng(seed).normal(size=(2, 8, 3)).astype("float32")

    layers = [keras.layers.Dense(3, dtype=policy), keras.layers.LayerNormalization()]
    model = keras.Sequential([keras.Input((3,)), *layers])
    optimizer = ours(bias_correction=False, no_decay=["bias", "gamma"])
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=16.0)
    model.compile(optimizer, loss="mse")
    model.fit(*make_data(0), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.fit(*make_data(1), shuffle=False, verbose=0)
    close(map(ops.convert_to_numpy, again.weights), map(ops.convert_to_numpy, model.weights))
    inner = getattr(again.optimizer, "inner_optimizer", again.optimizer)
    assert inner.no_decay == ("bias", "gamma") and not inner.bias_correction


@pytest.mark.parametrize("no_decay", ["bias", None, [3]])
def test_names_must_be_a_list(no_decay):
    with pytest.raises(ValueError, match="must be a list of the names of variables.*Received"):
        AdamWeightDecay(no_decay=no_decay)


def test_what_it_does_not_have():
    with pytest.raises(ValueError, match="weight_decay"):
        AdamWeightDecay(weight_decay=None)
    with pytest.raises(ValueError, match="has no `amsgrad`: take `keras.optimizers.AdamW`"):
        AdamWeightDecay(amsgrad=True)
