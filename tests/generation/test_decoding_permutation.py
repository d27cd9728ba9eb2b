import itertools

import keras
import keras_hub
import numpy as np
import pytest

from keras_plm.backbones import XLNetBackbone
from keras_plm.generation.canvas import BLANK, lay_out
from keras_plm.generation.decoding import Programs, Slots, Writing
from keras_plm.generation.sampling import find_sampler
from keras_plm.tasks import PermutationLM

VOCABULARY = 6


@pytest.fixture(scope="module")
def model(quick):
    """A model with weights so large that every blank has a say, and a bias that is not 0."""
    keras.utils.set_random_seed(3)
    backbone = XLNetBackbone(VOCABULARY, 2, 2, 8, 16, dropout=0.1, initializer_range=0.6)
    model = PermutationLM(backbone)
    model.heads["tokens"].bias.assign(np.linspace(-0.5, 0.5, VOCABULARY))
    model.compile(**quick)
    return model


@pytest.fixture(scope="module")
def programs(model):
    return Programs(model)


@pytest.fixture
def canvas():
    """Three blanks filled in a mixed order, and one blank in a shorter row."""
    rows = [[1, 2, BLANK, 4, BLANK, BLANK, 3], [5, BLANK, 1]]
    return lay_out(rows, [[4, 2, 5], [1]])


def slots(canvas):
    """The slots of a canvas."""
    used = canvas.features["used"]
    return Slots(canvas.features, np.full(used.shape, -1, "int32"), used, canvas.start)


def at_once(programs, features):
    """The log-likelihoods (B, P) of the targets that are filled in, from one pass."""
    inputs = {name: value for name, value in features.items() if name != "used"}
    tokens = np.take_along_axis(features["token_ids"], features["target_positions"], axis=1)
    return np.where(features["used"], programs.score(inputs, tokens), 0)


def beam(width, **options):
    return keras_hub.samplers.BeamSampler(num_beams=width, return_all_beams=True, **options)


def with_ids(canvas, filled):
    """The features of a canvas whose targets are filled in."""
    features = {**canvas.features, "token_ids": canvas.features["token_ids"].copy()}
    for row, used in enumerate(features["used"]):
        features["token_ids"][row, features["target_positions"][row, used]] = filled[row, used]
    return features


def exhaustive(programs, canvas, allowed=range(VOCABULARY)):
    """All fillings of the last three slots with their total scores (2, N), from single passes."""
    fillings = np.array(list(itertools.product(allowed, repeat=3)))
    scores = []
    for first in range(0, len(fillings), 72):
        some = fillings[first : first + 72]
        features = {n: np.repeat(v, len(some), axis=0) for n, v in canvas.features.items()}
        filled = np.zeros(features["used"].shape, "int32")
        filled[:, -3:] = np.tile(some, (2, 1))
        values = at_once(programs, with_ids(canvas._replace(features=features), filled))
        scores.append(values.sum(axis=1).reshape(2, len(some)))
    return fillings, np.concatenate(scores, axis=1)


def test_a_full_beam_is_exhaustive_search(programs, canvas):
    fillings, scores = exhaustive(programs, canvas)
    width = VOCABULARY**2
    filled, likelihoods = programs.write(slots(canvas), Writing(beam(width)))
    best = np.argsort(-scores[0])
    np.testing.assert_allclose(likelihoods[0, :5], scores[0, best[:5]], atol=1e-4)
    np.testing.assert_array_equal(filled[0, :5, -3:], fillings[best[:5]])
    # The shorter row: beams did not multiply in the slots that it does not use.
    single = scores[1][:VOCABULARY]  # only the last slot counts
    best = np.argsort(-single)
    np.testing.assert_array_equal(filled[1, :VOCABULARY, -1], best)
    np.testing.assert_allclose(likelihoods[1, :VOCABULARY], single[best], atol=1e-4)
    assert (likelihoods[1, VOCABULARY:] < -1e8).all()


@pytest.mark.parametrize("mode", ["factorised", "bidirectional"])
def test_one_beam_is_greedy(programs, canvas, mode):
    filled, likelihoods = programs.write(slots(canvas), Writing(beam(1), mode=mode))
    greedy = programs.write(slots(canvas), Writing(find_sampler("greedy"), mode=mode))
    used = canvas.features["used"]
    np.testing.assert_array_equal(filled[:, 0][used], greedy[used])
    scores = programs.score_steps(slots(canvas), greedy, mode)
    np.testing.assert_allclose(likelihoods[:, 0], scores.sum(axis=1), atol=1e-5)
    assert not scores[~used].any() and (scores[used] < 0).all()


