"""PrefixModeling: the literal example, UniLM's four masks, by gradient too, fine-tuning, input."""

from dataclasses import replace

import numpy as np
import pytest

from keras_plm.objectives import (
    ALL_MASK,
    Corruption,
    MaskedModeling,
    Mixture,
    NgramSelection,
    ObjectiveSum,
    PrefixModeling,
    RandomSelection,
    SentencePair,
)
from keras_plm.objectives.prefix_modeling import SEGMENTS, pattern_order

CLS, SEP, MASK = 1, 2, 4
IDS = dict(vocabulary_size=100, mask_token_id=MASK, special_token_ids=(0, 1, 2, 3))
UNILM = NgramSelection(3, 0.15, (0.8, 0.1, 0.1), "token")

# Who sees whom in [CLS] a a [SEP] b b [SEP], written by hand after figure 1 of the paper.
PUBLISHED = {
    "bidirectional": ["1111111"] * 7,
    "left_to_right": [
        "1000000",
        "1100000",
        "1110000",
        "1111000",
        "1111100",
        "1111110",
        "1111111",
    ],
    "right_to_left": [
        "1111111",
        "0111111",
        "0011111",
        "0001111",
        "0000111",
        "0000011",
        "0000001",
    ],
    "sequence_to_sequence": [
        "1111000",
        "1111000",
        "1111000",
        "1111000",
        "1111100",
        "1111110",
        "1111111",
    ],
}


class Numbers:
    """A generator that gives the same row of numbers to every row."""

    def __init__(self, row):
        self.row = row

    def random(self, shape):
        assert shape[1] == len(self.row)
        return np.tile(self.row, (shape[0], 1))


def make_batch():
    """CLS the cat SEP mats here SEP, a pair."""
    return {
        "token_ids": np.array([[CLS, 10, 11, SEP, 12, 13, SEP]], "int32"),
        "padding_mask": np.ones((1, 7), bool),
        "functional": np.array([[1, 0, 0, 1, 0, 0, 1]], bool),
        "word_starts": np.ones((1, 7), bool),
        "segment_ids": np.array([[0, 0, 0, 0, 1, 1, 1]], "int32"),
    }


def masking(**settings):
    settings = {"corrupt": ALL_MASK, "select": RandomSelection(rate=0.3), **settings}
    return MaskedModeling(**IDS, **{"sequence_length": 7, **settings})


def as_text(visible):
    return ["".join(str(int(key)) for key in row) for row in visible]


def sees(order):
    return order[:, None, :] <= order[:, :, None]


@pytest.mark.parametrize(
    "pattern, order, segments",
    [
        ("bidirectional", [0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1]),
        ("left_to_right", [0, 1, 2, 3, 4, 5, 6], [2, 2, 2, 2, 2, 2, 2]),
        ("right_to_left", [6, 5, 4, 3, 2, 1, 0], [3, 3, 3, 3, 3, 3, 3]),
        ("sequence_to_sequence", [0, 0, 0, 0, 1, 2, 3], [4, 4, 4, 4, 5, 5, 5]),
    ],
)
def test_literal_example(pattern, order, segments):
    """The example of the module's docstring."""
    objective = PrefixModeling(masking(), pattern)
    # of four maskable tokens, the second and then the third
    numbers = np.zeros(objective.draws_per_row)
    numbers[:2] = 0.3, 0.5
    x, y, sample_weight = objective(make_batch(), Numbers(numbers))
    assert set(x) == set(objective.feature_names)
    assert x["token_ids"].tolist() == [[CLS, 10, MASK, SEP, MASK, 13, SEP]]
    assert x["order"].tolist() == [order] and x["segment_ids"].tolist() == [segments]
    assert x["target_positions"].tolist() == [[2, 4, 0]]
    assert y["tokens"].tolist() == [[11, 12, 0]]
    assert sample_weight["tokens"].tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("pattern", SEGMENTS)
