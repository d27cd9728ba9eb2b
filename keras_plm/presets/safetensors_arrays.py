"""Hugging Face weights: one safetensors file, or shards with an index."""

import os

import ml_dtypes  # noqa: F401  numpy then knows bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from keras_plm import files

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F16", "BF16", "F32", "F64")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class SafetensorsArrays:
    """The arrays of a directory's safetensors files; only their headers are read at first.

    Args:
        directory: the directory.
        prefix: str. What a model with a head puts in front of the names of its backbone; where
            no name has it (a backbone alone), it is put in front of all.

    Attributes:
        path: the file, or the index of the shards.
        shapes: dict of str to tuple.

    Raises:
        FileNotFoundError: if there are no safetensors files, or a shard is missing.
        ValueError: if a file is damaged, leads out of the directory, or holds no floats.
    """

    def __init__(self, directory, prefix=""):
        self.shapes, self._files = {}, {}
        if os.path.lexists(os.path.join(directory, FILE)):
            self.path = files.file_inside(directory, FILE)
            self._open(self.path)
        elif os.path.lexists(os.path.join(directory, INDEX)):
            self.path = files.file_inside(directory, INDEX)
            self._open_shards(directory)
        else:
            raise FileNotFoundError(_nothing_safe(directory))
        self._stored = {name: name for name in self.shapes}
        if prefix and not any(name.startswith(prefix) for name in self.shapes):
            self._stored = {prefix + name: name for name in self.shapes}
            self.shapes = {prefix + name: shape for name, shape in self.shapes.items()}

    def _open_shards(self, directory):
        weight_map = files.read_json(self.path, max_bytes=10_000_000).get("weight_map")
        names = weight_map.values() if isinstance(weight_map, dict) else [None]
        if not all(isinstance(name, str) and name.endswith(".safetensors") for name in names):
            raise ValueError(f"{self.path} has no `weight_map` of names to .safetensors files.")
        for name in sorted(set(names)):
            self._open(files.file_inside(directory, name))
        wrong = sorted(
            name
            for name in weight_map.keys() | self._files.keys()
            if self._files.get(name) != files.file_inside(directory, weight_map.get(name, INDEX))
        )
        if wrong:
            raise ValueError(f"{self.path} and its shards disagree about {wrong[:20]}.")

    def _open(self, path):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():
                    entry = file.get_slice(name)
                    if entry.get_dtype() not in FLOATS:
                        raise ValueError(f"{name!r} is {entry.get_dtype()}, not one of {FLOATS}")
                    if name in self._files:
                        raise ValueError(f"{name!r} is in {self._files[name].name} as well")
                    self._files[name] = path
                    self.shapes[name] = tuple(entry.get_shape())
        except (ValueError, TypeError, OSError, SafetensorError) as error:
            raise ValueError(f"{path} is not a usable safetensors file: {error}") from error

    def read(self, name):
        """Read one array.

        Args:
            name: str.

        Returns:
            numpy array, float32.

        Raises:
            ValueError: if it has values that are not finite.
        """
        name = self._stored[name]
        with safe_open(self._files[name], framework="numpy") as file:
            array = np.asarray(file.get_tensor(name), "float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{self._files[name]} holds values that are not finite: {name!r}.")
        return array


def _nothing_safe(directory):
    """What to say about a directory without safetensors files."""
    message = f"{directory} has no file {FILE!r} and no {INDEX!r}."
    if any(os.path.lexists(os.path.join(directory, name)) for name in PICKLES):
        message += (
            " Its pytorch_model.bin is a pickle, which can run code when it is opened: it is "
            "never opened here. If you trust it, convert it once, where PyTorch is installed:\n"
            "    import torch, safetensors.torch\n"
            '    weights = torch.load("pytorch_model.bin", weights_only=True)\n'
            "    safetensors.torch.save_file({name: value.clone().contiguous() for name, value in "
            'weights.items()}, "model.safetensors", {"format": "pt"})'
        )
    return message
