"""Translation: the examples of the papers' layouts, both directions, batches, bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm import data
from keras_plm.features import check_batch
from keras_plm.objectives import Objective, Translation

PAD, START, END = 0, 1, 2


def batch_of(*texts, length=12):
    """A row of two texts apart, of which 0 to 2 are special."""
    ids = [token for text in texts for token in text]
    positions = [place for text in texts for place in range(len(text))]
    padding = [PAD] * (length - len(ids))
    ids, positions = np.array([ids + padding], "int32"), np.array([positions + padding], "int32")
    return {
        "token_ids": ids,
        "position_ids": positions,
        "padding_mask": ids != PAD,
        "functional": ids <= END,
    }


def made(batch, **settings):
    settings = {"source_length": 6, "target_length": 6, **settings}
    settings["target_length"] += settings.get("end_token_id") is not None
    objective = Translation(20, **settings)
    x, y, weight = objective(batch, None)
    check_batch(x, names=objective.feature_names, vocabulary_size=20)
    source = x["source_token_ids"][x["source_padding_mask"]].tolist()
    reads = x["token_ids"][x["padding_mask"]].tolist()
    return source, reads, y["tokens"][weight["tokens"] > 0].tolist()


@pytest.mark.parametrize(
    "name, texts, settings, reads, asked",
    [
        # The padding is written as 9 here, so that it is one of the vocabulary.
        ("Marian", ([7, 8, 9, 2], [5, 6, 2]), {"start_token_id": 9}, [9, 5, 6], [5, 6, 2]),
        ("BART", ([1, 7, 8, 2], [1, 5, 6, 2]), {"start_token_id": 2}, [2, 1, 5, 6], [1, 5, 6, 2]),
        ("fairseq", ([7, 8, 9, 2], [5, 6, 2]), {"start_token_id": 2}, [2, 5, 6], [5, 6, 2]),
        ("OpenNMT", ([1, 7, 8, 2], [1, 5, 6, 2]), {"start_token_id": 1}, [1, 5, 6], [5, 6, 2]),
        (
            "without an end",
            ([1, 7, 8], [1, 5, 6]),
            {"start_token_id": 1, "end_token_id": 2},
            [1, 5, 6],
            [5, 6, 2],
        ),
    ],
)
def test_the_examples_of_the_papers(name, texts, settings, reads, asked):
    source, *decoder = made(batch_of(*texts), **settings)
    assert source == texts[0] and decoder == [reads, asked]


def test_literal_example():
    """The example of the module's docstring."""
    objective = Translation(20, start_token_id=END, source_length=6, target_length=5)
    batch = batch_of([1, 7, 8, 9, 2], [1, 5, 6, 2], length=11)
    x, y, weight = objective(batch, None)
    assert x["source_token_ids"].tolist() == [[1, 7, 8, 9, 2, PAD]]
    assert x["token_ids"].tolist() == [[2, 1, 5, 6, PAD]]
    assert y["tokens"].tolist() == [[1, 5, 6, 2, 0]]
    assert weight["tokens"].tolist() == [[1, 1, 1, 1, 0]]
    assert objective.row_settings == {
        "sequence_length": 11, "first_length": 6, "second_length": 5
    }  # fmt: skip


def test_the_other_direction():
    batch = batch_of([1, 7, 8, 9, 2], [1, 5, 6, 2])
    source, reads, asked = made(batch, start_token_id=START, swap=True)
    assert source == [1, 5, 6, 2] and reads == [1, 7, 8, 9] and asked == [7, 8, 9, 2]
    objective = Translation(20, source_length=9, target_length=7, end_token_id=2, swap=True)
    assert objective.row_settings == {
        "sequence_length": 15, "first_length": 6, "second_length": 9
    }  # fmt: skip


def test_a_text_may_be_padded_on_the_left():
    """As XLNet's rows are: both sides have their padding on the right."""
    batch = {name: np.roll(one, 3, axis=1) for name, one in batch_of([7, 8, 2], [5, 2]).items()}
    assert made(batch, start_token_id=9) == ([7, 8, 2], [9, 5], [5, 2])


