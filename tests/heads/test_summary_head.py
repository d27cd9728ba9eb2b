import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import SummaryHead


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def test_dense_tanh_dense():
    head = SummaryHead(num_classes=3, hidden_dim=4, kernel_initializer="normal")
    rows = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    logits = to_numpy(head(rows))
    for layer in (head.summary, head.logits):
        layer.bias.assign(np.arange(layer.bias.shape[0]) - 1.0)
    logits = to_numpy(head(rows))
    summary = np.tanh(rows @ to_numpy(head.summary.kernel.value) + np.arange(4) - 1)
    expected = summary @ to_numpy(head.logits.kernel.value) + np.arange(3) - 1
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_dropout_only_in_training():
    head = SummaryHead(num_classes=2, hidden_dim=16, dropout=0.5)
    rows = np.ones((1, 16), "float32")
    still = [to_numpy(head(rows)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [to_numpy(head(rows, training=True)) for _ in range(2)]
    assert not np.array_equal(*moving)


def test_the_two_kernels_start_differently():
    head = SummaryHead(num_classes=4, hidden_dim=4, kernel_initializer="normal")
    head.build((None, 4))
    first, second = (to_numpy(layer.kernel.value) for layer in (head.summary, head.logits))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_logits_of_half_rows_are_float32(dtype):
    head = SummaryHead(num_classes=2, hidden_dim=4, dtype=dtype)
    assert keras.backend.standardize_dtype(head(ops.ones((3, 4), "bfloat16")).dtype) == "float32"


def test_a_pooled_vector_is_not_summarised_again():
    head = SummaryHead(num_classes=3, hidden_dim=4, summarise=False, name="label")
    rows = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    logits = to_numpy(head(rows))
    np.testing.assert_allclose(logits, rows @ to_numpy(head.logits.kernel.value), atol=1e-6)
    assert {weight.path for weight in head.weights} == {"label/logits/kernel", "label/logits/bias"}


def test_other_activations_and_no_bias():
    rows = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    for activation, function in (("relu", lambda x: np.maximum(x, 0)), ("linear", lambda x: x)):
        for summarise in (True, False):
            head = SummaryHead(3, 4, 0.0, summarise, activation=activation, use_bias=False)
            logits = to_numpy(head(rows))
            summary = rows
            if summarise:
                summary = rows @ to_numpy(head.summary.kernel.value)
            expected = function(summary) @ to_numpy(head.logits.kernel.value)
            np.testing.assert_allclose(logits, expected, atol=1e-5)
            assert head.logits.bias is None
    with pytest.raises(ValueError, match="activation"):
        SummaryHead(3, 4, activation=3)


def test_configs_of_before_are_those_of_the_first_head():
    head = SummaryHead(3, 4)
    config = head.get_config()
    del config["activation"], config["use_bias"]
    assert SummaryHead.from_config(config).get_config() == head.get_config()
