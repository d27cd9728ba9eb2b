"""What a `MultiTask` is made of: its tasks, groups of its optimizer, files of its heads."""

import logging
import os
import re

import keras

from keras_plm import tasks as room
from keras_plm.checks import check_names, constructor_arguments, did_you_mean
from keras_plm.preprocessing.preprocessor import preprocessor_arguments
from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.tasks.preset_files.head_states import (
    give_head_states,
    head_states,
    take_head_states,
)
from keras_plm.tasks.preset_files.heads_file import own_variables, read_heads, write_heads
from keras_plm.tasks.task import Task

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
REFUSED = ("auxiliary_lm", "gradient_length")  # losses and reading of their own
SHARED = ("sequence_length", "language", "pre_split")

logger = logging.getLogger("keras_plm")


def make_tasks(backbone, described, preprocessor):
    """Make tasks that share a backbone; the paths of their heads' weights begin with their names.

    Args:
        backbone: a backbone of this package.
        described: dict of names to dicts, see `MultiTask`.
        preprocessor: `Preprocessor` or None.

    Returns:
        dict of names to `Task`, not compiled.

    Raises:
        ValueError: if a name, a class or an argument is none.
    """
    if not isinstance(described, dict) or not described:
        raise ValueError(
            "`tasks` must be a dict of the names of tasks to dicts of their class and arguments, "
            'such as {"cola": {"class": "TextClassifier", "num_classes": 2}}. '
            f"Received: tasks={described!r:.200}."
        )
    made = {}
    for name, one in described.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                "The name of a task must be of letters, digits, '_' and '-', at most 64. "
                f"Received: {name!r:.100}."
            )
        if not isinstance(one, dict) or "class" not in one:
            raise ValueError(
                f"The task {name!r} must be a dict of its class and arguments, such as "
                f'{{"class": "TextClassifier", "num_classes": 2}}. Received: {one!r:.200}.'
            )
        made[name] = _made(name, dict(one), backbone, preprocessor)
    return made


def _made(name, given, backbone, preprocessor):
    """One task."""
    cls = _class_of(name, given.pop("class"))
    states = take_head_states(given)
    own = set(constructor_arguments(cls)) - {"backbone", "preprocessor"}
    to_preprocess = set(preprocessor_arguments(cls.preprocessor_class)) - {"name"}
    check_names(f"The task {name!r}, a {cls.__name__},", given, own | to_preprocess)
    refused = [one for one in REFUSED if given.get(one)]
    if refused:
        raise ValueError(
            f"The task {name!r} cannot have {refused} beside other tasks: all share one reading, "
            f"and the loss is that of its head. Received: {given!r:.200}."
        )
    settings = {key: value for key, value in given.items() if key in to_preprocess - own}
    arguments = {key: value for key, value in given.items() if key in own}
    if preprocessor is not None:
        preprocessor = _preprocessor(cls.preprocessor_class, preprocessor, settings)
    elif settings:
        raise ValueError(
            f"The arguments {sorted(settings)} of the task {name!r} are those of a preprocessor. "
            "Received: preprocessor=None."
        )
    arguments = cls.read_settings(arguments)
    with keras.name_scope(name):
        task = cls(backbone, preprocessor=preprocessor, compile=False, **arguments)
        give_head_states(task.heads, backbone, states)
    return task


def _class_of(name, given):
    """The class of a task, by itself or by its name."""
    known = {one: getattr(room, one) for one in room.__all__}
    known = {one: cls for one, cls in known.items() if isinstance(cls, type)}
    found = given
    if isinstance(given, str):
        found = known.get(given) or keras.saving.get_registered_object(given)
    good = isinstance(found, type) and issubclass(found, Task) and found.read is not Task.read
    if not good:
        can = [one for one, cls in known.items() if issubclass(cls, Task)]
        can = [one for one in can if known[one].read is not Task.read]
        raise ValueError(
            f"The class of the task {name!r} must be one of {can}, or a user's own `Task` with a "
            f"`read`. Received: {given!r:.100}.{did_you_mean(given, can)}"
        )
    return found


def _preprocessor(cls, shared, settings):
    """The preprocessor of a task: the shared one, if it is as the task needs it."""
    if type(shared) is cls and not settings:
        return shared
    known, given = preprocessor_arguments(cls), shared.settings()
    own = {key: given[key] for key in SHARED if key in given and key in known}
    own |= given if type(shared) is cls else {}
    return cls(shared.tokenizer, **{**own, **settings})


