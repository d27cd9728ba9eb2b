import json
from pathlib import Path

import numpy as np
import pytest

from keras_plm.metrics import SquadScore, best_threshold, squad_scores
from keras_plm.metrics.squad import answer_words

FIXTURE = Path(__file__).parents[1] / "fixtures" / "squad_metrics.json"


@pytest.fixture(scope="module")
def reference():
    return json.loads(FIXTURE.read_text("utf-8"))


def test_every_question_equals_the_library(reference):
    exact_match, f1 = squad_scores(reference["golds"], reference["predictions"])
    np.testing.assert_array_equal(exact_match, reference["exact_match"])
    np.testing.assert_allclose(f1, reference["f1"], atol=1e-9)
    assert 0.2 < exact_match.mean() < f1.mean() < 0.8


def test_the_mean_equals_the_library(reference):
    score = SquadScore()
    for part in (slice(0, 7), slice(7, 300)):
        score.update_state(reference["golds"][part], reference["predictions"][part])
    result = score.result()
    assert set(result) == {"exact_match", "f1"}
    for name, value in result.items():
        assert value == pytest.approx(reference["total"][name], abs=1e-6)
    score.reset_state()
    assert score.result() == {"exact_match": 0.0, "f1": 0.0}


@pytest.mark.parametrize("score", ["exact_match", "f1"])
def test_best_threshold_equals_the_library(reference, score):
    found = best_threshold(
        reference["null_scores"], reference["golds"], reference["predictions"], score
    )
    assert found[score] == pytest.approx(reference["best"][score]["value"], abs=1e-9)
    assert found["threshold"] == reference["best"][score]["threshold"]


def test_best_threshold_with_equal_scores(reference):
    """Against trying every threshold."""
    null_scores = np.round(reference["null_scores"])
    golds, predictions = reference["golds"], reference["predictions"]
    found = best_threshold(null_scores, golds, predictions)
    assert not set(null_scores) <= {found["threshold"]} and len(set(null_scores)) < 10

    def f1(threshold):
        kept = [p if s <= threshold else "" for p, s in zip(predictions, null_scores)]
        return squad_scores(golds, kept)[1].mean()

    values = [f1(threshold) for threshold in [-np.inf, *sorted(set(null_scores))]]
    assert found["f1"] == pytest.approx(max(values)) == pytest.approx(f1(found["threshold"]))
    assert found["exact_match"] <= found["f1"]


def test_silence_and_speech_can_both_be_best():
    never = best_threshold([1.0, 2.0], [[], []], ["a dog", "a cat"])
    assert never["threshold"] < 1.0 and never["f1"] == 1.0
    always = best_threshold([1.0, 2.0], [["dog"], ["cat"]], ["a dog", "a cat"])
    assert always == {"threshold": 2.0, "f1": 1.0, "exact_match": 1.0}


def test_no_threshold_lies_between_equal_scores():
    """To answer the right one alone would be best, and no threshold does that."""
    found = best_threshold([1.0, 1.0], [["dog"], []], ["a dog", "a cat"])
    assert found["f1"] == found["exact_match"] == 0.5
    found = best_threshold([1.0, 1.0, 2.0], [["dog"], [], ["cow"]], ["a dog", "a cat", "a cow"])
    assert found["threshold"] == 2.0 and found["f1"] == pytest.approx(2 / 3)


def test_forms_of_answers():
    class Found:
        text = "The  Dog!"

    golds = [{"text": ["cat", "dog"], "answer_start": [0, 4]}, None, {}, ("x y",)]
    exact_match, f1 = squad_scores(golds, [Found(), "", "a", "y z"])
    assert exact_match.tolist() == [1.0, 1.0, 1.0, 0.0] and f1.tolist() == [1.0, 1.0, 1.0, 0.5]
    assert answer_words("An  apple, the U.S.'s \u00a0x") == ["apple", "uss", "x"]


@pytest.mark.parametrize(
    "golds, predictions, error, message",
    [
        ([["a"]], ["a", "b"], ValueError, "1 labelled and 2 predicted"),
        (["dog"], ["dog"], TypeError, "list of texts. Received: 'dog'"),
        ([[1]], ["dog"], TypeError, r"list of texts. Received: \[1\]"),
        ([["dog"]], [None], TypeError, "Prediction 0 must be a text. Received: None"),
    ],
)
def test_bad_input(golds, predictions, error, message):
    with pytest.raises(error, match=message):
        SquadScore().update_state(golds, predictions)


@pytest.mark.parametrize("null_scores", [[], [1.0], [np.nan, 1.0]])
def test_bad_null_scores(null_scores):
    with pytest.raises(ValueError, match="one null score per prediction"):
        best_threshold(null_scores, [["a"], ["b"]], ["a", "b"])
    with pytest.raises(ValueError, match="`score` must be"):
        best_threshold([1.0], [["a"]], ["a"], score="em")