def test_step_by_step_is_one_pass(programs, canvas):
    filled = np.random.default_rng(0).integers(0, VOCABULARY, (2, 8)).astype("int32")
    steps = programs.score_steps(slots(canvas), filled, "factorised")
    whole = at_once(programs, with_ids(canvas, filled))
    np.testing.assert_allclose(steps, whole, atol=1e-5)
    other = programs.score_steps(slots(canvas), filled, "bidirectional")
    assert np.abs(other - steps)[0].max() > 1e-3
    np.testing.assert_allclose(other[1], steps[1], atol=1e-5)  # one blank: the modes are one


def test_samples_follow_the_distribution(programs):
    count = 4000
    canvas = lay_out([[1, 2, BLANK, 4]] * count, [[2]] * count)
    sampler = keras_hub.samplers.RandomSampler(seed=5)
    drawn = programs.write(slots(canvas), Writing(sampler))[:, -1]
    one = lay_out([[1, 2, BLANK, 4]] * VOCABULARY, [[2]] * VOCABULARY)
    filled = np.tile(np.arange(VOCABULARY, dtype="int32")[:, None], (1, 8))
    expected = np.exp(programs.score_steps(slots(one), filled, "factorised")[:, -1])
    np.testing.assert_allclose(expected.sum(), 1, atol=1e-5)
    share = np.bincount(drawn, minlength=VOCABULARY) / count
    deviation = np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(share - expected) < 4 * deviation).all()
    assert (share > 0).sum() > 2


def test_seeds_and_forbidden_ids(programs, canvas):
    used = canvas.features["used"]
    sampler = programs.compiled.sampler("random", seed=1)
    writing = Writing(sampler, forbidden_ids=(0, 1, 2))
    first, second = programs.write(slots(canvas), writing), programs.write(slots(canvas), writing)
    for _ in range(5):  # the random numbers go on
        second = programs.write(slots(canvas), writing) if (first == second)[used].all() else second
    assert (first != second)[used].any()
    assert first[used].min() > 2
    assert programs.compiled.sampler("random", seed=1) is writing.sampler
    np.testing.assert_array_equal(programs.write(slots(canvas), writing), first)


def test_after_a_stop_id_a_row_is_finished(programs, canvas):
    """Its beams keep their score, so that they compete with longer ones; its ids are that id."""
    stop = 3
    filled, likelihoods = programs.write(slots(canvas), Writing(beam(30), stop_ids=(stop,)))
    ends = (filled[0, :, -3:] == stop).argmax(axis=1)
    stopped = (filled[0, :, -3:] == stop).any(axis=1)
    assert stopped.any() and (filled[0, stopped & (ends == 0), -3:] == stop).all()
    features = {n: np.repeat(v[:1], 30, axis=0) for n, v in canvas.features.items()}
    scores = programs.score_steps(
        slots(canvas._replace(features=features)), filled[0], "factorised"
    )
    counted = np.arange(3) <= np.where(stopped, ends, 2)[:, None]
    expected = np.where(counted, scores[:, -3:], 0).sum(axis=1)
    np.testing.assert_allclose(likelihoods[0], expected, atol=1e-4)


def test_compiled_once_for_each_shape_and_with_the_weights_of_the_call(model, canvas, monkeypatch):
    model = PermutationLM(model.backbone)
    programs, made = Programs(model), []
    step = programs._step
    monkeypatch.setattr(programs, "_step", lambda *given: made.append(given) or step(*given))
    writing = Writing(find_sampler("greedy"))
    before = programs.write(slots(canvas), writing)
    longer = lay_out([[1, BLANK, 2, 3, BLANK, 4, 5], [5, BLANK, 1]], [[1, 4], [1]])
    programs.write(slots(longer), writing)
    bias = model.heads["tokens"].bias
    bias.assign(np.where(np.arange(VOCABULARY) == 4, 100.0, 0.0))
    after = programs.write(slots(canvas), writing)
    assert len(made) == 1
    used = canvas.features["used"]
    assert (after[used] == 4).all() and (before[used] != 4).any()


def test_unknown_samplers_and_modes(programs, canvas):
    for wrong in ("nucleus", "contrastive", None, 3, keras_hub.samplers.GreedySampler):
        with pytest.raises(ValueError, match="`sampler` must be one of"):
            find_sampler(wrong)
    with pytest.raises(ValueError, match="works on logits alone"):
        find_sampler(keras_hub.samplers.ContrastiveSampler())
    with pytest.raises(ValueError, match="`mode` must be one of"):
        programs.write(slots(canvas), Writing(find_sampler("greedy"), mode="cached"))
