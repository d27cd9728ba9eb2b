"""subword_training.py: vocabularies in a fixed order, whatever the threads and hash seeds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers

from keras_plm.tokenizers.subword.subword_training import train_byte_level, train_wordpiece

LINES = ["the theme then", "日本語 the café", "one-two, three; 1999", "the badger's den"] * 3


def test_wordpiece():
    tokenizer = train_wordpiece(lambda: iter(LINES), 200, True, 1.0)
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    singles = [piece for piece in pieces if len(piece) == 1]
    assert pieces[5 : 5 + len(singles)] == singles == sorted(singles)
    inner = [f"##{one}" for one in singles if one.isalnum() and one not in "日本語"]
    assert pieces[5 + len(singles) :][: len(inner)] == inner
    assert tokenizer.pieces(tokenizer.encode("THE Café")) == ["the", "cafe"]
    assert tokenizer.layout.name == "bert" and len(set(pieces)) == len(pieces)
    cased = train_wordpiece(lambda: iter(LINES), 200, False, 1.0)
    assert cased.pieces(cased.encode("THE café")) == ["[UNK]", "café"]


def test_byte_level():
    tokenizer = train_byte_level(lambda: iter(LINES), 300, False)
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    assert pieces[:5] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert pieces[5:261] == sorted(pre_tokenizers.ByteLevel.alphabet())
    for text in ("THE café 😀\n", " the  <mask>"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.cls_token_id == tokenizer.bos_token_id == 0 and tokenizer.sep_token_id == 2
    lowered = train_byte_level(lambda: iter(LINES), 300, True)
    assert lowered.encode("THE") == lowered.encode("the") and lowered.layout.name == "roberta"


def test_byte_level_of_gpt():
    """One special token, which no text becomes; the rows are the texts."""
    tokenizer = train_byte_level(lambda: iter(LINES), 290, False, layout="gpt")
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    assert pieces[0] == "<|endoftext|>"
    assert pieces[1:257] == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert tokenizer.special_token_ids == {"unk": 0, "bos": 0, "eos": 0}
    assert tokenizer.layout.lay_out(tokenizer, [7, 8], [9]) == ([7, 8, 9], [0, 0, 0])
    for text in ("THE café 😀\n", " the  <|endoftext|>"):
        ids = tokenizer.encode(text)
        assert 0 not in ids and tokenizer.decode(ids) == tokenizer.decode([0, *ids]) == text
    of_roberta = train_byte_level(lambda: iter(LINES), 294, False)
    assert of_roberta.pieces(range(261, 294)) == pieces[257:]  # the same merges


def test_byte_level_of_xlm():
    """</s> stands around every text, and mask and padding are tokens of their own."""
    languages = {"en": 0, "fr": 1}
    tokenizer = train_byte_level(lambda: iter(LINES), 304, False, "xlm", languages)
    ids = tokenizer.special_token_ids
    assert ids["cls"] == ids["sep"] == ids["eos"] and len(set(ids.values())) == 5
    end = ids["sep"]
    assert tokenizer.layout.lay_out(tokenizer, [7, 8]) == ([end, 7, 8, end], [0] * 4)
    assert tokenizer.languages == languages
    of_roberta = train_byte_level(lambda: iter(LINES), 304, False)
    every = range(tokenizer.vocabulary_size)
    assert of_roberta.pieces(every) == tokenizer.pieces(every)
    assert of_roberta != tokenizer


def test_characters_that_are_left_out():
    lines = ["a" * 1000 + " " + "b" * 1000 + " x y"]
    tokenizer = train_wordpiece(lambda: iter(lines), 50, False, 0.999)
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    assert {"a", "b", "##a", "##b"} <= set(pieces) and not {"x", "y"} & set(pieces)


def test_too_small_vocabularies():
    with pytest.raises(ValueError, match="vocabulary_size must be at least 261.*Received: .*=260"):
        train_byte_level(lambda: iter(LINES), 260, False)
    with pytest.raises(ValueError, match="at least 257.*=256"):
        train_byte_level(lambda: iter(LINES), 256, False, layout="gpt")
    with pytest.raises(ValueError, match=r"at least \d+, so that every character.*=10"):
        train_wordpiece(lambda: iter(LINES), 10, False, 1.0)


def test_the_same_in_every_process():
    path = Path(__file__).parents[2] / "fixtures" / "botchan.txt"
    code = f"""
from keras_plm.data import train_tokenizer
for model in ("wordpiece", "bpe"):
    print(train_tokenizer({str(path)!r}, 1000, model=model).fingerprint)
"""
    found = set()
    for threads, seed in (("1", "1"), ("4", "2")):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", code]
        found.add(subprocess.run(run, env=environment, capture_output=True, check=True).stdout)
    assert len(found) == 1
