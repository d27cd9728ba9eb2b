"""SampledSoftmaxHead: the whole softmax in evaluation, a sample in training, one table for two."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import SampledSoftmaxHead, SoftmaxTable

pytestmark = pytest.mark.usefixtures("quick_compilation")

VOCABULARY, WIDTH = 30, 4
random = np.random.default_rng(2)
ROWS = random.normal(size=(3, 5, WIDTH)).astype("float32")
TARGETS = random.integers(0, VOCABULARY, (3, 5))
WEIGHT = (random.random((3, 5)) < 0.7).astype("float32")


def made(num_sampled, softmax=None, **options):
    head = SampledSoftmaxHead(softmax or SoftmaxTable(VOCABULARY, WIDTH), num_sampled, **options)
    head.build(ROWS.shape)
    for number, weight in enumerate(head.softmax.weights):
        weight.assign(np.random.default_rng(number).normal(size=weight.shape))
    return head


def whole_losses(head):
    table, bias = (ops.convert_to_numpy(one).astype("float64") for one in head.softmax.weights)
    logits = ROWS @ table.T + bias
    np.testing.assert_allclose(ops.convert_to_numpy(head.logits(ROWS)), logits, atol=1e-5)
    own = np.take_along_axis(logits, TARGETS[..., None], -1)[..., 0]
    return np.log(np.exp(logits).sum(-1)) - own


@pytest.mark.parametrize("num_sampled", [0, 8, VOCABULARY])
def test_training_and_evaluation(num_sampled, quick):
    """By Keras's own `fit` and `evaluate`; with a rate of 0 the weights stay."""
    inputs = keras.Input((None, WIDTH))
    head = made(num_sampled)
    model = keras.Model(inputs, head(inputs))
    model.compile(keras.optimizers.SGD(0.0), loss=head.loss, **quick)
    losses = whole_losses(head)
    mean = (losses * WEIGHT).sum() / WEIGHT.sum()
    options = dict(sample_weight=WEIGHT, batch_size=3, verbose=0)
    before = model.evaluate(ROWS, TARGETS, return_dict=True, **options)
    history = model.fit(ROWS, TARGETS, epochs=3, **options).history
    after = model.evaluate(ROWS, TARGETS, return_dict=True, **options)
    assert before == after and abs(before["loss"] - mean) < 1e-4
    name = f"{head.name}_perplexity"
    assert abs(np.log(before[name]) - mean) < 1e-4
    assert np.allclose(np.log(history[name]), history["loss"], atol=1e-4)
    if num_sampled == 8:  # other words in each step
        assert len({*history["loss"]}) == 3 and max(history["loss"]) < mean
    else:
        np.testing.assert_allclose(history["loss"], mean, atol=1e-4)


def test_one_table_for_two_heads():
    first = made(0, name="first")
    second = SampledSoftmaxHead(first.softmax, 3, "other", 0.5, name="second")
    rows = second.read({"other": ROWS}, {})
    np.testing.assert_array_equal(ops.convert_to_numpy(rows), ROWS)
    assert {id(one) for one in second.trainable_weights} == {
        id(one) for one in first.trainable_weights
    }
    assert second.loss_weights == {"second": 0.5} and second.targets == ("BT", VOCABULARY)


def test_what_it_cannot_take():
    with pytest.raises(ValueError, match="num_sampled=-1"):
        made(-1)
    with pytest.raises((TypeError, ValueError), match="softmax"):
        SampledSoftmaxHead(keras.layers.Dense(3))
