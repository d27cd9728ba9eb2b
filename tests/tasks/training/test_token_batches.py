"""Pairs of texts in batches of similar length, and batches of so many tokens."""

import keras
import numpy as np
import pytest

from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.tasks import Seq2SeqLM, Seq2SeqPreprocessor
from keras_plm.tasks.feeding.length_batches import Shapes, SortedBatches
from keras_plm.tasks.feeding.row_lengths import row_lengths, whole_length
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches

SOURCES = np.array([3, 9, 20, 2, 5, 7, 1, 14, 4, 6, 2, 8, 3])
TARGETS = np.array([4, 3, 8, 2, 12, 7, 1, 10, 4, 3, 2, 1, 6])
TEXTS = ["a", "a red tram", "so much for that one", "two of them", "and then it was over"]


def pairs(source_length=24, target_length=12):
    """Features, targets and weights of pairs of those lengths; tokens are the number of the row."""
    real, asked = (
        np.arange(whole) < lengths[:, None]
        for whole, lengths in ((source_length, SOURCES), (target_length, TARGETS))
    )
    rows = np.arange(len(SOURCES))[:, None]
    x = {
        "source_token_ids": np.where(real, rows, -1),
        "source_padding_mask": real,
        "token_ids": np.where(asked, rows, -1),
        "padding_mask": asked,
        "target_positions": np.tile(np.arange(target_length), (len(SOURCES), 1)),
    }
    return x, {"tokens": x["token_ids"] + 100}, {"tokens": asked.astype("float32")}


def test_the_longer_side_is_the_length_of_a_pair():
    x, _, _ = pairs()
    lengths, at_left = row_lengths(x)
    assert lengths.tolist() == np.maximum(SOURCES, TARGETS).tolist() and not at_left
    assert whole_length(x) == 24
    bare = {name: value for name, value in x.items() if name != "target_positions"}
    assert row_lengths(bare)[0].tolist() == lengths.tolist()
    wrong = [
        {**x, "target_positions": x["target_positions"][:, ::-1]},
        {**x, "source_padding_mask": x["source_padding_mask"][:, ::-1]},
        {**x, "padding_mask": x["padding_mask"][:, ::-1]},
        {**x, "start_positions": SOURCES},
        bare | {"source_span_bounds": SOURCES},
    ]
    for one in wrong:
        assert row_lengths(one) == (None, False)


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_are_cut(seed):
    keras.utils.set_random_seed(seed)
    batches = ShuffledBatches(pairs(), 2, length_buckets=[4, 8, 16])
    found = [batches[step] for step in range(batches.num_steps)]
    shapes = [(x["source_token_ids"].shape, x["token_ids"].shape) for x, _, _ in found]
    widths = {(source[1], target[1]) for source, target in shapes}
    assert widths == {(4, 4), (8, 8), (16, 12), (24, 12)}
    # An axis in which the first two batches agree is fixed on TensorFlow.
    assert all(a[1] != b[1] for a, b in zip(*shapes[:2]))
    rows = np.concatenate([x["token_ids"][:, 0] for x, _, _ in found])
    assert sorted(rows) == list(range(13))  # each once
    for x, y, weight in found:
        row = x["token_ids"][:, 0]
        assert (x["source_padding_mask"].sum(axis=1) == SOURCES[row]).all()  # nothing real is cut
        assert (weight["tokens"].sum(axis=1) == TARGETS[row]).all()
        np.testing.assert_array_equal(y["tokens"], x["token_ids"] + 100)
        assert x["target_positions"].shape == x["token_ids"].shape
        assert (x["target_positions"] == np.arange(x["token_ids"].shape[1])).all()


