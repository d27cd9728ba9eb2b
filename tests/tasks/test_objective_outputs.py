"""An objective whose corruption comes from a model: it composes the graph itself (as ELECTRA)."""

from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import Head
from keras_plm.objectives import ALL_MASK, MaskedModeling, Mixture, Objective, ObjectiveSum
from keras_plm.tasks import Pretrainer

LENGTH, SIZE = 12, 40


class Generator(Head):
    """A model of its own, which guesses masked tokens from the token before."""

    targets = ("BP", SIZE)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(SIZE, SIZE, dtype=self.dtype_policy)

    def build(self, token_ids_shape, positions_shape):
        self.embedding.build(token_ids_shape)

    def call(self, token_ids, positions):
        before = ops.take_along_axis(token_ids, ops.maximum(positions - 1, 0), axis=1)
        return self.embedding(before)  # (B, P, V)


class Guessed(keras.layers.Layer):
    """The rows with the likeliest guess in the place of each target."""

    def call(self, token_ids, positions, logits):
        guess = ops.cast(ops.argmax(logits, axis=-1), token_ids.dtype)  # (B, P)
        at = ops.one_hot(positions, LENGTH, dtype="int32")  # (B, P, T); slot 0 of no target too
        at = at * ops.cast(positions > 0, "int32")[..., None]
        guesses = ops.sum(at * guess[..., None], axis=1)
        return ops.where(ops.sum(at, axis=1) > 0, guesses, token_ids)

    def compute_output_spec(self, token_ids, positions, logits):
        return keras.KerasTensor(token_ids.shape, dtype=token_ids.dtype)


class Replaced(Head):
    """A logit for each token, beside the label that the graph made."""

    targets = ("BT", 1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1, dtype=self.dtype_policy)

    def build(self, rows_shape, labels_shape):
        self.dense.build(rows_shape)

    def call(self, rows, labels):
        labels = ops.cast(labels, "float32")
        return ops.stack([ops.cast(self.dense(rows)[..., 0], "float32"), labels], axis=-1)

    @property
    def loss(self):
        def replaced(y_true, y_pred):
            logits, labels = y_pred[..., 0], y_pred[..., 1]
            return ops.softplus(logits) - labels * logits  # (B, T)

        return replaced

    def new_metrics(self):
        return []


@dataclass(frozen=True)
class Detection(Objective):
    """Masked tokens are guessed by the generator; the backbone says where it was wrong."""

    masking: MaskedModeling
    target_axes = {"tokens": "BP", "replaced": "BT"}
    feature_names = ("token_ids", "padding_mask", "target_positions", "target_token_ids")
    rows = property(lambda self: self.masking.rows)
    sequence_length = property(lambda self: self.masking.sequence_length)
    num_predict = property(lambda self: self.masking.num_predict)
    draws_per_row = property(lambda self: self.masking.draws_per_row)

    def heads(self, backbone):
        return {"tokens": Generator(name="tokens"), "replaced": Replaced(name="replaced")}

    def outputs(self, backbone, heads, inputs):
        ids, positions = inputs["token_ids"], inputs["target_positions"]
        logits = heads["tokens"](ids, positions)
        guessed = Guessed(name="guessed")(ids, positions, logits)
        text = Guessed(name="text")(ids, positions, ops.one_hot(inputs["target_token_ids"], SIZE))
        encoded = backbone.encode({"token_ids": guessed, "padding_mask": inputs["padding_mask"]})
        labels = ops.not_equal(guessed, text)
        replaced = heads["replaced"](encoded["sequence_output"], labels)
        return {"tokens": logits, "replaced": replaced}, encoded

    def __call__(self, batch, rng):
        x, y, weight = self.masking(batch, rng)
        x["target_token_ids"] = y["tokens"]
        real = batch["padding_mask"].astype("float32")
        y["replaced"] = np.zeros(real.shape, "int32")  # the graph knows
        return x, y, {**weight, "replaced": real}


MASKED = MaskedModeling(SIZE, 4, (0, 1, 2), corrupt=ALL_MASK, sequence_length=LENGTH)


