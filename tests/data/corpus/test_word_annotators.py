"""Capitals and markers in text: the examples, what is no word, and from text to the column."""

import numpy as np
import pytest

from keras_plm.data import Corpus, train_tokenizer
from keras_plm.data.corpus.word_annotators import find_capitals, find_discourse_markers
from keras_plm.objectives import DISCOURSE_MARKERS

MARKER = {marker: number for number, marker in enumerate(DISCOURSE_MARKERS, start=1)}


def capitals(text):
    return [text[begin:end] for begin, end, number in find_capitals(text) if number == 1]


@pytest.mark.parametrize(
    "text, words",
    [
        ("Bob met IBM people", ["Bob", "IBM"]),
        ("O'Brien's iPhone, _Hello_ 3D 1st", ["O", "Brien", "Hello", "3D"]),
        ("Évian E\u0301vian été ǅungla Ωmega", ["Évian", "E\u0301vian", "ǅungla", "Ωmega"]),
        ("no capital here", []),
        ("", []),
        ("12 % -- ! 北京", []),
    ],
)
def test_capitals(text, words):
    assert capitals(text) == words


@pytest.mark.parametrize(
    "text, begins, marker",
    [
        ("But, however, he went on.", "But,", "but"),
        ("“And so?” he said.", "“And", "and"),
        ("--Of course , he did", "--Of course ,", "of course"),
        ("AT LAST it ended", "AT LAST", "at last"),
        ("For he knew", "For", "for"),
        ("as", "as", "as"),
    ],
)
def test_markers(text, begins, marker):
    assert find_discourse_markers(text) == [(0, len(begins), MARKER[marker])]


@pytest.mark.parametrize(
    "text", ["He went, but came.", "Butter is here", "So's he", "Still-life", "", "...", "At first"]
)
def test_no_markers(text):
    assert find_discourse_markers(text) == []


def test_columns_of_a_corpus(tmp_path):
    """All pieces of a word have its label, and those of a marker its number."""
    path = tmp_path / "text.txt"
    path.write_text("Bob met IBM people. At last, Paris came.\n\nbut it rained." * 20)
    tokenizer = train_tokenizer([path], 45, model="wordpiece", lowercase=True)
    annotate = {"capitals": find_capitals, "discourse_markers": find_discourse_markers}
    corpus = Corpus.build([path], tokenizer, tmp_path / "corpus", annotate=annotate)
    pieces = tokenizer.pieces(np.asarray(corpus.token_ids).tolist())
    words, labels = [], []
    for piece, capital, marker in zip(pieces, corpus.capitals, corpus.discourse_markers):
        if piece.startswith("##"):
            assert (capital, marker) == labels[-1]
            words[-1] += piece[2:]
        else:
            words.append(piece)
            labels.append((capital, marker))
    first = dict(zip(words[:11], labels[:11]))
    assert len([piece for piece in pieces if piece.startswith("##")]) > 20
    assert first == {
        "bob": (1, 0),
        "met": (0, 0),
        "ibm": (1, 0),
        "people": (0, 0),
        ".": (0, 0),
        "at": (1, MARKER["at last"]),
        "last": (0, MARKER["at last"]),
        ",": (0, MARKER["at last"]),
        "paris": (1, 0),
        "came": (0, 0),
    }
