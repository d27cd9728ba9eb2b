"""Keras `.weights.h5` files: looked through by their metadata before anything is read."""

import os
import tempfile
from collections import Counter

import keras
import numpy as np

from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.h5_arrays import describe_weights_file


def check_weights_file(path, expected, converts_floats=False):
    """Checks, before anything is read, that a weights file holds exactly the expected arrays.

    Args:
        path: a Keras `.weights.h5` file.
        expected: `{path of the data set: (shape, data type)}`, as `describe_weights_file` says.
        converts_floats: bool. Whether floats may be of another precision than expected, because
            the model was asked for in another one than the file's.

    Raises:
        ValueError: naming all missing, unexpected and misshapen arrays at once, those of another
            data type too, or as `describe_weights_file`.
    """
    found = describe_weights_file(path)
    expected = {name.strip("/"): array for name, array in expected.items()}
    both = expected.keys() & found.keys()
    check_arrays(
        path,
        {name: shape for name, (shape, _) in expected.items()},
        {name: shape for name, (shape, _) in found.items()},
        dtypes={
            name: tuple(_dtype_name(array[name][1], converts_floats) for array in (expected, found))
            for name in both
        },
    )


def _dtype_name(dtype, any_float):
    """The name of a data type of HDF5, in which Keras's bfloat16 is two opaque bytes."""
    if dtype.kind in "fV":
        name = "bfloat16" if dtype.kind == "V" else dtype.name
        return "float" if any_float else name
    return dtype.name


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


def read_weights(model, path, converts_floats=False):
    """Load a `.weights.h5` file into a built model, after checking the file's metadata.

    Args:
        model: built Keras model or layer with `save_weights` and `load_weights`.
        path: str. The file.
        converts_floats: bool. Whether the model was asked for in another precision than the
            file's, so that floats are converted.

    Raises:
        ValueError: if an array is missing, unexpected, misshapen, of another data type, stored
            outside of the file, or not finite. All names are reported in one message.
    """
    if any(layer.quantization_mode for layer in model._flatten_layers()):
        # Keras can write a quantized layer only after it was loaded
        _check_arrays_in_any_order(model, path, converts_floats)
    else:
        check_weights_file(path, _own_weights_file(model), converts_floats)
    model.load_weights(path)
    bad = [v.path for v in model.weights if not _is_finite(v)]
    if bad:
        raise ValueError(f"{path} holds weights that are not finite: {bad[:20]}.")


def check_finite(variables):
    """Refuse to save values that a reader would refuse.

    Args:
        variables: iterable of Keras variables.

    Raises:
        ValueError: naming those with NaN or infinity.
    """
    bad = [variable.path for variable in variables if not _is_finite(variable)]
    if bad:
        raise ValueError(
            "Nothing was saved, as these values are not finite: go back to the last checkpoint, "
            f"lower the learning rate, or look for bad data. Received: {bad[:20]}."
        )


def _own_weights_file(model):
    """The arrays that the file of a model has, by writing one: Keras's layout is its own."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "own.weights.h5")
        model.save_weights(path)
        return describe_weights_file(path)


def _check_arrays_in_any_order(model, path, converts_floats):
    """Refuse a file whose arrays have other shapes or data types than a model's weights."""
    found = Counter(
        (shape, _dtype_name(dtype, converts_floats))
        for shape, dtype in describe_weights_file(path).values()
    )
    expected = Counter(
        (tuple(weight.shape), "float" if converts_floats and is_float(weight) else weight.dtype)
        for weight in model.weights
    )
    if found != expected:
        raise ValueError(
            f"{path} does not hold the weights of this model: missing are arrays of the shapes "
            f"{sorted((expected - found).elements())}, unexpected are "
            f"{sorted((found - expected).elements())}. Use the configuration that the weights "
            "were saved with."
        )


def is_float(variable):
    """Whether a variable holds floats, of any precision.

    Args:
        variable: Keras variable.
    """
    return "float" in keras.backend.standardize_dtype(variable.dtype)


def _is_finite(variable):
    values = keras.ops.convert_to_numpy(variable.value)
    return values.dtype.kind in "iub" or bool(np.isfinite(values.astype("float32")).all())
