import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_plm import data
from keras_plm.tasks import Checkpoint, resume
from keras_plm.tasks.training import checkpoint as checkpoint_module
from keras_plm.tasks.training import checkpoint_files

SCRIPT = '''
"""Trains for some steps and leaves checkpoints; run by a test, in its process and in a new one."""

import os
import shutil
import sys

import keras

from keras_plm import data, models
from keras_plm.tasks import Checkpoint, resume


class Copy(keras.callbacks.Callback):
    """Copies the checkpoint of step 3 when step 4 is done, as if the process died there."""

    def on_train_batch_end(self, batch, logs=None):
        if not os.path.exists(folder + "/killed") and checkpoint.step == 4:
            checkpoint.wait()
            shutil.copytree(folder + "/checkpoint", folder + "/killed")


def run(seed):
    global checkpoint
    keras.utils.set_random_seed(seed)
    tokenizer = data.SentencePieceTokenizer.load(folder + "/tokenizer")
    corpus = data.Corpus.open(folder + "/corpus")
    model = models.xlnet(
        tokenizer,
        "tiny",
        sequence_length=16,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        dropout=0.1,
        memory_length=8,
    )
    step = resume(model, folder + "/killed")
    checkpoint = Checkpoint(folder + "/checkpoint", every=3, start=step)
    model.fit(
        data.examples(corpus, model.objective, 4, start=step),
        steps_per_epoch=4 if step == 0 else 1,
        epochs=2 if step == 0 else 5,
        callbacks=[checkpoint, Copy()],
        verbose=0,
    )
    checkpoint.directory = folder + ("/end" if step == 0 else "/resumed")
    checkpoint.save()
    return step, checkpoint.step


folder = sys.argv[1]
if __name__ == "__main__":
    print(run(seed=int(sys.argv[2])))
'''


