import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import TransformerBlock, TwoStream

rng = np.random.default_rng(0)
CONTENT = rng.normal(size=(2, 5, 8)).astype("float32")
QUERY = rng.normal(size=(2, 3, 8)).astype("float32")
VISIBLE = rng.random((2, 5, 5)) < 0.6


def made(**options):
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


def test_remat_gives_the_same_gradients(gradient):
    """With dropout on, and for the bias too, which a closure would lose."""
    bias = rng.normal(size=(1, 2, 5, 5)).astype("float32")
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


@pytest.mark.parametrize("last", [None, "zeros"])
def test_config_makes_the_same_block(last):
    options = dict(attention_dropout=0.2, normalize_first=True, output_initializer=last)
    block = made(dropout=0.1, remat=True, **options)
    assert TransformerBlock.from_config(block.get_config()).get_config() == block.get_config()
