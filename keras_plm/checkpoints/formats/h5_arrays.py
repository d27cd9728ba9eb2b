"""Keras `.weights.h5` files: looked through by their metadata before any array is read."""

import math
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

from keras_plm import files


class H5Arrays:
    """The arrays of a Keras `.weights.h5` file; only its metadata is read at first.

    Args:
        path: the file.

    Attributes:
        path: the file.
        shapes: dict of the path of a data set, such as "layers/dense/vars/0", to its shape.

    Raises:
        ValueError: as `describe_weights_file`.
    """

    def __init__(self, path):
        self.path = path
        self.shapes = {name: shape for name, (shape, _) in describe_weights_file(path).items()}

    def read(self, name):
        """Read one array.

        Args:
            name: str.

        Returns:
            numpy array, float32.

        Raises:
            ValueError: if it holds no floats, or values that are not finite.
        """
        usable = files.reading(self.path, "a usable weights file")
        with usable, h5py.File(self.path, "r") as file:
            array = file[name][()]
        if array.dtype.kind == "V":  # numpy does not know Keras's bfloat16
            array = array.view(ml_dtypes.bfloat16)
        elif array.dtype.kind != "f":
            raise ValueError(
                f"{self.path} must hold weights of a model that is not quantized. Received: "
                f"{array.dtype} in {name!r}."
            )
        array = np.asarray(array, "float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{self.path} holds values that are not finite: {name!r}.")
        return array


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
    with files.reading(path, "a usable weights file"), h5py.File(path, "r") as file:
        groups, seen = [("", file)], {h5py.h5o.get_info(file.id).addr}
        while groups:
            prefix, group = groups.pop()
            files.check_count((len(seen) + len(group)) // 4)  # most are groups around an array
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
    declared = sum(math.prod(shape) * dtype.itemsize for shape, dtype in found.values())
    if declared > size:
        raise ValueError(f"{path} declares {declared} bytes of weights. Received: {size} bytes")
    return found


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
