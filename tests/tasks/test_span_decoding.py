import itertools

import numpy as np
import pytest

from keras_plm.metrics import best_threshold, squad_scores
from keras_plm.tasks import SpanWindow
from keras_plm.tasks.span_decoding import decode_answers

CONTEXT = "zero one two three four five six seven"
OFFSETS = np.array(
    [[CONTEXT.index(word), CONTEXT.index(word) + len(word)] for word in CONTEXT.split()]
)
LENGTH = 10  # of a row: padding, at most 6 context tokens, then others; CLS is the last one


def window(start=0, end=6, owned=None, example=0, first=1):
    owned = np.ones(end - start, bool) if owned is None else np.array(owned, bool)
    return SpanWindow(example, CONTEXT, OFFSETS, start, end, first, owned)


def logits(*places, low=-5.0):
    """A row of logits, with the values of some positions."""
    row = np.full(LENGTH, low, "float32")
    for place, value in places:
        row[place] = value
    return row


def simple(starts, ends):
    return {"start": np.stack(starts), "end": np.stack(ends)}


def beam(starts, ends, impossible):
    """Outputs of a beam from lists of (position, log-probability), per window and start."""
    starts, ends = np.array(starts), np.array(ends)  # (W, S, 2), (W, S, E, 2)
    return {
        "start_top_index": starts[..., 0].astype(int),
        "start_top_log_probs": starts[..., 1],
        "end_top_index": ends[..., 0].astype(int),
        "end_top_log_probs": ends[..., 1],
        "impossible": np.array(impossible, "float32")[:, None],
    }


def test_the_best_pair_of_a_simple_head():
    outputs = simple([logits((2, 3.0), (5, 2.0), (9, 1.0))], [logits((3, 4.0), (1, 9.0))])
    (answer,) = decode_answers([window()], outputs)
    assert (answer.text, answer.start, answer.end) == ("one two", 5, 12)
    assert CONTEXT[answer.start : answer.end] == answer.text
    assert answer.score == 7.0 and answer.null_score == 1.0 - 5.0 - 7.0
    assert 0.99 < answer.answerable < 1
    assert [round(one.score) for one in answer.n_best] == [7, 4, -1, -1, -2]
    assert sum(one.probability for one in answer.n_best) == pytest.approx(1.0)
    assert answer.n_best[0].probability == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-3)


def test_simple_against_every_pair():
    random = np.random.default_rng(0)
    for _ in range(20):
        start, end = random.normal(size=(2, LENGTH)).astype("float32")
        (answer,) = decode_answers([window()], simple([start], [end]), 5, max_answer_length=3)
        pairs = [(a, b) for a, b in itertools.product(range(6), repeat=2) if a <= b < a + 3]
        best = max(pairs, key=lambda pair: start[1 + pair[0]] + end[1 + pair[1]])
        assert (answer.start, answer.end) == (OFFSETS[best[0], 0], OFFSETS[best[1], 1])


def test_a_beam_keeps_ends_with_their_starts():
    outputs = beam(
        starts=[[(2, -0.1), (4, -1.0)]],
        ends=[[[(1, -0.1), (9, -0.2)], [(4, -0.3), (5, -0.4)]]],  # before its start; CLS
        impossible=[-2.0],
    )
    (answer,) = decode_answers([window()], outputs)
    assert answer.text == "three" and answer.score == pytest.approx(-1.3)
    assert [one.text for one in answer.n_best] == ["three", "three four"]
    assert answer.null_score == -2.0 and answer.answerable == pytest.approx(1 / (1 + np.exp(-2)))
    assert [one.text for one in decode_answers([window()], outputs, n_best=1)[0].n_best] == [
        "three"
    ]


