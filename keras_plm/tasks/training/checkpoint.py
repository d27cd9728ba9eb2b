"""Stopping and going on, to the bit."""

import logging

import keras
import numpy as np

from keras_plm import files
from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers
from keras_plm.tasks.training.background_writing import BackgroundWriting, join_all
from keras_plm.tasks.training.checkpoint_files import read_checkpoint, write_checkpoint
from keras_plm.tasks.training.replicas import build_optimizer, scope_of
from keras_plm.tasks.training.training_fingerprint import (
    CLASS_KEYS,
    differences,
    refuse_differences,
    remember_optimizer,
    training_fingerprint,
    versions,
)
from keras_plm.tasks.training.training_state import (
    carried_variables,
    checked_carried,
    copied,
    has_dtype,
    other_dtypes,
    state_of,
)

logger = logging.getLogger("keras_plm")


class Checkpoint(keras.callbacks.Callback):
    """Saves, every so many steps, all that training depends on, in one directory.

    That is more than the weights: the optimizer's state, the seeds of every dropout, what is
    carried from batch to batch in training and in evaluation, and the global step, which is also
    the number of the next batch of `keras_plm.data.examples`. A checkpoint is whole or not there,
    and has a digest. The one before it is kept in its folder `before`: `resume` takes that if the
    newest is damaged.

    Training stands still while the values are copied; they are written in a thread while it goes
    on. A next checkpoint, and the end of `fit`, wait until the last one is written, and raise what
    went wrong; a batch raises it as soon as it is known. The copy takes as much memory as weights
    and optimizer, until `fit` ends.

    Args:
        directory: str. The directory, which always holds the newest checkpoint.
        every: int or None. Steps between checkpoints; None: at the end of every epoch.
        start: int. The global step that training starts from, as `resume` returns it.

    Raises:
        ValueError: if `every` is below 1 or `start` below 0.

    Example:
    ```text
    step = resume(model, "run/checkpoint")  # 0 if there is none
    dataset = data.examples(corpus, model.objective, batch_size=32, start=step)
    model.fit(dataset, callbacks=[Checkpoint("run/checkpoint", every=500, start=step)])
    ```
    """

    def __init__(self, directory, every=None, start=0):
        super().__init__()
        if every is not None and every < 1 or start < 0:
            raise ValueError(
                "`every` must be None or at least 1 and `start` at least 0. "
                f"Received: every={every}, start={start}."
            )
        self.directory = directory
        self.every = every
        self.step = self.step_of_epoch = start
        self._saved_in = None  # where the newest checkpoint is its own
        self._examples, self._step_of_fit = None, start  # what `fit` trains on, and since when
        self._writing = BackgroundWriting()
        self._arrays = {}  # of the last checkpoint: new memory costs ten times what a copy does

    def set_model(self, model):
        """Take a model, whose optimizer is as it was compiled."""
        super().set_model(model)
        if getattr(model, "optimizer", None) is not None:
            remember_optimizer(model)

    def on_train_begin(self, logs=None):
        """Remember what is trained on, if the task says so, and from which step."""
        self._writing.forget_error()  # of a `fit` that ended by another exception
        self._examples = getattr(self.model, "examples_of_fit", None)
        self._step_of_fit = self.step

    def on_epoch_begin(self, epoch, logs=None):
        """Remember where the epoch starts: batches are counted from there."""
        self.step_of_epoch = self.step

    def on_train_batch_end(self, batch, logs=None):
        """Count the step, or steps of one execution, and begin to save if it is time."""
        before, self.step = self.step, self.step_of_epoch + batch + 1
        if self.every is not None and self.step // self.every > before // self.every:
            self.save(wait=False)
        else:
            self._writing.raise_error()

    def on_epoch_end(self, epoch, logs=None):
        """Begin to save at the end of an epoch, unless steps are counted."""
        if self.every is None:
            self.save(wait=False)

    def on_train_end(self, logs=None):
        """Wait until the last checkpoint is written."""
        try:
            self.wait()
        finally:
            self._arrays = {}

    def save(self, wait=True):
        """Save the checkpoint of this step.

        Args:
            wait: bool. Whether to wait until it is written; else it is copied, and written while
                training goes on.

        Raises:
            ValueError: if values are not finite, or the directory holds something else.
            OSError: if it, or the one that was begun before, cannot be written.
        """
        self.wait()
        model = self.model  # on JAX this brings the variables up to date
        named = state_of(model)
        arrays = {
            name: copied(variable, self._arrays.get(name))
            for name, variable in {**named, **carried_variables(model)}.items()
        }
        bad = sorted(name for name, array in arrays.items() if not _is_finite(array))
        if bad:
            paths = [named[name].path if name in named else name for name in bad]
            raise ValueError(
                f"Step {self.step} was not saved, as values are not finite; the checkpoint before "
                f"it in {self.directory} stays. Go back to it, lower the learning rate, or look "
                f"for bad data. Received: {paths[:20]}."
            )
        description = {
            "step": self.step,
            "dtypes": other_dtypes(named, arrays),
            "fingerprint": training_fingerprint(model),
            "versions": versions(),
        }
        if self._examples is not None and self._examples.training:
            start = self._examples.start + self.step - self._step_of_fit
            description["examples"] = {**self._examples.description(), "start": start}
        self._arrays = arrays
        self._writing.start(self._write, self.directory, description, arrays)
        if wait:
            self.wait()
            self._arrays = {}

    def wait(self):
        """Wait until the checkpoint that was begun last is written.

        Raises:
            ValueError, OSError: what went wrong; once.
        """
        self._writing.wait()

    def _write(self, directory, description, arrays):
        write_checkpoint(directory, description, arrays, self._saved_in == directory)
        self._saved_in = directory


