import keras
import numpy as np
import pytest

from keras_plm.tasks import TextClassifier
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches, choose_lengths


def batches_of(arrays, batch_size, count):
    batches = ShuffledBatches(arrays, batch_size)
    return [batches[n] for n in range(count)]


def test_shuffled_batches():
    keras.utils.set_random_seed(0)
    arrays = ({"a": np.arange(7), "b": np.arange(14).reshape(7, 2)}, 10 * np.arange(7), None)
    batches = ShuffledBatches(arrays, 3)
    assert batches.num_steps == 3 and batches.num_batches is None
    epochs = [[batches[3 * epoch + step] for step in range(3)] for epoch in range(3)]
    orders = []
    for epoch in epochs:
        assert [len(y) for _, y in epoch] == [3, 3, 1]
        for x, y in epoch:
            assert (10 * x["a"] == y).all() and (x["b"][:, 0] == 2 * x["a"]).all()
        orders.append(np.concatenate([x["a"] for x, _ in epoch]).tolist())
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert batches[1][0]["a"].tolist() == orders[0][3:6]  # a function of the number alone


def test_the_order_is_decided_by_the_seed():
    arrays = (np.arange(20), None, None)
    orders = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        orders.append([batch[0].tolist() for batch in batches_of(arrays, 4, 5)])
    assert orders[0] == orders[1] != orders[2]


LENGTHS = np.array([2, 9, 4, 3, 8, 2, 12, 4, 1, 7, 5, 4, 3])


def rows_of(left, whole=12):
    """Rows of those lengths, whose tokens are their own number, padded with -1."""
    token_ids = np.full((len(LENGTHS), whole), -1)
    padding_mask = np.zeros(token_ids.shape, bool)
    for row, length in enumerate(LENGTHS):
        real = slice(whole - length, whole) if left else slice(length)
        token_ids[row, real], padding_mask[row, real] = row, True
    x = {"token_ids": token_ids, "padding_mask": padding_mask}
    return x, np.arange(len(LENGTHS)), token_ids + 100  # labels of rows, weights of tokens


@pytest.mark.parametrize("left", [False, True])
def test_length_buckets(left):
    batches = ShuffledBatches(rows_of(left), 2, length_buckets=[8, 4], labels_of_tokens=True)
    assert batches.num_steps == 7
    orders = []
    for epoch in range(3):
        found = [batches[7 * epoch + step] for step in range(7)]
        order = np.concatenate([y for _, y, _ in found])
        assert sorted(order) == list(range(13))  # each row once
        assert [len(y) for _, y, _ in found] == [2] * 6 + [1]
        widths = [x["token_ids"].shape[1] for x, _, _ in found]
        # 8 rows of at most 4 tokens, 3 of at most 8, two longer: 4 + 1 batches, a rest, 1
        assert sorted(widths[:-1]) == [4, 4, 4, 4, 8, 12] and widths[-1] == 12
        for x, y, weight in found:
            assert (x["padding_mask"].sum(axis=1) == LENGTHS[y]).all()  # nothing real is cut
            assert ((x["token_ids"] == y[:, None]) == x["padding_mask"]).all()
            np.testing.assert_array_equal(weight, x["token_ids"] + 100)
        orders.append(tuple(order))
    assert len(set(orders)) == 3
    np.testing.assert_array_equal(batches[3][1], np.array(orders[0]).reshape(-1)[6:8])


@pytest.mark.parametrize("lengths", [LENGTHS, np.array([2] * 12 + [5])])
def test_the_first_two_batches_differ_in_length(lengths):
    """Keras on TensorFlow fixes what they agree in, and a batch of another length would fail."""
    mask = np.arange(12) < lengths[:, None]
    x = {"token_ids": mask.astype(int), "padding_mask": mask}
    for seed in range(20):
        keras.utils.set_random_seed(seed)
        batches = ShuffledBatches((x, lengths, None), 2, length_buckets=[4, 8])
        epoch = [batches[step] for step in range(7)]
        assert sorted(np.concatenate([y for _, y in epoch])) == sorted(lengths)
        widths = [x["token_ids"].shape[1] for x, _ in epoch]
        assert len(set(widths)) > 1 and widths[0] != widths[1]


