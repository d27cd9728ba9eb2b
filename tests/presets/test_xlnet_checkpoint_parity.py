"""XLNet's checkpoints give the outputs of those who released them, backbone and heads."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_plm import tasks
from keras_plm.backbones import Backbone, XLNetBackbone
from keras_plm.objectives import PermutationModeling

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


def test_language_model(make_directory, reference, assert_near):
    objective = PermutationModeling(
        sequence_length=10, reuse_length=0, num_predict=4, permutation_size=5
    )
    model = tasks.Pretrainer.from_preset(make_directory("lm"), objective=objective)
    names = ("padding_mask", "order", "target_positions")
    encoded = model.backbone.encode(features_of(reference, *names))
    logits = model.heads["tokens"](encoded["target_output"])
    assert_near(to_numpy(logits), reference["lm/logits"])


def test_classes(make_directory, reference, assert_near, caplog):
    model = tasks.TextClassifier.from_preset(make_directory("classes"))
    assert model.num_classes == 3 and not caplog.records
    logits = model(features_of(reference, "padding_mask"))
    assert_near(to_numpy(logits), reference["classes/logits"])


def test_a_score(make_directory, reference, assert_near, caplog):
    model = tasks.TextRegressor.from_preset(make_directory("score"))
    assert not caplog.records
    scores = to_numpy(model(features_of(reference, "padding_mask")))
    assert_near(scores.reshape(4, 1), reference["score/logits"])


def test_words(make_directory, reference, assert_near, caplog):
    model = tasks.TokenClassifier.from_preset(make_directory("words"))
    assert model.class_names == ["O", "B-a/b", "I-a/b"] and not caplog.records
    logits = to_numpy(model(features_of(reference, "padding_mask")))
    rows = real_rows(reference)
    assert_near(logits[rows], reference["words/logits"][rows])


def test_choices(make_directory, reference, assert_near, caplog):
    model = tasks.MultipleChoice.from_preset(make_directory("choices"))
    assert not caplog.records
    features = features_of(reference, "padding_mask")
    features = {
        name: np.stack([np.roll(value, -k, axis=0) for k in range(3)], axis=1)
        for name, value in features.items()
    }
    assert_near(to_numpy(model(features)), reference["choices/logits"])


def test_spans(make_directory, reference, assert_near):
    model = tasks.SpanExtractor.from_preset(make_directory("span"))
    assert not model.beam
    outputs = model(features_of(reference, "padding_mask", "answer_mask"))
    mask = reference["answer_mask"]  # transformers' simple head has no mask
    for name in ("start", "end"):
        assert_near(to_numpy(outputs[name])[mask], reference[f"span/{name}"][mask])


def test_beams_of_spans(make_directory, reference, assert_near):
    model = tasks.SpanExtractor.from_preset(make_directory("beam"))
    assert model.beam and (model.start_top, model.end_top) == (3, 2)
    features = features_of(reference, "padding_mask", "answer_mask")
    outputs = model({**features, "start_positions": np.full(4, -1, "int32")})
    for name in ("start_top_index", "end_top_index"):
        np.testing.assert_array_equal(to_numpy(outputs[name]), reference[f"beam/{name}"])
    for name in ("start_top_log_probs", "end_top_log_probs", "impossible"):
        assert_near(to_numpy(outputs[name]), reference[f"beam/{name}"])


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
