"""What thunlp/ERNIE computed, in tests/fixtures/ernie_thu_tiny.npz, as a released directory."""

import functools
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

CONFIG = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_types": ["sim", "mix", "norm", "norm", "sim"],
}


@functools.cache
def reference():
    """The arrays of the fixture, by name; ids of entities begin at 1 here, and at 0 there."""
    path = pathlib.Path(__file__).parents[1] / "fixtures" / "ernie_thu_tiny.npz"
    arrays = dict(np.load(path))
    ids = {"entity_ids": arrays["entity_ids"] + 1, "candidate_ids": arrays["candidate_ids"] + 1}
    return {**arrays, **ids}


def weights():
    """The tensors under their original names."""
    marked = reference().items()
    return {name[2:]: array for name, array in marked if name.startswith("w/")}


def features():
    """What the encoder reads."""
    arrays = reference()
    ids = {
        name: arrays[name].astype("int32") for name in ("token_ids", "segment_ids", "entity_ids")
    }
    return {**ids, "padding_mask": arrays["padding_mask"].astype(bool)}


def candidates():
    """The entities of the batch, for each of its rows (B, C)."""
    arrays = reference()
    return np.tile(arrays["candidate_ids"].astype("int32"), (len(arrays["token_ids"]), 1))


def write_released(directory, **changes):
    """Write what an export of the released files is; see docs/ernie_thu.md."""
    directory.mkdir(exist_ok=True)
    config = {name: value for name, value in {**CONFIG, **changes}.items() if value is not None}
    (directory / "ernie_config.json").write_text(json.dumps(config))
    save_file(weights(), directory / "model.safetensors")
    return directory
