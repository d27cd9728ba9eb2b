"""From the outputs of all windows to the best answers of each question."""

from dataclasses import dataclass

import numpy as np

IMPOSSIBLE_SCORE = -1e29  # masked logits and their log-probabilities lie below


@dataclass(frozen=True)
class AnswerSpan:
    """One possible answer.

    Args:
        text: str. `context[start:end]`.
        start: int. Where it begins in the context, in characters.
        end: int. Where it ends.
        score: float. Its log-probability (beam), or the sum of its two logits.
        probability: float. Its share among the n-best answers.
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Args:
        text: str. `context[start:end]`; empty where there is no answer.
        start: int. Where it begins in the context, in characters; 0 where there is no answer.
        end: int. Where it ends; 0 where there is no answer.
        score: float. That of the best span; -inf where there is none.
        null_score: float. How much speaks for "no answer", a logit.
        n_best: list of `AnswerSpan`, the best first; also where `null_threshold` is exceeded.
    """

    text: str
    start: int
    end: int
    score: float
    null_score: float
    n_best: list

    @property
    def answerable(self):
        """The probability that there is an answer."""
        return float(1.0 / (1.0 + np.exp(np.clip(self.null_score, -50.0, 50.0))))


def decode_answers(windows, outputs, n_best=5, max_answer_length=64, null_threshold=None):
    """Merge the windows of each question.

    A span must begin and end on tokens of the context, at a start that its window owns (see
    `SpanWindow`). The null score of a question is the lowest of its windows: the logit
    `impossible`, or, without one, the sum of both logits of "no answer", less the best span's.

    Args:
        windows: list of W `SpanWindow`.
        outputs: dict of arrays of W rows, those of `BeamSpanHead` or of `SpanHead`.
        n_best: int. How many spans of each question are kept.
        max_answer_length: int. The most tokens of an answer.
        null_threshold: float or None. Questions whose null score is above it have no answer;
            None: every question is answered.

    Returns:
        list of `Answer`, one per question.

    Source: the released `run_squad.py` of XLNet (`write_predictions`), which also leaves out
    each window's last token; BERT, arXiv:1810.04805, section 4.3 (without beam).
    """
    beam = "impossible" in outputs
    spans, null_scores = {}, {}
    for row, window in enumerate(windows):
        output = {name: np.asarray(value[row]) for name, value in outputs.items()}
        if beam:
            null_score = output["impossible"].item()
            starts, ends = output["start_top_index"][:, None], output["end_top_index"]
            scores = output["start_top_log_probs"][:, None] + output["end_top_log_probs"]
        else:
            place = window.no_answer
            null_score = float(output["start"][place] + output["end"][place])
            starts = _highest(output["start"], 4 * n_best)[:, None]  # (S, 1)
            ends = _highest(output["end"], 4 * n_best)[None]  # (1, E)
            scores = output["start"][starts] + output["end"][ends]  # (S, E)
        kept = spans.setdefault(window.example, {})
        for place, score in _spans(window, starts, ends, scores, max_answer_length):
            kept[place] = max(score, kept.get(place, score))
        null_scores[window.example] = min(null_score, null_scores.get(window.example, np.inf))
    contexts = {window.example: window.context for window in windows}
    answers = []
    for example, context in contexts.items():
        best = sorted(spans[example].items(), key=lambda item: -item[1])[:n_best]
        null_score = null_scores[example]
        if not beam:
            null_score -= best[0][1] if best else IMPOSSIBLE_SCORE
        answers.append(_answer(context, best, null_score, null_threshold))
    return answers


def _spans(window, starts, ends, scores, max_answer_length):
    """Characters (begin, end) and score of each pair of positions that can be an answer."""
    length = window.end - window.start
    starts, ends = np.broadcast_arrays(starts - window.first, ends - window.first)
    possible = (starts >= 0) & (starts <= ends) & (ends < length)
    possible &= (ends - starts < max_answer_length) & (scores > IMPOSSIBLE_SCORE)
    possible &= window.owned[np.clip(starts, 0, length - 1)]
    offsets = window.offsets[window.start : window.end]
    begins, stops = offsets[starts[possible], 0], offsets[ends[possible], 1]
    for begin, stop, score in zip(begins.tolist(), stops.tolist(), scores[possible].tolist()):
        if begin < stop:  # else it is whitespace
            yield (begin, stop), score


def _highest(values, count):
    return np.argsort(-values, kind="stable")[:count]


def _answer(context, best, null_score, null_threshold):
    scores = np.array([score for _, score in best])
    shares = np.exp(scores - scores.max(initial=-np.inf)) if best else scores
    n_best = [
        AnswerSpan(context[begin:end], begin, end, score, float(share / shares.sum()))
        for ((begin, end), score), share in zip(best, shares)
    ]
    answered = bool(best) and (null_threshold is None or null_score <= null_threshold)
    text, start, end = (n_best[0].text, *best[0][0]) if answered else ("", 0, 0)
    score = n_best[0].score if best else -np.inf
    return Answer(text, start, end, float(score), float(null_score), n_best)