def resume(model, directory, may_differ=()):
    """Bring a compiled model to the state of a checkpoint, and log what was found.

    If the newest checkpoint is damaged, the one before it is taken, with a warning.

    Args:
        model: compiled Keras model, built and compiled as the one that was saved.
        directory: str. What `Checkpoint` wrote.
        may_differ: list of str. Settings that may be others than those of the checkpoint, such as
            "learning_rate", "dropout" or "optimizer.beta_2": names of settings, or of what holds
            them. All that does not differ in its arrays can be allowed. A new constant
            "learning_rate" is then the one of the compilation. Of what `Pretrainer.fit` is given
            next "corpus", "seed", "batch_size" (if there is no memory), "bidirectional" and
            "start" can be named.

    Returns:
        int. The global step: the number of the next batch. 0 if there is no checkpoint; the
        model is unchanged then.

    Raises:
        FileNotFoundError: if a file of the checkpoint is gone, and so is the one before it.
        ValueError: if the checkpoint is damaged, and the one before it too, or of another model;
            or if task, objective, backbone or optimizer have settings that differ and may not;
            the model is unchanged.
    """
    if getattr(model, "optimizer", None) is None:
        raise ValueError("The model has no optimizer yet: compile it first.")
    join_all()
    if not files.recover_directory(directory):
        logger.warning("Training starts at step 0: there is no checkpoint in %s.", directory)
        return 0
    description, arrays = read_checkpoint(directory)
    step, dtypes = description["step"], description.get("dtypes")
    allowed = _check_fingerprint(model, description.get("fingerprint"), may_differ, directory)
    rates = _rates(model) if any(map(_is_rate, allowed)) else []
    build_optimizer(model)
    carried, sizes = checked_carried(model, arrays, directory)
    variables = state_of(model)
    wrong = sorted(set(arrays) ^ set(variables)) + [
        f"{name} {arrays[name].shape} {arrays[name].dtype} for {variables[name].path} "
        f"{tuple(variables[name].shape)} {variables[name].dtype}"
        for name in sorted(set(arrays) & set(variables))
        if arrays[name].shape != tuple(variables[name].shape)
        or not has_dtype(arrays[name], variables[name], dtypes, name)
    ]
    if wrong:
        raise ValueError(
            f"{directory} is the checkpoint of another model, or of another compilation: "
            f"{wrong[:10]} differ. Build and compile the model as it was."
        )
    with scope_of(model):
        for purpose, size in sizes.items():
            model.state.resize(size, training=purpose == "training")
    for name, variable in carried_variables(model).items():
        if name in carried:
            variable.assign(carried[name])
    for name, variable in variables.items():
        variable.assign(arrays[name])
    for variable, rate in rates:
        variable.assign(rate)
    if hasattr(model, "resumed_examples"):
        examples = description.get("examples") or {}
        model.resumed_examples = ResumedExamples(str(directory), examples, may_differ)
    _say(step, directory, description.get("versions"), allowed)
    return step


class ResumedExamples:
    """What the next `fit` goes on with, as the checkpoint of a training says it.

    Args:
        directory: str. Where the checkpoint is.
        description: dict of what the examples are and of the number of the next batch, "start";
            empty if it is not known.
        may_differ: see `resume`.
    """

    def __init__(self, directory, description, may_differ):
        self.directory = directory
        self.description = description
        self.may_differ = may_differ

    def check(self, examples):
        """Refuse examples that do not go on with the training.

        Args:
            examples: `keras_plm.data.Examples`.

        Raises:
            ValueError: naming what differs and may not.
        """
        if not self.description:
            return
        allowed = refuse_differences(
            differences(self.description, {**examples.description(), "start": examples.start}),
            self.may_differ,
            f"The training of the checkpoint in {self.directory} does not go on with these "
            "examples:",
            "Make them as they were, with the next batch as `start`, "
            "`keras_plm.data.examples(..., start=...)`",
        )
        if allowed:
            logger.warning("%s: other examples, as allowed: %s.", self.directory, allowed)


def _check_fingerprint(model, fingerprint, may_differ, directory):
    """Compare a model with the settings in a checkpoint; the list of what differs and may."""
    if fingerprint is None:
        logger.warning("%s does not say of which settings it is: none is compared.", directory)
    return refuse_differences(
        differences(fingerprint or {}, training_fingerprint(model)),
        may_differ,
        f"{directory} is the checkpoint of another model, or of another compilation:",
        "Build and compile the model as it was",
    )


def _is_rate(path):
    """Whether a difference is one of learning rates, or of optimizers."""
    parts = path.split(".")
    return "learning_rate" in parts or (parts[0] == "optimizer" and parts[-1] in CLASS_KEYS)


def _rates(model):
    """The learning rates that are variables, each with its value."""
    rates = [getattr(one, "_learning_rate", None) for one in inner_optimizers(model.optimizer)]
    return [
        (rate, keras.ops.convert_to_numpy(rate))
        for rate in rates
        if isinstance(rate, keras.Variable)
    ]


def _say(step, directory, saved_by, allowed):
    """Log where training goes on, by what it was computed until then, and what differs."""
    here = versions()
    logger.info("Training goes on from step %d, the checkpoint in %s.", step, directory)
    if saved_by is not None and saved_by != here:
        logger.warning("%s was saved by %s; this is %s.", directory, saved_by, here)
    if allowed:
        logger.warning("%s: other settings, as allowed: %s.", directory, allowed)


def _is_finite(array):
    """Whether all values are; without an array of as many answers."""
    if array.dtype.kind != "f" or not array.size:
        return True
    return bool(np.isfinite([array.min(), array.max()]).all())
