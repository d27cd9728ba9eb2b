"""Classifiers and readers of BART, as transformers saves them: read, computed, written."""

import functools
import json

import numpy as np
import pytest
import seq2seq_checkpoints
from safetensors.numpy import load_file

from keras_plm.checkpoints import export_huggingface
from keras_plm.tasks import SpanExtractor, TextClassifier, TextEmbedder

reference = functools.partial(seq2seq_checkpoints.reference, "seq2seq_heads")


def write(directory, case):
    """A directory as transformers has it."""
    weights = seq2seq_checkpoints.weights_of(case, "seq2seq_heads")
    config = reference()[1][case]["config"]
    return seq2seq_checkpoints.write(directory, config, weights), weights


def near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("case, cls", [("label", TextClassifier), ("span", SpanExtractor)])
def test_computes_what_transformers_does_and_goes_back(case, cls, tmp_path):
    directory, weights = write(tmp_path / "theirs", case)
    model = cls.from_preset(directory)
    arrays, _ = reference()
    real = arrays["padding_mask"]
    x = {name: arrays[name] for name in ("token_ids", "padding_mask")}
    if case == "label":
        assert model.num_classes == 3
        near(model.predict(x, verbose=0), arrays["label/logits"])
    else:
        found = model.predict({**x, "answer_mask": real}, verbose=0)
        near(found["start"][real], arrays["span/start"][real])
        near(found["end"][real], arrays["span/end"][real])
    export_huggingface(model, str(tmp_path / "ours"))
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert written.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(written[name], value, err_msg=name)
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["architectures"] == reference()[1][case]["config"]["architectures"]


def test_vectors_are_the_encoder_s(tmp_path):
    directory, _ = write(tmp_path / "theirs", "label")
    model = TextEmbedder.from_preset(directory)
    arrays, _ = reference()
    x = {name: arrays[name] for name in ("token_ids", "padding_mask")}
    encoded = model.backbone.encode_source({f"source_{name}": x[name] for name in x})
    rows = np.asarray(encoded["encoder_output"])
    expected = [own[real].mean(axis=0) for own, real in zip(rows, arrays["padding_mask"])]
    near(model.predict(x, verbose=0), np.stack(expected))


def test_another_reading_of_a_text_is_not_written(tmp_path):
    directory, _ = write(tmp_path / "theirs", "label")
    model = TextClassifier.from_preset(directory, pooling="mean")
    with pytest.raises(ValueError, match="reads"):
        export_huggingface(model, str(tmp_path / "ours"))
    with pytest.raises(ValueError, match="the encoder of this one has seen"):
        TextClassifier(model.backbone, 2, auxiliary_lm=0.5)
