"""What is taken of Keras's private modules: here and nowhere else.

A release of Keras may move them; what each is for says what to look for then.
"""

from keras.src.backend import (
    compute_output_spec,  # shapes of results, without running
    set_keras_mask,  # the implicit mask of a tensor that Keras's `compute_mask` knows nothing of
)
from keras.src.backend.common.global_state import (  # where variables without values are listed
    get_global_attribute,
    set_global_attribute,
)
from keras.src.backend.common.symbolic_scope import in_symbolic_scope  # layers are composed
from keras.src.saving.saving_lib import H5IOStore, _save_state  # names of arrays in weights files

__all__ = [
    "UNINITIALIZED",
    "compute_output_spec",
    "get_global_attribute",
    "in_symbolic_scope",
    "initialize_variable",
    "set_global_attribute",
    "set_keras_mask",
    "stored_variables",
]

UNINITIALIZED = "uninitialized_variables"  # the list's name among the global attributes


def initialize_variable(variable, initializer=None):
    """Give a first value to a variable that was made in a `keras.StatelessScope`.

    Args:
        variable: Keras variable without a value.
        initializer: function of (shape, dtype) that returns a tensor, or None: its own.
    """
    if initializer is not None:
        variable._initializer = initializer
    variable._deferred_initialize()


def stored_variables(model):
    """List what Keras writes into the `.weights.h5` file of a model, without writing it.

    Args:
        model: built Keras model or layer; its variables need no values.

    Returns:
        dict of the path of a data set, such as "layers/dense/vars/0", to what is stored there: a
        Keras variable, or an array where a layer stores something that it computes.
    """
    store = _Names()
    _save_state(model, store, None, inner_path="", visited_saveables=set())
    return {
        f"{path}/vars/{key}".strip("/"): value
        for path, entries in store.entries.items()
        for key, value in entries.items()
    }


class _Names(H5IOStore):
    """Stands for a file, and keeps what would be written into it."""

    def __init__(self):
        self.entries = {}

    def __bool__(self):
        return True

    def make(self, path, metadata=None):
        return self.entries.setdefault(path, {})
