import numpy as np
from keras import ops

from keras_plm.heads import TokenHead


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


ROWS = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")


def test_dense():
    head = TokenHead(3, kernel_initializer="normal")
    head.build(ROWS.shape)
    head.logits.bias.assign([1.0, -1.0, 0.5])
    expected = ROWS @ to_numpy(head.logits.kernel.value) + [1.0, -1.0, 0.5]
    np.testing.assert_allclose(to_numpy(head(ROWS)), expected, atol=1e-6)


def test_dropout_only_in_training():
    head = TokenHead(3, dropout=0.5)
    np.testing.assert_array_equal(to_numpy(head(ROWS)), to_numpy(head(ROWS)))
    moving = [to_numpy(head(ROWS, training=True)) for _ in range(2)]
    assert not np.array_equal(*moving)
