"""Logits over the entities of a batch; thunlp/ERNIE's own: tests/backbones/test_knowledge.py."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import EntityHead
from keras_plm.layers import EntityTable
from keras_plm.tasks.training.label_checks import axis_sizes, check_labels

random = np.random.default_rng(0)
ROWS = random.normal(size=(2, 5, 8)).astype("float32")
VECTORS = random.normal(size=(6, 4)).astype("float32")
VECTORS[0] = 0
CANDIDATES = np.array([[0, 2, 5, 0, 0], [0, 1, 2, 3, 4]], "int32")


def made(**options):
    table = EntityTable(5, 4)
    table.give(VECTORS)
    return EntityHead(table, **options)


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("in_a_graph", [False, True])
def test_logits(in_a_graph):
    head = made(activation="relu", layer_norm_epsilon=1e-6)
    logits = head.read({"sequence_output": ROWS}, {"candidate_entity_ids": CANDIDATES})
    if in_a_graph:
        inputs = keras.Input((None, 8)), keras.Input((None,), dtype="int32")
        logits = keras.Model(inputs, head(*inputs))([ROWS, CANDIDATES])
    rows = np.maximum(ROWS @ numbers(head.transform.kernel), 0)
    rows = rows - rows.mean(axis=-1, keepdims=True)
    rows = rows / np.sqrt((rows**2).mean(axis=-1, keepdims=True) + 1e-6)
    expected = np.einsum("bte,bce->btc", rows, VECTORS[CANDIDATES])
    used = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    found = numbers(logits)
    np.testing.assert_allclose(
        found[np.repeat(used[:, None], 5, 1)],
        expected[np.repeat(used[:, None], 5, 1)],
        rtol=0,
        atol=1e-5,
    )
    assert (found[0, :, 3:] < -1e29).all() and not found[..., 0].any()


def test_unused_candidates_have_no_share_and_the_loss_is_finite():
    head = made()
    logits = head(ROWS, CANDIDATES)
    shares = numbers(ops.softmax(logits, axis=-1))
    assert shares[0, :, 3:].max() == 0
    labels = np.array([[1, 2, 0, 0, 0], [4, 0, 0, 1, 0]])
    loss = head.loss(labels, logits, sample_weight=np.array([[1, 1, 0, 0, 0], [1, 0, 0, 1, 0]]))
    expected = -np.mean(np.log(shares[[0, 0, 1, 1], [0, 1, 0, 3], [1, 2, 4, 1]]))
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    alone = head(ROWS, np.zeros((2, 2), "int32"))  # no entity in the batch
    nothing = head.loss(np.zeros((2, 5), int), alone, sample_weight=np.zeros((2, 5)))
    assert float(nothing) == 0


def test_labels_are_checked_against_the_candidates():
    x = {"token_ids": np.zeros((2, 5), "int32"), "candidate_entity_ids": CANDIDATES[:, :3]}
    sizes = axis_sizes(x)
    assert sizes == {"B": 2, "T": 5, "C": 3}
    check_labels(np.full((2, 5), 2), "ids", made().targets, sizes)
    with pytest.raises(ValueError, match=r"integers in \[0, 3\)"):
        check_labels(np.full((2, 5), 3), "ids", made().targets, sizes)


def test_refuses():
    with pytest.raises(TypeError, match="`entity_table` must be of the class EntityTable"):
        EntityHead(keras.layers.Embedding(3, 2))
    with pytest.raises(ValueError, match="activation"):
        made(activation="gleu")
