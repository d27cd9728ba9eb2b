"""Directories as transformers writes them, of fixtures of encoder-decoders, which tests share."""

import functools
import json
import runpy
from pathlib import Path

import numpy as np
from keras import ops
from safetensors.numpy import save_file

FIXTURES = Path(__file__).parents[1] / "fixtures"
make_weights = runpy.run_path(str(FIXTURES / "transformer_weights.py"))["make_weights"]


@functools.cache
def reference(name="seq2seq_reference"):
    """The arrays of a fixture, and its cases: a config and the shapes of the tensors of each."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("cases")))


def weights_of(case, name="seq2seq_reference"):
    """The tensors of a case, by transformers' names."""
    shapes = reference(name)[1][case]["shapes"]
    return {key: make_weights(key, tuple(shape)) for key, shape in shapes.items()}


def write(directory, config, weights):
    """Write a directory, and return its path."""
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return str(directory)


def logits(model, case):
    """What a model with a head "tokens" gives for the fixture's texts, where they are real."""
    arrays, cases = reference()
    token_ids = arrays["token_ids"].copy()
    token_ids[:, 0] = cases[case]["config"]["decoder_start_token_id"]
    names = ("source_token_ids", "source_padding_mask", "padding_mask")
    encoded = model.backbone.encode({**{n: arrays[n] for n in names}, "token_ids": token_ids})
    found = model.heads["tokens"].logits(encoded["sequence_output"])
    return ops.convert_to_numpy(found)[arrays["padding_mask"]]
