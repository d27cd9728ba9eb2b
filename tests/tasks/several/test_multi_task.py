"""Several tasks on one backbone: each is trained as it would be alone, idle heads stand still."""

import json
import logging
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data, tasks, transfer
from keras_plm.heads import SoftLabelLoss
from keras_plm.tasks import MultiTask, TextClassifier, TextPreprocessor

TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish", "he was there"]
PAIRS = (TEXTS, TEXTS[::-1])
WORDS = [text.split() for text in TEXTS]
ANSWERS = [{"text": [text[:4]], "answer_start": [0]} for text in TEXTS[:3]] + [None]
CHOICES = [["a dog", "two", "no"], ["yes", "no", "a"], ["the boat", "it", "was"], ["a", "b", "c"]]
KINDS = {
    "cola": {"class": "TextClassifier", "num_classes": 2},
    "stsb": {"class": "TextRegressor", "both_orders": True},
    "tags": {"class": "TokenClassifier", "num_classes": 3, "class_names": ["I/O", ".", "x"]},
    "rank": {"class": "MultipleChoice", "max_choice_length": 6},
    "span": {"class": "SpanExtractor", "max_question_length": 8, "stride": 4},
    "mnli": {"class": tasks.TextClassifier, "num_classes": 3, "pooling": "san"},
    "mask": {"class": "MaskedLM"},
}
DATA = {
    "cola": (TEXTS, [0, 1, 1, 0]),
    "stsb": (PAIRS, [1.0, 2.0, 3.0, 0.0]),
    "tags": (WORDS, [[n % 3 for n, _ in enumerate(words)] for words in WORDS]),
    "rank": ((TEXTS, CHOICES), [0, 1, 2, 0]),
    "span": (PAIRS[:1] * 2, ANSWERS),
    "mnli": (PAIRS, [0, 1, 2, 0]),
}


@pytest.fixture(scope="module")
def make(tokenizers, make_transformer):
    """A function that makes one without dropout, of some tasks, in batches of six rows."""

    def make(names, length=24, layout="bert", **backbone):
        tokenizer = tokenizers[layout]
        below = make_transformer(tokenizer.vocabulary_size, **backbone)
        kinds = {name: dict(KINDS[name]) for name in names}
        for one in kinds.values():
            if one["class"] not in ("SpanExtractor", "MaskedLM"):
                one["dropout"] = 0.0
        return MultiTask(below, kinds, TextPreprocessor(tokenizer, length))

    return make


def masked(multi):
    """Features of masked tokens, their labels and weights."""
    x = multi.preprocessor.call(TEXTS)
    x["target_positions"] = np.tile([[1, 2, 0]], (4, 1)).astype("int32")
    x = multi.task("mask").keep_inputs(x)
    weight = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]], "float32")
    return x, {"tokens": np.full((4, 3), 17)}, {"tokens": weight}


def values(layer):
    return [np.array(ops.convert_to_numpy(one)) for one in layer.trainable_weights]


def seeds(multi):
    return [one for one in multi.variables if "seed" in one.path]


def heads_of(multi, name):
    return [one for head in multi.task(name).heads.values() for one in values(head)]


def batch_of(multi, name):
    x, y, *weight = masked(multi) if name == "mask" else DATA[name]
    weight = {name: weight[0]} if weight else None
    return {name: x}, {name: y}, weight


@pytest.fixture(scope="module")
def several(make):
    return make(list(KINDS))


@pytest.mark.parametrize("name", KINDS)
def test_a_step_is_that_of_the_task_alone(name, several, quick):
    """Loss, gradients of the backbone and of the head; the heads of the others do not move."""
    alone = several.clone()
    alone.set_weights(several.get_weights())
    for mine, theirs in zip(seeds(alone), seeds(several)):  # which turns are left out
        mine.assign(np.array(ops.convert_to_numpy(theirs)))
    several.compile(keras.optimizers.SGD(0.5), **quick)
    one = alone.task(name)
    one.compile(keras.optimizers.SGD(0.5), **quick)
    others = {other: heads_of(several, other) for other in KINDS if other != name}
    if name == "mask":  # its table of tokens is that of the backbone
        x, y, weight = masked(several)
    else:
        x, y, weight = *DATA[name], None
    logs = several.train_on_batch(*batch_of(several, name))
    expected = one.train_on_batch(x, y, weight, return_dict=True)
    assert logs.keys() == {"loss", f"{name}_loss", "skipped_batches"}
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(logs[f"{name}_loss"], expected["loss"], rtol=1e-5)
    for found, other in zip(values(several.backbone), values(alone.backbone)):
        np.testing.assert_allclose(found, other, atol=2e-6)
    for found, other in zip(heads_of(several, name), heads_of(alone, name)):
        np.testing.assert_allclose(found, other, atol=2e-6)
    for other, before in others.items():
        if other != "mask":
            assert all((a == b).all() for a, b in zip(before, heads_of(several, other)))


