import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import RelativePositionEncoding, TransformerXLBlock
from keras_plm.ops import content_visibility

BATCH, LENGTH, MEMORY, WIDTH = 2, 5, 3, 8

CONTENT = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
MEMORIES = np.random.default_rng(1).normal(size=(BATCH, MEMORY, WIDTH)).astype("float32")
ORDER = np.array([[0, 2, 0, 1, 3], [1, 2, 3, 4, 5]])
SAME = np.random.default_rng(2).random((BATCH, LENGTH, MEMORY + LENGTH)) < 0.5


def made(**options):
    large = keras.initializers.RandomNormal(stddev=0.5)
    arguments = {"num_heads": 2, "key_dim": 3, "intermediate_dim": 16, **options}
    return TransformerXLBlock(**{"kernel_initializer": large, **arguments})


def normalised(rows):
    return (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-12)


@pytest.mark.parametrize("activation", ["relu", "gelu_tanh"])
def test_equals_a_direct_computation(activation, reference_attention, attention_weights):
    """Post-norm: attention, residual, norm; feed-forward, residual, norm."""
    block = made(activation=activation)
    visible = content_visibility(ORDER, memory_length=MEMORY)
    table = RelativePositionEncoding(WIDTH)(CONTENT, memory_length=MEMORY)
    result = ops.convert_to_numpy(block(CONTENT, table, MEMORIES, visible, SAME))

    attended = reference_attention(
        attention_weights(block.attention),
        CONTENT,
        np.tile(np.arange(LENGTH), (BATCH, 1)),
        CONTENT,
        memory=MEMORIES,
        visible=ops.convert_to_numpy(visible),
        same_segment=SAME,
    )
    rows = normalised(CONTENT + attended)
    inner, outer = block.intermediate.get_weights(), block.feedforward_output.get_weights()
    hidden = rows @ inner[0] + inner[1]
    if activation == "relu":
        hidden = np.maximum(hidden, 0)
    else:
        hidden = hidden / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    expected = normalised(rows + hidden @ outer[0] + outer[1])
    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_read_of_one_projection_is_the_call():
    block = made()
    table = RelativePositionEncoding(WIDTH)(CONTENT)
    called = ops.convert_to_numpy(block(CONTENT, table))
    projection = block.project(CONTENT, table)
    whole = ops.convert_to_numpy(block.read(CONTENT, projection))
    np.testing.assert_array_equal(whole, called)
    positions = np.array([[4, 1], [0, 0]])
    rows = np.take_along_axis(CONTENT, positions[:, :, None], axis=1)
    some = ops.convert_to_numpy(block.read(rows, projection, positions=positions))
    expected = np.take_along_axis(called, positions[:, :, None], axis=1)
    np.testing.assert_allclose(some, expected, atol=1e-5)


def test_every_dropout_works_in_training_only():
    table = RelativePositionEncoding(WIDTH)(CONTENT)
    plain = made()
    expected = ops.convert_to_numpy(plain(CONTENT, table))
    for rate in ("dropout", "attention_dropout", "activation_dropout"):
        block = made(**{rate: 0.5})
        block.build(CONTENT.shape)
        block.set_weights(plain.get_weights())
        np.testing.assert_array_equal(ops.convert_to_numpy(block(CONTENT, table)), expected)
        trained = ops.convert_to_numpy(block(CONTENT, table, training=True))
        assert np.abs(trained - expected).max() > 0.01, rate
