"""Every constructor and method, called with what it cannot take: a table of calls.

Each call ends in a result, or in a clear error: one of ours, that names the argument. The arguments
are those of the signatures, so that a new one is tried without being listed.

    python tests/test_calls.py      tries all, and prints how the calls ended
"""

import math
import traceback
from pathlib import Path

import numpy as np

import keras_plm

PACKAGE = str(Path(keras_plm.__file__).parent)

# What arguments may be given: none of it is what all of them take.
POOL = {
    "None": None,
    "str": "nonsense",
    "empty str": "",
    "float": 2.5,
    "True": True,
    "nan": math.nan,
    "inf": math.inf,
    "negative": -3,
    "negative float": -0.5,
    "zero": 0,
    "huge": 10**400,
    "empty list": [],
    "list": [1, 2],
    "dict": {"a": 1},
    "bytes": b"x",
    "array": np.ones((2, 3)),
    "objects": np.array([1, "a", None], object),
    "numpy nan": np.float32("nan"),
    "class": dict,
    "generator": (n for n in ()),
}


def ending(call, name=None):
    """How a call ends: ("result", value), ("clear", message) or ("raw", what)."""
    try:
        return "result", call()
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = str(error)
        ours = place.filename.startswith(PACKAGE)
        told = "Received" in message or name is not None and name in message
        if isinstance(error, (ValueError, TypeError)) and ours and told:
            return "clear", message
        return (
            "raw",
            f"{type(error).__name__}: {message[:150]!r} at {place.filename[-50:]}:{place.lineno}",
        )
