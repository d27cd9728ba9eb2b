import itertools

import keras
import keras_hub
import numpy as np
import pytest

from keras_plm.backbones import TransformerBackbone
from keras_plm.generation.decoding import Programs, Slots, Writing, batches_of, rows_of
from keras_plm.generation.sampling import find_sampler, until_stop
from keras_plm.tasks import BeamSearch, CausalLM

VOCABULARY, LENGTH = 6, 9
PROMPTS = [[1, 2], [5, 4, 3, 0, 2]]
FORMS = {
    "after": {"embedding_norm": False},
    "before": {"embedding_norm": False, "normalize_first": True, "window": [None, 3]},
}


@pytest.fixture(scope="module", params=FORMS)
def model(request, quick):
    """A model with weights so large that every token has a say, and a bias that is not 0."""
    keras.utils.set_random_seed(3)
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)
    options = dict(max_sequence_length=12, num_segments=0, causal=True, initializer_range=0.6)
    backbone = TransformerBackbone(VOCABULARY, **sizes, **options, **FORMS[request.param])
    model = CausalLM(backbone, use_bias=True)
    model.heads["tokens"].bias.assign(np.linspace(-0.5, 0.5, VOCABULARY))
    model.compile(**quick)
    return model


@pytest.fixture(scope="module")
def programs(model):
    return Programs(model)


def write(programs, prompts, length, writing):
    """Continue prompts up to a length."""
    ids, used = rows_of(prompts, length)
    texts = np.where(used, -1, ids).astype("int32")
    slots = Slots({"token_ids": ids}, texts, used, min(map(len, prompts)))
    return programs.write(slots, writing)


def logits_of(model, rows):
    """The logits at all positions of rows, read as a whole."""
    return np.array(
        model.heads["tokens"](model.backbone.encode({"token_ids": rows})["sequence_output"])
    )


def test_greedy_is_the_loop_that_reads_everything_again(model, programs):
    texts = write(programs, PROMPTS, LENGTH, Writing(find_sampler("greedy")))
    expected, behind = rows_of(PROMPTS, LENGTH)
    for place in range(1, LENGTH):
        best = logits_of(model, expected)[:, place - 1].argmax(axis=-1)
        expected[:, place] = np.where(behind[:, place], best, expected[:, place])
    np.testing.assert_array_equal(texts, expected)
    alone = write(programs, PROMPTS[1:], LENGTH, Writing(find_sampler("greedy")))
    np.testing.assert_array_equal(alone, texts[1:])


@pytest.mark.parametrize("alpha, kind", [(0.0, "gnmt"), (3.0, "power")])
def test_one_beam_is_greedy(programs, alpha, kind):
    """The same ids up to the stop, whatever a longer text would score."""
    prompts = [list(pair) for pair in itertools.product(range(VOCABULARY), repeat=2)]
    sampler = BeamSearch(1, alpha, length_normalization=kind)
    stops, lengths = (1, 5), set()
    own, greedy = (
        write(programs, prompts, LENGTH, Writing(one, stop_ids=stops, no_repeat_ngram_size=2))
        for one in (sampler, find_sampler("greedy"))
    )
    for row, expected in zip(own[:, 2:], greedy[:, 2:]):
        text = until_stop(expected, stops)
        assert row[: len(text) + 1].tolist() == expected[: len(text) + 1].tolist()
        assert (row[len(text) + 1 :] == -1).all()
        lengths.add(len(text))
    assert len(lengths) > 2


def test_limits_of_what_is_written(programs):
    """Through the loop of the tasks: known text counts, whatever the lengths of the prompts."""
    greedy = find_sampler("greedy")
    texts = write(programs, PROMPTS, 6, Writing(greedy, no_repeat_ngram_size=1))
    assert [sorted(text.tolist()) for text in texts] == [list(range(6))] * 2
    first = write(programs, PROMPTS, LENGTH, Writing(greedy, (3,), first_token_id=3))
    for text, prompt in zip(first, PROMPTS):
        assert text[len(prompt)] == 3 and 3 not in text[len(prompt) + 1 :]
    few = write(programs, PROMPTS, LENGTH, Writing(greedy, (0, 1, 3), (2, 4), min_length=7))
    for text, prompt in zip(few, PROMPTS):
        assert set(text[len(prompt) : 7].tolist()) == {5}


