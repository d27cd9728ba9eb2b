"""What is taken of the private modules of Keras and TensorFlow: here and nowhere else.

A release may move them; what each is for says what to look for then.
"""

import keras
from keras.src.backend import (
    compute_output_spec,  # shapes of results, without running
    get_keras_mask,  # that mask, where a loss reads it as Keras's own losses do
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
    "compiled_by_xla",
    "compute_output_spec",
    "get_keras_mask",
    "get_global_attribute",
    "in_symbolic_scope",
    "initialize_variable",
    "set_global_attribute",
    "set_keras_mask",
    "stored_variables",
    "write_variables",
]

UNINITIALIZED = "uninitialized_variables"  # the list's name among the global attributes


def compiled_by_xla():
    """Whether TensorFlow is tracing a `tf.function(jit_compile=True)`, or what such a one calls."""
    import tensorflow as tf
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


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


def write_variables(model, file, attributes):
    """Write what `save_weights` of Keras writes, and attributes of each array.

    Args:
        model: built Keras model or layer.
        file: `io.BytesIO`, or a class derived from it.
        attributes: function of the path of a data set, as `stored_variables` gives it, and its
            numpy array, that returns a dict of names to values.
    """
    store = _AnnotatedStore(file, attributes)
    try:
        _save_state(model, store, None, inner_path="", visited_saveables=set())
    finally:
        store.close()


class _AnnotatedStore(H5IOStore):
    """Gives each data set attributes when it is written."""

    def __init__(self, file, attributes):
        super().__init__(file, mode="w")
        self._attributes = attributes

    def __setitem__(self, key, value):
        value = keras.ops.convert_to_numpy(value)
        super().__setitem__(key, value)
        dataset = self._h5_entry_group[key]
        dataset.attrs.update(self._attributes(dataset.name.strip("/"), value))


class _Names(H5IOStore):
    """Stands for a file, and keeps what would be written into it."""

    def __init__(self):
        self.entries = {}

    def __bool__(self):
        return True

    def make(self, path, metadata=None):
        return self.entries.setdefault(path, {})
