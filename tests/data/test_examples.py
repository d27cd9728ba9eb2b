"""Batch n is the same whenever, wherever and by whomever it is made."""

import hashlib
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import grain
import numpy as np
import pytest

from keras_plm.data import Corpus, train_tokenizer
from keras_plm.data.examples import Examples, examples
from keras_plm.objectives import MaskedModeling, PermutationModeling

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
SETTINGS = dict(sequence_length=32, reuse_length=16, num_predict=7, permutation_size=8)
OBJECTIVE = PermutationModeling(**SETTINGS)
BOTH_WAYS = PermutationModeling(**SETTINGS, bidirectional=True)


def flat(record):
    """The arrays of (x, y, sample_weight) by name."""
    return {f"{i}/{name}": array for i, part in enumerate(record) for name, array in part.items()}


def assert_same(left, right):
    left, right = flat(left), flat(right)
    assert set(left) == set(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        assert left[name].dtype == right[name].dtype


def first(dataset, count):
    return list(itertools.islice(dataset, count))


def test_attributes(make_random_corpus):
    corpus = make_random_corpus()
    dataset = examples(corpus, OBJECTIVE, 4, start=2, shard=(1, 2))
    assert isinstance(dataset, Examples) and isinstance(dataset, grain.IterDataset)
    assert dataset.batch_size == 4 and dataset.local_batch_size == 2
    assert dataset.tokenizer_fingerprint == "abc" and dataset.vocabulary_size == 500
    assert dataset.objective is OBJECTIVE and dataset.start == 2
    num_tokens = len(corpus.token_ids) + len(corpus.documents)
    assert dataset.steps_per_epoch == (num_tokens // 4 - 29) // 16 + 1


def test_what_they_are_made_of(corpus, make_random_corpus):
    dataset = examples(corpus, BOTH_WAYS, 4, seed=np.int64(5), start=2)
    assert dataset.description() == json.loads(json.dumps(dataset.description()))
    assert dataset.description() == {
        "corpus": corpus.fingerprint,
        "seed": 5,
        "batch_size": 4,
        "bidirectional": True,
    }
    assert examples(corpus, BOTH_WAYS, 4, bidirectional=False).description()["bidirectional"] is (
        False
    )
    assert dataset.training and not examples(corpus, OBJECTIVE, 4, training=False).training
    assert examples(make_random_corpus(), OBJECTIVE, 4).description()["corpus"] is None


@pytest.mark.parametrize("objective", [OBJECTIVE, BOTH_WAYS])
def test_batch_n_is_the_same_whenever(make_random_corpus, objective):
    corpus = make_random_corpus()
    dataset = examples(corpus, objective, 4, seed=5)
    steps = dataset.steps_per_epoch
    batches = first(dataset, 2 * steps + 3)  # over the passes
    for again in (dataset, examples(make_random_corpus(), objective, 4, seed=5)):
        for n in (0, steps - 1, steps, 2 * steps + 2):
            assert_same(again.batch_at(n), batches[n])
    resumed = examples(corpus, objective, 4, seed=5, start=steps + 2)
    for n, batch in enumerate(first(resumed, 4)):
        assert_same(batch, batches[steps + 2 + n])
    fresh = [n for n, batch in enumerate(batches) if batch[0]["fresh"].any()]
    assert fresh == [0, steps, 2 * steps]
    other = examples(corpus, objective, 4, seed=6).batch_at(0)
    assert (other[0]["token_ids"] != batches[0][0]["token_ids"]).any()


def digest(record):
    content = hashlib.sha256()
    for name, array in sorted(flat(record).items()):
        content.update(name.encode() + array.tobytes())
    return content.hexdigest()


OTHER_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import conftest, test_examples as t
dataset = t.examples(conftest.random_corpus(), t.BOTH_WAYS, 4, seed=5)
backends = [name for name in ("keras", "tensorflow", "torch", "jax") if name in sys.modules]
print(json.dumps([[t.digest(dataset.batch_at(n)) for n in (0, 7, 1000)], backends]))
"""


def test_batch_n_is_the_same_in_another_process(make_random_corpus):
    dataset = examples(make_random_corpus(), BOTH_WAYS, 4, seed=5)
    ours = [digest(dataset.batch_at(n)) for n in (0, 7, 1000)]
    command = [sys.executable, "-c", OTHER_PROCESS, str(Path(__file__).parent)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    theirs, backends = json.loads(result.stdout.splitlines()[-1])
    assert theirs == ours
    assert "keras" not in backends and "tensorflow" not in backends and "torch" not in backends


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [2, 4, 8])
def test_shards_together_are_the_whole_batch(make_random_corpus, count, training):
    corpus = make_random_corpus()
    whole = examples(corpus, BOTH_WAYS, 8, training=training)
    shards = [
        examples(corpus, BOTH_WAYS, 8, training=training, shard=(i, count)) for i in range(count)
    ]
    for n in range(4):
        parts = [shard.batch_at(n) for shard in shards]
        assert all(part[0]["token_ids"].shape == (8 // count, 32) for part in parts)
        joined = [
            {name: np.concatenate([part[i][name] for part in parts]) for name in parts[0][i]}
            for i in range(3)
        ]
        assert_same(joined, whole.batch_at(n))


def test_evaluation_is_finite_and_the_same_every_time(make_random_corpus):
    corpus = make_random_corpus()
    dataset = examples(corpus, OBJECTIVE, 4, training=False)
    once, again = list(dataset), list(dataset)
    assert len(once) == len(again) == dataset.steps_per_epoch
    for left, right in zip(once, again):
        assert_same(left, right)
    rest = list(examples(corpus, OBJECTIVE, 4, training=False, start=3))
    assert len(rest) == len(once) - 3
    assert_same(rest[0], once[3])
    assert once[0][0]["fresh"].all() and not once[1][0]["fresh"].any()


def test_the_position_can_be_saved_and_restored(make_random_corpus):
    dataset = examples(make_random_corpus(), OBJECTIVE, 4, start=3)
    iterator = iter(dataset)
    for _ in range(5):
        next(iterator)
    state = iterator.get_state()
    expected = next(iterator)
    restored = iter(dataset)
    restored.set_state(state)
    assert_same(next(restored), expected)
    assert_same(expected, dataset.batch_at(8))


def test_bidirectional_as_asked(make_random_corpus):
    corpus = make_random_corpus()
    backward = examples(corpus, BOTH_WAYS, 4).batch_at(0)[0]["backward"]
    assert backward.tolist() == [False, False, True, True]
    forward = examples(corpus, BOTH_WAYS, 4, bidirectional=False)
    plain = examples(corpus, OBJECTIVE, 4).batch_at(0)
    x, y, sample_weight = forward.batch_at(0)
    assert not x.pop("backward").any()
    assert_same((x, y, sample_weight), plain)


def test_identity(make_random_corpus):
    """Equal where batch n is equal, and different where it may differ."""
    corpus = make_random_corpus()
    one = examples(corpus, BOTH_WAYS, 4)
    assert one.identity == examples(corpus, BOTH_WAYS, 4, start=3).identity == one.identity
    assert one.identity == one.repeat().identity
    others = [
        examples(corpus, BOTH_WAYS, 4, seed=1),
        examples(corpus, BOTH_WAYS, 4, training=False),
        examples(corpus, BOTH_WAYS, 4, bidirectional=False),
        examples(corpus, BOTH_WAYS, 4, shard=(0, 2)),
        examples(corpus, BOTH_WAYS, 2),
        examples(corpus, OBJECTIVE, 4),
        examples(make_random_corpus(), BOTH_WAYS, 4),
    ]
    assert len({one.identity, *(other.identity for other in others)}) == 1 + len(others)


def test_fit_sees_the_batches_in_order(make_random_corpus):
    """Keras looks at some batches before it trains; that must not move the position."""
    keras = pytest.importorskip("keras")
    dataset = examples(make_random_corpus(), OBJECTIVE, 4, start=2)
    inputs = {
        name: keras.Input(array.shape[1:], dtype=array.dtype.name, name=name)
        for name, array in dataset.batch_at(0)[0].items()
    }
    mean_id = keras.ops.mean(keras.ops.cast(inputs["token_ids"], "float32"), 1, keepdims=True)
    positions = keras.ops.cast(inputs["target_positions"], "float32")
    outputs = {"tokens": mean_id + 0 * keras.layers.Dense(7)(positions)}
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), {"tokens": lambda y_true, y_pred: y_pred})
    losses = []  # the mean over the epoch so far
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda n, logs: losses.append(logs))
    model.fit(dataset, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[log])
    expected = []
    for n in range(2, 8):
        x, _, sample_weight = dataset.batch_at(n)
        row_means = x["token_ids"].mean(axis=1, keepdims=True)
        expected.append((row_means * sample_weight["tokens"]).mean())
    assert len(set(np.round(expected, 2))) == 6
    expected = np.cumsum(np.reshape(expected, (2, 3)), axis=1) / [1, 2, 3]
    seen = [float(logs["loss"]) for logs in losses]
    np.testing.assert_allclose(seen, expected.ravel(), rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(batch_size=0), "`batch_size` must be an integer of at least 1"),
        (dict(batch_size=4.0), "`batch_size` must be an integer"),
        (dict(batch_size=10_000), "too small for one batch"),
        (dict(seed=-1), "`seed` must be an integer of at least 0"),
        (dict(start=-1), "`start` must be an integer of at least 0"),
        (dict(start=10_000, training=False), "Evaluation has .* batches"),
        (dict(shard=(0, 3)), "must be a multiple of their number"),
        (dict(shard=(2, 2)), "index must be below its count"),
        (dict(shard=(-1, 2)), "shard's index. must be an integer of at least 0"),
        (dict(shard=1), r"shard must be \(index, count\)"),
        (dict(bidirectional=True), "needs an objective that tells the model"),
        (dict(objective=BOTH_WAYS, batch_size=3), "even batch_size"),
    ],
)
def test_bad_input(make_random_corpus, arguments, message):
    settings = dict(objective=OBJECTIVE, batch_size=4) | arguments
    with pytest.raises(ValueError, match=message) as error:
        examples(make_random_corpus(), **settings)
    assert "Received: " in str(error.value)


def test_an_evaluation_without_batches_is_refused(make_random_corpus):
    settings = dict(objective=OBJECTIVE, batch_size=4, training=False)
    count = examples(make_random_corpus(), **settings).steps_per_epoch
    assert len(list(examples(make_random_corpus(), **settings, start=count - 1))) == 1
    with pytest.raises(ValueError, match=f"Evaluation has {count} batches"):
        examples(make_random_corpus(), **settings, start=count)


def test_bad_corpora(make_random_corpus):
    corpus = make_random_corpus()
    del corpus.special_token_ids["cls"]
    with pytest.raises(ValueError, match=r"no special tokens \['cls'\]"):
        examples(corpus, OBJECTIVE, 4)
    corpus = make_random_corpus()
    corpus.token_ids[:] = 600
    dataset = examples(corpus, OBJECTIVE, 4)
    with pytest.raises(ValueError, match="outside its vocabulary"):
        next(iter(dataset))


class Plain:
    """An objective that hands on its batch, and the numbers that it drew."""

    rows = "full_sentences"
    row_settings = {"sequence_length": 16}
    static_passes, samples_per_row, draws_per_row = 0, 0, 2

    def __init__(self, **settings):
        self.__dict__.update(settings)

    def __call__(self, batch, rng):
        return batch, {"drawn": rng.random((len(batch["token_ids"]), 2))}, {}


@pytest.mark.parametrize("rows", ["packed", "sentence_pair", "dialogue"])
def test_static_passes_come_again(make_random_corpus, rows):
    corpus = make_random_corpus(60)
    static = examples(corpus, Plain(rows=rows, static_passes=2, samples_per_row=3), 4)
    dynamic = examples(corpus, Plain(rows=rows, samples_per_row=3), 4)
    steps = dynamic.steps_per_epoch
    assert static.steps_per_epoch == steps
    for n in (0, steps, 2 * steps - 1):
        for later in (n, n + 2 * steps, n + 6 * steps):
            assert_same(static.batch_at(later), dynamic.batch_at(n))
    for name in ("x", "y"):
        index = "xy".index(name)
        new, old = (flat(dynamic.batch_at(n)[index : index + 1]) for n in (0, 2 * steps))
        assert any((new[key] != old[key]).any() for key in new)
    resumed = examples(corpus, Plain(rows=rows, static_passes=2), 4, start=4 * steps + 1)
    assert (next(iter(resumed))[0]["token_ids"] == dynamic.batch_at(1)[0]["token_ids"]).all()


def test_sampled_ids(make_random_corpus):
    """Shards are slices; every token of the part's documents is as likely: 4 deviations."""
    corpus = make_random_corpus(60, documents=range(30))
    objective = Plain(samples_per_row=500)
    whole = examples(corpus, objective, 4, seed=1)
    for n in (0, 3):
        batch = whole.batch_at(n)
        shards = [examples(corpus, objective, 4, 1, shard=(i, 2)).batch_at(n) for i in range(2)]
        for part in range(2):
            for name, array in batch[part].items():
                joined = np.concatenate([shard[part][name] for shard in shards])
                np.testing.assert_array_equal(joined, array)
    assert batch[0]["sampled_ids"].shape == (4, 500)
    drawn = np.concatenate([whole.batch_at(n)[0]["sampled_ids"].ravel() for n in range(20)])
    tokens = corpus.token_ids[: corpus.document_offsets[30]]
    counts, expected = np.bincount(drawn, minlength=500), np.bincount(tokens, minlength=500)
    assert not counts[expected == 0].any()
    expected = expected[expected > 0] * len(drawn) / len(tokens)
    chi_square = ((counts[counts > 0] - expected) ** 2 / expected).sum()
    assert abs(chi_square - len(expected) + 1) < 4 * np.sqrt(2 * len(expected))
    assert "sampled_ids" not in examples(corpus, Plain(), 4).batch_at(0)[0]


def test_a_corpus_on_disk_in_a_worker_process(tmp_path):
    """What travels is small: the corpus by its directory, no pass."""
    tokenizer = train_tokenizer(BOTCHAN, 500, model="wordpiece", lowercase=True)
    corpus = Corpus.build(BOTCHAN, tokenizer, tmp_path / "corpus").split(0.3)[0]
    dataset = examples(corpus, Plain(rows="sentence_pair", samples_per_row=2), 4)
    data = pickle.dumps(dataset._batches)
    assert len(data) < 5_000
    copy = pickle.loads(data)
    for n in (0, dataset.steps_per_epoch + 1):
        assert_same(copy[n], dataset.batch_at(n))


def test_unknown_rows(make_random_corpus):
    class Unknown:
        rows, row_settings = "nowhere", {}

    with pytest.raises(ValueError, match="No row builder.*Received: objective.rows='nowhere'"):
        examples(make_random_corpus(), Unknown(), 4)


@pytest.mark.parametrize("static_passes", [0, 1])
def test_rows_are_shown_before_anything_is_hidden(make_random_corpus, static_passes):
    corpus = make_random_corpus(60)
    ids = corpus.special_token_ids
    objective = MaskedModeling(
        corpus.vocabulary_size,
        ids["mask"],
        tuple(ids.values()),
        sequence_length=32,
        static_passes=static_passes,
    )
    dataset = examples(corpus, objective, 4, seed=5)
    step = dataset.steps_per_epoch + 1  # of the second pass
    (x, y, weight), rows = dataset.batch_at(step), dataset.rows_at(step)
    changed = np.flatnonzero(rows["token_ids"] != x["token_ids"])
    row, slot = np.nonzero(weight["tokens"])
    targets = row * 32 + x["target_positions"][row, slot]
    assert len(changed) > 0 and set(changed) <= set(targets)
    np.testing.assert_array_equal(rows["token_ids"].ravel()[targets], y["tokens"][row, slot])
