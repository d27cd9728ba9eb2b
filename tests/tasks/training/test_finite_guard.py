import json
import logging
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from keras_plm.tasks import TextClassifier
from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers
from keras_plm.tasks.training import finite_guard
from keras_plm.tasks.training.finite_guard import FiniteGuard
from keras_plm.tasks.training.stop_after_skips import StopAfterSkips

BACKEND = keras.backend.backend()


def adamw(**options):
    return keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0, **options)


def multi():
    chosen = keras.optimizers.OptimizerMap(adamw(), {"label/.*": keras.optimizers.SGD(0.1)})
    return keras.optimizers.MultiOptimizer(chosen)


OPTIMIZERS = {
    "adamw": adamw,
    "ema": lambda: adamw(use_ema=True, ema_overwrite_frequency=2),
    "accumulation": lambda: adamw(gradient_accumulation_steps=2),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "multi": multi,
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(adamw(), initial_scale=2.0),
}


class Batches(keras.utils.PyDataset):
    """Batches of features, labels and weights, as they are."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def batch(seed, weight=1.0):
    """A batch of four rows, whose loss is not finite if the weight is not."""
    rng = np.random.default_rng(seed)
    x = {
        "token_ids": rng.integers(5, 60, (4, 6)).astype("int32"),
        "segment_ids": np.zeros((4, 6), "int32"),
        "padding_mask": np.ones((4, 6), "bool"),
    }
    return x, rng.integers(0, 2, 4), np.array([weight, 1.0, 1.0, 1.0], "float32")


@pytest.fixture
def make_model(make_backbone):
    def make_model(optimizer, seed=3, **options):
        keras.utils.set_random_seed(seed)
        model = TextClassifier(make_backbone(num_layers=1, dropout=0.0), 2, dropout=0.0)
        model.compile(optimizer, **options)
        return model

    return make_model


def fit(model, batches):
    """Train on batches that no task would take: it checks them."""
    callbacks = [StopAfterSkips(3)]
    data = Batches(batches)
    return keras.Model.fit(model, data, verbose=0, shuffle=False, callbacks=callbacks).history


def state(model, without=()):
    """Everything that a step may change but the seeds, by number."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    left_out = {id(v) for v in without} | {id(v) for v in variables if "seed" in v.path}
    return {n: np.array(v) for n, v in enumerate(variables) if id(v) not in left_out}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=str(key))


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_batch_that_is_not_finite_leaves_no_trace(make_model, quick, make_optimizer, caplog):
    """Training with a bad batch in the middle is training without it, bit for bit."""
    good = [batch(seed) for seed in range(4)]
    clean = make_model(make_optimizer(), **quick)
    fit(clean, good)
    guarded = make_model(make_optimizer(), **quick)
    with caplog.at_level(logging.WARNING, "keras_plm"):
        history = fit(guarded, [*good[:1], batch(9, np.nan), *good[1:]])
    assert history["skipped_batches"] == [1.0]
    assert "Epoch 1: 1 of the first" in caplog.text
    first, second = state(clean), state(guarded)
    counter = [key for key in second if (first[key] != second[key]).any()]
    assert len(counter) == 1 and second[counter[0]] == 1  # the count itself
    for optimizer in (guarded.optimizer, *inner_optimizers(guarded.optimizer)):
        assert not {"assign", "assign_add", "assign_sub", "apply_gradients", "stateless_apply"} & {
            *vars(optimizer)
        }