@pytest.mark.slow
def test_xla_compiles_batches_of_unknown_size(make, with_xla):
    """TensorFlow's own gradient of a condition wants shapes that XLA must know and does not."""
    names = ["cola", "stsb", "tags", "rank"]  # all without dropout, which XLA draws otherwise
    multi, data = make(names), {name: DATA[name] for name in names}
    before = multi.get_weights()
    losses = {}
    for jit_compile in (False, True):
        multi.set_weights(before)
        multi.compile(keras.optimizers.SGD(0.02, global_clipnorm=1.0), jit_compile=jit_compile)
        assert multi.jit_compile is jit_compile
        history = multi.fit(data, batch_size=6, epochs=2, seed=1, verbose=0).history
        losses[jit_compile] = [history[f"{name}_loss"] for name in names]
    np.testing.assert_allclose(losses[True], losses[False], rtol=5e-3)


@pytest.fixture
def half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="its CPU has no such product")
def test_half_precision_with_a_scaled_loss(half_precision, make, graph):
    """All weights move, under a loss that is 32,768 times too large and then scaled back."""
    multi = make(["cola", "stsb"])
    multi.compile(keras.optimizers.AdamW(0.01), **graph)
    assert isinstance(multi.optimizer, keras.optimizers.LossScaleOptimizer)
    before = values(multi)
    data = {name: DATA[name] for name in ("cola", "stsb")}
    history = multi.fit(data, batch_size=4, epochs=2, verbose=0, length_buckets=None).history
    assert np.isfinite(history["loss"]).all() and not any(history["skipped_batches"])
    assert all((one != old).any() for one, old in zip(values(multi), before))


def test_an_idle_head_stands_still_whole(make, graph):
    """Weights, moments and its own count, with decay; then its first step is that of a new Adam."""
    multi = make(["cola", "stsb"])
    multi.compile(keras.optimizers.AdamW(0.01, weight_decay=0.5), **graph)
    still = heads_of(multi, "stsb")
    both = {name: DATA[name] for name in ("cola", "stsb")}  # its gradients are zeros, not none
    stages, quiet = [{"cola": 6}, {"stsb": 1}], dict(verbose=0, length_buckets=None)
    multi.fit(both, stages, batch_size=2, steps_per_epoch=6, **quiet)
    groups = multi.optimizer.group_optimizers
    assert [int(one.iterations) for one in groups] == [6, 0, 6]
    assert all((a == b).all() for a, b in zip(still, heads_of(multi, "stsb")))
    multi.optimizer.learning_rate = 0.01
    multi.fit({"stsb": DATA["stsb"]}, batch_size=8, verbose=0, length_buckets=None)
    assert [int(one.iterations) for one in groups] == [6, 1, 7]
    moved = [np.abs(a - 0.995 * b).max() for a, b in zip(heads_of(multi, "stsb"), still)]
    assert max(moved) == pytest.approx(0.01, rel=1e-2)  # of an old count it were 2.5 times this