def test_published_masks(pattern, reach):
    """The rule, and at two layers' depth the gradient, which is exactly 0 for all others."""
    x, _, _ = PrefixModeling(masking(), pattern)(make_batch(), np.random.default_rng(0))
    assert as_text(sees(x["order"])[0]) == PUBLISHED[pattern]
    content, _ = reach(x)
    assert as_text(content) == PUBLISHED[pattern]


def test_the_sequence_to_sequence_rule_of_the_released_code():
    """`(k < S) or (q >= S and S <= k <= q)`, S the tokens of the source, over random rows."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        length = int(rng.integers(2, 20))
        source, real = np.sort(rng.integers(0, length + 1, 2))
        position = np.arange(length)
        padding_mask = (position < real)[None]
        is_target = padding_mask & (position >= source)
        order = pattern_order("sequence_to_sequence", is_target, padding_mask)
        q, k = position[:, None], position[None]
        expected = (k < source) | ((q >= source) & (k >= source) & (k <= q))
        np.testing.assert_array_equal(sees(order)[0, :real, :real], expected[:real, :real])
        if source == 0:  # without a source it reads from left to right
            left = pattern_order("left_to_right", is_target, padding_mask)
            both = (sees(one)[0, :real, :real] for one in (left, order))
            np.testing.assert_array_equal(*both)


def test_padding_has_order_0_and_is_never_a_target(make_text_rows):
    batch = make_text_rows(np.random.default_rng(2), 200, 20, shortest=8)
    for pattern, segments in SEGMENTS.items():
        objective = PrefixModeling(masking(sequence_length=20), pattern)
        x, _, sample_weight = objective(batch, np.random.default_rng(3))
        assert not x["order"][~batch["padding_mask"]].any()
        assert not x["segment_ids"][~batch["padding_mask"]].any()
        assert set(np.unique(x["segment_ids"][batch["padding_mask"]])) == set(segments)
        weights = sample_weight["tokens"] > 0
        assert (x["target_positions"][weights] < batch["padding_mask"].sum(1).max()).all()


def test_bidirectional_is_masked_modeling(make_text_rows):
    batch = make_text_rows(np.random.default_rng(4), 50, 20)
    masked = masking(sequence_length=20, segments=True, corrupt=Corruption(), select=UNILM)
    x, y, sample_weight = masked(batch, np.random.default_rng(5))
    objective = PrefixModeling(masked, "bidirectional", pattern_segments=False)
    again, y_again, weight_again = objective(batch, np.random.default_rng(5))
    assert not again.pop("order").any()
    for left, right in ((x, again), (y, y_again), (sample_weight, weight_again)):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_fine_tuning_masks_the_target_and_its_end():
    """10,000 rows of one pair: 2 of the 3 tokens `mats here SEP`, each as often, |z| < 4."""
    batch = {name: np.repeat(values, 10_000, axis=0) for name, values in make_batch().items()}
    objective = PrefixModeling(masking(select=RandomSelection(rate=0.7)), targets="masked_target")
    x, y, sample_weight = objective(batch, np.random.default_rng(6))
    assert (sample_weight["tokens"].sum(axis=1) == 2).all()
    masked = x["token_ids"] == MASK
    assert not masked[:, :4].any()
    counts = masked[:, 4:].sum(axis=0)
    assert (abs(counts - 20_000 / 3) < 4 * np.sqrt(10_000 * 2 / 9)).all()
    assert (y["tokens"] == SEP).sum() == masked[:, 6].sum()
    assert x["padding_mask"].all()
    np.testing.assert_array_equal(x["order"][0], [0, 0, 0, 0, 1, 2, 3])


def test_fine_tuning_leaves_what_is_behind_the_target():
    """XLNet's rows end with CLS, segment 2: it comes last, and is no target."""
    batch = make_batch()
    batch["segment_ids"] = np.array([[0, 0, 0, 1, 1, 1, 2]], "int32")
    batch["functional"] = np.array([[0, 0, 1, 0, 0, 1, 1]], bool)
    objective = PrefixModeling(masking(select=RandomSelection(rate=1.0)), targets="masked_target")
    x, _, sample_weight = objective(batch, np.random.default_rng(7))
    assert x["target_positions"][sample_weight["tokens"] > 0].tolist() == [3, 4, 5]
    assert x["order"].tolist() == [[0, 0, 0, 1, 2, 3, 4]]


