"""Values of other people's configurations: read with checks, and written."""

# What transformers calls an activation that Keras, or this package, calls otherwise; of several
# names for one, the first is written.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def read_sizes(config, names):
    """The sizes of an architecture.

    Args:
        config: dict.
        names: dict of our name to theirs.

    Returns:
        dict of our name to int.

    Raises:
        ValueError: naming all that are no positive integers.
    """
    found = {ours: config.get(theirs) for ours, theirs in names.items()}
    wrong = {
        names[ours]: size
        for ours, size in found.items()
        if not isinstance(size, int) or isinstance(size, bool) or size < 1
    }
    if wrong:
        raise ValueError(
            f"The config must have positive integers for {sorted(wrong)}. Received: {wrong}."
        )
    return found


def read_choice(config, key, values, default):
    """Translate one value of a config by a dict.

    Args:
        config: dict.
        key: str.
        values: dict of their value to ours.
        default: their value where the config has none.

    Raises:
        ValueError: if the value is none of them.
    """
    value = config.get(key, default)
    if not isinstance(value, (str, bool)) or value not in values:
        raise ValueError(f"{key!r} must be one of {sorted(values)}. Received: {value!r}.")
    return values[value]


def read_flag(config, key, default):
    """A yes or no of a config.

    Args:
        config: dict.
        key: str.
        default: bool where the config has none.

    Raises:
        ValueError: if it is neither true nor false.
    """
    return read_choice(config, key, {True: True, False: False}, default)


def write_choice(arguments, name, values):
    """Translate one argument of ours by the same dict.

    Args:
        arguments: dict.
        name: str.
        values: dict of their value to ours; of several that are the same, the first is written.

    Raises:
        ValueError: if they have no such value.
    """
    theirs = {ours: value for value, ours in reversed(values.items())}
    if arguments[name] not in theirs:
        raise ValueError(
            f"transformers has no {name} for {arguments[name]!r}. Known are {sorted(theirs)}."
        )
    return theirs[arguments[name]]


def read_number(config, key, default, types=(int, float)):
    """A number of a config; null stands for 0.

    Args:
        config: dict.
        key: str.
        default: number where the config has none.
        types: the types that it may have.

    Raises:
        ValueError: if it is no number.
    """
    value = config.get(key, default)
    value = 0 if value is None else value
    if not isinstance(value, types) or isinstance(value, bool):
        raise ValueError(f"{key!r} must be a number or null. Received: {value!r}.")
    return value
