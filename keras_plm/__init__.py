"""Pre-trained language models along three axes: architecture, objective, transfer.

The public folders are imported when they are first used: `keras_plm.data` and
`keras_plm.objectives` need numpy only, and worker processes should not pay for a backend.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = (
    "backbones",
    "data",
    "features",
    "heads",
    "layers",
    "metrics",
    "models",
    "objectives",
    "ops",
    "presets",
    "tasks",
    "transfer",
)


def __getattr__(name):
    if name in _PUBLIC:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_PUBLIC})
