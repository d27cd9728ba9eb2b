import keras
import numpy as np
import pytest

from keras_plm.heads import Targets
from keras_plm.tasks.training.label_checks import check_labelled, check_labels, check_weights
from keras_plm.tasks.training.label_kinds import (
    IDS,
    NUMBERS,
    SHARES,
    YES_NO,
    as_labels,
    label_kind,
    numbers,
)

CLASS, YES_OR_NO_OF_A_TOKEN, NUMBER = Targets("B", 3), Targets("BT", None), Targets("B", None)
TEXTS = {"B": 2, "T": 4}


def test_what_passes():
    for weight in (None, [1.0, 0.0], np.ones((2, 1)), [1, 2]):
        check_weights(weight, 2)
    for labels in ([0, 2], np.array([[1], [0]]), np.array([0, 1], "uint8")):
        check_labels(labels, IDS, CLASS, TEXTS)
    assert numbers(np.array([1, 2])) and not numbers(np.array(["a"]))
    assert not numbers(np.array([np.inf])) and not numbers(np.array([None]))


@pytest.mark.parametrize(
    "weight", [[1.0], [-1.0, 0.0], [np.nan, 1.0], ["a", "b"], 1.0, [np.inf, 1]]
)
def test_bad_weights(weight):
    with pytest.raises(ValueError, match="weight of at least 0 per example.*for 2 examples"):
        check_weights(weight, 2, "example")


@pytest.mark.parametrize("labels", [[0], [0, 3], [-1, 0], [0.0, 1.0], ["a", "b"], [[0, 1], [1, 0]]])
def test_bad_labels(labels):
    with pytest.raises(ValueError, match="abel.*Received"):
        check_labels(labels, IDS, CLASS, TEXTS)


@pytest.mark.parametrize(
    "loss, kind",
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), IDS),
        ("sparse_categorical_crossentropy", IDS),
        (keras.losses.CategoricalCrossentropy(label_smoothing=0.1), SHARES),
        ("kl_divergence", SHARES),
        (keras.losses.categorical_focal_crossentropy, SHARES),
        (keras.losses.BinaryCrossentropy, YES_NO),
        ("binary_crossentropy", YES_NO),
        (keras.losses.BinaryFocalCrossentropy(), YES_NO),
        ("mse", None),
        (lambda y, logits: logits, None),
    ],
)
def test_what_a_loss_takes(loss, kind):
    assert label_kind(loss) == kind


def test_labels_of_any_type():
    for labels in ([0, 2, 1], [0.0, 2.0, 1.0], np.array([0, 2, 1], "float32")):
        assert as_labels(labels, IDS).tolist() == [0, 2, 1]
        assert as_labels(labels, IDS).dtype.kind == "i"
    assert as_labels([True, False], IDS).tolist() == [1, 0]
    for other in ([0.5, 1.0], [float("nan"), 1.0]):  # refused when they are checked
        assert as_labels(other, IDS).dtype == "float64"
    assert as_labels(["a"], IDS).tolist() == ["a"]
    ragged = [[1], [1, 2]]
    assert as_labels(ragged, IDS) is ragged
    soft = np.array([0.0, 1.0])
    assert as_labels(soft, YES_NO) is soft and as_labels(None, IDS) is None