@pytest.mark.parametrize("shape", [(), (7,), (3, 7), (2, 3, 7)])
@pytest.mark.parametrize(
    "value, has_one",
    [(0.9e14, True), (-0.9e14, True), (1.1e14, False), (-1e30, False)]
    + [(value, False) for value in (np.inf, -np.inf, np.nan)],
)
def test_gradients_have_a_norm(shape, value, has_one):
    """Whatever else is in them, and where; None is no gradient, as of what is not read."""
    gradient = np.zeros(shape, "float32")
    gradient[(-1,) * len(shape)] = value
    if len(shape) > 1 and not has_one:
        gradient[(0,) + (-1,) * (len(shape) - 1)] = -value  # one that would cancel it
    others = [np.ones((2, 5), "float32"), np.ones((), "float32")]
    gradients = [keras.ops.convert_to_tensor(one) for one in (others[0], gradient, others[1])]
    assert bool(finite_guard._have_a_norm([*gradients, None])) == has_one


def test_under_xla(make_model, with_xla):
    model = make_model(adamw(use_ema=True), jit_compile=True)
    assert model.jit_compile
    keras.Model.train_on_batch(model, *batch(0))
    before = state(model, without=model.metrics_variables)
    for weight in (np.nan, np.inf, 3e38):  # of the last one the gradients have no squares
        loss = (
            model.train_on_batch(*batch(1, weight), return_dict=True)
            if weight == 3e38
            else (keras.Model.train_on_batch(model, *batch(1, weight), return_dict=True))
        )
        assert np.isnan(loss["loss"]) and loss["skipped_batches"] == 1
        assert_same(before, state(model, without=model.metrics_variables))
    assert np.isfinite(keras.Model.train_on_batch(model, *batch(2))[0])
    changed = state(model, without=model.metrics_variables)
    assert any((before[key] != changed[key]).any() for key in before)


def test_the_memory_and_the_means_stay(make_pretrainer, corpus, objective, quick):
    """A batch in the middle cannot be trained on: the next one reads the memory before it."""
    from keras_plm import data

    examples = data.examples(corpus, objective, batch_size=4, seed=0)
    batches = [examples.batch_at(step) for step in (0, 1)]

    def model():
        keras.utils.set_random_seed(0)
        model = make_pretrainer(memory_length=12, dropout=0.0, attention_dropout=0.0)
        model.compile(adamw(), **quick)
        model.state.resize(4, training=True)
        return model

    clean, guarded = model(), model()
    x, y, weight = batches[1]
    bad = (x, y, {"tokens": np.full_like(weight["tokens"], np.nan)})
    fit(clean, batches)
    logs = fit(guarded, [batches[0], bad, batches[1]])
    assert logs["skipped_batches"] == [1.0]
    memory = [np.array(one.state.training_state["memory"]) for one in (clean, guarded)]
    assert memory[0].any()
    np.testing.assert_array_equal(*memory)
    assert logs["loss"][0] == clean.get_metrics_result()["loss"]


def test_state_that_would_be_carried_counts(make_model, quick):
    """Loss and gradients are finite, a running mean of a layer is not."""

    @keras.saving.register_keras_serializable("test_finite_guard")
    class RunningMean(keras.layers.Layer):
        def build(self, shape):
            self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, rows, training=None):
            if training:
                self.mean.assign(self.mean + 1.0 / keras.ops.mean(rows[:, :, 0] * 0.0))
            return rows

    model = make_model(adamw(), **quick)
    guard = FiniteGuard(1)
    layer = RunningMean()
    layer.build((4, 6, 8))
    model._tracker.unlock()
    model.extra = layer
    assert np.isfinite(float(guard.judged(model, keras.ops.convert_to_tensor(1.5)))) == 1
    layer.mean.assign(np.inf)
    assert np.isnan(float(guard.judged(model, keras.ops.convert_to_tensor(1.5))))


