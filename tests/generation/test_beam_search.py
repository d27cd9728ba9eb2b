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


def penalty(length, alpha, kind="gnmt"):
    """What a log-likelihood is divided by."""
    return ((5 + length) / 6 if kind == "gnmt" else length) ** alpha


def exhaustive(table, given, stops, alpha, kind="gnmt"):
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
        found[text] = total / penalty(len(text), alpha, kind)
    return sorted(found.items(), key=lambda pair: -pair[1])


def plain_beams(table, given, stops, alpha, num_beams, kind="gnmt"):
    """The best texts of one row with their scores, by a loop that never ends early."""
    alive, finished = [((), 0.0)], []
    for length in range(1, given.count(-1) + 1):
        longer = []
        for text, total in alive:
            before = [token for token in given if token >= 0] + list(text)
            steps = enumerate(table[before[-2], before[-1]])
            longer += [((*text, token), total + step) for token, step in steps]
        longer = sorted(longer, key=lambda pair: -pair[1])[: (1 + len(stops)) * num_beams]
        divisor = penalty(length, alpha, kind)
        alive = [pair for pair in longer if pair[0][-1] not in stops][:num_beams]
        finished += [(text, total / divisor) for text, total in longer if text[-1] in stops]
        finished = sorted(finished, key=lambda pair: -pair[1])[:num_beams]
    finished += [(text, total / divisor) for text, total in alive]
    return sorted(finished, key=lambda pair: -pair[1])[:num_beams]


GIVEN = [[0, -1, -1, -1], [2, 1, STOP, -1]]


@pytest.mark.parametrize(
    "stops, alpha, kind, jit",
    [
        ([STOP], 0.0, "gnmt", False),
        ([STOP], 0.6, "gnmt", True),
        ([STOP, 0], 3.0, "gnmt", False),
        ([], 0.6, "gnmt", False),
        ([STOP], 1.0, "power", False),
        ([STOP, 0], 0.6, "power", False),
    ],
    ids=str,
)
def test_wide_beams_are_exhaustive_search(table, stops, alpha, kind, jit, jitted, quick):
    """As many beams as there are texts, which are more than tokens."""
    sampler = BeamSearch(64, alpha, num_results=8, length_normalization=kind)
    texts, scores = search(sampler, table, GIVEN, stops, jitted if jit else quick)
    assert texts.shape == (2, 8, SLOTS) and scores.shape == (2, 8)
    for row, (given, own, values) in enumerate(zip(GIVEN, texts, scores)):
        expected = exhaustive(table, given, stops, alpha, kind)[:8]
        known = sum(token >= 0 for token in given)
        assert (own[: len(expected), :known] == given[:known]).all()
        for (text, score), ids, value in zip(expected, own, values):
            padded = [*text, *[-1] * (SLOTS - known - len(text))]
            assert ids[known:].tolist() == padded
            np.testing.assert_allclose(value, score, atol=1e-5)
        assert (values[len(expected) :] < -1e8).all() and len(expected) == (8, 4)[row]


PAIRS = list(itertools.product(range(VOCABULARY), repeat=2))


@pytest.mark.parametrize(
    "starts, num_beams, num_results, stops, alpha, kind",
    [
        (PAIRS, 2, 2, [STOP], 1.0, "gnmt"),
        (PAIRS, 3, 3, [STOP, 0], 3.0, "gnmt"),
        ([(0, STOP)], 2, 2, [STOP], 3.0, "gnmt"),
        (PAIRS, 3, 2, [STOP], 1.0, "power"),
        (PAIRS, 4, 1, [STOP, 0], 2.0, "power"),
    ],
    ids=["one stop", "two stops", "one row", "power", "one result"],
)
def test_few_beams_end_only_when_nothing_better_can_come(
    table, starts, num_beams, num_results, stops, alpha, kind, quick
):
    """With a length penalty, what is unfinished may yet be better than what is finished."""
    sampler = BeamSearch(num_beams, alpha, num_results, length_normalization=kind)
    given = [[*start, -1, -1, -1, -1, -1] for start in starts]
    results = search(sampler, table, given, stops, quick)
    texts, scores = results if num_results > 1 else (results[:, None], None)
    for number, (row, own) in enumerate(zip(given, texts)):
        expected = plain_beams(table, row, stops, alpha, num_beams, kind)[:num_results]
        found = [tuple(ids[ids >= 0].tolist()) for ids in own]
        assert len(set(found)) == num_results
        # Texts of the same triples are as good as each other.
        theirs = [score for _, score in expected]
        totals = [sum(table[triple] for triple in zip(ids, ids[1:], ids[2:])) for ids in found]
        values = [total / penalty(len(ids) - 2, alpha, kind) for ids, total in zip(found, totals)]
        np.testing.assert_allclose(values, theirs, rtol=1e-5)
        if scores is not None:
            np.testing.assert_allclose(scores[number], theirs, rtol=1e-5)


