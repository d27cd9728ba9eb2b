"""Original TensorFlow checkpoints: variables by name."""

import glob
import re
from pathlib import Path

import numpy as np

from keras_plm import files

# What optimizers leave behind; the released checkpoints have none, fine-tuned ones do.
IGNORED = re.compile(r"(.*/)?(Adam(_\d+)?|adam_[mv]|global_step|beta[12]_power)")


class TensorflowArrays:
    """The variables of a TensorFlow checkpoint; only their names and shapes are read at first.

    Args:
        directory: the directory.
        prefix: str. The name of the checkpoint, such as "xlnet_model.ckpt"; where there is none
            of that name, the only one of the directory is taken.

    Attributes:
        path: the prefix of its files.
        shapes: dict of str to tuple; what optimizers left behind is not in it.
        no_floats: dict of the names of those that hold no floats to their data types.

    Raises:
        FileNotFoundError: if there is no checkpoint, or a file of it is missing.
        ValueError: if there are several, or it is damaged.
    """

    def __init__(self, directory, prefix):
        import tensorflow as tf

        self.path = _find(Path(directory), prefix)
        with files.reading(self.path, "a usable checkpoint"):
            self._reader = tf.train.load_checkpoint(str(self.path))
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
        self.shapes = {
            name: tuple(shape) for name, shape in shapes.items() if not IGNORED.fullmatch(name)
        }
        self.no_floats = {
            name: dtypes[name].name for name in self.shapes if not dtypes[name].is_floating
        }

    def read(self, name):
        """Read one variable.

        Args:
            name: str.

        Returns:
            numpy array, float32.

        Raises:
            ValueError: if it is not all there, or has values that are not finite.
        """
        with files.reading(self.path, "a usable checkpoint"):
            array = np.asarray(self._reader.get_tensor(name), "float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{self.path} holds values that are not finite: {name!r}.")
        return array


def _find(directory, prefix):
    """The prefix of the checkpoint's files, which are all there and in the directory."""
    found = sorted(path.name.removesuffix(".index") for path in directory.glob("*.index"))
    if prefix not in found:
        if len(found) != 1:
            raise FileNotFoundError(
                f"{directory} has no checkpoint {prefix}.index. Received: {found}."
            )
        (prefix,) = found
    for path in [directory / f"{prefix}.index", *directory.glob(f"{glob.escape(prefix)}.data-*")]:
        files.file_inside(directory, path.name)
    return directory / prefix
