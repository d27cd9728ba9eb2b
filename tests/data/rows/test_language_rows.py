"""language_rows.py: rows of one language each, all text of it once, or as often as is asked."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import make_rows


def planned(name, corpus, batch_size, seed, training, length, **settings):
    """The rows of a plan."""
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows(name, request, {"sequence_length": length, **settings})


def all_rows(rows, number=0):
    """The arrays of all batches of a pass."""
    steps = range(number * rows.steps_per_pass, (number + 1) * rows.steps_per_pass)
    batches = [rows(step) for step in steps]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def test_the_example():
    """The example of the module's docstring."""
    corpus = SimpleNamespace(
        token_ids=np.array([11, 11, 11, 13, 13, 13, 13, 12, 12], "uint16"),
        word_starts=np.ones(9, bool),
        sentence_offsets=np.array([0, 2, 3, 7, 9]),
        document_offsets=np.array([0, 3, 7, 9]),
        sentence_languages=np.array([5, 5, 9, 5]),
        documents=np.arange(3),
        vocabulary_size=16,
        special_token_ids={"cls": 4, "sep": 4, "pad": 0},
        layout="xlm",
    )
    batch = planned("language_stream", corpus, 3, 0, False, 6)(0)
    assert batch["token_ids"].tolist() == [
        [4, 11, 11, 11, 4, 4],
        [4, 12, 12, 4, 0, 0],
        [4, 13, 13, 13, 13, 4],
    ]
    assert batch["language_ids"].tolist() == [[5] * 6, [5] * 6, [9] * 6]
    assert batch["position_ids"].tolist() == [[*range(6)], [0, 1, 2, 3, 0, 0], [*range(6)]]
    assert batch["functional"].tolist() == [
        [1, 0, 0, 0, 1, 1],
        [1, 0, 0, 1, 1, 1],
        [1, 0, 0, 0, 0, 1],
    ]


def test_evaluation_has_all_text_of_one_language_once(make_language_corpus):
    corpus = make_language_corpus()
    rows = planned("language_stream", corpus, 1, 0, False, 16)
    batch = all_rows(rows)
    languages = batch["language_ids"]
    assert (languages == languages[:, :1]).all() and set(languages[:, 0]) == {0, 1}
    text = ~batch["functional"]
    assert (batch["token_ids"][text] // 100 == languages[text]).all()
    of_sentence = np.repeat(corpus.sentence_languages, np.diff(corpus.sentence_offsets))
    ends = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    pair = corpus.sentence_languages[ends[:-1]] != corpus.sentence_languages[ends[1:] - 1]
    alone = ~np.repeat(pair, np.diff(corpus.document_offsets))
    for language in (0, 1):
        expected = corpus.token_ids[alone & (of_sentence == language)]
        assert batch["token_ids"][text & (languages == language)].tolist() == expected.tolist()
    np.testing.assert_array_equal(
        batch["position_ids"], np.where(batch["padding_mask"], np.arange(16), 0)
    )


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0])
def test_training_draws_languages(make_language_corpus, exponent):
    corpus = make_language_corpus({0: 60, 1: 15, 2: 4})
    once = planned("language_stream", corpus, 1, 0, False, 16)
    counts = np.bincount(all_rows(once)["language_ids"][:, 0])
    shares = counts**exponent / (counts**exponent).sum()
    rows = planned("language_stream", corpus, 1, 0, True, 16, language_exponent=exponent)
    assert rows.steps_per_pass == once.steps_per_pass == counts.sum()
    passes = [all_rows(rows, number)["language_ids"][:, 0] for number in range(100)]
    found = np.array([np.bincount(one, minlength=3) for one in passes])
    # a pass has the next number below or above, however its own documents fill rows
    assert (abs(found - shares * counts.sum()) < 2.5).all()
    assert (abs(found.mean(axis=0) - shares * counts.sum()) < 0.4).all()
    assert any((one[:-1] != one[1:]).mean() > 0.05 for one in passes)  # shuffled


def test_without_languages_it_is_all_of_the_text(make_random_corpus):
    corpus = make_random_corpus(20)
    batch = all_rows(planned("language_stream", corpus, 1, 0, False, 16))
    assert "language_ids" not in batch and "position_ids" in batch
    text = batch["token_ids"][~batch["functional"]]
    assert text.tolist() == corpus.token_ids.tolist()


def test_bad_input(make_language_corpus):
    with pytest.raises(ValueError, match="needs documents of one language.*Received: 20 pairs"):
        planned("language_stream", make_language_corpus({}), 1, 0, True, 16)
    for exponent in (-0.1, 1.5, "0.5", None, True, float("nan")):
        with pytest.raises(ValueError, match="`language_exponent` must be a number from 0"):
            planned(
                "language_stream",
                make_language_corpus(),
                1,
                0,
                True,
                16,
                language_exponent=exponent,
            )
    with pytest.raises(ValueError, match="too small for one batch"):
        planned("language_stream", make_language_corpus(), 1000, 0, True, 16)
