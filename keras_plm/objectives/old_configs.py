"""Configs that older versions wrote, as today's classes have them.

    {"class": "MaskedModeling", ..., "span_boundary": 20}
        -> {"class": "ObjectiveSum", "objectives": [{"class": "MaskedModeling", ...},
                                                    {"class": "SpanBoundary", "max_length": 20}]}

Presets, training checkpoints and `.keras` files hold such configs; their heads have the same names
as today, and their batches are the same.
"""


def translate(config):
    """Return a config in today's form.

    Args:
        config: dict with "class", which is not changed; configs within it are not looked at.
    """
    name = config.get("class")
    return TRANSLATIONS[name](config) if isinstance(name, str) and name in TRANSLATIONS else config


def _span_boundary_apart(config):
    """`span_boundary` was a flag of `MaskedModeling`; it is an objective of its own."""
    config = dict(config)
    longest = config.pop("span_boundary", 0)
    if longest == 0 and not isinstance(longest, bool):
        return config
    boundary = {"class": "SpanBoundary", "max_length": longest}
    return {"class": "ObjectiveSum", "objectives": [config, boundary]}


def _with_defaults(**defaults):
    """Settings that came later, at what they were before."""
    return lambda config: {**defaults, **config}


# By the name of the class that was written.
TRANSLATIONS = {
    "CorruptedInput": _with_defaults(closed=True),
    "Denoising": _with_defaults(arrange=(), rotate=0.0),
    "InfilledInput": _with_defaults(replace="span", joined=True, random=0.0),
    "MaskedModeling": _span_boundary_apart,
    "Mixture": _with_defaults(stages=None, task_ids=False),
}
