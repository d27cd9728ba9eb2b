"""AWDLSTMBackbone equals fastai's AWD_LSTM: outputs, states, gradients, and a step of training.

What fastai 2.8.12 computed lies in tests/fixtures/awd_lstm_*.npz, on random weights.
"""

import json

import keras
import numpy as np
import pytest
from awd_lstm_reference import assign, reference, theirs
from keras import ops
from safetensors.numpy import save_file

from keras_plm.backbones import AWDLSTMBackbone
from keras_plm.heads import ConcatPoolingHead
from keras_plm.layers import ConcatPooling
from keras_plm.tasks import CausalLM

pytestmark = pytest.mark.usefixtures("quick_compilation")

JAX = keras.backend.backend() == "jax"
jit = pytest.mark.parametrize("jit", [JAX, pytest.param(not JAX, marks=pytest.mark.slow)])


def made(name, **options):
    """A backbone with the weights of a fixture."""
    arrays, meta = reference(name)
    backbone = AWDLSTMBackbone(
        meta["vocab"], meta["n_layers"], meta["emb_sz"], meta["n_hid"], **options
    )
    assign(backbone, arrays)
    return backbone


def without_dropout(**options):
    rates = ("embedding_dropout", "input_dropout", "weight_dropout", "hidden_dropout")
    return {**dict.fromkeys((*rates, "output_dropout"), 0.0), **options}


def lm_head(backbone, arrays):
    head = backbone.lm_head()
    head.build((None, None, backbone.hidden_dim))
    head.bias.assign(theirs("tokens/bias", arrays, "w/"))
    return head


def tensor(array):
    return ops.convert_to_tensor(array, "int32")


def assert_equal(ours, theirs, what):
    """The tolerance of the house: 1e-5, relative to the largest reference value above 1."""
    ours = ops.convert_to_numpy(ours)
    assert ours.shape == theirs.shape, what
    error = np.abs(ours - theirs).max()
    assert error <= 1e-5 * max(1.0, np.abs(theirs).max()), f"{what}: off by {error}"


@pytest.fixture
def quickly(jitted):
    """JAX compiles each loop of a function that is not compiled as a whole."""
    return jitted if JAX else lambda function: function


def assert_state(state, arrays, prefix, window):
    for part, name in (("hidden", "h"), ("cell", "c")):
        for layer, own in enumerate(state[part]):
            what = f"{prefix}/{name}_{window}_{layer}"
            assert_equal(own, arrays[what], what)


def cross_entropy(logits, targets):
    return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))


# === The language model ===


def test_two_windows_with_carried_state(quickly):
    arrays, _ = reference("lm")
    backbone = made("lm")
    head, state, encode = lm_head(backbone, arrays), {}, quickly(backbone.encode)
    for window in range(2):
        features = {"token_ids": tensor(arrays[f"token_ids_{window}"])}
        encoded = encode({**features, **state})
        for layer, rows in enumerate(encoded["hidden_states"][1:]):
            what = f"eval/layer_{window}_{layer}"
            assert_equal(rows, arrays[what], what)
        assert_state(encoded["state"], arrays, "eval", window)
        logits = head.logits(encoded["sequence_output"])
        assert_equal(logits, arrays[f"eval/logits_{window}"], "logits")
        loss = cross_entropy(logits, tensor(arrays[f"targets_{window}"]))
        assert_equal(loss, arrays[f"eval/loss_{window}"], "loss")
        state = {"state": encoded["state"]}


def trained_on_window_1(backbone, arrays, state):
    """A function of nothing: loss of window 1 in training mode, behind a state."""
    token_ids = keras.Input((None,), dtype="int32")
    specs = backbone.state_spec()
    before = keras.tree.map_structure(lambda one: keras.Input(one.shape[1:]), specs)
    encoded = backbone.encode({"token_ids": token_ids, "state": before})
    model = keras.Model((token_ids, before), (encoded["sequence_output"], encoded["state"]))
    head = lm_head(backbone, arrays)

    def run(window=1, before=state):
        rows, after = model((tensor(arrays[f"token_ids_{window}"]), before), training=True)
        logits = head(rows)
        loss = cross_entropy(logits, tensor(arrays[f"targets_{window}"]))
        return logits, loss, sum(model.losses), after

    def loss_of():
        _, loss, added, _ = run()
        return loss + added

    return run, loss_of, [*model.trainable_weights, head.bias]


@jit
@pytest.mark.parametrize("weights", [(0.0, 0.0), (2.0, 1.0)], ids=["plain", "regularised"])
def test_gradients_behind_a_state(weights, jit, value_and_gradients, quickly):
    arrays, _ = reference("lm")
    options = without_dropout(
        activation_regularization=weights[0], temporal_regularization=weights[1]
    )
    backbone = made("lm", **options)
    state = quickly(backbone.encode)({"token_ids": tensor(arrays["token_ids_0"])})["state"]
    _, loss_of, variables = trained_on_window_1(backbone, arrays, state)
    loss, gradients = value_and_gradients(loss_of, variables, jit)
    name = "gradreg" if any(weights) else "grad0"
    assert_equal(loss, arrays[f"{name}_loss"], "loss")
    assert len(gradients) == 11
    for path, gradient in gradients.items():
        assert_equal(gradient, theirs(path, arrays, f"{name}/"), f"gradient of {path}")


class Replayed:
    """Stands for the `call` of a dropout layer: multiplies by masks in their order."""

    def __init__(self, *masks):
        self.masks, self.number = masks, 0

    def __call__(self, inputs, training=None):
        assert training
        mask = self.masks[self.number]
        assert mask.shape[-1] == inputs.shape[-1]
        return inputs * mask


