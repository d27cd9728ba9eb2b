import numpy as np
import pytest

from keras_plm.tasks.training.label_checks import (
    check_class_ids,
    check_class_names,
    check_class_weight,
    check_multi_hot,
    check_targets,
    check_weights,
    class_ids_of_names,
    multi_hot,
    numbers,
)


def test_what_passes():
    for weight in (None, [1.0, 0.0], np.ones((2, 1)), [1, 2]):
        check_weights(weight, 2)
    for labels in ([0, 2], np.array([[1], [0]]), np.array([0, 1], "uint8")):
        check_class_ids(labels, 2, 3)
    assert numbers(np.array([1, 2])) and not numbers(np.array(["a"]))
    assert not numbers(np.array([np.inf])) and not numbers(np.array([None]))


@pytest.mark.parametrize(
    "weight", [[1.0], [-1.0, 0.0], [np.nan, 1.0], ["a", "b"], 1.0, [np.inf, 1]]
)
def test_bad_weights(weight):
    with pytest.raises(ValueError, match="weight of at least 0 per example.*for 2 examples"):
        check_weights(weight, 2, "example")


@pytest.mark.parametrize("labels", [[0], [0, 3], [-1, 0], [0.0, 1.0], ["a", "b"], [[0, 1], [1, 0]]])
def test_bad_labels(labels):
    with pytest.raises(ValueError, match="abel.*Received"):
        check_class_ids(labels, 2, 3)


def test_names_become_class_numbers():
    names = ["no", "yes"]
    for labels in (["yes", "no"], ("yes", "no"), np.array(["yes", "no"]), Column(["yes", "no"])):
        np.testing.assert_array_equal(class_ids_of_names(labels, names), [1, 0])
    numbered = np.array([1, 0])
    for other in (numbered, [1, 0], None, np.eye(2), 3):
        assert class_ids_of_names(other, names) is other
    assert class_ids_of_names(["yes", 0], names).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"among \['no', 'yes'\]. Received: 'maybe' in text 1"):
        class_ids_of_names(["yes", "maybe"], names)


class Column:
    """A column of pandas or Polars, as far as labels go."""

    def __init__(self, items):
        self.items = items

    def to_list(self):
        return self.items


def test_several_names_become_rows():
    names = ["a", "b", "c"]
    given = [["c", "a"], [], {"b"}]
    expected = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], "float32")
    for labels in (given, tuple(given), Column(given), np.array(given, dtype=object)):
        rows = multi_hot(labels, names)
        assert rows.dtype == "float32"
        np.testing.assert_array_equal(rows, expected)
    for labels in (expected, expected.tolist(), expected.astype(int), expected.astype(bool)):
        for known in (names, None):
            rows = multi_hot(labels, known)
            assert rows.dtype == "float32"
            np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(multi_hot([[], []], names), np.zeros((2, 3)))
    assert multi_hot(None, names) is None
    with pytest.raises(ValueError, match=r"among \['a', 'b', 'c'\]. Received: 'd' in text 1"):
        multi_hot([["a"], ["b", "d"]], names)


def test_a_table_of_several_classes():
    class Table:
        shape, columns = (2, 3), ["a", "b", "c"]

        def __getitem__(self, name):
            raise AssertionError("not column by column")

        def to_numpy(self):
            return np.array([[1, 0, 1], [0, 0, 0]])

    np.testing.assert_array_equal(multi_hot(Table(), None), Table().to_numpy())


