"""Averages of weights that took no step are the weights, and not the zeros of Keras."""

import keras
import numpy as np
import pytest

from keras_plm.tasks import MultiTask, TextClassifier
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.transfer import AdamWeightDecay, GradualUnfreezing, discriminative_rates

X = {"token_ids": np.arange(48).reshape(8, 6) % 40, "padding_mask": np.ones((8, 6), bool)}
Y = np.arange(8) % 2
OPTIMIZERS = {
    "ours": lambda: AdamWeightDecay(1e-3, use_ema=True),
    "keras": lambda: keras.optimizers.Adam(1e-3, use_ema=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-3, use_ema=True)
    ),
}


@pytest.fixture
def backbone(make_transformer):
    return make_transformer(40, num_layers=2, num_segments=0)


def values(model):
    return [np.array(keras.ops.convert_to_numpy(one)) for one in model.trainable_variables]


def test_layers_that_are_not_trained_yet(backbone, quick):
    """Averages are swapped in for the validation of each epoch, and taken at the end of `fit`."""
    model = TextClassifier(backbone, 2, dropout=0.0)
    groups = [list(one) for one in backbone.layer_groups()]
    model.compile(discriminative_rates(keras.optimizers.Adam(1e-3, use_ema=True), groups), **quick)
    before = values(model)
    callbacks = [GradualUnfreezing(), keras.callbacks.SwapEMAWeights(swap_on_epoch=False)]
    history = model.fit(
        X, Y, batch_size=4, epochs=1, validation_data=(X, Y), callbacks=callbacks, verbose=0
    )
    assert np.isfinite(history.history["val_loss"]).all()
    changes = [np.abs(new - old).max() for old, new in zip(before, values(model))]
    assert max(changes) > 1e-4 and np.mean(np.array(changes) == 0) > 0.5  # the lower groups
    assert max(changes) < 0.01


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_batches_that_are_all_skipped(name, backbone, quick):
    model = TextClassifier(backbone, 2, dropout=0.0)
    model.compile(OPTIMIZERS[name](), **quick)
    model.set_weights([one + 0.5 for one in model.get_weights()])
    before = values(model)
    weight = np.full(8, 3e38, "float32")
    history = model.fit(X, Y, batch_size=4, sample_weight=weight, verbose=0)
    assert history.history["skipped_batches"] == [2.0]
    for old, new in zip(before, values(model)):
        np.testing.assert_array_equal(new, old)
    for _ in range(2):  # weights and averages have arrays of their own
        history = model.fit(X, Y, batch_size=4, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    changes = [np.abs(new - old).max() for old, new in zip(before, values(model))]
    assert 1e-4 < max(changes) < 0.02


def test_a_task_that_had_no_batch(backbone, quick):
    described = {"class": "TextClassifier", "num_classes": 2}
    model = MultiTask(backbone, {"first": described, "second": described})
    model.compile(AdamWeightDecay(1e-3, use_ema=True), **quick)
    of_second = [one for one in model.trainable_variables if one.path.startswith("second/")]
    before = [np.array(keras.ops.convert_to_numpy(one)) for one in of_second]
    model.fit({"first": (X, Y)}, batch_size=4, verbose=0)
    for old, new in zip(before, of_second, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(new), old)


def test_groups_of_any_keras_model():
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    model.build((None, 2))
    groups = [layer.trainable_variables for layer in model.layers]
    optimizer = GroupedOptimizer(keras.optimizers.Adam(1e-2, use_ema=True), groups)
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    optimizer.gates.assign([0.0, 1.0])
    model.layers[0].kernel.assign(np.full((2, 3), 7.0))  # after the optimizer was made
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.layers[0].kernel), 7.0)
    assert np.abs(keras.ops.convert_to_numpy(model.layers[1].kernel)).max() > 0
