"""Preset directories of tasks: backbone, tokenizer, settings and heads by name."""

import inspect
import logging
import os

from keras_plm import files
from keras_plm.backbones import Backbone
from keras_plm.backbones.preset_directory import write_json
from keras_plm.tasks.heads_file import read_heads, write_heads
from keras_plm.tasks.preprocessor import PREPROCESSOR_FILE, preprocessor_arguments

TASK_FILE = "task.json"
HEADS_FILE = "heads.safetensors"

logger = logging.getLogger("keras_plm")


def write_task(task, directory):
    """Write backbone, tokenizer, heads and settings into a directory that is there.

    Args:
        task: `Task`.
        directory: str.
    """
    task.backbone.write_preset(directory)
    if task.preprocessor is not None:
        task.preprocessor.write_preset(directory)
    write_heads(os.path.join(directory, HEADS_FILE), task.heads, task.backbone)
    settings = {"class": type(task).__name__, "settings": task.settings()}
    write_json(os.path.join(directory, TASK_FILE), settings)


def read_task(cls, preset, load_weights=True, **kwargs):
    """Load a task from the preset of this or of any other task, or of a backbone.

    Args:
        cls: class of the task.
        preset: str. The directory.
        load_weights: bool. False leaves all weights random.
        kwargs: see `Task.from_preset`.

    Returns:
        A task of class `cls`.

    Raises:
        FileNotFoundError: if there is no such preset.
        ValueError: if a file is not what it should be, or an argument is unknown.
    """
    own = constructor_arguments(cls)
    arguments = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
    to_preprocess = preprocessor_arguments(cls.preprocessor_class)
    settings = {name: kwargs.pop(name) for name in list(kwargs) if name in to_preprocess}
    backbone = Backbone.from_preset(preset, load_weights, **kwargs)
    if "preprocessor" not in arguments and _has(preset, PREPROCESSOR_FILE):
        arguments["preprocessor"] = cls.preprocessor_class.from_preset(preset, **settings)
    elif settings:
        raise ValueError(
            f"{sorted(settings)} change the preprocessor of the preset, which has none or is not "
            f"used. Received: {settings}."
        )
    if _has(preset, TASK_FILE):
        arguments = {**_read_settings(cls, preset), **arguments}
    missing = [
        name
        for name, parameter in own.items()
        if name not in arguments and parameter.default is inspect.Parameter.empty
    ]
    if missing:
        raise ValueError(
            f"The preset {preset} does not say {missing}. Give them: "
            f"`{cls.__name__}.from_preset(preset, {missing[0]}=...)`."
        )
    task = cls(backbone, **arguments)
    if load_weights and _has(preset, HEADS_FILE):
        new = read_heads(files.file_inside(preset, HEADS_FILE), task.heads, backbone)
    else:
        new = sorted(task.heads) if load_weights else []
    if new:
        logger.warning("%s: heads that the preset has not start new: %s", cls.__name__, new)
    return task


def constructor_arguments(cls):
    """The parameters of a task's constructor beside its backbone.

    Args:
        cls: class of the task.

    Returns:
        dict of str to `inspect.Parameter`.
    """
    parameters = inspect.signature(cls.__init__).parameters
    return {n: p for n, p in parameters.items() if n not in ("self", "backbone", "kwargs")}


def _read_settings(cls, preset):
    """The saved constructor arguments, if the preset is one of this class."""
    saved = files.read_json(files.file_inside(preset, TASK_FILE))
    files.check_config(saved)
    if saved.get("class") != cls.__name__:
        return {}
    settings = saved.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(f"{preset}/{TASK_FILE} has no `settings` object.")
    return cls.read_settings(settings)


def _has(directory, name):
    return os.path.lexists(os.path.join(directory, name))
