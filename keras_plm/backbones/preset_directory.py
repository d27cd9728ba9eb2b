"""Preset directories: written whole, and read without trusting them.

The layout is KerasHub's: `config.json`, `model.weights.h5`; the directories that others publish
are read as well (see `keras_plm.presets`). Reading one never runs code: the class is one of ours,
integers are bounded, weights are checked from the file's metadata before any of them is read.
"""

import inspect
import os
import re

import keras

from keras_plm import files, presets
from keras_plm.backbones import weights_file

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"

_POLICIES = (
    "DTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
)


def read_backbone(preset, classes, load_weights=True, **overrides):
    """Build the backbone of a preset.

    Args:
        preset: str. What `keras_plm.presets.find_preset` takes: a directory of ours, of Hugging
            Face or of an original TensorFlow checkpoint, a name, or a handle.
        classes: iterable of backbone classes. The saved class must be one of them.
        load_weights: bool. False leaves the weights random.
        overrides: constructor arguments that replace the saved ones, such as `dropout`.

    Returns:
        A backbone.

    Raises:
        FileNotFoundError: if there is no such preset, or a file is missing.
        ValueError: if the directory is no preset of one of the classes, or its weights are not
            those of the config.
    """
    directory = presets.find_preset(preset)
    checkpoint = presets.open_checkpoint(directory)
    if checkpoint is None:
        return _read_own(directory, classes, load_weights, overrides)
    cls = _one_of(classes, checkpoint.class_name, directory)
    arguments = {**_with_global_policy(checkpoint.arguments), **overrides}
    _check_names(cls, arguments)
    if not load_weights:
        return cls(**arguments)
    values = checkpoint.backbone_weights(arguments)
    backbone = cls(**arguments)
    weights_file.assign_weights(backbone, values)
    return backbone


def _read_own(directory, classes, load_weights, overrides):
    """Build the backbone of one of our own directories."""
    config = files.read_json(files.file_inside(directory, CONFIG_FILE))
    arguments = config.get("config")
    if not isinstance(arguments, dict):
        raise ValueError(f"{directory}/{CONFIG_FILE} has no `config` object.")
    arguments = dict(arguments)
    dtype = arguments.pop("dtype", None)  # read_dtype_policy checks it: "int4/128" is no path
    files.check_config({**config, "config": arguments})
    name = config.get("class_name")
    registered = config.get("registered_name", name)
    cls = _one_of(classes, name if registered == f"keras_plm>{name}" else registered, directory)
    _check_names(cls, {**arguments, **overrides})
    saved_policy = read_dtype_policy("float32" if dtype is None else dtype)
    arguments["dtype"] = saved_policy
    arguments = {**_with_global_policy(arguments), **overrides}
    if load_weights:
        _check_size(arguments, files.file_inside(directory, WEIGHTS_FILE))
    backbone = cls(**arguments)
    if load_weights:
        path = files.file_inside(directory, WEIGHTS_FILE)
        now = keras.dtype_policies.get(arguments["dtype"])
        serialize = keras.dtype_policies.serialize
        converts_floats = serialize(now) != serialize(saved_policy)
        weights_file.read_weights(backbone, path, converts_floats)
    return backbone


def _with_global_policy(arguments):
    """The arguments of a file, but in the global dtype policy if one was set.

    Keras's own float32 cannot be told from one that was set. Quantized weights keep their policy:
    they are integers, which is no matter of taste.
    """
    policy = keras.config.dtype_policy()
    saved = keras.dtype_policies.get(arguments.get("dtype", "float32"))
    policies = [saved]
    if isinstance(saved, keras.dtype_policies.DTypePolicyMap):
        policies = [saved.default_policy, *saved.values()]
    if policy.name == "float32" or any(one.quantization_mode for one in policies):
        return arguments
    return {**arguments, "dtype": policy}


def _one_of(classes, name, directory):
    """The class of that name."""
    by_name = {cls.__name__: cls for cls in classes}
    if not isinstance(name, str) or name not in by_name:
        raise ValueError(
            f"{directory} holds a preset of the class {name!r}. Expected one of {sorted(by_name)}."
        )
    return by_name[name]


def _check_names(cls, arguments):
    """Refuse arguments that a backbone does not take."""
    known = set(inspect.signature(cls.__init__).parameters) | {"name", "trainable", "dtype"}
    unknown = sorted(set(arguments) - (known - {"self", "kwargs"}))
    if unknown:
        raise ValueError(f"{cls.__name__} has no arguments {unknown}. It takes {sorted(known)}.")


def read_dtype_policy(value):
    """Rebuild a dtype policy from JSON, from Keras's own policy classes only.

    Args:
        value: str or dict. A name such as "mixed_bfloat16", or a policy as Keras serialises it.

    Returns:
        A `keras.DTypePolicy` or `keras.dtype_policies.DTypePolicyMap`.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(value, str):
        return keras.dtype_policies.get(value)
    name = value.get("class_name") if isinstance(value, dict) else None
    config = value.get("config") if name else None
    if name == "DTypePolicyMap" and isinstance(config, dict):
        default = config.get("default_policy")
        layers = config.get("policy_map", {})
        patterns = [path for path in layers if not re.fullmatch(r"[\w./-]+", path)]
        if patterns:  # Keras would search them as regular expressions
            raise ValueError(f"A dtype policy goes by the path of a layer. Received: {patterns}.")
        return keras.dtype_policies.DTypePolicyMap(
            default if default is None else read_dtype_policy(default),
            {path: read_dtype_policy(policy) for path, policy in layers.items()},
        )
    if name in _POLICIES and isinstance(config, dict):
        try:
            return getattr(keras.dtype_policies, name)(**config)
        except TypeError as error:
            raise ValueError(f"Not a dtype policy: {error}. Received: {value!r}.") from error
    raise ValueError(f"Not a dtype policy. Received: {value!r}.")


def _check_size(arguments, path):
    """Refuse a config whose weights the file cannot hold, before memory is taken for them."""
    weights_file.describe_weights_file(path)  # it is a weights file at all
    sizes = ("vocabulary_size", "num_layers", "hidden_dim", "intermediate_dim")
    vocabulary, layers, hidden, intermediate = (
        size if isinstance(size, int) else 0 for size in (arguments.get(name) for name in sizes)
    )
    weights = (vocabulary + layers * (4 * hidden + 2 * intermediate)) * hidden
    least = weights // 2  # bytes: int4 is the smallest type
    if least > os.path.getsize(path):
        raise ValueError(
            f"The config describes at least {weights:,} weights, more than {path} can hold. "
            f"Received: {os.path.getsize(path):,} bytes."
        )
