"""The head of SiATL's classifiers; the formulas of its pooling are in tests/layers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import AttentionPoolingHead

ROWS = np.random.default_rng(0).normal(size=(6, 5, 8)).astype("float32")


def test_layers():
    head = AttentionPoolingHead(3, 8, units=4, dropout=0.2)
    head.build((None, 4))
    shapes = {weight.path: tuple(weight.shape) for weight in head.weights}
    name = head.name
    assert shapes == {
        f"{name}/pooling/lstm/gates/kernel": (8, 16),
        f"{name}/pooling/lstm/gates/bias": (16,),
        f"{name}/pooling/lstm/recurrent_kernel": (4, 16),
        f"{name}/pooling/energy/kernel": (4, 1),
        f"{name}/pooling/energy/bias": (1,),
        f"{name}/logits/kernel": (4, 3),
        f"{name}/logits/bias": (3,),
    }
    assert head.pooling.dropout.rate == head.pooling.attention_dropout.rate == 0.2
    pooled = head.pooling(ROWS)
    expected = ops.convert_to_numpy(pooled) @ ops.convert_to_numpy(head.logits.kernel)
    np.testing.assert_allclose(ops.convert_to_numpy(head(pooled)), expected, atol=1e-6)


@pytest.mark.parametrize(
    "labels, loss", [("class", "SparseCategorical"), ("classes", "BinaryCrossentropy")]
)
def test_how_it_is_trained(labels, loss):
    head = AttentionPoolingHead(3, 8, labels=labels)
    assert type(head.loss).__name__.startswith(loss) and tuple(head.targets) == ("B", 3)
    assert [metric.name for metric in head.new_metrics()] == ["accuracy"]
    assert isinstance(head.loss, keras.losses.Loss)


def test_what_it_cannot_take():
    with pytest.raises(ValueError, match="`units` must be an integer of at least 1"):
        AttentionPoolingHead(3, 8, units=0)
    with pytest.raises(ValueError, match="`labels` must be one of"):
        AttentionPoolingHead(3, 8, labels="pairs")
