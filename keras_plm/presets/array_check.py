"""Comparing what a file of weights holds with what a model needs, before anything is read."""


def check_arrays(path, expected, found, optional=(), known=(), dtypes=None):
    """Refuse a file whose arrays are not those that a model needs, in one message.

    Args:
        path: the file or directory, for the message.
        expected: dict of str to tuple. The shapes that the model needs.
        found: dict of str to tuple. The shapes that the file has.
        optional: names that may be missing.
        known: names that may be there.
        dtypes: dict of str to pairs (data type needed, data type found) of arrays, or None: they
            are not compared.

    Raises:
        ValueError: naming all missing, unexpected and misshapen arrays, and those of another data
            type.
    """
    misshapen = [
        f"{name} (expected {tuple(expected[name])}, received {tuple(found[name])})"
        for name in sorted(expected.keys() & found.keys())
        if tuple(expected[name]) != tuple(found[name])
    ]
    problems = {
        "missing": sorted(expected.keys() - found.keys() - set(optional)),
        "unexpected": sorted(found.keys() - expected.keys() - set(known)),
        "of another shape": misshapen,
        "of another data type": [
            f"{name} (expected {needed}, received {received})"
            for name, (needed, received) in sorted((dtypes or {}).items())
            if needed != received
        ],
    }
    if any(problems.values()):
        report = "; ".join(
            f"{len(names)} {problem}: {', '.join(names[:20])}" + (", ..." if names[20:] else "")
            for problem, names in problems.items()
            if names
        )
        raise ValueError(
            f"{path} does not hold the weights of this model: {report}. Use the configuration "
            "that the weights were saved with."
        )
