"""MaskedModeling: the literal example, BERT's statistics, spans and boundaries, bad input."""

import copy
import pickle
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import (
    ALL_MASK,
    Corruption,
    MaskedModeling,
    NgramSelection,
    ObjectiveSum,
    RandomSelection,
    Selection,
    SpanBoundary,
    SpanSelection,
)

SIZE, MASK = 100, 4
IDS = dict(vocabulary_size=SIZE, mask_token_id=MASK, special_token_ids=(0, 1, 2, 3))
SPANS = dict(select=SpanSelection(), corrupt=Corruption(per="span"), span_boundary=20)
SELECTIONS = [
    RandomSelection(),
    RandomSelection(count="rounded"),
    RandomSelection(count="bernoulli"),
    RandomSelection("word"),
    RandomSelection("word", count="rounded"),
    RandomSelection("span", count="bernoulli"),
    NgramSelection(),
    SpanSelection(),
]


@dataclass(frozen=True)
class GivenSelection(Selection):
    """Selects what the batch says in "units"."""

    rate: float = 0.15

    def draws(self, length):
        """No numbers."""
        return 0

    def __call__(self, batch, uniform, most):
        """The units of the batch."""
        return batch["units"]

    def _select(self, batch, maskable, uniform, most):
        return batch["units"]


class Numbers:
    """A generator that gives the same row of numbers to every row."""

    def __init__(self, row):
        self.row = row

    def random(self, shape):
        assert shape[1] == len(self.row)
        return np.tile(self.row, (shape[0], 1))


