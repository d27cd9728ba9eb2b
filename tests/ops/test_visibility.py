import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.ops import content_visibility, hide_masked, mask_of_keys, query_visibility


def table(visible):
    """The visibility of the first example, one string of 0 and 1 per row."""
    return ["".join(str(int(key)) for key in row) for row in ops.convert_to_numpy(visible)[0]]


# Four tokens: 0 and 2 are context, token 3 is predicted first, then token 1.
PERMUTATION = np.array([[0, 2, 0, 1]])


def test_content_rows_of_a_permutation_by_hand():
    assert table(content_visibility(PERMUTATION)) == [
        "1010",  # context sees context
        "1111",  # the last of the order sees all
        "1010",
        "1011",  # the first target sees context and itself
    ]


def test_query_rows_of_a_permutation_by_hand():
    targets = np.array([[3, 1]])
    assert table(query_visibility(PERMUTATION, targets)) == [
        "1010",  # token 3 from the context alone
        "1011",  # token 1 from the context and token 3, never from itself
    ]


def test_query_row_of_context_sees_nothing():
    assert table(query_visibility(PERMUTATION, np.array([[0]]))) == ["0000"]


def test_two_parts_by_hand():
    """The second part's context sees the whole first part, as in XLNet's second half."""
    order = np.array([[0, 1, 3, 4]])  # part of two tokens, then one that starts at 2 + 1
    assert table(content_visibility(order)) == ["1000", "1100", "1110", "1111"]
    assert table(query_visibility(order, np.array([[1, 3]]))) == ["1000", "1110"]


def test_bidirectional_is_order_zero():
    padding_mask = np.array([[True, True, False]])
    assert table(content_visibility(np.zeros((1, 3), "int32"))) == ["111", "111", "111"]
    assert table(content_visibility(np.zeros((1, 3), "int32"), padding_mask)) == [
        "110",
        "110",
        "111",  # padding is hidden from all others, and sees itself
    ]


def test_causal_is_order_by_position():
    order = np.array([[0, 1, 2, 3]])
    expected = ["1000", "1100", "1110", "1111"]
    assert table(content_visibility(order)) == expected
    assert table(content_visibility(np.zeros((1, 4), "int32"), causal=True)) == expected
    assert table(query_visibility(order, np.array([[0, 3]]))) == ["0000", "1110"]


def test_right_to_left_is_order_from_the_end():
    assert table(content_visibility(np.array([[2, 1, 0]]))) == ["111", "011", "001"]


def test_prefix_and_targets_is_the_running_count_of_targets():
    """UniLM's sequence to sequence: two source tokens see each other, targets see what is left."""
    is_target = np.array([[0, 0, 1, 1]])
    order = np.cumsum(is_target, axis=1)
    assert table(content_visibility(order)) == ["1100", "1100", "1110", "1111"]


def test_memory_is_visible_at_every_step():
    visible = content_visibility(PERMUTATION, memory_length=2)
    assert table(visible) == ["111010", "111111", "111010", "111011"]
    visible = query_visibility(PERMUTATION, np.array([[0, 3]]), memory_length=2)
    assert table(visible) == ["110000", "111010"]


def test_content_row_of_padding_sees_itself_on_either_side():
    padding_mask = np.array([[False, False, True], [True, False, False]])
    visible = ops.convert_to_numpy(content_visibility(np.zeros((2, 3), "int32"), padding_mask))
    assert visible[:, range(3), range(3)].all()
    others = visible & ~np.eye(3, dtype=bool)
    assert not (others & ~padding_mask[:, None, :]).any()