@pytest.mark.parametrize("kind", [YES_NO, SHARES])
def test_a_number_for_each_class(kind):
    good = np.array([[1, 0, 0.5], [0, 0, 0]], "float32")
    for labels in (good, good > 0, (good > 0).astype("int64")):
        check_labels(labels, kind, CLASS, TEXTS)
    for wrong, message in (
        (good[:1], r"row of 3 numbers per example.*\(2, 3\).*shape \(1, 3\)"),
        (good[:, :2], r"shape \(2, 2\)"),
        ([0, 2], r"of shape \(2, 3\).*shape \(2,\)"),
        (-good, "from 0 to 1" if kind == YES_NO else "at least 0"),
        (good * np.nan, "finite"),
        (good.astype(str), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            check_labels(wrong, kind, CLASS, TEXTS)
    if kind == YES_NO:
        with pytest.raises(ValueError, match="from 0 to 1"):
            check_labels(good + 1, kind, CLASS, TEXTS)


def test_a_label_for_each_token():
    good = np.array([[0, 1, 1, 0], [1, 0, 0, 0]])
    check_labels(good, YES_NO, YES_OR_NO_OF_A_TOKEN, TEXTS)
    for wrong in (good[0], good[:, :3], good[..., None].repeat(2, -1), good + 1):
        with pytest.raises(ValueError, match="abels.*Received"):
            check_labels(wrong, YES_NO, YES_OR_NO_OF_A_TOKEN, TEXTS)


def test_numbers_and_losses_that_nobody_knows():
    for labels in ([0.5, -2.0], [[0.5], [3]]):
        check_labels(labels, NUMBERS, NUMBER, TEXTS)
    for wrong in ([0.5], [[0.5, 1.0], [1.0, 2.0]], [np.inf, 0.0], ["a", "b"]):
        with pytest.raises(ValueError, match="abels.*Received"):
            check_labels(wrong, NUMBERS, NUMBER, TEXTS)
    for labels in ([0, 7], np.ones((2, 3)), np.ones((2, 9, 3))):
        check_labels(labels, None, CLASS, TEXTS)
    with pytest.raises(ValueError, match=r"Received: float64 of shape \(3, 3\)"):
        check_labels(np.ones((3, 3)), None, CLASS, TEXTS)


X = {"token_ids": np.zeros((2, 4), "int32"), "target_positions": np.zeros((2, 3), "int32")}
TOKENS, TOKEN_WEIGHTS = np.array([[0, 1, 2], [3, 4, 0]]), np.ones((2, 3), "float32")
PAIRS, PAIR_WEIGHTS = np.array([0, 1]), np.ones(2, "float32")
OUTPUTS = {"tokens": (Targets("BP", 5), IDS), "sentence_pair": (Targets("B", 2), IDS)}


def check_targets(y, weight, outputs):
    check_labelled(X, y, weight, outputs, by_output=True, weighted=True)


def test_targets():
    tokens = {"tokens": OUTPUTS["tokens"]}

    def check(y, weight):
        check_targets({"tokens": y}, {"tokens": weight}, tokens)

    check(TOKENS, TOKEN_WEIGHTS)
    check_targets(None, None, OUTPUTS)
    for bad_y, bad_weight, message in (
        (TOKENS[:1], TOKEN_WEIGHTS, r"of shape \(2, 3\)"),
        (TOKENS * 1.0, TOKEN_WEIGHTS, "must be integers"),
        (TOKENS, TOKEN_WEIGHTS * 0, "not all 0"),
        (TOKENS, TOKEN_WEIGHTS * np.nan, "must be finite"),
        (TOKENS, TOKEN_WEIGHTS.astype(str), "must be finite"),
        (TOKENS + 1, TOKEN_WEIGHTS, r"integers in \[0, 5\)"),
        (TOKENS, TOKEN_WEIGHTS[:, :2], r"weight for each label of 'tokens', of shape \(2, 3\)"),
        (TOKENS, None, "need a `sample_weight`"),
    ):
        with pytest.raises(ValueError, match=message):
            check(bad_y, bad_weight)
    others = {"others": TOKENS}
    with pytest.raises(ValueError, match=r"keys \['tokens'\]. Received: \['others'\]"):
        check_targets(others, others, tokens)


def test_targets_of_several_heads():
    def check(tokens=TOKENS, pairs=PAIRS, token_weights=1, pair_weights=1):
        y = {"tokens": tokens, "sentence_pair": pairs}
        weight = {
            "tokens": TOKEN_WEIGHTS * token_weights,
            "sentence_pair": PAIR_WEIGHTS * pair_weights,
        }
        check_targets(y, weight, OUTPUTS)

    check()
    check(token_weights=0)  # one head may have nothing to predict
    check(pair_weights=0)
    check(pairs=PAIRS[:, None])
    for bad, message in (
        (dict(token_weights=0, pair_weights=0), "not all 0.*only 0 for.*sentence_pair.*tokens"),
        (dict(pairs=PAIRS + 1), r"'sentence_pair' must be integers in \[0, 2\).*\[2\]"),
        (dict(pairs=PAIRS * 1.0), "'sentence_pair' must be integers"),
        (dict(pair_weights=-1), "'sentence_pair' must be finite and at least 0"),
        (dict(tokens=PAIRS), r"'tokens'.*of shape \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check(**bad)


def test_weights_of_0_alone():
    with pytest.raises(ValueError, match="must not all be 0.*Received: 3 weights of 0"):
        check_weights(np.zeros(3), 3)
    check_weights(np.array([0.0, 1.0, 0.0]), 3)


def test_a_task_asks_before_it_trains(make_classifier, quick, values, same):
    model = make_classifier(num_layers=1)
    model.compile(**quick)
    before = values(model)
    for method in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match="finite numbers of at least 0"):
            method(["a boat", "a fish"], np.array([0, 1]), class_weight={0: float("nan")})
        with pytest.raises(ValueError, match="must not all be 0"):
            method(["a boat", "a fish"], np.array([0, 1]), sample_weight=np.zeros(2))
    assert same(values(model), before)
