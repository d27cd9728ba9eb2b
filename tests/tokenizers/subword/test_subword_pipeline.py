"""subword_pipeline.py: special and added tokens, incomplete merges, what is refused."""

import copy

import pytest

from keras_plm.tokenizers.subword import subword_models
from keras_plm.tokenizers.subword.subword_pipeline import SubwordPipeline

PIECES = ["?", "<s>", "a", "b", "c</w>", "ab"]


def content(pieces=PIECES, merges=(("a", "b"),), **changes):
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return {**subword_models.whitespace_word_end(vocabulary, list(merges), "?"), **changes}


def ids(pipeline, text):
    return pipeline.backend.encode(text, add_special_tokens=False).ids


def test_special_tokens_leave_the_model():
    pipeline = SubwordPipeline(content(["?", "<s>", "a</w>"], ()), ["<s>", "?"])
    assert pipeline.hidden == {1} and pipeline.unknown == 0
    assert ids(pipeline, "a <s> ?") == [2, 0, 0, 0, 0]
    assert pipeline.pieces == ["?", "<s>", "a</w>"] and pipeline.ids["<s>"] == 1
    with pytest.raises(ValueError, match="different ids"):
        SubwordPipeline(content(added_tokens=[{"id": 1, "content": "b"}]))


def test_added_tokens():
    added = [
        {"id": 7, "content": "new", "special": False, "single_word": False, "lstrip": False},
        {"id": 8, "content": "<x>", "special": True},
    ]
    added = [{**one, "rstrip": False, "normalized": False} for one in added]
    added = [{"single_word": False, "lstrip": False, **one} for one in added]
    pipeline = SubwordPipeline(content(added_tokens=added))
    assert ids(pipeline, "ab new <x>")[-4:] != [8] and 7 in ids(pipeline, "ab new")
    assert 8 not in ids(pipeline, "<x>") and pipeline.hidden == {8}
    assert pipeline.pieces[6:] == ["", "new", "<x>"]


def test_merges_of_pieces_that_the_vocabulary_lacks():
    pipeline = SubwordPipeline(content(merges=[("a", "b"), ("ab", "c</w>"), ("z", "y")]))
    assert ids(pipeline, "abc") == [len(PIECES)] and len(pipeline.pieces) == len(PIECES)
    assert ids(pipeline, "ab") == [2, 0]


def damaged():
    good = content()
    model = good["model"]
    yield {}, "a model of the types"
    yield {**good, "model": {**model, "type": "Unigram"}}, "SentencePieceTokenizer"
    yield {**good, "model": {**model, "vocab": [["a", 0]]}}, "object of pieces"
    yield {**good, "model": {**model, "merges": [["a"]]}}, "A merge must be two pieces"
    yield {**good, "model": {**model, "merges": [["a", 3]]}}, "A merge must be two pieces"
    yield {**good, "model": {**model, "merges": 3}}, "merges must be a list"
    yield {**good, "added_tokens": [{"content": "a"}]}, "list its added_tokens"
    yield {**good, "normalizer": {"type": "Precompiled"}}, "normalizer.*'Precompiled'"
    yield {**good, "normalizer": ["NFC"]}, "normalizer.*NFC"
    parts = {"type": "Sequence", "pretokenizers": [{"type": "Code"}]}
    yield {**good, "pre_tokenizer": parts}, "pre_tokenizer.*'Code'"
    yield {**good, "pre_tokenizer": {"type": "Sequence", "pretokenizers": 3}}, "must be a list"
    yield {**good, "pre_tokenizer": {"type": "Split"}}, "not the description of a tokenizer"
    for kind, key, pattern, text, length in (
        ("normalizer", "normalizers", {"String": "a"}, "aa", 14),
        ("normalizer", "normalizers", {"Regex": ""}, "a", 14),
        ("decoder", "decoders", {"String": "a"}, "aaa", 9),
        ("decoder", "decoders", {"String": "abc"}, "b", 65),
        ("normalizer", "normalizers", {"String": "a"}, "b" * 1001, 1),
    ):
        steps = [{"type": "Replace", "pattern": pattern, "content": text}] * length
        yield {**good, kind: {"type": "Sequence", key: steps}}, "at most|times as long"
    bytes_again = {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 7}
    yield {**good, "pre_tokenizer": bytes_again}, "times as long. Received: 7 steps"
    wordpiece = subword_models.wordpiece({"a": 0}, "[UNK]")
    yield wordpiece, "unknown piece.*'\\[UNK\\]'"


@pytest.mark.parametrize(("wrong", "message"), list(damaged()))
def test_what_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SubwordPipeline(copy.deepcopy(wrong))


def test_steps_that_keep_a_text_short_are_taken():
    strip = {"type": "Replace", "pattern": {"Regex": " +"}, "content": ""}
    swap = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
    chain = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, *[strip, swap] * 31]}
    SubwordPipeline({**content(), "normalizer": chain})


def test_missing_special_tokens():
    with pytest.raises(ValueError, match=r"must be in the vocabulary. Received: \['<e>'\]"):
        SubwordPipeline(content(), ["<e>", "<s>"])