@pytest.mark.slow
def test_a_new_process_goes_on_to_the_bit(corpus, tokenizer, tmp_path, monkeypatch):
    """8 steps in two epochs of 4 equal 3, a kill, and 5 more in a fresh process."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    tokenizer.save(tmp_path / "tokenizer")
    shutil.copytree(corpus.directory, tmp_path / "corpus")
    monkeypatch.setattr(sys, "argv", ["run.py", str(tmp_path)])
    names = {"__name__": "run"}
    exec(compile(script.read_text("utf-8"), str(script), "exec"), names)
    assert names["run"](seed=1) == (0, 8)
    assert json.loads((tmp_path / "killed" / "checkpoint.json").read_text())["step"] == 3

    environment = {
        **os.environ,
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": str(Path(data.__file__).parents[3]),
    }
    process = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "2"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.split("\n")[-2] == "(3, 8)"
    whole = load_file(tmp_path / "end" / "state.safetensors")
    resumed = load_file(tmp_path / "resumed" / "state.safetensors")
    assert whole.keys() == resumed.keys()
    assert whole["memory/training"].any() and whole["optimizer/00000"] == 8
    different = [name for name in whole if not np.array_equal(whole[name], resumed[name])]
    assert not different
    before = load_file(tmp_path / "killed" / "state.safetensors")
    changed = [name for name in whole if not np.array_equal(whole[name], before[name])]
    # All but the learning rate: optimizer, seeds and memory too.
    assert sorted(whole.keys() - set(changed)) == ["optimizer/00001"]


@pytest.fixture(scope="module")
def model(make_pretrainer):
    """A small Pretrainer with a memory, its state, and slots of its optimizer that are not 0."""
    model = make_pretrainer(num_layers=1, memory_length=8, dropout=0.1)
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    model.state.resize(4, training=True)
    model.state.resize(2, training=False)
    return model


def fill(model, seed):
    """Give every variable random values."""
    random = np.random.default_rng(seed)
    for variable in [*model.variables, *model.optimizer.variables]:
        integer = "int" in str(variable.dtype)
        value = random.integers(0, 1000, variable.shape) if integer else None
        variable.assign(random.normal(size=variable.shape) if value is None else value)


@pytest.fixture
def saved(model, tmp_path):
    """A checkpoint of step 7."""
    fill(model, 7)
    callback = Checkpoint(str(tmp_path / "checkpoint"), start=7)
    callback.set_model(model)
    callback.save()
    return str(tmp_path / "checkpoint")


def test_everything_comes_back(model, saved, values, same):
    before = values(model)
    fill(model, 8)
    assert not np.array_equal(values(model)["kernel 0"], before["kernel 0"])
    assert resume(model, saved) == 7
    assert same(values(model), before)


def test_into_a_model_that_was_never_trained(model, saved, make_pretrainer, values, same):
    fresh = make_pretrainer(num_layers=1, memory_length=8, dropout=0.1)
    fresh.compile("adam")
    assert resume(fresh, saved) == 7
    assert same(values(fresh), values(model))


def test_no_checkpoint(model, tmp_path, values, same, caplog):
    before = values(model)
    assert resume(model, str(tmp_path / "nowhere")) == 0
    assert f"starts at step 0: there is no checkpoint in {tmp_path}/nowhere." in caplog.text
    assert same(values(model), before)


def without_fingerprint(path):
    """Make a checkpoint as it was before settings were saved with it."""
    path = Path(path) / "checkpoint.json"
    description = json.loads(path.read_text())
    del description["fingerprint"]
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    "changes, compilation, named, by_arrays",
    [
        (
            dict(hidden_dim=20),
            "adam",
            "backbone.hidden_dim was 16 and is 20",
            r"memory of training.*16\).*20\)",
        ),
        (dict(num_layers=2), "adam", "backbone.num_layers was 1 and is 2", "another model"),
        (dict(intermediate_dim=16), "adam", "intermediate_dim was 32 and is 16", "model.*kernel"),
        (dict(dropout=0.0), "adam", r"backbone.dropout was 0.1 and is 0.0\. Bu", "another model"),
        (
            dict(),
            "sgd",
            r"optimizer.class was 'Adam' and is 'SGD'\. Build",
            "another compilation",
        ),
        (
            dict(memory_length=6),
            "adam",
            "memory_length was 8 and is 6",
            r"memory of training.*\(4, 1, 8, 16\).*\(4, 1, 6, 16\)",
        ),
        (dict(memory_length=0), "adam", "memory_length was 8", "another model.*memory/training"),
    ],
)
def test_another_model(
    saved, make_pretrainer, changes, compilation, named, by_arrays, values, same
):
    other = make_pretrainer(**{**dict(num_layers=1, memory_length=8, dropout=0.1), **changes})
    other.compile(compilation)
    other.optimizer.build(other.trainable_variables)
    before = values(other)
    with pytest.raises(ValueError, match=f"another model.*{named}"):
        resume(other, saved)
    without_fingerprint(saved)
    with pytest.raises(ValueError, match=by_arrays):
        resume(other, saved)
    assert same(values(other), before)


def sgd(rate=0.25, **settings):
    return keras.optimizers.SGD(rate, **settings)


def decaying(rate):
    return keras.optimizers.schedules.ExponentialDecay(rate, 10, 0.5)


# What the arrays do not show: what was trained, what goes on, the difference, what allows it.
@pytest.mark.parametrize(
    "before, after, path, allowed",
    [
        ({}, dict(activation="relu"), "backbone.activation", "activation"),
        (dict(dropout=0.1), dict(dropout=0.5), "backbone.dropout", "dropout"),
        ({}, dict(causal=True), "backbone.causal", "backbone.causal"),
        (dict(rate=decaying(0.1)), dict(rate=decaying(0.2)), "learning_rate.config", "optimizer"),
        (dict(momentum=0.5), dict(momentum=0.9), "optimizer.momentum", "momentum"),
        ({}, dict(clipnorm=1.0), "optimizer.clipnorm", "optimizer"),
        ({}, dict(left_out=["bias"]), "optimizer.excluded_from_decay.0", "excluded_from_decay"),
        ({}, dict(objective=dict(num_predict=2)), "task.objective.num_predict", "objective"),
    ],
)
def test_settings_that_arrays_do_not_show(
    make_pretrainer, objective, tmp_path, before, after, path, allowed, values, same
):
    def made(rate=0.25, momentum=0.5, clipnorm=None, left_out=None, objective=None, **settings):
        model = make_pretrainer(num_layers=1, **settings)
        if objective:
            changed = dataclasses.replace(model.objective, **objective)
            model = type(model)(model.backbone, changed, model.preprocessor)
        optimizer = sgd(rate, momentum=momentum, clipnorm=clipnorm, weight_decay=0.1)
        if left_out:
            optimizer.exclude_from_weight_decay(var_names=left_out)
        model.compile(optimizer)
        model.optimizer.build(model.trainable_variables)
        return model

    first, second = made(**before), made(**after)
    callback = Checkpoint(tmp_path / "checkpoint", start=3)
    callback.set_model(first)
    callback.save()
    expected, found = values(first), values(second)
    with pytest.raises(ValueError, match=f"another compilation: [a-z.]*{path}[a-z._0-9]* was "):
        resume(second, tmp_path / "checkpoint", may_differ=["nothing", "beta", "out"])
    assert same(values(second), found)
    assert resume(second, tmp_path / "checkpoint", may_differ=allowed) == 3
    assert same(values(second), expected)
    again = made(**before)
    assert resume(again, tmp_path / "checkpoint") == 3


def test_another_learning_rate(make_pretrainer, tmp_path, caplog):
    """It is refused, or it is the new one; what callbacks make of it comes back as it was."""

    def made(rate):
        model = make_pretrainer(num_layers=1)
        model.compile(sgd(rate))
        return model

    first = made(0.25)
    callback = Checkpoint(tmp_path / "checkpoint", start=3)
    callback.set_model(first)
    first.optimizer.learning_rate = 0.125  # as ReduceLROnPlateau does
    callback.save()
    again, other = made(0.25), made(0.5)
    assert resume(again, tmp_path / "checkpoint") == 3
    assert float(again.optimizer.learning_rate) == 0.125
    with pytest.raises(ValueError, match="optimizer.learning_rate was 0.25 and is 0.5.*may_differ"):
        resume(other, tmp_path / "checkpoint")
    assert resume(other, tmp_path / "checkpoint", ["learning_rate"]) == 3
    assert float(other.optimizer.learning_rate) == 0.5
    assert "other settings, as allowed: ['optimizer.learning_rate']" in caplog.text
    callback = Checkpoint(tmp_path / "checkpoint", start=4)
    callback.set_model(again)
    callback.save()  # still of a training that began with 0.25
    assert resume(made(0.25), tmp_path / "checkpoint") == 4


def test_settings_of_a_classifier(make_classifier, tmp_path):
    first, *others = (make_classifier(**one) for one in ({}, dict(sequence_length=20)))
    for model in (first, *others):
        model.compile()
    callback = Checkpoint(tmp_path / "checkpoint", start=3)
    callback.set_model(first)
    first.optimizer.build(first.trainable_variables)
    callback.save()
    with pytest.raises(ValueError, match="preprocessor.sequence_length was 16 and is 20"):
        resume(others[0], tmp_path / "checkpoint")
    assert resume(others[0], tmp_path / "checkpoint", "sequence_length") == 3


@pytest.fixture(scope="module")
def trained(make_pretrainer, corpus, tmp_path_factory):
    """A function that makes the same Pretrainer anew, and a checkpoint of 2 + 3 of its batches."""

    def made(**settings):
        model = make_pretrainer(**{"num_layers": 1, **settings})
        model.compile(sgd(0.01), jit_compile=False)
        return model

    directory, first = str(tmp_path_factory.mktemp("trained") / "checkpoint"), made()
    examples = data.examples(corpus, first.objective, 4, seed=3, start=2)
    callback = Checkpoint(directory, start=2)
    first.fit(examples, steps_per_epoch=3, callbacks=[callback], verbose=0)
    return made, directory


def test_a_checkpoint_says_its_examples(trained, corpus):
    _, directory = trained
    assert json.loads(Path(directory, "checkpoint.json").read_text())["examples"] == {
        "corpus": corpus.fingerprint,
        "seed": 3,
        "batch_size": 4,
        "bidirectional": False,
        "start": 5,
    }


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(start=0), r"start was 5 and is 0\. Make"),
        (dict(seed=4), r"seed was 3 and is 4\. Make"),
        (dict(batch_size=2), r"batch_size was 4 and is 2\. Make"),
        (dict(corpus=0), "corpus was '[0-9a-f]{64}' and is '[0-9a-f]{64}'"),
    ],
)
def test_other_examples_than_before(trained, corpus, changes, message, values, same, caplog):
    """They are refused before the first step, or taken as allowed; then all may be fitted."""
    made, directory = trained
    model = made()
    settings = {"batch_size": 4, "seed": 3, "start": 5, **changes}
    part = corpus.split(0.5)[0] if settings.pop("corpus", None) == 0 else corpus
    examples = data.examples(part, model.objective, **settings)
    assert resume(model, directory) == 5
    before = values(model)
    with pytest.raises(ValueError, match=f"does not go on with these examples: {message}"):
        model.fit(examples, steps_per_epoch=1, verbose=0)
    assert same(values(model), before)
    assert resume(model, directory, may_differ=list(changes)) == 5
    model.fit(examples, steps_per_epoch=1, verbose=0)
    assert f"other examples, as allowed: {list(changes)}" in caplog.text
    model.fit(data.examples(corpus, model.objective, 2), steps_per_epoch=1, verbose=0)


def test_the_same_examples_go_on(trained, corpus, tmp_path):
    """And the next checkpoint says the batch after its own, whatever its steps are called."""
    made, directory = trained
    model = made()
    examples = data.examples(corpus, model.objective, 4, seed=3, start=5)
    assert resume(model, directory) == 5
    callback = Checkpoint(tmp_path / "checkpoint", every=1, start=105)
    model.fit(examples, steps_per_epoch=2, callbacks=[callback], verbose=0)
    described = json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())
    assert (described["step"], described["examples"]["start"]) == (107, 7)
    model.fit(examples, steps_per_epoch=1, callbacks=[callback], verbose=0)  # from 5 once more
    described = json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())
    assert (described["step"], described["examples"]["start"]) == (108, 6)


def test_a_memory_keeps_its_batch_size(trained, corpus, tmp_path):
    made, _ = trained
    model = made(memory_length=8)
    examples = data.examples(corpus, model.objective, 4)
    callback = Checkpoint(tmp_path / "checkpoint")
    model.fit(examples, steps_per_epoch=1, callbacks=[callback], verbose=0)
    again = made(memory_length=8)
    assert resume(again, tmp_path / "checkpoint", may_differ="batch_size") == 1
    with pytest.raises(ValueError, match="batches of 4 rows. Received: a batch of 2 rows"):
        again.fit(data.examples(corpus, again.objective, 2, start=1), verbose=0)


def test_examples_that_are_not_known(model, saved, corpus):
    """A checkpoint that was saved outside `fit` does not say any: all are taken."""
    assert "examples" not in json.loads(Path(saved, "checkpoint.json").read_text())
    assert resume(model, saved) == 7
    model.resumed_examples.check(data.examples(corpus, model.objective, 4))
    model.resumed_examples = None


def test_versions_are_logged(model, saved, caplog):
    path = Path(saved) / "checkpoint.json"
    resume(model, saved)
    assert not caplog.records
    path.write_text(path.read_text().replace(f'"keras": "{keras.__version__}"', '"keras": "3.1"'))
    resume(model, saved)
    assert "was saved by" in caplog.text and "'keras': '3.1'" in caplog.text


def test_settings_of_another_version(model, saved, caplog):
    """A setting that the checkpoint does not know is new and not compared; a lost one is."""
    path = Path(saved) / "checkpoint.json"
    description = json.loads(path.read_text())
    del description["fingerprint"]["backbone"]["dropout"]
    path.write_text(json.dumps(description))
    assert resume(model, saved) == 7
    description["fingerprint"]["backbone"]["noise"] = 0.5
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="backbone.noise was 0.5 and is None"):
        resume(model, saved)
    without_fingerprint(saved)
    assert resume(model, saved) == 7 and "does not say of which settings" in caplog.text


def test_bad_names_of_what_may_differ(model, saved):
    with pytest.raises(ValueError, match="`may_differ` must be .*Received: may_differ=5"):
        resume(model, saved, may_differ=5)


def test_a_memory_of_another_batch_size(saved, make_pretrainer, values, same):
    other = make_pretrainer(num_layers=1, memory_length=8, dropout=0.1)
    other.compile("adam")
    other.optimizer.build(other.trainable_variables)
    other.state.resize(2, training=True)
    before = values(other)
    with pytest.raises(ValueError, match=r"\(4, 1, 8, 16\).*\(2, 1, 8, 16\)"):
        resume(other, saved)
    assert same(values(other), before)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-10])


def no_tensors(path):
    path.write_bytes(b"no tensors at all")


def one_missing(path):
    arrays = load_file(path)
    arrays.pop("optimizer/00003")
    save_file(arrays, path)


def as_integers(path):
    arrays = load_file(path)
    name = next(name for name in sorted(arrays) if arrays[name].ndim == 2)
    arrays[name] = arrays[name].astype("int32")
    save_file(arrays, path)


@pytest.mark.parametrize(
    "file, damage, message",
    [
        ("state.safetensors", as_integers, r"another model.*int32 for .*float32"),
        (
            "checkpoint.json",
            lambda p: p.write_text('{"format": 1, "step": 3, "dtypes": []}'),
            "not a checkpoint",
        ),
        ("state.safetensors", cut_short, "state.safetensors is not whole"),
        ("state.safetensors", no_tensors, "state.safetensors is not whole"),
        ("state.safetensors", Path.unlink, "no file 'state.safetensors'"),
        ("state.safetensors", one_missing, r"another model.*optimizer/00003"),
        ("checkpoint.json", lambda path: path.write_text("{"), "not valid JSON"),
        ("checkpoint.json", lambda path: path.write_text("{}"), "not a checkpoint"),
        ("checkpoint.json", lambda p: p.write_text('{"format": 2, "step": 3}'), "not a checkpoint"),
        (
            "checkpoint.json",
            lambda p: p.write_text('{"format": 1, "step": -3}'),
            "not a checkpoint",
        ),
        ("checkpoint.json", lambda p: p.write_text('{"format": 1, "step": "3"}'), "not a checkp"),
    ],
)
def test_a_damaged_checkpoint(model, saved, file, damage, message, values, same):
    fill(model, 9)
    before = values(model)
    damage(Path(saved) / file)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        resume(model, saved)
    assert same(values(model), before)


def test_half_precision_is_not_taken_for_single(make_pretrainer, tmp_path, values, same):
    half = make_pretrainer(num_layers=1, dtype="bfloat16")
    whole = make_pretrainer(num_layers=1)
    for model in (half, whole):
        model.compile("adam")
        model.optimizer.build(model.trainable_variables)
    fill(half, 3)
    callback = Checkpoint(str(tmp_path / "checkpoint"))
    callback.set_model(half)
    callback.save()
    expected, before = values(half), values(whole)
    with pytest.raises(ValueError, match="another model.*float32"):
        resume(whole, tmp_path / "checkpoint")
    assert same(values(whole), before)
    fill(half, 4)
    resume(half, tmp_path / "checkpoint")
    assert same(values(half), expected)


@pytest.mark.parametrize("where", ["weight", "optimizer", "memory"])
def test_what_is_not_finite_is_not_saved(where, model, saved, values, same):
    expected = values(model)
    variable = {
        "weight": model.trainable_weights[0],
        "optimizer": model.optimizer.variables[-1],
        "memory": model.state.training_state["memory"],
    }[where]
    variable.assign(np.where(np.arange(variable.shape[-1]) == 1, np.nan, variable))
    callback = Checkpoint(saved, start=9)
    callback.set_model(model)
    name = "memory/training" if where == "memory" else variable.path
    with pytest.raises(ValueError, match=rf"Step 9 was not saved.*\['{name}'\]"):
        callback.save()
    assert resume(model, saved) == 7 and same(values(model), expected)


def small_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


ONES = np.ones((6, 2), "float32"), np.ones((6, 1), "float32")


class Writing:
    """Stands for the disk: `write_checkpoint` waits until `may_go_on` is set."""

    def __init__(self, monkeypatch, error=None):
        self.may_go_on = threading.Event()
        write = checkpoint_module.write_checkpoint

        def slow(directory, description, arrays, trusted):
            assert self.may_go_on.wait(60)
            if error is not None:
                raise error
            write(directory, description, arrays, trusted)

        monkeypatch.setattr(checkpoint_module, "write_checkpoint", slow)


def test_training_goes_on_while_it_is_written(tmp_path, monkeypatch):
    """The disk stands still until three steps more are done; what is written is of step 2."""
    writing, model = Writing(monkeypatch), small_model()
    callback = Checkpoint(tmp_path / "checkpoint", every=2)
    kernels = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kernels.append(np.array(self.model.layers[0].kernel))
            if batch == 2:
                assert not (tmp_path / "checkpoint").exists()
                writing.may_go_on.set()

    model.fit(*ONES, batch_size=2, epochs=1, callbacks=[callback, Watch()], verbose=0)
    description, arrays = checkpoint_files.read_checkpoint(tmp_path / "checkpoint")
    assert description["step"] == 2 and len(kernels) == 3
    assert np.array_equal(arrays["model/00000"], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])


def test_what_goes_wrong_while_training_goes_on_ends_it(tmp_path, monkeypatch):
    writing, model = Writing(monkeypatch, OSError(28, "No space left on device")), small_model()
    writing.may_go_on.set()
    callback = Checkpoint(tmp_path / "checkpoint", every=2)
    with pytest.raises(OSError, match="No space"):
        model.fit(*ONES, batch_size=1, epochs=1, callbacks=[callback], verbose=0)
    assert callback.step <= 4  # the next one at the latest
    callback.wait()  # it was said


def test_what_goes_wrong_in_a_fit_that_is_stopped_is_said_and_over(tmp_path, monkeypatch, caplog):
    error = OSError(28, "No space left on device")
    writing, model = Writing(monkeypatch, error), small_model()
    callback = Checkpoint(tmp_path / "checkpoint", every=1)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(*ONES, batch_size=1, callbacks=[callback, Stop()], verbose=0)
    writing.may_go_on.set()
    assert resume(model, tmp_path / "checkpoint") == 0
    assert "written in the background failed: OSError(28, 'No space left" in caplog.text
    monkeypatch.undo()
    model.fit(*ONES, batch_size=3, callbacks=[callback], verbose=0)
    assert (tmp_path / "checkpoint").exists() and not callback._arrays


def test_what_reads_waits(tmp_path, monkeypatch):
    writing, model = Writing(monkeypatch), small_model()
    model.optimizer.build(model.trainable_variables)
    callback = Checkpoint(tmp_path / "checkpoint", start=5)
    callback.set_model(model)
    callback.save(wait=False)
    timer = threading.Timer(0.2, writing.may_go_on.set)
    timer.start()
    assert resume(model, tmp_path / "checkpoint") == 5


def test_a_kill_while_saving_keeps_the_older_one(model, saved, values, same, monkeypatch):
    before = values(model)
    fill(model, 9)
    callback = Checkpoint(saved, start=9)
    callback.set_model(model)

    def full(arrays, path, metadata):
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        callback.save()
    monkeypatch.undo()

    def stopped(*_):
        raise KeyboardInterrupt("Ctrl-C")

    monkeypatch.setattr(checkpoint_files, "write_json", stopped)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        callback.save()
    monkeypatch.undo()
    assert [path.name for path in Path(saved).parent.iterdir()] == ["checkpoint"]
    assert resume(model, saved) == 7
    assert same(values(model), before)


@pytest.fixture
def saved_twice(model, saved, values):
    """Checkpoints of step 7 and 9 in one directory, and the values of 7 and of 9."""
    first = values(model)
    fill(model, 9)
    callback = Checkpoint(saved, start=9)
    callback.set_model(model)
    callback.save()
    return Path(saved), first, values(model)


def flip(path, place):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.unlink()  # it may be linked from elsewhere
    path.write_bytes(content)


def test_two_are_kept(model, saved_twice, values, same, caplog):
    path, first, second = saved_twice
    assert json.loads((path / "checkpoint.json").read_text())["step"] == 9
    assert json.loads((path / "before" / "checkpoint.json").read_text())["step"] == 7
    assert sorted(one.name for one in (path / "before").iterdir()) == [
        "checkpoint.json",
        "state.safetensors",
    ]
    fill(model, 1)
    with caplog.at_level("INFO", "keras_plm"):
        assert resume(model, path) == 9 and same(values(model), second)
        assert resume(model, path / "before") == 7 and same(values(model), first)
    assert [one.levelname for one in caplog.records] == ["INFO"] * 2
    assert f"goes on from step 9, the checkpoint in {path}." in caplog.text


def test_any_bit_of_the_newest(model, saved_twice, values, same, caplog):
    """40 places all over the file, and its last byte: none is taken, and the older one is."""
    path, first, _ = saved_twice
    state = path / "state.safetensors"
    size = state.stat().st_size
    header = 8 + int.from_bytes(state.read_bytes()[:8], "little")
    for place in [*np.linspace(header, size - 1, 20).astype(int), *range(8, 328, 16)]:
        fill(model, 1)
        caplog.clear()
        flip(state, place)
        assert resume(model, path) == 7 and same(values(model), first), place
        assert re.search("state.safetensors is (damaged|not whole)", caplog.text)
        assert "of step 7." in caplog.text
        flip(state, place)
    assert resume(model, path) == 9


def test_the_arrays_of_another_step(model, saved_twice, values, same, caplog):
    """Step and arrays in two files are of one save, or are not taken."""
    path, first, _ = saved_twice
    text = (path / "checkpoint.json").read_text().replace('"step": 9', '"step": 8')
    (path / "checkpoint.json").write_text(text)
    assert resume(model, path) == 7 and same(values(model), first)
    assert "its arrays are of step 9, checkpoint.json is of step 8" in caplog.text


def test_a_checkpoint_that_is_replaced_while_it_is_read(model, saved_twice, monkeypatch):
    """The reader begins anew, and never mixes two."""
    path, *_ = saved_twice
    read_json, left = checkpoint_files.files.read_json, [11, 10]

    def replaced(*args):
        description = read_json(*args)
        if left and description["step"] in (9, 10):
            callback = Checkpoint(path, start=left.pop())
            callback.set_model(model)
            monkeypatch.undo()
            callback.save()
            monkeypatch.setattr(checkpoint_files.files, "read_json", replaced)
        return description

    monkeypatch.setattr(checkpoint_files.files, "read_json", replaced)
    assert resume(model, path) == 11 and not left


def test_both_damaged(model, saved_twice, values, same):
    path, *_ = saved_twice
    before = values(model)
    flip(path / "state.safetensors", -1)
    flip(path / "before" / "state.safetensors", -1)
    with pytest.raises(ValueError, match="SHA-256. So is .* before it: .*before/state.safetensors"):
        resume(model, path)
    assert same(values(model), before)


def steps_kept(path):
    """The steps of the newest checkpoint and of the one before it."""
    found = [path / "checkpoint.json", path / "before" / "checkpoint.json"]
    return [json.loads(one.read_text())["step"] for one in found if one.exists()]


def test_what_is_kept_is_whole_and_earlier(model, saved_twice):
    path, *_ = saved_twice
    callback = Checkpoint(path, start=9)
    callback.set_model(model)
    callback.save()  # the same step again
    assert steps_kept(path) == [9, 7]
    flip(path / "state.safetensors", -1)
    callback = Checkpoint(path, start=11)
    callback.set_model(model)
    callback.save()  # 9 is damaged
    assert steps_kept(path) == [11, 7]
    callback.step = 12
    callback.save()
    assert steps_kept(path) == [12, 11] and resume(model, path / "before") == 11
    callback.step = 3
    callback.save()  # all are later
    assert steps_kept(path) == [3] and resume(model, path) == 3


def test_one_without_a_digest_is_taken(model, saved, values, same, caplog):
    before = values(model)
    save_file(load_file(Path(saved) / "state.safetensors"), Path(saved) / "state.safetensors")
    fill(model, 1)
    assert resume(model, saved) == 7 and same(values(model), before)
    assert caplog.text.count("has no digest") == 1


def test_a_foreign_directory_is_not_replaced(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    callback = Checkpoint(str(tmp_path))
    callback.set_model(model)
    with pytest.raises(ValueError, match="it is not replaced"):
        callback.save()
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def counted(every, start, steps_per_execution, epochs=2, steps=5):
    """The steps at which a checkpoint is saved."""
    callback = Checkpoint("nowhere", every, start)
    saved = []
    callback.save = lambda wait: saved.append(callback.step)
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        for end in range(steps_per_execution, steps + 1, steps_per_execution):
            callback.on_train_batch_end(end - 1)  # Keras names the last step of an execution
        callback.on_epoch_end(epoch)
    return saved


def test_when_it_saves():
    assert counted(None, 0, 1) == [5, 10]
    assert counted(3, 0, 1) == [3, 6, 9]
    assert counted(3, 7, 1) == [9, 12, 15]
    assert counted(3, 0, 2, steps=6) == [4, 6, 10, 12]


@pytest.mark.parametrize("arguments", [dict(every=0), dict(start=-1)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="at least 1 and `start` at least 0. Received"):
        Checkpoint("somewhere", **arguments)


def test_a_model_that_is_not_compiled(saved):
    uncompiled = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="compile it first"):
        resume(uncompiled, saved)


def test_any_compiled_model(tmp_path):
    """Not only tasks can be stopped and go on."""
    ends = []
    for part in range(2):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("adam", "mse", jit_compile=False)
        step = resume(model, str(tmp_path / "checkpoint"))
        assert step == part * 2
        callback = Checkpoint(str(tmp_path / "checkpoint"), start=step)
        x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
        model.fit(x, y, batch_size=4, callbacks=[callback], verbose=0)
        ends.append([np.array(ops.convert_to_numpy(v.value)) for v in model.weights])
    assert resume(model, str(tmp_path / "checkpoint")) == 4
    assert all(
        np.array_equal(a, ops.convert_to_numpy(v.value)) for a, v in zip(ends[1], model.weights)
    )
