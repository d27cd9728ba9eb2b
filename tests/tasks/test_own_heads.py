"""Heads as a user may write them: labels per token, losses with weights, labels of the graph."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import Head
from keras_plm.objectives import Objective
from keras_plm.tasks import Pretrainer

LENGTH, REPLACED, SLOTS = 12, 3, 4


class ReplacedHead(Head):
    """A logit for each token: whether it was replaced."""

    targets = ("BT", None)

    @property
    def loss(self):
        return keras.losses.BinaryCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1, dtype=self.dtype_policy)

    def build(self, rows_shape):
        self.dense.build(rows_shape)

    def call(self, rows):
        return self.dense(rows)[..., 0]  # (B, T)

    def read(self, encoded, features):
        return self(encoded["sequence_output"])

    def new_metrics(self):
        return [keras.metrics.BinaryAccuracy(name="right", threshold=0.0)]


class PlainHead(ReplacedHead):
    """The same, as it is shortest: what one yes or no is trained on need not be said."""

    targets = ("BT", 1)
    loss, new_metrics = Head.loss, Head.new_metrics


@dataclass(frozen=True)
class ReplacedTokens(Objective):
    """Some tokens of packed rows are replaced by random ones; each token says whether it was."""

    sequence_length: int = LENGTH
    vocabulary_size: int = 300
    rows = "packed"
    feature_names = ("token_ids", "padding_mask")
    head_names = ("replaced",)
    draws_per_row = LENGTH + LENGTH

    def target_shape(self, name):
        return (self.sequence_length,)

    head = ReplacedHead

    def heads(self, backbone):
        return {"replaced": self.head(name="replaced")}

    def __call__(self, batch, rng):
        uniform = rng.random((len(batch["token_ids"]), self.draws_per_row))
        chosen, other = uniform[:, :LENGTH] < 0.25, uniform[:, LENGTH:]
        random_ids = (9 + other * (self.vocabulary_size - 9)).astype("int32")
        ids = np.where(chosen, random_ids, batch["token_ids"])
        labels = (ids != batch["token_ids"]).astype("int32")
        weight = np.asarray(batch["padding_mask"], "float32")
        x = {"token_ids": ids, "padding_mask": batch["padding_mask"]}
        return x, {"replaced": labels}, {"replaced": weight}


@pytest.fixture(scope="module")
def batch():
    """Rows of tokens without a corpus."""
    ids = np.random.default_rng(0).integers(9, 300, (4, LENGTH)).astype("int32")
    return {"token_ids": ids, "padding_mask": np.ones((4, LENGTH), bool)}


@dataclass(frozen=True)
class PlainlyReplaced(ReplacedTokens):
    head = PlainHead


@pytest.mark.parametrize("objective", [ReplacedTokens(), PlainlyReplaced()])
def test_a_label_for_each_token(objective, make_backbone, batch, with_xla):
    model = Pretrainer(make_backbone(num_layers=1), objective)
    x, y, weight = objective(batch, np.random.default_rng(1))
    logs = model.train_on_batch(x, y, weight, return_dict=True)
    right = "right" if type(objective) is ReplacedTokens else "accuracy"
    assert {"loss", right} <= logs.keys()
    logits = ops.convert_to_numpy(model(x)["replaced"])
    weight["replaced"][:2] = 0  # neither counts
    logs = model.evaluate(x, y=y, sample_weight=weight, verbose=0, return_dict=True)
    sign = np.where(y["replaced"] == 1, logits, -logits)[2:]
    assert logs["loss"] == pytest.approx(np.log1p(np.exp(-sign)).mean(), rel=1e-4)
    assert logs[right] == pytest.approx((sign > 0).mean(), rel=1e-5)
    for wrong, message in (
        (y["replaced"][:, :3], r"'replaced' of shape \(4, 12\)"),
        (y["replaced"] + 1, "from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, y={"replaced": wrong}, sample_weight=weight, verbose=0)


class OwnSoftmax(keras.losses.Loss):
    """Cross-entropy over a vocabulary whose output matrix the head has, never written out whole."""

    def __init__(self, head):
        super().__init__(name="own_softmax", reduction="mean_with_sample_weight")
        self.head = head

    def call(self, y_true, y_pred):
        logits = ops.matmul(y_pred, self.head.kernel)  # (B, P, V)
        return keras.losses.sparse_categorical_crossentropy(y_true, logits, from_logits=True)


class RowsHead(Head):
    """Gives token states; what is computed from them the loss knows."""

    targets = ("BP", 300)
    loss = property(OwnSoftmax)

    def build(self, rows_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(rows_shape[-1], 300), initializer="glorot_uniform"
        )

    def call(self, rows):
        return 1.0 * rows

    def read(self, encoded, features):
        return self(encoded["target_output"])

    def new_metrics(self):
        return []


class LabelsOfTheGraph(Head):
    """Replaces the inputs by what the graph says: labels come with the logits."""

    targets = ("BT", None)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1, dtype=self.dtype_policy)

    def build(self, rows_shape, token_ids_shape):
        self.dense.build(rows_shape)

    def call(self, rows, token_ids):
        labels = ops.cast(token_ids % 2, "float32")
        return ops.stack([self.dense(rows)[..., 0], labels], axis=-1)  # (B, T, 2)

    def read(self, encoded, features):
        return self(encoded["sequence_output"], features["token_ids"])

    @property
    def loss(self):
        def odd(y_true, y_pred):
            logits, labels = y_pred[..., 0], y_pred[..., 1]
            return ops.softplus(logits) - labels * logits  # (B, T)

        return odd

    def new_metrics(self):
        return []


@dataclass(frozen=True)
class Slots(ReplacedTokens):
    """The first tokens are asked, by whatever head."""

    feature_names = ("token_ids", "padding_mask", "target_positions")
    head_names = ("tokens",)

    def heads(self, backbone):
        return {"tokens": RowsHead(name="tokens")}

    def __call__(self, batch, rng):
        ids = batch["token_ids"]
        positions = np.tile(np.arange(SLOTS, dtype="int32"), (len(ids), 1))
        x = {**batch, "target_positions": positions}
        return x, {"tokens": ids[:, :SLOTS]}, {"tokens": np.ones((len(ids), SLOTS), "float32")}


def test_a_loss_with_weights_of_its_head(make_transformer, batch, with_xla):
    """As adaptive and sampled softmax have them: trained by the default `compile`, under XLA."""
    objective = Slots()
    model = Pretrainer(make_transformer(300), objective)
    x, y, weight = objective(batch, None)
    head = model.heads["tokens"]
    rows = ops.convert_to_numpy(model(x)["tokens"])
    logits = rows @ ops.convert_to_numpy(head.kernel)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(logits, y["tokens"][..., None], -1).mean()
    model.compile(keras.optimizers.Adam(0.05))
    before = ops.convert_to_numpy(head.kernel)
    losses = [float(model.train_on_batch(x, y, weight)) for _ in range(4)]
    assert losses[0] == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0]
    assert np.abs(ops.convert_to_numpy(head.kernel) - before).max() > 1e-3


def test_labels_that_the_graph_makes(make_transformer, batch, with_xla):
    class Objective_(ReplacedTokens):
        def heads(self, backbone):
            return {"replaced": LabelsOfTheGraph(name="replaced")}

    objective = Objective_()
    model = Pretrainer(make_transformer(300), objective)
    model.compile(keras.optimizers.Adam(0.05), weighted_metrics=[])
    x, y, weight = objective(batch, np.random.default_rng(0))
    y = {"replaced": 0 * y["replaced"]}  # nobody reads them
    losses = [float(model.train_on_batch(x, y, weight)) for _ in range(8)]
    logits, labels = np.moveaxis(ops.convert_to_numpy(model(x)["replaced"]), -1, 0)
    np.testing.assert_array_equal(labels, x["token_ids"] % 2)
    assert losses[-1] < losses[0]
