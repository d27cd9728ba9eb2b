import numpy as np
import pytest
from keras import ops

from keras_plm.layers import RelativeSegmentEncoding

BATCH, ROWS, KEYS, HEADS, WIDTH = 2, 3, 5, 2, 4


def softmax(score):
    weights = np.exp(score - score.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def made(**options):
    return RelativeSegmentEncoding(HEADS, WIDTH, kernel_initializer="random_normal", **options)


def random_inputs():
    generator = np.random.default_rng(0)
    query = generator.normal(size=(BATCH, ROWS, HEADS, WIDTH)).astype("float32")
    return query, generator.random((BATCH, ROWS, KEYS)) < 0.5


def test_is_the_paper_up_to_a_constant_per_row():
    """(q + b) . s_different is taken off every key of a row: softmax does not see it."""
    query, same_segment = random_inputs()
    layer = made()
    term = ops.convert_to_numpy(layer(query, same_segment))  # (B, H, R, S)
    table, bias = (ops.convert_to_numpy(weight) for weight in layer.weights)
    paper, constant = np.zeros_like(term), np.zeros_like(term)
    for example, head, row, key in np.ndindex(term.shape):
        vector = query[example, row, head] + bias[head]
        relation = 0 if same_segment[example, row, key] else 1
        paper[example, head, row, key] = vector @ table[relation, head]
        constant[example, head, row, key] = vector @ table[1, head]
    np.testing.assert_allclose(term, paper - constant, atol=1e-6)
    content = np.random.default_rng(1).normal(size=term.shape)
    np.testing.assert_allclose(softmax(content + term), softmax(content + paper), atol=1e-6)


def test_rows_of_one_segment_get_one_value():
    query, same_segment = random_inputs()
    term = ops.convert_to_numpy(made()(query, np.ones_like(same_segment)))
    np.testing.assert_array_equal(term, np.broadcast_to(term[..., :1], term.shape))
    assert not ops.convert_to_numpy(made()(query, np.zeros_like(same_segment))).any()


def test_weights_differ_from_each_other():
    layer = made()
    layer.build((None, None, HEADS, WIDTH))
    table, bias = (ops.convert_to_numpy(weight) for weight in layer.weights)
    assert table.shape == (2, HEADS, WIDTH) and bias.shape == (HEADS, WIDTH)
    assert not np.allclose(table[0], table[1]) and not np.allclose(table[0], bias)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_dtype(policy):
    query, same_segment = random_inputs()
    layer = made(dtype=policy)
    term = layer(query, same_segment)
    expected = made(dtype="float32")
    expected.build((None, None, HEADS, WIDTH))
    expected.set_weights(layer.get_weights())
    reference = ops.convert_to_numpy(expected(query, same_segment))
    tolerance = 1e-6 if policy == "float32" else 3e-3
    term = ops.convert_to_numpy(ops.cast(term, "float32"))
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(term, reference, atol=tolerance)
