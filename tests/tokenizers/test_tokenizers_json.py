"""tokenizers_json.py: the SentencePiece model out of a Hugging Face tokenizer.json."""

import copy
import json

import pytest
import sentencepiece

from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.tokenizers_json import sentencepiece_from_tokenizers_json


@pytest.fixture()
def convert(tmp_path):
    """Turns a tokenizer.json, given as an object, into a SentencePiece model."""

    def converted(content):
        path = tmp_path / "tokenizer.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return sentencepiece_from_tokenizers_json(path)

    return converted


def small():
    """A tokenizer.json as short as possible, in the form of older files."""
    pieces = [["<unk>", 0.0], ["<sep>", 0.0], ["<eop>", 0.0], [".", 0.0]]
    pieces += [["▁", -1.0], ["a", -2.0], ["b", -2.5], ["▁ab", -3.0]]
    return {
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces},
        "added_tokens": [
            {"id": 1, "content": "<sep>", "special": True},
            {"id": 2, "content": "<eop>", "special": True},
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
            ],
        },
    }


def test_ids_are_those_of_the_original_model(converted_tokenizer, convert):
    tokenizer = SentencePieceTokenizer(convert(converted_tokenizer["tokenizer"]))
    assert tokenizer.encode(converted_tokenizer["texts"]) == converted_tokenizer["ids"]
    names = "unk bos eos cls sep pad mask eod eop".split()
    assert tokenizer.special_token_ids == {name: index for index, name in enumerate(names)}
    assert tokenizer.decode(tokenizer.encode("The badger was angry.")) == "The badger was angry."


def test_what_the_conversion_took_from_digits_with_a_comma_is_given_back(
    converted_tokenizer, convert
):
    stored = dict(converted_tokenizer["tokenizer"]["model"]["vocab"])
    assert stored["▁1999,"] < -100 < stored["▁the"]
    model = sentencepiece.SentencePieceProcessor(
        model_proto=convert(converted_tokenizer["tokenizer"])
    )
    for piece in ("▁1999,", "0,"):
        score = model.get_score(model.piece_to_id(piece))
        assert score == pytest.approx(stored[piece] + 100, abs=1e-6)
    assert model.get_score(model.piece_to_id("▁the")) == pytest.approx(stored["▁the"], abs=1e-6)


def test_kinds_of_pieces_and_spaces(convert):
    model = sentencepiece.SentencePieceProcessor(model_proto=convert(small()))
    assert [model.is_control(index) for index in range(5)] == [False, True, False, False, False]
    assert [model.is_unknown(index) for index in range(2)] == [True, False]
    assert model.encode("  ab   ab.", out_type=str) == ["▁ab", "▁ab", "."]
    assert model.encode("a<eop>") == [4, 5, 2]
    assert not {1} & set(model.encode("a<sep>"))
    for metaspace in ({"add_prefix_space": False}, {"prepend_scheme": "never"}):
        content = small()
        content["pre_tokenizer"] = {"type": "Metaspace", **metaspace}
        model = sentencepiece.SentencePieceProcessor(model_proto=convert(content))
        assert model.encode("a  b", out_type=str) == ["a", "▁", "▁", "b"]


def test_other_kinds_of_tokenizers_are_refused(convert):
    for kind in ("BPE", "WordPiece", None, 3):
        with pytest.raises(ValueError, match=f"type Unigram. Received: type={kind!r}"):
            convert({**small(), "model": {"type": kind, "vocab": {}}})
    for content in ({}, {"model": []}):
        with pytest.raises(ValueError, match="type Unigram"):
            convert(content)
    for content, message in {"[]": "JSON object", "{": "not valid JSON"}.items():
        with pytest.raises(ValueError, match=message):
            convert(content)


@pytest.mark.parametrize(
    "place, value, message",
    [
        (["model", "vocab"], {}, "list of"),
        (["model", "vocab"], [], "list of"),
        (["model", "vocab", 4], ["▁"], r"vocab\[4\] must be"),
        (["model", "vocab", 4], ["", -1.0], r"vocab\[4\] must be"),
        (["model", "vocab", 4], ["\ud800", -1.0], r"vocab\[4\] must be"),
        (["model", "vocab", 4], ["▁", "x"], r"vocab\[4\] must be"),
        (["model", "vocab", 4], ["▁", 1e300], r"vocab\[4\] must be"),
        (["model", "vocab", 4], ["a", -1.0], "not the description"),  # twice
        (["model", "unk_id"], 8, r"unk_id within \[0, 8\)"),
        (["model", "unk_id"], None, "unk_id"),
        (["model", "byte_fallback"], True, "byte_fallback"),
        (["added_tokens"], {"<sep>": 1}, "added_tokens"),
        (["added_tokens", 0], {"content": None}, "added_tokens"),
        (["normalizer"], [], "by objects"),
        (["normalizer"], {"type": "Sequence"}, "list normalizers"),
        (["normalizer"], {"type": "Precompiled", "precompiled_charsmap": "?"}, "not base64"),
        (["normalizer"], {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "not the desc"),
        (["pre_tokenizer", "pretokenizers"], None, "list pretokenizers"),
    ],
)
def test_malformed_files_are_refused(convert, place, value, message):
    content = copy.deepcopy(small())
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    with pytest.raises(ValueError, match=message):
        convert(content)


def test_the_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_plm.tokenizers.tokenizers_json.LARGEST_JSON_BYTES", 10)
    (tmp_path / "tokenizer.json").write_text(json.dumps(small()))
    with pytest.raises(ValueError, match="too large"):
        sentencepiece_from_tokenizers_json(tmp_path / "tokenizer.json")