def test_scores_are_those_of_the_logits(model, programs):
    rows = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH)).astype("int32")
    logits = logits_of(model, rows).astype("float64")[:, :-1]
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = np.take_along_axis(expected, rows[:, 1:, None], axis=-1)[..., 0]
    places = np.tile(np.arange(LENGTH - 1, dtype="int32"), (2, 1))
    scores = programs.score({"token_ids": rows, "target_positions": places}, rows[:, 1:])
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    slots = Slots({"token_ids": rows}, rows, np.ones_like(rows, "bool"), 1)
    by_step = programs.score_steps(slots, rows)
    np.testing.assert_allclose(by_step[:, 1:], expected, atol=1e-5)
    assert not by_step[:, 0].any()


def test_beams_are_exhaustive_search(programs, monkeypatch):
    """Stop tokens, a length penalty, and prompts of different lengths, through the cache."""
    if programs.model.backbone.normalize_first:  # one is compiled in any case
        monkeypatch.setattr(programs.model, "run_eagerly", False)
    length, stops, alpha = 6, (0,), 0.8
    sampler = BeamSearch(num_beams=200, length_penalty=alpha, num_results=5)
    texts, scores = write(programs, PROMPTS, length, Writing(sampler, (4,), stops))
    for prompt, own, values in zip(PROMPTS, texts, scores):
        free, found = length - len(prompt), {}
        written = list(itertools.product([0, 1, 2, 3, 5], repeat=free))
        rows = np.array([[*prompt, *one] for one in written], "int32")
        allowed = all_scores(programs, rows)[:, len(prompt) :]
        for one, score in zip(written, allowed):
            count = one.index(0) + 1 if 0 in one else free
            found[one[:count]] = score[:count].sum() / ((5 + count) / 6) ** alpha
        best = sorted(found.items(), key=lambda pair: -pair[1])[:5]
        assert len(best) == 5
        for (text, score), ids, value in zip(best, own, values):
            assert ids.tolist() == [*prompt, *text, *[-1] * (free - len(text))]
            np.testing.assert_allclose(value, score, atol=1e-4)


def test_beams_without_penalty_are_those_of_keras_hub(programs):
    own = BeamSearch(num_beams=5, length_penalty=0.0, num_results=5)
    theirs = keras_hub.samplers.BeamSampler(num_beams=5, return_all_beams=True)
    (texts, scores), (expected, values) = (
        write(programs, PROMPTS, 7, Writing(sampler)) for sampler in (own, theirs)
    )
    np.testing.assert_allclose(scores, values, atol=1e-4)
    np.testing.assert_array_equal(texts, expected)


def all_scores(programs, rows):
    """Log-likelihoods with the id 4 forbidden, from whole passes."""
    logits = logits_of(programs.model, rows)[:, :-1]
    logits[..., 4] = -1e9
    logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    scores = np.take_along_axis(logits, rows[:, 1:, None], axis=-1)[..., 0]
    return np.pad(scores, ((0, 0), (1, 0)))


def test_batches_and_rows():
    assert list(batches_of([[1], [2], [3]], 2)) == [([[1], [2]], 2), ([[3], [1]], 1)]
    assert list(batches_of([[1]], 8)) == [([[1]], 1)]
    assert list(batches_of([[1], [2], [3]], 8)) == [([[1], [2], [3], [1]], 3)]
    assert [len(batch) for batch, _ in batches_of([[1]] * 5, 6)] == [6]
    assert list(batches_of([], 8)) == []
    for wrong in (0, 1.5, True, None):
        with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1"):
            list(batches_of([[1]], wrong))
    token_ids, behind = rows_of([[7, 8], [9]], 3)
    assert token_ids.tolist() == [[7, 8, 0], [9, 0, 0]]
    assert behind.tolist() == [[False, False, True], [False, True, True]]
