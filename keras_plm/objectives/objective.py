"""What an objective is: it hides tokens of ready rows and says what is to be predicted."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

OWN_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Objective(ABC):
    """Base of all objectives: a frozen dataclass of settings, called on batches of ready rows.

    A concrete objective names its row builder in the class attribute `rows` (a key of the table in
    `keras_plm/data/examples.py`) and draws its random numbers row after row, all of them, as
    `rng.random((B, draws_per_row))` does. So the numbers of row b do not depend on how many other
    rows are made beside it, and a shard of a batch is exactly a slice of the whole batch.
    """

    rows: ClassVar[str]

    @abstractmethod
    def __call__(self, batch, rng):
        """Makes one training example per row.

        Args:
            batch: dict of (B, T) and (B,) arrays, as the row builder makes them.
            rng: `numpy.random.Generator`.

        Returns:
            `(x, y, sample_weight)`: dicts of arrays; `x` has exactly the keys `feature_names`, `y`
            and `sample_weight` those of `heads`.

        Raises:
            ValueError: the batch does not fit the settings.
        """

    @abstractmethod
    def heads(self, backbone):
        """Returns a dict of new Keras heads over `backbone`, named by the keys of `y`."""

    @property
    @abstractmethod
    def feature_names(self):
        """The keys of `x`, a tuple of strings."""

    @property
    @abstractmethod
    def draws_per_row(self):
        """How many uniform random numbers one row takes."""

    def get_config(self):
        """Returns the class name and the settings as a dict that JSON can hold."""
        return {"class": type(self).__name__, **asdict(self)}

    @classmethod
    def from_config(cls, config):
        """Makes an objective from the dict that `get_config` returned.

        Args:
            config: dict with "class", the name of one of the package's own objectives, and its
                settings.

        Raises:
            ValueError: unknown class, missing or unknown settings, or settings out of range.
        """
        if not isinstance(config, dict):
            raise ValueError(f"An objective's config must be a dict. Received: config={config!r}")
        settings = dict(config)
        name = settings.pop("class", None)
        known = {
            known_class.__name__: known_class
            for known_class in Objective.__subclasses__()
            if known_class.__module__.startswith(OWN_PACKAGE + ".")
        }
        if not isinstance(name, str) or name not in known:
            raise ValueError(
                f"Unknown objective: the config's 'class' must be one of {sorted(known)}. "
                f"Received: class={name!r}"
            )
        expected = {field.name for field in fields(known[name])}
        if set(settings) != expected:
            raise ValueError(
                f"The config of {name} must have exactly the settings {sorted(expected)}. "
                f"Received: missing {sorted(expected - set(settings))}, "
                f"unknown {sorted(map(str, set(settings) - expected))}"
            )
        return known[name](**settings)
