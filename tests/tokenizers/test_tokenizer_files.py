import json
from pathlib import Path

import pytest

from keras_plm.checkpoints.conversion import TokenizerFiles
from keras_plm.data import SentencePieceTokenizer, SubwordTokenizer, Tokenizer, train_tokenizer
from keras_plm.tokenizers import tokenizer as tokenizer_module
from keras_plm.tokenizers import tokenizer_files
from keras_plm.tokenizers.tokenizer_files import (
    arguments_of_files,
    read_preset_tokenizer,
    read_tokenizer,
    write_tokenizer,
)

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
CASED = {"clean_text": True, "keep_accents": False, "split_digit_commas": True}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(BOTCHAN, vocabulary_size=300)


def test_read_what_was_written(tokenizer, tmp_path):
    write_tokenizer(tmp_path, tokenizer)
    name, settings, *rest = read_tokenizer(tmp_path)
    assert (name, settings) == ("SentencePieceTokenizer", tokenizer.settings)
    assert rest == ["xlnet", tokenizer.fingerprint, None]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"settings": []}, "an object of settings.*Received"),
        ({"layout": 3}, "an object of settings.*Received"),
        ({"vocabulary": "vocabulary.txt"}, "name a file such as.*'vocabulary.txt'"),
        ({"vocabulary": "../vocabulary-0123456789ab.spm"}, "name a file such as.*Received"),
        ({"vocabulary": 3}, "name a file such as.*Received: vocabulary=3"),
    ],
)
def test_what_describes_no_tokenizer(tmp_path, wrong, message):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"class": "A", **wrong}))
    with pytest.raises(ValueError, match=message):
        read_tokenizer(tmp_path)


def test_too_large_a_model_is_refused(tokenizer, tmp_path, monkeypatch):
    tokenizer.save(tmp_path)
    monkeypatch.setattr(tokenizer_files, "LARGEST_VOCABULARY_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        SentencePieceTokenizer.load(tmp_path)


def hugging_face(directory, **config):
    sizes = {"vocab_size": 300, "n_layer": 1, "n_head": 1, "d_model": 2, "d_inner": 2}
    directory.mkdir()
    text = json.dumps({"model_type": "xlnet", **sizes, **config})
    (directory / "config.json").write_text(text)
    return directory


def test_the_tokenizer_of_a_hugging_face_directory(tokenizer, tmp_path):
    directory = hugging_face(tmp_path / "hf")
    with pytest.raises(FileNotFoundError, match="no files of a tokenizer"):
        SentencePieceTokenizer.from_preset(directory)
    (directory / "spiece.model").write_bytes(tokenizer.proto)
    arguments = {"proto": tokenizer.proto, **CASED, "layout": "xlnet"}
    assert read_preset_tokenizer(directory) == ("SentencePieceTokenizer", arguments)
    released = SentencePieceTokenizer.from_preset(directory)
    assert released.settings == {**CASED, "lowercase": False, "num_sentinels": 0}
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


def checkpoint(folder, config, files, **more):
    """A Hugging Face directory with the files of a tokenizer."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in {**files, **more}.items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder


BERT = {
    "model_type": "bert",
    "vocab_size": 2000,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}


def test_the_tokenizer_of_a_bert_directory(subword_fixture, subword_tokenizers, tmp_path):
    files = subword_fixture["files"]["wordpiece"]
    for name, lowercase in {"bert_uncased": True, "bert_cased": False}.items():
        said = json.dumps({"do_lower_case": lowercase})
        folder = checkpoint(tmp_path / name, BERT, files, **{"tokenizer_config.json": said})
        tokenizer = Tokenizer.from_preset(str(folder))
        assert tokenizer == subword_tokenizers[name] == SubwordTokenizer.from_preset(str(folder))
    with pytest.raises(ValueError, match="one of the classes.*Received: class='SubwordTokenizer'"):
        SentencePieceTokenizer.from_preset(str(folder))


def test_a_tokenizers_json_alone_and_beside(subword_tokenizers, subword_fixture, tmp_path):
    files, texts = subword_fixture["files"]["wordpiece"], subword_fixture["texts"]
    cased = subword_tokenizers["bert_cased"]
    content = json.loads(cased.model)
    size = cased.vocabulary_size
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content["added_tokens"] = [
        {"id": 4, "content": "[MASK]", "special": True, **added},
        {"id": size, "content": "[NEW]", "special": True, **added},
        {"id": size + 1, "content": "badgerhood", "special": False, **added},
    ]
    content["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    text = json.dumps(content)
    said = json.dumps({"do_lower_case": False})
    alone = checkpoint(tmp_path / "alone", BERT, {"tokenizer.json": text})
    beside = {"tokenizer.json": text, "tokenizer_config.json": said}
    beside = checkpoint(tmp_path / "beside", BERT, files, **beside)
    for folder in (alone, beside):
        tokenizer = Tokenizer.from_preset(str(folder))
        assert tokenizer.encode(texts) == cased.encode(texts)
        assert tokenizer.special_token_ids == cased.special_token_ids
        assert tokenizer.vocabulary_size == size + 2
        assert size + 1 in tokenizer.encode("the badgerhood [NEW]")
        assert size not in tokenizer.encode("the badgerhood [NEW]")
    uncased = json.loads(cased.model)
    uncased["normalizer"]["lowercase"] = True
    files = {"tokenizer.json": json.dumps(uncased), "tokenizer_config.json": said}
    folder = checkpoint(tmp_path / "said", BERT, files)
    assert Tokenizer.from_preset(str(folder)).encode(texts) == cased.encode(texts)


def test_damaged_files(subword_fixture, tmp_path):
    files = subword_fixture["files"]["byte_level"]
    roberta = {**BERT, "model_type": "roberta"}
    damaged = [
        ({"vocab.json": files["vocab.json"][:-5]}, "not valid JSON"),
        ({"merges.txt": files["merges.txt"] + "abc\n"}, "two pieces on every line"),
    ]
    for number, (change, message) in enumerate(damaged):
        folder = checkpoint(tmp_path / str(number), roberta, {**files, **change})
        with pytest.raises(ValueError, match=message):
            Tokenizer.from_preset(str(folder))


def test_unknown_kinds():
    found = TokenizerFiles("wordlevel", {}, {}, "bert", {})
    with pytest.raises(ValueError, match="of the kinds.*Received: kind='wordlevel'"):
        arguments_of_files(found)


# === Saved beside another ===


class Killed(BaseException):
    """In place of a signal, at an exact place."""


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_a_kill_between_the_files_of_a_tokenizer(kind, tmp_path, monkeypatch):
    """The old one loads until `tokenizer.json` is replaced, and the new one from then on."""
    old, new = (train_tokenizer(BOTCHAN, size, model=kind) for size in (290, 300))
    replace = Path.replace
    for moves, expected in ((0, old), (1, old), (2, new)):
        directory = tmp_path / str(moves)
        old.save(directory)
        (directory / "notes.txt").write_text("stays")
        left = [moves]

        def killed(path, target, left=left):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", killed)
        monkeypatch.setattr(tokenizer_module, "remove_older_vocabularies", killed)
        with pytest.raises(Killed):
            new.save(directory)
        monkeypatch.undo()
        assert Tokenizer.load(directory) == expected
        new.save(directory)
        new.save(directory)
        assert Tokenizer.load(directory) == new
        assert len([path for path in directory.iterdir() if path.name != "notes.txt"]) == 2
        assert (directory / "notes.txt").read_text() == "stays"
