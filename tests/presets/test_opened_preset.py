import json
import os

import pytest

from keras_plm import files, presets
from keras_plm.presets import opened_preset

OWN = {"class_name": "XLNetBackbone", "config": {"vocabulary_size": 3}}
BERT = {
    "model_type": "bert",
    "vocab_size": 7,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "hidden_size": 4,
    "intermediate_size": 8,
    "max_position_embeddings": 5,
}


def write(directory, config):
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def test_a_preset_of_ours(tmp_path):
    opened = presets.open_preset(write(tmp_path, OWN))
    assert opened.checkpoint is None and opened.tokenizer_files is None
    assert os.fspath(opened) == str(opened) == str(tmp_path)
    assert opened.has("config.json") and not opened.has("task.json")
    assert opened.file("config.json") == tmp_path.resolve() / "config.json"
    with pytest.raises(FileNotFoundError, match="task.json"):
        opened.read_json("task.json")


def test_a_preset_of_others(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    opened = presets.open_preset(write(tmp_path, BERT))
    assert opened.checkpoint.class_name == "TransformerBackbone"
    assert opened.tokenizer_files.kind == "wordpiece"
    assert opened.tokenizer_files is opened.tokenizer_files


def test_a_file_is_read_once_and_nobody_changes_it_for_others(tmp_path, monkeypatch):
    names, read_json = [], files.read_json
    monkeypatch.setattr(
        files, "read_json", lambda path, **more: names.append(path.name) or read_json(path, **more)
    )
    opened = presets.open_preset(write(tmp_path, OWN))
    opened.read_json("config.json")["config"]["vocabulary_size"] = 4
    assert opened.read_json("config.json") == OWN
    assert names == ["config.json"]


def test_an_opened_preset_is_not_opened_again(tmp_path, monkeypatch):
    opened = presets.open_preset(write(tmp_path, BERT))
    monkeypatch.setattr(opened_preset, "find_preset", None)
    monkeypatch.setattr(opened_preset, "open_checkpoint", None)
    assert presets.open_preset(opened) is opened


def test_no_preset(tmp_path):
    with pytest.raises(FileNotFoundError, match="no preset .*nowhere"):
        presets.open_preset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not valid JSON"):
        (tmp_path / "config.json").write_text("{")
        presets.open_preset(tmp_path)
