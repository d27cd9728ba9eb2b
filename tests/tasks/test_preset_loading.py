"""Loading: every file opened once, nothing written, and no size believed before it is compared."""

import builtins
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import files, presets
from keras_plm.backbones import Backbone, TransformerBackbone
from keras_plm.backbones.preset_files import preset_directory
from keras_plm.checkpoints import released_checkpoint
from keras_plm.data import Tokenizer
from keras_plm.presets import opened_preset
from keras_plm.tasks import TextClassifier, TextPreprocessor

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "door", "##s", "."]


def weights(model):
    found = {w.path: np.array(ops.convert_to_numpy(w.value)) for w in model.weights}
    return {path: value for path, value in found.items() if "seed" not in path}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A classifier, its preset, and the same as a Hugging Face directory."""
    folder = tmp_path_factory.mktemp("presets")
    (folder / "vocabulary").mkdir()
    vocabulary = folder / "vocabulary"
    config = {
        "model_type": "bert",
        "vocab_size": len(PIECES),
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": 8,
        "intermediate_size": 16,
        "max_position_embeddings": 16,
    }
    (vocabulary / "config.json").write_text(json.dumps(config))
    (vocabulary / "vocab.txt").write_text("\n".join(PIECES))
    backbone = TransformerBackbone(len(PIECES), 2, 2, 8, 16, 16, pooler=True)
    preprocessor = TextPreprocessor(Tokenizer.from_preset(vocabulary), 12)
    classifier = TextClassifier(backbone, num_classes=3, preprocessor=preprocessor)
    classifier.save_to_preset(folder / "own")
    presets.export_huggingface(classifier, folder / "hugging_face")
    (folder / "hugging_face" / "vocab.txt").write_text("\n".join(PIECES))
    return classifier, folder


class Watch:
    """Counts what is opened while a preset is loaded, and refuses all writing."""

    def __init__(self, monkeypatch):
        self.read, self.probed, self.found = [], [], []
        watched = [
            (files, "read_json", lambda path, **_: self.read.append(Path(path).name)),
            (opened_preset, "open_checkpoint", lambda *_: self.probed.append("format")),
            (released_checkpoint, "open_keras_hub", lambda *_: self.probed.append("KerasHub")),
            (opened_preset, "find_preset", self.found.append),
            (builtins, "open", self.refuse_writing),
            (h5py, "File", self.refuse_writing),
        ]
        for place, name, look in watched:
            monkeypatch.setattr(place, name, self.watched(getattr(place, name), look))
        for name in ("mkdir", "mkdtemp", "mkstemp"):
            place = os if name == "mkdir" else tempfile
            monkeypatch.setattr(place, name, lambda *args, name=name, **_: pytest.fail(name))

    def refuse_writing(self, path, mode="r", *_, **__):
        assert not set(mode) & set("wax+"), f"{path} is opened for writing"

    @staticmethod
    def watched(function, look):
        if isinstance(function, type):  # `h5py.File` is also asked for with isinstance

            class Watched(function):
                def __init__(self, *args, **more):
                    look(*args, **more)
                    super().__init__(*args, **more)

            return Watched

        def watched(*args, **more):
            look(*args, **more)
            return function(*args, **more)

        return watched


@pytest.mark.parametrize("form", ["own", "hugging_face"])
def test_everything_is_opened_once_and_nothing_is_written(form, directories, monkeypatch):
    classifier, folder = directories
    watch = Watch(monkeypatch)
    again = TextClassifier.from_preset(folder / form, sequence_length=12)
    monkeypatch.undo()
    assert watch.read.count("config.json") == 1
    assert len(watch.read) == len(set(watch.read)), watch.read
    assert watch.probed == ["format", *(["KerasHub"] if form == "own" else [])]
    assert watch.found == [folder / form]
    expected = weights(classifier)
    assert weights(again).keys() == expected.keys()
    for path, value in weights(again).items():
        np.testing.assert_array_equal(value, expected[path], path)
    assert again.compiled and again.preprocessor.tokenizer == classifier.preprocessor.tokenizer


def test_an_opened_preset_is_handed_to_all(directories, monkeypatch):
    classifier, folder = directories
    opened = presets.open_preset(folder / "own")
    watch = Watch(monkeypatch)
    task = TextClassifier.from_preset(opened)
    backbone, preprocessor = Backbone.from_preset(opened), TextPreprocessor.from_preset(opened)
    tokenizer = Tokenizer.from_preset(opened)
    monkeypatch.undo()
    assert not watch.found and not watch.probed and "config.json" not in watch.read
    assert backbone.get_config() == task.backbone.get_config() == classifier.backbone.get_config()
    assert tokenizer == preprocessor.tokenizer


def test_a_new_head_is_drawn_as_beside_a_backbone_that_was_made(directories):
    """The seeds are those of the layers, whether the backbone's weights are drawn or read."""
    folder = directories[1]
    keras.utils.set_random_seed(3)
    config = json.loads((folder / "own" / "config.json").read_text())["config"]
    made = TextClassifier(TransformerBackbone.from_config(config), num_classes=5)
    for form in ("own", "hugging_face"):
        keras.utils.set_random_seed(3)
        loaded = TextClassifier.from_preset(folder / form, num_classes=5, preprocessor=None)
        for key in ("kernel", "bias"):
            one, other = (getattr(task.heads["label"].logits, key) for task in (loaded, made))
            np.testing.assert_array_equal(*(ops.convert_to_numpy(w.value) for w in (one, other)))


