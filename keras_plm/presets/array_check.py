"""Comparing what a file of weights holds with what a model needs, before anything is read."""


def check_arrays(path, expected, found, optional=(), known=()):
    """Refuse a file whose arrays are not those that a model needs, in one message.

    Args:
        path: the file or directory, for the message.
        expected: dict of str to tuple. The shapes that the model needs.
        found: dict of str to tuple. The shapes that the file has.
        optional: names that may be missing.
        known: names that may be there.

    Raises:
        ValueError: naming all missing, unexpected and misshapen arrays.
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
