"""Guards in one wording: what was wrong, what was received, what to do.

`num_classes` must be an integer of at least 2. Received: num_classes=1.

Settings declare theirs with the field: `sequence_length: integer(least=1) = 512`.
"""

import difflib
import functools
import inspect
import math
import numbers
from typing import Annotated

import numpy as np


def is_integer(value):
    """Whether a value is a whole number, which True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_integer(name, value, least=None, most=None, none=False, why=""):
    """Return a whole number as an int, or refuse it.

    Args:
        name: str. The argument.
        value: what was given.
        least: int or None. The smallest that is allowed.
        most: int or None. The largest.
        none: bool. Whether None is allowed, and returned.
        why: str. What the bound comes from, such as ": the backbone has 12 layers".

    Raises:
        ValueError: naming the argument, what it must be, and what it is.
    """
    if none and value is None:
        return None
    low = least is None or is_integer(value) and value >= least
    high = most is None or is_integer(value) and value <= most
    if not is_integer(value) or not low or not high:
        _refuse(name, value, f"an integer{_bounds(least, most)}", none, why)
    return int(value)


def check_number(name, value, least=None, most=None, above=None, none=False, why=""):
    """Return a finite number, or refuse it; arguments as those of `check_integer`.

    Args:
        above: number or None. What it must be larger than.
    """
    if none and value is None:
        return None
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    good = real and math.isfinite(value)
    good = good and not (above is not None and value <= above)
    if not good or least is not None and value < least or most is not None and value > most:
        bounds = _bounds(least, most)
        if above is not None:
            bounds = f" above {above}" + ("" if most is None else f", at most {most}")
        _refuse(name, value, f"a number{bounds}", none, why)
    return value.item() if isinstance(value, np.generic) else value


def check_flag(name, value, none=False, why=""):
    """Return True or False, or refuse what is neither; arguments as those of `check_integer`."""
    if not isinstance(value, bool) and not (none and value is None):
        _refuse(name, value, "True or False", none, why)
    return value


def check_choice(name, value, known, none=False, why=""):
    """Return one of the known values, or refuse it.

    Args:
        known: the values that are allowed.
        name, value, none, why: as those of `check_integer`.

    Raises:
        ValueError: naming the argument, what it must be, what it is, and the nearest value.
    """
    if not (none and value is None) and not any(value is one or value == one for one in known):
        _refuse(name, value, f"one of {list(known)}", none, why, did_you_mean(value, known))
    return value


def check_ascending(name, values, least=1, most=None, why=""):
    """Return ascending whole numbers as a tuple of int, or refuse them.

    Args:
        name: str. The argument.
        values: list or tuple; it may be empty.
        least, most, why: as those of `check_integer`, of each number.

    Raises:
        ValueError: naming the argument, what it must be, and what it is.
    """
    good = isinstance(values, (list, tuple)) and all(map(is_integer, values))
    good = good and all(one < two for one, two in zip(values, values[1:]))
    good = good and not (values and (values[0] < least or most is not None and values[-1] > most))
    if not good:
        _refuse(name, values, f"a list of ascending integers{_bounds(least, most)}", False, why)
    return tuple(map(int, values))


def check_arguments(what, given, known, kind="arguments"):
    """Refuse names that nothing takes, such as those with a typing error.

    Args:
        what: str. Who takes them.
        given: the names that were given.
        known: the names that are taken.
        kind: str. What they are names of.

    Raises:
        ValueError: listing the unknown names, the nearest known ones, and all that are taken.
    """
    unknown = sorted(map(str, set(given) - set(known)))
    if unknown:
        raise ValueError(
            f"{what} has no {kind} {unknown}.{did_you_mean(unknown, known)} It takes "
            f"{sorted(known)}."
        )


def constructor_arguments(cls):
    """The parameters that a constructor takes by name.

    Args:
        cls: class.

    Returns:
        dict of str to `inspect.Parameter`, without those that stand for any others.
    """
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    others = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name: one for one in parameters if one.kind not in others}


def did_you_mean(names, known):
    """The known names that are nearest to wrong ones, as a question behind a sentence.

    Args:
        names: what was given: a name, or several.
        known: the names that there are.

    Returns:
        str, such as " Did you mean 'dropout'?", or "" if none is near.
    """
    names = names if isinstance(names, (list, tuple)) else [names]
    known = [one for one in known if isinstance(one, str)]
    near = [
        repr(one)
        for name in names
        if isinstance(name, str)
        for one in difflib.get_close_matches(name, known, 1)
    ]
    return f" Did you mean {' and '.join(dict.fromkeys(near))}?" if near else ""


def integer(least=None, most=None, none=False):
    """Declare a field of `Settings` that is a whole number; see `check_integer`."""
    guard = functools.partial(check_integer, least=least, most=most, none=none)
    return Annotated[int | None if none else int, guard]


def number(least=None, most=None, above=None, none=False):
    """Declare a field of `Settings` that is a finite number; see `check_number`."""
    guard = functools.partial(check_number, least=least, most=most, above=above, none=none)
    return Annotated[float | None if none else float, guard]


def flag():
    """Declare a field of `Settings` that is True or False; see `check_flag`."""
    return Annotated[bool, check_flag]


def ascending(least=1):
    """Declare a field of `Settings` that lists ascending whole numbers; see `check_ascending`."""
    return Annotated[tuple, functools.partial(check_ascending, least=least)]


def choice(known):
    """Declare a field of `Settings` that is one of some values; see `check_choice`."""
    return Annotated[str, functools.partial(check_choice, known=known)]


def _bounds(least, most):
    """How a range is said."""
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return "" if most is None else f" of at most {most}"


def _refuse(name, value, what, none, why, hint=""):
    """Raise the error of every guard."""
    what = f"{what}, or None" if none else what
    raise ValueError(f"`{name}` must be {what}{why}. Received: {name}={value!r:.200}.{hint}")


def check_arrays(what, batch, shapes):
    """Refuses a batch without the arrays that an objective takes, or with others of their name.

    Args:
        what: str. Who takes the batch, for the message.
        batch: dict of arrays.
        shapes: dict of name to the shape of one row, such as (T,) or ().

    Raises:
        ValueError: an array is missing or has another shape than (B, *shape of a row), B that of
            the first array.
    """
    first = next(iter(shapes))
    num_rows = np.shape(batch.get(first))[:1] or ("B",)  # None has the shape ()
    for name, row in shapes.items():
        expected = (*num_rows, *row)
        if name not in batch or np.shape(batch[name]) != expected:
            received = np.shape(batch[name]) if name in batch else "no such array"
            raise ValueError(
                f"{what} needs {name} of the shape {expected}. Received: {received}. Make the "
                "rows with this objective."
            )


def check_vocabulary(name, ids, vocabulary_size):
    """Refuses token ids outside the vocabulary.

    Args:
        name: str. What the array is called.
        ids: int array.
        vocabulary_size: V.

    Raises:
        ValueError: an id is negative or V or more.
    """
    low, high = int(ids.min(initial=0)), int(ids.max(initial=0))
    if low < 0 or high >= vocabulary_size:
        raise ValueError(
            f"{name} must lie in the vocabulary, [0, {vocabulary_size}). Received: ids from {low} "
            f"to {high}. Use a corpus made with the model's tokenizer."
        )
