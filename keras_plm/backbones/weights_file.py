"""Keras `.weights.h5` files: looked through by their metadata before anything is read."""

import math
import os
import tempfile
from collections import Counter
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_plm.presets.array_check import check_arrays


def describe_weights_file(path):
    """Lists the arrays of a Keras `.weights.h5` file from its metadata; no array is read.

    Refused: anything that is not stored plainly in this one file (soft and external links,
    objects linked twice, external storage, virtual data sets, filters, data types other than
    numbers) or that declares more bytes than the file has.

    Args:
        path: the file.

    Returns:
        `{path of the data set, such as "layers/dense/vars/0": (shape, data type)}`.

    Raises:
        ValueError: if the file is not HDF5, is truncated, or holds anything refused.
    """
    path = Path(path)
    size = path.stat().st_size
    found = {}
    try:
        with h5py.File(path, "r") as file:
            groups, seen = [("", file)], {h5py.h5o.get_info(file.id).addr}
            while groups:
                prefix, group = groups.pop()
                for key in group:
                    name = prefix + key
                    if type(group.get(key, getlink=True)) is not h5py.HardLink:
                        raise ValueError(f"{name!r} is a link to another place")
                    entry = group[key]
                    address = h5py.h5o.get_info(entry.id).addr
                    if address in seen:
                        raise ValueError(f"{name!r} is a second link to one object")
                    seen.add(address)
                    if isinstance(entry, h5py.Group):
                        groups.append((name + "/", entry))
                    else:
                        found[name] = _describe_dataset(name, entry)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a usable weights file: {error}") from error
    declared = sum(math.prod(shape) * dtype.itemsize for shape, dtype in found.values())
    if declared > size:
        raise ValueError(f"{path} declares {declared} bytes of weights. Received: {size} bytes")
    return found


def check_weights_file(path, expected):
    """Checks, before anything is read, that a weights file holds exactly the expected arrays.

    Args:
        path: a Keras `.weights.h5` file.
        expected: `{path of the data set: shape}`, as `describe_weights_file` names them.

    Raises:
        ValueError: naming all missing, unexpected and misshapen arrays at once, or as
            `describe_weights_file`.
    """
    found = {name: shape for name, (shape, _) in describe_weights_file(path).items()}
    check_arrays(path, {name.strip("/"): shape for name, shape in expected.items()}, found)


def assign_weights(model, values):
    """Give values to the weights of a new model.

    Args:
        model: built Keras model.
        values: iterable of pairs of a weight's path and a numpy array.

    Raises:
        ValueError: if the model has no such weight, or one of another shape.
    """
    weights = {weight.path: weight for weight in model.weights}
    for path, value in values:
        weight = weights.get(path)
        if weight is None or tuple(weight.shape) != value.shape:
            raise ValueError(
                f"The weight {path!r} of shape {value.shape} has no place in a "
                f"{type(model).__name__}, whose weight there is {weight}."
            )
        weight.assign(value)


def read_weights(model, path):
    """Load a `.weights.h5` file into a built model, after checking the file's metadata.

    Args:
        model: built Keras model or layer with `save_weights` and `load_weights`.
        path: str. The file.

    Raises:
        ValueError: if an array is missing, unexpected, misshapen, stored outside of the file, or
            not finite. All names are reported in one message.
    """
    if any(layer.quantization_mode for layer in model._flatten_layers()):
        _check_shapes(model, path)  # Keras can write a quantized layer only after it was loaded
    else:
        check_weights_file(path, _weights_file_shapes(model))
    model.load_weights(path)
    bad = [v.path for v in model.weights if not _is_finite(v)]
    if bad:
        raise ValueError(f"{path} holds weights that are not finite: {bad[:20]}.")


def _weights_file_shapes(model):
    """The arrays that the file of a model has, by writing one: Keras's layout is its own."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "own.weights.h5")
        model.save_weights(path)
        return {name: shape for name, (shape, _) in describe_weights_file(path).items()}


def _check_shapes(model, path):
    """Refuse a file whose arrays have other shapes than the weights of a model, in any order."""
    found = Counter(shape for shape, _ in describe_weights_file(path).values())
    expected = Counter(tuple(weight.shape) for weight in model.weights)
    if found != expected:
        raise ValueError(
            f"{path} does not hold the weights of this model: missing are arrays of the shapes "
            f"{sorted((expected - found).elements())}, unexpected are "
            f"{sorted((found - expected).elements())}. Use the configuration that the weights "
            "were saved with."
        )


def _is_finite(variable):
    values = keras.ops.convert_to_numpy(variable.value)
    return values.dtype.kind in "iub" or bool(np.isfinite(values.astype("float32")).all())


def _describe_dataset(name, dataset):
    """The shape and data type of a plainly stored data set."""
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name!r} is neither a group nor a data set")
    storage = dataset.id.get_create_plist()
    if dataset.is_virtual or dataset.external or storage.get_external_count():
        raise ValueError(f"{name!r} keeps its data in another file")
    if storage.get_nfilters():
        raise ValueError(f"{name!r} is compressed or filtered, which Keras never does")
    dtype, shape = dataset.dtype, dataset.shape
    is_bfloat16 = dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2
    if shape is None or dtype.hasobject or not (dtype.kind in "biuf" or is_bfloat16):
        raise ValueError(f"{name!r} must be an array of numbers. Received: {dtype}")
    if dataset.id.get_storage_size() < math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name!r} declares shape {shape} but its data are not all there")
    return tuple(shape), dtype
