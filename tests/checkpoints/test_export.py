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
from keras_plm.backbones import Backbone, TransformerBackbone, XLNetBackbone
from keras_plm.heads import MaskedLMHead, SentencePairHead
from keras_plm.objectives import PermutationModeling
from keras_plm.tasks.preset_files.heads_file import read_checkpoint_heads

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


# === The BERT and GPT families ===

TRANSFORMERS = {
    "bert_masked": tasks.MaskedLM,
    "bert_tanh": Backbone,
    "bert_classes": tasks.TextClassifier,
    "bert_choices": tasks.MultipleChoice,
    "bert_span": tasks.SpanExtractor,
    "roberta_masked": tasks.MaskedLM,
    "roberta": Backbone,
    "roberta_classes": tasks.TextClassifier,
    "mpnet_masked": tasks.MaskedLM,
    "mpnet_words": tasks.TokenClassifier,
    "xlm_masked": tasks.MaskedLM,
    "xlm_span": tasks.SpanExtractor,
    "gpt2_words": tasks.TokenClassifier,
    "distilbert_masked": tasks.MaskedLM,
    "distilbert_span": tasks.SpanExtractor,
}
# Heads that no task of one head has, or no task yet.
HEADS = {"bert_pretraining": ["sentence_pair", "tokens"], "gpt": ["tokens"], "gpt2": ["tokens"]}


class WithHeads:
    """A model with a backbone and the pretraining heads of a checkpoint."""

    def __init__(self, directory, names):
        self.backbone = Backbone.from_preset(directory)
        checkpoint = presets.open_checkpoint(directory)
        settings = checkpoint.settings()
        self.heads = {
            "tokens": MaskedLMHead(
                self.backbone.token_embedding,
                transform=settings["transform"],
                activation=settings.get("head_activation", "gelu"),
                use_bias=settings.get("use_bias", True),
                name="tokens",
            ),
            "sentence_pair": SentencePairHead(name="sentence_pair"),
        }
        self.heads = {name: self.heads[name] for name in names}
        for name, head in self.heads.items():
            head.build((None, 12) if name == "sentence_pair" else (None, None, 12))
        assert read_checkpoint_heads(checkpoint, self.heads, self.backbone) == {}


@pytest.mark.parametrize("case", [*TRANSFORMERS, *HEADS])
def test_transformers_of_transformers(
    case, make_transformer, transformer_cases, transformer_weights, tmp_path
):
    directory = make_transformer(case)
    if case in HEADS:
        model = WithHeads(directory, HEADS[case])
    else:
        model = TRANSFORMERS[case].from_preset(directory)
    presets.export_huggingface(model, tmp_path / "export")
    expected = transformer_cases[case]
    arrays = load_file(tmp_path / "export" / "model.safetensors")
    assert {k: list(v.shape) for k, v in arrays.items()} == expected["shapes"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, transformer_weights(name, array.shape), name)
    written = json.loads((tmp_path / "export" / "config.json").read_text())
    shared = written.keys() & expected["config"].keys() - {
        "label2id",
        "bos_token_id",
        "eos_token_id",
        "classifier_dropout",
    }
    assert len(shared) > 12
    for key in shared:
        assert written[key] == expected["config"][key], key


def transformer(**arguments):
    sizes = dict(vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=4)
    settings = {"intermediate_dim": 16, "max_sequence_length": 5, **arguments}
    return TransformerBackbone(**sizes, **settings)


GPT_FLAGS = dict(causal=True, embedding_norm=False, num_segments=0)
TYPES = {
    "bert": dict(pooler=True, num_segments=6),
    "ernie": dict(num_tasks=3),
    "roberta": dict(positions_from_padding=True, num_segments=1, intermediate_dim=7),
    "mpnet": dict(
        positions_from_padding=True, num_segments=0, relative_position_buckets=32, pooler=True
    ),
    "distilbert": dict(num_segments=0, intermediate_dim=7),
    "xlm": dict(num_segments=0, num_languages=3, activation="relu", causal=True),
    "openai-gpt": dict(**GPT_FLAGS, activation="gelu_tanh"),
    "gpt2": dict(**GPT_FLAGS, activation="relu", normalize_first=True, intermediate_dim=7),
}