def test_a_task_that_several_batches_made_goes_on_alone(make, graph, tmp_path):
    """`fit` of two tasks, validation by task; one leaves as an ordinary preset."""
    multi = make(["cola", "mnli"])
    multi.compile("adam", **graph)
    history = multi.fit(
        {name: DATA[name] for name in ("cola", "mnli")},
        batch_size=3,
        epochs=2,
        verbose=0,
        seed=0,
        validation_data={"cola": DATA["cola"]},
    ).history
    names = {"loss", "cola_loss", "mnli_loss", "val_cola_loss", "val_cola_accuracy"}
    assert history.keys() == {*names, "skipped_batches"} and len(history["loss"]) == 2
    assert np.isfinite([history[name] for name in names]).all()
    found = multi.evaluate({"cola": DATA["cola"]})
    assert found["cola_loss"] == pytest.approx(history["val_cola_loss"][-1], rel=1e-5)
    assert multi.test_on_batch({"cola": TEXTS}, {"cola": [0, 1, 1, 0]}) == found
    expected = multi.predict({"cola": TEXTS, "mnli": PAIRS})
    for name, x in (("cola", TEXTS), ("mnli", PAIRS)):
        multi.task(name).save_to_preset(str(tmp_path / name))
        alone = TextClassifier.from_preset(str(tmp_path / name))
        np.testing.assert_allclose(alone.predict(x, verbose=0), expected[name], atol=1e-5)
    multi.task("cola").compile("sgd", **graph)
    multi.task("cola").fit(TEXTS, [0, 1, 1, 0], verbose=0)
    assert (multi.predict({"cola": TEXTS})["cola"] != expected["cola"]).any()


