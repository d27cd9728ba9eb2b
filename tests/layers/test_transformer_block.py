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


SOURCE = np.random.default_rng(5).normal(size=(2, 3, 8)).astype("float32")
SOURCE_SEES = np.array([[[True, False, True]], [[False, True, True]]])


def attended(attention, rows, content, sees, scale):
    """Attention without biases, in numpy: (B, R, D)."""
    query, key, value, last = (ops.convert_to_numpy(one) for one in attention.weights)
    query = np.einsum("brd,dhk->bhrk", rows, query) * scale
    key, value = (np.einsum("bsd,dhk->bhsk", content, one) for one in (key, value))
    scores = np.where(sees[:, None], query @ key.swapaxes(2, 3), -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return np.einsum("bhrk,hkd->brd", shares @ value, last)


def root_mean_square(values, gain):
    return values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-12) * gain


@pytest.mark.parametrize("scaled", [False, True])
def test_a_block_of_a_decoder_without_biases(scaled):
    """Gated, RMS norms first, and with a source, in numpy."""
    block = made(
        activation="relu",
        normalize_first=True,
        norm="rms",
        use_bias=False,
        gated=True,
        cross_attention=True,
        scale_scores=scaled,
    )
    gains = {
        name: ops.convert_to_numpy(getattr(block, f"{name}_norm").weights[0])
        for name in ("attention", "cross_attention", "feedforward")
    }
    scale, causal = 0.5 if scaled else 1.0, np.tri(5, dtype=bool)[None]
    rows = root_mean_square(CONTENT, gains["attention"])
    expected = CONTENT + attended(block.attention, rows, rows, causal, scale)
    rows = root_mean_square(expected, gains["cross_attention"])
    expected = expected + attended(block.cross_attention, rows, SOURCE, SOURCE_SEES, scale)
    rows = root_mean_square(expected, gains["feedforward"])
    layers = (block.intermediate, block.multiplier, block.feedforward_output)
    first, second, last = (ops.convert_to_numpy(layer.kernel) for layer in layers)
    expected = expected + (np.maximum(rows @ first, 0) * (rows @ second)) @ last
    got = block(CONTENT, causal=True, source=SOURCE, source_visible=SOURCE_SEES)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)
    assert len(block.weights) == 4 + 4 + 3 + 3


def test_a_source_that_is_not_seen_has_no_influence():
    """Nor any gradient; a row that sees none of it reads exactly 0."""
    block = made(cross_attention=True)
    nothing = np.zeros((2, 1, 3), bool)
    other = SOURCE + 100 * ~SOURCE_SEES[:, 0, :, None]
    for sees, sources in ((SOURCE_SEES, (SOURCE, other)), (nothing, (SOURCE, 7 * SOURCE))):
        got = [block(CONTENT, source=source, source_visible=sees) for source in sources]
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, got))


def test_a_source_where_none_is_read_or_none_where_one_is():
    with pytest.raises(ValueError, match="cross_attention=False. Received: one of shape"):
        made()(CONTENT, source=SOURCE)
    with pytest.raises(ValueError, match="cross_attention=True. Received: none"):
        made(cross_attention=True)(CONTENT)


def test_dropout_inside_the_feed_forward_network():
    plain, block = made(), made(activation_dropout=0.5)
    block.set_weights(plain.get_weights())
    expected = ops.convert_to_numpy(plain(CONTENT))
    np.testing.assert_array_equal(ops.convert_to_numpy(block(CONTENT)), expected)
    trained = ops.convert_to_numpy(block(CONTENT, training=True))
    assert np.abs(trained - expected).max() > 0.01


def test_remat_of_a_block_with_a_source(gradient):
    """The gradient goes to the source as well."""
    found = {}
    for remat in (False, True):
        keras.utils.set_random_seed(3)
        rates = dict(dropout=0.3, attention_dropout=0.3, activation_dropout=0.3)
        block = TransformerBlock(2, 4, 16, **rates, cross_attention=True, remat=remat)
        block.build(CONTENT.shape)

        def loss(source, block=block):
            weight = ops.cast(ops.arange(8), "float32")
            return ops.sum(block(CONTENT, source=source, training=True) * weight)

        found[remat] = ops.convert_to_numpy(gradient(loss, SOURCE))
    np.testing.assert_allclose(found[True], found[False], atol=1e-5)
    assert np.abs(found[True]).max() > 1e-4