def test_skips_of_loss_scaling_are_its_own(make_model, quick):
    """Gradients overflow because of the scale: it is halved, and no batch is counted."""
    scaled = keras.optimizers.LossScaleOptimizer(adamw(), initial_scale=2.0**127)
    model = make_model(scaled, **quick)
    before = [np.array(v) for v in model.trainable_variables]
    rows = batch(0, 1e4)
    logs = model.train_on_batch(*rows, return_dict=True)
    assert logs["skipped_batches"] == 0 and np.isfinite(logs["loss"])
    assert float(scaled.dynamic_scale) == 2.0**126
    for variable, value in zip(model.trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
    scaled.dynamic_scale.assign(1.0)  # now it is no longer the scale
    keras.Model.train_on_batch(model, *batch(1, np.nan))
    assert float(scaled.dynamic_scale) == 1.0
    assert model.train_on_batch(*rows, return_dict=True)["skipped_batches"] == 0


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_training_ends_after_so_many_in_a_row(make_model, graph, steps_per_execution):
    """Two and two with a good one between them do not count, over the end of an epoch they do."""
    options = {"skip_non_finite": 4, "steps_per_execution": steps_per_execution, **graph}
    model = make_model(adamw(), **options)
    weights = np.ones((6, 4), "float32")
    weights[[2, 3, 5]] = 3e38  # finite, but the squares of gradients are not
    x, y, _ = batch(0)
    x = {name: np.tile(value, (6, 1)) for name, value in x.items()}
    data = dict(x=x, y=np.tile(y, 6), batch_size=4, shuffle=False, verbose=0)
    history = model.fit(sample_weight=weights.ravel(), **data).history
    assert history["skipped_batches"] == [3.0]
    weights[4] = 3e38
    model.fit(sample_weight=weights[[2, 3, 0, 4, 5, 1]].ravel(), **data)
    with pytest.raises(  # the fifth may be reported before the fourth: threads report
        FloatingPointError, match="[45] .* in a row .* batch [12] of epoch [23]"
    ) as error:
        model.fit(sample_weight=weights[[4, 5, 1, 2, 4, 5]].ravel(), **{**data, "epochs": 5})
    assert "skip_non_finite=4" in str(error.value)
    assert all(np.isfinite(np.array(v)).all() for v in model.variables if "seed" not in v.path)


def test_without_a_guard(make_model, quick):
    model = make_model(adamw(), skip_non_finite=None, **quick)
    logs = keras.Model.train_on_batch(model, *batch(0, np.nan), return_dict=True)
    assert np.isnan(logs["loss"]) and set(logs) == {"loss", "accuracy"}
    assert np.isnan(np.array(model.trainable_variables[0])).any()


def test_what_keras_returns_is_as_without_it(make_model, quick):
    model = make_model(adamw(), **quick)
    x, y, weight = batch(0)
    assert len(model.train_on_batch(x, y)) == 2
    assert set(model.train_on_batch(x, y, return_dict=True)) == {
        "loss",
        "accuracy",
        "skipped_batches",
    }
    assert len(model.evaluate(x, y, verbose=0)) == 2
    assert set(model.evaluate(x, y, verbose=0, return_dict=True)) == {"loss", "accuracy"}
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "skipped_batches"}


def test_the_limit_is_kept_in_a_file(make_classifier, tmp_path, quick):
    model = make_classifier(num_layers=1)
    for limit in (3, None):
        model.compile(skip_non_finite=limit, **quick)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert again.get_compile_config()["skip_non_finite"] == limit


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "3"])
def test_a_limit_that_is_none(make_classifier, limit):
    with pytest.raises(ValueError, match="`skip_non_finite` must be a positive integer"):
        make_classifier(num_layers=1).compile(skip_non_finite=limit)


def test_callback_lists_and_reports_out_of_order():
    """Reports may come in any order: what counts is the number of the batch."""
    stop = StopAfterSkips(3)
    stop.on_train_begin()
    stop.on_epoch_begin(0)
    for number, skipped in ((0, 0), (2, 1), (1, 1), (4, 2), (3, 1)):  # batches 1 and 4 are bad
        stop.on_train_batch_end(number, {"skipped_batches": skipped})
    stop.on_train_batch_end(5, {"loss": 1.0})  # a step of somebody else's
    stop.on_epoch_end(0)
    stop.on_epoch_begin(1)
    stop.on_train_batch_end(0, {"skipped_batches": 1})
    with pytest.raises(FloatingPointError, match="3 batches in a row .* batch 2 of epoch 2"):
        stop.on_train_batch_end(1, {"skipped_batches": 2})


