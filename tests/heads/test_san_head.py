"""MT-DNN's answer module against its original, and what must hold of its turns."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import NegativeLogLikelihood, SANHead

BATCH, PREMISE, WIDTH = 3, 6, 12


@pytest.fixture(scope="module")
def original(fixtures_folder):
    with np.load(fixtures_folder / "mtdnn_san.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def fixtures_folder():
    from pathlib import Path

    return Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def inputs(original):
    """Both texts behind each other, and which tokens are of which."""
    rows = np.concatenate([original["premise"], original["hypothesis"]], axis=1)
    padding = [original[f"{one}_is_padding"] for one in ("premise", "hypothesis")]
    real = ~np.concatenate(padding, axis=1)
    segments = np.arange(rows.shape[1])[None] >= PREMISE
    return rows, real & ~segments, real & segments


@pytest.fixture
def head(original):
    """The original's weights; its GRU has r before z, and kernels (out, in)."""
    head = SANHead(3, turn_dropout=0.4)
    head.build((None, None, WIDTH))
    w = {name.removeprefix("w/"): value for name, value in original.items()}

    def gates(array):
        r, z, n = np.split(array, 3)
        return np.concatenate([z, r, n])

    head.summary.set_weights([w[f"query_wsum.att.linear.{n}"].T for n in ("weight", "bias")])
    head.query.set_weights([w[f"attn.score_func.linear.{n}"].T for n in ("weight", "bias")])
    head.logits.set_weights([w[f"classifier.proj.{n}"].T for n in ("weight", "bias")])
    kernels = [gates(w[f"rnn.weight_{n}"]).T for n in ("ih", "hh")]
    biases = np.stack([gates(w[f"rnn.bias_{n}"]) for n in ("ih", "hh")])
    head.gru.set_weights([*kernels, biases])
    return head


def test_equals_the_original(head, inputs, original):
    found = ops.convert_to_numpy(head(*inputs))
    expected = original["log_probabilities"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    loss = NegativeLogLikelihood()([2, 0, 1], found)
    np.testing.assert_allclose(loss, -expected[np.arange(3), [2, 0, 1]].mean(), rtol=1e-5)
    one_turn = SANHead(3, turns=1)
    one_turn.build((None, None, WIDTH))
    one_turn.set_weights(head.get_weights())
    assert np.abs(found - ops.convert_to_numpy(one_turn(*inputs))).max() > 0.01


def test_reads_the_segments_of_features(head, inputs):
    rows, premise, hypothesis = inputs
    features = {"padding_mask": premise | hypothesis, "segment_ids": hypothesis.astype("int32")}
    found = head.read({"sequence_output": rows}, features)
    np.testing.assert_array_equal(found, head(*inputs))


def test_each_text_is_read_in_its_place(head, inputs):
    """What is of no text changes nothing; a premise that is a hypothesis changes all."""
    rows, premise, hypothesis = inputs
    found = ops.convert_to_numpy(head(*inputs))
    of_none = ~premise & ~hypothesis
    assert of_none.any()
    changed = np.where(of_none[..., None], 7.0, rows).astype("float32")
    np.testing.assert_allclose(head(changed, premise, hypothesis), found, atol=1e-6)
    assert np.abs(ops.convert_to_numpy(head(rows, hypothesis, premise)) - found).max() > 0.01
    assert np.abs(ops.convert_to_numpy(head(rows, premise, premise)) - found).max() > 0.01


def test_rows_sum_to_one_in_evaluation_alone(head, inputs):
    total = np.exp(ops.convert_to_numpy(head(*inputs))).sum(axis=1)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    head.dropout.rate = head.row_dropout.rate = 0.0
    totals = [
        np.exp(ops.convert_to_numpy(head(*inputs, training=True))).sum(axis=1) for _ in range(40)
    ]
    kept = np.round(np.array(totals) * 0.6 * 5)  # turns
    np.testing.assert_allclose(np.array(totals) * 0.6 * 5, kept, atol=1e-4)
    assert kept.min() >= 1 and kept.max() <= 5 and len(np.unique(kept)) > 2
    # A turn is kept with .6 + .4 / 5, as one of five is kept in any case.
    assert abs(kept.mean() / 5 - 0.68) < 0.06


def test_a_turn_is_left_even_if_all_are_dropped_but_never(head):
    head.turn_dropout = 0.99
    kept = ops.convert_to_numpy(head._kept(2000))
    assert (kept.sum(axis=1) >= 1).all() and kept.sum() < 2100
    assert (kept.sum(axis=0) > 300).all()  # drawn evenly


def test_dropout_of_token_states_is_the_same_for_all_tokens(head):
    rows = np.ones((2, 5, 64), "float32")
    dropped = ops.convert_to_numpy(head.row_dropout(rows, training=True)) == 0
    assert dropped.any() and not dropped.all()
    assert (dropped == dropped[:, :1]).all() and (dropped[0] != dropped[1]).any()


def test_loss_takes_no_softmax():
    """Rows that sum to less than 1 lose more; weights count."""
    outputs = np.log([[0.25, 0.25], [0.5, 0.5], [0.1, 0.9]]).astype("float32")
    loss = NegativeLogLikelihood()([0, 1, 1], outputs, sample_weight=[1.0, 2.0, 0.0])
    np.testing.assert_allclose(loss, (np.log(4) + 2 * np.log(2)) / 3, rtol=1e-6)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([0]), outputs[:1])
    np.testing.assert_allclose(plain, np.log(2), rtol=1e-5)  # which would


def test_number_of_weights():
    """As computed from the formulas for MT-DNN base with three classes."""
    head = SANHead(3)
    head.build((None, None, 768))
    assert sum(int(np.prod(one.shape)) for one in head.trainable_weights) == 4_144_132


@pytest.mark.parametrize(
    "wrong", [{"num_classes": 1}, {"turns": 0}, {"dropout": -0.1}, {"turn_dropout": 1.0}]
)
def test_what_it_cannot_take(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        SANHead(**{"num_classes": 3, **wrong})
