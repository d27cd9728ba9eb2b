"""Exact match and F1 of SQuAD, and the threshold of its second version."""

import collections
import re
import string

import keras
import numpy as np

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@keras.saving.register_keras_serializable(package="keras_plm")
class SquadScore(keras.metrics.Metric):
    """Exact match and F1 between predicted and labelled answers, as SQuAD counts them.

    Both compare words without case, punctuation and articles; of several labelled answers the
    best match counts. A question without an answer is matched by an empty text alone.

    It takes texts, so that it is updated outside of `fit`, on what `SpanExtractor.answer` says.

    Args:
        name: str.

    Example:
    ```python
    from keras_plm.metrics import SquadScore

    score = SquadScore()
    score.update_state([["the old dog", "a dog"], []], ["dog", ""])
    assert score.result() == {"exact_match": 1.0, "f1": 1.0}
    ```

    Source: SQuAD, arXiv:1606.05250, section 6.1; SQuAD 2.0, arXiv:1806.03822, and its released
    evaluation script.
    """

    def __init__(self, name="squad", **kwargs):
        super().__init__(name=name, **kwargs)
        self.exact_match = self.add_variable((), "zeros", name="exact_match")
        self.f1 = self.add_variable((), "zeros", name="f1")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred):
        """Count more questions.

        Args:
            y_true: for each question a list of texts, or a dict with the list "text" as in SQuAD;
                None or an empty list: there is no answer.
            y_pred: for each question a text, or an `Answer`; "": there is no answer.

        Raises:
            TypeError: if an answer is no text.
            ValueError: if their numbers differ.
        """
        exact_match, f1 = squad_scores(y_true, y_pred)
        self.exact_match.assign_add(float(exact_match.sum()))
        self.f1.assign_add(float(f1.sum()))
        self.count.assign_add(float(len(f1)))

    def result(self):
        """dict of `exact_match` and `f1`, floats in [0, 1]; 0 before any question."""
        count = max(float(self.count), 1.0)
        return {"exact_match": float(self.exact_match) / count, "f1": float(self.f1) / count}


def squad_scores(y_true, y_pred):
    """Exact match and F1 of every question.

    Args:
        y_true: as `SquadScore.update_state` takes it, N questions.
        y_pred: as `SquadScore.update_state` takes it.

    Returns:
        Two float arrays (N,), each in [0, 1].

    Raises:
        TypeError, ValueError: see `SquadScore.update_state`.
    """
    predictions = [getattr(one, "text", one) for one in y_pred]
    golds = [_gold_texts(one) for one in y_true]
    if len(golds) != len(predictions):
        raise ValueError(
            "There must be one prediction per question. "
            f"Received: {len(golds)} labelled and {len(predictions)} predicted answers."
        )
    scores = np.zeros((2, len(golds)))
    for row, (texts, prediction) in enumerate(zip(golds, predictions)):
        if not isinstance(prediction, str):
            raise TypeError(f"Prediction {row} must be a text. Received: {prediction!r:.80}.")
        words = answer_words(prediction)
        golds_words = [one for one in map(answer_words, texts) if one] or [[]]
        scores[0, row] = max(float(one == words) for one in golds_words)
        scores[1, row] = max(_f1(one, words) for one in golds_words)
    return scores[0], scores[1]


def answer_words(text):
    """The words of an answer without case, punctuation and articles.

    Args:
        text: str.

    Returns:
        list of str.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def best_threshold(null_scores, y_true, y_pred, score="f1"):
    """Find the null score above which "no answer" is the better prediction.

    Args:
        null_scores: floats (N,), how much speaks for "no answer" (`Answer.null_score`).
        y_true: as `SquadScore.update_state` takes it.
        y_pred: answers made without threshold.
        score: "f1" or "exact_match". What is maximised.

    Returns:
        dict of `threshold` (questions with a null score above it get no answer), and the
        `exact_match` and `f1` that it leads to.

    Raises:
        ValueError: if numbers differ, there is no question, or a null score is not finite.

    Source: the released evaluation script of SQuAD 2.0 (`find_best_thresh`).
    """
    null_scores = np.asarray(null_scores, "float64")
    y_true, y_pred = list(y_true), list(y_pred)
    if score not in ("f1", "exact_match"):
        raise ValueError(f'`score` must be "f1" or "exact_match". Received: score={score!r}.')
    if null_scores.shape != (len(y_pred),) or not len(y_pred) or np.isnan(null_scores).any():
        raise ValueError(
            "There must be one null score per prediction, and no NaN. "
            f"Received: {null_scores.shape} for {len(y_pred)} predictions."
        )
    answered = np.stack(squad_scores(y_true, y_pred))  # (2, N)
    silent = np.stack(squad_scores(y_true, [""] * len(y_pred)))
    order = np.argsort(null_scores, kind="stable")
    gain = np.cumsum((answered - silent)[:, order], axis=1)  # the first n are answered
    totals = silent.sum(axis=1, keepdims=True) + np.pad(gain, ((0, 0), (1, 0)))  # (2, N + 1)
    ordered = null_scores[order]
    # Equal scores are answered together: only the last of them can be a threshold.
    possible = np.append(True, np.append(ordered[1:] > ordered[:-1], True))
    row = ("exact_match", "f1").index(score)
    best = int(np.argmax(np.where(possible, totals[row], -np.inf)))
    threshold = ordered[best - 1] if best else ordered[0] - 1.0
    exact_match, f1 = totals[:, best] / len(y_pred)
    return {"threshold": float(threshold), "exact_match": float(exact_match), "f1": float(f1)}


def _gold_texts(answers):
    if isinstance(answers, dict):
        answers = answers.get("text", ())
    answers = [] if answers is None else answers
    if isinstance(answers, str) or not all(isinstance(one, str) for one in answers):
        raise TypeError(f"Labelled answers must be a list of texts. Received: {answers!r:.80}.")
    return answers


def _f1(gold, prediction):
    if not gold or not prediction:
        return float(gold == prediction)
    same = sum((collections.Counter(gold) & collections.Counter(prediction)).values())
    return 2.0 * same / (len(gold) + len(prediction))
