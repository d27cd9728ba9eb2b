"""What a linker finds, at the first token of each mention: alone, in rows, and in a task."""

import logging

import numpy as np
import pytest

from keras_plm.backbones import KnowledgeBackbone
from keras_plm.preprocessing import TextPreprocessor
from keras_plm.preprocessing.linked_entities import entities_of_tokens
from keras_plm.tasks import TextClassifier

TEXT = "New York met Ann"
OFFSETS = np.array([[0, 3], [4, 6], [6, 8], [9, 12], [13, 16]])
TEXTS = ["the dog was red", "a fish", "I saw the dog"]


def link(text):
    """Dogs are entity 3, fish 1."""
    found = [(text.find(name), name, number) for name, number in (("dog", 3), ("fish", 1))]
    return [(begin, begin + len(name), number) for begin, name, number in found if begin >= 0]


@pytest.mark.parametrize(
    "found, expected",
    [
        ([], [0, 0, 0, 0, 0]),
        (None, [0, 0, 0, 0, 0]),
        ([(0, 8, 5), (13, 16, 2)], [5, 0, 0, 0, 2]),
        ([(4, 8, 5)], [0, 5, 0, 0, 0]),
        ([(5, 8, 5)], [0, 5, 0, 0, 0]),  # it begins inside of a token
        ([(8, 12, 5)], [0, 0, 0, 5, 0]),  # at a space
        ([(3, 4, 5)], [0, 0, 0, 0, 0]),  # nothing but a space
        ([(4, 6, 5), (4, 8, 6)], [0, 5, 0, 0, 0]),  # the first one counts
        ([[np.int64(9), 12, 7]], [0, 0, 0, 7, 0]),
    ],
)
def test_the_first_token_of_each_mention(found, expected):
    assert entities_of_tokens(lambda text: found, TEXT, OFFSETS) == expected


@pytest.mark.parametrize(
    "found",
    [5, "ab", [5], [(0, 3)], [(0, 3, 0)], [(3, 3, 1)], [(0, 17, 1)], [(-1, 3, 1)], [(0, 1.5, 2)]],
)
def test_what_no_linker_returns(found):
    with pytest.raises(ValueError, match="`linker` must return a list.*Received: .*New York"):
        entities_of_tokens(lambda text: found, TEXT, OFFSETS)


@pytest.mark.parametrize("layout", ["bert", "xlnet", "roberta"])
def test_rows_of_texts_and_pairs(tokenizers, layout):
    tokenizer = tokenizers[layout]
    preprocessor = TextPreprocessor(tokenizer, 40, linker=link)
    plain = TextPreprocessor(tokenizer, 40)
    for x in (TEXTS, (TEXTS, TEXTS[::-1])):
        found = preprocessor.call(x)
        entities = found.pop("entity_ids")
        for name, array in plain.call(x).items():
            np.testing.assert_array_equal(found[name], array)
        assert entities.dtype == "int32" and entities.shape == found["token_ids"].shape
        for row in range(3):
            texts = [x[row]] if isinstance(x, list) else [one[row] for one in x]
            expected = [number for text in texts for _, _, number in link(text)]
            (places,) = np.nonzero(entities[row])
            assert entities[row, places].tolist() == expected
            for place, number in zip(places, expected):  # the piece that begins the word
                piece = tokenizer.pieces([int(found["token_ids"][row, place])])[0].strip("▁Ġ")
                assert {3: "dog", 1: "fish"}[number].startswith(piece)


def test_what_is_cut_takes_its_entity_along(tokenizers):
    tokenizer = tokenizers["bert"]
    preprocessor = TextPreprocessor(tokenizer, 6, linker=link)
    long = "the dog was a fish, it was not a dog"
    found = preprocessor.call([long])
    assert found["entity_ids"][0].tolist().count(3) == 1 and 1 not in found["entity_ids"]
    pairs = TextPreprocessor(tokenizer, 8, linker=link).call(([long], ["dog"]))
    assert np.count_nonzero(pairs["entity_ids"] == 3) == 2


def test_a_task_reads_them_and_says_that_no_file_has_the_linker(tokenizers, tmp_path, caplog):
    tokenizer, vectors = tokenizers["bert"], np.eye(5, 6) * 3
    vectors[0] = 0
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8, entity_dim=6)
    backbone = KnowledgeBackbone(
        tokenizer.vocabulary_size,
        **sizes,
        max_sequence_length=40,
        entity_heads=2,
        entity_vectors=vectors,
        initializer_range=0.5,
    )
    task = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 40, linker=link), dropout=0.0)
    with_entities = task.predict(TEXTS, verbose=0)
    clone = task.clone()
    clone.set_weights(task.get_weights())
    np.testing.assert_array_equal(clone.predict(TEXTS, verbose=0), with_entities)
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        task.save_to_preset(tmp_path / "task")
    assert "no file keeps the `linker`" in caplog.text
    given = dict(entity_vectors=vectors, linker=link)
    again = TextClassifier.from_preset(tmp_path / "task", **given)
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), with_entities)
    again = TextClassifier.from_preset(tmp_path / "task", entity_vectors=vectors)
    without = again.predict(TEXTS, verbose=0)  # nobody looks for entities: there are none
    assert np.abs(without - with_entities).max() > 1e-3
    features = task.keep_inputs(TextPreprocessor(tokenizer, 40).call(TEXTS))
    assert not features["entity_ids"].any()
    np.testing.assert_allclose(task.predict(features, verbose=0), without, rtol=0, atol=1e-5)


def test_refuses(tokenizers):
    for options in (dict(linker=5), dict(linker=link, backward=True)):
        with pytest.raises(ValueError, match="`linker` must be a function of a text, or None"):
            TextPreprocessor(tokenizers["bert"], 40, **options)
