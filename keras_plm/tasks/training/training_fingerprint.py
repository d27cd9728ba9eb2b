"""What a training is: the settings of task, objective, backbone and optimizer, as plain values."""

import math
import sys
import weakref

import keras
import keras_hub

import keras_plm
from keras_plm.tasks.optimizers.decay_exclusions import weight_decay_exclusions

CLASS_KEYS = ("class", "class_name")
# Optimizers as they were compiled: callbacks, and checkpoints, change the rate of the live ones.
_compiled = weakref.WeakKeyDictionary()


def training_fingerprint(model):
    """Say what decides about the steps of a training, beside the arrays and the examples.

    Args:
        model: compiled Keras model. Of one that is no task its class and its optimizer are said.

    Returns:
        dict of plain JSON values, the same on every backend.
    """
    found = {"class": keras.saving.get_registered_name(type(model))}
    if hasattr(model, "settings"):
        found["task"] = _plain(_asked(model.settings))
    preprocessor = getattr(model, "preprocessor", None)
    if getattr(model, "objective", None) is None and hasattr(preprocessor, "settings"):
        tokenizer = getattr(preprocessor.tokenizer, "fingerprint", None)
        found["preprocessor"] = _plain({**preprocessor.settings(), "tokenizer": tokenizer})
    backbone = getattr(model, "backbone", None)
    if backbone is not None:
        config = {**_asked(backbone.get_config), "dtype": backbone.dtype_policy.name}
        name = keras.saving.get_registered_name(type(backbone))
        found["backbone"] = _plain({"class": name, **config}, left_out=("name", "module", "file"))
    remember_optimizer(model)
    name = keras.saving.get_registered_name(type(model.optimizer))
    exclusions = [one["pattern"] for one in weight_decay_exclusions(model)]
    settings = {"class": name, **_compiled[model.optimizer], "excluded_from_decay": exclusions}
    return {**found, "optimizer": settings}


def remember_optimizer(model, anew=False):
    """Keep the settings of an optimizer before training, where callbacks change its rate.

    Args:
        model: compiled Keras model.
        anew: bool. Whether settings that are kept already are replaced.
    """
    if anew or model.optimizer not in _compiled:
        config = _asked(model.optimizer.get_config)
        _compiled[model.optimizer] = _plain(config, left_out=("name", "module"))


def versions():
    """dict of what computes to its version."""
    backend = keras.backend.backend()
    return {
        "keras_plm": keras_plm.__version__,
        "keras": keras.__version__,
        "keras_hub": keras_hub.__version__,
        backend: str(getattr(sys.modules.get(backend), "__version__", None)),
    }


def differences(saved, now, path=""):
    """Compare two nests of plain values; what the saved one does not say is not compared.

    Of settings of different classes only the classes are compared.

    Args:
        saved, now: values.
        path: str. Where they stand.

    Returns:
        dict of the paths of what differs, such as "optimizer.learning_rate", to tuples (saved
        value, value now); a missing one is None.
    """
    if isinstance(saved, dict) and isinstance(now, dict):
        other = [key for key in CLASS_KEYS if key in saved and saved[key] != now.get(key)]
        keys = other or saved
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        saved, now = (dict(enumerate(one)) for one in (saved, now))
        keys = saved
    else:
        same = saved == now and isinstance(saved, bool) == isinstance(now, bool)
        return {} if same else {path: (saved, now)}
    found = {}
    for key in keys:
        below = f"{path}.{key}" if path else str(key)
        found |= differences(saved[key], now.get(key), below)
    return found


def refuse_differences(found, may_differ, what, advice):
    """Refuse what differs and is not allowed to.

    Args:
        found: what `differences` returned.
        may_differ: str or list of str. What is allowed: paths, or parts of them.
        what: str. The beginning of the message.
        advice: str. The end of the message.

    Returns:
        list of the paths that differ as they are allowed to.

    Raises:
        ValueError: naming each difference; if `may_differ` is no list of str.
    """
    names = [may_differ] if isinstance(may_differ, str) else may_differ
    if not isinstance(names, (list, tuple, set)) or not all(isinstance(one, str) for one in names):
        raise ValueError(
            "`may_differ` must be a list of str, names of settings. "
            f"Received: may_differ={may_differ!r:.200}."
        )
    refused = [path for path in found if not any(f".{name}." in f".{path}." for name in names)]
    if refused:
        pairs = [(path, *found[path]) for path in refused[:10]]
        said = "; ".join(f"{path} was {was!r:.100} and is {now!r:.100}" for path, was, now in pairs)
        raise ValueError(f"{what} {said}. {advice}, or allow it: may_differ={refused[:10]}.")
    return list(found)


def _asked(function):
    """What a function says, or nothing where somebody's own class has none."""
    try:
        return function()
    except NotImplementedError:
        return {}


def _plain(value, left_out=()):
    """A value as JSON gives it back; of what is no plain value, its class."""
    if isinstance(value, dict):
        kept = {str(key): one for key, one in value.items() if key not in left_out}
        return {key: _plain(one, left_out) for key, one in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, left_out) for one in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (str, int)):
        return value
    return type(value).__name__
