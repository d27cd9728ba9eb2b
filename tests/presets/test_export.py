"""What is exported is what transformers saves: the same names, shapes, values and configs.

That transformers loads it with equal outputs is checked by hand, by
tests/fixtures/verify_xlnet_export.py.
"""

import json

import keras
import numpy as np
import pytest
from keras import ops
from safetensors import safe_open
from safetensors.numpy import load_file

from keras_plm import presets, tasks
from keras_plm.backbones import Backbone, XLNetBackbone
from keras_plm.objectives import PermutationModeling

OBJECTIVE = PermutationModeling(
    sequence_length=10, reuse_length=0, num_predict=4, permutation_size=5
)
CASES = {
    "plain": (Backbone, {}),
    "tanh": (Backbone, {}),
    "tied": (Backbone, {}),
    "memory": (Backbone, {}),
    "uni": (Backbone, {}),
    "uni_same_length": (Backbone, {}),
    "lm": (tasks.Pretrainer, {"objective": OBJECTIVE}),
    "classes": (tasks.TextClassifier, {}),
    "score": (tasks.TextRegressor, {}),
    "words": (tasks.TokenClassifier, {}),
    "choices": (tasks.MultipleChoice, {}),
    "span": (tasks.SpanExtractor, {}),
    "beam": (tasks.SpanExtractor, {}),
}
# What transformers writes and we need not, or writes in a way of its own.
FREE = {
    "transformers_version",
    "tie_word_embeddings",
    "untie_r",
    "use_mems_eval",
    "use_mems_train",
    "start_n_top",
    "end_n_top",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_last_dropout",
    "id2label",
    "label2id",
}


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def weights(model):
    return {w.path: to_numpy(w.value) for w in model.weights if "seed" not in w.path}


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_transformers(case, make_directory, cases, reference, tmp_path):
    cls, options = CASES[case]
    model = cls.from_preset(make_directory(case), **options)
    presets.export_huggingface(model, tmp_path / "export")
    assert {path.name for path in tmp_path.joinpath("export").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    arrays = load_file(tmp_path / "export" / "model.safetensors")
    assert {k: list(v.shape) for k, v in arrays.items()} == cases[case]["shapes"]
    for name, array in arrays.items():
        assert array.dtype == np.float32
        stored = cases[case]["names"][name]
        np.testing.assert_array_equal(array, reference[f"weights/{stored}"], name)
    with safe_open(tmp_path / "export" / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
    written = json.loads((tmp_path / "export" / "config.json").read_text())
    expected = cases[case]["config"]
    assert {k: written[k] for k in expected if k not in FREE} == {
        k: v for k, v in expected.items() if k not in FREE
    }
    free = {key for key in FREE & written.keys() if expected.get(key) is not None}
    assert {key: written[key] for key in free} == {key: expected[key] for key in free}


@pytest.mark.parametrize("case", ["tied", "uni_same_length", "lm", "words", "beam"])
def test_there_and_back(case, make_directory, tmp_path):
    cls, options = CASES[case]
    model = cls.from_preset(make_directory(case), **options)
    presets.export_huggingface(model, tmp_path / "export")
    again = cls.from_preset(tmp_path / "export", **options)
    first, second = weights(model), weights(again)
    assert first.keys() == second.keys()
    for path in first:
        np.testing.assert_array_equal(second[path], first[path], path)
    ours, theirs = (one if cls is Backbone else one.backbone for one in (model, again))
    same = ours.get_config()
    assert {**theirs.get_config(), "name": same["name"]} == same


@pytest.fixture(scope="module")
def small():
    return XLNetBackbone(9, 1, 2, 4, 8, dropout=0.0, attention_dropout=0.0)


def test_an_export_is_whole_or_not_at_all(small, tmp_path, monkeypatch):
    presets.export_huggingface(small, tmp_path / "export")
    before = (tmp_path / "export" / "model.safetensors").read_bytes()

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_plm.presets.export.save_file", fail)
    for name in ("export", "other"):
        with pytest.raises(OSError, match="No space"):
            presets.export_huggingface(small, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (tmp_path / "export" / "model.safetensors").read_bytes() == before


def test_no_foreign_directory_is_replaced(small, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match="it is not replaced"):
        presets.export_huggingface(small, tmp_path)


def test_half_precision_becomes_float32(tmp_path):
    half = XLNetBackbone(9, 1, 2, 4, 8, dtype="bfloat16")
    presets.export_huggingface(half, tmp_path / "export")
    arrays = load_file(tmp_path / "export" / "model.safetensors")
    assert {str(array.dtype) for array in arrays.values()} == {"float32"}
    again = XLNetBackbone.from_preset(tmp_path / "export", dtype="bfloat16")
    for path, value in weights(half).items():
        np.testing.assert_array_equal(weights(again)[path], value)


def test_what_transformers_has_not(small, tmp_path):
    lora = XLNetBackbone(9, 1, 2, 4, 8)
    lora.enable_lora(2)
    with pytest.raises(ValueError, match="lora_kernel_a.*save_to_preset"):
        presets.export_huggingface(lora, tmp_path / "export")
    with pytest.raises(ValueError, match="no model of a Dense"):
        presets.export_huggingface(keras.layers.Dense(2), tmp_path / "export")
    elu = XLNetBackbone(9, 1, 2, 4, 8, activation="elu")
    with pytest.raises(ValueError, match="no activation for 'elu'"):
        presets.export_huggingface(elu, tmp_path / "export")

    class Two:
        backbone = small
        heads = {"label": None, "tokens": None}

    with pytest.raises(ValueError, match=r"with the heads \['label', 'tokens'\]"):
        presets.export_huggingface(Two(), tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_a_head_that_transformers_has_not(small, tmp_path):
    head = keras.layers.Dense(3, name="label")
    head.build((None, 4))

    class Other:
        backbone = small
        heads = {"label": head}

    with pytest.raises(ValueError, match=r"no head like 'label' with the weights \['bias'"):
        presets.export_huggingface(Other(), tmp_path / "export")


def test_what_the_config_cannot_say_is_said(tmp_path, caplog):
    presets.export_huggingface(XLNetBackbone(9, 1, 2, 4, 8, dropout=0.3), tmp_path / "export")
    assert "one dropout rate; {'attention_dropout': 0.1} are dropped" in caplog.text


def test_the_tokenizer_is_exported(make_directory, tmp_path):
    class Tokenizer:
        proto = b"a model"
        settings = {"lowercase": True, "keep_accents": True, "split_digit_commas": True}

    class Preprocessor:
        tokenizer = Tokenizer

    class Classifier:
        backbone = Backbone.from_preset(make_directory("plain"))
        heads = {}
        preprocessor = Preprocessor

    presets.export_huggingface(Classifier, tmp_path / "export")
    assert (tmp_path / "export" / "spiece.model").read_bytes() == b"a model"
    config = json.loads((tmp_path / "export" / "tokenizer_config.json").read_text())
    assert config == {
        "do_lower_case": True,
        "keep_accents": True,
        "tokenizer_class": "XLNetTokenizer",
    }
