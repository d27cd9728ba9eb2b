"""awd_lstm.py: what fastai computed comes out of an exported model, and of a classifier."""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import save_file

from keras_plm.backbones import Backbone
from keras_plm.checkpoints.families.awd_lstm import open_awd_lstm
from keras_plm.tasks import CausalLM, TextClassifier

pytestmark = pytest.mark.usefixtures("quick_compilation")

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"


def exported(name, directory, change=lambda arrays: arrays):
    """Write the weights of a fixture as safetensors; its other arrays, and its configuration."""
    arrays = dict(np.load(FIXTURES / f"awd_lstm_{name}.npz"))
    meta = json.loads(str(arrays.pop("meta")))
    weights = {key[2:]: arrays.pop(key) for key in list(arrays) if key.startswith("w/")}
    directory.mkdir(exist_ok=True)
    floats = {k: np.ascontiguousarray(v) for k, v in weights.items()}
    save_file(change(floats), directory / "model.safetensors")
    return arrays, meta


def assert_near(ours, theirs):
    ours = ops.convert_to_numpy(ours)
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())


def test_a_language_model(tmp_path):
    arrays, meta = exported("lm", tmp_path)
    model = CausalLM.from_preset(str(tmp_path), use_bias=True, preprocessor=None)
    assert model.backbone.num_layers == meta["n_layers"]
    encoded = model.backbone.encode({"token_ids": arrays["token_ids_0"].astype("int32")})
    logits = model.heads["tokens"].logits(encoded["sequence_output"])
    assert_near(logits, arrays["eval/logits_0"])


def old_names(arrays):
    """fastai 0.7's: the raw matrix within the module, the table under another name, no bias."""
    renamed = {}
    for name, array in arrays.items():
        if name in ("0.encoder_dp.emb.weight", "1.decoder.bias"):
            continue
        name = name.replace("0.encoder.weight", "0.encoder_with_dropout.embed.weight")
        renamed[name.replace(".weight_hh_l0_raw", ".module.weight_hh_l0_raw")] = array
    return renamed


def an_encoder_alone(arrays):
    return {k.removeprefix("0."): v for k, v in arrays.items() if k.startswith("0.")}


@pytest.mark.parametrize("change", [old_names, an_encoder_alone])
def test_other_names(change, tmp_path):
    arrays, _ = exported("lm", tmp_path, change)
    backbone = Backbone.from_preset(str(tmp_path))
    encoded = backbone.encode({"token_ids": arrays["token_ids_0"].astype("int32")})
    assert_near(encoded["sequence_output"], arrays["eval/layer_0_2"])


def test_a_classifier_has_its_encoder(tmp_path):
    """Its head, of 8 in place of 50, starts new."""
    arrays, meta = exported("classifier", tmp_path)
    options = {"num_classes": meta["classes"], "pooling": "concat", "preprocessor": None}
    model = TextClassifier.from_preset(str(tmp_path), **options)
    real = np.arange(arrays["token_ids"].shape[1]) < arrays["lengths"][:, None]
    features = {"token_ids": arrays["token_ids"].astype("int32"), "padding_mask": real}
    pooled = keras.Model(model.input, model.heads["label"].input)(features)
    assert_near(pooled, arrays["eval/pooled"])


def test_the_head_of_a_classifier(tmp_path):
    """With the width of ours its arrays are read by their places."""
    wide = {}

    def widened(arrays):
        for name, axis in (("0.1", 0), ("1.0", 0), ("1.1", 1)):
            for part in ("weight", "bias", "running_mean", "running_var"):
                key = f"1.layers.{name}.{part}"
                if key in arrays:
                    times = [1] * arrays[key].ndim
                    times[axis] = 7
                    part = np.tile(arrays[key], times)
                    arrays[key] = np.ascontiguousarray(np.take(part, np.arange(50), axis=axis))
        wide.update(arrays)
        return arrays

    _, meta = exported("classifier", tmp_path, widened)
    options = {"num_classes": meta["classes"], "pooling": "concat", "preprocessor": None}
    head = TextClassifier.from_preset(str(tmp_path), **options).heads["label"]
    norm, _, dense = head.steps[1]
    np.testing.assert_array_equal(dense.kernel, wide["1.layers.1.1.weight"].T)
    np.testing.assert_array_equal(norm.moving_variance, wide["1.layers.1.0.running_var"])
    np.testing.assert_array_equal(head.steps[0][0].beta, wide["1.layers.0.0.bias"])


def without(name):
    return lambda arrays: {k: v for k, v in arrays.items() if not k.endswith(name)}


@pytest.mark.parametrize(
    "change, message",
    [
        (without("1.module.bias_hh_l0"), "rnns.1.module.bias_hh_l0"),
        (without("encoder.weight"), "must have the table 'encoder.weight'"),
        (lambda a: {**a, "0.rnns.7.odd": a["1.decoder.bias"]}, "rnns.7.odd"),
        (lambda a: {**a, "0.rnns.0.module.bias_ih_l0": a["1.decoder.bias"]}, "bias_ih_l0"),
        (lambda a: {**a, "0.encoder.weight": np.inf * a["0.encoder.weight"]}, "not finite"),
    ],
)
def test_damaged_files(change, message, tmp_path):
    exported("lm", tmp_path, change)
    with pytest.raises(ValueError, match=message):
        Backbone.from_preset(str(tmp_path))


def test_directories_of_others(tmp_path):
    assert open_awd_lstm(tmp_path) is None
    save_file({"embeddings": np.zeros((2, 3), "float32")}, tmp_path / "model.safetensors")
    assert open_awd_lstm(tmp_path) is None
