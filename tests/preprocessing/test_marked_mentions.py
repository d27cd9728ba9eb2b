import pytest

from keras_plm.preprocessing.marked_mentions import (
    RELATION_MARKS,
    TYPING_MARKS,
    mark_mentions,
)

TEXT = "Bob met Ann in Rome."
BOB, ANN, ROME = (0, 3), (8, 11), (15, 19)


def test_marks_of_relations_and_how_far_text_moves():
    """By 2 behind the first mark, by 6 behind the first of the second mention."""
    entities = [(0, 3, 7), (8, 11, 8), (15, 19, 9)]
    marked, moved = mark_mentions(TEXT, [BOB, ANN], RELATION_MARKS, entities)
    assert marked == "# Bob # met $ Ann $ in Rome."
    assert moved == [(2, 5, 7), (14, 17, 8), (23, 27, 9)]
    assert [marked[begin:end] for begin, end, _ in moved] == ["Bob", "Ann", "Rome"]


def test_the_tail_may_come_first():
    marked, moved = mark_mentions(TEXT, [ANN, BOB], entities=[(8, 11, 1), (0, 3, 2)])
    assert marked == "$ Bob $ met # Ann # in Rome."
    assert [marked[begin:end] for begin, end, _ in moved] == ["Ann", "Bob"]


def test_marks_of_typing():
    assert mark_mentions(TEXT, [ROME], TYPING_MARKS) == ("Bob met Ann in 。 Rome 。.", [])


def test_mentions_that_touch_and_entities_across_marks():
    marked, moved = mark_mentions("abcd", [(0, 2), (2, 4)], entities=[(0, 4, 1), (1, 3, 2)])
    assert marked == "# ab #$ cd $"
    assert [marked[begin:end] for begin, end, _ in moved] == ["ab #$ cd", "b #$ c"]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((5, [BOB, ANN]), TypeError, "`text` must be a string. Received: text=5"),
        ((TEXT, [BOB]), ValueError, "a mark for each mention. Received"),
        ((TEXT, [BOB, (2, 5)]), ValueError, r"must not overlap.*\(0, 3\) and \(2, 5\)"),
        ((TEXT, [BOB, BOB]), ValueError, "must not overlap"),
        ((TEXT, [BOB, (3, 3)]), ValueError, r"`mentions` must be \(begin, end\)"),
        ((TEXT, [BOB, (3, 21)]), ValueError, "which has 20. Received"),
        ((TEXT, [BOB, (-1, 2)]), ValueError, "`mentions` must be"),
        ((TEXT, [BOB, "ab"]), ValueError, "`mentions` must be"),
        ((TEXT, BOB), ValueError, "`mentions` must be"),
        ((TEXT, 3), ValueError, "`mentions` must be a list"),
        ((TEXT, [BOB, ANN], ("#", "")), ValueError, "`marks` must be a string"),
        ((TEXT, [BOB, ANN], "#$"), ValueError, "`marks` must be a list of strings"),
        ((TEXT, [BOB, ANN], ("#", "$"), [BOB]), ValueError, r"\(begin, end, number\)"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        mark_mentions(*arguments)