def descriptions(tasks, preprocessor):
    """What `make_tasks` makes the same tasks of, as plain JSON values.

    Args:
        tasks: dict of names to `Task`.
        preprocessor: the shared one, or None.

    Returns:
        dict of names to dicts.
    """
    found = {}
    for name, task in tasks.items():
        cls = type(task)
        own = cls.__name__
        if getattr(room, own, None) is not cls:
            own = keras.saving.get_registered_name(cls)
        found[name] = {"class": own, **task.settings()}
        if task.preprocessor is not None and task.preprocessor is not preprocessor:
            found[name] |= task.preprocessor.settings()
        found[name] |= head_states(task.heads, task.backbone)
    return found


# === Groups of the optimizer ===


def with_groups(optimizer, tasks):
    """Let an optimizer have each head as a group of its own, the first ones in their order.

    Args:
        optimizer: Keras optimizer that was not used before; of a `GroupedOptimizer` each group
            keeps its factor.
        tasks: dict of names to `Task`.

    Returns:
        `GroupedOptimizer`.

    Raises:
        ValueError: see there; or if a group holds only a part of a head.
    """
    heads = [
        [one.path for head in task.heads.values() for _, one in own_variables(head, task.backbone)]
        for task in tasks.values()
    ]
    if not isinstance(optimizer, GroupedOptimizer):
        return GroupedOptimizer(optimizer, heads)
    factor_of = {
        path: factor
        for paths, factor in zip(optimizer.paths, optimizer.initial_factors)
        for path in paths
    }
    factors = [{factor_of.get(path, 1.0) for path in head} for head in heads]
    if any(len(one) > 1 for one in factors):
        raise ValueError(
            "All weights of a head must be in groups of one factor. "
            f"Received: the factors {[sorted(one) for one in factors]} in {list(tasks)}."
        )
    of_heads = {path for head in heads for path in head}
    rest = [
        ([path for path in paths if path not in of_heads], factor)
        for paths, factor in zip(optimizer.paths, optimizer.initial_factors)
    ]
    rest = [(paths, factor) for paths, factor in rest if paths]
    return GroupedOptimizer(
        optimizer.optimizer,
        [*heads, *(paths for paths, _ in rest)],
        [*(one.pop() for one in factors), *(factor for _, factor in rest)],
    )


def grouped(optimizer):
    """The `GroupedOptimizer` itself, which scaling of losses may wrap.

    Args:
        optimizer: Keras optimizer.
    """
    (found,) = inner_optimizers(optimizer)
    return found


# === Validation ===


class EvaluateTasks(keras.callbacks.Callback):
    """Evaluates all tasks behind each epoch, and puts what comes out into its logs.

    Args:
        data: dict of names of tasks to tuples (x, y, sample_weight), ready.
        batch_size: int or None.
    """

    def __init__(self, data, batch_size):
        super().__init__()
        self.data, self.batch_size = data, batch_size

    def on_epoch_end(self, epoch, logs=None):
        found = self.model.evaluate(self.data, batch_size=self.batch_size)
        (logs if logs is not None else {}).update({f"val_{k}": v for k, v in found.items()})


# === Files ===


def write_heads_of_tasks(tasks, directory):
    """Write the heads of each task into a folder of its name.

    Args:
        tasks: dict of names to `Task`.
        directory: str, which is there.
    """
    for name, task in tasks.items():
        folder = os.path.join(directory, "tasks", name)
        os.makedirs(folder)
        write_heads(os.path.join(folder, "heads.safetensors"), task.heads, task.backbone)


def read_heads_of_tasks(tasks, preset):
    """Read the heads that a preset has; those that it has not start new, which is said.

    Args:
        tasks: dict of names to `Task`.
        preset: `OpenedPreset`.

    Raises:
        ValueError: see `read_heads`.
    """
    new = {}
    for name, task in tasks.items():
        path = os.path.join("tasks", name, "heads.safetensors")
        if preset.checkpoint is not None or not preset.has(path):
            new[name] = "the preset has no such task"
            continue
        found = read_heads(preset.file(path), task.heads, task.backbone)
        new |= {f"{name}/{head}": why for head, why in found.items()}
    if new:
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(new.items()))
        logger.warning("MultiTask: heads that the preset has not start new: %s", reasons)
