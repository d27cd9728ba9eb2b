"""Pre-trained language models along three axes: architecture, objective, transfer.

The public folders are imported when they are first used: `keras_plm.data` and
`keras_plm.objectives` need numpy only, and worker processes should not pay for a backend. So is
what `keras.saving.load_model` needs: `import keras_plm` is enough, before or after Keras.
"""

import functools
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

__version__ = "0.1.0"

_PUBLIC = (
    "backbones",
    "checkpoints",
    "data",
    "families",
    "features",
    "generation",
    "heads",
    "layers",
    "metrics",
    "models",
    "objectives",
    "ops",
    "preprocessing",
    "presets",
    "tasks",
    "tokenizers",
    "transfer",
)


_REGISTERING = ("backbones", "heads", "layers", "metrics", "tasks", "transfer")


def _find_our_classes():
    """Let Keras find a class of ours by its registered name: the rooms are imported then."""
    keras = sys.modules["keras"]
    registration = sys.modules[keras.saving.get_registered_object.__module__]
    look_up = registration.get_registered_object

    @functools.wraps(look_up)
    def get_registered_object(name, *args, **kwargs):
        found = look_up(name, *args, **kwargs)
        if found is None and isinstance(name, str) and name.startswith(f"{__name__}>"):
            for room in _REGISTERING:
                import_module(f"{__name__}.{room}")
            found = look_up(name, *args, **kwargs)
        return found

    registration.get_registered_object = get_registered_object
    keras.saving.get_registered_object = get_registered_object


class _AfterKeras(MetaPathFinder):
    """Calls `_find_our_classes` when keras has been imported, which this package does not do."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_find(module):
                load(module)
                _find_our_classes()

            spec.loader.exec_module = load_and_find
        return spec


if "keras" in sys.modules:
    _find_our_classes()
else:
    sys.meta_path.insert(0, _AfterKeras())


def __getattr__(name):
    if name in _PUBLIC:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_PUBLIC})
