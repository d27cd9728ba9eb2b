"""What fastai 2.8.12 computed of its AWD-LSTM, which tests share: tests/fixtures/awd_lstm_*.npz."""

import functools
import json
import pathlib
import re

import numpy as np

# (the end of our weight's path, fastai's name)
NAMES = [
    (r"token_embedding/embeddings", "encoder.weight"),
    (r"tokens/bias", "decoder.bias"),
    (r"lstm_(\d)/gates/kernel", r"rnns.\1.module.weight_ih_l0"),
    (r"lstm_(\d)/recurrent_kernel", r"rnns.\1.weight_hh_l0_raw"),
    (r"lstm_(\d)/gates/bias", r"rnns.\1.module.bias_ih_l0"),
    (r"norm_(\d)/gamma", r"layers.\1.0.weight"),
    (r"norm_(\d)/beta", r"layers.\1.0.bias"),
    (r"norm_(\d)/moving_mean", r"layers.\1.0.running_mean"),
    (r"norm_(\d)/moving_variance", r"layers.\1.0.running_var"),
    (r"(?:dense_|logits_)(\d)/kernel", r"layers.\1.1.weight"),
]


@functools.cache
def reference(name):
    """The arrays of a fixture, and its configuration."""
    arrays = dict(np.load(pathlib.Path(__file__).parents[1] / "fixtures" / f"awd_lstm_{name}.npz"))
    return arrays, json.loads(str(arrays.pop("meta")))


def theirs(path, arrays, prefix):
    """The array for one of our weights, in our shape; torch has two biases, of one gradient."""
    for ours, name in NAMES:
        found = re.search(f"(?:^|/){ours}$", path)
        if found:
            ending = found.expand(name)
            (array,) = [
                arrays[key] for key in arrays if key.startswith(prefix) and key.endswith(ending)
            ]
            if ending.endswith("bias_ih_l0") and prefix == "w/":
                array = array + theirs_second_bias(arrays, ending)
            return array if "embed" in path else array.T
    raise AssertionError(f"no name in the reference for the weight {path}")


def theirs_second_bias(arrays, ending):
    ending = ending.replace("bias_ih", "bias_hh")
    return next(arrays[key] for key in arrays if key.startswith("w/") and key.endswith(ending))


def assign(layer, arrays):
    for weight in layer.weights:
        weight.assign(theirs(weight.path, arrays, "w/"))
