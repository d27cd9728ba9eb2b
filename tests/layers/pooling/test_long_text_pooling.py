"""LongTextPooling: as an LSTM that reads at once, with a gradient through the last tokens alone."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import AWDLSTMBackbone
from keras_plm.layers import ConcatPooling, LongTextPooling

pytestmark = pytest.mark.usefixtures("quick_compilation")

JAX = keras.backend.backend() == "jax"
IDS = np.random.default_rng(0).integers(0, 11, (4, 13)).astype("int32")
RATES = ("embedding", "input", "weight", "hidden", "output")


@pytest.fixture(scope="module")
def backbone():
    rates = {f"{name}_dropout": 0.0 for name in RATES}
    rates |= {"activation_regularization": 0.0, "temporal_regularization": 0.0}
    backbone = AWDLSTMBackbone(11, num_layers=2, hidden_dim=4, lstm_dim=6, **rates)
    random = np.random.default_rng(0)
    for weight in backbone.weights:
        weight.assign(random.normal(size=weight.shape, scale=0.7))
    return backbone


def masks(side):
    lengths = np.array([13, 9, 4, 0])[:, None]
    real = np.arange(13) < lengths
    return real if side == "right" else real[:, ::-1].copy()


def expected(backbone, token_ids, real, length):
    """The same from rows that are read one by one: the real tokens before the last cut off."""
    pooled = []
    for ids, own in zip(token_ids, real):
        ids = ops.convert_to_tensor(ids[own][None])
        if not ids.shape[1]:
            pooled.append(ops.zeros((1, 12)))
            continue
        cut = max(ids.shape[1] - length, 0)
        rows, state = [], {}
        if cut:
            encoded = backbone.encode({"token_ids": ids[:, :cut]})
            rows = [ops.stop_gradient(encoded["sequence_output"])]
            state = {"state": keras.tree.map_structure(ops.stop_gradient, encoded["state"])}
        rows.append(backbone.encode({"token_ids": ids[:, cut:], **state})["sequence_output"])
        pooled.append(ConcatPooling()(ops.concatenate(rows, axis=1)))
    return ops.concatenate(pooled, axis=0)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("length", [1, 5, 13])
def test_what_comes_out_is_that_of_the_whole(backbone, length, side, jitted):
    real = masks(side)
    pool = LongTextPooling(backbone, length, window_length=3)
    got = jitted(lambda ids, real: pool(ids, real))(ops.convert_to_tensor(IDS), real)
    rows = backbone.encode({"token_ids": IDS, "padding_mask": real})["sequence_output"]
    np.testing.assert_allclose(got, ConcatPooling()(rows, real), atol=2e-6)


def test_lengths_that_are_not_known(backbone):
    """One graph for texts of any length, shorter and longer than what has a gradient."""
    inputs = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="bool")
    pool = LongTextPooling(backbone, 5, window_length=3)
    model = keras.Model(inputs, pool(*inputs))
    for length in (4, 13):
        ids, real = IDS[:, :length], masks("right")[:, :length]
        rows = backbone.encode({"token_ids": ids, "padding_mask": real})["sequence_output"]
        got = model.predict((ids, real), verbose=0)
        np.testing.assert_allclose(got, ConcatPooling()(rows, real), atol=2e-6)


def test_the_gradient_goes_through_the_last_tokens(backbone, value_and_gradients):
    pool = LongTextPooling(backbone, 5, window_length=3)
    real, ids = masks("right"), ops.convert_to_tensor(IDS)
    weights = ops.convert_to_tensor(np.random.default_rng(1).normal(size=(4, 12)), "float32")
    losses = (
        lambda: ops.sum(weights * pool(ids, real, training=True)),
        lambda: ops.sum(weights * expected(backbone, IDS, real, 5)),
        lambda: ops.sum(weights * expected(backbone, IDS, real, 13)),
    )
    (one, own), (other, theirs), (_, whole) = (
        value_and_gradients(loss, backbone.trainable_weights, JAX) for loss in losses
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert own.keys() == theirs.keys() and len(own) == 7
    different = 0
    for name, gradient in own.items():
        np.testing.assert_allclose(gradient, theirs[name], atol=1e-5, err_msg=name)
        different += np.abs(np.asarray(gradient) - np.asarray(whole[name])).max() > 1e-3
    assert different == 7


def test_a_token_at_the_edge(backbone, value_and_gradients):
    """Of 13 tokens the table's rows of the last 5 have gradients, and those of no other."""
    pool = LongTextPooling(backbone, 5, window_length=3)
    ids = ops.convert_to_tensor(np.array([[10, 9, 8, 9, 10, 8, 9, 7, 6, 5, 4, 3, 2]]))
    table = backbone.token_embedding.embeddings
    _, gradients = value_and_gradients(
        lambda: ops.sum(pool(ids, np.ones((1, 13), bool))), [table], JAX
    )
    (gradient,) = map(np.asarray, gradients.values())
    touched = np.abs(gradient).max(axis=1) > 1e-7
    assert np.flatnonzero(touched).tolist() == [2, 3, 4, 5, 6]


def test_what_it_cannot_read(make_transformer):
    with pytest.raises(ValueError, match="carries a state, such as AWDLSTM.*TransformerBackbone"):
        LongTextPooling(make_transformer(11, causal=True))
    with pytest.raises(ValueError, match="Received: int"):
        LongTextPooling(3)
