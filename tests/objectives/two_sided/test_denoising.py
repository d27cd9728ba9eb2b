"""Denoising: T5's, BART's and MASS's examples, shards, rows of any kind, bad input."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from keras_plm.features import FEATURES, check_batch
from keras_plm.objectives import (
    ALL_MASK,
    CorruptedInput,
    Denoising,
    InfilledInput,
    LocalShuffle,
    Objective,
    RandomSelection,
    Rewriting,
    Selection,
    SentencePermutation,
    SentinelInput,
    SentinelTarget,
    SpanPartition,
    SpanTarget,
    WholeTarget,
)

END, START, PAD, MASK, S0 = 1, 2, 0, 3, 99


@dataclass(frozen=True)
class GivenSelection(Selection):
    """Selects what the batch says in "units"."""

    rate: float = 0.5

    def draws(self, length):
        return 0

    def __call__(self, batch, uniform, most):
        return batch["units"]

    _select = None


def make_batch(ids, units, functional):
    ids = np.array([ids], "int32")
    return {
        "token_ids": ids,
        "padding_mask": ids != PAD,
        "functional": np.isin(ids, functional),
        "units": np.array([units]),
    }


def sides(objective, batch, seed=0):
    """Each array of the first row, without its padding."""
    x, y, weight = objective(batch, np.random.default_rng(seed))
    assert tuple(x) == objective.feature_names and set(x) <= set(FEATURES)
    assert y["tokens"].shape[1:] == objective.target_shape("tokens") == weight["tokens"].shape[1:]
    check_batch(x, names=objective.feature_names, vocabulary_size=objective.vocabulary_size)
    made = {}
    for name, array in x.items():
        real = x["source_padding_mask" if name.startswith("source_") else "padding_mask"]
        made[name] = array[real].tolist()
    return made, y["tokens"][0][weight["tokens"][0] > 0].tolist()


T5 = Denoising(
    100, GivenSelection(), SentinelInput(S0), SentinelTarget(S0), END, PAD, sequence_length=21
)


def test_literal_example():
    """The example of the module's docstring: T5's span corruption."""
    t = list(range(10, 30))
    units = [0] * 5 + [1] * 2 + [0] * 9 + [2] * 4 + [0]
    made, asked = sides(T5, make_batch([*t, END], units, [END]))
    assert made["source_token_ids"] == [*t[:5], S0, *t[7:16], S0 - 1, END]
    assert asked == [S0, *t[5:7], S0 - 1, *t[16:], END]
    assert made["token_ids"] == [PAD, *asked[:-1]]
    assert made["target_positions"] == list(range(len(asked)))


def test_bart():
    """<s> The cat sat . It ran . </s>: "cat sat" and "ran" are one mask each; all is asked for."""
    row = [START, 10, 11, 12, 13, 14, 15, 13, END]
    units = [0, 0, 1, 1, 0, 0, 2, 0, 0]
    select, slots = GivenSelection(), (InfilledInput(MASK), WholeTarget())
    bart = Denoising(100, select, *slots, start_token_id=END, sequence_length=9)
    made, asked = sides(bart, make_batch(row, units, [START, END]))
    assert made["source_token_ids"] == [START, 10, MASK, 13, 14, MASK, 13, END]
    assert asked == row and made["token_ids"] == [END, *row[:-1]]
    made, asked = sides(bart, make_batch(row, [0] * 9, [START, END]))  # nothing: the identity
    assert made["source_token_ids"] == asked == row


def test_mass():
    """</s> a b c d e f </s>: "c d e f" is asked for, each from the token before it."""
    row, units = [END, 10, 11, 12, 13, 14, 15, END], [0, 0, 0, 1, 1, 1, 1, 0]
    slots = CorruptedInput(MASK, ALL_MASK), SpanTarget()
    mass = Denoising(100, GivenSelection(), *slots, sequence_length=8)
    made, asked = sides(mass, make_batch(row, units, [END]))
    assert made["source_token_ids"] == [END, 10, 11, MASK, MASK, MASK, MASK, END]
    assert made["source_visible"] == [1, 1, 1, 0, 0, 0, 0, 1]
    assert made["token_ids"] == [11, 12, 13, 14] and asked == [12, 13, 14, 15]
    assert made["position_ids"] == [2, 3, 4, 5]


OBJECTIVES = [
    replace(T5, select=SpanPartition(0.3, 2), sequence_length=20),
    replace(T5, select=RandomSelection("word", 0.3), sequence_length=20),
    Denoising(100, RandomSelection(rate=0.4), CorruptedInput(MASK), SpanTarget(), END, START,
        sequence_length=20),
    Denoising(100, SpanPartition(), InfilledInput(MASK), WholeTarget(), sequence_length=20),
]  # fmt: skip
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one.input).__name__)


@each
def test_shards_and_features(objective, make_text_rows):
    batch = make_text_rows(np.random.default_rng(0), 300, 20)
    batch["functional"][3] = True  # a row of which nothing can be hidden
    whole = objective(batch, np.random.default_rng(7))
    bits = np.random.PCG64(7).advance(120 * objective.draws_per_row)
    shard = objective({k: v[120:] for k, v in batch.items()}, np.random.Generator(bits))
    for first, second in zip(whole, shard):
        for name, array in first.items():
            np.testing.assert_array_equal(array[120:], second[name])
    x, y, weight = whole
    check_batch(x, names=objective.feature_names, vocabulary_size=100)
    assert not y["tokens"][weight["tokens"] == 0].any()
    asks_all = isinstance(objective.target, WholeTarget)
    assert weight["tokens"][3].any() == asks_all and weight["tokens"][4].any()
    assert Objective.from_config(objective.get_config()) == objective
    assert objective.head_names == ("tokens",) and objective.num_predict == y["tokens"].shape[1]


def test_nothing_is_lost(make_text_rows):
    """Both sides of T5 together are the text: a sentinel of one is a run of the other."""
    objective = replace(T5, select=SpanPartition(0.3, 2), sequence_length=20)
    batch = make_text_rows(np.random.default_rng(1), 200, 20)
    batch["token_ids"] = np.minimum(batch["token_ids"], 80)
    x, y, weight = objective(batch, np.random.default_rng(2))
    for row in range(200):
        target = y["tokens"][row][weight["tokens"][row] > 0].tolist()
        runs, text = {}, []
        for token in target[:-1]:
            if token > 80:
                runs[token] = last = []
            else:
                last.append(token)
        for token in x["source_token_ids"][row][x["source_padding_mask"][row]].tolist():
            text += runs.pop(token) if token > 80 else [token]
        assert text == batch["token_ids"][row][batch["padding_mask"][row]].tolist() and not runs


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(select="all"), "select must be a Selection or None"),
        (dict(input=GivenSelection()), "input must be a Rewriting"),
        (dict(target="whole"), "target must be a Rewriting"),
        (dict(vocabulary_size=0), "`vocabulary_size` must be an integer of at least 1"),
        (dict(end_token_id=-1), "`end_token_id` must be an integer of at least 0"),
        (dict(start_token_id=None), "`start_token_id` must be an integer of at least 0"),
        (dict(source_length=0), "`source_length` must be an integer of at least 1"),
        (dict(target_length=True), "`target_length` must be an integer of at least 1"),
        (dict(rows=None), "rows must name a row builder"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        replace(T5, **settings)
    assert "Received: " in str(error.value)


def test_bad_batches():
    batch = make_batch([*range(10, 30), END], [0] * 19 + [1, 0], [END])
    for name, length, settings in (
        ("source_length", 21, dict(source_length=20)),
        ("target_length", 3, dict(target_length=2)),
        ("target_length", 2, dict(target_length=1)),
    ):
        with pytest.raises(ValueError, match=f"{name} must have room.*rows of {length}, {name}="):
            replace(T5, **settings)(batch, np.random.default_rng(0))
    with pytest.raises(ValueError, match="must lie in the vocabulary"):
        replace(T5, vocabulary_size=20)(batch, np.random.default_rng(0))
    del batch["functional"]
    with pytest.raises(ValueError, match="Denoising needs functional"):
        T5(batch, np.random.default_rng(0))


def test_orders_and_turns():
    """The noise reads the arranged tokens, the target of BART the text; MASS asks as it reads."""
    row = [START, 10, 11, 12, 13, 14, END]
    batch = make_batch(row, [0, 0, 1, 1, 0, 0, 0], [START, END])
    swapped = SentencePermutation((12,))  # "10 11 12" and "13 14"
    slots = GivenSelection(), InfilledInput(MASK), WholeTarget()
    objective = Denoising(100, *slots, start_token_id=END, sequence_length=7, arrange=(swapped,))
    found = {tuple(sides(objective, batch, seed)[0]["source_token_ids"]) for seed in range(20)}
    # "units" of the batch are arranged as well
    assert found == {(START, 10, MASK, 13, 14, END), (START, 13, 14, 10, MASK, END)}
    for seed in range(20):
        assert sides(objective, batch, seed)[1] == row
    turned = replace(objective, arrange=(), rotate=1.0)
    found = {tuple(sides(turned, batch, seed)[0]["source_token_ids"]) for seed in range(30)}
    assert found == {
        (START, 10, MASK, 13, 14, END), (START, MASK, 13, 14, 10, END),
        (START, 13, 14, 10, MASK, END), (START, 14, 10, MASK, 13, END),
    }  # fmt: skip
    mass = replace(objective, input=CorruptedInput(MASK, ALL_MASK), target=SpanTarget(),
        target_length=None)  # fmt: skip
    for seed in range(20):
        made, asked = sides(mass, batch, seed)
        assert asked == [11, 12] and made["token_ids"] == [10, 11]
        assert made["source_token_ids"][made["position_ids"][0]] == 10
    saved = replace(objective, select=SpanPartition(), rotate=0.5)
    assert Objective.from_config(saved.get_config()) == saved


def test_draws_do_not_change_where_nothing_is_arranged():
    """Orders and turns draw behind all else, so the numbers of the rest stay."""
    slots = RandomSelection(rate=0.4), CorruptedInput(MASK), SpanTarget()
    plain = Denoising(100, *slots, sequence_length=20)
    both = replace(plain, arrange=(LocalShuffle(2),), rotate=0.5)
    assert both.draws_per_row == plain.draws_per_row + 20 + 2
    assert plain.draws_per_row == slots[0].draws(20) + 2 * 20


def test_configs_of_before():
    """Settings that are missing in an older config are what they were."""
    objective = Denoising(
        100, SpanPartition(), InfilledInput(MASK), WholeTarget(), sequence_length=20
    )
    config = objective.get_config()
    del config["arrange"], config["rotate"]
    for name in ("replace", "joined", "random"):
        del config["input"][name]
    assert Objective.from_config(config) == objective
    mass = CorruptedInput(MASK).get_config()
    del mass["closed"]
    assert Rewriting.from_config(mass) == CorruptedInput(MASK)


def test_nothing_to_read_and_nothing_to_ask():
    batch = make_batch([10, 11, 12], [1, 1, 1], [END])
    deleted = InfilledInput(MASK, "nothing")
    objective = Denoising(100, GivenSelection(), deleted, WholeTarget(), sequence_length=3)
    with pytest.raises(ValueError, match="leave a token for the encoder"):
        objective(batch, np.random.default_rng(0))
    with pytest.raises(ValueError, match="asks for what is selected, and nothing is: set select"):
        Denoising(100, None, deleted, SpanTarget(), sequence_length=3)
    with pytest.raises(ValueError, match="arrange must be a tuple of Arrangement"):
        replace(objective, arrange=(deleted,))
    with pytest.raises(ValueError, match="`rotate` must be a number from 0 to 1"):
        replace(objective, rotate=1.5)