def make_batch(num_rows, length=32, seed=0):
    """Rows CLS, text, SEP, text, SEP, padding, of random lengths."""
    rng = np.random.default_rng(seed)
    token_ids = rng.integers(5, SIZE, (num_rows, length)).astype("int32")
    real = rng.integers(length // 2, length + 1, num_rows)[:, None]
    column = np.arange(length)
    padding_mask = column < real
    functional = ~padding_mask | (column == 0) | (column == real - 1)
    functional[np.arange(num_rows), rng.integers(2, length // 2 - 2, num_rows)] = True
    token_ids[functional] = 2
    token_ids[~padding_mask] = 0
    span_marks = np.zeros((num_rows, length), "uint8")
    return {
        "token_ids": token_ids,
        "padding_mask": padding_mask,
        "functional": functional,
        "word_starts": (rng.random((num_rows, length)) < 0.7) | functional,
        "segment_ids": np.zeros((num_rows, length), "int32"),
        "span_marks": span_marks,
        "sampled_ids": rng.integers(5, SIZE, (num_rows, length)).astype("int32"),
    }


def targets_of(positions, weights, length):
    """(B, T) bool from the slots."""
    targets = np.zeros((len(positions), length), bool)
    rows, slots = np.nonzero(weights)
    targets[rows, positions[rows, slots]] = True
    return targets


def test_literal_example():
    """The example of the module's docstring."""
    cls, the, cat, sat, on, mats, sep = 1, 10, 11, 12, 13, 14, 2
    batch = {
        "token_ids": np.array([[cls, the, cat, sat, on, mats, sep, 0]], "int32"),
        "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 0]], bool),
        "functional": np.array([[1, 0, 0, 0, 0, 0, 1, 1]], bool),
        "word_starts": np.ones((1, 8), bool),
        "units": np.array([[0, 0, 1, 0, 0, 2, 0, 0]], "int32"),
    }
    objective = MaskedModeling(
        **IDS, select=GivenSelection(), sequence_length=8, num_predict=3, span_boundary=20
    )
    before = batch["token_ids"].copy()
    x, y, sample_weight = objective(batch, Numbers([0.5, 0.95, 0.0, 0.0, 0.0, 0.0]))
    assert x["token_ids"].tolist() == [[cls, the, MASK, sat, on, mats, sep, 0]]
    assert x["target_positions"].tolist() == [[2, 5, 0]]
    assert y["tokens"].tolist() == [[cat, mats, 0]]
    assert sample_weight["tokens"].tolist() == [[1, 1, 0]]
    assert x["left_positions"].tolist() == [[1, 0, 0]]  # mats has SEP on its right
    assert x["right_positions"].tolist() == [[3, 0, 0]]
    assert x["span_offsets"].tolist() == [[0, 0, 0]]
    assert sample_weight["span_boundary"].tolist() == [[1, 0, 0]]
    assert (batch["token_ids"] == before).all()


def test_no_number_decides_what_is_hidden_and_how(monkeypatch):
    """The first numbers of a row are the selection's, all others the corruption's."""
    given = {}
    corrupt = Corruption.__call__

    def recorded(self, tokens, units, uniform, *others):
        given["corruption"] = uniform[0].tolist()
        return corrupt(self, tokens, units, uniform, *others)

    def select(self, batch, uniform, most):
        given["selection"] = uniform[0].tolist()
        return batch["units"]

    monkeypatch.setattr(Corruption, "__call__", recorded)
    monkeypatch.setattr(GivenSelection, "__call__", select)
    monkeypatch.setattr(GivenSelection, "draws", lambda self, length: 3)
    objective = MaskedModeling(**IDS, select=GivenSelection(), sequence_length=4, num_predict=2)
    numbers = np.arange(objective.draws_per_row) / 10
    batch = {
        "token_ids": np.array([[1, 10, 11, 2]], "int32"),
        "padding_mask": np.ones((1, 4), bool),
        "functional": np.array([[1, 0, 0, 1]], bool),
        "word_starts": np.ones((1, 4), bool),
        "units": np.array([[0, 1, 0, 0]], "int32"),
    }
    objective(batch, Numbers(numbers))
    assert given["selection"] == numbers[:3].tolist()
    assert given["corruption"] == numbers[3:].tolist() and len(numbers) > 3


@pytest.mark.parametrize("select", SELECTIONS, ids=str)
def test_what_every_selection_promises(select):
    objective = MaskedModeling(**IDS, select=select, sequence_length=32, segments=True)
    batch = make_batch(2_000)
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    assert set(x) == set(objective.feature_names) == {*x} and set(y) == {"tokens"}
    positions, weights = x["target_positions"], sample_weight["tokens"]
    shape = (2_000, *objective.target_shape("tokens"))
    for array in (positions, weights, y["tokens"]):
        assert array.shape == shape
    assert positions.dtype == y["tokens"].dtype == x["token_ids"].dtype == np.int32
    assert weights.dtype == np.float32 and set(np.unique(weights)) <= {0.0, 1.0}
    targets = targets_of(positions, weights, 32)
    assert targets.sum() == weights.sum() > 2_000  # no position twice
    assert not (targets & batch["functional"]).any()
    assert (x["token_ids"] == batch["token_ids"])[~targets].all()
    rows, slots = np.nonzero(weights)
    assert (y["tokens"][rows, slots] == batch["token_ids"][rows, positions[rows, slots]]).all()
    assert (positions[weights == 0] == 0).all() and (y["tokens"][weights == 0] == 0).all()
    used = np.where(weights > 0, positions, 99)
    assert (np.diff(used, axis=1)[weights[:, 1:] > 0] > 0).all()  # ascending
    assert (np.diff(weights, axis=1) <= 0).all()  # used slots first
    assert ((x["token_ids"][targets] >= 5) | (x["token_ids"][targets] == MASK)).all()
    assert x["token_ids"].max() < SIZE


@pytest.mark.parametrize("select", SELECTIONS, ids=str)
def test_the_same_seed_and_shards(select):
    corrupt = Corruption(per="span", random_ids="corpus")
    objective = MaskedModeling(
        **IDS, select=select, corrupt=corrupt, sequence_length=32, span_boundary=5
    )
    batch = make_batch(600)  # more than two blocks of rows
    whole, again = (objective(batch, np.random.default_rng(7)) for _ in range(2))
    bits = np.random.PCG64(7).advance(350 * objective.draws_per_row)
    part = {name: array[350:] for name, array in batch.items()}
    shard = objective(part, np.random.Generator(bits))
    other = objective(batch, np.random.default_rng(8))
    for first, second, sliced in zip(whole, again, shard):
        assert set(first) == set(second) == set(sliced)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
            np.testing.assert_array_equal(array[350:], sliced[name])
    assert (whole[0]["token_ids"] != other[0]["token_ids"]).any()


def test_statistics_of_bert():
    objective = MaskedModeling(**IDS, sequence_length=32)
    batch = make_batch(10_000)
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    weights = sample_weight["tokens"] > 0
    real = batch["padding_mask"].sum(axis=1)
    expected = np.maximum(1, np.rint(0.15 * real))
    np.testing.assert_array_equal(weights.sum(axis=1), expected)
    targets = targets_of(x["target_positions"], sample_weight["tokens"], 32)
    became, was, total = x["token_ids"][targets], batch["token_ids"][targets], weights.sum()
    fractions = {"mask": 0.8, "kept": 0.1 + 0.1 / 95, "random": 0.1 * 94 / 95}
    counts = {"mask": became == MASK, "kept": became == was}
    counts["random"] = ~counts["mask"] & ~counts["kept"]
    for name, p in fractions.items():
        z = (counts[name].sum() - p * total) / np.sqrt(p * (1 - p) * total)
        assert abs(z) < 4.5, name
    drawn = np.bincount(became[counts["random"]], minlength=SIZE)[5:]
    expected = counts["random"].sum() / 95
    # 94 degrees of freedom; 4.5 standard deviations
    assert ((drawn - expected) ** 2 / expected).sum() < 94 + 4.5 * np.sqrt(2 * 94)
    places = targets[~batch["functional"]].mean()
    first = targets[:, 1][~batch["functional"][:, 1]].mean()  # no place is preferred
    assert abs(first - places) < 4.5 * np.sqrt(0.16 * 0.84 / 10_000) + 0.005


def test_whole_words_are_one_unit():
    objective = MaskedModeling(
        **IDS, select=RandomSelection("word"), corrupt=Corruption(per="span"), sequence_length=32
    )
    batch = make_batch(4_000)
    x, _, sample_weight = objective(batch, np.random.default_rng(0))
    targets = targets_of(x["target_positions"], sample_weight["tokens"], 32)
    inside = ~batch["word_starts"] & ~batch["functional"]
    inside[:, 1:] &= ~batch["functional"][:, :-1]
    rows, columns = np.nonzero(inside)
    assert (targets[rows, columns] == targets[rows, columns - 1]).all()
    masked = x["token_ids"] == MASK
    both = targets[rows, columns]
    assert (masked[rows, columns][both] == masked[rows, columns - 1][both]).all()
    by_token = replace(objective, corrupt=Corruption())
    x, _, _ = by_token(batch, np.random.default_rng(0))
    masked = x["token_ids"] == MASK  # independently within words, as released
    assert (masked[rows, columns][both] != masked[rows, columns - 1][both]).mean() > 0.2


def test_span_boundaries():
    objective = MaskedModeling(**IDS, **SPANS, sequence_length=32)
    batch = make_batch(4_000)
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    assert objective.head_names == ("tokens", "span_boundary") == tuple(y)
    assert set(x) == set(objective.feature_names)
    np.testing.assert_array_equal(y["tokens"], y["span_boundary"])
    positions, weights = x["target_positions"], sample_weight["tokens"]
    counts = sample_weight["span_boundary"]
    assert counts.dtype == np.float32 and (counts <= weights).all()
    assert 0.3 < counts.sum() / weights.sum() < 0.95
    targets = targets_of(positions, weights, 32)
    rows, slots = np.nonzero(counts)
    left, right = x["left_positions"][rows, slots], x["right_positions"][rows, slots]
    assert not targets[rows, left].any() and not targets[rows, right].any()
    functional = batch["functional"]
    assert not functional[rows, left].any() and not functional[rows, right].any()
    assert (positions[rows, slots] == left + 1 + x["span_offsets"][rows, slots]).all()
    for row, begin, end in zip(rows, left, right):
        assert targets[row, begin + 1 : end].all()
    assert (right - left - 1 <= 20).all() and x["span_offsets"].max() < 20
    # boundaries stay readable: nothing around a counting span was corrupted
    assert (x["token_ids"][rows, left] == batch["token_ids"][rows, left]).all()
    masked = x["token_ids"] == MASK  # once per merged span
    neighbours = targets[:, 1:] & targets[:, :-1]
    assert (masked[:, 1:] == masked[:, :-1])[neighbours].all()


def test_span_boundary_as_older_code_sets_it():
    plain = MaskedModeling(**IDS, select=SpanSelection(), static_passes=2)
    both = ObjectiveSum((plain, SpanBoundary(20)))
    settings = dict(select=SpanSelection(), static_passes=2)
    assert MaskedModeling(**IDS, **settings, span_boundary=20) == both
    values = (*IDS.values(), SpanSelection(), Corruption(), 512, None, "full_sentences", False)
    assert MaskedModeling(*values, 20, 2) == MaskedModeling(*values, 20, static_passes=2) == both
    assert replace(plain, span_boundary=20) == both
    assert MaskedModeling(*values, 0, 2) == MaskedModeling(*values, static_passes=2) == plain
    assert "span_boundary" not in plain.get_config() and plain.span_boundary == 0
    for objective in (plain, both):
        assert pickle.loads(pickle.dumps(objective)) == copy.deepcopy(objective) == objective


def test_a_row_without_maskable_tokens_has_no_weight():
    batch = make_batch(3)
    batch["functional"][1] = True
    for settings in (dict(), SPANS, dict(select=RandomSelection("word"))):
        objective = MaskedModeling(**IDS, **settings, sequence_length=32)
        x, y, sample_weight = objective(batch, np.random.default_rng(0))
        assert (x["token_ids"][1] == batch["token_ids"][1]).all()
        assert all(not weights[1].any() for weights in sample_weight.values())
        assert sample_weight["tokens"][[0, 2]].any(axis=1).all()


def test_all_mask_and_whole_vocabulary():
    batch = make_batch(3_000)
    objective = MaskedModeling(**IDS, corrupt=ALL_MASK, sequence_length=32)
    x, _, sample_weight = objective(batch, np.random.default_rng(0))
    targets = targets_of(x["target_positions"], sample_weight["tokens"], 32)
    assert (x["token_ids"][targets] == MASK).all()
    released = replace(objective, corrupt=Corruption(0.0, 1.0, random_ids="vocabulary"))
    x, *_ = released(batch, np.random.default_rng(0))
    assert set(np.unique(x["token_ids"][targets])) == set(range(SIZE))


@pytest.mark.parametrize(
    "select, length, expected",
    [
        (RandomSelection(), 512, 77),
        (RandomSelection(), 128, 20),
        (RandomSelection(), 2, 1),
        (RandomSelection(count="rounded"), 512, 77),
        (SpanSelection(), 512, 77),
        (RandomSelection(rate=0.5), 20, 10),
        (RandomSelection(count="bernoulli"), 512, 110),
        (RandomSelection("word", count="rounded"), 512, 110),
        (RandomSelection(rate=1.0, count="bernoulli"), 16, 16),
    ],
)
def test_slots_by_default(select, length, expected):
    assert select.predictions(length) == expected
    objective = MaskedModeling(**IDS, select=select, sequence_length=length)
    assert objective.num_predict == expected == objective.target_shape("tokens")[0]


def test_row_settings_and_static_masks():
    objective = MaskedModeling(**IDS, sequence_length=64, static_passes=10)
    assert objective.row_settings == {"sequence_length": 64}
    assert objective.static_passes == 10 and objective.rows == "full_sentences"
    assert MaskedModeling(**IDS).static_passes == 0
    assert MaskedModeling(**IDS, rows="sentence_pair").rows == "sentence_pair"
    assert objective.samples_per_row == 0
    corpus = replace(objective, corrupt=Corruption(random_ids="corpus"))
    assert corpus.samples_per_row == corpus.num_predict == 10


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(vocabulary_size=0), "`vocabulary_size` must be an integer of at least 1"),
        (dict(mask_token_id=100), r"must lie in the vocabulary, \[0, 100\)"),
        (dict(mask_token_id=-1), "`mask_token_id` must be an integer of at least 0"),
        (dict(special_token_ids=(0, 100)), "must lie in the vocabulary"),
        (dict(special_token_ids=(-1,)), "must lie in the vocabulary"),
        (dict(special_token_ids="abc"), "special_token_ids must be"),
        (dict(special_token_ids=3), "special_token_ids must be"),
        (dict(special_token_ids=range(100)), "All ids of the vocabulary are special"),
        (dict(select="word"), "select must be a Selection"),
        (dict(corrupt=(0.8, 0.1)), "corrupt must be a Corruption"),
        (dict(sequence_length=0), "`sequence_length` must be an integer of at least 1"),
        (dict(num_predict=0), "`num_predict` must be an integer of at least 1"),
        (dict(num_predict=33), "num_predict must be at most sequence_length=32"),
        (dict(num_predict=5.0), "`num_predict` must be an integer"),
        (dict(segments=1), "`segments` must be True or False"),
        (dict(languages="en"), "`languages` must be True or False"),
        (dict(positions=None), "`positions` must be True or False"),
        (dict(transform=1), "`transform` must be True or False"),
        (dict(rows=None), "rows must name a row builder"),
        (dict(span_boundary=-1), "`max_length` must be an integer of at least 1"),
        (dict(span_boundary=True), "`max_length` must be an integer of at least 1"),
        (dict(span_boundary=False), "`max_length` must be an integer of at least 1"),
        (dict(static_passes=-1), "`static_passes` must be an integer of at least 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        MaskedModeling(**{**IDS, "sequence_length": 32, **settings})
    assert "Received: " in str(error.value)


def test_the_rate_is_checked():
    for rate in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            RandomSelection(rate=rate)


def test_bad_batches():
    rng = np.random.default_rng(0)
    objective = MaskedModeling(**IDS, sequence_length=32, segments=True)
    with pytest.raises(
        ValueError, match=r"needs token_ids of the shape \(2, 32\). Received: \(2, 40"
    ):
        objective(make_batch(2, 40), rng)
    for name in ("padding_mask", "functional", "word_starts", "segment_ids"):
        batch = make_batch(2)
        del batch[name]
        with pytest.raises(ValueError, match=f"needs {name} of the shape.*no such array"):
            objective(batch, rng)
    for wrong in (-1, SIZE):
        batch = make_batch(2)
        batch["token_ids"][1, 3] = wrong
        with pytest.raises(ValueError, match=r"token_ids must lie in the vocabulary, \[0, 100\)"):
            objective(batch, rng)


def test_bad_samples_of_the_corpus():
    rng = np.random.default_rng(0)
    corpus = MaskedModeling(**IDS, corrupt=Corruption(random_ids="corpus"), sequence_length=32)
    batch = make_batch(2)
    for sampled in (None, np.zeros((2, 4), "int32"), np.zeros(2, "int32"), np.zeros((1, 5), "i4")):
        batch["sampled_ids"] = sampled
        if sampled is None:
            del batch["sampled_ids"]
        with pytest.raises(ValueError, match=r"needs sampled_ids of the shape .* = \(2, 5\)"):
            corpus(batch, rng)
    batch["sampled_ids"] = np.full((2, 5), SIZE)
    with pytest.raises(ValueError, match="sampled_ids must lie in the vocabulary"):
        corpus(batch, rng)


def test_bad_selections():
    objective = MaskedModeling(
        **IDS, select=GivenSelection(), sequence_length=32, num_predict=2, corrupt=ALL_MASK
    )
    batch, rng = make_batch(2), np.random.default_rng(0)
    batch["functional"][:, :8] = [True, *[False] * 7]
    batch["units"] = np.zeros((2, 32), "int32")
    batch["units"][1, 0] = 1
    with pytest.raises(ValueError, match="took special tokens or padding.*1 of them"):
        objective(batch, rng)
    batch["units"][1, :5] = [0, 1, 1, 2, 0]
    with pytest.raises(ValueError, match="more than num_predict=2 tokens of a row.*3 tokens"):
        objective(batch, rng)


def translation(num_rows=1):
    """Rows of a pair with positions and languages of their own: </s> a b </s> </s> c d e </s>."""
    row = {
        "token_ids": np.array([2, 10, 11, 2, 2, 20, 21, 22, 2, 0], "int32"),
        "padding_mask": np.arange(10) < 9,
        "functional": np.array([1, 0, 0, 1, 1, 0, 0, 0, 1, 1], bool),
        "word_starts": np.ones(10, bool),
        "position_ids": np.array([0, 1, 2, 3, 0, 1, 2, 3, 4, 0], "int32"),
        "language_ids": np.array([1] * 4 + [3] * 6, "int32"),
    }
    return {name: np.tile(array, (num_rows, 1)) for name, array in row.items()}


def test_languages_and_positions_are_those_of_the_rows():
    """XLM's translation language model: masks as ever, on the rows of a pair."""
    plain = MaskedModeling(**IDS, sequence_length=10)
    objective = replace(plain, languages=True, positions=True, transform=False)
    expected = ("token_ids", "padding_mask", "target_positions", "language_ids", "position_ids")
    assert objective.feature_names == expected
    batch = translation(1_000)
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    assert set(x) == set(expected)
    for name in ("language_ids", "position_ids"):
        np.testing.assert_array_equal(x[name], batch[name])
    same, y_same, _ = plain(batch, np.random.default_rng(0))
    np.testing.assert_array_equal(same["token_ids"], x["token_ids"])
    np.testing.assert_array_equal(y_same["tokens"], y["tokens"])
    targets = targets_of(x["target_positions"], sample_weight["tokens"], 10)
    assert ((x["token_ids"] == 2).sum(axis=1) == 4).all()  # </s> is neither masked nor random
    assert targets[:, :4].any() and targets[:, 5:].any()  # both languages
    for name, message in (
        ("language_ids", "say their languages"),
        ("position_ids", "no such array"),
    ):
        rest = {key: array for key, array in batch.items() if key != name}
        with pytest.raises(ValueError, match=message):
            objective(rest, np.random.default_rng(0))


def test_a_mask_of_one_language_sees_the_other(reach):
    x, _, _ = MaskedModeling(**IDS, sequence_length=10, languages=True, positions=True)(
        translation(), np.random.default_rng(0)
    )
    rows, real = reach(x, num_languages=4, num_segments=0)[0], x["padding_mask"][0]
    assert rows[:9][:, :9].all() and not rows[:, 9:][:9].any()  # every token, but no padding
    hidden = {**x, "padding_mask": np.arange(10)[None] < 4}
    rows = reach(hidden, num_languages=4, num_segments=0)[0]
    assert rows[:4, :4].all() and not rows[:4, 4:].any() and real.sum() == 9


def test_heads_take_the_settings_of_the_backbone():
    keras = pytest.importorskip("keras")
    backbone = SimpleNamespace(
        token_embedding=keras.layers.ReversibleEmbedding(SIZE, 4),
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer=lambda: keras.initializers.RandomNormal(stddev=0.03),
    )
    heads = MaskedModeling(**IDS, sequence_length=32).heads(backbone)
    assert set(heads) == {"tokens"}
    heads = MaskedModeling(**IDS, **{**SPANS, "span_boundary": 7}, sequence_length=32).heads(
        backbone
    )
    assert {name: head.name for name, head in heads.items()} == {
        "tokens": "tokens",
        "span_boundary": "span_boundary",
    }
    for head in heads.values():
        assert head.activation == "relu" and head.layer_norm_epsilon == 1e-5
        assert head.kernel_initializer.stddev == 0.03
    bare = MaskedModeling(**IDS, sequence_length=32, transform=False).heads(backbone)["tokens"]
    assert bare.transform is None and bare.use_bias
    assert heads["tokens"].transform is not None and heads["span_boundary"].max_length == 7


def test_a_tokenizer_brings_its_vocabulary_mask_and_special_tokens():
    tokenizer = SimpleNamespace(
        vocabulary_size=30, mask_token_id=4, special_token_ids={"cls": 2, "mask": 4, "bos": 2}
    )
    objective = MaskedModeling.for_tokenizer(tokenizer, sequence_length=8, segments=True)
    assert objective == MaskedModeling(30, 4, (2, 4), sequence_length=8, segments=True)
