import numpy as np
import pytest
from keras import ops

from keras_plm.heads import SentencePairHead

ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def test_two_logits():
    head = SentencePairHead(name="sentence_pair")
    logits = ops.convert_to_numpy(head(ROWS))
    head.logits.bias.assign([1.0, -1.0])
    expected = ROWS @ np.array(head.logits.kernel) + [1.0, -1.0]
    np.testing.assert_allclose(ops.convert_to_numpy(head(ROWS)), expected, atol=1e-6)
    assert logits.shape == (3, 2)
    paths = {weight.path for weight in head.weights}
    assert paths == {"sentence_pair/logits/kernel", "sentence_pair/logits/bias"}


def test_reads_the_pooled_output():
    head = SentencePairHead()
    logits = head.read({"pooled_output": ROWS, "sequence_output": None}, {})
    np.testing.assert_array_equal(*(ops.convert_to_numpy(x) for x in (logits, head(ROWS))))
    with pytest.raises(ValueError, match=r"pooler=True. Received.*\['sequence_output'\]"):
        head.read({"sequence_output": ROWS}, {})
