import json

import numpy as np
import pytest

from keras_plm.tasks import WordPreprocessor

SEP, CLS, PAD = 4, 3, 5


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return WordPreprocessor(tokenizer, sequence_length=16)


def test_words_are_tokenized_as_in_their_text(preprocessor, tokenizer):
    texts = [["the", "boat", "!"], ["I", "understand"]]
    features, positions = preprocessor.features_and_words(texts)
    for row, (text, places) in enumerate(zip(texts, positions)):
        ids = tokenizer.encode(" ".join(text))
        pad = 16 - len(ids) - 2
        assert features["token_ids"][row].tolist() == [PAD] * pad + ids + [SEP, CLS]
        assert features["padding_mask"][row].tolist() == [False] * pad + [True] * (len(ids) + 2)
        assert features["segment_ids"][row, -1] == 2
        first = [tokenizer.encode(word)[0] for word in text]
        assert features["token_ids"][row, places].tolist() == first
        assert features["padding_mask"][row, places].all()
    assert features["token_ids"].shape == (2, 16)
    np.testing.assert_array_equal(preprocessor(texts)["token_ids"], features["token_ids"])


@pytest.mark.parametrize("word", ["\x01", "\u200b", " ", "\ue000"])
def test_a_word_that_becomes_nothing(word, preprocessor, tokenizer):
    features, positions = preprocessor.features_and_words([["a", word, "b"]])
    assert len(positions[0]) == 3 and len(set(positions[0])) == 3
    if not tokenizer.encode(word):
        assert features["token_ids"][0, positions[0][1]] == tokenizer.special_token_ids["unk"]


def test_a_long_text_loses_its_last_words(preprocessor, tokenizer):
    text = ["understand"] * 9
    pieces = len(tokenizer.encode("understand"))
    assert pieces > 1
    features, positions = preprocessor.features_and_words([text])
    assert positions[0].tolist() == list(range(0, 14, pieces))
    assert features["token_ids"][0, -2:].tolist() == [SEP, CLS]


def test_values_at_words(preprocessor):
    texts = [["a", "understand", "b"], ["a"] * 99]
    _, positions = preprocessor.features_and_words(texts)
    values, there = preprocessor.at_words(texts, positions, [[5, 6, 7], [1] * 99], "label")
    assert values.dtype.kind == "i" and values.shape == there.shape == (2, 16)
    assert values[0, positions[0]].tolist() == [5, 6, 7]
    assert there.sum(axis=1).tolist() == [3, 14] and not values[~there].any()


@pytest.mark.parametrize(
    "x, error, message",
    [
        ("one text", TypeError, "each a list of words. Received one text"),
        (["one text"], TypeError, "Every text must be a list of words.*text 0 is str"),
        ([["a"], "b"], TypeError, "text 1 is str"),
        ([np.array(["a"])], TypeError, "text 0 is ndarray"),
        (None, TypeError, "list of texts"),
        ([], ValueError, "no texts"),
        ([["a"], []], ValueError, "Text 1 has no words"),
        ([["a", ""]], ValueError, "Word 1 of text 0 is empty"),
        ([["a", 3]], TypeError, "Received: 3, word 1 of text 0"),
    ],
)
def test_bad_input(preprocessor, x, error, message):
    with pytest.raises(error, match=message):
        preprocessor(x)


@pytest.mark.parametrize(
    "values, message",
    [
        ([[1]], "list of labels per text. Received: 1 for 2 texts"),
        ([[1, 2], [1, 2]], r"one label per word. Received: labels of shape \(2,\) for the 1 words"),
        ([[1, 2], 1], r"one label per word. Received: labels of shape \(\)"),
        (3, "Received: int for 2 texts"),
    ],
)
def test_values_that_do_not_fit(preprocessor, values, message):
    texts = [["a", "b"], ["c"]]
    _, positions = preprocessor.features_and_words(texts)
    with pytest.raises(ValueError, match=message):
        preprocessor.at_words(texts, positions, values, "label")


def test_config_and_preset(preprocessor, tmp_path):
    config = preprocessor.get_config()
    json.dumps(config)
    assert WordPreprocessor.from_config(config).sequence_length == 16
    preprocessor.save_to_preset(str(tmp_path / "preset"))
    again = WordPreprocessor.from_preset(str(tmp_path / "preset"))
    np.testing.assert_array_equal(again([["a"]])["token_ids"], preprocessor([["a"]])["token_ids"])


def test_other_layouts(wordpiece, byte_level):
    texts = [["the", "boat", "!"], ["I", "understand"]]
    for tokenizer in (wordpiece, byte_level):
        space = " " if tokenizer is byte_level else ""
        features, positions = WordPreprocessor(tokenizer, 24).features_and_words(texts)
        for row, (text, places) in enumerate(zip(texts, positions)):
            ids = tokenizer.encode(space + " ".join(text))
            pads = [tokenizer.pad_token_id] * (24 - len(ids) - 2)
            expected = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id, *pads]
            assert features["token_ids"][row].tolist() == expected
            first = [tokenizer.encode(space + word)[0] for word in text]
            assert features["token_ids"][row, places].tolist() == first
        _, (places,) = WordPreprocessor(tokenizer, 8).features_and_words([["a"] * 9])
        assert places[0] == 1 and places[-1] < 7
