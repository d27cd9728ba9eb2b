import keras
import numpy as np
from keras import ops

from keras_plm.heads import SpanHead
from keras_plm.heads.span_head import masked_logits

BATCH, LENGTH, WIDTH = 4, 6, 8
ROWS = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
MASK = np.random.default_rng(1).random((BATCH, LENGTH)) < 0.6


def test_equals_two_products():
    head = SpanHead(kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))
    outputs = head(ROWS, MASK)
    assert [weight.path.split("/", 1)[1] for weight in head.weights] == [
        "logits/kernel",
        "logits/bias",
    ]
    head.logits.bias.assign([0.5, -0.5])
    outputs = head(ROWS, MASK)
    expected = ROWS @ np.array(head.logits.kernel) + [0.5, -0.5]
    for index, name in enumerate(("start", "end")):
        got = ops.convert_to_numpy(outputs[name])
        np.testing.assert_allclose(got[MASK], expected[..., index][MASK], atol=1e-5)
        assert (got[~MASK] < -1e29).all()


def test_masked_logits_of_a_beam():
    logits = np.ones((BATCH, 2, LENGTH), "float16")
    got = ops.convert_to_numpy(masked_logits(logits, MASK[:, None]))
    assert got.dtype == np.float32 and ((got == 1) == MASK[:, None]).all()
