"""Frozen settings that travel as plain dicts: what objectives, selections and corruptions are.

    RandomSelection("word", 0.15).get_config()
        == {"class": "RandomSelection", "unit": "word", "rate": 0.15, "count": "exact"}

Settings may hold settings, alone or in a tuple; then their configs stand in their place. Classes
and functions of a user's own are written by the name under which Keras has them registered, and
found again if they are registered, or handed over in a `keras.saving.custom_object_scope`.
"""

import inspect
import sys
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar

from keras_plm.checks import check_names, constructor_arguments, did_you_mean
from keras_plm.objectives.old_configs import translate

OWN_PACKAGE = __name__.rpartition(".")[0]
DEEPEST = 8  # settings within settings


@dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose values can be written as JSON and read again.

    A class directly below this one is a kind (`Objective`, `Selection`, `Corruption`): its
    `from_config` makes that kind only. Fields declare their bounds, see `keras_plm.checks`; what
    fields must be to each other a subclass checks in `__post_init__`, behind this one's.
    """

    kind: ClassVar[str] = "setting"

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "__repr__" not in vars(cls):  # else `dataclass` would make one of all fields
            cls.__repr__ = cls.__repr__

    def __repr__(self):
        """The settings that differ from their defaults, as they would be given."""
        given = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if repr(getattr(self, field.name)) != repr(_default(field))
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __new__(cls, *values, **settings):
        check_names(cls.__name__, settings, constructor_arguments(cls))
        return super().__new__(cls)

    def __post_init__(self):
        for field in fields(self):
            for guard in getattr(field.type, "__metadata__", ()):
                value = guard(field.name, getattr(self, field.name))
                object.__setattr__(self, field.name, value)

    def get_config(self):
        """Returns the class name and the settings as a dict that JSON can hold."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"class": _name_of(type(self)), **values}

    @classmethod
    def from_config(cls, config):
        """Makes settings from the dict that `get_config` returned.

        Args:
            config: dict with "class", the name of one of the package's own classes of this kind,
                or of one that is registered with Keras or handed over in a custom object scope,
                and its settings. Nothing is ever imported by name.

        Raises:
            ValueError: unknown class, missing or unknown settings, settings out of range, or
                settings nested deeper than `DEEPEST`.
        """
        kinds = [one for one in cls.__mro__ if Settings in one.__bases__]
        return _from_config(kinds[0] if kinds else Settings, config, 1)


def _default(field):
    """The default of a field; of one that must be given, what it is never."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _from_config(kind, config, depth):
    """One level of settings; those below it may be of any kind."""
    article = "An" if kind.kind[0] in "aeiou" else "A"
    if not isinstance(config, dict):
        raise ValueError(
            f"{article} {kind.kind}'s config must be a dict. Received: config={config!r}"
        )
    if depth > DEEPEST:
        raise ValueError(
            f"{article} {kind.kind}'s config must be nested at most {DEEPEST} deep. Received: "
            f"class={config.get('class')!r} below that"
        )
    settings = dict(translate(config))
    name = settings.pop("class", None)
    known = {one.__name__: one for one in _own_classes(kind)}
    made = known.get(name) if isinstance(name, str) else None
    if made is None:
        made = _found(name)
        if not isinstance(made, type) or not issubclass(made, kind) or inspect.isabstract(made):
            raise ValueError(
                f"Unknown {kind.kind}: the config's 'class' must be one of {sorted(known)}, or a "
                f"class of your own that is registered with Keras, by "
                f"`keras.saving.register_keras_serializable`, or handed over, in "
                f"`custom_objects`. Received: class={name!r}.{did_you_mean(name, known)}"
            )
    expected = {field.name for field in fields(made)}
    unknown = sorted(map(str, set(settings) - expected))
    if set(settings) != expected:
        raise ValueError(
            f"The config of {name} must have exactly the settings {sorted(expected)}. "
            f"Received: missing {sorted(expected - set(settings))}, "
            f"unknown {unknown}.{did_you_mean(unknown, expected)}"
        )
    return made(**{key: _made(value, depth) for key, value in settings.items()})


def _name_of(one):
    """What a class or function is called in a config: of a user's own, its name with Keras."""
    keras = sys.modules.get("keras")
    if keras is None or one.__module__.startswith(OWN_PACKAGE + "."):
        return one.__name__
    return keras.saving.get_registered_name(one)


def _found(name):
    """The class or function of a user's own that has this name with Keras, or None."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(name, str):
        return None
    return keras.saving.get_registered_object(name)


def _own_classes(kind):
    """The concrete classes of a kind that the package itself defines."""
    if kind.__module__.startswith(OWN_PACKAGE + ".") and not inspect.isabstract(kind):
        if kind is not Settings:
            yield kind
    for below in kind.__subclasses__():
        yield from _own_classes(below)


def _plain(value):
    """A value as JSON has it."""
    if isinstance(value, Settings):
        return value.get_config()
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if inspect.isfunction(value):
        return {"function": _name_of(value)}
    return value


def _made(value, depth):
    """A value as the settings have it."""
    if isinstance(value, dict) and set(value) == {"function"}:
        function = _found(value["function"])
        if not inspect.isfunction(function):
            raise ValueError(
                "A function of your own must be registered with Keras, by "
                "`keras.saving.register_keras_serializable`, or handed over, in "
                f"`custom_objects`. Received: function={value['function']!r}"
            )
        return function
    if isinstance(value, dict):
        return _from_config(Settings, value, depth + 1)
    if isinstance(value, (tuple, list)):
        return tuple(_made(one, depth) for one in value)
    return value