@pytest.fixture(scope="module")
def batch():
    ids = np.random.default_rng(0).integers(5, SIZE, (4, LENGTH)).astype("int32")
    functional = np.zeros(ids.shape, bool)
    functional[:, [0, -1]] = True
    real = np.ones(ids.shape, bool)
    rows = {"token_ids": ids, "padding_mask": real, "functional": functional, "word_starts": real}
    return {**rows, "segment_ids": np.zeros_like(ids)}


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def test_the_backbone_reads_what_the_generator_guessed(make_transformer, batch, graph):
    objective = Detection(replace(MASKED, num_predict=3))
    model = Pretrainer(make_transformer(SIZE, pooler=False), objective)
    x, y, weight = objective(batch, np.random.default_rng(1))
    out = {name: to_numpy(one) for name, one in model(x).items()}
    used = weight["tokens"] > 0
    before = np.take_along_axis(x["token_ids"], np.maximum(x["target_positions"] - 1, 0), axis=1)
    table = to_numpy(model.heads["tokens"].embedding.embeddings)
    np.testing.assert_allclose(out["tokens"][used], table[before[used]], atol=1e-6)
    guessed = x["token_ids"].copy()
    rows, slots = np.nonzero(used)
    guessed[rows, x["target_positions"][rows, slots]] = out["tokens"][used].argmax(-1)
    labels = guessed != batch["token_ids"]
    np.testing.assert_array_equal(out["replaced"][..., 1], labels)
    encoded = model.backbone.encode({"token_ids": guessed, "padding_mask": x["padding_mask"]})
    dense = model.heads["replaced"].dense
    expected = to_numpy(dense(encoded["sequence_output"]))[..., 0]
    np.testing.assert_allclose(out["replaced"][..., 0], expected, atol=1e-5)
    assert labels.any() and not labels.all()

    model.compile(keras.optimizers.Adam(0.05), **graph)
    start = {weight.path: to_numpy(weight.value) for weight in model.trainable_weights}
    logs = [model.train_on_batch(x, y, weight, return_dict=True) for _ in range(8)]
    assert logs[-1]["replaced_loss"] < logs[0]["replaced_loss"]
    assert logs[-1]["tokens_loss"] < logs[0]["tokens_loss"]
    moved = {w.path for w in model.trainable_weights if (to_numpy(w.value) != start[w.path]).any()}
    assert len(moved) > 0.8 * len(start) and any("tokens/" in path for path in moved)


def test_in_a_sum_the_others_read_one_pass(make_transformer, batch):
    @dataclass(frozen=True)
    class First(Objective):
        """Asks for the first token's parity."""

        sequence_length: int = LENGTH
        hides = False
        rows = "full_sentences"
        target_axes = {"parity": "B"}
        feature_names = ("token_ids", "padding_mask")
        draws_per_row = 0

        def heads(self, backbone):
            return {"parity": Parity(name="parity")}

        def __call__(self, batch, rng):
            x = {name: batch[name] for name in self.feature_names}
            parity = batch["token_ids"][:, 1] % 2
            return x, {"parity": parity}, {"parity": np.ones(len(parity), "float32")}

    both = ObjectiveSum((First(), Detection(replace(MASKED, num_predict=3))))
    assert both.composes and not ObjectiveSum((First(), MASKED)).composes
    model = Pretrainer(make_transformer(SIZE, pooler=False), both)
    x, y, weight = both(batch, np.random.default_rng(1))
    out = model(x)
    assert list(out) == ["parity", "tokens", "replaced"] == list(model.heads)
    encoded = model.backbone.encode({name: x[name] for name in ("token_ids", "padding_mask")})
    expected = model.heads["parity"].read(encoded, x)
    np.testing.assert_allclose(to_numpy(out["parity"]), to_numpy(expected), atol=1e-5)
    with pytest.raises(ValueError, match="share one graph"):
        Mixture((both, both), (1, 1))


class Parity(Head):
    """Two classes, from the first row."""

    targets = ("B", 2)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2, dtype=self.dtype_policy)

    def build(self, rows_shape):
        self.dense.build(rows_shape)

    def call(self, rows):
        return self.dense(rows)

    def read(self, encoded, features):
        return self(encoded["sequence_output"][:, 0])
