"""Preset directories: written whole, and read without trusting them.

The layout is KerasHub's: `config.json`, `model.weights.h5`; the directories that others publish
are read as well (see `keras_plm.presets`). Reading one never runs code: the class is one of ours,
integers are bounded, weights are checked from the file's metadata before any of them is read.
"""

import re

import keras

from keras_plm import files, presets
from keras_plm.backbones.preset_files import weights_file
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.checks import check_names, constructor_arguments

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"

_POLICIES = (
    "DTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
)


def read_backbone(preset, classes, load_weights=True, strict=False, **overrides):
    """Build the backbone of a preset.

    Args:
        preset: str or `OpenedPreset`. What `keras_plm.presets.open_preset` takes: a directory of
            ours, of Hugging Face or of an original TensorFlow checkpoint, a name, or a handle.
        classes: iterable of backbone classes. The saved class must be one of them.
        load_weights: bool. False leaves the weights random.
        strict: bool, see `Backbone.from_preset`.
        overrides: constructor arguments that replace the saved ones, such as `dropout`.

    Returns:
        A backbone.

    Raises:
        FileNotFoundError: if there is no such preset, or a file is missing.
        ValueError: if the directory is no preset of one of the classes, or its weights are not
            those of the config.
    """
    weights = DeferredWeights()
    opened = presets.open_preset(preset)
    backbone, finish = build_backbone(opened, classes, weights, load_weights, strict, **overrides)
    weights.fill()
    finish()
    return backbone


def build_backbone(opened, classes, weights, load_weights=True, strict=False, **overrides):
    """Build the backbone of a preset, and compare it with the file of its weights.

    Its weights have no values yet: nothing of a size that the config says is allocated before the
    file has been found to hold it.

    Args:
        opened: `keras_plm.presets.OpenedPreset`.
        classes: iterable of backbone classes. The saved class must be one of them.
        weights: `DeferredWeights`, which is to be filled.
        load_weights: bool. False leaves the weights random.
        strict: bool, see `Backbone.from_preset`.
        overrides: constructor arguments that replace the saved ones.

    Returns:
        A backbone, and a function to be called after `weights.fill()`.

    Raises:
        FileNotFoundError, ValueError: as `read_backbone`, which also finds values that are not
            finite.
    """
    checkpoint = opened.checkpoint
    if checkpoint is None:
        return _build_own(opened, classes, weights, load_weights, strict, overrides)
    cls = backbone_class(opened, classes)
    arguments = {**_with_global_policy(checkpoint.arguments), **overrides}
    with files.reading(said_with(str(opened), overrides)):
        check_names(cls.__name__, arguments, arguments_of(cls))
        places = checkpoint.backbone_places(arguments, strict) if load_weights else {}
        backbone = _built(cls, arguments, weights)
    weights_file.give_weights(backbone, places, weights)
    return backbone, lambda: None


def backbone_class(opened, classes):
    """The class of the backbone of a preset.

    Args:
        opened: `keras_plm.presets.OpenedPreset`.
        classes: iterable of backbone classes. It must be one of them.

    Raises:
        ValueError: if it is none of them.
    """
    if opened.checkpoint is not None:
        return _one_of(classes, opened.checkpoint.class_name, opened)
    config = opened.read_json(CONFIG_FILE)
    name = config.get("class_name")
    registered = config.get("registered_name", name)
    return _one_of(classes, name if registered == f"keras_plm>{name}" else registered, opened)


def arguments_of(cls):
    """The names of the arguments that a backbone takes.

    Args:
        cls: class of the backbone.

    Returns:
        set of str.
    """
    return {*constructor_arguments(cls), "dtype", "name", "trainable", "frozen"}


def _build_own(opened, classes, weights, load_weights, strict, overrides):
    """Build the backbone of one of our own directories."""
    config, path = opened.read_json(CONFIG_FILE), f"{opened}/{CONFIG_FILE}"
    arguments = config.get("config")
    if not isinstance(arguments, dict):
        raise ValueError(f"{path} has no `config` object.")
    arguments = dict(arguments)
    dtype = arguments.pop("dtype", None)  # read_dtype_policy checks it: "int4/128" is no path
    with files.reading(path):
        files.check_config({**config, "config": arguments})
        saved_policy = read_dtype_policy("float32" if dtype is None else dtype)
    cls = backbone_class(opened, classes)
    weights_path = opened.file(WEIGHTS_FILE) if load_weights else None
    with files.reading(said_with(path, overrides)):
        check_names(cls.__name__, {**arguments, **overrides}, arguments_of(cls))
        arguments["dtype"] = saved_policy
        arguments = {**_with_global_policy(arguments), **overrides}
        if load_weights:
            _check_depth(arguments.get("num_layers"), weights_path)
        backbone = _built(cls, arguments, weights)
        if not load_weights:
            return backbone, lambda: None
        serialize = keras.dtype_policies.serialize
        now = keras.dtype_policies.get(arguments["dtype"])
        converts = serialize(now) != serialize(saved_policy)
        finish = weights_file.give_stored_weights(backbone, weights_path, weights, converts, strict)
    return backbone, finish


def said_with(path, overrides):
    """Say what an error may be about: a file, and what was given in place of what it says.

    Args:
        path: str. The file.
        overrides: collection of str. The arguments that were given.
    """
    return f"{path}, with {sorted(overrides)} as given" if overrides else path


def _built(cls, arguments, weights):
    """A backbone whose weights wait for their values; those of a user's class may not."""
    try:
        with weights.building():
            return cls(**arguments)
    except Exception:
        if cls.__module__.startswith("keras_plm."):
            raise
    return cls(**arguments)  # a constructor that needs values, or whose error is raised again


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


def _one_of(classes, name, preset):
    """The class of that name: of a user's own, that under which Keras has it registered."""
    by_name = {
        cls.__name__
        if cls.__module__.startswith("keras_plm.")
        else keras.saving.get_registered_name(cls): cls
        for cls in classes
    }
    if not isinstance(name, str) or name not in by_name:
        raise ValueError(
            f"{preset} holds a preset of the class {name!r}. Expected one of {sorted(by_name)}."
        )
    return by_name[name]


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


def _check_depth(num_layers, path):
    """Refuse a config with more layers than its file has, before they are built."""
    found = weights_file.describe_weights_file(path)
    layers = {name.split("/")[1] for name in found if name.startswith("layers/")}
    if isinstance(num_layers, int) and num_layers > len(layers):
        raise ValueError(
            f"The config has more layers than {path} has weights of: it does not hold the weights "
            f"of this model. Received: num_layers={num_layers}, in the file {len(layers)}."
        )
