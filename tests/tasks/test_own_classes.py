"""Classes of a user's own: trained, saved, and loaded again in a process that knows them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_plm
from keras_plm import data
from keras_plm.backbones import Backbone
from keras_plm.objectives import MaskedModeling, Selection
from keras_plm.tasks import Pretrainer, TextClassifier, TextPreprocessor

# What a user's file holds; also run in a process of its own.
OWN = '''
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_plm.backbones import Backbone
from keras_plm.heads import Head
from keras_plm.objectives import Objective, Selection


@keras.saving.register_keras_serializable(package="me")
@dataclass(frozen=True)
class EveryThird(Selection):
    """Hides every third token that may be hidden."""

    start: int = 0

    def predictions(self, sequence_length):
        return sequence_length // 3 + 1

    def draws(self, sequence_length):
        return 0

    def _select(self, batch, maskable, uniform, most):
        place = np.arange(batch["functional"].shape[1]) % 3 == self.start
        chosen = place & ~batch["functional"]
        return chosen * np.cumsum(chosen, axis=1)


class ReplacedHead(Head):
    """A logit for each token: whether it was replaced."""

    targets = ("BT", 1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1, dtype=self.dtype_policy)

    def build(self, rows_shape):
        self.dense.build(rows_shape)

    def call(self, rows):
        return self.dense(rows)[..., 0]  # (B, T)

    def read(self, encoded, features):
        return self(encoded["sequence_output"])


@keras.saving.register_keras_serializable(package="me")
@dataclass(frozen=True)
class ReplacedTokens(Objective):
    """Some tokens are replaced by random ones; each token says whether it was (as in ELECTRA)."""

    vocabulary_size: int
    rate: float = 0.15
    sequence_length: int = 16
    rows = "packed"
    feature_names = ("token_ids", "padding_mask")
    head_names = ("replaced",)

    @property
    def draws_per_row(self):
        return 2 * self.sequence_length

    def target_shape(self, name):
        return (self.sequence_length,)

    def heads(self, backbone):
        return {"replaced": ReplacedHead(name="replaced")}

    def __call__(self, batch, rng):
        old, real = batch["token_ids"], batch["padding_mask"]
        whether, which = np.split(rng.random((len(old), self.draws_per_row)), 2, axis=1)
        chosen = (whether < self.rate) & ~batch["functional"]
        new = np.where(chosen, (which * self.vocabulary_size).astype("int32"), old)
        x = {"token_ids": new, "padding_mask": real}
        labels = (new != old).astype("int32")
        return x, {"replaced": labels}, {"replaced": real.astype("float32")}


@keras.saving.register_keras_serializable(package="me")
class Averages(Backbone):
    """Each token reads the mean of all: the shortest bidirectional backbone."""

    reads = frozenset({"bidirectional"})

    def __init__(self, vocabulary_size, hidden_dim, dtype=None, **kwargs):
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size, hidden_dim, dtype=dtype, name="token_embedding"
        )
        self.mix = keras.layers.Dense(hidden_dim, activation="tanh", dtype=dtype, name="mix")
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        super().__init__(inputs=inputs, outputs=self.encode(inputs)["sequence_output"],
                         dtype=dtype, **kwargs)
        self.vocabulary_size, self.hidden_dim = vocabulary_size, hidden_dim

    def encode(self, features):
        rows = self.token_embedding(features["token_ids"])  # (B, T, D)
        real = ops.cast(features["padding_mask"], rows.dtype)[..., None]
        count = ops.maximum(ops.sum(real, axis=1, keepdims=True), 1)
        mean = ops.sum(rows * real, axis=1, keepdims=True) / count
        rows = self.mix(ops.concatenate([rows, mean + 0 * rows], axis=-1))
        return {"sequence_output": rows, "hidden_states": [rows]}

    def get_config(self):
        own = {"vocabulary_size": self.vocabulary_size, "hidden_dim": self.hidden_dim}
        return {**super().get_config(), **own}
'''
_NAMES = {"__name__": "mine"}
exec(compile(OWN, "mine.py", "exec"), _NAMES)
EveryThird, ReplacedTokens, Averages = (
    _NAMES[n] for n in ("EveryThird", "ReplacedTokens", "Averages")
)

AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import keras, numpy as np
import mine
from keras_plm.tasks import Pretrainer

folder = sys.argv[1]
with np.load(folder + "/expected.npz", allow_pickle=False) as file:
    expected = dict(file)
x = {name[2:]: value for name, value in expected.items() if name.startswith("x/")}
whole = keras.saving.load_model(folder + "/model.keras")
for model in (Pretrainer.from_preset(folder + "/preset"), whole):
    assert type(model.objective).__name__ == str(expected["objective"]), model.objective
    (logits,) = (model(x)[name] for name in model.heads)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(logits), expected["logits"], rtol=1e-5, atol=1e-6
    )
print("same")
"""