@pytest.mark.parametrize(
    "kind, length, alpha, expected",
    [
        ("gnmt", 5, 0.6, 1.358655),
        ("gnmt", 7, 0.6, 1.515717),
        ("gnmt", 20, 0.6, 2.354362),
        ("gnmt", 1, 3.0, 1.0),
        ("power", 7, 1.0, 7.0),  # CTranslate2: -1.06171 as -.15167
        ("power", 7, 0.6, 3.214096),  # and as -.33033
    ],
    ids=str,
)
def test_the_length_counts_the_stop_token(kind, length, alpha, expected):
    """Of texts that stop in their last slot, which is certain."""
    logits = np.array([1.0, 0.0, 0.0, -1e9], "float32")
    last = np.array([-1e9, -1e9, -1e9, 0.0], "float32")

    def next(filled, cache, index):
        here = ops.where(index == length - 1, last, logits)
        return ops.broadcast_to(here, (2, 4)), None, cache

    sampler = BeamSearch(2, alpha, 2, length_normalization=kind)
    prompt = ops.full((1, length), -1, dtype="int32")
    texts, scores = sampler(next, prompt, stop_token_ids=[STOP])
    assert ops.convert_to_numpy(texts)[0, 0].tolist() == [0] * (length - 1) + [STOP]
    total = (length - 1) * (1 - np.log(np.e + 2))
    assert float(scores[0, 0]) == pytest.approx(total / expected, rel=1e-5)


def test_a_length_penalty_prefers_longer_texts(table, quick):
    lengths = []
    for alpha in (0.0, 3.0):
        sampler = BeamSearch(num_beams=64, length_penalty=alpha)
        (text,) = search(sampler, table, GIVEN[:1], [STOP], quick)  # one result: no scores
        ((best, _), *_) = exhaustive(table, GIVEN[0], [STOP], alpha)
        assert text.tolist() == [0, *best, *[-1] * (SLOTS - 1 - len(best))]
        lengths.append(len(best))
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("kind", ["gnmt", "power"])
def test_one_beam_is_greedy(table, kind, quick):
    """However good what is longer, or what stops with the second best token."""
    sampler = BeamSearch(1, length_penalty=3.0, length_normalization=kind)
    given = [[*start, *[-1] * 6] for start in PAIRS]
    texts = search(sampler, table, given, [STOP], quick)
    lengths = set()
    for text, row in zip(texts, given):
        expected = row[:2]
        while len(expected) < 8 and (len(expected) == 2 or expected[-1] != STOP):
            expected.append(table[expected[-2], expected[-1]].argmax())
        assert text.tolist() == [*expected, *[-1] * (8 - len(expected))]
        lengths.add(len(expected))
    assert len(lengths) > 2


def test_one_beam_is_greedy_where_its_score_would_round_the_step_away():
    """At -270 a float32 does not tell tokens apart whose logits differ by 1e-5."""
    logits = np.zeros((1, 1000), "float32")
    logits[0, -1] = 1e-5
    text = BeamSearch(1)(
        lambda filled, cache, index: (ops.convert_to_tensor(logits), None, cache),
        ops.full((1, 40), -1, dtype="int32"),
    )
    assert ops.convert_to_numpy(text)[0].tolist() == [999] * 40


def test_what_is_forbidden_is_no_text_at_any_temperature():
    """Two tokens may be taken, so there are two texts for three beams."""
    logits = ops.convert_to_tensor(np.array([[0.0, -1e9, 1.0]] * 3, "float32"))
    texts, scores = BeamSearch(3, num_results=3, temperature=50.0)(
        lambda filled, cache, index: (logits, None, cache), ops.full((1, 1), -1, dtype="int32")
    )
    assert ops.convert_to_numpy(texts)[0, :2, 0].tolist() == [2, 0]
    assert (ops.convert_to_numpy(scores)[0] < -1e8).tolist() == [False, False, True]


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
        {"length_normalization": "mean"},
        {"temperature": 0.0},
    ],
    ids=str,
)
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="Received: "):
        BeamSearch(**wrong)


def test_config():
    sampler = BeamSearch(3, 0.7, 2, temperature=0.5, length_normalization="power")
    again = BeamSearch.from_config(sampler.get_config())
    assert again.get_config() == sampler.get_config()
    assert again.length_penalty == 0.7 and again.temperature == 0.5