@pytest.mark.parametrize("kind", TYPES)
def test_the_flags_say_which_model_it_is(kind, tmp_path):
    backbone = transformer(**TYPES[kind])
    presets.export_huggingface(backbone, tmp_path / "export")
    assert json.loads((tmp_path / "export" / "config.json").read_text())["model_type"] == kind
    again = Backbone.from_preset(tmp_path / "export", name=backbone.name)
    assert again.get_config() == backbone.get_config()
    first, second = weights(backbone), weights(again)
    assert all(np.array_equal(first[path], second[path]) for path in first)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (dict(window=3), "Bert: It has .*'window': None.*'window': 3"),
        (dict(num_tasks=3, task_id=2), "Ernie: It has .*'task_id': 0.*'task_id': 2"),
        (dict(head_dim=3), "Bert: It has .*'head_dim': 2.*'head_dim': 3"),
        (dict(normalize_first=True), "GPT2: It has .*'causal': True"),
        (dict(num_segments=0, intermediate_dim=7, causal=True), "XLM: .*four times as wide"),
        (dict(num_segments=0, num_languages=1), "XLM: .*for one language"),
        (dict(**GPT_FLAGS, activation="gelu"), "OpenAIGPT: .*no activation for 'gelu'"),
        (dict(relative_position_buckets=16), "MPNet: .*'relative_position_buckets': 32"),
    ],
)
def test_transformers_that_transformers_has_not(arguments, reason, tmp_path):
    with pytest.raises(ValueError, match=f"no model with these settings.*{reason}"):
        presets.export_huggingface(transformer(**arguments), tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_a_head_that_transformers_computes_otherwise(tmp_path):
    model = tasks.MaskedLM(transformer(activation="relu"), head_activation="gelu")
    with pytest.raises(ValueError, match="the activation 'relu' in transformers. Received: 'gelu'"):
        presets.export_huggingface(model, tmp_path / "export")
    model = tasks.MaskedLM(transformer(), transform=False)
    with pytest.raises(ValueError, match="no head like 'tokens'"):
        presets.export_huggingface(model, tmp_path / "export")


@pytest.fixture(scope="module")
def small():
    return XLNetBackbone(9, 1, 2, 4, 8, dropout=0.0, attention_dropout=0.0)


def test_an_export_is_whole_or_not_at_all(small, tmp_path, monkeypatch):
    presets.export_huggingface(small, tmp_path / "export")
    before = (tmp_path / "export" / "model.safetensors").read_bytes()

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_plm.checkpoints.export.save_file", fail)
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
    with pytest.raises(ValueError, match="XLNet: .*no activation for 'elu'"):
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


def test_a_model_without_segments_is_asked_for_none(wordpiece, tmp_path):
    """The same backbone is an XLM's or a DistilBERT's: the tokenizer's rows say which."""
    shapes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=32)
    backbone = TransformerBackbone(
        wordpiece.vocabulary_size, **shapes, max_sequence_length=16, num_segments=0
    )
    task = tasks.TokenClassifier(backbone, 2, tasks.WordPreprocessor(wordpiece, 16))
    presets.export_huggingface(task, tmp_path / "export")
    read = json.loads((tmp_path / "export" / "config.json").read_text("utf-8"))
    assert read["architectures"] == ["DistilBertForTokenClassification"]
    read = json.loads((tmp_path / "export" / "tokenizer_config.json").read_text("utf-8"))
    assert read["model_input_names"] == ["input_ids", "attention_mask"]
    assert wordpiece.layout.segments == (0, 1, 1)  # which it would name otherwise
    task = tasks.TokenClassifier(backbone, 2)
    presets.export_huggingface(task, tmp_path / "export")
    read = json.loads((tmp_path / "export" / "config.json").read_text("utf-8"))
    assert read["architectures"] == ["XLMForTokenClassification"]
