"""Guards in one wording: what was wrong, what was received, what to do.

`num_classes` must be an integer of at least 2. Received: num_classes=1.

Settings declare theirs with the field, `sequence_length: integer(least=1) = 512`; functions with
the argument, if `check_arguments` stands before them.
"""

import difflib
import functools
import inspect
import math
import numbers
import sys
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
    whole = is_integer(value) and abs(int(value)) < 2**63
    low = least is None or whole and value >= least
    high = most is None or whole and value <= most
    if not whole or not low or not high:
        _refuse(name, value, f"an integer{_bounds(least, most)}", none, why)
    return int(value)


def check_number(name, value, least=None, most=None, above=None, none=False, why=""):
    """Return a finite number, or refuse it; arguments as those of `check_integer`.

    Args:
        above: number or None. What it must be larger than.
    """
    if none and value is None:
        return None
    real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    whole = isinstance(value, int)  # of any size
    good = real and (abs(value) <= sys.float_info.max if whole else math.isfinite(value))
    good = good and not (above is not None and value <= above)
    if not good or least is not None and value < least or most is not None and value > most:
        bounds = _bounds(least, most)
        if above is not None:
            bounds = f" above {above}" + ("" if most is None else f", at most {most}")
        _refuse(name, value, f"a number{bounds}", none, why)
    return value.item() if isinstance(value, np.generic) else value


def check_flag(name, value, none=False, why=""):
    """Return True or False, or refuse what is neither; arguments as those of `check_integer`."""
    if none and value is None:
        return None
    if not isinstance(value, (bool, np.bool_)):
        _refuse(name, value, "True or False", none, why)
    return bool(value)


def check_choice(name, value, known, none=False, why=""):
    """Return one of the known values, or refuse it.

    Args:
        known: the values that are allowed.
        name, value, none, why: as those of `check_integer`.

    Raises:
        ValueError: naming the argument, what it must be, what it is, and the nearest value.
    """
    if not (none and value is None) and not any(_is_same(value, one) for one in known):
        _refuse(name, value, f"one of {list(known)}", none, why, hint=did_you_mean(value, known))
    return value


def check_text(name, value, none=False, why=""):
    """Return a string that is not empty, or refuse it; arguments as those of `check_integer`."""
    if not (none and value is None) and not (isinstance(value, str) and value):
        _refuse(name, value, "a string", none, why)
    return value


def check_texts(name, value, none=False, why=""):
    """Return strings as a list, or refuse what is none; arguments as those of `check_integer`."""
    if none and value is None:
        return None
    several = hasattr(value, "__iter__") and not isinstance(value, (str, bytes, dict))
    texts = list(value) if several and np.ndim(value) == 1 else [None]
    if not all(isinstance(text, str) for text in texts):
        _refuse(name, value, "a list of strings", none, why)
    return texts


def check_integers(name, value, least=None):
    """Return whole numbers as a tuple, or refuse them; arguments as those of `check_integer`."""
    several = isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1
    if not several or not all(is_integer(one) and (least is None or one >= least) for one in value):
        _refuse(name, value, f"a tuple of integers{_bounds(least, None)}", False, "")
    return tuple(map(int, value))


def check_rectangular(what, value):
    """Return what a user gave as an array, or refuse rows of several lengths.

    Args:
        what: str. What it is, for the message, such as "Labels".
        value: array, or list of numbers or lists.

    Raises:
        ValueError: naming what it is.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{what} must be a rectangular array, of rows of one length. Received: {value!r:.200}."
        ) from error


def check_kind(name, value, kind, none=False, why=""):
    """Return a value of a class, or refuse it.

    Args:
        kind: the class, or a tuple of classes.
        name, value, none, why: as those of `check_integer`.

    Raises:
        TypeError: naming the argument, what it must be, and what it is.
    """
    if not isinstance(value, kind) and not (none and value is None):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        what = f"of the class {' or '.join(one.__name__ for one in kinds)}"
        _refuse(name, value, what, none, why, TypeError)
    return value


def check_arguments(function):
    """Check the arguments of a function by what their annotations declare, as fields of `Settings`.

    `def __init__(self, num_heads: integer(1), dropout: number(0, 1) = 0.0)` takes no other ones. A
    default is not checked.

    Args:
        function: function, such as a constructor, of which some arguments are declared.

    Returns:
        The same function, with checks before it.
    """
    signature = inspect.signature(function)
    guards = [
        (name, guard)
        for name, argument in signature.parameters.items()
        for guard in getattr(argument.annotation, "__metadata__", ())
    ]

    @functools.wraps(function)
    def checked(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python says which is missing or unknown
        for name, guard in guards:
            if name in given.arguments:
                given.arguments[name] = guard(name, given.arguments[name])
        return function(*given.args, **given.kwargs)

    checked.__signature__ = signature  # Keras reads it, and does not look behind a wrapper
    return checked


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


def check_names(what, given, known, kind="arguments"):
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


def flag(none=False):
    """Declare a field of `Settings` that is True or False; see `check_flag`."""
    guard = functools.partial(check_flag, none=none) if none else check_flag
    return Annotated[bool | None if none else bool, guard]


def ascending(least=1):
    """Declare a field of `Settings` that lists ascending whole numbers; see `check_ascending`."""
    return Annotated[tuple, functools.partial(check_ascending, least=least)]


def choice(known, none=False):
    """Declare a field of `Settings` that is one of some values; see `check_choice`."""
    guard = functools.partial(check_choice, known=known, none=none)
    return Annotated[str | None if none else str, guard]


def text(none=False):
    """Declare an argument that is a string, and not empty; see `check_text`."""
    return Annotated[str | None if none else str, functools.partial(check_text, none=none)]


def texts(none=False):
    """Declare an argument that is a list of strings; see `check_texts`."""
    return Annotated[list | None if none else list, functools.partial(check_texts, none=none)]


def integers(least=None):
    """Declare a field of `Settings` that is a tuple of whole numbers; see `check_integers`."""
    return Annotated[tuple, functools.partial(check_integers, least=least)]


def kind(cls, none=False):
    """Declare an argument that is an instance of a class; see `check_kind`."""
    guard = functools.partial(check_kind, kind=cls, none=none)
    return Annotated[cls | None if none else cls, guard]


def _bounds(least, most):
    """How a range is said."""
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return "" if most is None else f" of at most {most}"


def _is_same(value, known):
    """Whether a value is one of the known ones: arrays, which compare by element, are none."""
    return value is known or isinstance(value, type(known)) and value == known


def _refuse(name, value, what, none, why, error=ValueError, hint=""):
    """Raise the error of every guard."""
    what = f"{what}, or None" if none else what
    raise error(f"`{name}` must be {what}{why}. Received: {name}={value!r:.200}.{hint}")


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
