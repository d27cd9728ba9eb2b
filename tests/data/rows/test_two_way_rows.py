"""two_way_rows.py: the example, sentences read back from both sides, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.two_way_rows import TwoWayRows

A, B, C, D, E, F, G, BEGIN, END = 10, 11, 12, 13, 14, 15, 16, 1, 2
IDS = {"bos": BEGIN, "eos": END, "unk": 3}


def a_corpus(**changes):
    """The sentences `a b c`, `d e` of one document and `f`, `g` of another."""
    arrays = dict(
        token_ids=np.array([A, B, C, D, E, F, G]),
        word_starts=np.ones(7, bool),
        unknown_words=np.array([1, 2, 3, 4, 5, 6, 7], "int32"),
        sentence_offsets=np.array([0, 3, 5, 6, 7]),
        document_offsets=np.array([0, 5, 7]),
        documents=np.arange(2),
        vocabulary_size=20,
        special_token_ids=IDS,
        layout="elmo",
    )
    return SimpleNamespace(**{**arrays, **changes})


def test_the_example():
    rows = TwoWayRows(RowRequest(a_corpus(), 1, 0, False), 5)
    assert rows.steps_per_pass == 2
    first, second, again = rows(0), rows(1), rows(2)
    names = set(first) - {"fresh"}
    joined = {name: np.concatenate([first[name], second[name]], axis=1)[0] for name in names}
    assert joined["token_ids"].tolist() == [BEGIN, A, B, C, BEGIN, D, E, BEGIN, F, BEGIN]
    assert joined["forward_targets"].tolist() == [A, B, C, END, D, E, END, F, END, G]
    assert joined["backward_token_ids"].tolist() == [END, C, B, A, END, E, D, END, F, END]
    assert joined["backward_targets"].tolist() == [C, B, A, BEGIN, E, D, BEGIN, F, BEGIN, G]
    # What the corpus says of a word goes with it, and marks have none.
    assert joined["unknown_words"].tolist() == [0, 1, 2, 3, 0, 4, 5, 0, 6, 0]
    assert joined["backward_unknown_words"].tolist() == [0, 3, 2, 1, 0, 5, 4, 0, 6, 0]
    marks = joined["token_ids"] == BEGIN
    np.testing.assert_array_equal(joined["functional"], marks)
    assert joined["padding_mask"].all()
    fresh = [batch["fresh"].tolist() for batch in (first, second, again)]
    assert fresh == [[True], [False], [True]]


@pytest.mark.parametrize("training", [True, False])
def test_both_sides_have_the_sentences_of_the_corpus(make_random_corpus, training):
    corpus = make_random_corpus()
    corpus.special_token_ids = IDS
    rows = TwoWayRows(RowRequest(corpus, 3, 5, training), 7)
    batches = [rows(step) for step in range(rows.steps_per_pass)]
    names = ("token_ids", "forward_targets", "backward_token_ids", "backward_targets")
    joined = [np.concatenate([batch[name] for batch in batches], axis=1) for name in names]
    offsets = corpus.sentence_offsets
    known = {tuple(corpus.token_ids[a:b].tolist()) for a, b in zip(offsets, offsets[1:])}
    found = 0
    for words, following, back, before in zip(*joined):
        begins = np.flatnonzero(words == BEGIN)
        np.testing.assert_array_equal(begins, np.flatnonzero(back == END))
        for begin, end in zip(begins, begins[1:]):
            own, reversed_ = words[begin + 1 : end], back[begin + 1 : end]
            assert tuple(own.tolist()) in known
            np.testing.assert_array_equal(reversed_[::-1], own)
            np.testing.assert_array_equal(following[begin:end], [*own, END])
            np.testing.assert_array_equal(before[begin:end], [*reversed_, BEGIN])
            found += 1
    assert found > 50


def test_what_is_refused():
    with pytest.raises(ValueError, match="'bos' and 'eos'"):
        TwoWayRows(RowRequest(a_corpus(special_token_ids={"eos": 2}), 1), 5)
    with pytest.raises(ValueError, match="too small"):
        TwoWayRows(RowRequest(a_corpus(), 4), 5)
