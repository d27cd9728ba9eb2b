import json

import h5py
import numpy as np
import pytest

from keras_plm import presets
from keras_plm.checkpoints.families.keras_hub_models import hub_arguments, hub_weights
from keras_plm.checkpoints.keras_hub_checkpoint import KerasHubCheckpoint

SIZES = dict(
    vocabulary_size=7,
    num_layers=2,
    num_heads=2,
    hidden_dim=4,
    intermediate_dim=6,
    max_sequence_length=5,
    dropout=0.1,
)
TOKENIZERS = {
    "BertBackbone": ("BertTokenizer", ["vocabulary.txt"]),
    "RobertaBackbone": ("RobertaTokenizer", ["vocabulary.json", "merges.txt"]),
    "GPT2Backbone": ("GPT2Tokenizer", ["vocabulary.json", "merges.txt"]),
}


@pytest.fixture
def make_directory(tmp_path):
    """A function that writes the files that KerasHub writes."""

    def make_directory(name, package="keras_hub", tokenizer=(), change=None, **changes):
        config = {**SIZES, **({"num_segments": 2} if name == "BertBackbone" else {})}
        arrays = {
            stored: np.full(shape, index, "float32")
            for index, (_, stored, shape) in enumerate(
                hub_weights(name, hub_arguments(name, config)).values()
            )
        }
        if change is not None:
            change(arrays)
        with h5py.File(tmp_path / "model.weights.h5", "w") as file:
            for stored, array in arrays.items():
                file[stored] = array
        saved = {
            "module": "os",
            "class_name": name,
            "config": {**config, **changes},
            "registered_name": f"{package}>{name}",
        }
        (tmp_path / "config.json").write_text(json.dumps(saved))
        if tokenizer != ():
            kind, names = TOKENIZERS[name]
            saved = {"class_name": kind, "config": dict(tokenizer)}
            (tmp_path / "tokenizer.json").write_text(json.dumps(saved))
            (tmp_path / "assets" / "tokenizer").mkdir(parents=True)
            for one in names:
                (tmp_path / "assets" / "tokenizer" / one).write_text("")
        return tmp_path

    return make_directory


@pytest.mark.parametrize("package", ["keras_hub", "keras_nlp"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_weights_and_arguments(make_directory, name, package):
    checkpoint = presets.open_checkpoint(make_directory(name, package))
    assert type(checkpoint) is KerasHubCheckpoint
    assert checkpoint.class_name == "TransformerBackbone"
    values = dict(checkpoint.backbone_weights(checkpoint.arguments))
    paths = list(hub_weights(name, checkpoint.arguments))
    assert list(values) == paths
    assert all(array.dtype == "float32" for array in values.values())
    assert [array.flat[0] for array in values.values()] == list(range(len(paths)))
    assert checkpoint.head_weights({"tokens": {}})[0] == {} and checkpoint.settings() == {}
    assert checkpoint.tokenizer() is None


def test_the_pooler_can_be_left_out(make_directory):
    checkpoint = presets.open_checkpoint(make_directory("BertBackbone"))
    values = dict(checkpoint.backbone_weights({**checkpoint.arguments, "pooler": False}))
    assert "pooler/kernel" not in values and "segment_embedding/embeddings" in values


def test_tokenizers(make_directory):
    config = {"lowercase": True, "strip_accents": True, "split": True}
    directory = make_directory("BertBackbone", tokenizer=config)
    found = presets.open_checkpoint(directory).tokenizer()
    assert found.kind == "wordpiece" and found.layout == "bert" and found.special["cls"] == "[CLS]"
    assert found.settings == {"lowercase": True, "strip_accents": True, "split_chinese": True}
    assert found.files == {
        "vocabulary": directory.resolve() / "assets" / "tokenizer" / "vocabulary.txt"
    }


@pytest.mark.parametrize("name", ["RobertaBackbone", "GPT2Backbone"])
def test_tokenizers_of_byte_pairs(make_directory, name):
    found = presets.open_checkpoint(make_directory(name, tokenizer={})).tokenizer()
    assert found.kind == "byte_level_bpe" and sorted(found.files) == ["merges", "vocabulary"]
    assert found.settings == {"add_prefix_space": False}


@pytest.mark.parametrize(
    "config, message",
    [
        ({"suffix_indicator": "@@"}, "must have"),
        ({"lowercase": "yes"}, "must have true or false"),
    ],
)
def test_other_tokenizers_are_refused(make_directory, config, message):
    checkpoint = presets.open_checkpoint(make_directory("BertBackbone", tokenizer=config))
    with pytest.raises(ValueError, match=message):
        checkpoint.tokenizer()


def test_another_class_of_tokenizer_is_refused(make_directory):
    directory = make_directory("BertBackbone", tokenizer={})
    (directory / "tokenizer.json").write_text(json.dumps({"class_name": "X", "config": {}}))
    with pytest.raises(ValueError, match="must describe a BertTokenizer. Received: 'X'"):
        presets.open_checkpoint(directory).tokenizer()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda arrays: arrays.pop("layers/dense/vars/0"), "1 missing: layers/dense/vars/0"),
        (lambda arrays: arrays.update(more=np.zeros(2, "float32")), "1 unexpected: more"),
        (
            lambda arrays: arrays.update({"layers/dense/vars/1": np.zeros(3, "float32")}),
            "another shape",
        ),
        (
            lambda arrays: arrays["layers/dense/vars/1"].fill(np.nan),
            "not finite: 'layers/dense/vars/1'",
        ),
        (
            lambda arrays: arrays.update({"layers/dense/vars/1": np.zeros(4, "int8")}),
            "must hold weights of a model that is not quantized",
        ),
    ],
)
def test_damaged_weights_are_refused(make_directory, change, message):
    checkpoint = presets.open_checkpoint(make_directory("BertBackbone", change=change))
    with pytest.raises(ValueError, match=message):
        dict(checkpoint.backbone_weights(checkpoint.arguments))


def test_a_truncated_file_is_refused(make_directory):
    directory = make_directory("GPT2Backbone")
    path = directory / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:2000])
    checkpoint = presets.open_checkpoint(directory)
    with pytest.raises(ValueError, match="not a usable weights file"):
        checkpoint.backbone_weights(checkpoint.arguments)


def test_wrong_configurations_are_refused(make_directory):
    directory = make_directory("GPT2Backbone", num_layers="2/../..")
    with pytest.raises(ValueError, match="config.json: .*num_layers"):
        presets.open_checkpoint(directory)
    directory = make_directory("GPT2Backbone")
    (directory / "config.json").write_text(
        json.dumps({"registered_name": "keras_hub>GPT2Backbone"})
    )
    with pytest.raises(ValueError, match="no `config` object"):
        presets.open_checkpoint(directory)


def test_other_presets_are_not_of_keras_hub(make_directory):
    directory = make_directory("GPT2Backbone")
    for name in ("keras_hub>GemmaBackbone", "other>GPT2Backbone", "keras_plm>XLNetBackbone", None):
        (directory / "config.json").write_text(json.dumps({"registered_name": name}))
        assert presets.open_checkpoint(directory) is None
