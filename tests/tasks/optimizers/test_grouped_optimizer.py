"""Two groups that share nothing but the optimizer train as two models with an optimizer each."""

import keras
import numpy as np
import pytest

from keras_plm.tasks import Checkpoint, TextClassifier, resume
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.transfer import AdamWeightDecay, discriminative_rates, parameter_groups

BACKEND = keras.backend.backend()
RATE, FACTOR = 0.05, 0.25
OPTIMIZERS = {
    "sgd": lambda **k: keras.optimizers.SGD(momentum=0.9, **k),
    "adam": lambda **k: keras.optimizers.Adam(epsilon=1e-3, **k),
    "adamw": lambda **k: keras.optimizers.AdamW(weight_decay=0.3, epsilon=1e-3, **k),
    "nadam": lambda **k: keras.optimizers.Nadam(epsilon=1e-3, **k),
    "ours": lambda **k: AdamWeightDecay(weight_decay=0.3, epsilon=1e-3, no_decay=(), **k),
    "adafactor": lambda **k: keras.optimizers.Adafactor(relative_step=False, **k),
    "lamb": lambda **k: keras.optimizers.Lamb(**k),
    "averaged": lambda **k: keras.optimizers.SGD(use_ema=True, ema_momentum=0.5, **k),
    "accumulating": lambda **k: keras.optimizers.Adam(
        epsilon=1e-3, gradient_accumulation_steps=2, **k
    ),
}


def half(name):
    """An input, and a layer on it."""
    inputs = keras.Input((3,), name=f"{name}_input")
    start = keras.initializers.Constant(0.5)
    return inputs, keras.layers.Dense(2, kernel_initializer=start, name=name)(inputs)


def targets(x):
    return x[:, :2] - 2 * x[:, 1:]


def both(make, jit=False, rest=False, **options):
    """A model of two halves, each of which has its own loss, and its optimizer."""
    (low, low_output), (high, high_output) = half("low"), half("high")
    model = keras.Model([low, high], {"low": low_output, "high": high_output})
    groups = parameter_groups(model, ["^low/", "^high/"])
    optimizer = GroupedOptimizer(
        make(learning_rate=RATE), groups, [FACTOR, 1.0], rest_when_idle=rest
    )
    model.compile(optimizer, {"low": "mse", "high": "mse"}, jit_compile=jit, **options)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def alone(make, name, rate):
    inputs, output = half(name)
    model = keras.Model(inputs, output)
    model.compile(make(learning_rate=rate), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def weights(model):
    """Those of the lower half, then those of the upper one."""
    return [one for name in ("low", "high") for one in model.get_layer(name).get_weights()]


def batches(number):
    return np.random.default_rng(0).normal(size=(number, 4, 3)).astype("float32")


def step(model, x):
    if isinstance(model.output, dict):
        model.train_on_batch([x, x], {"low": targets(x), "high": targets(x)})
    else:
        model.train_on_batch(x, targets(x))


def state(optimizer):
    """What an optimizer keeps beside its rate."""
    found = [np.array(v) for v in optimizer.variables if "learning_rate" not in v.path]
    return [one for one in found if one.dtype.kind in "fiu"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_group_stands_still_and_then_begins(name):
    make = OPTIMIZERS[name]
    model, optimizer = both(make)
    low, high = alone(make, "low", RATE * FACTOR), alone(make, "high", RATE)
    optimizer.gates.assign([0.0, 1.0])
    for number, x in enumerate(batches(6)):
        if number == 2:
            optimizer.gates.assign([1.0, 1.0])
        step(model, x)
        step(high, x)
        if number >= 2:
            step(low, x)
        for one, layer in ((low, "low"), (high, "high")):
            expected, found = one.get_weights(), model.get_layer(layer).get_weights()
            for left, right in zip(expected, found):
                np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)
    if name != "accumulating":  # what is gathered is kept once, for all groups
        for group, one in zip(optimizer.group_optimizers, (low, high)):
            for left, right in zip(state(one.optimizer), state(group), strict=True):
                np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_in_fit(jit):
    make = OPTIMIZERS["adamw"]
    model, optimizer = both(make, jit)
    low, high = alone(make, "low", RATE * FACTOR), alone(make, "high", RATE)
    x = batches(2).reshape(8, 3)
    y = targets(x)
    for gate in (0.0, 1.0):
        optimizer.gates.assign([gate, 1.0])
        model.fit([x, x], {"low": y, "high": y}, 4, verbose=0, shuffle=False)
    high.fit(x, y, 4, 2, verbose=0, shuffle=False)
    low.fit(x, y, 4, 1, verbose=0, shuffle=False)
    for left, right in zip([*low.get_weights(), *high.get_weights()], weights(model)):
        np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)


