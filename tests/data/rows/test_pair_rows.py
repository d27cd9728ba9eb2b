"""pair_rows.py: two given sentences, as one row or each as a row of its own."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.planned_rows import truncated_lengths
from keras_plm.data.rows.row_plans import make_rows

CLS, END, PAD = 3, 4, 5


def planned(name, corpus, batch_size, seed, training, length, **settings):
    """The rows of a plan."""
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows(name, request, {"sequence_length": length, **settings})


def all_rows(rows, number=0):
    """The arrays of all batches of a pass."""
    steps = range(number * rows.steps_per_pass, (number + 1) * rows.steps_per_pass)
    batches = [rows(step) for step in steps]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def example_corpus(layout, languages=None):
    """The documents of the module's docstring: the cat, le chat noir."""
    return SimpleNamespace(
        token_ids=np.array([11, 12, 13, 14, 15], "uint16"),
        word_starts=np.ones(5, bool),
        sentence_offsets=np.array([0, 2, 5]),
        document_offsets=np.array([0, 5]),
        sentence_languages=languages,
        documents=np.arange(1),
        vocabulary_size=16,
        special_token_ids={"cls": CLS, "sep": END, "pad": PAD},
        layout=layout,
    )


def test_the_example_of_texts():
    batch = planned("text_pair", example_corpus("bert"), 1, 0, False, 10)(0)
    assert batch["token_ids"].tolist() == [[CLS, 11, 12, END, 13, 14, 15, END, PAD, PAD]]
    assert batch["segment_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 0, 0]]
    assert batch["padding_mask"].tolist() == [[1] * 8 + [0, 0]] and "position_ids" not in batch


def test_texts_are_each_there_once_and_lose_their_ends(make_language_corpus):
    corpus = make_language_corpus({}, {(0, 1): 20})
    corpus.sentence_languages = None
    rows = planned("text_pair", corpus, 1, 3, True, 12)
    passes = [all_rows(rows, number)["token_ids"] for number in range(2)]
    assert sorted(passes[0].tolist()) == sorted(passes[1].tolist()) != passes[0].tolist()
    ends = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    expected = []
    for document in range(20):
        bounds = corpus.sentence_offsets[ends[document] : ends[document] + 3]
        sides = [corpus.token_ids[b:e].tolist() for b, e in zip(bounds, bounds[1:])]
        kept = truncated_lengths([list(map(len, sides))], 12 - 3)[0]
        first, second = (side[:count] for side, count in zip(sides, kept))
        expected.append([END, *first, END, *second, END])
    read = [[token for token in row if token != PAD] for row in passes[0].tolist()]
    assert sorted(read) == sorted(expected)


def test_the_example_of_translations():
    corpus = example_corpus("xlm", np.array([5, 9]))
    corpus.special_token_ids["cls"] = END
    batch = planned("translation_pair", corpus, 1, 0, False, 10)(0)
    assert batch["token_ids"].tolist() == [[END, 11, 12, END, END, 13, 14, 15, END, PAD]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0]]
    assert batch["language_ids"].tolist() == [[5, 5, 5, 5, 9, 9, 9, 9, 9, 9]]
    assert batch["functional"].tolist() == [[1, 0, 0, 1, 1, 0, 0, 0, 1, 1]]
    assert batch["padding_mask"].tolist() == [[1] * 9 + [0]] and not batch["segment_ids"].any()


@pytest.mark.parametrize("length", [12, 24])
def test_every_pair_once_and_what_holds_for_it(make_language_corpus, length):
    corpus = make_language_corpus(pairs={(0, 1): 20, (2, 0): 9})
    batch = all_rows(planned("translation_pair", corpus, 1, 0, False, length))
    ends = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    languages = corpus.sentence_languages[np.stack([ends[:-1], ends[1:] - 1], axis=1)]
    documents = np.flatnonzero(languages[:, 0] != languages[:, 1])
    assert len(batch["token_ids"]) == len(documents) == 29
    assert ((batch["token_ids"] == END).sum(axis=1) == 4).all()
    for row, document in enumerate(documents):
        bounds = corpus.sentence_offsets[ends[document] : ends[document] + 3]
        sides = [corpus.token_ids[b:e].tolist() for b, e in zip(bounds, bounds[1:])]
        kept = truncated_lengths([list(map(len, sides))], length - 4)[0]
        sides = [side[:count] for side, count in zip(sides, kept)]
        real = batch["padding_mask"][row]
        expected = [END, *sides[0], END, END, *sides[1], END]
        assert batch["token_ids"][row][real].tolist() == expected
        positions = [*range(len(sides[0]) + 2), *range(len(sides[1]) + 2)]
        assert batch["position_ids"][row][real].tolist() == positions
        own = np.repeat(languages[document], [len(sides[0]) + 2, len(sides[1]) + 2])
        assert batch["language_ids"][row][real].tolist() == own.tolist()
    cut = (batch["padding_mask"].sum(axis=1) == length).sum()
    assert cut > 15 if length == 12 else cut == 0


