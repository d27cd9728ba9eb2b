"""The weights of heads, by name: in one safetensors file, or in somebody else's checkpoint."""

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file


def write_heads(path, heads, backbone):
    """Write the weights of heads that are not the backbone's.

    Args:
        path: str. The file.
        heads: dict of str to layer.
        backbone: the backbone, whose weights (a tied embedding) are left out.
    """
    arrays = {
        key: np.array(keras.ops.convert_to_numpy(variable.value), "float32", order="C")
        for head in heads.values()
        for key, variable in _own_variables(head, backbone)
    }
    save_file(arrays, path)


def read_heads(path, heads, backbone):
    """Read the weights of the heads that the file has in the right shapes.

    Args:
        path: str. The file.
        heads: dict of str to built layer.
        backbone: the backbone of the heads.

    Returns:
        list of str: the heads that the file has not, or has in other shapes; they are unchanged.

    Raises:
        ValueError: if the file is damaged, or holds anything but finite floats; all heads are
            unchanged.
    """
    new, values = [], []
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
            for name, head in heads.items():
                own = _own_variables(head, backbone)
                if any(shapes.get(key) != tuple(variable.shape) for key, variable in own):
                    new.append(name)
                    continue
                for key, variable in own:
                    value = file.get_tensor(key)
                    if value.dtype.kind != "f" or not np.isfinite(value).all():
                        raise ValueError(f"{key!r} holds values that are no finite floats.")
                    values.append((variable, value))
    except (ValueError, TypeError, OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a usable file of heads: {error}") from error
    for variable, value in values:
        variable.assign(value)
    return sorted(new)


def read_checkpoint_heads(checkpoint, heads, backbone):
    """Read the weights of the heads that a checkpoint of others has in the right shapes.

    Args:
        checkpoint: `keras_plm.presets.ReleasedCheckpoint`.
        heads: dict of str to built layer.
        backbone: the backbone of the heads.

    Returns:
        list of str: the heads that the checkpoint has not; they are unchanged.

    Raises:
        ValueError: see `ReleasedCheckpoint.head_weights`; all heads are unchanged.
    """
    variables = {
        name: {
            key.split(f"{head.name}/", 1)[-1]: variable
            for key, variable in _own_variables(head, backbone)
        }
        for name, head in heads.items()
    }
    shapes = {
        name: {path: tuple(variable.shape) for path, variable in own.items()}
        for name, own in variables.items()
    }
    values = checkpoint.head_weights(shapes)
    for name, arrays in values.items():
        for path, array in arrays.items():
            variables[name][path].assign(array)
    return sorted(heads.keys() - values.keys())


def _own_variables(head, backbone):
    """Key and variable of each weight that the head does not share with the backbone."""
    shared = {id(variable) for variable in backbone.weights}
    return [(v.path, v) for v in head.weights if id(v) not in shared]
