import json
import logging
import shutil

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_plm import files
from keras_plm.backbones import XLNetBackbone
from keras_plm.tasks import Pretrainer, TextClassifier, TextPreprocessor
from keras_plm.tasks.preset_files import task_preset

FILES = {
    "config.json",
    "model.weights.h5",
    "task.json",
    "heads.safetensors",
    "preprocessor.json",
    "tokenizer.json",
    "vocabulary.spm",
}


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def weights(layer):
    return {v.path: to_numpy(v.value) for v in layer.weights if "seed" not in v.path}


def randomized(model):
    """The model, with random values in all weights, biases too."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(random.normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def pretrainer(make_pretrainer):
    return randomized(make_pretrainer(num_layers=1, memory_length=8, dropout=0.1))


@pytest.fixture(scope="module")
def classifier(make_classifier):
    return randomized(make_classifier(num_layers=1, num_classes=3, dropout=0.2))


@pytest.fixture(scope="module")
def pretrained(pretrainer, tmp_path_factory):
    """The directory of a Pretrainer's preset."""
    directory = tmp_path_factory.mktemp("pretrained") / "preset"
    pretrainer.save_to_preset(str(directory))
    return directory


@pytest.fixture(scope="module")
def finetuned(classifier, tmp_path_factory):
    """The directory of a TextClassifier's preset."""
    directory = tmp_path_factory.mktemp("finetuned") / "preset"
    classifier.save_to_preset(str(directory))
    return directory


@pytest.fixture
def edited(pretrained, finetuned, tmp_path):
    """A function that copies a preset and changes a JSON file of it."""

    def edited(file, change, preset=pretrained):
        directory = tmp_path / "edited"
        shutil.copytree(preset, directory)
        value = json.loads((directory / file).read_text())
        change(value)
        (directory / file).write_text(json.dumps(value))
        return str(directory)

    return edited


# === Loading one task from the preset of another ===


def test_files(pretrained, finetuned):
    assert {path.name for path in pretrained.iterdir()} == FILES
    assert {path.name for path in finetuned.iterdir()} == FILES


