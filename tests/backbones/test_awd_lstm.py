"""AWDLSTMBackbone: its size, padding, state and decoder."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.backbones import AWDLSTMBackbone, Backbone, RecomputingDecoder
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights

pytestmark = pytest.mark.usefixtures("quick_compilation")

IDS = np.random.default_rng(0).integers(0, 11, (4, 9)).astype("int32")


@pytest.fixture(scope="module")
def backbone():
    return made()


def made(**options):
    backbone = AWDLSTMBackbone(11, num_layers=2, hidden_dim=6, lstm_dim=8, **options)
    random = np.random.default_rng(0)
    for weight in backbone.weights:  # so large that what was read long ago has a say
        weight.assign(random.normal(size=weight.shape, scale=0.7))
    return backbone


def rows_of(backbone, token_ids, **features):
    encoded = backbone.encode({"token_ids": ops.convert_to_tensor(token_ids), **features})
    return ops.convert_to_numpy(encoded["sequence_output"])


def test_size_of_the_released_models():
    """fastai's have 44,333,280, of which 10,816 are torch's second biases, and the decoder's."""
    with DeferredWeights().building():
        backbone = AWDLSTMBackbone(**families.AWD_LSTM["sizes"]["ulmfit_wt103"])
        head = backbone.lm_head()
        head.build((None, None, 400))
    assert backbone.count_params() + 60_000 == 44_322_464
    assert tuple(head.bias.shape) == (60_000,)
    second = sum(4 * width for width in backbone.widths)
    assert 44_322_464 + second == 44_333_280


@pytest.mark.parametrize("name, millions", [("awd_lstm_ptb", 24), ("awd_lstm_wt2", 33)])
def test_sizes_of_the_paper(name, millions):
    """Tables 1 and 2 of arXiv:1708.02182; decoder biases beside it."""
    sizes = families.AWD_LSTM["sizes"][name]
    with DeferredWeights().building():
        backbone = AWDLSTMBackbone(**sizes, **families.AWD_LSTM["classifier"])
    assert (backbone.count_params() + sizes["vocabulary_size"]) // 10**6 == millions
    assert backbone.output_dropout == 0 and backbone.weight_dropout == 0.5


def test_what_it_says(backbone):
    assert backbone.reads == {"causal", "state"}
    groups = backbone.layer_groups()
    assert [len(group) for group in groups] == [1, 3, 3]
    spec = backbone.state_spec(5)
    assert [tuple(one.shape) for one in spec["hidden"] + spec["cell"]] == [(5, 8), (5, 6)] * 2
    again = AWDLSTMBackbone.from_config(backbone.get_config())
    assert again.get_config() == backbone.get_config()


def test_padding_on_both_sides_changes_nothing(backbone):
    whole = rows_of(backbone, IDS[:, :5])
    real = np.array([[0, 1, 1, 1, 1, 1, 0, 0]] * 4, bool)
    ids = np.pad(IDS[:, :5], ((0, 0), (1, 2)), constant_values=7)
    padded = rows_of(backbone, ids, padding_mask=real)
    np.testing.assert_allclose(padded[:, 1:6], whole, atol=1e-6)
    assert not padded[:, 6:].any()


def test_no_token_sees_one_to_its_right(backbone):
    other = IDS.copy()
    other[:, 5] = (other[:, 5] + 1) % 11
    one, two = rows_of(backbone, IDS), rows_of(backbone, other)
    np.testing.assert_array_equal(one[:, :5], two[:, :5])
    assert (np.abs(one[:, 5:] - two[:, 5:]).max(axis=(0, 2)) > 1e-3).all()


def test_target_output(backbone):
    targets = np.array([[3, 0], [8, 8], [1, 2], [0, 7]], "int32")
    encoded = backbone.encode({"token_ids": IDS, "target_positions": targets})
    expected = np.take_along_axis(rows_of(backbone, IDS), targets[..., None], axis=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(encoded["target_output"]), expected)


def test_cached_is_recomputed(backbone):
    expected = rows_of(backbone, IDS)
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        constants, cache = decoder.start({"token_ids": ops.convert_to_tensor(IDS), "known": 3})
        states = []
        for index, number in ((3, 1), (4, 2), (6, 3)):
            tokens = ops.convert_to_tensor(IDS[:, index : index + number])
            rows, cache = decoder.step(constants, cache, tokens, index)
            states.append(ops.convert_to_numpy(rows))
        np.testing.assert_allclose(np.concatenate(states, axis=1), expected[:, 3:], atol=1e-5)


