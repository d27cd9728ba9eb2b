import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import SpanBoundaryHead

WIDTH, PLACES, VOCABULARY = 4, 3, 10
ROWS = np.random.default_rng(0).normal(size=(2, 6, WIDTH)).astype("float32")  # (B, T, D)
LEFT = np.array([[0, 0, 0], [2, 3, 0]])
RIGHT = np.array([[3, 3, 0], [4, 5, 0]])
OFFSETS = np.array([[0, 1, 0], [0, 5, 0]])  # the fifth place has no embedding of its own


def fill(weights):
    """Assign random numbers, the same in every test."""
    random = np.random.default_rng(1)
    for weight in weights:
        weight.assign(random.normal(size=weight.shape))


def made(**options):
    embedding = keras.layers.ReversibleEmbedding(
        VOCABULARY, WIDTH, embeddings_initializer="random_normal", name="table", **options
    )
    embedding.build((None, None))
    head = SpanBoundaryHead(embedding, PLACES, 5, layer_norm_epsilon=1e-5, name="span_boundary")
    head.build((None, None, WIDTH), (None, None, WIDTH), (None, None))
    fill(head.weights)
    return head


def weights_of(head):
    """The weights by the end of their paths."""
    return {
        weight.path.removeprefix("span_boundary/"): np.array(ops.convert_to_numpy(weight.value))
        for weight in head.weights
    }


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + beta


def by_hand(head):
    """The formula of the paper, one target after the other."""
    w = weights_of(head)
    logits = np.empty((*OFFSETS.shape, VOCABULARY))
    for b, p in np.ndindex(*OFFSETS.shape):
        place = w["position_embedding/embeddings"][min(OFFSETS[b, p], PLACES - 1)]
        h = np.concatenate([ROWS[b, LEFT[b, p]], ROWS[b, RIGHT[b, p]], place])
        h = gelu(h @ w["edges/kernel"] + w["edges/bias"])
        h = layer_norm(h, w["edges_norm/gamma"], w["edges_norm/beta"])
        y = gelu(h @ w["output_head/transform/kernel"] + w["output_head/transform/bias"])
        names = ("output_head/transform_norm/gamma", "output_head/transform_norm/beta")
        y = layer_norm(y, *(w[name] for name in names))
        logits[b, p] = w["table/embeddings"] @ y + w["output_head/bias"]
    return logits


def read(head):
    positions = {"left_positions": LEFT, "right_positions": RIGHT, "span_offsets": OFFSETS}
    return head.read({"sequence_output": ROWS}, positions)


def test_the_formula():
    head = made()
    assert len(head.weights) == 11
    expected = by_hand(head)
    assert np.abs(expected).max() > 1
    found = ops.convert_to_numpy(read(head))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_it_reads_edges_and_places_alone(gradient):
    head = made()
    features = {"left_positions": LEFT, "right_positions": RIGHT, "span_offsets": OFFSETS}

    def loss(rows):
        logits = head.read({"sequence_output": rows}, features)
        return ops.sum(logits[:, :2] ** 2)

    moved = np.abs(gradient(loss, ROWS)).sum(-1) > 0
    assert moved.tolist() == [[1, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1]]
    logits = ops.convert_to_numpy(read(head))
    assert np.abs(logits[0, 0] - logits[0, 1]).max() > 0.01  # same edges, other places


def test_defaults_of_the_paper_and_bad_sizes():
    embedding = keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH)
    head = SpanBoundaryHead(embedding)
    assert (head.max_length, head.position_dim) == (20, 200)
    with pytest.raises(ValueError, match="at least 1. Received: max_length=0"):
        SpanBoundaryHead(embedding, max_length=0)
    with pytest.raises(ValueError, match="activation=3"):
        SpanBoundaryHead(embedding, activation=3)