def test_a_classifier_from_a_pretrainer(pretrained, pretrainer, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = TextClassifier.from_preset(str(pretrained), num_classes=4)
    (record,) = [record for record in caplog.records if record.name == "keras_plm"]
    assert "TextClassifier" in record.getMessage() and "['label']" in record.getMessage()
    old, new = weights(pretrainer.backbone), weights(model.backbone)
    assert old.keys() == new.keys()
    for path in old:
        np.testing.assert_array_equal(new[path], old[path], path)
    assert model.num_classes == 4 and model.output.shape == (None, 4)
    assert model.preprocessor.sequence_length == 24
    assert model.backbone.dropout == 0.1 and model.dropout == 0.1
    assert not model.backbone.embedding.query_vector.trainable
    assert model.compiled


def test_a_classifier_from_a_classifier(finetuned, classifier, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = TextClassifier.from_preset(str(finetuned))
    assert not caplog.records
    assert model.num_classes == 3 and model.dropout == 0.2
    old, new = weights(classifier), weights(model)
    assert old.keys() == new.keys() and len(old) > 20
    for path in old:
        np.testing.assert_array_equal(new[path], old[path], path)
    x = model.preprocessor(["the dog", "a door"])
    np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(classifier(x)))


def test_another_number_of_classes_starts_a_new_head(finetuned, classifier, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = TextClassifier.from_preset(str(finetuned), num_classes=5)
    (record,) = caplog.records
    assert "['label']" in record.getMessage()
    assert model.num_classes == 5 and model.dropout == 0.2
    summary = to_numpy(model.heads["label"].summary.kernel.value)
    assert not np.array_equal(summary, to_numpy(classifier.heads["label"].summary.kernel.value))


def test_a_pretrainer_from_a_classifier(finetuned, classifier, objective, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = Pretrainer.from_preset(str(finetuned), objective=objective)
    assert "['tokens']" in caplog.records[0].getMessage() and len(caplog.records) == 1
    query_vector = model.backbone.embedding.query_vector
    assert any(query_vector is one for one in model.trainable_variables)
    np.testing.assert_array_equal(
        to_numpy(model.backbone.token_embedding.embeddings),
        to_numpy(classifier.backbone.token_embedding.embeddings),
    )


def test_a_task_from_a_backbone(pretrainer, tmp_path, caplog):
    pretrainer.backbone.save_to_preset(str(tmp_path / "backbone"))
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        model = TextClassifier.from_preset(str(tmp_path / "backbone"), num_classes=2)
    assert "['label']" in caplog.records[0].getMessage()
    assert model.preprocessor is None
    with pytest.raises(ValueError, match="sequence_length.*has none.*16"):
        TextClassifier.from_preset(str(tmp_path / "backbone"), num_classes=2, sequence_length=16)


def test_a_backbone_and_a_preprocessor_from_a_task(pretrained, pretrainer):
    backbone = XLNetBackbone.from_preset(str(pretrained))
    assert backbone.get_config() == pretrainer.backbone.get_config()
    preprocessor = TextPreprocessor.from_preset(str(pretrained))
    assert preprocessor.tokenizer.fingerprint == pretrainer.tokenizer.fingerprint


def test_without_weights(pretrained, pretrainer, caplog):
    model = Pretrainer.from_preset(str(pretrained), load_weights=False)
    assert not caplog.records
    new, old = (to_numpy(one.backbone.token_embedding.embeddings) for one in (model, pretrainer))
    assert not np.array_equal(new, old)


def test_overrides(pretrained, finetuned, pretrainer, tokenizer):
    model = TextClassifier.from_preset(str(finetuned), sequence_length=8, dropout=0.4)
    assert model.preprocessor.sequence_length == 8
    assert model.dropout == 0.4 and model.heads["label"].dropout.rate == 0.4
    model = Pretrainer.from_preset(str(pretrained), dropout=0.3, memory_length=4)
    assert model.backbone.dropout == 0.3 and model.backbone.memory_length == 4
    own = TextPreprocessor(tokenizer, 10)
    model = Pretrainer.from_preset(str(pretrained), preprocessor=own)
    assert model.preprocessor is own


def test_another_precision(pretrained, pretrainer):
    model = TextClassifier.from_preset(str(pretrained), num_classes=2, dtype="mixed_bfloat16")
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert model.heads["label"].dtype_policy.name == "mixed_bfloat16"
    table = model.backbone.token_embedding.embeddings
    assert table.dtype == "float32"
    np.testing.assert_array_equal(
        to_numpy(table), to_numpy(pretrainer.backbone.token_embedding.embeddings)
    )
    again = Pretrainer.from_preset(str(pretrained), dtype="bfloat16")
    assert again.backbone.token_embedding.embeddings.dtype == "bfloat16"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(), r"does not say \['num_classes'\].*from_preset\(preset, num_classes=...\)"),
        (dict(num_classes=2, layers=3), r"no arguments \['layers'\].*num_layers"),
        (
            dict(num_clases=2),
            "Did you mean 'num_classes'.*'dropout'.*'num_layers'.*'sequence_length'",
        ),
        (dict(num_classes=2, hidden_dim=18), "does not hold the weights"),
        (dict(num_classes=2, num_layers=2), "does not hold the weights.*missing"),
        (dict(num_classes=2, vocabulary_size=200), "does not hold the weights"),
        (dict(num_classes=2, backbone=None), r"no arguments \['backbone'\]"),
        (dict(num_classes=1), "`num_classes` must be an integer"),
        (dict(num_classes=2, sequence_length=1), "`sequence_length` must be an integer"),
    ],
)
def test_bad_arguments(pretrained, arguments, message):
    with pytest.raises(ValueError, match=message):
        TextClassifier.from_preset(str(pretrained), **arguments)


# === Presets that are not what they should be ===