def test_presets(make, tmp_path, caplog):
    multi = make(["cola", "tags", "rank"])
    multi.save_to_preset(str(tmp_path / "multi"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        again = MultiTask.from_preset(str(tmp_path / "multi"))
    assert not caplog.records and again.settings() == multi.settings()
    x = {"cola": TEXTS, "rank": DATA["rank"][0]}
    found, expected = again.predict(x), multi.predict(x)
    for name in x:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    assert again.task("rank").preprocessor.max_choice_length == 6
    # Another preset's backbone, with new heads, which is said.
    with caplog.at_level(logging.WARNING, "keras_plm"):
        new = MultiTask.from_preset(
            str(tmp_path / "multi"), tasks={"cola": KINDS["cola"], "rte": KINDS["mnli"]}
        )
    assert "rte: the preset has no such task" in caplog.text and "cola" not in caplog.text
    np.testing.assert_allclose(new.predict({"cola": TEXTS})["cola"], expected["cola"], atol=1e-5)
    single = TextClassifier.from_preset(str(tmp_path / "multi"), num_classes=2)
    np.testing.assert_array_equal(values(single.backbone)[0], values(multi.backbone)[0])


def test_training_goes_on_to_the_bit(make, graph, tmp_path):
    """Two epochs, and one, a checkpoint, another one; with dropout and rows of two lengths."""
    given = {"cola": (TEXTS * 3, [0, 1, 1, 0] * 3), "mnli": DATA["mnli"]}

    def fit(multi, **options):
        options = {"batch_size": 3, "seed": 4, "verbose": 0, "length_buckets": [12], **options}
        multi.fit(given, by="roots", **options)

    first = make(["cola", "mnli"], dropout=0.2)
    first.compile("adam", **graph)
    first._build_optimizer()
    start = tasks.Checkpoint(str(tmp_path / "start"))
    start.set_model(first)
    start.save()  # with the seeds of dropout
    second, third = first.clone(), first.clone()
    tasks.resume(second, str(tmp_path / "start"))
    fit(first, epochs=2)
    fit(second, epochs=1, callbacks=[tasks.Checkpoint(str(tmp_path / "one"))])
    tasks.resume(third, str(tmp_path / "one"))
    fit(third, epochs=2, initial_epoch=1)
    for one, other in zip(first.variables, third.variables, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), err_msg=one.path
        )
    for one, other in zip(first.optimizer.variables, third.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_one_program_for_each_length(make, graph, monkeypatch):
    """However many tasks there are: of JAX a trace each, of TensorFlow one for all lengths."""
    multi = make(["cola", "mnli", "rank"])
    multi.compile("sgd", **graph)
    traced, plain = [], MultiTask.train_step

    def counted(self, *arguments):
        traced.append(np.shape(arguments[-1][0]["token_ids"]))
        return plain(self, *arguments)

    monkeypatch.setattr(MultiTask, "train_step", counted)
    seen = []
    original = data.mixing.Mix.__call__
    monkeypatch.setattr(
        data.mixing.Mix, "__call__", lambda self, n: seen.append(original(self, n)) or seen[-1]
    )
    given = {name: DATA[name] for name in ("cola", "mnli", "rank")}
    multi.fit(given, batch_size=6, epochs=4, length_buckets=[8, 16], verbose=0)
    assert {part for part, _ in seen} == {0, 1, 2}
    if keras.backend.backend() == "jax":
        assert len(traced) == len(set(traced)) <= 3 and {shape[0] for shape in traced} == {6}
    else:
        assert len(traced) == 1


COMPILES = """
import os, sys
from keras_plm import backbones, data, tasks

tokenizer = data.train_tokenizer([sys.argv[2]], 60, model="wordpiece", lowercase=True)
backbone = backbones.TransformerBackbone(tokenizer.vocabulary_size, 1, 2, 8, 16, 32)
kinds = {name: {"class": "TextClassifier", "num_classes": 2} for name in "abc"}
multi = tasks.MultiTask(backbone, kinds, tasks.TextPreprocessor(tokenizer, 32))
texts, labels = ["old"] * 8 + ["the old man " * 8] * 8, [0, 1] * 8
data = {name: (texts, labels) for name in kinds}
multi.compile(jit_compile=True)
multi.fit(data, batch_size=4, epochs=2, length_buckets=[8, 32], verbose=0)
print(len(os.listdir(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its cache of programs")
def test_xla_compiles_a_program_for_each_length(tmp_path):
    """A file each in the folder where TensorFlow keeps what XLA has compiled."""
    programs, book = tmp_path / "programs", tmp_path / "book.txt"
    programs.mkdir()
    book.write_text("the old man\n" * 20, "utf-8")
    flags = f"--tf_xla_persistent_cache_directory={programs}"
    environment = {**os.environ, "TF_XLA_FLAGS": flags, "KERAS_PLM_JIT_COMPILE": "1"}
    command = [sys.executable, "-c", COMPILES, str(programs), str(book)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "2"


GOES_ON = """
import json, sys
import keras, keras_plm

multi = keras.saving.load_model(sys.argv[1])
texts, labels = json.loads(sys.argv[2])
logs = multi.train_on_batch({"cola": texts}, {"cola": labels})
logits = multi.predict({"cola": texts}, verbose=0)["cola"].tolist()
print(json.dumps({"names": sorted(multi.tasks), "loss": float(logs["loss"]), "logits": logits}))
"""


@pytest.mark.slow
def test_a_keras_file_in_a_new_process(make, tmp_path, quick):
    """With its optimizer and what that remembers: the next step is the same."""
    multi, path = make(["cola", "rank", "mnli"]), tmp_path / "multi.keras"
    multi.compile(keras.optimizers.SGD(0.05, momentum=0.9), **quick)
    multi.train_on_batch({"cola": TEXTS}, {"cola": DATA["cola"][1]})
    multi.save(path)
    run = subprocess.run(
        [sys.executable, "-c", GOES_ON, str(path), json.dumps(DATA["cola"])],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Skipping variable" not in run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["names"] == ["cola", "mnli", "rank"]
    logs = multi.train_on_batch({"cola": TEXTS}, {"cola": DATA["cola"][1]})
    np.testing.assert_allclose(found["loss"], logs["loss"], rtol=1e-4)
    logits = multi.predict({"cola": TEXTS}, verbose=0)["cola"]
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)


def test_soft_labels_beside_others(make, graph):
    """A student of two tasks; the soft labels of one count, and plain ones are sure ones."""
    multi = make(["cola", "mnli"])
    losses = {"cola": SoftLabelLoss(), "mnli": SoftLabelLoss("mse", from_logits=False)}
    multi.compile("sgd", loss=losses, **graph)
    soft = transfer.with_soft_labels([0, 1, 1, 0], [[0.9, 0.1], [0.4, 0.6], [0, 1], [0.5, 0.5]])
    logits = multi.predict({"cola": TEXTS})["cola"]
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    one_hot = np.eye(2)[[0, 1, 1, 0]]
    found = multi.train_on_batch({"cola": TEXTS}, {"cola": soft})
    expected = -((one_hot + soft[:, 1:]) * log_probs).sum(axis=1).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    config = multi.get_compile_config()
    again = multi.clone()
    assert again.get_compile_config() == config
    assert again.task("mnli").loss_of is not None
    found = multi.evaluate({"cola": DATA["cola"], "mnli": DATA["mnli"]})
    assert np.isfinite(list(found.values())).all() and "cola_accuracy" in found
    for wrong, message in (
        (soft[:, :2], "a row of 3 numbers"),
        (soft * 1.1, "must begin with the number of a class"),
        (soft + [[0, 0.1, 0]], "sum to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            multi.train_on_batch({"cola": TEXTS}, {"cola": wrong})


@pytest.mark.parametrize(
    "tasks_, message",
    [
        ({}, "`tasks` must be a dict"),
        ({"a b": KINDS["cola"]}, "letters, digits"),
        ({"cola": {"num_classes": 2}}, "must be a dict of its class"),
        ({"cola": {"class": "TextClasifier"}}, "Did you mean 'TextClassifier'"),
        ({"cola": {"class": "CausalLM"}}, "must be one of"),
        ({"cola": {"class": "TextClassifier", "num_class": 2}}, "Did you mean 'num_classes'"),
        ({"cola": {**KINDS["cola"], "auxiliary_lm": 0.5}}, "beside other tasks"),
    ],
)
def test_what_is_no_task(tasks_, message, tokenizers, make_transformer):
    backbone = make_transformer(tokenizers["bert"].vocabulary_size)
    with pytest.raises(ValueError, match=message):
        MultiTask(backbone, tasks_, TextPreprocessor(tokenizers["bert"], 24))
    with pytest.raises(ValueError, match="those of a preprocessor"):
        MultiTask(backbone, {"rank": KINDS["rank"]})


def test_what_data_are_refused(several):
    """Before anything changes, and with the name of the task."""
    before = values(several)
    cola = DATA["cola"]
    for given, message in (
        ({"rte": cola}, "no tasks \\['rte'\\]"),
        (TEXTS, "dict of names of tasks"),
        ({}, "dict of names of tasks"),
        ({"cola": TEXTS}, "must be a tuple"),
        ({"cola": (TEXTS, [0, 1, 2, 0])}, "integers in \\[0, 2\\)"),
        ({"mnli": (TEXTS, [0, 1, 2, 0])}, "classifies pairs of texts"),
        (
            {"rank": ((TEXTS, [["a", "b"], ["a"], ["a", "b"], ["a", "b"]]), [0, 0, 1, 1])},
            "same num",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            several.fit(given, verbose=0)
    for options, message in (
        ({"batch_size": 2}, "one of 'rank' has 3 rows"),
        ({"by": "size"}, "Did you mean 'sizes'"),
        ({"by": {"cola": 1.0}}, "without \\['rank'\\]"),
        ({"seed": -1}, "`seed` must be"),
        ({"class_weight": {0: 2.0}}, "classes of their own"),
        ({"validation_data": {"rte": cola}}, "no tasks"),
        ({"length_buckets": [0]}, "positive integers"),
    ):
        with pytest.raises(ValueError, match=message):
            several.fit({"cola": cola, "rank": DATA["rank"]}, verbose=0, **options)
    with pytest.raises(ValueError, match="A batch is of one task"):
        several.train_on_batch({"cola": TEXTS, "mnli": PAIRS}, {"cola": [0], "mnli": [1]})
    with pytest.raises(ValueError, match="dicts of the same tasks"):
        several.test_on_batch({"cola": TEXTS}, {"mnli": [0]})
    with pytest.raises(ValueError, match="`loss` must be a dict"):
        several.compile(loss="mse")
    with pytest.raises(ValueError, match="`name` must be one of"):
        several.task("rte")
    with pytest.raises(ValueError, match="Use `task.clone\\(\\)`"):
        keras.models.clone_model(several)
    assert all((a == b).all() for a, b in zip(before, values(several)))


def test_groups_of_a_users_own_keep_their_factors(make, graph):
    """Rates by layer, of one group for all heads; each head has a gate of its own."""
    multi = make(["cola", "stsb"], num_layers=2)
    groups = transfer.parameter_groups(multi)
    optimizer = transfer.discriminative_rates(keras.optimizers.SGD(1.0), groups, 2.0)
    multi.compile(optimizer, **graph)
    assert isinstance(multi.optimizer, transfer.GroupedOptimizer)
    multi.fit({"cola": DATA["cola"]}, batch_size=4, verbose=0, length_buckets=None)
    factors = ops.convert_to_numpy(multi.optimizer.factors).tolist()
    assert factors == [1.0, 1.0, 0.125, 0.25, 0.5]
    assert ops.convert_to_numpy(multi.optimizer.gates).tolist() == [1, 0, 1, 1, 1]
