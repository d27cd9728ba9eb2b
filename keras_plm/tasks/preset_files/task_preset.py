"""Preset directories of tasks: backbone, tokenizer, settings and heads by name."""

import inspect
import logging
import math
import os

from keras_plm import files, presets
from keras_plm.backbones.backbone import known_backbones
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.backbones.preset_files.frozen_parts import freeze_parts
from keras_plm.backbones.preset_files.preset_directory import (
    arguments_of,
    backbone_class,
    build_backbone,
    said_with,
)
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checks import check_names, constructor_arguments, is_integer
from keras_plm.files import write_json
from keras_plm.preprocessing.preprocessor import PREPROCESSOR_FILE, preprocessor_arguments
from keras_plm.tasks.preset_files.head_states import head_states
from keras_plm.tasks.preset_files.heads_file import (
    head_shapes,
    own_variables,
    read_checkpoint_heads,
    read_heads,
    write_heads,
)
from keras_plm.tasks.preset_files.quantized_layers import quantize_layers

TASK_FILE = "task.json"
HEADS_FILE = "heads.safetensors"
# Arguments that change no shape of a head's weights.
UNSHAPED = {
    "attention_dropout",
    "class_names",
    "dropout",
    "dtype",
    "multi_label",
    "name",
    "preprocessor",
    "trainable",
}

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
    description = {
        "class": type(task).__name__,
        "settings": task.settings(),
        "heads": {name: _plain_settings(head) for name, head in task.heads.items()},
        "preprocessor": task.preprocessor and type(task.preprocessor).__name__,
        **head_states(task.heads, task.backbone),
    }
    write_json(os.path.join(directory, TASK_FILE), description)


def read_task(cls, preset, load_weights=True, strict=False, **kwargs):
    """Load a task from the preset of this or of any other task, or of a backbone.

    Args:
        cls: class of the task.
        preset: str or `OpenedPreset`. What `keras_plm.presets.open_preset` takes.
        load_weights: bool. False leaves all weights random.
        strict, kwargs: see `Task.from_preset`.

    Returns:
        A task of class `cls`.

    Raises:
        FileNotFoundError: if there is no such preset, or a file is gone that it was saved with.
        ValueError: if a file is not what it should be, or an argument is unknown.
    """
    own = task_arguments(cls)
    arguments = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
    to_preprocess = preprocessor_arguments(cls.preprocessor_class)
    settings = {name: kwargs.pop(name) for name in list(kwargs) if name in to_preprocess}
    preset = presets.open_preset(preset)
    checkpoint, weights = preset.checkpoint, DeferredWeights()
    if checkpoint is None:
        _check_files(preset, arguments)
    classes = known_backbones()
    if kwargs:
        backbone = backbone_class(preset, classes)
        known = {*own, *to_preprocess, *arguments_of(backbone)}
        check_names(f"{cls.__name__} of a {backbone.__name__}", kwargs, known)
    backbone, finish = build_backbone(preset, classes, weights, load_weights, strict, **kwargs)
    if "preprocessor" not in arguments and _has_preprocessor(preset):
        arguments["preprocessor"] = cls.preprocessor_class.from_preset(preset, **settings)
    elif settings:
        raise ValueError(
            f"{sorted(settings)} change the preprocessor of the preset, which has none or is not "
            f"used. Received: {settings}."
        )
    saved = {}
    if checkpoint is not None and load_weights:
        saved = checkpoint.settings()
    elif checkpoint is None and preset.has(TASK_FILE):
        saved = _read_settings(cls, preset, given=arguments)
    changed = {*arguments, *kwargs}
    if arguments.get("num_classes", saved.get("num_classes")) != saved.get("num_classes"):
        saved.pop("class_names", None)  # they name other classes
    arguments = {**{name: saved[name] for name in saved if name in own}, **arguments}
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
    described = f"{preset}/{TASK_FILE}" if checkpoint is None else str(preset)
    with files.reading(said_with(described, changed)):
        task = _built(cls, backbone, arguments, weights)
    if not load_weights:
        new = {}
    elif checkpoint is not None:
        new = read_checkpoint_heads(checkpoint, task.heads, backbone, weights)
    else:
        new = _own_heads(task, preset, weights, changed, strict)
    weights.fill()
    finish()
    if not task.compiled:
        task.compile()
    if new:
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(new.items()))
        message = "%s: heads that the preset has not start new: %s (%s)"
        logger.warning(message, cls.__name__, sorted(new), reasons)
    _say_other_activation(task, saved, arguments)
    return task


def _check_files(preset, given):
    """Refuse a preset of ours without a file that it was saved with."""
    saved = preset.read_json(TASK_FILE) if preset.has(TASK_FILE) else {}
    needed = {
        TASK_FILE: preset.has(HEADS_FILE),
        HEADS_FILE: bool(saved.get("heads")),
        PREPROCESSOR_FILE: saved.get("preprocessor") and "preprocessor" not in given,
    }
    missing = [name for name, is_needed in needed.items() if is_needed and not preset.has(name)]
    if missing:
        raise FileNotFoundError(
            f"{preset} has no {missing}, which it was saved with. Take another copy of it, or load "
            "its backbone alone: `Backbone.from_preset`."
        )


def _built(cls, backbone, arguments, weights):
    """A task that waits for its weights and is not compiled, unless it is of a user's class."""
    if not cls.__module__.startswith("keras_plm."):  # its constructor may need values
        weights.fill()
        return cls(backbone, **arguments)
    with weights.building():
        return cls(backbone, compile=False, **arguments)