def test_a_decoder_goes_on_from_a_state(backbone):
    state = backbone.encode({"token_ids": IDS[:, :4]})["state"]
    decoder = backbone.decoder()
    rest = ops.convert_to_tensor(IDS[:, 4:])
    constants, cache = decoder.start({"token_ids": rest, "known": 2, "state": state})
    rows, _ = decoder.step(constants, cache, rest[:, 2:], 2)
    np.testing.assert_allclose(ops.convert_to_numpy(rows), rows_of(backbone, IDS)[:, 6:], atol=1e-5)


def test_dropout_and_regularisation_are_for_training(backbone):
    model, ids = keras.Model(backbone.input, backbone.output), ops.convert_to_tensor(IDS)
    features = {"token_ids": ids, "padding_mask": ops.ones((4, 9), "bool")}
    evaluated = ops.convert_to_numpy(model(features))
    assert model.losses == []
    trained = ops.convert_to_numpy(model(features, training=True))
    assert len(model.losses) == 1 and float(model.losses[0]) > 0
    assert np.abs(trained - evaluated).max() > 0.1
    dropped = (trained == 0).all(axis=1)  # locked: a feature is dropped at all tokens or at none
    np.testing.assert_array_equal(dropped, (trained == 0).any(axis=1))


def test_presets(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    again = Backbone.from_preset(tmp_path / "preset", output_dropout=0.0)
    assert isinstance(again, AWDLSTMBackbone) and again.output_dropout == 0
    np.testing.assert_array_equal(rows_of(again, IDS), rows_of(backbone, IDS))


def test_a_projection(backbone):
    """All LSTMs are equally wide; behind the last one a dense layer, but for padding."""
    projected = made(output_projection=True)
    assert [len(group) for group in projected.layer_groups()] == [1, 3, 5]
    spec = projected.state_spec(4)
    assert [tuple(one.shape) for one in spec["hidden"] + spec["cell"]] == [(4, 8)] * 4
    real = np.array([[0, 1, 1, 1, 1, 1, 1, 0, 0]] * 4, bool)
    encoded = projected.encode({"token_ids": IDS, "padding_mask": real})
    last = ops.convert_to_numpy(encoded["hidden_states"][-1])
    kernel, bias = (ops.convert_to_numpy(one) for one in projected.projection.weights)
    expected = np.where(real[..., None], last @ kernel + bias, 0)
    found = ops.convert_to_numpy(encoded["sequence_output"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    test_cached_is_recomputed(projected)
    assert "projection" not in {layer.name for layer in backbone.layers}


def test_size_of_siatl():
    """Embeddings, two LSTMs of 1,000 with one bias each, and the way down to 400."""
    with DeferredWeights().building():
        sizes, flags = families.SIATL["sizes"]["siatl_twitter"], families.SIATL["flags"]
        backbone = AWDLSTMBackbone(**sizes, **flags)
    lstms = 4 * 1000 * (400 + 1000 + 1) + 4 * 1000 * (1000 + 1000 + 1)
    assert backbone.count_params() == 70_000 * 400 + lstms + 1000 * 400 + 400


def test_what_it_cannot_take(backbone):
    with pytest.raises(ValueError, match="takes the features .*Received also: .*order"):
        backbone.encode({"token_ids": IDS, "order": IDS})
    with pytest.raises(ValueError, match="`state` must have 'hidden' and 'cell'"):
        backbone.encode({"token_ids": IDS, "state": {"hidden": []}})
    state = keras.tree.map_structure(lambda one: ops.zeros(one.shape), backbone.state_spec(3))
    with pytest.raises(ValueError, match="for each of the B = 4 texts"):
        backbone.encode({"token_ids": IDS, "state": state})
    with pytest.raises(ValueError, match="lstm_dim"):
        AWDLSTMBackbone(11, 2, 6, lstm_dim=0)
    with pytest.raises(ValueError, match="`output_projection` must be True or False"):
        AWDLSTMBackbone(11, 2, 6, 8, output_projection=1)
