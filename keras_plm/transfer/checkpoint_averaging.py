"""The mean of the weights that a training had at several times: one preset of several."""

import os
import shutil

import keras
import numpy as np

from keras_plm import files, presets
from keras_plm.backbones import Backbone
from keras_plm.backbones.preset_files.preset_directory import CONFIG_FILE, WEIGHTS_FILE
from keras_plm.backbones.preset_files.weights_file import is_float
from keras_plm.tasks.preset_files.heads_file import read_arrays, write_arrays
from keras_plm.tasks.preset_files.task_preset import HEADS_FILE


def average_checkpoints(paths, directory):
    """Write a preset whose weights are the mean of those of several presets.

    The last epochs of a training, averaged, translate better than the last alone. The mean is of
    all floats of backbone and heads, in float32; all else (configuration, tokenizer, settings) is
    that of the last path. Nothing of an optimizer, no seed and no step is in a preset: a training
    that goes on from the mean begins with a new optimizer.

    Args:
        paths: list of str. Directories that `save_to_preset` wrote, of a backbone or a task, all of
            one model; one after the other is read.
        directory: str. Where the preset is written, whole or not at all; none of `paths`. A preset
            that is there is replaced.

    Raises:
        FileNotFoundError: if there is no such preset, or a file is missing.
        TypeError: if `paths` is no list of paths.
        ValueError: if there are none, a preset has weights of other names or shapes than the first
            (which are named), one is quantized or somebody else's, a file is damaged, or the
            directory is one of `paths` or holds something else.

    Example:
    ```text
    save = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: model.save_to_preset(f"run/{epoch}")
    )
    model.fit(x, y, epochs=20, callbacks=[save])
    average_checkpoints([f"run/{epoch}" for epoch in range(15, 20)], "run/average")
    averaged = type(model).from_preset("run/average")
    ```

    Source: Transformer (Vaswani et al. 2017), section 6.1: the last 5 checkpoints, 10 minutes
    apart, of the base model, and the last 20 of the big one.
    """
    sources = [_opened(path) for path in _checked_paths(paths)]
    if os.path.realpath(directory) in {os.path.realpath(source) for source in sources}:
        raise ValueError(f"`directory` must be none of the paths. Received: {directory!r}.")
    with files.atomic_directory(directory, CONFIG_FILE) as partial:
        backbone = _mean_backbone(sources)
        for name in os.listdir(sources[-1]):
            if name not in (CONFIG_FILE, WEIGHTS_FILE, HEADS_FILE):
                shutil.copyfile(sources[-1].file(name), os.path.join(partial, name))
        backbone.write_preset(partial)
        if any(source.has(HEADS_FILE) for source in sources):
            write_arrays(os.path.join(partial, HEADS_FILE), _mean_heads(sources))


def _checked_paths(paths):
    """The paths as a list, one at least."""
    if isinstance(paths, (str, os.PathLike)) or not hasattr(paths, "__iter__"):
        raise TypeError(f"paths must be a list of paths of presets. Received: {paths!r:.100}")
    paths = list(paths)
    if not paths:
        raise ValueError("paths must have a preset at least. Received: []")
    return paths


def _opened(path):
    """A preset of our own."""
    source = presets.open_preset(path)
    if source.checkpoint is not None:
        raise ValueError(
            "Presets that `save_to_preset` wrote can be averaged: load somebody else's checkpoint, "
            f"and save it. Received: {source.checkpoint}"
        )
    return source


def _mean_backbone(sources):
    """The last backbone, with the mean of all in its place."""
    first, sums = None, []
    for source in sources:
        backbone = Backbone.from_preset(source)
        if any(layer.quantization_mode for layer in backbone._flatten_layers()):
            raise ValueError(
                f"Quantized weights have no mean: average before quantizing. Received: {source}"
            )
        shapes = {weight.path: tuple(weight.shape) for weight in backbone.weights}
        first = shapes if first is None else first
        _check_same(first, shapes, sources[0], source)
        values = [_float32(weight) for weight in backbone.weights]
        sums = [a + b for a, b in zip(sums, values, strict=True)] if sums else values
    for weight, total in zip(backbone.weights, sums, strict=True):
        if is_float(weight):
            weight.assign(total / np.float32(len(sources)))
    return backbone


def _mean_heads(sources):
    """The arrays of the heads, the floats of which are the mean of all."""
    read = [read_arrays(source.file(HEADS_FILE)) if source.has(HEADS_FILE) else {}
            for source in sources]  # fmt: skip
    first = {name: array.shape for name, array in read[0].items()}
    for source, arrays in zip(sources, read):
        shapes = {name: array.shape for name, array in arrays.items()}
        _check_same(first, shapes, sources[0], source)
        if any(array.dtype.kind != "f" for array in arrays.values()):
            raise ValueError(
                f"Quantized weights have no mean: average before quantizing. Received: {source}"
            )
    count = np.float32(len(read))
    return {name: sum(arrays[name] for arrays in read) / count for name in first}


def _float32(weight):
    return keras.ops.convert_to_numpy(weight.value).astype("float32")


def _check_same(first, shapes, path, other):
    """Refuse weights of other names or shapes, and name the first that differs."""
    for name in (*first, *shapes):
        if first.get(name) != shapes.get(name):
            raise ValueError(
                "All presets must be of one model, with weights of the same names and shapes. "
                f"Received: {name!r}, which is {_said(first.get(name))} in {path} and "
                f"{_said(shapes.get(name))} in {other}"
            )


def _said(shape):
    return "missing" if shape is None else f"of the shape {shape}"
