import numpy as np
import pytest
from keras import ops

from keras_plm.heads import BeamSpanHead

BATCH, LENGTH, WIDTH, STARTS, ENDS = 4, 7, 8, 3, 2
ROWS = np.random.default_rng(0).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
MASK = np.random.default_rng(1).random((BATCH, LENGTH)) < 0.7
MASK[:, -1] = True
MASK[0] = [False] * 5 + [True] * 2  # fewer positions than the beam has starts
GOLD = np.array([5, -1, 0, -1], "int32")  # -1: unknown; 0 is a position like any other


def to_numpy(value):
    return np.array(ops.convert_to_numpy(value))


def weights(layer):
    return [to_numpy(weight) for weight in layer.weights]


@pytest.fixture(scope="module")
def head():
    """A head whose weights are all far from 0."""
    head = BeamSpanHead(WIDTH, STARTS, ENDS, dropout=0.5, name="span")
    head(ROWS, MASK, GOLD)
    random = np.random.default_rng(1)
    for weight in head.weights:
        if weight.dtype == "float32":
            weight.assign(random.normal(size=weight.shape))
    return head


def reference(head, rows, mask, gold):
    """The formulas of get_qa_outputs, one example and one start at a time."""

    def log_softmax(x):
        x = x - x.max()
        return x - np.log(np.exp(x).sum())

    def ends(h, allowed, start):
        both = np.concatenate([h, np.tile(h[start], (len(h), 1))], axis=-1)
        (kernel, bias), (gamma, beta) = (
            weights(head.end_logits.dense_0),
            weights(head.end_logits.layer_norm),
        )
        x = np.tanh(both @ kernel + bias)
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        kernel, bias = weights(head.end_logits.dense_1)
        x = ((x * gamma + beta) @ kernel + bias)[:, 0]
        return np.where(allowed, x, -1e30)

    results = []
    for h, allowed, label in zip(rows.astype("float64"), mask, gold):
        kernel, bias = weights(head.start_logits)
        start = np.where(allowed, (h @ kernel + bias)[:, 0], -1e30)
        expected = np.exp(log_softmax(start)) @ h
        kernel, bias = weights(head.answer_class.dense_0)
        hidden = np.tanh(np.concatenate([expected, h[-1]]) @ kernel + bias)
        top = np.argsort(-start, kind="stable")[:STARTS]
        all_ends = [log_softmax(ends(h, allowed, one)) for one in top]
        top_ends = [np.argsort(-one, kind="stable")[:ENDS] for one in all_ends]
        results.append(
            {
                "start": start,
                "end": ends(h, allowed, label if label >= 0 else start.argmax()),
                "impossible": hidden @ weights(head.answer_class.dense_1)[0],
                "start_top_log_probs": log_softmax(start)[top],
                "start_top_index": top,
                "end_top_log_probs": np.array([x[i] for x, i in zip(all_ends, top_ends)]),
                "end_top_index": np.array(top_ends),
            }
        )
    return {name: np.stack([one[name] for one in results]) for name in results[0]}


def close(got, expected):
    masked = expected < -1e29
    assert ((got < -1e29) == masked).all()
    np.testing.assert_allclose(
        np.where(masked, 0, got), np.where(masked, 0, expected), atol=2e-5, rtol=1e-5
    )


def test_equals_the_formulas(head):
    outputs = {name: to_numpy(value) for name, value in head(ROWS, MASK, GOLD).items()}
    expected = reference(head, ROWS, MASK, GOLD)
    assert {name: value.shape for name, value in outputs.items()} == {
        name: value.shape for name, value in expected.items()
    }
    for name in ("start", "end", "impossible", "start_top_log_probs", "end_top_log_probs"):
        close(outputs[name], expected[name])
    real = expected["start_top_log_probs"] > -1e29  # the order of masked positions is free
    assert not real[0].all() and real[1:].all()
    np.testing.assert_array_equal(
        outputs["start_top_index"][real], expected["start_top_index"][real]
    )
    real = real[..., None] & (expected["end_top_log_probs"] > -1e29)
    np.testing.assert_array_equal(outputs["end_top_index"][real], expected["end_top_index"][real])


def test_the_label_changes_the_end_and_nothing_else(head):
    first = {name: to_numpy(value) for name, value in head(ROWS, MASK, GOLD).items()}
    second = {name: to_numpy(value) for name, value in head(ROWS, MASK, GOLD * 0 - 1).items()}
    different = {name for name in first if not np.array_equal(first[name], second[name])}
    assert different == {"end"}
    known = GOLD >= 0
    assert np.abs(first["end"] - second["end"])[known].max() > 0.1
    # without a label: given the best start, whose ends lead the beam
    best = second["end"] - np.log(np.exp(second["end"]).sum(1, keepdims=True))
    np.testing.assert_allclose(
        -np.sort(-best, axis=1)[1:, :ENDS], second["end_top_log_probs"][1:, 0], atol=1e-5
    )


def test_the_beam_descends(head):
    outputs = {name: to_numpy(value) for name, value in head(ROWS, MASK, GOLD).items()}
    assert (np.diff(outputs["start_top_log_probs"], axis=1) <= 0).all()
    assert (np.diff(outputs["end_top_log_probs"], axis=2) <= 0).all()
    assert all(len(set(row)) == STARTS for row in outputs["start_top_index"])


def test_jit(head, jitted):
    call = jitted(lambda rows, mask, gold: head(rows, mask, gold))
    expected = head(ROWS, MASK, GOLD)
    arguments = [ops.convert_to_tensor(value) for value in (ROWS, MASK, GOLD)]
    for name, value in call(*arguments).items():
        if "index" not in name:
            np.testing.assert_allclose(to_numpy(value), to_numpy(expected[name]), atol=1e-5)


def test_dropout_only_in_training(head):
    def impossible(training):
        return to_numpy(head(ROWS, MASK, GOLD, training=training)["impossible"])

    assert np.array_equal(impossible(False), impossible(None))
    assert not np.array_equal(impossible(True), impossible(False))


def test_names_of_weights(head):
    assert [weight.path for weight in head.trainable_weights] == [
        "span/start_logits/kernel",
        "span/start_logits/bias",
        "span/end_logits/dense_0/kernel",
        "span/end_logits/dense_0/bias",
        "span/end_logits/LayerNorm/gamma",
        "span/end_logits/LayerNorm/beta",
        "span/end_logits/dense_1/kernel",
        "span/end_logits/dense_1/bias",
        "span/answer_class/dense_0/kernel",
        "span/answer_class/dense_0/bias",
        "span/answer_class/dense_1/kernel",
    ]


def test_the_summary_may_be_given(head):
    last = {name: to_numpy(value) for name, value in head(ROWS, MASK, GOLD).items()}
    same = head(ROWS, MASK, GOLD, ROWS[:, -1])
    other = head(ROWS, MASK, GOLD, ROWS[:, 0])
    for name, value in last.items():
        np.testing.assert_allclose(to_numpy(same[name]), value, atol=1e-6)
        if name != "impossible":
            np.testing.assert_allclose(to_numpy(other[name]), value, atol=1e-6)
    assert not np.allclose(to_numpy(other["impossible"]), last["impossible"])
