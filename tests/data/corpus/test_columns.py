"""Columns of a corpus: the literal example, a new one from text to batches, damaged files."""

import json
import re
from dataclasses import dataclass

import numpy as np
import pytest

from keras_plm.data import Corpus, examples, train_tokenizer
from keras_plm.data.corpus import columns
from keras_plm.data.corpus.columns import COLUMNS, Column, check_column, fill_special, token_columns
from keras_plm.objectives import MaskedModeling, ObjectiveSum, TokenLabel

LINES = ["The Queen went to Paris .", "she saw a Cat and Jack"]


def find_capitals(sentence):
    """The words with a capital, 1."""
    return [(*match.span(), 1) for match in re.finditer(r"[A-Z]\w*", sentence)]


@dataclass(frozen=True)
class Capitals(TokenLabel):
    """Whether a word has a capital in the text."""

    label = "capitals"
    classes = ("lower case", "with a capital")


@pytest.fixture
def capitals(monkeypatch):
    """Another column, for one test."""
    monkeypatch.setitem(COLUMNS, "capitals", Column("uint8", bound=2))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(LINES * 30))
    return path


@pytest.fixture(scope="module")
def tokenizer(text):
    return train_tokenizer([text], vocabulary_size=60, model="wordpiece", lowercase=True)


def test_literal_example():
    """The example of the module's docstring."""
    special = np.array([[1, 0, 0, 0, 0, 0, 0, 1]], bool)
    found = {
        "word_starts": np.array([[0, 1, 1, 1, 0, 0, 0, 0]], bool),
        "span_marks": np.array([[2, 0, 0, 1, 2, 2, 2, 2]], "uint8"),
    }
    fill_special(found, special, (np.array([0]), np.array([1])))
    assert found["word_starts"].astype(int).tolist() == [[1, 1, 1, 1, 0, 0, 0, 1]]
    assert found["span_marks"].tolist() == [[0, 0, 0, 1, 2, 2, 2, 0]]
    fill_special(found, special, (np.array([0]), np.array([4])))  # a text begins within the span
    assert found["span_marks"].tolist() == [[0, 0, 0, 1, 1, 2, 2, 0]]
    assert found["word_starts"][0, 4] and found["span_marks"].dtype == "uint8"


def test_a_new_column_costs_a_row(text, tokenizer, tmp_path, capitals):
    """From text to the labels of a batch: 1 at the tokens of words with a capital."""
    corpus = Corpus.build([text], tokenizer, tmp_path / "c", annotate={"capitals": find_capitals})
    plain = Corpus.build([text], tokenizer, tmp_path / "plain")
    np.testing.assert_array_equal(corpus.token_ids, plain.token_ids)
    np.testing.assert_array_equal(corpus.word_starts, plain.word_starts)
    assert list(token_columns(corpus)) == ["word_starts", "capitals"]
    assert plain.capitals is None and plain.span_marks is None
    expected = {word.lower() for word in " ".join(LINES).split() if word[0].isupper()}
    objective = Capitals(24)
    x, y, weight = examples(corpus, objective, 8).batch_at(0)
    asked, words = weight["capitals"] > 0, {True: set(), False: set()}
    for row in range(8):
        pieces, labels = tokenizer.pieces(x["token_ids"][row][asked[row]].tolist()), y["capitals"]
        for piece, label in zip(pieces, labels[row][asked[row]]):
            words[bool(label)].add(piece)
    joined = "".join(expected)
    assert all(piece.removeprefix("##") in joined for piece in words[True]) and words[False]
    assert not y["capitals"][~asked].any() and 0.2 < y["capitals"].sum() / asked.sum() < 0.8
    masked = MaskedModeling.for_tokenizer(tokenizer, sequence_length=24)
    _, y, _ = examples(corpus, ObjectiveSum((masked, objective)), 8).batch_at(1)
    assert y["capitals"].any() and y["tokens"].any()
    rows = examples(corpus, Capitals(8, "stream"), 4, training=False).rows_at(0)
    assert rows["capitals"].any() and not rows["capitals"][rows["functional"]].any()


def test_files_of_columns(text, tokenizer, tmp_path, capitals, monkeypatch):
    directory = tmp_path / "c"
    Corpus.build([text], tokenizer, directory, annotate={"capitals": find_capitals})
    info = json.loads((directory / "corpus.json").read_text())
    assert info["columns"] == ["capitals"] and info["has_spans"] is False
    for wrong in (None, "capitals", [1]):
        (directory / "corpus.json").write_text(json.dumps({**info, "columns": wrong}))
        with pytest.raises(ValueError, match="columns must be a list of names"):
            Corpus.open(directory)
    older = {name: value for name, value in info.items() if name != "columns"}
    (directory / "corpus.json").write_text(json.dumps(older))
    assert Corpus.open(directory).capitals is None
    (directory / "corpus.json").write_text(json.dumps(info))
    values = np.load(directory / "capitals.npy")
    np.save(directory / "capitals.npy", values + 1)
    with pytest.raises(ValueError, match=r"damaged: capitals must be within \[0, 2\)"):
        Corpus.open(directory)
    np.save(directory / "capitals.npy", values[1:])
    with pytest.raises(ValueError, match="expected sizes"):
        Corpus.open(directory)
    monkeypatch.delitem(columns.COLUMNS, "capitals")
    with pytest.raises(ValueError, match=r"columns that are not in .*Received: \['capitals'\]"):
        Corpus.open(directory)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ([(0, 3, 2)], ValueError, r"numbers of capitals must be within \[0, 2\)"),
        ([(0, 3, -1)], ValueError, "numbers of capitals"),
        ([(0, 3, 1), (2, 4, 1)], ValueError, "spans of capitals must not overlap"),
        ([(0, 300, 1)], ValueError, "spans of capitals must have a character"),
        ("none", TypeError, "capitals must return a list"),
    ],
)
def test_bad_annotations(text, tokenizer, tmp_path, capitals, given, error, message):
    with pytest.raises(error, match=message):
        Corpus.build([text], tokenizer, tmp_path / "c", annotate={"capitals": lambda _: given})
    assert not (tmp_path / "c").exists()
    with pytest.raises(ValueError, match=r"must name columns.*Received: \['emotions'\]"):
        Corpus.build([text], tokenizer, tmp_path / "c", annotate={"emotions": find_capitals})


@pytest.mark.parametrize(
    "name, values, good",
    [
        ("word_starts", np.array([True, False]), True),
        ("word_starts", np.array([2, 0], "uint8").view(bool), False),
        ("span_marks", np.array([0, 1, 2, 2, 1, 0], "uint8"), True),
        ("span_marks", np.array([0, 2], "uint8"), False),
        ("span_marks", np.array([3], "uint8"), False),
        ("entities", np.array([0, 7, 0], "int32"), True),
        ("entities", np.array([0, -1], "int32"), False),
        ("sentence_languages", np.array([5, 9, 5], "int32"), True),
        ("sentence_languages", np.array([5, 8], "int32"), False),
    ],
)
def test_values_of_columns(name, values, good):
    if good:
        check_column(name, values, [5, 9], "here")
    else:
        with pytest.raises(ValueError, match=f"here is damaged: {name} must be"):
            check_column(name, values, [5, 9], "here")
