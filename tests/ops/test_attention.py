import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.ops import attend, attention, attention_by_example, attention_weights

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


BIASES = {"no bias": None, "bias": BIAS, "own biases": np.repeat(BIAS, BATCH, axis=0)}


def compiled_by_jax(function, monkeypatch):
    """A function of tensors under JAX's compiler, where rows are read by example."""
    import jax

    monkeypatch.setattr(attention_by_example, "FEWEST_ROWS", 1)
    return jax.jit(function)


@pytest.mark.parametrize("name", PATTERNS)
def test_float16_whatever_the_number_of_rows(name, monkeypatch):
    """On a CPU, JAX has no product of float16 for what Keras asks of it."""
    pytest.importorskip("jax")  # which is asked whether it can read by example
    monkeypatch.setattr(attention, "_platform", lambda: "cpu")
    visible, causal, seen = PATTERNS[name]
    seen = np.broadcast_to(visible, (BATCH, ROWS, ROWS)) if seen is None else seen
    if visible is not None:
        visible = ops.convert_to_tensor(np.broadcast_to(visible, (BATCH, *visible.shape[1:])))
    half = [ops.cast(one, "float16") for one in (QUERY, KEY, VALUE)]
    found = attend(*half, visible, causal, BIAS.astype("float16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(found), by_hand(seen, BIAS)[0], atol=0.02)


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


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX alone")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", PATTERNS)
def test_by_example_it_is_the_same_with_its_gradients(name, bias, monkeypatch):
    import jax

    visible, causal, _ = PATTERNS[name]  # of all examples, or of each
    given = {"query": QUERY, "key": KEY, "value": VALUE, "bias": BIASES[bias]}
    given = {name: value for name, value in given.items() if value is not None}
    weights = np.random.default_rng(2).normal(size=VALUE.shape).astype("float32")

    def loss(given):
        output = attend(**given, visible=visible, causal=causal)
        return (output * weights).sum(), output

    both = jax.value_and_grad(loss, has_aux=True)
    (_, expected), expected_gradients = jax.jit(both)(given)  # too few rows
    by_example = compiled_by_jax(lambda given: both(given), monkeypatch)
    (_, found), gradients = by_example(given)
    assert "scan" in str(jax.make_jaxpr(by_example)(given))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for name in given:
        np.testing.assert_allclose(gradients[name], expected_gradients[name], atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX alone")
def test_by_example_scores_do_not_overflow_and_are_float32(monkeypatch):
    wide = {
        name: (30 * value).astype("float16") for name, value in (("query", QUERY), ("key", KEY))
    }
    found = compiled_by_jax(attend, monkeypatch)(**wide, value=VALUE.astype("float16"))
    expected = attend(30 * QUERY, 30 * KEY, VALUE)
    assert found.dtype == "float16" and np.isfinite(np.asarray(found)).all()
    np.testing.assert_allclose(found, expected, atol=0.02)