def test_adams_first_update_after_idle_steps():
    """Plain Adam makes one of 2.51 times its rate, as its count went on."""
    model, optimizer = both(lambda **k: keras.optimizers.Adam(**k))
    optimizer.gates.assign([0.0, 1.0])
    optimizer.group_optimizers[1].iterations.assign(999)
    before = model.get_layer("low").get_weights()[0]
    step(model, batches(1)[0])
    assert (model.get_layer("low").get_weights()[0] == before).all()
    optimizer.gates.assign([1.0, 1.0])
    step(model, batches(1)[0])
    moved = np.abs(model.get_layer("low").get_weights()[0] - before) / (RATE * FACTOR)
    assert (moved > 0.99).all() and (moved < 1.01).all()
    assert [int(one.iterations) for one in optimizer.group_optimizers] == [1, 1001]


# === Groups without a gradient ===


def idle_and_busy(rest_when_idle, make=OPTIMIZERS["adamw"], jit=False):
    """What a head gets of two batches that are its own, with two between that are not."""
    model, optimizer = both(make, jit, rest=rest_when_idle)
    for x, weight in zip(batches(4), (1.0, 0.0, 0.0, 1.0)):
        y = {"low": targets(x), "high": targets(x)}
        weights = {"low": np.full(4, weight, "float32"), "high": np.ones(4, "float32")}
        model.train_on_batch([x, x], y, weights)
    return model, optimizer


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", ["adamw", "ours", "sgd"])
def test_a_head_without_weights_stands_still(name, jit):
    """Its values, moments and count: as if there had been no such batches."""
    model, optimizer = idle_and_busy(True, OPTIMIZERS[name], jit)
    low, high = (alone(OPTIMIZERS[name], *one) for one in (("low", RATE * FACTOR), ("high", RATE)))
    for number, x in enumerate(batches(4)):
        step(high, x)
        if number in (0, 3):
            step(low, x)
    for one, layer in ((low, "low"), (high, "high")):
        for left, right in zip(one.get_weights(), model.get_layer(layer).get_weights()):
            np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)
    assert [int(one.iterations) for one in optimizer.group_optimizers] == [2, 4]
    restless, _ = idle_and_busy(False, OPTIMIZERS[name], jit)
    difference = (
        restless.get_layer("low").get_weights()[0] - model.get_layer("low").get_weights()[0]
    )
    assert np.abs(difference).min() > 1e-4


def test_resting_is_saved():
    _, optimizer = idle_and_busy(True)
    config = optimizer.get_config()
    assert GroupedOptimizer.from_config(config).rest_when_idle is True
    del config["rest_when_idle"]  # as before
    assert GroupedOptimizer.from_config(config).rest_when_idle is False
    with pytest.raises(ValueError, match="`rest_when_idle` must be True or False"):
        GroupedOptimizer(keras.optimizers.SGD(), [["a"]], rest_when_idle=1)


def test_a_gradient_that_is_no_number_is_one():
    model, optimizer = idle_and_busy(True)
    x = np.full((4, 3), np.nan, "float32")
    step(model, x)
    assert [int(one.iterations) for one in optimizer.group_optimizers] == [3, 5]


