"""The head of ULMFiT's classifiers; equality with fastai's is in tests/backbones."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import ConcatPoolingHead

POOLED = np.random.default_rng(0).normal(size=(6, 12)).astype("float32")


def test_layers():
    head = ConcatPoolingHead(3, 4, intermediate_dims=(5, 2), dropout=0.4)
    head.build((None, 12))
    shapes = [tuple(weight.shape) for weight in head.weights if "kernel" in weight.name]
    assert shapes == [(12, 5), (5, 2), (2, 3)]
    assert [dropout.rate for _, dropout, _ in head.steps] == [0.4, 0.1, 0.1]


def test_statistics_of_the_batch_in_training():
    """Shifted and scaled inputs are the same to a norm over the batch."""
    head = ConcatPoolingHead(3, 4, dropout=0.0, intermediate_dropout=0.0)
    one, two = (head(scale * POOLED + 7, training=True) for scale in (1, 30))
    np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(two), atol=1e-3)
    one, two = (ops.convert_to_numpy(head(scale * POOLED)) for scale in (1, 30))
    assert np.abs(one - two).max() > 0.1


@pytest.mark.parametrize(
    "labels, loss", [("class", "SparseCategorical"), ("classes", "BinaryCrossentropy")]
)
def test_how_it_is_trained(labels, loss):
    head = ConcatPoolingHead(3, 4, labels=labels)
    assert type(head.loss).__name__.startswith(loss) and tuple(head.targets) == ("B", 3)
    assert [metric.name for metric in head.new_metrics()] == ["accuracy"]
    assert isinstance(head.loss, keras.losses.Loss)


def test_what_it_cannot_take():
    with pytest.raises(ValueError, match="`intermediate_dims` must be a tuple of integers"):
        ConcatPoolingHead(3, 4, intermediate_dims=(0,))
    with pytest.raises(ValueError, match="`labels` must be one of"):
        ConcatPoolingHead(3, 4, labels="pairs")
