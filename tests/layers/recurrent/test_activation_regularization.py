"""Means over real tokens, in training alone."""

import numpy as np
import pytest

from keras_plm.layers import ActivationRegularization

random = np.random.default_rng(0)
DROPPED, RAW = random.normal(size=(2, 2, 5, 3)).astype("float32")
REAL = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def added(layer, *args, **kwargs):
    layer(*args, **kwargs)
    return [float(loss) for loss in layer.losses]


@pytest.mark.parametrize("weights", [(2.0, 1.0), (0.0, 3.0), (0.5, 0.0)])
def test_padding_does_not_count(weights):
    layer = ActivationRegularization(*weights)
    texts = [slice(1, 5), slice(0, 3)]
    own = [(DROPPED[n, part], RAW[n, part]) for n, part in enumerate(texts)]
    size = np.concatenate([dropped for dropped, _ in own])
    change = np.concatenate([np.diff(raw, axis=0) for _, raw in own])
    expected = weights[0] * (size**2).mean() + weights[1] * (change**2).mean()
    np.testing.assert_allclose(added(layer, DROPPED, RAW, REAL, training=True), [expected], 1e-6)


def test_evaluation_and_no_weights_add_nothing():
    assert added(ActivationRegularization(), DROPPED, RAW) == []
    assert added(ActivationRegularization(0.0, 0.0), DROPPED, RAW, training=True) == []


def test_texts_of_one_token():
    """There is no change then."""
    loss = added(ActivationRegularization(), DROPPED[:, :1], RAW[:, :1], training=True)
    np.testing.assert_allclose(loss, [2 * (DROPPED[:, :1] ** 2).mean()], rtol=1e-6)
