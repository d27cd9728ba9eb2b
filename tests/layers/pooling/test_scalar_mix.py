"""ScalarMix gives what allennlp's tests expect of it, and what the paper says."""

import numpy as np
import pytest
from keras import ops

from keras_plm.layers import ScalarMix

LAYERS = list(np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype("float32"))
REAL = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], bool)


def made(**options):
    layer = ScalarMix(**options)
    layer.build([(2, 4, 5)] * 3)
    if layer.scores is not None:
        layer.scores.assign([0.1, 0.2, 0.3])
    layer.gamma.assign(0.5)
    return layer


def mixed(layer, *args):
    return ops.convert_to_numpy(layer(LAYERS, *args))


def test_weights_of_allennlp():
    """Its `test_elmo.py`: scores .1, .2, .3, gamma .5."""
    shares = 0.5 * np.array([0.30060961, 0.33222499, 0.3671654])
    np.testing.assert_allclose(mixed(made()), np.tensordot(shares, LAYERS, 1), atol=1e-6)


def test_the_mean_at_first():
    np.testing.assert_allclose(mixed(ScalarMix()), np.mean(LAYERS, axis=0), atol=1e-6)


def test_a_large_score_is_a_choice_of_one_layer():
    layer = made()
    layer.scores.assign([-9e10, 1, -9e10])
    np.testing.assert_allclose(mixed(layer), 0.5 * LAYERS[1], atol=1e-6)


def test_the_top_only():
    layer = made(top_only=True)
    np.testing.assert_allclose(mixed(layer), 0.5 * LAYERS[2])
    assert [weight.name for weight in layer.weights] == ["gamma"] and not layer.losses


@pytest.mark.parametrize("real", [None, REAL], ids=["all", "padded"])
def test_norm_over_the_batch(real):
    expected = []
    for rows in LAYERS:
        own = rows if real is None else rows[real]
        expected.append((rows - own.mean()) / own.std())
    shares = 0.5 * np.array([0.30060961, 0.33222499, 0.3671654])
    found = mixed(made(batch_layer_norm=True), real)
    expected = np.tensordot(shares, expected, 1)
    shown = np.ones((2, 4), bool) if real is None else real
    np.testing.assert_allclose(found[shown], expected[shown], atol=1e-5)


def test_regularisation_is_of_the_scores_alone():
    (loss,) = made(regularization=0.1).losses
    np.testing.assert_allclose(float(loss), 0.1 * (0.1**2 + 0.2**2 + 0.3**2), rtol=1e-5)
    assert not made().losses


def test_one_tensor_is_refused():
    with pytest.raises(ValueError, match="`hidden_states` must be a list of tensors"):
        ScalarMix()(LAYERS[0])
