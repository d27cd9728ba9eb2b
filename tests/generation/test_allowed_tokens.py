"""What no sampler may take, against a slow search over lists, in a language that is a table."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.generation.allowed_tokens import AllowedTokens, check_lengths, would_repeat
from keras_plm.generation.sampling import find_sampler
from keras_plm.tasks import BeamSearch

VOCABULARY, FORBIDDEN, STOPS = 5, 2, (4,)
GIVEN = [[0, *[-1] * 7], [2, *[-1] * 7], [1, 3, 1, 3, 0, -1, -1, -1]]


@pytest.fixture
def quick(jitted):
    """A function that compiles another where it would crawl otherwise."""
    return jitted if keras.backend.backend() == "jax" else lambda function: function


@pytest.fixture(scope="module")
def table():
    """Logits of the next token after each, (V, V), which like to go in circles."""
    logits = np.random.default_rng(5).normal(size=(VOCABULARY, VOCABULARY), scale=0.5)
    logits[[0, 1, 3, 2], [1, 3, 0, 4]] += 3.0
    return logits.astype("float32")


def written(table, sampler, compiled, given=GIVEN, stops=STOPS, **limits):
    """What a sampler makes of rows (B, P) with -1 in free slots."""
    given = np.array(given, "int32")
    allowed = AllowedTokens(VOCABULARY, [FORBIDDEN], stops, **limits)

    def next(filled, cache, index):
        last = ops.maximum(ops.take(filled, index - 1, axis=1), 0)
        logits = ops.take(table, last, axis=0)
        return allowed.restrict(logits, filled, cache, index), None, cache

    def run(prompt, index):
        used = prompt < 0
        return sampler(next, prompt, used, index, ~used, list(stops) or None)

    result = compiled(run)(ops.convert_to_tensor(given), ops.convert_to_tensor(1))
    return keras.tree.map_structure(ops.convert_to_numpy, result)


def repeats(text, size):
    """Whether the last tokens of a text stand in it before."""
    return size and tuple(text[-size:]) in {
        tuple(text[first : first + size]) for first in range(len(text) - size)
    }


def shares(table, text, known, stops, min_length=0, no_repeat_ngram_size=0, first_token_id=None):
    """The log-likelihood of each token that may follow."""
    if first_token_id is not None and len(text) == known:
        return {first_token_id: 0.0}
    free = [token for token in range(VOCABULARY) if token != FORBIDDEN]
    kept = [
        token
        for token in free
        if not (token in stops and len(text) < min_length)
        and (token in stops or not repeats([*text, token], no_repeat_ngram_size))
    ]
    kept = kept or [token for token in free if token in stops] or free
    logits = table[text[-1]].astype("float64")
    total = np.log(np.exp(logits[kept]).sum())
    return {token: logits[token] - total for token in kept}


def searched(table, row, stops, num_beams, **limits):
    """The best texts of a row with their scores at alpha 1, by a search that never ends early."""
    known = [token for token in row if token >= 0]
    alive, finished = [(known, 0.0)], []
    for length in range(1, row.count(-1) + 1):
        longer = [
            ([*text, token], total + share)
            for text, total in alive
            for token, share in shares(table, text, len(known), stops, **limits).items()
        ]
        longer = sorted(longer, key=lambda pair: -pair[1])[: (1 + len(stops)) * num_beams]
        finished += [(text, total / length) for text, total in longer if text[-1] in stops]
        alive = [pair for pair in longer if pair[0][-1] not in stops][:num_beams]
    finished += [(text, total / row.count(-1)) for text, total in alive]
    return sorted(finished, key=lambda pair: -pair[1])


def greedy(table, row, stops, **limits):
    """The text of the best tokens."""
    text, known = [token for token in row if token >= 0], sum(token >= 0 for token in row)
    while len(text) < len(row) and (len(text) == known or text[-1] not in stops):
        found = shares(table, text, known, stops, **limits)
        text.append(max(found, key=found.get))
    return text


LIMITS = [
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2, "min_length": 6},
    {"no_repeat_ngram_size": 3},
    {"min_length": 7},
    {"first_token_id": FORBIDDEN, "no_repeat_ngram_size": 2},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_greedy(table, limits, quick):
    texts = written(table, find_sampler("greedy"), quick, **limits)
    one_beam = written(table, BeamSearch(1, 1.0), quick, **limits)
    plain = [greedy(table, row, STOPS) for row in GIVEN]
    expected = [greedy(table, row, STOPS, **limits) for row in GIVEN]
    assert plain != expected
    for text, beam, own in zip(texts, one_beam, expected):
        assert text[: len(own)].tolist() == own
        assert beam.tolist() == [*own, *[-1] * (len(beam) - len(own))]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_beams(table, limits, quick):
    """What is forbidden is so before the best are taken, and has no share of the scores."""
    sampler = BeamSearch(3, 1.0, num_results=2, length_normalization="power")
    texts, scores = written(table, sampler, quick, **limits)
    for row, own, values in zip(GIVEN, texts, scores):
        expected = searched(table, row, STOPS, 3, **limits)[:2]
        found = [(ids[ids >= 0].tolist(), value) for ids, value in zip(own, values) if value > -1e8]
        assert [text for text, _ in found] == [text for text, _ in expected]
        theirs = [score for _, score in expected]
        np.testing.assert_allclose([score for _, score in found], theirs, rtol=1e-5)


def test_as_many_beams_as_texts_find_them_all(table, quick):
    given = [[1, 3, 1, 0, -1, -1, -1]]
    sampler = BeamSearch(125, 1.0, num_results=125, length_normalization="power")
    limits = dict(no_repeat_ngram_size=2, min_length=5)
    (texts,), (scores,) = written(table, sampler, quick, given, **limits)
    expected = searched(table, given[0], STOPS, 1000, **limits)
    found = {tuple(text[text >= 0].tolist()): score for text, score in zip(texts, scores)}
    found = {text: score for text, score in found.items() if score > -1e8}
    assert 10 < len(expected) == len(found)
    for text, score in expected:
        assert found[tuple(text)] == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("name", ["random", "top_k", "top_p", "beam"])
def test_no_sampler_repeats_itself_or_stops_too_early(table, name, quick):
    given = [[1, *[-1] * 11]] * 8
    limits = dict(no_repeat_ngram_size=2, min_length=6)
    texts = written(table, find_sampler(name), quick, given, **limits)
    for text in texts.tolist():
        text = text[: text.index(4)] if 4 in text else text
        assert FORBIDDEN not in text and len(text) >= 6
        pairs = list(zip(text, text[1:]))
        assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(
    "stops, min_length, expected",
    [((4,), 8, [1, 3, 0, 4]), ((), 0, [1, 3, 0, 4])],
    ids=["stops too early", "repeats itself"],
)
def test_where_nothing_is_left(table, stops, min_length, expected, quick):
    """Each of four tokens once; then a stop, or without one what was there."""
    limits = dict(no_repeat_ngram_size=1, min_length=min_length)
    (text,) = written(table, find_sampler("greedy"), quick, [[1, *[-1] * 7]], stops, **limits)
    if stops:
        assert text[:4].tolist() == expected and text.shape == (8,)
    else:
        assert text[:4].tolist() == expected and FORBIDDEN not in text
        assert text.tolist() == greedy(table, [1, *[-1] * 7], stops, no_repeat_ngram_size=1)


def test_rows_that_are_idle():
    allowed = AllowedTokens(4, forbidden_ids=[1], stop_ids=[2, 3])
    logits = np.arange(16, dtype="float32").reshape(4, 4)
    texts = np.array([[-1, -1, -1], [0, 2, -1], [3, 0, -1], [2, 1, -1]])
    used = np.array([[True] * 3, [True, True, False], [True] * 3, [False, True, True]])
    got = ops.convert_to_numpy(
        allowed.restrict(*map(ops.convert_to_tensor, (logits, texts, used)), 2)
    )
    likely = got > -1e8
    assert likely.tolist() == [
        [True, False, True, True],
        [False, False, True, False],  # nothing to fill in
        [False, False, True, False],  # stopped by 3, goes on with 2
        [True, False, True, True],  # what was known stops nothing
    ]
    np.testing.assert_array_equal(got[0, likely[0]], logits[0, likely[0]])
    assert (got[1:3, 2] == 0).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_what_would_repeat(size):
    """At every place, with holes in front, and with tokens behind that do not count."""
    texts = np.random.default_rng(0).integers(0, 3, (30, 8))
    texts[:5, :3] = -1
    for index in range(8):
        found = ops.convert_to_numpy(would_repeat(ops.convert_to_tensor(texts), index, size, 4))
        for row, own in zip(texts, found):
            row = row[row >= 0][: max(0, index - (row < 0).sum())].tolist()
            assert own.tolist() == [bool(repeats([*row, token], size)) for token in range(4)]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"min_length": -1}, "`min_length` must be an integer of at least 0"),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` must be .* at least 0"),
        ({"no_repeat_ngram_size": 1.5}, "`no_repeat_ngram_size` must be"),
        ({"first_token_id": 5}, "`first_token_id` must be"),
        ({"first_token_id": 4}, "first token must not be one that stops"),
    ],
    ids=str,
)
def test_wrong_limits(wrong, message):
    with pytest.raises(ValueError, match=message):
        AllowedTokens(VOCABULARY, stop_ids=STOPS, **wrong)


def test_lengths():
    check_lengths(3, 3)
    with pytest.raises(ValueError, match="`min_length` must be at most `max_length`. Received"):
        check_lengths(4, 3)
