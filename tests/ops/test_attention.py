import numpy as np
import pytest
from keras import ops

from keras_plm.ops import attend, attention_weights

BATCH, ROWS, HEADS, WIDTH = 2, 4, 3, 5
READING = np.random.default_rng(0).normal(size=(3, BATCH, ROWS, HEADS, WIDTH))
QUERY, KEY, VALUE = READING.astype("float32")
BIAS = np.random.default_rng(1).normal(size=(1, HEADS, ROWS, ROWS)).astype("float32")
PADDING = np.array([[True, True, True, False], [False, True, True, True]])
CAUSAL = np.tril(np.ones((ROWS, ROWS), bool))


def by_hand(visible, bias=0.0):
    """Softmax over the visible keys, in loops and float64; 0 for a row that sees nothing."""
    output = np.zeros(QUERY.shape)
    shares = np.zeros((BATCH, HEADS, ROWS, ROWS))
    bias = np.broadcast_to(bias, (1, HEADS, ROWS, ROWS))[0].astype("float64")
    for b, h, r in np.ndindex(BATCH, HEADS, ROWS):
        seen = np.flatnonzero(visible[b, r])
        if len(seen):
            score = KEY[b, seen, h].astype("float64") @ QUERY[b, r, h] / np.sqrt(WIDTH)
            weight = np.exp(score + bias[h, r, seen])
            shares[b, h, r, seen] = weight / weight.sum()
            output[b, r, h] = shares[b, h, r, seen] @ VALUE[b, seen, h]
    return output, shares


PATTERNS = {
    "all": (None, False, np.ones((BATCH, ROWS, ROWS), bool)),
    "padding": (PADDING[:, None], False, np.repeat(PADDING[:, None], ROWS, axis=1)),
    "causal": (None, True, np.repeat(CAUSAL[None], BATCH, axis=0)),
    "causal and padding": (PADDING[:, None], True, PADDING[:, None] & CAUSAL),
    "each row its own": (CAUSAL[None] & ~np.eye(ROWS, dtype=bool), False, None),
    "own and causal": (np.repeat(PADDING[:, None], ROWS, axis=1), True, PADDING[:, None] & CAUSAL),
    "nothing": (np.zeros((BATCH, 1, ROWS), bool), False, np.zeros((BATCH, ROWS, ROWS), bool)),
}


@pytest.mark.parametrize("bias", [None, BIAS], ids=["no bias", "bias"])
@pytest.mark.parametrize("name", PATTERNS)
def test_equals_the_formula(name, bias):
    visible, causal, seen = PATTERNS[name]
    seen = np.broadcast_to(visible, (BATCH, ROWS, ROWS)) if seen is None else seen
    if visible is not None:
        visible = ops.convert_to_tensor(np.broadcast_to(visible, (BATCH, *visible.shape[1:])))
    output, shares = by_hand(seen, 0.0 if bias is None else bias)
    found = attend(QUERY, KEY, VALUE, visible, causal, bias)
    np.testing.assert_allclose(ops.convert_to_numpy(found), output, atol=1e-5)
    found = attention_weights(QUERY, KEY, visible, causal, bias)
    np.testing.assert_allclose(ops.convert_to_numpy(found), shares, atol=1e-5)


def test_a_row_that_sees_nothing_gets_exactly_zero():
    visible = ops.convert_to_tensor(PADDING[:, None])
    output = ops.convert_to_numpy(attend(QUERY, KEY, VALUE, visible, causal=True))
    assert (output[1, 0] == 0).all() and (output[1, 1] != 0).all()