def _own_heads(task, preset, weights, changed, strict):
    """Read the heads of a preset of ours; return those that it has not, with the reasons."""
    saved = preset.read_json(TASK_FILE) if preset.has(TASK_FILE) else {}
    made = _saved_heads(saved, preset)
    path = preset.file(HEADS_FILE) if preset.has(HEADS_FILE) else None
    if path is not None and made:
        known = {*made, *(head.name for head in task.heads.values())}
        shapes = head_shapes(path)
        of_heads = {key: shape for key, shape in shapes.items() if key.split("/")[0] in known}
        check_arrays(path, of_heads, shapes, strict=strict)
    if saved.get("class") == type(task).__name__:
        _check_heads(task, saved, preset, changed, {} if path is None else head_shapes(path))
    if saved.get("quantized_layers"):
        weights.fill()
        _quantize_heads(task, preset, made, saved["quantized_layers"])
    if path is None:
        return {name: "the preset has no heads" for name in task.heads}
    new = read_heads(path, task.heads, task.backbone, weights)
    with files.reading(f"{preset}/{TASK_FILE}"):
        there = {name: head for name, head in task.heads.items() if name not in new}
        freeze_parts(there, saved.get("frozen", ()))
    return new


def _check_heads(task, saved, preset, changed, shapes):
    """Refuse settings of other heads than the file's arrays of these shapes, if nobody asked."""
    wrong = []
    if "num_classes" not in changed:
        number = getattr(task, "num_classes", None)
        if number is not None and number not in {shape[-1] for shape in shapes.values() if shape}:
            wrong = [f"no array is of num_classes={number}"]
    if not changed - UNSHAPED:
        quantized = saved.get("quantized_layers")
        quantized = quantized if isinstance(quantized, dict) else {}
        for name, head in task.heads.items():
            for key, variable in own_variables(head, task.backbone):
                found, needed = shapes.get(key), tuple(variable.shape)
                packed = name in quantized and key.endswith("/kernel") and found  # two in a byte
                if found != needed and not (packed and math.prod(needed) <= 2 * math.prod(found)):
                    wrong.append(f"{key!r} of the shape {needed}, in the file {found}")
    if wrong:
        raise ValueError(
            f"{preset}/{TASK_FILE} describes other heads than {HEADS_FILE} holds: "
            f"{'; '.join(wrong[:5])}."
        )


def _say_other_activation(task, saved, arguments):
    """Say it where a head over the vocabulary is not what the checkpoint says, and nobody asked."""
    head, theirs = task.heads.get("tokens"), saved.get("head_activation")
    if theirs is None or "head_activation" in arguments or getattr(head, "transform", None) is None:
        return
    if head.activation != theirs:
        message = "%s: the head 'tokens' has the activation %r there, here %r: its logits differ."
        logger.warning(message, type(task).__name__, theirs, head.activation)


def task_arguments(cls):
    """The parameters of a task's constructor beside its backbone.

    Args:
        cls: class of the task.

    Returns:
        dict of str to `inspect.Parameter`.
    """
    return {n: p for n, p in constructor_arguments(cls).items() if n != "backbone"}


def _has_preprocessor(preset):
    """Whether a preset says how texts become features."""
    if preset.checkpoint is None:
        return preset.has(PREPROCESSOR_FILE)
    return preset.tokenizer_files is not None


def _read_settings(cls, preset, given=()):
    """The saved constructor arguments but those given, if the preset is one of this class."""
    saved = preset.read_json(TASK_FILE)
    settings = saved.get("settings")
    with files.reading(f"{preset}/{TASK_FILE}"):
        files.check_config(_without_class_names(saved))
        if saved.get("class") != cls.__name__:
            return cls.settings_of_heads(_saved_heads(saved, preset))
        if not isinstance(settings, dict):
            raise ValueError(f"{preset}/{TASK_FILE} has no `settings` object.")
        return cls.read_settings({name: v for name, v in settings.items() if name not in given})


def _without_class_names(value):
    """Settings without the names of classes, which may be anything, such as "." or "I/O"."""
    if not isinstance(value, dict):
        return value
    kept = {name: one for name, one in value.items() if name != "class_names"}
    return {name: _without_class_names(one) for name, one in kept.items()}


def _saved_heads(saved, preset):
    """The plain settings of the heads that a preset has, by name."""
    heads = saved.get("heads", {})
    if not isinstance(heads, dict) or not all(isinstance(h, dict) for h in heads.values()):
        raise ValueError(f"{preset}/{TASK_FILE} has no `heads` object of objects.")
    return heads


def _quantize_heads(task, preset, made, quantized):
    """Quantize the heads of a new task as those of its preset are; values come afterwards.

    A head made otherwise, such as for another number of classes, starts new and is to be trained.
    """
    heads = {
        name: head
        for name, head in task.heads.items()
        if {**_plain_settings(head), "dropout": None}
        == {**_defaults(head), **made.get(name, {}), "dropout": None}
    }
    with files.reading(f"{preset}/{TASK_FILE}"):
        quantize_layers(heads, task.backbone, quantized)


def _plain_settings(head):
    """What a head was made with, as far as `_plain` says it."""
    return _plain({**head.get_config(), "name": None, "trainable": None, "dtype": None})


def _defaults(head):
    """What a head is made with that says nothing else, as an older preset says nothing."""
    parameters = inspect.signature(type(head).__init__).parameters.values()
    known = _plain_settings(head)
    return {n: v for n, v in _plain({p.name: p.default for p in parameters}).items() if n in known}


def _plain(settings):
    """Of settings those that are numbers, lists of whole numbers, and words."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, (bool, int, float, str))
        or isinstance(value, list)
        and all(map(is_integer, value))
    }