@pytest.mark.parametrize("file", sorted(FILES))
def test_missing_files(file, pretrained, tmp_path):
    directory = tmp_path / "preset"
    shutil.copytree(pretrained, directory)
    (directory / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        TextClassifier.from_preset(str(directory), num_classes=2)


def test_no_preset(tmp_path):
    with pytest.raises(FileNotFoundError, match="no preset .*nowhere"):
        Pretrainer.from_preset(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="no file 'config.json'"):
        Pretrainer.from_preset(str(tmp_path))


def test_what_may_be_missing(pretrained, pretrainer, objective, tmp_path):
    directory = tmp_path / "preset"
    shutil.copytree(pretrained, directory)
    (directory / "preprocessor.json").unlink()
    own = pretrainer.preprocessor  # then that of the preset is not asked for
    assert Pretrainer.from_preset(str(directory), preprocessor=own).preprocessor is own
    for name in ("task.json", "heads.safetensors"):  # a backbone with a tokenizer
        (directory / name).unlink()
    with pytest.raises(ValueError, match=r"does not say \['objective'\]"):
        Pretrainer.from_preset(str(directory))
    assert Pretrainer.from_preset(str(directory), objective=objective).preprocessor is None


@pytest.mark.parametrize("file", ["heads.safetensors", "model.weights.h5"])
@pytest.mark.parametrize("damage", ["cut short", "empty", "text"])
def test_damaged_weights(file, damage, pretrained, tmp_path):
    shutil.copytree(pretrained, tmp_path / "preset")
    path = tmp_path / "preset" / file
    data = path.read_bytes()
    path.write_bytes({"cut short": data[:-100], "empty": b"", "text": b"weights"}[damage])
    with pytest.raises(ValueError, match=f"{file} is not a usable"):
        Pretrainer.from_preset(str(tmp_path / "preset"))


def test_weights_of_no_head_are_passed_over(finetuned, pretrained, tmp_path, caplog):
    """Heads that the preset says it has, but another task has not, are no matter of `strict`."""
    TextClassifier.from_preset(str(pretrained), num_classes=2, strict=True)
    caplog.clear()
    shutil.copytree(finetuned, tmp_path / "preset")
    path = tmp_path / "preset" / "heads.safetensors"
    save_file({**load_file(path), "more/kernel": np.ones(3, "float32")}, path)
    found = TextClassifier.from_preset(str(tmp_path / "preset"))
    whole = TextClassifier.from_preset(str(finetuned), strict=True)
    for ours, theirs in zip(found.heads["label"].get_weights(), whole.heads["label"].get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    (record,) = [one for one in caplog.records if "has no digests" not in one.getMessage()]
    assert "heads.safetensors: 1 arrays that this model has not are passed over: more/kernel." in (
        record.getMessage()
    )
    with pytest.raises(ValueError, match="heads.safetensors does not .* 1 unexpected: more/kernel"):
        TextClassifier.from_preset(str(tmp_path / "preset"), strict=True)


@pytest.mark.parametrize("file", sorted(FILES))
def test_links_that_lead_out(file, pretrained, tmp_path):
    shutil.copytree(pretrained, tmp_path / "preset")
    (tmp_path / "preset" / file).unlink()
    (tmp_path / "preset" / file).symlink_to(pretrained / file)
    with pytest.raises(ValueError, match="a link that leads out"):
        Pretrainer.from_preset(str(tmp_path / "preset"))


def set_in(*path, value):
    """A change of one value of nested JSON."""

    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = value

    return change


LAMBDA = {"class_name": "Lambda", "config": {}}
OBJECTIVE = ["settings", "objective"]


@pytest.mark.parametrize(
    "file, path, value, message",
    [
        ("config.json", ["class_name"], "Lambda", "a preset of the class .* Expected one of"),
        ("config.json", ["registered_name"], "builtins>eval", "of the class 'builtins>eval'"),
        ("config.json", ["config"], None, "config.json has no `config` object"),
        ("config.json", ["config", "num_layers"], 10**9, r"'num_layers'\] must be within"),
        ("config.json", ["config", "num_layers"], -1, "at least 1. Received: num_layers=-1"),
        ("config.json", ["config", "hidden_dim"], 10**15, r"'hidden_dim'\] must be within"),
        ("config.json", ["config", "activation"], "../../evil", "not be a path or a URL.*evil"),
        ("config.json", ["config", "activation"], LAMBDA, "An activation is given by its name"),
        ("config.json", ["config", "name"], "/etc/passwd", "not be a path or a URL.*passwd"),
        ("config.json", ["config", "dtype"], LAMBDA, "Not a dtype policy"),
        ("config.json", ["config", "more"], 1, r"XLNetBackbone has no arguments \['more'\]"),
        ("task.json", ["settings"], None, "task.json has no `settings` object"),
        ("task.json", OBJECTIVE, None, "must be a dict. Received: config=None"),
        ("task.json", [*OBJECTIVE, "class"], "Lambda", "Unknown objective.*class='Lambda'"),
        ("task.json", [*OBJECTIVE, "num_predict"], 10**12, r"'num_predict'\] must be within"),
        (
            "task.json",
            [*OBJECTIVE, "num_predict"],
            "6",
            "at least 1.*Received: num_predict",
        ),
        ("task.json", [*OBJECTIVE, "span_unit"], "https://x", "not be a path or a URL.*https://x"),
        ("task.json", [*OBJECTIVE, "more"], 1, r"missing \[\], unknown \['more'\]"),
        ("preprocessor.json", ["class"], "Lambda", "json does not describe a TextPreprocessor"),
        ("preprocessor.json", ["sequence_length"], 10**12, r"'sequence_length'\] must be within"),
        ("tokenizer.json", ["class"], "Lambda", "a tokenizer of one of.*class='Lambda'"),
        ("tokenizer.json", ["fingerprint"], "0" * 64, "vocabulary in .* is not the one that"),
    ],
)
def test_edited_pretrainer(file, path, value, message, edited):
    with pytest.raises(ValueError, match=message):
        Pretrainer.from_preset(edited(file, set_in(*path, value=value)))


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["settings"], [1, 2], "task.json has no `settings` object"),
        (["settings", "num_classes"], 10**9, r"'num_classes'\] must be within"),
        (
            ["settings", "num_classes"],
            "3",
            "`num_classes` must be an integer.*Received: num_classes='3'",
        ),
        (
            ["settings", "num_classes"],
            None,
            "`num_classes` must be an integer.*Received: num_classes=None",
        ),
        (
            ["settings", "dropout"],
            7.0,
            "a number from 0 to 1. Received: dropout=7.0",
        ),
        (["settings", "more"], 1, r"TextClassifier has no settings \['more'\]"),
        (["settings", "backbone"], "x", r"TextClassifier has no settings \['backbone'\]"),
    ],
)
def test_edited_classifier(path, value, message, edited, finetuned):
    with pytest.raises(ValueError, match=message):
        TextClassifier.from_preset(edited("task.json", set_in(*path, value=value), finetuned))


# === Saving ===


def test_a_foreign_directory_is_not_replaced(pretrainer, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match="it is not replaced"):
        pretrainer.save_to_preset(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_heads", "write_json"])
def test_a_kill_while_saving(error, step, pretrainer, classifier, tmp_path, monkeypatch):
    directory = tmp_path / "preset"
    pretrainer.save_to_preset(str(directory))

    def fail(*arguments, **keywords):
        raise error

    monkeypatch.setattr(task_preset, step, fail)
    with pytest.raises(type(error), check=lambda caught: caught is error):
        classifier.save_to_preset(str(directory))
    with pytest.raises(type(error), check=lambda caught: caught is error):
        classifier.save_to_preset(str(tmp_path / "other"))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]
    assert Pretrainer.from_preset(str(directory)).objective == pretrainer.objective
    classifier.save_to_preset(str(directory))  # and now it is replaced
    assert TextClassifier.from_preset(str(directory)).num_classes == 3


def test_nothing_in_a_preset_is_a_path_or_code(pretrained):
    for path in pretrained.glob("*.json"):
        value = json.loads(path.read_text())
        if path.name != "config.json":
            files.check_config(value)
        assert "lambda" not in path.read_text().lower()
