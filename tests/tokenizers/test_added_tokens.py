import io
import json

import pytest
import sentencepiece

from keras_plm.tokenizers.added_tokens import (
    TRANSFER_TOKENS,
    add_special_tokens,
    extend_tokenizer,
)
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.subword import subword_models
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIAL, "the", "co", "##vid", "##ien", "new", "york", "c", "+", "在", "家", "isnt"]
NAMES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


@pytest.fixture(scope="module")
def wordpiece():
    vocabulary = {piece: index for index, piece in enumerate(PIECES)}
    return SubwordTokenizer(json.dumps(subword_models.wordpiece(vocabulary, "[UNK]")), NAMES)


@pytest.fixture(scope="module")
def byte_level():
    pieces = [*"abcdeghinorstuvwx", "Ġ", "co", "vid", "Ġco", "vi", "th", "the"]
    merges = [("v", "i"), ("vi", "d"), ("c", "o"), ("Ġ", "co"), ("t", "h"), ("th", "e")]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, "<|endoftext|>"])}
    model = json.dumps(subword_models.byte_level(vocabulary, merges))
    return SubwordTokenizer(model, {"eos": "<|endoftext|>"}, layout="gpt")


@pytest.fixture(scope="module")
def unigram():
    model = io.BytesIO()
    text = ["the cat has covid and the dog has none", "new york is a big city", "vidi ien"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_writer=model,
        vocab_size=42,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return SentencePieceTokenizer(model.getvalue())


def test_wordpiece(wordpiece):
    assert wordpiece.encode("the covid new york") == [5, 6, 7, 9, 10]
    extended, old_ids = extend_tokenizer(wordpiece, ["covid", "New York", "c++"])
    assert old_ids == [[6, 7], [9, 10], [11, 12, 12]]
    assert extended.vocabulary_size == len(PIECES) + 3
    assert extended.encode("The COVID new york, c++") == [5, 16, 17, 1, 18]
    for text in ("co the york", "[MASK] new c+", "在家"):
        assert extended.encode(text) == wordpiece.encode(text)
    assert extended.pieces(extended.encode("covidien newyork")) == ["covid", "##ien", "[UNK]"]
    assert extended.special_token_ids == wordpiece.special_token_ids
    assert extended.pieces(range(16)) == wordpiece.pieces(range(16))
    assert extended.decode([5, 16, 5]) == "the covid the"
    ids, offsets = extended.encode_with_offsets("the covid the")
    assert ids == [5, 16, 5] and offsets.tolist() == [[0, 3], [4, 9], [10, 13]]
    assert extended.layout == wordpiece.layout and extended != wordpiece


def test_extending_twice(wordpiece, tmp_path):
    once, _ = extend_tokenizer(wordpiece, ["covid"])
    twice, old_ids = extend_tokenizer(once, ["the covid", "new york"])
    assert old_ids == [[5, 16], [9, 10]]
    assert twice.encode("covid, the covid new york") == [16, 1, 17, 18]
    twice.save(tmp_path)
    assert SubwordTokenizer.load(tmp_path) == twice


def test_words_without_spaces(wordpiece):
    extended, _ = extend_tokenizer(wordpiece, ["在家"])
    assert extended.encode("家在家家") == [14, 16, 14]


def test_byte_level(byte_level):
    extended, old_ids = extend_tokenizer(byte_level, ["covid"])
    assert byte_level.pieces(old_ids[0]) == ["co", "vid"]
    new = byte_level.vocabulary_size
    for text in ("the covid the", "covid", "the covid"):
        assert new in extended.encode(text)
        assert extended.decode(extended.encode(text)) == text
    assert extended.encode("the covidi") == byte_level.encode("the covidi")


def test_pairs_that_end_words():
    pieces = ["<unk>", *"abc", "a</w>", "b</w>", "c</w>", "ab</w>", "Z</w>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    model = subword_models.word_end(vocabulary, [("a", "b</w>")], "<unk>")
    tokenizer = SubwordTokenizer(json.dumps(model), {"unk": "<unk>"}, layout="gpt")
    extended, old_ids = extend_tokenizer(tokenizer, ["CAB"])
    assert tokenizer.pieces(old_ids[0]) == ["c", "ab</w>"]
    ids = extended.encode("ab cab ab cabc")
    assert extended.pieces(ids) == ["ab</w>", "CAB", "ab</w>", *"cab", "c</w>"]
    assert extended.decode(ids) == "ab CAB ab cabc"
    assert extended.starts_words(ids).tolist() == [True] * 4 + [False] * 3
    assert tokenizer.decode(tokenizer.encode("ab cab ab")) == "ab cab ab"


def test_a_language_model_without_case_and_accents():
    pieces = ["<unk>", *"caf", "e</w>", "é</w>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    model = subword_models.whitespace_word_end(vocabulary, [], "<unk>")
    tokenizer = SubwordTokenizer(
        json.dumps(model), {"unk": "<unk>"}, "xlm", {"fr": 0}, lower_and_strip=True
    )
    extended, _ = extend_tokenizer(tokenizer, ["Café"])
    assert extended.encode("CAFÉ") == [6] and extended.pieces([6]) == ["cafe"]
    assert extended.languages == {"fr": 0} and extended.layout == tokenizer.layout


def test_sentence_piece(unigram):
    extended, old_ids = extend_tokenizer(unigram, ["covid", "new york"])
    new = unigram.vocabulary_size
    assert extended.vocabulary_size == new + 2
    assert extended.pieces([new, new + 1]) == ["▁covid", "▁new▁york"]
    assert all(len(ids) > 1 for ids in old_ids)
    assert extended.encode("covid") == [new] and extended.encode("the covid")[-1] == new
    assert extended.decode(extended.encode("the covid in new york")) == "the covid in new york"
    for text in ("the cat has none", "a big city"):
        assert extended.encode(text) == unigram.encode(text)
    assert extended.special_token_ids == unigram.special_token_ids


@pytest.mark.parametrize(
    "tokens, message",
    [
        ([], "at least"),
        (["covid", ""], "must have characters"),
        ([" covid"], "no whitespace around them"),
        (["covid", "Covid"], "'covid' and 'Covid', which are the same"),
        (["the"], "'the' is a piece already. Received: id 5"),
        (["zebra"], "must have pieces that the tokenizer knows.*'zebra'"),
        (["the zebra"], "must have pieces that the tokenizer knows"),
        (["[MASK]"], "must have pieces that the tokenizer knows"),
    ],
)
def test_tokens_that_cannot_be_added(wordpiece, tokens, message):
    with pytest.raises(ValueError, match=message):
        extend_tokenizer(wordpiece, tokens)


def test_what_is_no_list_of_strings(wordpiece):
    for tokens in ("covid", 3, [3]):
        with pytest.raises(TypeError, match="new_tokens must be"):
            extend_tokenizer(wordpiece, tokens)


def test_a_model_that_cannot_take_the_piece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat has covid and more", "a dog had none"] * 20),
        model_writer=model,
        vocab_size=30,
        hard_vocab_limit=False,
        model_type="bpe",
        minloglevel=2,
    )
    tokenizer = SentencePieceTokenizer(model.getvalue())
    with pytest.raises(ValueError, match="'covid' cannot become a piece"):
        extend_tokenizer(tokenizer, ["covid"])


def test_special_tokens(byte_level, tmp_path):
    extended = add_special_tokens(byte_level, TRANSFER_TOKENS, "gpt1_transfer")
    size = byte_level.vocabulary_size
    assert extended.vocabulary_size == size + 3
    assert [extended.special_token_id(name) for name in TRANSFER_TOKENS] == [*range(size, size + 3)]
    for text in ("the covid", "_start_ the _classify_"):  # no text becomes one
        assert extended.encode(text) == byte_level.encode(text)
    ids, segments = extended.layout.lay_out(extended, [1, 2], [3])
    assert ids == [size, 1, 2, size + 1, 3, size + 2] and not any(segments)
    assert extended.decode(ids) == byte_level.decode([1, 2, 3])
    extended.save(tmp_path)
    again = SubwordTokenizer.load(tmp_path)
    assert again == extended and again.layout.name == "gpt1_transfer"
    assert extended.special_token_ids["eos"] == byte_level.special_token_ids["eos"]
    assert add_special_tokens(byte_level, {"cls": "[C]"}).layout == byte_level.layout


def test_a_piece_that_is_there_becomes_special(byte_level):
    extended = add_special_tokens(byte_level, {"start": "co"})
    assert extended.vocabulary_size == byte_level.vocabulary_size
    assert extended.special_token_id("start") == byte_level.encode("co")[0]
    assert extended.encode("co") != byte_level.encode("co")


def test_special_tokens_that_cannot_be_added(byte_level, unigram):
    for tokens in ({}, None, {"start": ""}, {"": "x"}, {"start": 3}):
        with pytest.raises(ValueError, match="dict of names to pieces"):
            add_special_tokens(byte_level, tokens)
    for tokens in ({"eos": "x"}, {"a": "x", "b": "x"}):
        with pytest.raises(ValueError, match="new names, and a piece of its own"):
            add_special_tokens(byte_level, tokens)
    with pytest.raises(ValueError, match="layout must be one of"):
        add_special_tokens(byte_level, {"start": "x"}, "gpt3_transfer")
    with pytest.raises(TypeError, match="SentencePieceTokenizer"):
        add_special_tokens(unigram, TRANSFER_TOKENS)
