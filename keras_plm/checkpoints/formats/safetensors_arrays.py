"""Hugging Face weights: one safetensors file, or shards with an index."""

import re

import ml_dtypes  # noqa: F401  numpy then knows bfloat16
import numpy as np
from safetensors import safe_open

from keras_plm import files

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F16", "BF16", "F32", "F64")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class SafetensorsArrays:
    """The arrays of a directory's safetensors files; only their headers are read at first.

    Args:
        directory: the directory.
        prefix: str. What a model with a head puts in front of the names of its backbone; where
            most have it not (a backbone alone), it is put in front of those.
        old_names: dict of the end of a name, as old files have it, to that of today.
        ignored: str or None. Pattern of the names, without the prefix, that are not read.
        missing: function of the names, with the prefix: dict of the name of one that is not there
            to that of the one which stands for it; or None.

    Attributes:
        path: the file, or the index of the shards.
        shapes: dict of str to tuple.
        no_floats: dict of the names of those that hold no floats to their data types.

    Raises:
        FileNotFoundError: if there are no safetensors files, or a shard is missing.
        ValueError: if a file is damaged, or leads out of the directory.
    """

    def __init__(self, directory, prefix="", old_names=None, ignored=None, missing=None):
        self.shapes, self.no_floats, self._files = {}, {}, {}
        self._ignored = re.compile(f"({re.escape(prefix)})?({ignored})") if ignored else None
        if files.has_entry(directory, FILE):
            self.path = files.file_inside(directory, FILE)
            self._open(self.path)
        elif files.has_entry(directory, INDEX):
            self.path = files.file_inside(directory, INDEX)
            self._open_shards(directory)
        else:
            raise FileNotFoundError(_nothing_safe(directory))
        num_prefixed = sum(name.startswith(prefix) for name in self.shapes)
        put = prefix if 2 * num_prefixed < len(self.shapes) else ""
        self._stored = {}
        for name in self.shapes:
            ours = name if name.startswith(put) else put + name
            for old, new in (old_names or {}).items():
                if ours.endswith(old):
                    ours = ours.removesuffix(old) + new
            if ours in self._stored:
                raise ValueError(f"{self.path} has {self._stored[ours]!r} and {name!r}.")
            self._stored[ours] = name
        if missing is not None:
            stand_ins = missing(self._stored.keys())
            self._stored |= {name: self._stored[other] for name, other in stand_ins.items()}
        self.shapes = {ours: self.shapes[name] for ours, name in self._stored.items()}
        self.no_floats = {
            ours: self.no_floats[name]
            for ours, name in self._stored.items()
            if name in self.no_floats
        }

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
        usable = files.reading(path, "a usable safetensors file")
        with usable, safe_open(path, framework="numpy") as file:
            names = file.keys()
            files.check_count(len(names))
            for name in names:
                self._files.setdefault(name, path)
                if self._ignored and self._ignored.fullmatch(name):
                    continue
                entry = file.get_slice(name)
                if entry.get_dtype() not in FLOATS:
                    self.no_floats[name] = entry.get_dtype()
                if name in self.shapes:
                    raise ValueError(f"{name!r} is in {self._files[name].name} as well")
                self.shapes[name] = tuple(entry.get_shape())

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
        path = self._files[name]
        usable = files.reading(path, "a usable safetensors file")
        with usable, safe_open(path, framework="numpy") as file:
            array = np.asarray(file.get_tensor(name), "float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{path} holds values that are not finite: {name!r}.")
        return array


def _nothing_safe(directory):
    """What to say about a directory without safetensors files."""
    message = f"{directory} has no file {FILE!r} and no {INDEX!r}."
    if any(files.has_entry(directory, name) for name in PICKLES):
        message += (
            " Its pytorch_model.bin is a pickle, which can run code when it is opened: it is "
            "never opened here. If you trust it, convert it once, where PyTorch is installed:\n"
            "    import torch, safetensors.torch\n"
            '    weights = torch.load("pytorch_model.bin", weights_only=True)\n'
            "    safetensors.torch.save_file({name: value.clone().contiguous() for name, value in "
            'weights.items()}, "model.safetensors", {"format": "pt"})'
        )
    return message