def test_training_with_recorded_masks(value_and_gradients, monkeypatch):
    arrays, meta = reference("lm")
    rates = meta["dropouts"]
    backbone = made(
        "lm",
        embedding_dropout=rates["embed_p"],
        input_dropout=rates["input_p"],
        weight_dropout=rates["weight_p"],
        hidden_dropout=rates["hidden_p"],
        output_dropout=rates["output_p"],
    )
    masks = {
        "embed": backbone.word_dropout.dropout,
        "input": backbone.embedded_dropout,
        "output": backbone.last_dropout,
        **{f"weight_{{}}_{n}": one.weight_dropout for n, one in enumerate(backbone.blocks)},
        **{f"hidden_{{}}_{n}": one for n, one in enumerate(backbone.block_dropouts)},
    }
    replayed = []
    for name, dropout in masks.items():
        name = name if "{}" in name else f"{name}_{{}}"
        both = [arrays[f"train/mask_{name.format(window)}"] for window in range(2)]
        replayed.append(Replayed(*(mask.T if "weight" in name else mask for mask in both)))
        monkeypatch.setattr(dropout, "call", replayed[-1])
    run, loss_of, variables = trained_on_window_1(backbone, arrays, None)
    state = keras.tree.map_structure(
        lambda one: ops.zeros((3, one.shape[1])), backbone.state_spec()
    )
    for window in range(2):
        for one in replayed:
            one.number = window
        logits, loss, added, after = run(window, state)
        assert_equal(logits, arrays[f"train/logits_{window}"], "logits")
        assert_equal(loss, arrays[f"train/loss_{window}"], "loss")
        expected = 2 * arrays[f"train/ar_{window}"] + arrays[f"train/tar_{window}"]
        assert_equal(added, expected, "regularisation")
        assert_state(after, arrays, "train", window)
        before, state = state, after
    run.__defaults__ = (1, before)
    _, gradients = value_and_gradients(loss_of, variables, JAX)
    for path, gradient in gradients.items():
        assert_equal(gradient, theirs(path, arrays, "train_grad/"), f"gradient of {path}")


# === The classifier ===


def classifier(**options):
    arrays, meta = reference("classifier")
    backbone = made("classifier", **without_dropout(**options))
    head = ConcatPoolingHead(meta["classes"], meta["emb_sz"], meta["lin_ftrs"], 0.0, 0.0)
    head.build((None, 3 * meta["emb_sz"]))
    assign(head, arrays)
    return arrays, backbone, head


def windows(backbone, token_ids, padding_mask, length):
    """Token states of windows, the state carried on without its gradient."""
    rows, state = [], {}
    for start in range(0, token_ids.shape[1], length):
        part = slice(start, start + length)
        features = {"token_ids": token_ids[:, part], "padding_mask": padding_mask[:, part]}
        encoded = backbone.encode({**features, **state})
        rows.append(encoded["sequence_output"])
        state = {"state": keras.tree.map_structure(ops.stop_gradient, encoded["state"])}
    return ops.concatenate(rows, axis=1)


@pytest.mark.parametrize("length", [15, 4])
def test_concat_pooling_and_logits(length, quickly):
    arrays, backbone, head = classifier()
    real = np.arange(15) < arrays["lengths"][:, None]

    def pooled_of(token_ids):
        return ConcatPooling()(windows(backbone, token_ids, real, length), real)

    pooled = quickly(pooled_of)(tensor(arrays["token_ids"]))
    assert_equal(pooled, arrays["eval/pooled"], "pooled")
    assert_equal(head(pooled), arrays["eval/logits"], "logits")


def test_training_of_the_classifier(value_and_gradients):
    arrays, backbone, head = classifier(activation_regularization=0.0, temporal_regularization=0.0)
    real = np.arange(15) < arrays["lengths"][:, None]
    token_ids, labels = tensor(arrays["token_ids"]), tensor(arrays["labels"])

    def logits_of():
        pooled = ConcatPooling()(windows(backbone, token_ids, real, 5), real)
        return head(pooled, training=True)

    def loss_of():
        return cross_entropy(logits_of(), labels)

    assert_equal(logits_of(), arrays["train0/logits"], "logits")
    moving = ops.convert_to_numpy(head.steps[0][0].moving_mean)
    mean = arrays["train0/pooled"].mean(axis=0)
    running = arrays["w/1.layers.0.0.running_mean"]
    np.testing.assert_allclose(moving, 0.9 * running + 0.1 * mean, atol=1e-5)
    variables = [*backbone.trainable_weights, *head.trainable_weights]
    loss, gradients = value_and_gradients(loss_of, variables, JAX)
    assert_equal(loss, arrays["train0/loss"], "loss")
    assert len(gradients) == 16
    for path, gradient in gradients.items():
        assert_equal(gradient, theirs(path, arrays, "train0/grad/"), f"gradient of {path}")


def test_an_exported_state(tmp_path, quickly):
    """Read by `from_preset`: the backbone and the bias of the head."""
    arrays, _ = reference("lm")
    state = {key[2:]: np.ascontiguousarray(one) for key, one in arrays.items() if key[:2] == "w/"}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "awd_lstm"}))
    model = CausalLM.from_preset(str(tmp_path))
    rows = quickly(model.backbone.encode)({"token_ids": tensor(arrays["token_ids_0"])})
    logits = model.heads["tokens"].logits(rows["sequence_output"])
    assert_equal(logits, arrays["eval/logits_0"], "logits")