def test_windows_are_merged():
    """A span counts where its start has most context."""
    windows = [
        window(0, 6, owned=[1, 1, 1, 1, 0, 0]),
        window(2, 8, owned=[0, 0, 1, 1, 1, 1]),
        window(0, 6, example=1),
    ]
    outputs = beam(
        starts=[[(5, -0.1), (1, -3.0)], [(3, -0.5), (6, -1.0)], [(1, -1.0), (2, -2.0)]],
        ends=[
            [[(5, 0.0), (6, 0.0)], [(1, 0.0), (2, 0.0)]],
            [[(3, 0.0), (4, -1.0)], [(6, 0.0), (6, -0.5)]],
            [[(1, 0.0), (2, -0.1)], [(2, 0.0), (3, 0.0)]],
        ],
        impossible=[3.0, 1.0, -1.0],
    )
    first, second = decode_answers(windows, outputs, n_best=10)
    assert first.text == "four" and first.score == -0.5  # not from the first window, -0.1
    assert [one.text for one in first.n_best[:3]] == ["four", "seven", "four five"]
    assert len({(one.start, one.end) for one in first.n_best}) == len(first.n_best)
    assert first.null_score == 1.0 and second.null_score == -1.0
    silent, loud = decode_answers(windows, outputs, null_threshold=0.0)
    assert (silent.text, silent.start, silent.end) == ("", 0, 0) and silent.n_best
    assert loud.text == second.text == "zero"


def test_the_lowest_null_score_of_the_windows_counts():
    nulls = [3.0, -1.0, 2.0]  # neither the first nor the last is the lowest
    spans = {"starts": [[(1, -0.5)]] * 3, "ends": [[[(1, 0.0)]]] * 3}
    (answer,) = decode_answers([window()] * 3, beam(**spans, impossible=nulls))
    assert answer.null_score == -1.0
    rows = [logits((1, 4.0), (9, null)) for null in nulls]
    (answer,) = decode_answers([window()] * 3, simple(rows, rows))
    assert answer.null_score == 2 * -1.0 - 2 * 4.0


def test_the_best_threshold_gives_the_f1_that_it_promised():
    """The threshold is the null score of the last question that it lets answer."""
    golds = [["zero"], ["zero one"], [], ["zero"], []]
    nulls = [-2.0, 0.5, 1.5, 0.5, 3.0]
    windows = [window(example=example) for example in range(len(golds))]
    outputs = beam([[(1, -0.5)]] * 5, [[[(1, 0.0)]]] * 5, nulls)
    answers = decode_answers(windows, outputs)
    found = best_threshold([answer.null_score for answer in answers], golds, answers)
    assert found["threshold"] == 0.5
    answers = decode_answers(windows, outputs, null_threshold=found["threshold"])
    assert [answer.text for answer in answers] == ["zero", "zero", "", "zero", ""]
    exact_match, f1 = squad_scores(golds, answers)
    assert f1.mean() == pytest.approx(found["f1"]) == pytest.approx((4 + 2 / 3) / 5)
    assert exact_match.mean() == pytest.approx(found["exact_match"]) == pytest.approx(4 / 5)


def test_no_span_at_all():
    """All starts are CLS, or their ends are masked."""
    outputs = beam(
        starts=[[(9, -0.1), (1, -2.0)]],
        ends=[[[(9, 0.0), (2, -1.0)], [(2, -1e30), (3, -1e30)]]],
        impossible=[5.0],
    )
    (answer,) = decode_answers([window()], outputs)
    assert (answer.text, answer.start, answer.end, answer.n_best) == ("", 0, 0, [])
    assert answer.score == -np.inf and answer.null_score == 5.0 and answer.answerable < 0.01
    masked = simple([logits(low=-1e30)], [logits(low=-1e30)])
    (answer,) = decode_answers([window()], masked)
    assert answer.text == "" and np.isfinite(answer.null_score) and 0 <= answer.answerable <= 1


def test_pieces_of_whitespace_are_no_answer():
    offsets = OFFSETS.copy()
    offsets[1] = offsets[2, 0]  # where the next character begins
    one = SpanWindow(0, CONTEXT, offsets, 0, 6, 1, np.ones(6, bool))
    outputs = simple([logits((2, 9.0))], [logits((2, 9.0), (3, 1.0))])
    (answer,) = decode_answers([one], outputs)
    assert answer.text == "two" and all(span.text for span in answer.n_best)


def test_no_answer_may_be_anywhere_in_the_row():
    owned = np.ones(6, bool)
    row = SpanWindow(0, CONTEXT, OFFSETS, 0, 6, 1, owned, no_answer=0)
    outputs = simple([logits((0, 2.0), (2, 3.0), (9, 8.0))], [logits((0, 1.5), (3, 4.0), (9, 8.0))])
    (answer,) = decode_answers([row], outputs)
    assert answer.text == "one two" and answer.null_score == 3.5 - 7.0
