import json

import pytest

from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.tokenizer_format import (
    BERT,
    GPT2,
    MARIAN,
    MPNET,
    ROBERTA,
    T5,
    XLM,
    XLNET,
)

LOWER = "[PAD]\n[UNK]\nthe\n##s\nItaly\n" + "\n".join(f"piece{n}" for n in range(200))
CASED = "[PAD]\n[UNK]\nThe\n##s\nItaly\n"


@pytest.fixture
def write(tmp_path):
    def write(**contents):
        for name, text in contents.items():
            text = text if isinstance(text, str) else json.dumps(text)
            (tmp_path / name.replace("__", ".")).write_text(text)
        return tmp_path

    return write


def test_nothing(tmp_path):
    assert BERT.find(tmp_path, {}) is None and XLNET.find(tmp_path, {}) is None


def test_bert(write):
    found = BERT.find(write(vocab__txt=LOWER), {})
    assert (found.kind, found.layout, set(found.files)) == ("wordpiece", "bert", {"vocabulary"})
    assert found.settings == {"lowercase": True, "strip_accents": None, "split_chinese": True}
    assert found.special["cls"] == "[CLS]"
    assert not BERT.find(write(vocab__txt=CASED), {}).settings["lowercase"]
    said = {"do_lower_case": True, "cls_token": {"content": "<c>"}, "strip_accents": False}
    found = BERT.find(write(tokenizer_config__json=said, tokenizer__json="{}"), {})
    assert found.settings["lowercase"] and found.settings["strip_accents"] is False
    assert found.special["cls"] == "<c>" and set(found.files) == {"vocabulary", "json"}


def test_a_tokenizers_json_alone(write):
    found = BERT.find(write(tokenizer__json="{}"), {})
    assert set(found.files) == {"json"} and found.settings["lowercase"] is None
    assert set(XLNET.find(write(tokenizer__json="{}"), {}).files) == {"json"}


def test_pairs(write):
    for names in (("vocab__json", "merges__txt"), ("encoder__json", "vocab__bpe")):
        directory = write(**{name: "" for name in names})
        for form, layout in ((ROBERTA, "roberta"), (GPT2, "gpt")):
            found = form.find(directory, {})
            assert (found.kind, found.layout) == ("byte_level_bpe", layout)
            assert set(found.files) == {"vocabulary", "merges"}
        for path in directory.iterdir():
            path.unlink()


def test_the_languages_of_xlm(write):
    directory = write(vocab__json="{}", merges__txt="")
    found = XLM.find(directory, {"lang2id": {"de": 0, "en": 1}})
    assert found.settings == {"lowercase": True, "languages": {"de": 0, "en": 1}}
    assert XLM.find(directory, {}).settings["languages"] == {}
    for wrong in ({"de": "0"}, ["de"], {"de": -1}):
        with pytest.raises(ValueError, match="'lang2id' must be ids by language"):
            XLM.find(directory, {"lang2id": wrong})


@pytest.mark.parametrize(
    "said, message",
    [
        ({"do_lower_case": "yes"}, "'do_lower_case' must be true or false. Received: 'yes'"),
        ({"cls_token": 3}, "'cls_token' must be a string. Received: 3"),
    ],
)
def test_bad_settings(said, message, write):
    directory = write(vocab__txt=LOWER, tokenizer_config__json=said)
    for form in (BERT, MPNET):
        with pytest.raises(ValueError, match=message):
            form.find(directory, {})


def test_too_large_a_vocabulary(write, monkeypatch):
    monkeypatch.setattr(tokenizer_format, "LARGEST_VOCABULARY_BYTES", 100)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        BERT.find(write(vocab__txt=LOWER), {})


def test_the_sentinels_of_t5(write):
    found = T5.find(write(spiece__model=""), {})
    assert (found.kind, found.layout, found.settings) == (
        "sentencepiece",
        "t5",
        {"num_sentinels": 100},
    )
    found = T5.find(write(tokenizer_config__json={"extra_ids": 7}), {})
    assert found.settings == {"num_sentinels": 7}
    for wrong in (True, "7", None):
        directory = write(tokenizer_config__json={"extra_ids": wrong})
        with pytest.raises(
            ValueError, match=f"'extra_ids' must be an integer. Received: {wrong!r}"
        ):
            T5.find(directory, {})


def test_the_three_files_of_marian(write):
    names = ("source__spm", "target__spm", "vocab__json")
    assert MARIAN.find(write(**dict.fromkeys(names[:2], "")), {}) is None
    found = MARIAN.find(write(vocab__json={}), {})
    assert (found.kind, found.layout) == ("translation", "marian")
    assert set(found.files) == {"source", "target", "vocabulary"}
    assert found.special == {"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}
