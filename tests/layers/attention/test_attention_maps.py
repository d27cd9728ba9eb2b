import keras
import numpy as np
from keras import ops

from keras_plm.layers import AttentionMaps, TransformerBlock

CONTENT = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


def made():
    large = keras.initializers.RandomNormal(stddev=0.5)
    return TransformerBlock(2, 4, 16, kernel_initializer=large)


def test_is_the_block_and_what_its_rows_read():
    block = made()
    output, weights = AttentionMaps(block)(CONTENT, causal=True)
    expected = ops.convert_to_numpy(block(CONTENT, causal=True))
    np.testing.assert_allclose(ops.convert_to_numpy(output), expected, atol=1e-5)
    weights = ops.convert_to_numpy(weights)
    assert weights.shape == (2, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert (np.triu(weights[0, 0], 1) == 0).all()


def test_of_a_source_as_well():
    large = keras.initializers.RandomNormal(stddev=0.5)
    block = TransformerBlock(2, 4, 16, kernel_initializer=large, cross_attention=True)
    source = np.random.default_rng(1).normal(size=(2, 3, 8)).astype("float32")
    seen = np.array([[[True, True, False]], [[True, True, True]]])
    options = {"source": source, "source_visible": seen}
    output, own, of_source = map(ops.convert_to_numpy, AttentionMaps(block)(CONTENT, **options))
    expected = ops.convert_to_numpy(block(CONTENT, **options))
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert own.shape == (2, 2, 5, 5) and of_source.shape == (2, 2, 5, 3)
    np.testing.assert_allclose(of_source.sum(-1), 1, atol=1e-5)
    assert (of_source[0, :, :, 2] == 0).all() and (of_source[1] > 0).all()