def test_a_global_norm_is_of_the_open_groups():
    make = lambda **k: keras.optimizers.SGD(global_clipnorm=0.1, **k)  # noqa: E731
    model, optimizer = both(make)
    high = alone(make, "high", RATE)
    optimizer.gates.assign([0.0, 1.0])
    x = batches(2)
    step(model, x[0])
    step(high, x[0])
    for left, right in zip(high.get_weights(), model.get_layer("high").get_weights()):
        np.testing.assert_allclose(right, left, rtol=1e-5)
    before = weights(model)
    optimizer.gates.assign([1.0, 1.0])
    step(model, x[1])
    change = [(new - old) / RATE for new, old in zip(weights(model), before)]
    scales = [1 / FACTOR, 1 / FACTOR, 1, 1]
    norm = np.sqrt(sum(((one * scale) ** 2).sum() for one, scale in zip(change, scales)))
    np.testing.assert_allclose(norm, 0.1, rtol=1e-4)


def test_a_schedule_counts_all_steps():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.0, 1.0])
    model, optimizer = both(lambda learning_rate: keras.optimizers.SGD(schedule))
    optimizer.gates.assign([0.0, 1.0])
    for x in batches(2):
        step(model, x)
    before = model.get_layer("low").get_weights()[0]
    optimizer.gates.assign([1.0, 1.0])
    step(model, batches(1)[0])
    assert (model.get_layer("low").get_weights()[0] != before).all()
    assert int(optimizer.iterations) == 3


def test_variables_of_no_group_are_the_last_one():
    (low, low_output), (high, high_output) = half("low"), half("high")
    model = keras.Model([low, high], {"low": low_output, "high": high_output})
    paths = [one.path for one in model.get_layer("low").weights]
    optimizer = GroupedOptimizer(keras.optimizers.SGD(), [paths], [0.5])
    optimizer.build(model.trainable_variables)
    assert np.array(optimizer.factors).tolist() == [0.5, 1.0]
    assert [len(one._trainable_variables) for one in optimizer.group_optimizers] == [2, 2]


def test_a_saved_model_goes_on_as_it_would_have(tmp_path):
    model, optimizer = both(OPTIMIZERS["adamw"])
    optimizer.gates.assign([0.0, 1.0])
    x = batches(4)
    step(model, x[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.optimizer.build(loaded.trainable_variables)
    assert np.array(loaded.optimizer.gates).tolist() == [0.0, 1.0]
    for one in (model, loaded):
        step(one, x[1])
        one.optimizer.gates.assign([1.0, 1.0])
        step(one, x[2])
    for left, right in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(left, right)


def test_behind_a_loss_scale():
    (low, low_output), (high, high_output) = half("low"), half("high")
    model = keras.Model([low, high], {"low": low_output, "high": high_output})
    groups = parameter_groups(model, ["^low/", "^high/"])
    inner = GroupedOptimizer(keras.optimizers.Adam(RATE, epsilon=1e-3), groups, [FACTOR, 1.0])
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0)
    model.compile(optimizer, {"low": "mse", "high": "mse"}, jit_compile=False)
    optimizer.build(model.trainable_variables)
    plain, _ = both(OPTIMIZERS["adam"])
    for x in batches(2):
        for one in (model, plain):
            step(one, x)
    for left, right in zip(plain.get_weights(), model.get_weights()):
        np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)


# === In tasks ===


@pytest.fixture
def make_task(tokenizers):
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.preprocessing import TextPreprocessor

    def make_task(optimizer, graph):
        keras.utils.set_random_seed(0)
        tokenizer = tokenizers["bert"]
        backbone = TransformerBackbone(
            tokenizer.vocabulary_size, 2, 2, 8, 16, max_sequence_length=16, pooler=True
        )
        task = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, sequence_length=16))
        task.compile(discriminative_rates(optimizer, parameter_groups(task), 2.0), **graph)
        return task

    return make_task


TEXTS, LABELS = ["alice was tired", "the rabbit", "she ran", "down the hole"], [0, 1, 1, 0]


