"""The dictionary linker: the literal example, against every match tried, and in a corpus."""

import numpy as np
import pytest

from keras_plm.data import Corpus, DictionaryLinker, Texts
from keras_plm.data.entity_linker import WORD

NAMES = {"New York": 1, "York": 2, "Paris": 3}


def test_literal_example():
    linker = DictionaryLinker(NAMES)
    assert linker("from York to New  York's Paris") == [(5, 9, 2), (13, 22, 1), (25, 30, 3)]
    assert linker("New\nYork") == [(0, 8, 1)] and linker("") == linker("  ") == []
    assert linker("Yorkshire, Parisian, PARIS, paris") == []  # words, as they are written
    assert DictionaryLinker(NAMES, lowercase=True)("PARIS, new york") == [(0, 5, 3), (7, 15, 1)]


def test_the_longest_name_counts_and_a_shorter_one_if_it_does_not_go_on():
    linker = DictionaryLinker({"a b c d": 1, "a b": 2, "c": 3, "b c": 4, "U.S.": 5, "U": 6})
    assert linker("a b c d") == [(0, 7, 1)]
    assert linker("a b c x") == [(0, 3, 2), (4, 5, 3)]
    assert linker("b c b") == [(0, 3, 4)]
    assert linker("U.S. and U.S") == [(0, 4, 5), (9, 10, 6)]
    assert linker("a b a b c d") == [(0, 3, 2), (4, 11, 1)]


def test_as_every_name_tried_everywhere():
    """The oracle looks for each name at each word; texts of three words, names of one to three."""
    rng = np.random.default_rng(0)
    names = {" ".join(rng.choice(list("xyz"), n)): n for n in rng.integers(1, 4, 12)}
    names = {name: number for number, name in enumerate(names, 1)}
    linker = DictionaryLinker(names)
    for _ in range(50):
        text = " ".join(rng.choice(list("xyzw"), rng.integers(0, 9)))
        expected, at = [], 0
        while at < len(text):
            fits = [
                name
                for name in names
                if text.startswith(name, at) and text[at + len(name) :][:1] in ("", " ")
            ]
            if fits and text[at - 1 : at] in ("", " "):
                name = max(fits, key=len)
                expected.append((at, at + len(name), names[name]))
                at += len(name)
            else:
                at += 1
        assert linker(text) == expected


@pytest.mark.parametrize(
    "names, error, message",
    [
        ({}, ValueError, "must have names"),
        ([("Paris", 1)], TypeError, "entity_ids.*dict"),
        ({1: 1}, TypeError, "a name of entity_ids"),
        ({"": 1}, ValueError, "a name"),
        ({" \n": 1}, ValueError, "letter or mark"),
        ({"Paris": 0}, ValueError, "numbers from 1"),
        ({"Paris": "Q90"}, ValueError, "numbers from 1.*'Q90'"),
        ({"Paris": True}, ValueError, "numbers from 1"),
        ({"Paris": 2**31}, ValueError, "numbers from 1"),
        ({"New York": 1, "New  York": 2}, ValueError, "must have one number.*2, and 1"),
    ],
)
def test_bad_names(names, error, message):
    with pytest.raises(error, match=message):
        DictionaryLinker(names)


def test_bad_texts():
    assert DictionaryLinker({"New York": 1, "New  York": 1})("New York") == [(0, 8, 1)]
    with pytest.raises(ValueError, match="must have one number"):
        DictionaryLinker({"New York": 1, "NEW YORK": 2}, lowercase=True)
    with pytest.raises(TypeError, match="text"):
        DictionaryLinker(NAMES)(["Paris"])


def test_a_corpus_has_the_entity_at_the_first_token_of_each_mention(wordpiece, tmp_path):
    """Whatever finds them: a linker is a function that `annotate` takes."""
    texts = ["Alice met the White Rabbit. The White Rabbit ran, said Alice Alice."] * 3
    linker = DictionaryLinker({"White Rabbit": 9, "Alice": 4})
    build = {"tokenizer": wordpiece, "annotate": {"entities": linker}}
    corpus = Corpus.build(Texts(texts), directory=tmp_path / "a", **build)
    pieces = wordpiece.pieces(corpus.token_ids.tolist())
    found = [
        (piece, int(number))
        for piece, number, word in zip(pieces, corpus.entities, corpus.word_starts)
        if word
    ]
    numbers = [number for _, number in found[: len(found) // 3]]
    words = [word.lower() for word in WORD.findall(texts[0])]
    expected = [4 if word == "alice" else 9 if word == "white" else 0 for word in words]
    assert numbers == expected
    assert not corpus.entities[~corpus.word_starts].any()  # first pieces alone
    assert np.count_nonzero(corpus.entities) == 15 and len(pieces) > len(found)
    other = Corpus.build(
        Texts(texts),
        wordpiece,
        tmp_path / "b",
        annotate={"entities": lambda text: linker(text)[::-1]},
    )
    np.testing.assert_array_equal(other.entities, corpus.entities)
