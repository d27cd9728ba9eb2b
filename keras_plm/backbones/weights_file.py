"""Keras `.weights.h5` files: looked through by their metadata before anything is read."""

import functools
from collections import Counter

import h5py
import keras
import ml_dtypes
import numpy as np

from keras_plm.backbones.deferred_weights import DeferredWeights
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.h5_arrays import describe_weights_file
from keras_plm.ops.keras_internals import stored_variables


def check_weights_file(path, expected, converts_floats=False, strict=True):
    """Checks, before anything is read, that a weights file holds the expected arrays.

    Args:
        path: a Keras `.weights.h5` file.
        expected: `{path of the data set: (shape, data type)}`, as `describe_weights_file` says.
        converts_floats: bool. Whether floats may be of another precision than expected, because
            the model was asked for in another one than the file's.
        strict: bool. Whether arrays that stand apart from the model are refused.

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
        strict=strict,
    )


def _dtype_name(dtype, any_float):
    """The name of a data type of HDF5, in which Keras's bfloat16 is two opaque bytes."""
    if dtype.kind in "fV":
        name = "bfloat16" if dtype.kind == "V" else dtype.name
        return "float" if any_float else name
    return dtype.name


def give_weights(model, places, weights):
    """Let a new model's weights be filled from somebody else's file.

    Args:
        model: built Keras model.
        places: dict of a weight's path to its shape and a function that reads it.
        weights: `DeferredWeights`.

    Raises:
        ValueError: if the model has no such weight, or one of another shape; nothing has been
            read.
    """
    known = {weight.path: weight for weight in model.weights}
    for path, (shape, read) in places.items():
        weight = known.get(path)
        if weight is None or tuple(weight.shape) != tuple(shape):
            found = "missing" if weight is None else f"of shape {tuple(weight.shape)}"
            raise ValueError(
                f"The weight {path!r} of shape {tuple(shape)} has no place in a "
                f"{type(model).__name__}, whose weight there is {found}."
            )
        weights.give(weight, read)


def read_weights(model, path, converts_floats=False):
    """Load a `.weights.h5` file into a built model, after checking the file's metadata.

    Args:
        model: built Keras model or layer with `load_weights`.
        path: str. The file.
        converts_floats: bool. Whether the model was asked for in another precision than the
            file's, so that floats are converted.

    Raises:
        ValueError: as `give_stored_weights`, and if a value is not finite.
    """
    weights = DeferredWeights()
    load = give_stored_weights(model, path, weights, converts_floats)
    weights.fill()
    load()


def give_stored_weights(model, path, weights, converts_floats=False, strict=True):
    """Let the weights of a built model be filled from a `.weights.h5` file.

    Args:
        model: built Keras model or layer.
        path: str. The file, of which only the metadata is read now.
        weights: `DeferredWeights`.
        converts_floats: bool. Whether floats may be converted.
        strict: bool. Whether arrays that stand apart from the model are refused; those of a
            quantized one are in any case, as they are told by their shapes.

    Returns:
        Function to be called when the weights have been filled. `fill` raises ValueError for
        values that are not finite.

    Raises:
        ValueError: if an array is missing, unexpected, misshapen, of another data type, or stored
            outside of the file. All names are reported in one message.
    """
    quantized = any(layer.quantization_mode for layer in model._flatten_layers())
    if quantized:  # before Keras computes anything of the sizes of its layers
        _check_arrays_in_any_order(model, path, converts_floats)
    stored = stored_variables(model)
    own = {id(variable) for variable in model.weights}
    if any(id(variable) not in own for variable in stored.values()):
        if not quantized:  # a layer that saves in a way of its own
            _check_arrays_in_any_order(model, path, converts_floats)
        return lambda: _load_and_check(model, path)  # int8 and int4: Keras knows names at reading
    expected = {
        name: (tuple(variable.shape), hdf5_dtype(variable)) for name, variable in stored.items()
    }
    check_weights_file(path, expected, converts_floats, strict)
    for name, variable in stored.items():
        weights.give(variable, functools.partial(_read_array, path, name, variable.path))
    return lambda: None


def _load_and_check(model, path):
    """Load by Keras's own means."""
    model.load_weights(path)
    bad = [v.path for v in model.weights if not _is_finite(v)]
    if bad:
        raise ValueError(f"{path} holds weights that are not finite: {bad[:20]}.")


def _read_array(path, name, weight):
    """Read one array as Keras wrote it, and refuse one that is not finite."""
    with h5py.File(path, "r") as file:
        array = file[name][()]
    if array.dtype.kind == "V":  # numpy does not know Keras's bfloat16
        array = array.view(ml_dtypes.bfloat16)
    if array.dtype.kind not in "iub" and not np.isfinite(array).all():
        raise ValueError(f"{path} holds weights that are not finite: {[weight]}.")
    return array


def hdf5_dtype(variable):
    """The data type that a variable has in a `.weights.h5` file."""
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return np.dtype("V2") if dtype == "bfloat16" else np.dtype(dtype)


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
