import numpy as np
import pytest
from keras import ops
from seqeval.metrics import f1_score

from keras_plm.metrics import EntityF1
from keras_plm.metrics.entity_f1 import is_bio

NAMES = ["I-person", "O", "B-place", "I-place", "B-person", "B-x-y", "I-x-y"]


def random_tags(seed, batch, length, noise=0.3, names=NAMES):
    random = np.random.default_rng(seed)
    true = random.integers(0, len(names), (batch, length))
    other = random.integers(0, len(names), (batch, length))
    return true, np.where(random.random(true.shape) < noise, other, true)


def named(rows, words=None):
    words = np.ones(rows.shape, bool) if words is None else words
    return [[NAMES[tag] for tag in row[keep]] for row, keep in zip(rows, words)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_equals_seqeval(seed, streamed):
    true, predicted = random_tags(seed, 60, 11, noise=0.1 + 0.2 * seed)
    expected = f1_score(named(true), named(predicted))
    assert 0.05 < expected < 0.95
    batches = [(true[rows], predicted[rows]) for rows in (slice(20), slice(20, 40), slice(40, 60))]
    got = streamed(EntityF1(NAMES, from_logits=False), batches)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    scores = [(one, np.eye(len(NAMES), dtype="float32")[other]) for one, other in batches]
    np.testing.assert_allclose(streamed(EntityF1(NAMES), scores), expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_other_pieces_are_skipped(seed, streamed):
    true, predicted = random_tags(seed, 40, 15)
    words = np.random.default_rng(seed + 9).random(true.shape) < 0.5
    words[0] = False
    expected = f1_score(named(true, words), named(predicted, words))
    batches = [(true, predicted, 0.5 * words.astype("float32"))]
    got = streamed(EntityF1(NAMES, from_logits=False), batches)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def counted(true, predicted):
    metric = EntityF1(["O", "B-a", "I-a", "B-b", "I-b"], from_logits=False)
    metric.update_state([true], [predicted])
    return ops.convert_to_numpy(metric.counts).tolist()


@pytest.mark.parametrize(
    "true, predicted, right, number_predicted, number_true",
    [
        ([1, 2, 0, 3], [1, 2, 0, 3], 2, 2, 2),
        ([1, 2, 2, 0], [1, 2, 0, 0], 0, 1, 1),  # too short
        ([1, 2, 0, 0], [1, 2, 2, 0], 0, 1, 1),  # too long
        ([1, 2, 0, 0], [3, 4, 0, 0], 0, 1, 1),  # of another type
        ([1, 2, 0, 0], [2, 2, 0, 0], 1, 1, 1),  # begun with I-
        ([1, 1, 0, 0], [1, 2, 0, 0], 0, 1, 2),  # two in a row
        ([1, 4, 0, 0], [1, 3, 0, 0], 2, 2, 2),  # another type begins without B-
        ([0, 0, 0, 0], [0, 0, 0, 2], 0, 1, 0),
    ],
)
def test_what_counts(true, predicted, right, number_predicted, number_true):
    assert counted(true, predicted) == [right, number_predicted, number_true]


def test_entities_do_not_go_on_in_the_next_text():
    metric = EntityF1(["O", "B-a", "I-a"], from_logits=False)
    metric.update_state([[0, 1], [2, 0]], [[0, 1], [2, 0]])
    assert ops.convert_to_numpy(metric.counts).tolist() == [2, 2, 2]


def test_nothing_and_reset():
    metric = EntityF1(["O", "B-a", "I-a"], from_logits=False)
    assert float(metric.result()) == 0.0
    metric.update_state([[0, 1]], [[1, 0]])
    assert float(metric.result()) == 0.0
    metric.reset_state()
    metric.update_state([[0, 1]], [[0, 1]])
    assert float(metric.result()) == 1.0


@pytest.mark.parametrize("names", [["O", "B-a", "B-a"], ["O", "E-a"], ["noun"], [], ["O", 1]])
def test_bad_names(names):
    assert not is_bio(names)
    with pytest.raises(ValueError, match="class_names.*Received"):
        EntityF1(names)


def test_bad_shapes():
    metric = EntityF1(["O", "B-a"], from_logits=False)
    with pytest.raises(ValueError, match=r"shape \(B, T\)"):
        metric.update_state([0, 1], [0, 1])
    with pytest.raises(ValueError, match="weight per position"):
        metric.update_state([[0, 1]], [[0, 1]], [1.0])