def test_batches_of_so_many_tokens():
    batches = ShuffledBatches(pairs(), None, [4, 8, 16], tokens_per_batch=24)
    for epoch in range(3):
        steps = range(epoch * batches.num_steps, (epoch + 1) * batches.num_steps)
        found = [batches[step] for step in steps]
        shapes = [x["source_token_ids"].shape for x, _, _ in found]
        sizes = {4: 6, 8: 3, 16: 1, 24: 1}
        # 5 pairs of at most 4: none of 6; with the 4 of at most 8: 3 threes; then one by one
        assert sorted(shapes) == sorted([(sizes[8], 8)] * 3 + [(1, 16)] * 3 + [(1, 24)])
        assert sorted(np.concatenate([x["token_ids"][:, 0] for x, _, _ in found])) == [*range(13)]
    short = ShuffledBatches(pairs(), None, [4, 8, 16], tokens_per_batch=16)
    shapes = {short[step][0]["source_token_ids"].shape for step in range(short.num_steps)}
    assert shapes == {(4, 4), (2, 8), (1, 16), (1, 24)}  # B x L is constant, but for one long pair
    whole = ShuffledBatches(pairs(), None, tokens_per_batch=100)
    assert [len(whole[step][0]["token_ids"]) for step in range(whole.num_steps)] == [4, 4, 4, 1]
    x = {"token_ids": np.ones((6, 3, 4), int), "padding_mask": np.ones((6, 3, 4), bool)}
    choices = ShuffledBatches((x, None, None), None, tokens_per_batch=25)  # 12 tokens an example
    assert choices.num_steps == 3


def test_sorted_pairs():
    batches = SortedBatches(pairs(), Shapes(4, few=False))
    found = [batches[step] for step in range(len(batches))]
    shapes = [(x["source_token_ids"].shape, x["token_ids"].shape) for x, _, _ in found]
    assert shapes[0] == ((4, 20), (4, 12)) and shapes[1] == ((1, 1), (1, 1))
    for x, y, weight in found:
        np.testing.assert_array_equal(y["tokens"], x["token_ids"] + 100)
        assert weight["tokens"].shape == x["token_ids"].shape


@pytest.fixture(scope="module")
def make_model(byte_level):
    def make_model(**options):
        backbone = Seq2SeqBackbone(
            byte_level.vocabulary_size, *(1, 2, 16, 32), dropout=0.0, initializer_range=0.3
        )
        model = Seq2SeqLM(backbone, Seq2SeqPreprocessor(byte_level, 24, 14))
        for number, weight in enumerate(model.weights):
            rng = np.random.default_rng(number)
            weight.assign(rng.normal(scale=0.3, size=weight.shape))
        model.compile(keras.optimizers.SGD(0.1), **options)
        return model

    return make_model


def test_padding_changes_nothing(make_model, quick):
    """One step on all pairs, cut or not, and the loss behind it."""
    sources, targets = TEXTS * 2, (TEXTS[1:] + TEXTS[:1]) * 2
    found = []
    for buckets in (None, [16]):
        model = make_model(**quick)
        history = model.fit(sources, targets, batch_size=10, length_buckets=buckets, verbose=0)
        behind = model.evaluate(sources, targets, batch_size=10, verbose=0, return_dict=True)
        found.append([*history.history["loss"], behind["loss"]])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_fit_on_so_many_tokens(make_model, graph):
    model, steps = make_model(**graph), []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    history = model.fit(
        *(TEXTS * 6, TEXTS * 6),
        tokens_per_batch=64,
        length_buckets=[8, 16],
        epochs=2,
        callbacks=[count],
        verbose=0,
    )
    assert history.history["loss"][1] < history.history["loss"][0]
    arrays = model.features_and_labels(TEXTS * 6, TEXTS * 6, None)
    batches = ShuffledBatches(arrays, None, [8, 16], tokens_per_batch=64)
    shapes = {batches[step][0]["source_token_ids"].shape for step in range(batches.num_steps)}
    assert len(steps) == 2 * batches.num_steps and {(8, 8), (4, 16)} < shapes


def test_bad_arguments(make_model, quick):
    model = make_model(**quick)
    with pytest.raises(ValueError, match="give `batch_size` or `tokens_per_batch`. Received"):
        model.fit(TEXTS, TEXTS, batch_size=2, tokens_per_batch=64)
    for wrong in (0, 1.5, "64"):
        with pytest.raises((TypeError, ValueError), match="tokens_per_batch"):
            model.fit(TEXTS, TEXTS, tokens_per_batch=wrong)
    with pytest.raises(ValueError, match="`tokens_per_batch` needs lists or arrays"):
        model.fit(TEXTS, TEXTS, tokens_per_batch=64, shuffle=False)