def test_labels_of_several_classes():
    good = np.array([[1, 0, 0.5], [0, 0, 0]], "float32")
    for labels in (good, good > 0, (good > 0).astype("int64")):
        check_multi_hot(labels, 2, 3)
    for wrong, message in (
        (good[:1], r"3 numbers per text.*\(1, 3\) for 2 texts"),
        (good[:, :2], r"\(2, 2\) for 2 texts"),
        ([0, 2], r"a list of names per text.*\(2,\) for 2 texts"),
        (multi_hot([["a"], []], None), r"\(2,\) for 2 texts"),
        (good + 1, "from 0 to 1"),
        (-good, "from 0 to 1"),
        (good * np.nan, "from 0 to 1"),
        (good.astype(str), "from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            check_multi_hot(wrong, 2, 3)


def test_names_of_classes():
    assert check_class_names(None, 3) is None
    assert check_class_names(("no", "yes"), 2) == ["no", "yes"]
    for wrong in (["no"], ["no", "no"], ["no", 1], "no", ["a", "b", "c"]):
        with pytest.raises(ValueError, match="`class_names` must be 2 different strings"):
            check_class_names(wrong, 2)


X = {"token_ids": np.zeros((2, 4), "int32"), "target_positions": np.zeros((2, 3), "int32")}
TOKENS, TOKEN_WEIGHTS = np.array([[0, 1, 2], [3, 4, 0]]), np.ones((2, 3), "float32")
PAIRS, PAIR_WEIGHTS = np.array([0, 1]), np.ones(2, "float32")
OUTPUTS = {"tokens": np.zeros((2, 3, 5)), "sentence_pair": np.zeros((2, 2))}


def test_targets():
    def check(y, weight):
        check_targets(X, {"tokens": y}, {"tokens": weight}, {"tokens": OUTPUTS["tokens"]})

    check(TOKENS, TOKEN_WEIGHTS)
    check_targets(X, None, None, OUTPUTS)
    for bad_y, bad_weight, message in (
        (TOKENS[:1], TOKEN_WEIGHTS, r"of shape \(2, 3\)"),
        (TOKENS * 1.0, TOKEN_WEIGHTS, "must be integers"),
        (TOKENS, TOKEN_WEIGHTS * 0, "not all 0"),
        (TOKENS, TOKEN_WEIGHTS * np.nan, "must be finite"),
        (TOKENS, TOKEN_WEIGHTS.astype(str), "must be finite"),
        (TOKENS + 1, TOKEN_WEIGHTS, r"must lie in \[0, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check(bad_y, bad_weight)
    others = {"others": TOKENS}
    with pytest.raises(ValueError, match=r"keys \['tokens'\]. Received: \['others'\]"):
        check_targets(X, others, others, {"tokens": OUTPUTS["tokens"]})


def test_targets_of_several_heads():
    def check(tokens=TOKENS, pairs=PAIRS, token_weights=1, pair_weights=1):
        y = {"tokens": tokens, "sentence_pair": pairs}
        weight = {
            "tokens": TOKEN_WEIGHTS * token_weights,
            "sentence_pair": PAIR_WEIGHTS * pair_weights,
        }
        check_targets(X, y, weight, OUTPUTS)

    check()
    check(token_weights=0)  # one head may have nothing to predict
    check(pair_weights=0)
    for bad, message in (
        (dict(token_weights=0, pair_weights=0), "not all 0.*only 0 for.*sentence_pair.*tokens"),
        (dict(pairs=PAIRS + 1), r"'sentence_pair' must lie in \[0, 2\).*from 1 to 2"),
        (dict(pairs=PAIRS[:, None]), r"'sentence_pair'.*of shape \(2,\).*\(2, 1\)"),
        (dict(pairs=PAIRS * 1.0), "'sentence_pair' must be integers"),
        (dict(pair_weights=-1), "'sentence_pair' must be finite and at least 0"),
        (dict(tokens=PAIRS), r"'tokens'.*of shape \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check(**bad)


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ([1.0, 2.0], "must be a dict"),
        ({"cat": 1.0}, r"of classes in \[0, 3\). Received: \['cat'\]"),
        ({3: 1.0}, r"Received: \[3\]"),
        ({-1: 1.0}, r"Received: \[-1\]"),
        ({True: 1.0}, r"Received: \[True\]"),
        ({0: float("nan")}, "finite numbers of at least 0"),
        ({0: -1.0}, "finite numbers of at least 0"),
        ({0: "2"}, "finite numbers of at least 0"),
        ({0: [1.0]}, "finite numbers of at least 0"),
        ({0: 0.0, 1: 0, 2: 0.0}, "must not all be 0"),
    ],
)
def test_class_weights_that_cannot_be_used(class_weight, message):
    with pytest.raises(ValueError, match=message):
        check_class_weight(class_weight, 3)


def test_class_weights_that_can_be_used():
    for class_weight in (None, {}, {0: 0.0, 2: 5}, {np.int64(1): np.float32(0.5)}):
        check_class_weight(class_weight, 3)
    check_class_weight({70: 2.0})  # of a task that does not know how many classes there are


def test_weights_of_0_alone():
    with pytest.raises(ValueError, match="must not all be 0.*Received: 3 weights of 0"):
        check_weights(np.zeros(3), 3)
    check_weights(np.array([0.0, 1.0, 0.0]), 3)


def test_a_task_asks_before_it_trains(make_classifier, quick, values, same):
    model = make_classifier(num_layers=1)
    model.compile(**quick)
    before = values(model)
    for method in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match="finite numbers of at least 0"):
            method(["a boat", "a fish"], np.array([0, 1]), class_weight={0: float("nan")})
        with pytest.raises(ValueError, match="must not all be 0"):
            method(["a boat", "a fish"], np.array([0, 1]), sample_weight=np.zeros(2))
    assert same(values(model), before)
