"""Initializers as arguments of layers."""

import functools
from typing import Annotated

import keras


def check_initializer(name, value, none=False):
    """Return an initializer, or refuse what is none.

    Args:
        name: str. The argument.
        value: a Keras initializer, its name, or its config.
        none: bool. Whether None is allowed, and returned.

    Returns:
        `keras.initializers.Initializer`, or None.

    Raises:
        ValueError: naming the argument, and what it is.
    """
    if none and value is None:
        return None
    try:
        found = keras.initializers.get(value)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, keras.initializers.Initializer):
        raise ValueError(
            f"`{name}` must be a Keras initializer or the name of one, such as 'glorot_uniform'"
            f"{', or None' if none else ''}. Received: {name}={value!r:.200}."
        )
    return found


def initializer(none=False):
    """Declare an argument that is an initializer; see `keras_plm.checks.check_arguments`."""
    return Annotated[object, functools.partial(check_initializer, none=none)]
