"""The LSTM's backward pass equals the automatic gradient of the plain loop."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.ops import lstm

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH, LENGTH, CELL, PROJECTED = 3, 6, 5, 4
REAL = np.array([[1] * 6, [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1]], bool)


def plain(gates, recurrent, hidden, cell, real, projection, clips):
    """The equations of the docstring, step by step."""
    outputs = []
    for step in range(LENGTH):
        i, f, g, o = ops.split(gates[step] + ops.matmul(hidden, recurrent), 4, axis=-1)
        new_cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        if clips[0] is not None:
            new_cell = ops.clip(new_cell, -clips[0], clips[0])
        new_hidden = ops.sigmoid(o) * ops.tanh(new_cell)
        if projection is not None:
            new_hidden = ops.matmul(new_hidden, projection)
        if clips[1] is not None:
            new_hidden = ops.clip(new_hidden, -clips[1], clips[1])
        if real is not None:
            new_cell = ops.where(real[step, :, None], new_cell, cell)
            new_hidden = ops.where(real[step, :, None], new_hidden, hidden)
        cell, hidden = new_cell, new_hidden
        outputs.append(hidden)
    return ops.stack(outputs), hidden, cell


@pytest.mark.parametrize("masked", [False, True], ids=["all", "padded"])
@pytest.mark.parametrize("clips", [None, (None, None), (0.7, 0.9)], ids=["", "projected", "clips"])
def test_values_and_gradients(clips, masked, value_and_gradients):
    width, random = CELL if clips is None else PROJECTED, np.random.default_rng(0)
    shapes = [(LENGTH, BATCH, 4 * CELL), (width, 4 * CELL), (BATCH, width), (BATCH, CELL)]
    shapes += [] if clips is None else [(CELL, PROJECTED)]
    given = [
        keras.Variable(random.normal(size=shape).astype("float32"), name=f"tensor_{number}")
        for number, shape in enumerate(shapes)
    ]
    shares = [(LENGTH, BATCH, width), (BATCH, width), (BATCH, CELL)]
    shares = [random.normal(size=shape).astype("float32") for shape in shares]
    real = ops.convert_to_tensor(REAL.T) if masked else None

    def loss(results):
        return sum(ops.sum(one * share) for one, share in zip(results, shares))

    def ours():
        tensors = [ops.copy(one) for one in given]
        return loss(lstm(*tensors[:4], real, *tensors[4:], **named))

    def reference():
        tensors = [ops.copy(one) for one in given]
        return loss(plain(*tensors[:4], real, *(tensors[4:] or [None]), clips or (None, None)))

    named = {} if clips is None else {"cell_clip": clips[0], "projection_clip": clips[1]}
    jit = keras.backend.backend() == "jax"
    found, expected = (value_and_gradients(one, given, jit) for one in (ours, reference))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for path, gradient in expected[1].items():
        assert np.abs(gradient).max() > 0.1
        np.testing.assert_allclose(found[1][path], gradient, atol=1e-5, err_msg=path)


def test_clips_are_reached():
    """Else the test above could not tell them."""
    gates = np.full((4, 1, 4), 3.0, "float32")
    hidden, cell = np.zeros((1, 1), "float32"), np.zeros((1, 1), "float32")
    ones = np.ones((1, 1), "float32")
    outputs, _, last = lstm(gates, np.zeros((1, 4), "float32"), hidden, cell, None, ones, 2.0, 0.5)
    assert float(last[0, 0]) == 2.0 and float(ops.max(outputs)) == 0.5
    assert 0.5 < float(lstm(gates, np.zeros((1, 4), "float32"), hidden, cell)[0][0, 0, 0]) < 1
