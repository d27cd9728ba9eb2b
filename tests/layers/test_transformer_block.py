import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import TransformerBlock, TwoStream

CONTENT = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
QUERY = np.random.default_rng(1).normal(size=(2, 3, 8)).astype("float32")
VISIBLE = np.random.default_rng(2).random((2, 5, 5)) < 0.6


def made(**options):
    rng = np.random.default_rng(3)
    large = keras.initializers.RandomNormal(stddev=0.5)
    block = TransformerBlock(2, 4, 16, kernel_initializer=large, **options)
    block.build(CONTENT.shape)
    for weight in block.weights:  # biases and norms that matter
        if weight.name != "kernel":
            weight.assign(weight + rng.normal(size=weight.shape) * 0.3)
    return block


def norm(values, weights):
    values = values - values.mean(-1, keepdims=True)
    values = values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-12)
    return values * weights[0] + weights[1]


@pytest.mark.parametrize("first", [False, True], ids=["norms after", "norms first"])
def test_equals_the_formula(first):
    """LayerNorm(x + Sublayer(x)), or x + Sublayer(LayerNorm(x)), with numpy around attention."""
    block = made(normalize_first=first, activation="relu")
    parts = {
        name: [ops.convert_to_numpy(weight) for weight in getattr(block, name).weights]
        for name in ("attention_norm", "feedforward_norm", "intermediate", "feedforward_output")
    }

    def attention(rows):
        return ops.convert_to_numpy(block.attention(rows, VISIBLE))

    def feedforward(rows):
        (kernel, bias), (out, out_bias) = parts["intermediate"], parts["feedforward_output"]
        return np.maximum(rows @ kernel + bias, 0) @ out + out_bias

    rows = CONTENT
    for sublayer, name in ((attention, "attention_norm"), (feedforward, "feedforward_norm")):
        if first:
            rows = rows + sublayer(norm(rows, parts[name]).astype("float32"))
        else:
            rows = norm(rows + sublayer(rows), parts[name]).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(block(CONTENT, VISIBLE)), rows, atol=2e-5)


@pytest.mark.parametrize("first", [False, True])
def test_two_streams_share_the_block(first):
    block = made(normalize_first=first)
    wrapper = TwoStream(block)
    content, query = wrapper(
        CONTENT, QUERY, content_own={"visible": VISIBLE}, query_own={"visible": VISIBLE[:, :3]}
    )
    assert [id(w) for w in wrapper.weights] == [id(w) for w in block.weights]
    alone = block(CONTENT, VISIBLE)
    np.testing.assert_array_equal(ops.convert_to_numpy(content), ops.convert_to_numpy(alone))
    expected = block.read(QUERY, block.project(CONTENT), VISIBLE[:, :3])
    np.testing.assert_array_equal(ops.convert_to_numpy(query), ops.convert_to_numpy(expected))


@pytest.mark.parametrize("silent", ["attention", "feedforward_output"])
def test_dropout_works_on_each_sublayer_in_training_only(silent):
    """With the other one silent, norms first: what is added is twice as large, or nothing."""
    block = made(normalize_first=True, dropout=0.5)
    for weight in getattr(block, silent).weights:
        weight.assign(np.zeros(weight.shape))
    added = ops.convert_to_numpy(block(CONTENT)) - CONTENT
    trained = ops.convert_to_numpy(block(CONTENT, training=True)) - CONTENT
    kept = trained != 0
    assert 0.25 < kept.mean() < 0.75 and np.abs(added).min() > 1e-4
    np.testing.assert_allclose(trained, 2 * added * kept, atol=1e-5)


def test_attention_dropout_works_in_training_only():
    plain, block = made(), made(attention_dropout=0.5)
    block.set_weights(plain.get_weights())
    expected = ops.convert_to_numpy(plain(CONTENT))
    np.testing.assert_array_equal(ops.convert_to_numpy(block(CONTENT)), expected)
    trained = ops.convert_to_numpy(block(CONTENT, training=True))
    assert np.abs(trained - expected).max() > 0.01


def test_remat_gives_the_same_gradients(gradient):
    """With dropout on, and for the bias too, which a closure would lose."""
    bias = np.random.default_rng(4).normal(size=(1, 2, 5, 5)).astype("float32")
    found = {}
    for remat in (False, True):
        keras.utils.set_random_seed(3)
        block = TransformerBlock(2, 4, 16, dropout=0.3, attention_dropout=0.3, remat=remat)
        block.build(CONTENT.shape)

        def loss(values, block=block):
            content = ops.reshape(values[:80], (2, 5, 8))
            bias = ops.reshape(values[80:], (1, 2, 5, 5))
            weight = ops.cast(ops.arange(8), "float32")
            return ops.sum(block(content, bias=bias, training=True) * weight)

        values = np.concatenate([CONTENT.ravel(), bias.ravel()])
        found[remat] = ops.convert_to_numpy(gradient(loss, values))
    np.testing.assert_allclose(found[True], found[False], atol=1e-5)
    assert np.abs(found[True][80:]).max() > 1e-4
