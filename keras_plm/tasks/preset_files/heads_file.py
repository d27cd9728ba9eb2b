"""The weights of heads, by name: in one safetensors file, or in somebody else's checkpoint."""

import json
import logging
import re

import keras
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from keras_plm import files
from keras_plm.backbones.preset_files.quantization import check_saveable
from keras_plm.backbones.preset_files.weights_file import is_float
from keras_plm.tasks.preset_files.quantized_layers import inner_layers

WEIGHTS = ("kernel", "bias", "gamma", "beta")
DIGESTS = "sha256"  # in the metadata: what `files.digest` says of each array, as JSON
logger = logging.getLogger("keras_plm")


def write_heads(path, heads, backbone):
    """Write the weights of heads that are not the backbone's.

    Floats are written as float32, integers of quantized layers as they are; what LoRA added to a
    kernel becomes a part of it, as in Keras's own files.

    Args:
        path: str. The file.
        heads: dict of str to layer.
        backbone: the backbone, whose weights (a tied embedding) are left out.

    Raises:
        ValueError: see `keras_plm.backbones.preset_files.quantization.check_saveable`.
    """
    arrays = {}
    for head in heads.values():
        check_saveable(head)
        arrays.update({key: _to_numpy(v) for key, v in own_variables(head, backbone)})
        for _, layer in inner_layers(head):
            if getattr(layer, "lora_enabled", False):
                _merge_lora(arrays, layer)
    write_arrays(path, arrays)


def write_arrays(path, arrays):
    """Write the arrays of a file of heads, with a digest of each.

    Args:
        path: str. The file.
        arrays: dict of str to numpy array.
    """
    digests = {name: files.digest({name: array}) for name, array in arrays.items()}
    save_file(arrays, path, metadata={DIGESTS: json.dumps(digests)})


def read_arrays(path, names=None):
    """Read arrays of a file of heads.

    Args:
        path: str. The file.
        names: collection of str, or None: all.

    Returns:
        dict of str to numpy array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged.
    """
    usable = files.reading(path, "a usable file of heads")
    with usable, safe_open(path, framework="numpy") as file:
        digests = _digests(path, file)
        arrays = {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
        for name, array in arrays.items():
            if digests is not None and digests[name] != files.digest({name: array}):
                raise ValueError(f"{name!r} is not what was saved, by its SHA-256")
    return arrays


def _digests(path, file):
    """The digests in an open file; None if it has none, which is said."""
    text = (file.metadata() or {}).get(DIGESTS)
    if text is None:
        logger.warning("%s has no digests, as it was saved before there were any.", path)
        return None
    digests = json.loads(text)
    if not isinstance(digests, dict) or digests.keys() != set(file.keys()):
        raise ValueError("its digests are those of other arrays")
    return digests


def _to_numpy(variable):
    dtype = "float32" if is_float(variable) else variable.dtype
    return np.array(keras.ops.convert_to_numpy(variable.value), dtype, order="C")


def _merge_lora(arrays, layer):
    """Make what LoRA adds to the kernel of a layer a part of it, among its arrays."""
    keys = {variable.name: variable.path for variable in layer.variables}
    for name in [name for name in keys if name.startswith("lora_") and name.endswith("_a")]:
        kernel = name.removeprefix("lora_").removesuffix("_a")
        first, second = (arrays.pop(keys[f"lora_{kernel}_{side}"]) for side in "ab")
        scale = layer.lora_alpha / layer.lora_rank
        arrays[keys[kernel]] += scale * np.matmul(first, second)


def read_heads(path, heads, backbone, weights=None):
    """Read the weights of the heads that the file has in the right shapes and kinds.

    Args:
        path: str. The file.
        heads: dict of str to built layer.
        backbone: the backbone of the heads.
        weights: `DeferredWeights` that the values are given to; None: the heads get them now.

    Returns:
        dict of the heads that the file has not, or has with other weights, to a str: why; they
        are unchanged.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or holds floats that are not finite, or other numbers
            than a weight needs; all heads are unchanged.
    """
    shapes, new, variables = head_shapes(path), {}, {}
    for name, head in heads.items():
        own = own_variables(head, backbone)
        new |= {name: why for why in _differences(head.name, own, shapes)[:1]}
        variables |= {} if name in new else dict(own)
    arrays = read_arrays(path, variables)
    with files.reading(path, "a usable file of heads"):
        for key, variable in variables.items():
            _check_values(key, arrays[key], variable)
    _hand_over([(variable, arrays[key]) for key, variable in variables.items()], weights)
    return new


def _check_values(key, array, variable):
    """Refuse values that are not what a weight needs."""
    needed = "floats" if is_float(variable) else variable.dtype
    held = "floats" if array.dtype.kind == "f" else array.dtype.name
    if held != needed:
        raise ValueError(f"{key!r} must hold {needed}, and holds {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{key!r} holds values that are no finite floats")


def _hand_over(values, weights):
    """Give values to variables, now or when the weights are filled."""
    for variable, value in values:
        if weights is None:
            variable.assign(value)
        else:
            weights.give(variable, lambda value=value: value)


def head_shapes(path):
    """Read the shapes of the arrays in a file of heads, and nothing else of it.

    Args:
        path: str. The file.

    Returns:
        dict of str to tuple.

    Raises:
        ValueError: if the file is damaged.
    """
    usable = files.reading(path, "a usable file of heads")
    with usable, safe_open(path, framework="numpy") as file:
        files.check_count(len(file.keys()))
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}