def test_a_task_resumes_exactly(make_task, graph, tmp_path):
    def fit(task, epochs, first=0, callbacks=()):
        task.optimizer.gates.assign([0.0, 0.0, 1.0, 1.0] if first == 0 else [1.0] * 4)
        task.fit(
            TEXTS,
            np.array(LABELS),
            batch_size=2,
            shuffle=False,
            epochs=epochs,
            initial_epoch=first,
            callbacks=list(callbacks),
            verbose=0,
        )

    def made():
        task = make_task(AdamWeightDecay(1e-2), graph)
        task.optimizer.build(task.trainable_variables)
        return task

    task = made()
    assert np.array(task.optimizer.factors).tolist() == [0.125, 0.25, 0.5, 1.0]
    embeddings = task.backbone.token_embedding.get_weights()[0]
    fit(task, 1, callbacks=[Checkpoint(str(tmp_path / "checkpoint"), every=2)])
    assert (task.backbone.token_embedding.get_weights()[0] == embeddings).all()
    other = made()
    assert resume(other, str(tmp_path / "checkpoint")) == 2
    assert np.array(other.optimizer.gates).tolist() == [0.0, 0.0, 1.0, 1.0]
    counts = [int(one.iterations) for one in other.optimizer.group_optimizers]
    assert counts == [0, 0, 2, 2]
    for one in (task, other):
        keras.utils.set_random_seed(1)
        for variable in one.non_trainable_variables:
            if "seed" in variable.path:
                variable.assign(np.zeros(variable.shape, "uint32"))
        fit(one, 2, 1)
    for left, right in zip(task.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(left, right)


def test_a_batch_that_is_not_finite_changes_no_group(make_task, graph):
    task = make_task(AdamWeightDecay(1e-2), graph)
    task._build_optimizer()
    before = [np.array(v) for v in [*task.trainable_variables, *task.optimizer.variables]]
    weights = np.array([3e38] * 4, "float32")
    task.fit(TEXTS, np.array(LABELS), 4, sample_weight=weights, verbose=0)
    after = [np.array(v) for v in [*task.trainable_variables, *task.optimizer.variables]]
    for left, right in zip(before, after):
        np.testing.assert_array_equal(left, right)


# === What is refused ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adam", [["a"]]), "`optimizer` must be a Keras optimizer"),
        ((keras.optimizers.SGD(), []), "`groups` must be a list of groups"),
        ((keras.optimizers.SGD(), [[1]]), "list of variables or of their paths"),
        ((keras.optimizers.SGD(), [["a"], ["a"]]), "must be in one group.*'a'"),
        ((keras.optimizers.SGD(), [["a"]], [0.1, 1.0]), "`factors` must be 1 finite"),
        ((keras.optimizers.SGD(), [["a"]], [-1.0]), "`factors` must be 1 finite"),
        ((keras.optimizers.SGD(), [["a"]], [float("nan")]), "`factors` must be 1 finite"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupedOptimizer(*arguments)


def test_a_group_without_trained_variables_is_said(caplog):
    optimizer = GroupedOptimizer(keras.optimizers.SGD(), [["elsewhere/kernel"]])
    optimizer.build(keras.Model(*half("low")).trainable_variables)
    assert "No variable of group 0 is trained" in caplog.text


@pytest.mark.slow
def test_xla_compiles_the_groups_of_a_classifier(make_transformer, with_xla):
    """With a global norm, through which every gradient depends on all others.

    TensorFlow's switch made XLA seek constants in what the branches read, for hours.
    """
    x = {"token_ids": np.random.default_rng(0).integers(0, 40, (8, 16)).astype("int32")}
    x["padding_mask"] = np.arange(16) < np.arange(9, 17)[:, None]
    x["segment_ids"] = np.zeros((8, 16), "int32")
    model = TextClassifier(make_transformer(40, num_layers=2, dropout=0.0), 2, dropout=0.0)
    before, losses = model.get_weights(), {}
    for jit_compile in (False, True):
        model.set_weights(before)
        groups = parameter_groups(model)
        optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.1, global_clipnorm=0.5)
        optimizer = discriminative_rates(optimizer, groups)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, jit_compile=jit_compile)
        assert model.jit_compile is jit_compile
        y = np.arange(8) % 2
        losses[jit_compile] = [
            model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(3)
        ]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-3)
    assert losses[True][2] < losses[True][0]