def test_a_callback_list_of_the_users(make_model, quick):
    model = make_model(adamw(), skip_non_finite=1, **quick)
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model, epochs=1)
    with pytest.raises(FloatingPointError):
        model.fit(*batch(0)[:2], sample_weight=np.full(4, 3e38), verbose=0, callbacks=callbacks)


REPLICAS = """
    import json

    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import keras
    import numpy as np

    from keras_plm.tasks.training.finite_guard import FiniteGuard

    class Guarded(keras.Model):
        _guard = None

        def compute_loss(self, *args, **kwargs):
            return self._guard.judged(self, super().compute_loss(*args, **kwargs))

        def train_step(self, data):
            return self._guard.tensorflow_step(self, super().train_step, data)

        @property
        def metrics(self):
            return [*super().metrics, self._guard.skipped] if self._guard else super().metrics

        def get_metrics_result(self):
            logs = super().get_metrics_result()
            logs.pop("skipped_batches", None)
            return logs

    with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
        inputs = keras.Input((3,))
        rows = keras.layers.BatchNormalization()(inputs)
        model = Guarded(inputs, keras.layers.Dense(1)(rows))
        model._guard = FiniteGuard(3)
        model.compile(keras.optimizers.Adam(0.1, use_ema=True), "mse", weighted_metrics=["mae"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)).astype("float32"), np.ones((4, 1), "float32")
    found = []
    for bad in (False, True, False):
        x_batch = x.copy()
        if bad:
            x_batch[3] = np.nan  # a row of the second replica alone
        data = tf.data.Dataset.from_tensor_slices((x_batch, y)).batch(4)
        logs = model.fit(data, verbose=0).history
        variables = [*model.variables, *model.optimizer.variables]
        values = [float(np.sum(np.array(v, "float64"))) for v in variables]
        found.append({"skipped": logs["skipped_batches"], "values": values})
    print(json.dumps(found))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="replicas of tf.distribute")
def test_replicas_decide_together(tmp_path):
    script = tmp_path / "replicas.py"
    script.write_text(textwrap.dedent(REPLICAS))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    first, second, third = json.loads(run.stdout.splitlines()[-1])
    assert [one["skipped"] for one in (first, second, third)] == [[0.0], [1.0], [0.0]]
    assert first["values"] == second["values"] != third["values"]
    assert np.isfinite(third["values"]).all()


@pytest.mark.parametrize(
    "name", "Adadelta Adafactor Adagrad Adamax Ftrl Lamb Lion Muon Nadam RMSprop".split()
)
def test_any_optimizer_of_keras(name):
    """Some assign their state by other ways than `Optimizer.assign`."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile(getattr(keras.optimizers, name)(0.1), "mse", run_eagerly=True)
    guard = FiniteGuard(3)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    step = keras.Model.train_step.__get__(model)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

    def take(x):
        if BACKEND == "tensorflow":
            import tensorflow as tf

            return guard.tensorflow_step(model, step, (tf.constant(x), tf.constant(y)))
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
            model.metrics_variables,
        )
        state = tuple([variable.value for variable in group] for group in groups)
        logs, state = guard.jax_step(model, step, state, (x, y, None))
        for group, values in zip(groups, state):
            for variable, value in zip(group, values):
                variable.assign(value)
        return logs

    values = [np.array(v) for v in (*model.variables, *optimizer.variables)]
    take(x)
    before = [np.array(v) for v in (*model.variables, *optimizer.variables)]
    assert any((a != b).any() for a, b in zip(values, before))
    take(np.full_like(x, np.nan))
    for variable, value in zip((*model.variables, *optimizer.variables), before):
        np.testing.assert_array_equal(np.array(variable), value, err_msg=variable.path)
