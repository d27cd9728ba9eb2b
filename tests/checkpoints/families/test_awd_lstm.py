"""Exported states of fastai: a language model, its encoder alone, a classifier, an old file.

What a model with these weights computes is tested with the backbone.
"""

import functools
import json
import pathlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_plm.checkpoints import open_checkpoint
from keras_plm.checkpoints.families.awd_lstm import AWDLSTMCheckpoint

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"


@functools.cache
def state(name):
    arrays = np.load(FIXTURES / f"awd_lstm_{name}.npz")
    return {key[2:]: arrays[key] for key in arrays.files if key.startswith("w/")}


def written(directory, arrays):
    save_file({key: np.ascontiguousarray(one) for key, one in arrays.items()}, directory / FILE)
    (directory / "config.json").write_text(json.dumps({"model_type": "awd_lstm"}))
    return directory


FILE = "model.safetensors"
SIZES = {"vocabulary_size": 36, "num_layers": 3, "hidden_dim": 10, "lstm_dim": 14}


def encoder():
    return {key[2:]: one for key, one in state("lm").items() if key.startswith("0.")}


def old():
    """fastai 0.7: matrices and copies have other names."""
    names = {
        ".weight_hh_l0_raw": ".module.weight_hh_l0_raw",
        "encoder_dp.emb": "encoder_with_dropout.embed",
    }
    arrays = dict(state("lm"))
    for before, after in names.items():
        arrays = {key.replace(before, after): one for key, one in arrays.items()}
    arrays["0.rnns.0.module.weight_hh_l0"] = np.zeros((56, 14), "float32")  # a copy, dropped
    return arrays


@pytest.mark.parametrize(
    "make, of",
    [
        (lambda: state("lm"), "lm"),
        (lambda: state("classifier"), "classifier"),
        (encoder, "lm"),
        (old, "lm"),
    ],
    ids=["language model", "classifier", "encoder", "old"],
)
def test_forms(make, of, tmp_path):
    checkpoint = open_checkpoint(written(tmp_path, make()))
    assert isinstance(checkpoint, AWDLSTMCheckpoint) and checkpoint.arguments == SIZES
    places = checkpoint.backbone_places(SIZES)
    values = dict(checkpoint.backbone_weights(SIZES))
    assert {path: shape for path, (shape, _) in places.items()} == {
        path: value.shape for path, value in values.items()
    }
    prefix = "0.module." if of == "classifier" else "0."
    theirs = {key.removeprefix(prefix): one for key, one in state(of).items()}
    np.testing.assert_array_equal(values["token_embedding/embeddings"], theirs["encoder.weight"])
    for layer in range(3):
        own = {name: theirs[f"rnns.{layer}.module.bias_{name}_l0"] for name in ("ih", "hh")}
        np.testing.assert_allclose(values[f"lstm_{layer}/gates/bias"], own["ih"] + own["hh"])
        matrix = theirs[f"rnns.{layer}.weight_hh_l0_raw"].T
        np.testing.assert_array_equal(values[f"lstm_{layer}/recurrent_kernel"], matrix)
    assert len(values) == 10


def test_the_head_of_a_language_model(tmp_path):
    checkpoint = open_checkpoint(written(tmp_path, state("lm")))
    values, new = checkpoint.head_weights({"tokens": {"bias": (36,)}, "label": {"kernel": (3, 2)}})
    np.testing.assert_array_equal(values["tokens"]["bias"], state("lm")["1.decoder.bias"])
    assert values.keys() == {"tokens"} and new.keys() == {"label"}
    other = {**state("lm"), "1.decoder.weight": np.zeros((36, 10), "float32")}
    checkpoint = open_checkpoint(written(tmp_path, other))
    with pytest.raises(ValueError, match="differs from '0.encoder.weight'"):
        checkpoint.head_weights({"tokens": {"bias": (36,)}})


def without(ending):
    return {key: one for key, one in state("lm").items() if not key.endswith(ending)}


@pytest.mark.parametrize(
    "arrays, message",
    [
        (without("1.module.bias_hh_l0"), "missing.*bias_hh_l0"),
        ({**state("lm"), "0.rnns.0.module.bias_ih_l0_reverse": np.zeros(3, "float32")}, "unexpec"),
        ({**state("lm"), "0.rnns.1.weight_hh_l0_raw": np.zeros((56, 9), "float32")}, "shape"),
    ],
    ids=["missing", "two directions", "misshapen"],
)
def test_arrays_that_do_not_fit(arrays, message, tmp_path):
    checkpoint = open_checkpoint(written(tmp_path, arrays))
    with pytest.raises(ValueError, match=message):
        checkpoint.backbone_places(SIZES, strict=False)


def test_no_state_of_fastai(tmp_path):
    with pytest.raises(ValueError, match="An AWD-LSTM must have 'encoder.weight'"):
        open_checkpoint(written(tmp_path, {"0.encoder.weight": np.zeros((3, 2), "float32")}))
    with pytest.raises(ValueError, match="An AWD-LSTM must have"):
        open_checkpoint(written(tmp_path, without("0.weight_hh_l0_raw")))
