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
