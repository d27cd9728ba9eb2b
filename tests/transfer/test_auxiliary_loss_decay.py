"""The weight of a language model beside a task, from epoch to epoch."""

import keras
import numpy as np
import pytest

from keras_plm.heads import AuxiliaryLMLoss
from keras_plm.transfer import AuxiliaryLossDecay

IDS = np.random.default_rng(0).integers(1, 9, size=(8, 6)).astype("int32")
LABELS = np.arange(8) % 2
# exp(linspace(-1.6, -2.3, 15)), of the released code, and what follows it.
RELEASED = np.exp(np.append(np.linspace(-1.6, -2.3, 15), [-2.3, -2.3]))


def make_model(weight=0.7, rate=0.0):
    """At a rate of 0 the losses of all epochs are equal, but for the weight."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.ReversibleEmbedding(9, 4)
    rows = embedding(ids)
    summary = keras.layers.GlobalAveragePooling1D()(rows)
    layer = AuxiliaryLMLoss(embedding, weight, name="auxiliary_lm")
    summary = layer(summary, rows, ids, keras.ops.not_equal(ids, 0))
    model = keras.Model(ids, keras.layers.Dense(2)(summary))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, jit_compile=True)
    return model


def fit(model, epochs, callback=None, first=0):
    callbacks = [AuxiliaryLossDecay() if callback is None else callback]
    options = dict(batch_size=4, verbose=0, shuffle=False, callbacks=callbacks)
    history = model.fit(IDS, LABELS, epochs=epochs, initial_epoch=first, **options)
    return np.array(history.history["loss"])


def parts(model):
    """The loss of the task, and that of the language model."""
    variable = model.get_layer("auxiliary_lm").current_weight
    losses = []
    for weight in (0.0, 1.0):
        variable.assign(weight)
        losses.append(model.evaluate(IDS, LABELS, batch_size=4, verbose=0))
    return losses[0], losses[1] - losses[0]


def test_the_weights_of_a_compiled_training_are_the_released_ones():
    assert [round(float(RELEASED[epoch]), 4) for epoch in (0, 1, 7, 14)] == [
        *(0.2019, 0.1920, 0.1423, 0.1003)
    ]
    model = make_model()
    losses = fit(model, len(RELEASED))
    task, language_model = parts(model)
    assert language_model > 1
    np.testing.assert_allclose(losses, task + RELEASED * language_model, rtol=1e-6)
    decay = AuxiliaryLossDecay()
    np.testing.assert_allclose([decay.weight_of(e) for e in range(17)], RELEASED, rtol=1e-12)


def test_the_weight_is_not_trained_and_is_the_one_given():
    model = make_model(rate=0.1)
    variable = model.get_layer("auxiliary_lm").current_weight
    assert not variable.trainable and float(variable) == np.float32(0.7)
    fit(model, 1, keras.callbacks.Callback())
    assert float(variable) == np.float32(0.7)


@pytest.mark.parametrize("form", ["model.keras", "model.weights.h5"])
def test_saved_and_resumed(form, tmp_path):
    """What trains on is what would have been, and what is loaded has the weight it had."""
    whole = make_model(rate=0.1)
    losses = fit(whole, 4)
    model = make_model(rate=0.1)
    fit(model, 2)
    if form.endswith(".keras"):
        model.save(tmp_path / form)
        again = keras.models.load_model(tmp_path / form)
    else:
        again = make_model(rate=0.1)
        model.save_weights(tmp_path / form)
        again.load_weights(tmp_path / form)
    variable = again.get_layer("auxiliary_lm").current_weight
    np.testing.assert_allclose(float(variable), RELEASED[1], rtol=1e-6)
    expected = model.evaluate(IDS, LABELS, verbose=0)
    assert again.evaluate(IDS, LABELS, verbose=0) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(fit(again, 4, first=2), losses[2:], rtol=1e-6)


def test_files_without_the_weight_leave_it():
    """As they were saved before it could change."""
    layer = make_model().get_layer("auxiliary_lm")
    layer.load_own_variables({})
    assert float(layer.current_weight) == np.float32(0.7)
    layer.load_own_variables({"0": np.float32(0.25)})
    assert float(layer.current_weight) == 0.25


def test_other_numbers():
    decay = AuxiliaryLossDecay(8.0, 0.5, 5)
    assert [decay.weight_of(epoch) for epoch in range(7)] == [8, 4, 2, 1, 0.5, 0.5, 0.5]
    assert [AuxiliaryLossDecay(8.0, 0.5, 1).weight_of(epoch) for epoch in (0, 1)] == [0.5, 0.5]


def test_what_it_cannot_take():
    for options, message in (
        ({"first": 0.0}, "`first` must be a number above 0"),
        ({"last": float("nan")}, "`last` must be a number above 0"),
        ({"epochs": 0}, "`epochs` must be an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            AuxiliaryLossDecay(**options)
    plain = keras.Sequential([keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="needs a task with `auxiliary_lm` above 0.*Sequential"):
        plain.fit(np.ones((2, 3)), np.ones((2, 1)), verbose=0, callbacks=[AuxiliaryLossDecay()])
