"""What an objective is: it hides tokens of ready rows and says what is to be predicted."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from keras_plm.objectives.settings import Settings


@dataclass(frozen=True)
class Objective(Settings, ABC):
    """Base of all objectives: a frozen dataclass of settings, called on batches of ready rows.

    A concrete objective names its row builder in `rows` (a key of the table in
    `keras_plm/data/row_builders.py`) and draws its random numbers row after row, all of them, as
    `rng.random((B, draws_per_row))` does. So the numbers of row b do not depend on how many other
    rows are made beside it, and a shard of a batch is exactly a slice of the whole batch.

    Attributes:
        rows: str. The row builder.
        hides: bool. Whether it hides tokens; of several over one batch only one may.
        static_passes: int. 0 draws anew in every pass over the corpus; after k > 0 passes the
            same batches come again (k is BERT's `dupe_factor`).
        samples_per_row: int. How many tokens drawn from the corpus each row needs in
            `sampled_ids`.
    """

    kind: ClassVar[str] = "objective"
    hides: ClassVar[bool] = True
    # Without annotations: a subclass may have fields of these names, in an order of its own.
    rows = None
    static_passes = 0
    samples_per_row = 0

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

    @property
    def head_names(self):
        """The keys of `y`, a tuple of strings."""
        return ("tokens",)

    @property
    def row_settings(self):
        """The keyword arguments of the row builder, a dict."""
        return {"sequence_length": self.sequence_length}

    def target_shape(self, name):
        """Returns the shape of one row's targets of a head: (P,) or ().

        Args:
            name: one of `head_names`.

        Raises:
            ValueError: there is no such head.
        """
        self._check_head(name)
        return (self.num_predict,)

    def _check_head(self, name):
        """Refuses a head that the objective does not have."""
        if name not in self.head_names:
            raise ValueError(
                f"{type(self).__name__} has the heads {list(self.head_names)}. Received: "
                f"name={name!r}"
            )
