"""Beam search against exhaustive search, over a language whose probabilities are a table."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import BeamSearch

VOCABULARY, SLOTS, STOP = 4, 4, 3


@pytest.fixture(scope="module")
def table():
    """Log-probabilities of the next token after each two, (V + 1, V + 1, V); V = none yet."""
    logits = np.random.default_rng(12).normal(size=(5, 5, VOCABULARY), scale=1.5)
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype("float32")


@pytest.fixture
def quick(jitted):
    """A function that compiles another where it would crawl otherwise."""
    return jitted if keras.backend.backend() == "jax" else lambda function: function


def search(sampler, table, given, stops, compiled):
    """The best of some texts, each of which begins with tokens of its own, (B, P); -1: free."""
    given = np.asarray(given, "int32")
    start = int((given >= 0).all(axis=0).sum())
    after = table.reshape(-1, VOCABULARY)  # (25, V)

    def next(filled, cache, index):
        # What this language keeps of each beam is its last token but one.
        last = ops.take(filled, index - 1, axis=1)  # (B,)
        logits = ops.take(after, cache["before"] * 5 + last, axis=0)  # (B, V)
        certain = np.where(np.arange(VOCABULARY) == STOP, 0.0, -1e9).astype("float32")
        logits = ops.where(ops.take(cache["given"], index, axis=1)[:, None], certain, logits)
        return logits, None, {"before": last, "given": cache["given"]}

    def run(prompt, index):
        before = ops.full((len(given),), VOCABULARY, dtype="int32")
        for position in range(start - 1):
            before = prompt[:, position]
        cache = {"before": before, "given": prompt >= 0}
        return sampler(next, prompt, cache, index, prompt >= 0, stops or None)

    arguments = ops.convert_to_tensor(given), ops.convert_to_tensor(start)
    return keras.tree.map_structure(ops.convert_to_numpy, compiled(run)(*arguments))


def exhaustive(table, given, stops, alpha):
    """All texts of one row with their scores, the best first."""
    known = [token for token in given if token >= 0]
    free = len(given) - len(known)
    found = {}
    for text in itertools.product(range(VOCABULARY), repeat=free):
        ends = [place for place, token in enumerate(text) if token in stops]
        text = text[: ends[0] + 1] if ends else text
        before, total = [VOCABULARY, VOCABULARY, *known], 0.0
        for token in text:
            total += table[before[-2], before[-1], token]
            before.append(token)
        found[text] = total / ((5 + len(text)) / 6) ** alpha
    return sorted(found.items(), key=lambda pair: -pair[1])


def plain_beams(table, given, stops, alpha, num_beams):
    """The best texts of one row with their scores, by a loop that never ends early."""
    alive, finished = [((), 0.0)], []
    for length in range(1, given.count(-1) + 1):
        longer = []
        for text, total in alive:
            before = [token for token in given if token >= 0] + list(text)
            steps = enumerate(table[before[-2], before[-1]])
            longer += [((*text, token), total + step) for token, step in steps]
        longer = sorted(longer, key=lambda pair: -pair[1])[: (1 + len(stops)) * num_beams]
        penalty = ((5 + length) / 6) ** alpha
        alive = [pair for pair in longer if pair[0][-1] not in stops][:num_beams]
        finished += [(text, total / penalty) for text, total in longer if text[-1] in stops]
        finished = sorted(finished, key=lambda pair: -pair[1])[:num_beams]
    finished += [(text, total / penalty) for text, total in alive]
    return sorted(finished, key=lambda pair: -pair[1])[:num_beams]


GIVEN = [[0, -1, -1, -1], [2, 1, STOP, -1]]


@pytest.mark.parametrize(
    "stops, alpha, jit",
    [([STOP], 0.0, False), ([STOP], 0.6, True), ([STOP, 0], 3.0, False), ([], 0.6, False)],
    ids=str,
)
def test_wide_beams_are_exhaustive_search(table, stops, alpha, jit, jitted, quick):
    sampler = BeamSearch(num_beams=64, length_penalty=alpha, num_results=8)
    texts, scores = search(sampler, table, GIVEN, stops, jitted if jit else quick)
    assert texts.shape == (2, 8, SLOTS) and scores.shape == (2, 8)
    for row, (given, own, values) in enumerate(zip(GIVEN, texts, scores)):
        expected = exhaustive(table, given, stops, alpha)[:8]
        known = sum(token >= 0 for token in given)
        assert (own[: len(expected), :known] == given[:known]).all()
        for (text, score), ids, value in zip(expected, own, values):
            padded = [*text, *[-1] * (SLOTS - known - len(text))]
            assert ids[known:].tolist() == padded
            np.testing.assert_allclose(value, score, atol=1e-5)
        assert (values[len(expected) :] < -1e8).all() and len(expected) == (8, 4)[row]


PAIRS = list(itertools.product(range(VOCABULARY), repeat=2))


@pytest.mark.parametrize(
    "starts, num_beams, stops, alpha",
    [(PAIRS, 2, [STOP], 1.0), (PAIRS, 3, [STOP, 0], 3.0), ([(0, STOP)], 2, [STOP], 3.0)],
    ids=["one stop", "two stops", "one row"],
)
def test_few_beams_end_only_when_nothing_better_can_come(
    table, starts, num_beams, stops, alpha, quick
):
    """With a length penalty, what is unfinished may yet be better than beams that are full."""
    sampler = BeamSearch(num_beams, length_penalty=alpha, num_results=num_beams)
    given = [[*start, -1, -1, -1, -1, -1] for start in starts]
    texts, scores = search(sampler, table, given, stops, quick)
    for row, own, values in zip(given, texts, scores):
        expected = plain_beams(table, row, stops, alpha, num_beams)
        found = [tuple(ids[ids >= 0].tolist()) for ids in own]
        assert found == [(*row[:2], *text) for text, _ in expected]
        np.testing.assert_allclose(values, [score for _, score in expected], rtol=1e-5)


def test_a_length_penalty_prefers_longer_texts(table, quick):
    lengths = []
    for alpha in (0.0, 3.0):
        sampler = BeamSearch(num_beams=64, length_penalty=alpha)
        (text,) = search(sampler, table, GIVEN[:1], [STOP], quick)  # one result: no scores
        ((best, _), *_) = exhaustive(table, GIVEN[0], [STOP], alpha)
        assert text.tolist() == [0, *best, *[-1] * (SLOTS - 1 - len(best))]
        lengths.append(len(best))
    assert lengths[0] < lengths[1]


def test_one_beam_is_greedy(table, quick):
    (text,) = search(BeamSearch(num_beams=1), table, GIVEN[:1], [], quick)
    before = VOCABULARY
    for last, token in zip(text, text[1:]):
        assert token == table[before, last].argmax()
        before = last


def test_more_beams_than_texts(table, quick):
    sampler = BeamSearch(num_beams=9, num_results=9)
    texts, scores = search(sampler, table, GIVEN, [STOP], quick)
    assert (scores[1, :4] > -100).all() and (scores[1, 4:] < -1e8).all()
    assert (np.diff(scores[0]) <= 0).all()
    assert len({tuple(text) for text in texts[0]}) == 9


def test_the_search_ends_when_nothing_better_can_come():
    """Certain to stop at once: the other slots are never computed."""
    sure = np.full((5, 5, VOCABULARY), -30.0, "float32")
    sure[..., STOP] = 0.0
    calls = []
    sampler = BeamSearch(num_beams=1, length_penalty=0.5)

    def next(filled, cache, index):
        calls.append(int(index))
        return ops.convert_to_tensor(sure[0, :1, :]), None, cache

    sampler.run_loop = lambda cond, body, model, loop_vars, maximum_iterations: _loop(
        cond, body, loop_vars, maximum_iterations
    )
    text = sampler(next, ops.full((1, 9), -1, dtype="int32"), stop_token_ids=[STOP])
    assert calls == [0] and ops.convert_to_numpy(text).tolist() == [[STOP, *[-1] * 8]]


def _loop(cond, body, variables, count):
    for _ in range(int(count)):
        if not bool(cond(*variables)):
            break
        variables = body(*variables)
    return variables


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 0},
        {"num_beams": 2.5},
        {"num_results": 0},
        {"num_beams": 2, "num_results": 3},
        {"length_penalty": -0.1},
        {"length_penalty": float("nan")},
        {"temperature": 0.0},
    ],
    ids=str,
)
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="Received: "):
        BeamSearch(**wrong)


def test_config():
    sampler = BeamSearch(3, 0.7, 2, temperature=0.5)
    again = BeamSearch.from_config(sampler.get_config())
    assert again.get_config() == sampler.get_config()
    assert again.length_penalty == 0.7 and again.temperature == 0.5