def test_the_next_token_instead_of_masks(reach):
    """mats, here and SEP from the rows of SEP, mats and here; none sees its target."""
    objective = PrefixModeling(masking(), targets="next")
    assert (objective.num_predict, objective.draws_per_row) == (6, 0)
    batch = make_batch()
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    assert set(x) == set(objective.feature_names)
    assert x["token_ids"] is batch["token_ids"]
    assert x["target_positions"].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert y["tokens"].tolist() == [[0, 0, 0, 12, 13, SEP]]
    assert sample_weight["tokens"].tolist() == [[0, 0, 0, 1, 1, 1]]
    content, _ = reach(x)
    for position in (3, 4, 5):
        assert (
            content[position, : position + 1].all() and not content[position, position + 1 :].any()
        )


def test_the_mixture_of_the_paper(make_text_rows):
    """A third bidirectional with pairs, a third sequence to sequence, a sixth each way."""
    pairs = masking(sequence_length=20, rows="sentence_pair", select=UNILM)
    texts = replace(pairs, rows="doc_sentences")
    both_ways = ObjectiveSum((PrefixModeling(pairs, "bidirectional"), SentencePair(20)))
    parts = (
        both_ways,
        PrefixModeling(pairs, "sequence_to_sequence"),
        PrefixModeling(texts, "left_to_right"),
        PrefixModeling(texts, "right_to_left"),
    )
    mixture = Mixture(parts, (2, 2, 1, 1))
    negatives = [dict(one[1]).get("negative") for one in mixture.row_settings["parts"]]
    assert negatives == ["random", "none", None, None]
    batch = make_text_rows(np.random.default_rng(8), 6, 20, shortest=10)
    batch["sentence_pair"] = np.array([0, 1] * 3, "int32")
    for part, segments in enumerate(([0, 1], [4, 5], [2], [3])):
        x, _, sample_weight = mixture({**batch, "part": part}, np.random.default_rng(9))
        found = np.unique(x["segment_ids"][batch["padding_mask"]]).tolist()
        assert found == segments
        assert sample_weight["sentence_pair"].any() == (part == 0)
        assert sample_weight["tokens"].any()


@pytest.mark.parametrize("side", ["first", "second"])
def test_an_empty_side(side):
    batch = make_batch()
    batch["functional"][0, [1, 2] if side == "first" else [4, 5]] = True
    for settings in (dict(), dict(pattern="left_to_right", targets="masked_target")):
        message = f"The {side} text of a pair is empty.*1 such rows, the first is row 0"
        with pytest.raises(ValueError, match=message):
            PrefixModeling(masking(), **settings)(batch, np.random.default_rng(0))
    PrefixModeling(masking(), "left_to_right")(batch, np.random.default_rng(0))


def test_rows_without_segments():
    batch = make_batch()
    batch["segment_ids"][:] = 0
    with pytest.raises(ValueError, match="second text of a pair is empty.*segment 1"):
        PrefixModeling(masking())(batch, np.random.default_rng(0))
    del batch["segment_ids"]
    with pytest.raises(ValueError, match="needs segment_ids"):
        PrefixModeling(masking(), "bidirectional")(batch, np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(pattern="causal"), r"`pattern` must be one of \['bidirectional'.*'causal'"),
        (dict(pattern=None), "`pattern` must be one of"),
        (
            dict(targets="all"),
            r"`targets` must be one of \['masked', 'masked_target', 'next'\].*'all'",
        ),
        (dict(targets="next", pattern="left_to_right"), "needs pattern=.sequence_to_sequence"),
        (dict(pattern_segments=None), "`pattern_segments` must be True or False"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        PrefixModeling(masking(), **settings)
