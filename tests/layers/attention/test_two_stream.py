import keras
import numpy as np
from keras import ops

from keras_plm.layers import RelativePositionEncoding, TransformerXLBlock, TwoStream
from keras_plm.ops import content_visibility, query_visibility

BATCH, LENGTH, MEMORY, PREDICTIONS, WIDTH = 2, 5, 3, 2, 8

CONTENT = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
QUERY = np.random.default_rng(1).normal(size=(BATCH, PREDICTIONS, WIDTH)).astype("float32")
MEMORIES = np.random.default_rng(2).normal(size=(BATCH, MEMORY, WIDTH)).astype("float32")
ORDER = np.array([[0, 2, 0, 1, 3], [1, 2, 3, 4, 5]], "int32")
TARGETS = np.array([[3, 1], [4, 2]], "int32")


def made(**options):
    large = keras.initializers.RandomNormal(stddev=0.5)
    return TransformerXLBlock(2, 3, 16, kernel_initializer=large, **options)


def both(block):
    """The two streams over memory, with all masks and segment relations."""
    same = np.ones((BATCH, LENGTH, MEMORY + LENGTH), bool)
    return TwoStream(block)(
        CONTENT,
        QUERY,
        shared={
            "position_encoding": RelativePositionEncoding(WIDTH)(CONTENT, memory_length=MEMORY),
            "memory": ops.convert_to_tensor(MEMORIES),
        },
        content_own={
            "visible": content_visibility(ORDER, memory_length=MEMORY),
            "same_segment": same,
        },
        query_own={
            "visible": query_visibility(ORDER, TARGETS, memory_length=MEMORY),
            "same_segment": same[:, :PREDICTIONS],
            "positions": TARGETS,
        },
    )


def test_content_is_the_block_alone():
    block = made()
    content, _ = both(block)
    alone = block(
        CONTENT,
        RelativePositionEncoding(WIDTH)(CONTENT, memory_length=MEMORY),
        memory=MEMORIES,
        visible=content_visibility(ORDER, memory_length=MEMORY),
        same_segment=np.ones((BATCH, LENGTH, MEMORY + LENGTH), bool),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(content), ops.convert_to_numpy(alone))


def test_query_rows_that_carry_content_and_see_as_content_are_content():
    """Both kinds of rows read with the same weights."""
    block = made()
    table = RelativePositionEncoding(WIDTH)(CONTENT)
    rows = np.take_along_axis(CONTENT, TARGETS[:, :, None], axis=1)
    content, query = TwoStream(block)(
        CONTENT, rows, {"position_encoding": table}, query_own={"positions": TARGETS}
    )
    expected = np.take_along_axis(ops.convert_to_numpy(content), TARGETS[:, :, None], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(query), expected, atol=1e-5)


def test_has_the_weights_of_the_block_and_no_others():
    block = made()
    two_stream = TwoStream(block)
    two_stream.build(CONTENT.shape)
    assert [id(weight) for weight in two_stream.weights] == [id(weight) for weight in block.weights]


def test_dropout_draws_twice():
    """Query rows that equal content rows get other masks: each site draws once per read."""
    block = made(dropout=0.5)
    positions = np.tile(np.arange(LENGTH, dtype="int32"), (BATCH, 1))
    table = RelativePositionEncoding(WIDTH)(CONTENT)
    content, query = TwoStream(block)(
        CONTENT,
        CONTENT,
        {"position_encoding": table},
        query_own={"positions": positions},
        training=True,
    )
    difference = ops.convert_to_numpy(content) - ops.convert_to_numpy(query)
    assert np.abs(difference).max() > 0.01
