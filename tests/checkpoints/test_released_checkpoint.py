"""Checkpoints that nobody vouches for: read whole, or refused with one clear error."""

import gzip
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_plm import data, presets, tasks
from keras_plm.backbones import Backbone, XLNetBackbone
from keras_plm.presets import open_checkpoint

FIXTURES = Path(__file__).parents[1] / "fixtures"
TABLE = "transformer.word_embedding.weight"
BIAS = "transformer.layer.1.ff.layer_1.bias"


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def weights(model):
    return {w.path: to_numpy(w.value) for w in model.weights if "seed" not in w.path}


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys() and len(first) > 20
    for path in first:
        np.testing.assert_array_equal(first[path], second[path], path)


# === Whole checkpoints ===


def test_our_own_directories_are_not_of_others(tmp_path):
    XLNetBackbone(9, 1, 2, 4, 8).save_to_preset(tmp_path / "own")
    assert open_checkpoint(tmp_path / "own") is None
    (tmp_path / "empty").mkdir()
    assert open_checkpoint(tmp_path / "empty") is None


def test_shards_are_as_good_as_one_file(make_directory):
    expected = Backbone.from_preset(make_directory("classes"))
    directory = make_directory("classes", "sharded")
    arrays = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    weight_map = {}
    for number, name in enumerate(sorted(arrays)):
        weight_map[name] = f"model-{1 + number % 2:05}-of-00002.safetensors"
    for file in set(weight_map.values()):
        part = {name: arrays[name] for name in arrays if weight_map[name] == file}
        save_file(part, directory / file)
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert_same_weights(Backbone.from_preset(directory), expected)
    (directory / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        Backbone.from_preset(directory)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files(dtype, make_directory):
    import ml_dtypes  # noqa: F401

    def change(arrays):
        arrays |= {name: array.astype(dtype) for name, array in arrays.items()}

    whole = Backbone.from_preset(make_directory("plain"))
    half = Backbone.from_preset(make_directory("plain", "half", change))
    assert {str(weight.dtype) for weight in half.weights} == {"float32"}
    table = to_numpy(half.token_embedding.embeddings)
    expected = to_numpy(whole.token_embedding.embeddings).astype(dtype).astype("float32")
    np.testing.assert_array_equal(table, expected)


def test_into_half_precision(make_directory):
    half = Backbone.from_preset(make_directory("plain"), dtype="bfloat16")
    assert half.token_embedding.embeddings.dtype == "bfloat16"


def test_our_own_format_afterwards(make_directory, tmp_path):
    for case in ("plain", "tied"):
        backbone = Backbone.from_preset(make_directory(case, case))
        backbone.save_to_preset(tmp_path / "own")
        again = Backbone.from_preset(tmp_path / "own")
        assert again.get_config() == backbone.get_config()
        assert_same_weights(again, backbone)


def test_a_task_afterwards(make_directory, tmp_path, caplog):
    model = tasks.TextClassifier.from_preset(make_directory("classes"))
    model.save_to_preset(tmp_path / "own")
    again = tasks.TextClassifier.from_preset(tmp_path / "own")
    assert_same_weights(again, model)
    assert not caplog.records


def test_names_of_classes(make_directory, tmp_path):
    directory = make_directory("words")
    model = tasks.TokenClassifier.from_preset(directory)
    model.save_to_preset(tmp_path / "own")
    for preset in (directory, tmp_path / "own"):
        again = tasks.TokenClassifier.from_preset(preset)
        assert again.class_names == ["O", "B-a/b", "I-a/b"]
        assert tasks.TokenClassifier.from_preset(preset, num_classes=5).class_names is None


def test_without_weights(make_directory):
    directory = make_directory("plain")
    (directory / "model.safetensors").unlink()
    backbone = Backbone.from_preset(directory, load_weights=False)
    assert backbone.vocabulary_size == 50 and backbone.dropout == 0.0
    with pytest.raises(FileNotFoundError, match="no file 'model.safetensors'"):
        Backbone.from_preset(directory)


def test_other_arguments(make_directory):
    backbone = Backbone.from_preset(make_directory("plain"), dropout=0.4, name="mine")
    assert backbone.dropout == 0.4 and backbone.name == "mine"
    with pytest.raises(ValueError, match=r"no arguments \['droput'\]"):
        Backbone.from_preset(make_directory("plain", "again"), droput=0.4)
    with pytest.raises(ValueError, match="34 of another shape|of another shape"):
        Backbone.from_preset(make_directory("plain", "wide"), hidden_dim=32)
    with pytest.raises(ValueError, match="17 missing: .*transformer.layer.2"):
        Backbone.from_preset(make_directory("plain", "deep"), num_layers=3)


def test_tied_biases_that_differ(make_directory, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        backbone = Backbone.from_preset(make_directory("plain", untie_r=False))
    assert not backbone.tied_biases
    assert "`untie_r` is false, but the biases of the layers differ" in caplog.text
    caplog.clear()
    assert Backbone.from_preset(make_directory("tied", "tied")).tied_biases
    assert not caplog.records


def test_what_is_dropped_is_said_once(make_directory, caplog):
    directory = make_directory("classes", bi_data=True)
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        tasks.TextClassifier.from_preset(directory)
    (record,) = caplog.records
    assert "`bi_data` is dropped" in record.getMessage()


# === Heads ===


def test_a_head_that_is_not_there_starts_new(make_directory, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        tasks.TextClassifier.from_preset(make_directory("lm"), num_classes=2)
    (record,) = caplog.records
    assert "start new: ['label']" in record.getMessage()
    with pytest.raises(ValueError, match=r"does not say \['num_classes'\]"):
        tasks.TextClassifier.from_preset(make_directory("lm", "again"))


def test_another_number_of_classes_starts_a_new_head(make_directory, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = tasks.TextClassifier.from_preset(make_directory("classes"), num_classes=7)
    assert "start new: ['label']" in caplog.text and model.num_classes == 7


def test_a_head_that_computes_something_else(make_directory):
    directory = make_directory("classes", summary_type="attn")
    Backbone.from_preset(directory)
    with pytest.raises(ValueError, match="summary_type='attn' is not supported"):
        tasks.TextClassifier.from_preset(directory)


def head_weights(directory):
    return open_checkpoint(directory).head_weights({"tokens": {"bias": (50,)}})[0]


def test_a_copy_of_the_tied_matrix(make_directory, reference):
    def equal(arrays):
        arrays["lm_loss.weight"] = arrays[TABLE].copy()

    def different(arrays):
        arrays["lm_loss.weight"] = arrays[TABLE] + 1

    found = head_weights(make_directory("lm", "equal", equal))
    np.testing.assert_array_equal(found["tokens"]["bias"], reference["weights/lm_loss.bias"])
    directory = make_directory("lm", "different", different)
    Backbone.from_preset(directory)
    with pytest.raises(ValueError, match="'lm_loss.weight' that differs"):
        head_weights(directory)


def test_heads_of_tensorflow_checkpoints(tmp_path):
    import tensorflow as tf

    from keras_plm.checkpoints.families.xlnet import XLNET

    rng = np.random.default_rng(0)
    sizes = dict(vocabulary_size=9, num_layers=2, num_heads=2, hidden_dim=4, intermediate_dim=8)
    arguments = {**sizes, "tied_biases": True}
    stored = XLNET.backbone_weights(arguments, "tensorflow").values()
    variables = {name: rng.normal(size=one.shape) for one in stored for name in one.names}
    scope = "model/sequnece_summary/summary"
    variables |= {f"{scope}/kernel": rng.normal(size=(4, 4)), f"{scope}/bias": rng.normal(size=4)}
    scope = "model/classification_mnli/logit"
    variables |= {f"{scope}/kernel": rng.normal(size=(4, 3)), f"{scope}/bias": rng.normal(size=3)}
    names = list(variables)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model.ckpt-10"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[name], "float32") for name in names],
    )
    config = dict(n_token=9, n_layer=2, n_head=2, d_head=2, d_model=4, d_inner=8, untie_r=False)
    (tmp_path / "xlnet_config.json").write_text(json.dumps(config))
    model = tasks.TextClassifier.from_preset(tmp_path)
    assert model.backbone.tied_biases and model.num_classes == 3
    head = model.heads["label"]
    expected = variables[f"{scope}/kernel"].astype("float32")
    np.testing.assert_array_equal(to_numpy(head.logits.kernel), expected)
    kernel = variables["model/transformer/layer_1/ff/layer_1/kernel"].astype("float32")
    np.testing.assert_array_equal(to_numpy(model.backbone.blocks[1].intermediate.kernel), kernel)


# === Tokenizers ===


@pytest.fixture(scope="module")
def tokenizer():
    return data.train_tokenizer([FIXTURES / "botchan.txt"], vocabulary_size=300)


@pytest.fixture
def with_tokenizer(make_directory, tokenizer, cases, reference):
    """A function that writes a directory of a model with the vocabulary of the tokenizer."""

    def with_tokenizer(**config):
        def change(arrays):
            arrays[TABLE] = np.zeros((300, 16), "float32")

        directory = make_directory("classes", change=change, vocab_size=300)
        (directory / "spiece.model").write_bytes(tokenizer.proto)
        if config:
            (directory / "tokenizer_config.json").write_text(json.dumps(config))
        return directory

    return with_tokenizer


def test_a_sentencepiece_model(with_tokenizer, tokenizer):
    model = tasks.TextClassifier.from_preset(with_tokenizer(), sequence_length=12)
    found = model.preprocessor.tokenizer
    assert found.proto == tokenizer.proto and model.preprocessor.sequence_length == 12
    assert found.settings == {
        "clean_text": True,
        "keep_accents": False,
        "lowercase": False,
        "num_sentinels": 0,
        "split_digit_commas": True,
    }
    assert model.predict(["the dog", "a door"], verbose=0).shape == (2, 3)


def test_the_settings_of_a_tokenizer(with_tokenizer):
    directory = with_tokenizer(do_lower_case=True, keep_accents=True, tokenizer_class="XLNet")
    settings = tasks.TextClassifier.from_preset(directory).preprocessor.tokenizer.settings
    assert settings["lowercase"] and settings["keep_accents"] and settings["clean_text"]
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": "yes"}')
    with pytest.raises(ValueError, match="'do_lower_case' must be true or false.*'yes'"):
        tasks.TextClassifier.from_preset(directory)


def test_a_tokenizer_of_hugging_face(make_directory):
    with gzip.open(FIXTURES / "tokenizers_json.json.gz") as file:
        content = json.load(file)
    count = len(content["tokenizer"]["model"]["vocab"])

    def change(arrays):
        arrays[TABLE] = np.zeros((count, 16), "float32")

    directory = make_directory("classes", change=change, vocab_size=count)
    (directory / "tokenizer.json").write_text(json.dumps(content["tokenizer"]))
    model = tasks.TextClassifier.from_preset(directory)
    assert model.preprocessor.tokenizer.vocabulary_size == count


@pytest.mark.parametrize("name", ["spiece.model", "tokenizer.json"])
def test_damaged_tokenizers(name, with_tokenizer):
    directory = with_tokenizer()
    (directory / "spiece.model").unlink()
    (directory / name).write_bytes(b"no tokenizer")
    Backbone.from_preset(directory)
    with pytest.raises(ValueError, match="SentencePiece model|not valid JSON"):
        tasks.TextClassifier.from_preset(directory)


# === What is refused ===


def remove(name):
    return lambda arrays: arrays.pop(name)


def put(name, value):
    return lambda arrays: arrays.update({name: np.asarray(value, "float32")})


def several(arrays):
    del arrays[BIAS]
    arrays["transformer.layer.9.rel_attn.q"] = np.zeros(3, "float32")
    arrays[TABLE] = np.zeros((51, 16), "float32")


BAD_WEIGHTS = {
    "missing": (remove(BIAS), f"1 missing: {BIAS}"),
    "a block more": (
        put("transformer.layer.9.rel_attn.q", [1.0]),
        "1 unexpected: transformer.layer.9.rel_attn.q",
    ),
    "misshapen": (
        put(TABLE, np.zeros((51, 16))),
        rf"{TABLE} \(expected \(50, 16\), received \(51, 16\)\)",
    ),
    "transposed": (
        put("transformer.layer.0.ff.layer_1.weight", np.zeros((16, 32))),
        r"expected \(32, 16\), received \(16, 32\)",
    ),
    "all of these": (several, "1 missing: .*; 1 unexpected: .*; 1 of another shape: "),
    "not finite": (put(BIAS, [np.nan] * 32), f"not finite: '{BIAS}'"),
}


@pytest.mark.parametrize("change, message", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights(change, message, make_directory):
    directory = make_directory("classes", change=change)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for cls in (Backbone, XLNetBackbone, tasks.TextClassifier):
        with pytest.raises(ValueError, match=message):
            cls.from_preset(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


BAD_CONFIGS = {
    "another type": (
        dict(model_type="llama"),
        r"type 'llama'. Known are \['awd_lstm', .*'xlnet'\]",
    ),
    "another family": (dict(model_type="gpt2"), "positive integers for .*n_embd"),
    "no type": (dict(model_type=None), "of the type None"),
    "another vocabulary": (dict(vocab_size=51), r"expected \(51, 16\), received \(50, 16\)"),
    "a huge vocabulary": (dict(vocab_size=10**12), "vocabulary_size.*1000000000000"),
    "a huge depth": (dict(n_layer=10**6), "num_layers.*1000000"),
    "a depth that the file has not": (dict(n_layer=900), "missing: .* transformer.layer.100"),
    "a huge width": (dict(d_model=10**9, d_head=None), "hidden_dim.*1000000000"),
    "a width that the file has not": (dict(d_model=4096, d_head=None), r"received \(32, 16\)"),
    "no size": (dict(d_inner=None), "d_inner"),
    "another head width": (dict(d_head=7), "d_head=7"),
    "an unknown activation": (dict(ff_activation="quick_gelu"), "ff_activation"),
    "a negative memory": (dict(mem_len=-1), "memory_length=-1"),
    "a huge memory": (dict(mem_len=10**9), "memory_length.*1000000000"),
}


@pytest.mark.parametrize("changes, message", BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_bad_configs(changes, message, make_directory):
    with pytest.raises(ValueError, match=message):
        Backbone.from_preset(make_directory("plain", **changes))


def test_a_truncated_file(make_directory):
    directory = make_directory("plain")
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a usable safetensors file"):
        Backbone.from_preset(directory)


def test_a_pickle_is_never_opened(make_directory):
    directory = make_directory("plain")
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="is a pickle, .*never opened"):
        Backbone.from_preset(directory)


def test_a_tensorflow_checkpoint_of_another_size(tensorflow_directory):
    path = tensorflow_directory / "xlnet_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(ValueError, match="13 missing: .*layer_2.*; 4 of another shape"):
        Backbone.from_preset(tensorflow_directory)
    path.write_text(json.dumps({**config, "untie_r": False}))
    with pytest.raises(ValueError, match=r"3 of another shape: .*r_r_bias \(expected \(2, 3\)"):
        Backbone.from_preset(tensorflow_directory)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="config.json"):
        Backbone.from_preset(tensorflow_directory)


def test_another_class(make_directory):
    class Other(Backbone):
        pass

    with pytest.raises(ValueError, match=r"of the class 'XLNetBackbone'. Expected .*'Other'"):
        Other.from_preset(make_directory("plain"))


def test_a_failure_leaves_other_models_alone(make_directory):
    model = tasks.TextClassifier.from_preset(make_directory("classes"))
    before = weights(model)
    directory = make_directory("classes", "bad", put(BIAS, [np.inf] * 32))
    with pytest.raises(ValueError, match="not finite"):
        tasks.TextClassifier.from_preset(directory)
    after = weights(model)
    assert all(np.array_equal(before[path], after[path]) for path in before)
    shutil.rmtree(directory)


def test_public_names():
    assert {"open_checkpoint", "list_presets", "export_huggingface"} <= set(presets.__all__)
