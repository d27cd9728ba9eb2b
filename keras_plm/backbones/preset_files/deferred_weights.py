"""Weights that come from a file: models are built first, with shapes alone, and filled once."""

import contextlib
import math

import keras

from keras_plm.ops.keras_internals import (
    UNINITIALIZED,
    get_global_attribute,
    initialize_variable,
    set_global_attribute,
)


class DeferredWeights:
    """The weights of new models between their shapes and their values.

    What is built in `building()` has variables without values: nothing is drawn and nothing of
    their size is allocated, so that shapes can be compared with a file's first. Then `fill` gives
    each variable the value that `give` named, and draws the others as their initializers say. A
    seed belongs to its layer: what is drawn is what would have been drawn without all this.

    Example:
    ```text
    weights = DeferredWeights()
    with weights.building():
        backbone = TransformerBackbone(**arguments)
    compare(backbone.weights, file)
    weights.give(backbone.weights[0], lambda: file.read(...))
    weights.fill()
    ```
    """

    def __init__(self):
        self._waiting, self._updates, self._given = {}, [], {}

    @contextlib.contextmanager
    def building(self):
        """Make the variables that are created inside wait for their values."""
        before, made = get_global_attribute(UNINITIALIZED), _Made()
        set_global_attribute(UNINITIALIZED, made)
        scope = keras.StatelessScope(initialize_variables=False)
        try:
            with scope:
                yield
        finally:  # after an error none of them is ever drawn
            set_global_attribute(UNINITIALIZED, before)
        self._waiting |= {id(one): (one, free) for one, free in zip(made, made.trainable)}
        for variable in made:  # what a constructor assigned
            value = scope.get_current_value(variable)
            if value is not None:
                self._updates.append((variable, value))

    def give(self, variable, read):
        """Say what the value of a variable will be.

        Args:
            variable: Keras variable, one that waits for its value or one that has another.
            read: function without arguments that returns a numpy array of its shape.
        """
        self._given[id(variable)] = variable, read

    def fill(self):
        """Give all variables their values, the largest of a file first: it is in memory twice."""
        waiting, self._waiting = self._waiting, {}
        given, self._given = self._given, {}
        updates, self._updates = self._updates, []
        largest_first = sorted(given.values(), key=lambda one: -math.prod(one[0].shape))
        for variable, read in largest_first:
            if id(variable) in waiting:
                _initialize(*waiting.pop(id(variable)), _Read(read))
            else:
                variable.assign(read())
        for variable, trainable in waiting.values():
            _initialize(variable, trainable)
        for variable, value in updates:
            if id(variable) not in given:
                variable.assign(value)


def _initialize(variable, trainable, initializer=None):
    """Give a first value; TensorFlow's tape watches what was trainable when it was made."""
    now, variable.trainable = variable.trainable, trainable
    try:
        initialize_variable(variable, initializer)
    finally:
        variable.trainable = now


class _Made(list):
    """The variables without values, in their order, and whether each was made to be trained."""

    def __init__(self):
        super().__init__()
        self.trainable = []

    def append(self, variable):
        super().append(variable)
        self.trainable.append(variable.trainable)


class _Read:
    """An initializer that reads."""

    def __init__(self, read):
        self._read = read

    def __call__(self, shape, dtype=None):
        return keras.ops.convert_to_tensor(self._read(), dtype=dtype)