def test_without_weights_all_is_drawn_as_in_a_new_model(directories):
    folder = directories[1]
    config = json.loads((folder / "own" / "config.json").read_text())["config"]
    keras.utils.set_random_seed(4)
    expected = weights(TransformerBackbone.from_config(config))
    keras.utils.set_random_seed(4)
    found = weights(Backbone.from_preset(folder / "own", load_weights=False))
    assert found.keys() == expected.keys()
    for path, value in found.items():
        np.testing.assert_array_equal(value, expected[path], path)


class Eager(Backbone):
    """A user's backbone whose constructor needs the values of its weights."""

    def __init__(self, vocabulary_size, dtype=None, **kwargs):
        self.table = keras.layers.Embedding(vocabulary_size, 4, name="table", dtype=dtype)
        self.table.build()
        self.offset = keras.Variable(np.ones(4))  # no initializer
        inputs = {"token_ids": keras.Input((None,), dtype="int32", name="token_ids")}
        outputs = self.table(inputs["token_ids"])
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)
        self.vocabulary_size = vocabulary_size

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


def test_a_backbone_whose_constructor_needs_values(tmp_path):
    model = Eager(6)
    model.save_to_preset(tmp_path / "preset")
    again = preset_directory.read_backbone(tmp_path / "preset", [Eager])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again.table.embeddings.value),
        ops.convert_to_numpy(model.table.embeddings.value),
    )


def test_made_up_sizes_cost_nothing(tmp_path):
    """Each is refused with its file's name, within 1 CPU second and 200 MB."""
    script = Path(__file__).with_name("crafted_sizes.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(found) == 55 and len({(one["form"], one["place"]) for one in found}) == 55
    for one in found:
        assert one["message"] is not None and str(tmp_path) in one["message"], one
        assert one["seconds"] < 1 and one["megabytes"] < 200, one


def test_settings_of_other_heads_than_the_file_holds(directories, tmp_path):
    """They are refused, unless the caller asks for other heads."""
    shutil.copytree(directories[1] / "own", tmp_path / "preset")
    path = tmp_path / "preset" / "task.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "settings": {**saved["settings"], "num_classes": 4}}))
    for arguments in ({}, {"dropout": 0.3}, {"summarise": True}):
        with pytest.raises(ValueError, match="task.json describes other heads.*num_classes=4"):
            TextClassifier.from_preset(tmp_path / "preset", **arguments)
    assert TextClassifier.from_preset(tmp_path / "preset", num_classes=4).num_classes == 4
    assert TextClassifier.from_preset(tmp_path / "preset", num_classes=3).num_classes == 3
    path.write_text(json.dumps({**saved, "settings": {**saved["settings"], "summarise": True}}))
    with pytest.raises(ValueError, match="other heads.*'label/.*in the file None"):
        TextClassifier.from_preset(tmp_path / "preset")
    assert TextClassifier.from_preset(tmp_path / "preset", summarise=False).num_classes == 3
