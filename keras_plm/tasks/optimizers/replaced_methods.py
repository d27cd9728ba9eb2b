"""Other methods for an optimizer, for the time of a step."""

import contextlib


@contextlib.contextmanager
def replaced(optimizer, methods):
    """Give an optimizer other methods while the block runs; no attribute that Keras would track.

    Args:
        optimizer: Keras optimizer.
        methods: dict of names to functions.
    """
    vars(optimizer).update(methods)
    try:
        yield
    finally:
        for name in methods:
            vars(optimizer).pop(name, None)