def _differences(head, own, shapes):
    """What a file lacks of a head's weights, has in another shape, or has beside them."""
    keys = {key for key, _ in own}
    more = [  # what quantization adds is not asked here
        key
        for key in shapes
        if key.startswith(f"{head}/") and key.rsplit("/", 1)[-1] in WEIGHTS and key not in keys
    ]
    return [
        f"{key!r} has the shape {shapes[key]} there, here {tuple(variable.shape)}"
        if key in shapes
        else f"the preset has no {key!r}"
        for key, variable in own
        if shapes.get(key) != tuple(variable.shape)
    ] + [f"the preset has {key!r}, this head has not" for key in more]


def read_checkpoint_heads(checkpoint, heads, backbone, weights=None):
    """Read the weights of the heads that a checkpoint of others has in the right shapes.

    Args:
        checkpoint: `keras_plm.presets.ReleasedCheckpoint`.
        heads: dict of str to built layer.
        backbone: the backbone of the heads.
        weights: `DeferredWeights` that the values are given to; None: the heads get them now.

    Returns:
        dict of the heads that the checkpoint has not to a str: why; they are unchanged.

    Raises:
        ValueError: see `ReleasedCheckpoint.head_weights`; all heads are unchanged.
    """
    variables = {
        name: {
            key.split(f"{head.name}/", 1)[-1]: variable
            for key, variable in own_variables(head, backbone)
        }
        for name, head in heads.items()
    }
    shapes = {
        name: {path: tuple(variable.shape) for path, variable in own.items()}
        for name, own in variables.items()
    }
    values, new = checkpoint.head_weights(shapes)
    pairs = [
        (variables[name][path], array)
        for name, arrays in values.items()
        for path, array in arrays.items()
    ]
    _hand_over(pairs, weights)
    return new


def own_variables(head, backbone):
    """Key and variable of each weight that the head does not share with the backbone.

    Args:
        head: built layer.
        backbone: the backbone of the head.

    Returns:
        list of pairs of str and Keras variable.
    """
    shared = {id(variable) for variable in backbone.weights}
    names = _names_by_attribute(head)
    above = head.path.removesuffix(head.name)  # such as the name of the task in a `MultiTask`
    return [
        (_renamed(v.path, names).removeprefix(above), v)
        for v in head.weights
        if id(v) not in shared
    ]


def _names_by_attribute(head):
    """For layers that Keras named by counting ("dense_1"): their paths by the head's attributes."""
    names = {}
    for parent in (head, *head._flatten_layers(include_self=False)):
        for attribute, value in vars(parent).items():
            if isinstance(value, keras.layers.Layer) and _is_counted(value):
                path = f"{_renamed(parent.path, names)}/{attribute.lstrip('_')}"
                names[value.path] = path
    return names


def _is_counted(layer):
    """Whether the name of a layer is that of its class, and maybe a number."""
    own = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
    return re.fullmatch(rf"{own}(_\d+)?", layer.name) is not None


def _renamed(path, names):
    """A path whose longest beginning among the names is replaced."""
    for length in range(path.count("/"), -1, -1):
        begin = "/".join(path.split("/")[: length + 1])
        if begin in names:
            return names[begin] + path[len(begin) :]
    return path
