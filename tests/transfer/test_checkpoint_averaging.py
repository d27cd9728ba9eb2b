"""checkpoint_averaging.py: the exact mean of backbone and heads, and what cannot be averaged."""

import json

import keras
import numpy as np
import pytest

from keras_plm.backbones import Backbone
from keras_plm.tasks import MaskedLM, TextClassifier, TextPreprocessor
from keras_plm.tokenizers import Tokenizer
from keras_plm.transfer import average_checkpoints


def randomized(model, seed):
    """Weights that are multiples of 1/64: sums and thirds of threes are exact."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(3 * rng.integers(-64, 64, weight.shape) / 64)


def values(model):
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.fixture
def classifier(wordpiece, make_transformer):
    backbone = make_transformer(wordpiece.vocabulary_size, pooler=True)
    return TextClassifier(backbone, 3, TextPreprocessor(wordpiece, 16), class_names=["a", "b", "."])


def test_the_mean_of_a_task(classifier, wordpiece, tmp_path):
    paths, found = [], []
    for seed in range(3):
        randomized(classifier, seed)
        found.append(values(classifier))
        paths.append(str(tmp_path / str(seed)))
        classifier.save_to_preset(paths[-1])
    average_checkpoints(paths, str(tmp_path / "mean"))
    loaded = TextClassifier.from_preset(str(tmp_path / "mean"))
    assert len(loaded.weights) == len(found[0]) > len(loaded.backbone.weights)
    for mean, *each in zip(values(loaded), *found):
        np.testing.assert_array_equal(mean, sum(one.astype("float64") for one in each) / 3)
    assert loaded.class_names == ["a", "b", "."] and loaded.settings() == classifier.settings()
    assert Tokenizer.from_preset(str(tmp_path / "mean")) == wordpiece
    assert loaded.preprocessor.sequence_length == 16
    average_checkpoints(paths[1:2], str(tmp_path / "mean"))  # what is there is replaced
    loaded = TextClassifier.from_preset(str(tmp_path / "mean"))
    assert all((a == b).all() for a, b in zip(values(loaded), found[1], strict=True))


def test_float16_is_averaged_in_float32(make_transformer, tmp_path):
    backbone = make_transformer(30, dtype="float16")
    paths = [tmp_path / str(number) for number in range(2)]
    for path in paths:  # their sum is no float16
        for weight in backbone.weights:
            weight.assign(np.full(weight.shape, 60_000))
        backbone.save_to_preset(str(path))
    average_checkpoints(paths, tmp_path / "mean")
    assert all((one == 60_000).all() for one in values(Backbone.from_preset(tmp_path / "mean")))


def test_other_models(classifier, make_transformer, wordpiece, tmp_path):
    classifier.save_to_preset(str(tmp_path / "first"))
    size = wordpiece.vocabulary_size
    TextClassifier(
        make_transformer(size, pooler=True), 4, TextPreprocessor(wordpiece, 16)
    ).save_to_preset(str(tmp_path / "classes"))
    make_transformer(size, pooler=True, num_layers=2).save_to_preset(str(tmp_path / "deep"))
    make_transformer(size + 1, pooler=True).save_to_preset(str(tmp_path / "large"))
    make_transformer(size, pooler=True).save_to_preset(str(tmp_path / "alone"))
    wrong = {
        "classes": r"'label/.*\(.*3.*\) in .*first and of the shape \(.*4.*\) in .*classes",
        "deep": "_1.*missing in .*first and of the shape .* in .*deep",
        "large": rf"embeddings', .* \({size}, .*first and of the shape \({size + 1}, .*large",
        "alone": "'label/.*in .*first and missing in .*alone",
    }
    for name, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            average_checkpoints([tmp_path / "first", tmp_path / name], tmp_path / "mean")
    with pytest.raises(ValueError, match="'label/.*missing in .*alone and of the shape"):
        average_checkpoints([tmp_path / "alone", tmp_path / "first"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_quantized_models(wordpiece, make_transformer, tmp_path):
    backbone = make_transformer(wordpiece.vocabulary_size)
    MaskedLM(backbone, TextPreprocessor(wordpiece, 16)).save_to_preset(str(tmp_path / "lm"))
    backbone.quantize("int8")
    backbone.save_to_preset(str(tmp_path / "int8"))
    with pytest.raises(ValueError, match="Quantized weights have no mean.*int8"):
        average_checkpoints([tmp_path / "lm", tmp_path / "int8"], tmp_path / "mean")


def test_bad_arguments(make_transformer, tmp_path):
    preset = str(tmp_path / "preset")
    make_transformer(30).save_to_preset(preset)
    with pytest.raises(ValueError, match=r"a preset at least. Received: \[\]"):
        average_checkpoints([], str(tmp_path / "mean"))
    for wrong in (preset, 3, None):
        with pytest.raises(TypeError, match="must be a list of paths"):
            average_checkpoints(wrong, str(tmp_path / "mean"))
    with pytest.raises(ValueError, match="must be none of the paths"):
        average_checkpoints([preset, preset], preset)
    with pytest.raises(FileNotFoundError):
        average_checkpoints([str(tmp_path / "none")], str(tmp_path / "mean"))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    config = {"model_type": "bert", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
    (theirs / "config.json").write_text(json.dumps({**config, "type_vocab_size": 2}))
    with pytest.raises(ValueError, match="load somebody else's checkpoint.*theirs"):
        average_checkpoints([str(theirs)], str(tmp_path / "mean"))
