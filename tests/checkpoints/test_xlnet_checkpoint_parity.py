"""XLNet's checkpoints give the outputs of those who released them.

The heads of tasks: test_checkpoint_heads.py.
"""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import Backbone, XLNetBackbone

TUNE = Path(__file__).parents[1] / "fixtures" / "keras_xlnet_tune"
BACKBONES = ("plain", "tanh", "relu", "tied", "memory", "clamp", "uni", "uni_same_length")
WITH_MEMORY = ("memory", "uni", "uni_same_length")


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def features_of(reference, *names):
    return {name: reference[name] for name in ("token_ids", "segment_ids", *names)}


def real_rows(reference):
    return reference["padding_mask"]


@pytest.mark.parametrize("case", BACKBONES)
def test_backbones(case, make_directory, reference, assert_near):
    backbone = Backbone.from_preset(make_directory(case))
    assert type(backbone) is XLNetBackbone
    with_memory = case in WITH_MEMORY
    features = features_of(reference, "memory" if with_memory else "padding_mask")
    encoded = backbone.encode(features)
    rows = np.ones((4, 9), bool) if with_memory else real_rows(reference)
    theirs = reference[f"{case}/last_hidden_state"]
    assert_near(to_numpy(encoded["sequence_output"])[rows], theirs[rows])
    if case == "memory":
        assert_near(to_numpy(encoded["memory"]), reference["memory/memory"])


def test_what_a_config_becomes(make_directory):
    backbone = Backbone.from_preset(make_directory("memory"))
    assert (backbone.memory_length, backbone.reuse_length) == (4, 3)
    assert backbone.activation == "gelu" and backbone.clamp_length is None
    assert backbone.dropout == 0.0 and backbone.layer_norm_epsilon == 1e-12
    tied = Backbone.from_preset(make_directory("tied", "tied"))
    assert tied.tied_biases and len(tied.weights) < len(backbone.weights)
    causal = Backbone.from_preset(make_directory("uni_same_length", "causal"))
    assert causal.causal and causal.same_length and causal.tied_biases


def test_tensorflow(assert_near):
    """A causal checkpoint with the original names, of github.com/CyberZHG/keras-xlnet."""
    backbone = Backbone.from_preset(TUNE, causal=True, memory_length=5)
    assert backbone.activation == "gelu_tanh" and not backbone.tied_biases
    memory = np.stack([np.load(TUNE / f"mems_{layer}.npy") for layer in range(2)], axis=1)
    features = {
        "token_ids": np.load(TUNE / "input_ids.npy"),
        "segment_ids": np.load(TUNE / "seg_ids.npy"),
        "memory": memory.astype("float32"),  # (B, L, M, D)
    }
    encoded = backbone.encode(features)
    assert_near(to_numpy(encoded["sequence_output"]), np.load(TUNE / "tune_output.npy"))
    new = np.stack([np.load(TUNE / f"tune_new_mems_{layer}.npy") for layer in range(2)], axis=1)
    assert_near(to_numpy(encoded["memory"]), new)
