import json
from pathlib import Path

import pytest

from keras_plm.data import SentencePieceTokenizer, tokenizer_files, train_tokenizer
from keras_plm.data.tokenizer_files import read_preset_tokenizer, read_tokenizer, write_tokenizer

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
CASED = {"clean_text": True, "keep_accents": False, "split_digit_commas": True}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(BOTCHAN, vocabulary_size=300)


def test_read_what_was_written(tokenizer, tmp_path):
    write_tokenizer(tmp_path / "a" / "b", tokenizer)
    proto, settings, fingerprint = read_tokenizer(tmp_path / "a" / "b", tokenizer.settings)
    assert (proto, settings) == (tokenizer.proto, tokenizer.settings)
    assert fingerprint == tokenizer.fingerprint


def test_unknown_settings_and_classes_are_refused(tokenizer, tmp_path):
    write_tokenizer(tmp_path, tokenizer)
    with pytest.raises(ValueError, match="must have settings of"):
        read_tokenizer(tmp_path, ["lowercase"])
    (tmp_path / "tokenizer.json").write_text(json.dumps({"class": "Other"}))
    with pytest.raises(ValueError, match="class SentencePieceTokenizer. Received: 'Other'"):
        read_tokenizer(tmp_path, tokenizer.settings)


def test_too_large_a_model_is_refused(tokenizer, tmp_path, monkeypatch):
    write_tokenizer(tmp_path, tokenizer)
    monkeypatch.setattr(tokenizer_files, "LARGEST_MODEL_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        read_tokenizer(tmp_path, tokenizer.settings)


def hugging_face(directory, **config):
    sizes = {"vocab_size": 300, "n_layer": 1, "n_head": 1, "d_model": 2, "d_inner": 2}
    directory.mkdir()
    text = json.dumps({"model_type": "xlnet", **sizes, **config})
    (directory / "config.json").write_text(text)
    return directory


def test_the_tokenizer_of_a_hugging_face_directory(tokenizer, tmp_path):
    directory = hugging_face(tmp_path / "hf")
    with pytest.raises(FileNotFoundError, match="no spiece.model and no tokenizer.json"):
        SentencePieceTokenizer.from_preset(directory)
    (directory / "spiece.model").write_bytes(tokenizer.proto)
    assert read_preset_tokenizer(directory) == (tokenizer.proto, CASED)
    released = SentencePieceTokenizer.from_preset(directory)
    assert released.settings == {**CASED, "lowercase": False}
    (directory / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    assert SentencePieceTokenizer.from_preset(directory).settings["lowercase"]


def test_the_tokenizer_of_a_tokenizers_json(converted_tokenizer, tmp_path):
    directory = hugging_face(tmp_path / "hf")
    (directory / "tokenizer.json").write_text(json.dumps(converted_tokenizer["tokenizer"]))
    released = SentencePieceTokenizer.from_preset(directory)
    plain = SentencePieceTokenizer(released.proto)
    assert plain.encode(converted_tokenizer["texts"]) == converted_tokenizer["ids"]


def test_the_tokenizer_of_our_own_preset(tokenizer, tmp_path):
    cased = SentencePieceTokenizer(tokenizer.proto, **CASED)
    cased.save(tmp_path)
    assert SentencePieceTokenizer.from_preset(str(tmp_path)) == cased
