import keras
import numpy as np
from keras import ops

from keras_plm.heads import EndLogits

BATCH, LENGTH, WIDTH, HIDDEN = 2, 5, 4, 6
ROWS = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")


def test_every_start_has_ends_of_its_own():
    """A beam of starts gives what each start gives alone, in its place."""
    layer = EndLogits(HIDDEN, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))
    starts = ROWS[:, [3, 0, 3]]
    together = ops.convert_to_numpy(layer(ROWS, starts))
    assert together.shape == (BATCH, 3, LENGTH)
    for index in range(3):
        alone = ops.convert_to_numpy(layer(ROWS, starts[:, index : index + 1]))
        np.testing.assert_allclose(together[:, index], alone[:, 0], atol=1e-5)
    assert np.abs(together[:, 0] - together[:, 1]).max() > 0.1


def test_the_row_stands_before_the_start():
    """Dense, tanh, norm, dense over [row, start], by hand for one pair."""
    layer = EndLogits(HIDDEN, 1e-3, keras.initializers.RandomNormal(stddev=1.0))
    got = ops.convert_to_numpy(layer(ROWS, ROWS[:, 1:2]))[1, 0, 4]
    kernel, out = np.array(layer.dense_0.kernel), np.array(layer.dense_1.kernel)
    hidden = np.tanh(np.concatenate([ROWS[1, 4], ROWS[1, 1]]) @ kernel)
    hidden = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-3)
    np.testing.assert_allclose(got, (hidden @ out)[0], atol=1e-5)
