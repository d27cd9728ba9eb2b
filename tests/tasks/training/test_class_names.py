import numpy as np
import pytest

from keras_plm.tasks.training.class_names import (
    check_class_names,
    class_ids_of_names,
    multi_hot,
)


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


def test_names_of_classes():
    assert check_class_names(None, 3) is None
    assert check_class_names(("no", "yes"), 2) == ["no", "yes"]
    for wrong in (["no"], ["no", "no"], ["no", 1], "no", ["a", "b", "c"]):
        with pytest.raises(ValueError, match="`class_names` must be 2 different strings"):
            check_class_names(wrong, 2)
