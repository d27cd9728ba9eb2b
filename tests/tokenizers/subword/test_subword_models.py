"""subword_models.py: each pipeline on a vocabulary of a few pieces."""

import json

import pytest
from tokenizers import Tokenizer

from keras_plm.tokenizers.subword import subword_models

VOCABULARY = {"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3, "é": 4, "U": 5, "日本": 6, "日": 7}
MERGES = [("l", "o"), ("lo", "w</w>"), ("Ġ", "l")]
PIECES = ["?", "l", "o", "w", "w</w>", "o</w>", "lo", "low</w>", "Ġ", "Ġl"]


def pieces(content, text):
    tokenizer = Tokenizer.from_str(json.dumps(content))
    return tokenizer.encode(text, add_special_tokens=False).tokens


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({}, "Unaffable é", ["un", "##aff", "##able", "[UNK]"]),
        ({"strip_accents": False}, "É", ["é"]),
        ({"lowercase": False}, "U É é", ["U", "[UNK]", "é"]),
        ({}, "日本", ["日", "[UNK]"]),
        ({"split_chinese": False}, "日本", ["日本"]),
    ],
)
def test_wordpiece(settings, text, expected):
    assert pieces(subword_models.wordpiece(VOCABULARY, "[UNK]", **settings), text) == expected


def ids(names):
    return {name: index for index, name in enumerate(names)}


def test_byte_level():
    merges = [MERGES[0], MERGES[2]]
    model = subword_models.byte_level(ids(PIECES), merges)
    assert pieces(model, "low low") == ["lo", "w", "Ġl", "o", "w"][:2] + ["Ġ", "lo", "w"]
    model = subword_models.byte_level(ids(PIECES), [MERGES[2], MERGES[0]], add_prefix_space=True)
    assert pieces(model, "low") == ["Ġl", "o", "w"]
    model = subword_models.byte_level(ids(PIECES), merges, lowercase=True)
    assert pieces(model, "LOW") == ["lo", "w"]


def test_word_end():
    merges = MERGES[:2]
    model = subword_models.word_end(ids(PIECES), merges, "?")
    assert pieces(model, "LÓW,lo x") == ["low</w>", "?", "l", "o</w>", "?"]
    model = subword_models.whitespace_word_end(ids(PIECES), merges, "?")
    assert pieces(model, "low,\x1c low\u3000lo") == ["lo", "w", "?", "low</w>", "l", "o</w>"]
