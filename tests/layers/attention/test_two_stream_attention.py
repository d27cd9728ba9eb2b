import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import RelativePositionEncoding, TwoStreamAttention
from keras_plm.ops import content_visibility, query_visibility

BATCH, LENGTH, MEMORY, PREDICTIONS, WIDTH, HEADS = 3, 5, 4, 3, 8, 2

CONTENT = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
QUERY = np.random.default_rng(1).normal(size=(BATCH, PREDICTIONS, WIDTH)).astype("float32")
MEMORIES = np.random.default_rng(2).normal(size=(BATCH, MEMORY, WIDTH)).astype("float32")
ORDER = np.array([[0, 2, 0, 1, 3], [1, 2, 3, 4, 5], [0, 0, 0, 1, 0]])
TARGETS = np.array([[3, 1, 4], [0, 4, 4], [3, 0, 0]])  # unused slots, and rows that see nothing
PADDING = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], bool)
SEGMENTS = np.array([[0, 0, 1, 1, 2], [0, 0, 0, 0, 0], [3, 1, 1, 0, 0]])
BACKWARD = np.array([False, True, True])


def made(**options):
    """An attention whose weights are so large that scores matter."""
    large = keras.initializers.RandomNormal(stddev=0.5)
    arguments = {"num_heads": HEADS, "key_dim": 3, "kernel_initializer": large, **options}
    attention = TwoStreamAttention(**arguments)
    attention.build((None, None, WIDTH))
    return attention


def encoded(memory_length=0, both_directions=False, **options):
    layer = RelativePositionEncoding(WIDTH, **options)
    return layer(CONTENT, memory_length=memory_length, both_directions=both_directions)


def numpy_of(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def arguments_of(use_memory=False, masked=False, segments=False, backward=False, clamp_length=None):
    """The call arguments of a case, and what the reference takes for content and query rows."""
    memory_length = MEMORY if use_memory else 0
    rows = {"memory": MEMORIES if use_memory else None, "backward": BACKWARD if backward else None}
    content, query = {**rows}, {**rows}
    if masked:
        content["visible"] = content_visibility(ORDER, PADDING, memory_length)
        query["visible"] = query_visibility(ORDER, TARGETS, PADDING, memory_length)
    if segments:
        keys = np.concatenate([np.zeros((BATCH, memory_length), int), SEGMENTS], axis=1)
        row_segments = np.take_along_axis(SEGMENTS, TARGETS, axis=1)
        content["same_segment"] = SEGMENTS[:, :, None] == keys[:, None, :]
        query["same_segment"] = row_segments[:, :, None] == keys[:, None, :]
    call = {
        "content": CONTENT,
        "position_encoding": encoded(memory_length, backward, clamp_length=clamp_length),
        **rows,
        "content_visible": content.get("visible"),
        "query_visible": query.get("visible"),
        "content_same_segment": content.get("same_segment"),
        "query_same_segment": query.get("same_segment"),
    }
    for side in (content, query):
        side["clamp_length"] = clamp_length
        if "visible" in side:
            side["visible"] = ops.convert_to_numpy(side["visible"])
    return call, content, query


CASES = [
    {},
    {"use_memory": True},
    {"masked": True},
    {"segments": True},
    {"backward": True},
    {"clamp_length": 2},
    {"use_memory": True, "masked": True, "segments": True},
    {"masked": True, "backward": True, "clamp_length": 2},
    {"use_memory": True, "masked": True, "segments": True, "backward": True, "clamp_length": 3},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case) or "plain")
def test_equals_the_formula_of_the_paper(case, reference_attention, attention_weights):
    attention = made()
    call, content_side, query_side = arguments_of(**case)
    content, query = numpy_of(attention(query=QUERY, query_positions=TARGETS, **call))
    weights = attention_weights(attention)
    everywhere = np.tile(np.arange(LENGTH), (BATCH, 1))
    for result, rows, positions, side in (
        (content, CONTENT, everywhere, content_side),
        (query, QUERY, TARGETS, query_side),
    ):
        expected = reference_attention(weights, rows, positions, CONTENT, **side)
        largest = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * largest)
    assert np.abs(content).max() > 0.5


def test_causal_table(reference_attention, attention_weights):
    attention = made(segments=False)
    visible = content_visibility(np.zeros((BATCH, LENGTH), int), memory_length=MEMORY, causal=True)
    seen = query_visibility(
        np.tile(np.arange(LENGTH), (BATCH, 1)), TARGETS, memory_length=MEMORY, causal=True
    )
    content, query = numpy_of(
        attention(
            CONTENT,
            encoded(MEMORY, causal=True),
            query=QUERY,
            query_positions=TARGETS,
            memory=MEMORIES,
            content_visible=visible,
            query_visible=seen,
        )
    )
    weights = attention_weights(attention)
    everywhere = np.tile(np.arange(LENGTH), (BATCH, 1))
    for result, rows, positions, mask in (
        (content, CONTENT, everywhere, visible),
        (query, QUERY, TARGETS, seen),
    ):
        expected = reference_attention(
            weights, rows, positions, CONTENT, MEMORIES, ops.convert_to_numpy(mask)
        )
        np.testing.assert_allclose(result, expected, rtol=0, atol=2e-5)