def test_training_draws_pairs_of_languages(make_language_corpus):
    corpus = make_language_corpus({}, {(0, 1): 40, (2, 1): 10})
    rows = planned("translation_pair", corpus, 1, 0, True, 24, language_exponent=0.0)
    passes = [all_rows(rows, number) for number in range(3)]
    for batch in passes:
        assert np.bincount(batch["language_ids"][:, 0]).tolist() == [25, 0, 25]
    assert (passes[0]["token_ids"] != passes[1]["token_ids"]).any()
    as_they_occur = planned("translation_pair", corpus, 1, 0, True, 24, language_exponent=1.0)
    assert np.bincount(all_rows(as_they_occur)["language_ids"][:, 0]).tolist() == [40, 0, 10]


def test_without_languages(make_language_corpus):
    corpus = make_language_corpus({})
    corpus.sentence_languages = None
    batch = all_rows(planned("translation_pair", corpus, 1, 0, True, 24))
    assert "language_ids" not in batch and len(batch["token_ids"]) == 20
    assert ((batch["token_ids"] == END).sum(axis=1) == 4).all()


def test_bad_input(make_language_corpus, make_random_corpus):
    with pytest.raises(ValueError, match=r"documents of two sentences.*document \d is none"):
        corpus = make_random_corpus(9)
        corpus.document_offsets = corpus.sentence_offsets[np.arange(0, 10, 3)]
        corpus.documents = np.arange(3)
        planned("translation_pair", corpus, 1, 0, True, 24)
    with pytest.raises(ValueError, match="Corpus.build_pairs.*Received: no pair of languages"):
        planned("translation_pair", make_language_corpus(pairs={}), 1, 0, True, 24)
    with pytest.raises(ValueError, match="`language_exponent` must be a number"):
        planned("translation_pair", make_language_corpus(), 1, 0, True, 24, language_exponent=2)
    with pytest.raises(ValueError, match="room for a token of each.*Received: sequence_length=5"):
        planned("translation_pair", make_language_corpus(), 1, 0, True, 5)


def test_the_example_of_sources_and_targets():
    """Each half has a length of its own, special tokens included; texts lose their ends."""
    corpus = example_corpus("bert")
    settings = dict(first_length=4, second_length=5)
    batch = planned("source_target", corpus, 1, 0, False, 9, **settings)(0)
    assert batch["token_ids"].tolist() == [[CLS, 11, 12, END, CLS, 13, 14, 15, END]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4]]
    # the target is cut at its end, and its room is not the source's
    settings = dict(first_length=8, second_length=4)
    batch = planned("source_target", corpus, 1, 0, False, 12, **settings)(0)
    expected = [CLS, 11, 12, END, CLS, 13, 14, END, PAD, PAD, PAD, PAD]
    assert batch["token_ids"].tolist() == [expected]
    settings = dict(first_length=3, second_length=9)
    batch = planned("source_target", corpus, 1, 0, False, 12, **settings)(0)
    expected = [CLS, 11, END, CLS, 13, 14, 15, END, PAD, PAD, PAD, PAD]
    assert batch["token_ids"].tolist() == [expected]
    with pytest.raises(ValueError, match="room for a token each.*rows of 2 and 9 tokens"):
        planned("source_target", corpus, 1, 0, False, 11, first_length=2, second_length=9)


def test_sources_and_targets_are_each_there_once(make_language_corpus):
    corpus = make_language_corpus({}, {(0, 1): 20})
    corpus.sentence_languages = None
    settings = dict(first_length=60, second_length=60)
    rows = planned("source_target", corpus, 1, 3, True, 120, **settings)
    passes = [all_rows(rows, number)["token_ids"] for number in range(2)]
    assert sorted(passes[0].tolist()) == sorted(passes[1].tolist()) != passes[0].tolist()
    assert len(np.unique(passes[0], axis=0)) == 20
