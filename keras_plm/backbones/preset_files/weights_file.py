"""Keras `.weights.h5` files: looked through by their metadata before anything is read."""

import functools
import io
import logging
from collections import Counter

import h5py
import keras
import ml_dtypes
import numpy as np

from keras_plm import files
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.formats.h5_arrays import describe_weights_file
from keras_plm.ops.keras_internals import stored_variables, write_variables

DIGEST = "sha256"  # attribute of a data set: what `files.digest` says of it, under its path
logger = logging.getLogger("keras_plm")


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


def write_weights(model, path):
    """Write a `.weights.h5` file as Keras does, with a digest beside each array.

    Args:
        model: built Keras model or layer.
        path: str. The file.

    Raises:
        OSError: if the disk is full, or does not take it for another reason.
    """
    with _PatientFile(path) as file:
        write_variables(model, file, _digest_attribute)


def _digest_attribute(name, array):
    """What stands beside an array, in a form that HDF5 puts right there."""
    return {DIGEST: np.bytes_(_digest(name, array))}


def _digest(name, array):
    """The digest of an array; bfloat16 is two bytes to HDF5."""
    return files.digest({name: array.view("V2") if array.dtype == ml_dtypes.bfloat16 else array})


class _PatientFile(io.BytesIO):
    """A file on the disk that takes anything, and says at its end what went wrong.

    HDF5 may crash the process if a disk is full before its file is closed.
    """

    def __init__(self, path):
        super().__init__()
        self._file, self._error = open(path, "w+b"), None

    def _try(self, call, argument, otherwise):
        """Do it, unless something went wrong before."""
        if self._error is None:
            try:
                return call(argument)
            except OSError as error:
                self._error = error
        return otherwise

    def write(self, data):
        return self._try(self._file.write, data, len(data))

    def readinto(self, buffer):
        return self._try(self._file.readinto, buffer, len(buffer))

    def seek(self, *place):
        return self._try(lambda place: self._file.seek(*place), place, 0)

    def truncate(self, size=None):
        return self._try(self._file.truncate, size, size)

    def flush(self):
        self._try(lambda _: self._file.flush(), None, None)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.flush()
        try:
            self._file.close()
        except OSError as at_last:
            self._error = self._error or at_last
        if self._error is not None:
            raise self._error from error


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
        # int8 and int4, of which Keras knows the names when it reads them
        digests = _stored_digests(path, describe_weights_file(path))
        return lambda: _load_and_check(model, path, digests)
    expected = {
        name: (tuple(variable.shape), hdf5_dtype(variable)) for name, variable in stored.items()
    }
    check_weights_file(path, expected, converts_floats, strict)
    digests = _stored_digests(path, expected)
    for name, variable in stored.items():
        read = functools.partial(_read_array, path, name, digests.get(name), variable.path)
        weights.give(variable, read)
    return lambda: None


def _stored_digests(path, names):
    """The digests of arrays of a file, by their paths; said, if there are none or not all."""
    with files.reading(path, "a usable weights file"), h5py.File(path, "r") as file:
        digests = {name: file[name].attrs.get(DIGEST) for name in names}
    missing = sorted(name for name, digest in digests.items() if digest is None)
    if len(missing) == len(digests):
        logger.warning("%s has no digests, as it was saved before there were any.", path)
    elif missing:
        logger.warning("%s has arrays without a digest: %s.", path, missing[:20])
    return {name: digest for name, digest in digests.items() if digest is not None}


def _check_digest(path, name, array, digest):
    """Refuse an array that is not what was saved."""
    if digest is not None and digest != _digest(name, array).encode():
        raise ValueError(
            f"{path} is damaged: {name!r} is not what was saved, by its SHA-256. Take another copy "
            f"or, if you have changed it yourself, remove its attribute {DIGEST!r}."
        )


def _load_and_check(model, path, digests):
    """Load by Keras's own means."""
    with files.reading(path, "a usable weights file"):
        with h5py.File(path, "r") as file:
            for name, digest in digests.items():
                _check_digest(path, name, file[name][()], digest)
        model.load_weights(path)
    bad = [v.path for v in model.weights if not _is_finite(v)]
    if bad:
        raise ValueError(f"{path} holds weights that are not finite: {bad[:20]}.")


def _read_array(path, name, digest, weight):
    """Read one array as Keras wrote it, and refuse one that is damaged or not finite."""
    with files.reading(path, "a usable weights file"), h5py.File(path, "r") as file:
        array = file[name][()]
    _check_digest(path, name, array, digest)
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
    outside = getattr(model, "not_in_checkpoints", ())
    expected = Counter(
        (tuple(weight.shape), "float" if converts_floats and is_float(weight) else weight.dtype)
        for weight in model.weights
        if weight.path not in outside
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
