"""Dropout that can be computed again; the check of remat on the whole backbone lies here."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import XLNetBackbone
from keras_plm.layers import ReplayableDropout
from keras_plm.layers.replayable_dropout import ReplayableSeed

ONES = np.ones((64, 64), "float32")


def dropped(layer, **kwargs):
    return ops.convert_to_numpy(layer(ONES, training=True, **kwargs))


def test_it_drops_and_scales_in_training_only():
    layer = ReplayableDropout(0.25)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(ONES)), ONES)
    result = dropped(layer)
    np.testing.assert_allclose(np.unique(result), [0, 1 / 0.75], rtol=1e-6)
    assert abs((result == 0).mean() - 0.25) < 0.03
    assert (dropped(layer) != result).any()


def test_without_a_rate_there_is_no_state():
    assert ReplayableDropout(0.0).seed_generator is None
    np.testing.assert_array_equal(dropped(ReplayableDropout(0.0)), ONES)


def test_seeds_are_replayed_in_order():
    layer = ReplayableDropout(0.5)
    seeds = [layer.seed_generator.next() for _ in range(2)]
    results = []
    for _ in range(2):
        with layer.seed_generator.replay(seeds):
            results.append((dropped(layer), dropped(layer)))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0][0] != results[0][1]).any()
    assert isinstance(layer.seed_generator, ReplayableSeed)


def test_bad_rate():
    with pytest.raises(ValueError, match="between 0 and 1. Received: rate=1.5"):
        ReplayableDropout(1.5)


# === Remat ===

X = {
    "token_ids": np.random.default_rng(0).integers(0, 20, (3, 6)).astype("int32"),
    "order": np.array([[0, 2, 0, 1, 0, 3]] * 3, "int32"),
    "target_positions": np.array([[1, 3]] * 3, "int32"),
}
Y = np.random.default_rng(1).normal(size=(3, 2, 8)).astype("float32")


def trained(remat, compilation, memory_length):
    """The weights after two steps with dropout, and the loss."""
    keras.utils.set_random_seed(3)
    rates = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.4}
    backbone = XLNetBackbone(20, 1, 2, 8, 16, remat=remat, initializer_range=0.3, **rates)
    backbone.train_query_rows(True)
    inputs = {name: keras.Input(v.shape[1:], dtype="int32", name=name) for name, v in X.items()}
    features, x = dict(inputs), dict(X)
    if memory_length:
        shape = (1, memory_length, 8)
        inputs["memory"] = features["memory"] = keras.Input(shape, name="memory")
        x["memory"] = np.random.default_rng(2).normal(size=(3, *shape)).astype("float32")
    model = keras.Model(inputs, backbone.encode(features)["target_output"])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", **compilation)
    history = model.fit(x, Y, epochs=2, batch_size=3, shuffle=False, verbose=0).history
    return history["loss"], [ops.convert_to_numpy(weight) for weight in backbone.weights]


@pytest.mark.parametrize(
    "jit, memory_length", [(False, 0), pytest.param(True, 4, marks=pytest.mark.slow)]
)
def test_remat_equals_no_remat_with_dropout(jit, memory_length, quick):
    """Weights after two steps: a mask that was drawn anew would give wrong gradients."""
    compilation = {"jit_compile": True} if jit else quick
    loss, weights = trained(False, compilation, memory_length)
    loss_again, weights_again = trained(True, compilation, memory_length)
    np.testing.assert_allclose(loss_again, loss, rtol=1e-6)
    assert loss[0] != loss[1]
    for one, other in zip(weights_again, weights):
        np.testing.assert_allclose(one, other, atol=1e-6 * max(1, np.abs(other).max()))


def test_remat_really_computes_again(monkeypatch, quick):
    """The test above would pass as well if `remat` did nothing."""
    calls = []
    remat = keras.remat
    monkeypatch.setattr(keras, "remat", lambda function: calls.append(1) or remat(function))
    trained(True, quick, 0)
    assert calls
    assert XLNetBackbone(20, 1, 2, 8, 16, remat=True).get_config()["remat"] is True