def in_a_new_process(folder):
    """Load what was saved where only the user's file is imported."""
    (folder / "mine.py").write_text(OWN, "utf-8")
    environment = {
        **os.environ,
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": str(Path(keras_plm.__file__).parents[1]),
    }
    run = subprocess.run(
        [sys.executable, "-c", AGAIN, str(folder)], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split() == ["same"]


def trained_and_saved(model, corpus, folder):
    """One step of the default `compile`, then both ways of saving."""
    examples = data.examples(corpus, model.objective, 4)
    history = model.fit(examples, steps_per_epoch=1, verbose=0).history
    assert np.isfinite(history["loss"][0])
    x = examples.batch_at(0)[0]
    (logits,) = (model(x)[name] for name in model.heads)
    model.save_to_preset(str(folder / "preset"))
    model.save(folder / "model.keras")
    np.savez(
        folder / "expected.npz",
        logits=ops.convert_to_numpy(logits),
        objective=type(model.objective).__name__,
        **{f"x/{name}": value for name, value in x.items()},
    )
    return history


def test_labels_for_every_token(corpora, tokenizers, make_transformer, tmp_path):
    """An ELECTRA-like objective with its own head and loss."""
    tokenizer = tokenizers["bert"]
    objective = ReplacedTokens(tokenizer.vocabulary_size)
    model = Pretrainer(make_transformer(tokenizer.vocabulary_size), objective)
    history = trained_and_saved(model, corpora["bert"], tmp_path)
    assert {"loss", "accuracy"} <= history.keys()
    in_a_new_process(tmp_path)
    config = objective.get_config()
    assert config["class"] == "me>ReplacedTokens"
    other = Pretrainer.from_preset(str(tmp_path / "preset"), objective=objective)
    assert other.objective is objective


def test_a_masking_strategy(corpora, tokenizers, make_transformer, tmp_path):
    tokenizer = tokenizers["bert"]
    objective = MaskedModeling.for_tokenizer(tokenizer, select=EveryThird(1), sequence_length=16)
    model = Pretrainer(make_transformer(tokenizer.vocabulary_size), objective)
    trained_and_saved(model, corpora["bert"], tmp_path)
    x, y, weight = data.examples(corpora["bert"], objective, 4).batch_at(0)
    asked = x["target_positions"][weight["tokens"] > 0]
    assert (asked % 3 == 1).all() and len(asked) > 8
    in_a_new_process(tmp_path)


def test_a_backbone(corpora, tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    backbone = Averages(tokenizer.vocabulary_size, 16)
    objective = ReplacedTokens(tokenizer.vocabulary_size)
    model = Pretrainer(backbone, objective, TextPreprocessor(tokenizer, 16))
    trained_and_saved(model, corpora["bert"], tmp_path)
    in_a_new_process(tmp_path)
    classifier = TextClassifier.from_preset(str(tmp_path / "preset"), num_classes=2)
    for weight, other in zip(backbone.weights, classifier.backbone.weights):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(weight), ops.convert_to_numpy(other), err_msg=weight.path
        )
    assert classifier.predict(["a boat", "a fish"], verbose=0).shape == (2, 2)
    assert type(Backbone.from_preset(str(tmp_path / "preset"))) is Averages


def test_handed_over(corpora, tokenizers, make_transformer, tmp_path):
    """Without registration: by `custom_objects`, or as an argument."""

    @dataclass(frozen=True)
    class Sparse(Selection):
        def predictions(self, sequence_length):
            return sequence_length

        def draws(self, sequence_length):
            return 0

        def _select(self, batch, maskable, uniform, most):
            return ~batch["functional"] * np.cumsum(~batch["functional"], axis=1)

    tokenizer = tokenizers["bert"]
    objective = MaskedModeling.for_tokenizer(tokenizer, select=Sparse(), sequence_length=16)
    model = Pretrainer(make_transformer(tokenizer.vocabulary_size), objective)
    model.save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(ValueError, match="custom_objects.*Received: class='Sparse'"):
        Pretrainer.from_preset(str(tmp_path / "preset"))
    own = {"Sparse": Sparse}
    for options in ({"custom_objects": own}, {"objective": objective}):
        assert Pretrainer.from_preset(str(tmp_path / "preset"), **options).objective == objective
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects=own)
    assert again.objective == objective
