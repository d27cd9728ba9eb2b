"""Keras `.weights.h5` files: looked through by their metadata before anything is read."""

import os
import tempfile
from collections import Counter

import keras
import numpy as np

from keras_plm.presets.array_check import check_arrays
from keras_plm.presets.h5_arrays import describe_weights_file


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