def test_fit_takes_batches_of_several_lengths(make_classifier, graph):
    texts = [
        "a",
        "a red tram",
        "so much for that",
        "one",
        "two of them",
        "and then it was over",
    ] * 3
    classifier = make_classifier(num_layers=1)
    classifier.compile(keras.optimizers.Adam(1e-3), **graph)
    history = classifier.fit(
        texts, [0, 1, 1] * 6, batch_size=4, epochs=2, length_buckets=[6, 10], verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()
    with pytest.raises(ValueError, match="`length_buckets` needs lists or arrays.*shuffle=False"):
        classifier.fit(texts, [0, 1, 1] * 6, length_buckets=[6], shuffle=False, verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_program_costs_fewer_steps_of_a_larger_model(make_transformer, jit_compile, with_xla):
    """What costs something is compiled: a table of embeddings takes no time in a step."""
    costs = []
    for size in ({}, {"hidden_dim": 64, "intermediate_dim": 128}):
        model = TextClassifier(make_transformer(50, **size), 2)
        model.compile(jit_compile=jit_compile)
        costs.append(model._cost_of_a_program(100))
        assert model._cost_of_a_program(200) == pytest.approx(costs[-1] / 2)
    if keras.backend.backend() == "tensorflow" and not jit_compile:
        assert costs == [0, 0]
    else:
        assert 10 < costs[0] / costs[1] < 16
        table = TextClassifier(make_transformer(5000, **size), 2)
        table.compile(jit_compile=jit_compile)
        assert table._cost_of_a_program(100) == pytest.approx(costs[1])


def test_padding_at_the_left_stays_where_positions_count_from_it():
    with pytest.raises(ValueError, match="would cut padding at the left"):
        ShuffledBatches(rows_of(True), 2, length_buckets=[4, 8], cut_left=False)
    ShuffledBatches(rows_of(False), 2, length_buckets=[4, 8], cut_left=False)


def test_rows_that_all_fit_or_none():
    for buckets, width in (([50], 12), ([1], 12), ([1, 12, 14], 12)):
        batches = ShuffledBatches(rows_of(False), 20, length_buckets=buckets)
        assert batches[0][0]["token_ids"].shape == (13, width)


@pytest.mark.parametrize("buckets", [[], [0], [2.5], 0, [[4]], "8"])
def test_bad_buckets(buckets):
    with pytest.raises(ValueError, match="list of positive integers. Received: length_buckets="):
        ShuffledBatches(rows_of(False), 2, length_buckets=buckets)


def test_rows_that_cannot_be_cut():
    x, y, _ = rows_of(False)
    for wrong in ({**x, "start_positions": y}, {"token_ids": x["token_ids"]}, y):
        with pytest.raises(ValueError, match="`length_buckets` cuts rows of tokens"):
            ShuffledBatches((wrong, y, None), 2, length_buckets=[4])


def test_no_batch_is_longer_than_the_longest_row():
    x, y, _ = rows_of(False, whole=20)
    batches = ShuffledBatches((x, y, None), 2, length_buckets=[4, 12, 16])
    widths = {batches[step][0]["token_ids"].shape[1] for step in range(7)}
    assert widths == {4, 12}


def test_labels_of_classes_are_not_cut():
    """There may be as many classes as tokens in a row."""
    x, _, _ = rows_of(False)
    classes = np.arange(13 * 12).reshape(13, 12)
    batches = ShuffledBatches((x, classes, None), 2, length_buckets=[4])
    assert {batches[step][1].shape[1] for step in range(7)} == {12}


@pytest.mark.parametrize(
    "cost, expected",
    [
        (0, [2, 3, 7, 8, 17, 20, 24, 33, 60, 64]),  # there are no programs: all that rows have
        (0.1, [8, 24, 40, 64]),  # all that hold rows
        (4, [8, 24, 64]),  # of 640 tokens 24 saves 7 * 40, then 8 saves 4 * 16, and 40 saves 24
        (11, [24, 64]),
        (43, [24, 64]),
        (44, [64]),
    ],
)
def test_chosen_lengths(cost, expected):
    """Worth its program is what saves more than `cost` of 100 steps of the longest rows."""
    lengths = np.array([3, 8, 7, 2, 17, 24, 20, 33, 60, 64])
    assert choose_lengths(lengths, steps=100, cost=cost) == expected


def test_chosen_lengths_are_few():
    assert len(choose_lengths(np.arange(1, 513), steps=10**6, cost=1)) == 8
    assert choose_lengths(np.array([5, 5]), steps=1, cost=1) == [8]