@pytest.mark.parametrize("swap", [False, True])
def test_batches_of_a_corpus(swap, tmp_path, byte_level):
    """Each pair once in a pass, in both directions; resumed and in shards they are the same."""
    lines = [f"he has {number} red fish" for number in range(20)]
    (tmp_path / "a").write_text("\n".join(lines), "utf-8")
    (tmp_path / "b").write_text("\n".join(reversed(lines)), "utf-8")
    corpus = data.Corpus.build_pairs(tmp_path / "a", tmp_path / "b", byte_level, tmp_path / "c")
    objective = Translation.for_tokenizer(
        byte_level, source_length=40, target_length=30, swap=swap, label_smoothing=0.1
    )
    assert Objective.from_config(objective.get_config()) == objective
    assert objective.start_token_id == byte_level.cls_token_id
    examples = data.examples(corpus, objective, 4, seed=1)
    seen = []
    for step in range(5):
        x, y, weight = examples.batch_at(step)
        for row in range(4):
            source = x["source_token_ids"][row][x["source_padding_mask"][row]].tolist()
            asked = y["tokens"][row][weight["tokens"][row] > 0].tolist()
            reads = x["token_ids"][row][x["padding_mask"][row]].tolist()
            assert source[0] == reads[0] == byte_level.cls_token_id
            assert source[-1] == asked[-1] == byte_level.sep_token_id
            assert reads[1:] == asked[:-1]
            seen.append((byte_level.decode(source).strip(), byte_level.decode(asked).strip()))
    assert sorted(seen) == sorted(zip(lines, reversed(lines)))  # the pairs are symmetric
    resumed = next(iter(data.examples(corpus, objective, 4, seed=1, start=3)))
    halves = [data.examples(corpus, objective, 4, 1, shard=(n, 2)).batch_at(3) for n in range(2)]
    for number, part in enumerate(examples.batch_at(3)):
        for name, values in part.items():
            np.testing.assert_array_equal(values, resumed[number][name])
            both = np.concatenate([half[number][name] for half in halves])
            np.testing.assert_array_equal(values, both)


def test_what_a_tokenizer_says(tokenizers):
    """The decoder starts with what begins a row; a layout without an end gets one."""
    made = Translation.for_tokenizer(tokenizers["xlm"], target_length=9)
    ids = tokenizers["xlm"].special_token_ids
    assert (made.start_token_id, made.end_token_id) == (ids["cls"], None)
    made = Translation.for_tokenizer(tokenizers["gpt"], pad_token_id=5)
    end = tokenizers["gpt"].eos_token_id
    assert (made.start_token_id, made.end_token_id, made.pad_token_id) == (end, end, 5)


def test_heads():
    """The backbone makes the head, which smooths the labels if it should."""
    backbone = SimpleNamespace(lm_head=lambda **options: options)
    assert Translation(20).heads(backbone) == {"tokens": {}}
    smoothed = Translation(20, label_smoothing=0.2, shared_by="all").heads(backbone)
    expected = {"label_smoothing": 0.2, "shared_by": "all"}
    assert smoothed == {"tokens": expected}


@pytest.mark.parametrize(
    "batch, message",
    [
        (batch_of([7, 2], [1, 2]), "The target of a pair is empty.*1 such rows"),
        (batch_of([1, 2], [7, 2]), "The source of a pair is empty.*1 such rows"),
        (batch_of([7, 8, 2]), "rows of two texts.*Received: rows of .1. texts"),
        (batch_of([7, 2], [8, 2], [9, 2]), "rows of two texts.*Received: rows of .3. texts"),
        (batch_of([7, 2], [8, 9]), "must end with a special token.*1 rows without an end"),
        (batch_of([7, 8, 8, 8, 8, 8, 2], [8, 2]), "source_length must have room"),
        (batch_of([7, 2], [8, 8, 8, 8, 8, 8, 2]), "target_length must have room"),
        (batch_of([7, 2], [28, 2]), "must lie in the vocabulary"),
        ({"token_ids": np.zeros((1, 12), "int32")}, "Translation needs position_ids"),
    ],
)
def test_bad_batches(batch, message):
    with pytest.raises(ValueError, match=message):
        made(batch)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(vocabulary_size=0), "`vocabulary_size` must be an integer of at least 1"),
        (dict(source_length=0), "`source_length` must be an integer of at least 1"),
        (dict(label_smoothing=1), "label_smoothing must be below 1"),
        (dict(label_smoothing=-0.1), "`label_smoothing` must be a number from 0 to 1"),
        (dict(shared_by="none"), "`shared_by` must be one of"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Translation(**{"vocabulary_size": 20, **settings})
    assert "Received: " in str(error.value)