def test_a_row_that_sees_nothing_gets_zero(gradient):
    attention = made()
    visible = query_visibility(ORDER, TARGETS, PADDING)  # rows 0 of example 1 and 1, 2 of example 2
    blind = ~ops.convert_to_numpy(visible).any(axis=-1)
    assert blind.sum() == 3
    table = encoded()

    def query_rows(content):
        return attention(
            content, table, query=QUERY, query_positions=TARGETS, query_visible=visible
        )[1]

    output = ops.convert_to_numpy(query_rows(CONTENT))
    assert not output[blind].any() and np.abs(output[~blind]).min(axis=-1).all()
    leak = gradient(lambda content: ops.sum(query_rows(content) * blind[..., None]), CONTENT)
    assert not leak.any()


def test_content_does_not_depend_on_query_rows():
    attention = made()
    call, _, _ = arguments_of(use_memory=True, masked=True, segments=True)
    alone = ops.convert_to_numpy(attention(**call))
    content, _ = attention(query=QUERY, query_positions=TARGETS, **call)
    np.testing.assert_array_equal(alone, ops.convert_to_numpy(content))


def test_segment_term_is_invariant_to_a_constant():
    """Softmax ignores what is added to both rows of the table."""
    attention = made()
    call, _, _ = arguments_of(masked=True, segments=True)
    before = ops.convert_to_numpy(attention(**call))
    table = attention.segment_encoding.segment_embedding
    table.assign(ops.convert_to_numpy(table) + np.full((1, HEADS, 3), 0.7, "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(attention(**call)), before, atol=1e-5)


def test_weights_are_all_different():
    attention = made()
    values = [np.ravel(value)[:6] for value in attention.get_weights()]
    assert len(np.unique(np.stack(values), axis=0)) == len(values) == 9


def test_without_segments_there_is_no_table():
    attention = made(segments=False)
    assert len(attention.weights) == 7
    again = TwoStreamAttention.from_config(attention.get_config())
    assert again.segment_encoding is None


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_near(policy):
    attention, half = made(), made(dtype=policy)
    half.set_weights(attention.get_weights())
    call, _, _ = arguments_of(use_memory=True, masked=True, segments=True, backward=True)
    expected = numpy_of(attention(query=QUERY, query_positions=TARGETS, **call))
    received = half(query=QUERY, query_positions=TARGETS, **call)
    for result, reference in zip(received, expected):
        result = ops.convert_to_numpy(ops.cast(result, "float32"))
        assert np.isfinite(result).all()
        assert np.abs(result - reference).max() < 0.05 * np.abs(reference).max()


@pytest.mark.parametrize("policy, digits", [("mixed_bfloat16", 8), ("mixed_float16", 11)])
def test_softmax_is_computed_in_float32(policy, digits):
    """Scores before their scaling, 240 and near it, are exact in half precision; after it not.

    Kernels of zeros and ones hand them over, and the shares as the output.
    """
    attention = made(num_heads=1, segments=False, dtype=policy)
    content = np.zeros((1, 3, WIDTH), "float32")
    content[0, :, 0] = 1.0
    content[0, :, 1] = [240.0, 236.0, 232.0]
    content[0, :, 2:5] = np.eye(3)
    kernels = {name: np.zeros((WIDTH, 1, 3)) for name in ("query", "key", "position")}
    kernels["query"][0, 0, 0] = kernels["key"][1, 0, 0] = 1.0
    kernels["value"] = kernels["attention_output"] = np.eye(WIDTH)[:, None, 2:5]
    for weight in attention.weights:
        name = weight.path.split("/")[-2]
        weight.assign(kernels.get(name, np.zeros(weight.shape)))
    table = RelativePositionEncoding(WIDTH, dtype=policy)(content)
    output = ops.convert_to_numpy(ops.cast(attention(content, table), "float32"))
    score = content[0, :, 1] / np.sqrt(3)
    shares = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
    np.testing.assert_allclose(output[0, :, 2:5], [shares] * 3, rtol=2.0**-digits)


def test_attention_dropout_only_in_training():
    attention = made(dropout=0.5)
    table = encoded()
    first, second = attention(CONTENT, table), attention(CONTENT, table)
    np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(second))
    trained = ops.convert_to_numpy(attention(CONTENT, table, training=True))
    assert np.abs(trained - ops.convert_to_numpy(first)).max() > 0.01