@pytest.mark.parametrize("memory_length", [0, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_equals_the_rule_key_by_key(memory_length, causal, padded):
    generator = np.random.default_rng(0)
    for batch, length, predictions in ((1, 1, 1), (3, 6, 2), (2, 9, 4)):
        order = generator.integers(0, length + 1, (batch, length))
        targets = generator.integers(0, length, (batch, predictions))
        padding_mask = generator.random((batch, length)) < 0.7 if padded else None
        options = {"memory_length": memory_length, "causal": causal}
        content = np.zeros((batch, length, memory_length + length), bool)
        query = np.zeros((batch, predictions, memory_length + length), bool)

        def sees(example, step, row, key):
            if key < memory_length:
                return True
            key -= memory_length
            real = padding_mask is None or padding_mask[example, key]
            return real and order[example, key] <= step and not (causal and key > row)

        for example, row, key in np.ndindex(content.shape):
            itself = key - memory_length == row
            seen = sees(example, order[example, row], row, key)
            content[example, row, key] = itself or seen
        for example, slot, key in np.ndindex(query.shape):
            row = targets[example, slot]
            query[example, slot, key] = sees(example, order[example, row] - 1, row, key)

        result = content_visibility(order, padding_mask, **options)
        np.testing.assert_array_equal(ops.convert_to_numpy(result), content)
        result = query_visibility(order, targets, padding_mask, **options)
        np.testing.assert_array_equal(ops.convert_to_numpy(result), query)


def test_compiles(jitted):
    def both(order, targets, padding_mask):
        return (
            content_visibility(order, padding_mask, memory_length=1),
            query_visibility(order, targets, padding_mask, memory_length=1),
        )

    arguments = [PERMUTATION.astype("int32"), np.array([[3, 1]], "int32"), np.ones((1, 4), bool)]
    tensors = [ops.convert_to_tensor(argument) for argument in arguments]
    for eager, compiled in zip(both(*arguments), jitted(both)(*tensors)):
        np.testing.assert_array_equal(ops.convert_to_numpy(eager), ops.convert_to_numpy(compiled))


def test_window_counts_over_memory_and_segment():
    """Transformer-XL's same_length: every row sees itself and M tokens to its left."""
    order = np.array([[0, 1, 2, 3]])
    options = {"memory_length": 2, "causal": True, "window": 3}
    assert table(content_visibility(order, **options)) == ["111000", "011100", "001110", "000111"]
    targets = np.array([[0, 3]])
    assert table(query_visibility(order, targets, **options)) == ["110000", "000110"]


def test_window_without_causality_bounds_the_left_only():
    zeros = np.zeros((1, 4), "int32")
    assert table(content_visibility(zeros, window=2)) == ["1111", "1111", "0111", "0011"]


def test_window_of_an_unknown_length():
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, content_visibility(inputs, causal=True, window=1))
    for length in (2, 5):
        visible = ops.convert_to_numpy(model(np.zeros((1, length), "int32")))
        np.testing.assert_array_equal(visible[0], np.eye(length, dtype=bool))


def test_until_hides_again():
    """MPNet: three tokens, 0 is context; 1 is predicted first; its mask copy is hidden then."""
    order = np.array([[0, 1, 2, 0, 0]])  # c0, p1, p2, m1, m2
    until = np.array([[9, 9, 9, 1, 2]])
    assert table(content_visibility(order, until=until)) == [
        "10011",  # context sees the masks
        "11001",  # the first predicted token sees the mask of the second alone
        "11100",
        "10011",
        "10011",
    ]
    assert table(query_visibility(order, np.array([[1, 2]]), until=until)) == ["10011", "11001"]


def test_masks_of_keras_hide_keys_besides():
    seen = np.array([[[True, True, False], [True, False, True]]])
    assert hide_masked(None, None) is None
    assert table(hide_masked(seen, None)) == ["110", "101"]
    assert table(hide_masked(seen, np.array([[1, 1, 0]]))) == ["110", "100"]
    assert table(hide_masked(seen[:, :1], np.array([[True, True, True]]))) == ["110"]
    assert table(hide_masked(None, np.array([[0, 1, 1]]), None, np.array([[1, 0, 1]]))) == ["001"]


def test_the_mask_of_a_memory_stands_in_front():
    content, memory = np.zeros((1, 3, 4)), np.zeros((1, 2, 4))
    own, remembered = np.array([[True, True, False]]), np.array([[False, True]])
    assert mask_of_keys(content, None) is None and mask_of_keys(content, None, memory) is None
    assert mask_of_keys(content, own) is own
    for masks, expected in [
        ((own, None), [[1, 1, 1, 1, 0]]),
        ((None, remembered), [[0, 1, 1, 1, 1]]),
        ((own, remembered), [[0, 1, 1, 1, 0]]),
    ]:
        found = mask_of_keys(content, masks[0], memory, masks[1])
        np.testing.assert_array_equal(found, np.array(expected, bool))
