"""What an objective is: it hides tokens of ready rows and says what is to be predicted."""

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_plm.features import FOR_HEADS
from keras_plm.objectives.settings import Settings

# Rows that go on from batch to batch.
CONTIGUOUS = ("stream", "sentence_stream", "two_way_sentences")


@dataclass(frozen=True)
class Objective(Settings, ABC):
    """Base of all objectives: a frozen dataclass of settings, called on batches of ready rows.

    A concrete objective names its rows in `rows` (a key of the tables in
    `keras_plm/data/rows/row_plans.py`, or a function, see `keras_plm.data.row_plan`). It draws its
    random numbers row after row, all of them, as `rng.random((B, draws_per_row))` does. So the
    numbers of row b do not depend on how many other rows are made beside it, and a shard of a
    batch is exactly a slice of the whole batch.

    Attributes:
        rows: str or function. The rows, see above.
        hides: bool. Whether it hides tokens; of several over one batch only one may.
        tells_hidden: bool. Whether `hide` says what was hidden, for the plug-ins of a sum.
        target_axes: dict of head names to the axes of their targets: "BP", "BT" or "B".
        static_passes: int. 0 draws anew in every pass over the corpus; after k > 0 passes the
            same batches come again (k is BERT's `dupe_factor`).
        reuse_length: int. How many leading tokens of a row go before the next batch's row, where
            rows go on and overlap (XLNet); 0: all.
        variable_length: bool. Whether batches of training have rows of several lengths about
            `sequence_length`, and are learned from at a rate in proportion.
        characters: bool. Whether `character_ids` are among the arrays of a batch, and of rows that
            are read both ways `backward_character_ids`.
        samples_per_row: int. How many tokens drawn from the corpus each row needs in
            `sampled_ids`.
        whole_batch: bool. Whether `of_batch` makes arrays of the whole batch, before it is sliced
            into shards.
        columns: tuple of str. The columns that the corpus must have beside the words, such as
            `capitals`; see `Corpus.build(..., annotate=...)`.
        token_counts: bool. Whether `token_counts` are among the arrays of a batch: (V,), how often
            each token of the vocabulary is in the corpus.
    """

    kind: ClassVar[str] = "objective"
    hides: ClassVar[bool] = True
    # Without annotations: a subclass may have fields of these names, in an order of its own.
    tells_hidden = False
    target_axes = {"tokens": "BP"}
    rows = None
    static_passes = 0
    reuse_length = 0
    variable_length = False
    characters = False
    samples_per_row = 0
    whole_batch = False
    token_counts = False
    columns = ()

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if inspect.isfunction(vars(cls).get("rows")):
            cls.rows = staticmethod(cls.rows)  # a plan, not a method

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

    def of_batch(self, batch):
        """Make what all rows of a batch share: the one exception to their independence.

        It is called, if `whole_batch`, with all rows of a batch, of which a shard has a part.

        Args:
            batch: dict of the arrays of all rows, as the row builder makes them.

        Returns:
            dict of arrays, which are among those of the batch of each shard.
        """
        return {}

    def hide(self, batch, rng):
        """Make the examples, and say what was hidden in them.

        Args:
            batch, rng: see `__call__`.

        Returns:
            `((x, y, sample_weight), hidden)`: a `Hidden`, or None unless `tells_hidden`.
        """
        return self(batch, rng), None

    @abstractmethod
    def heads(self, backbone):
        """Returns a dict of new Keras heads over `backbone`, named by the keys of `y`."""

    def outputs(self, backbone, heads, inputs):
        """Composes backbone and heads into the graph: by default it encodes, and each head reads.

        An objective overrides it whose corruption comes from a model, or whose negatives are the
        other rows. What it needs of Keras it imports inside.

        Args:
            backbone: `Backbone`.
            heads: dict of what `heads` returned.
            inputs: dict of tensors by feature, and "state", a nest, if the backbone has one.

        Returns:
            `(outputs, encoded)`: dict of what the losses eat by head; and what the backbone's
            `encode` returned, whose "state" is carried to the next batch.
        """
        kept = {"fresh", *FOR_HEADS}
        encoded = backbone.encode({name: one for name, one in inputs.items() if name not in kept})
        return {name: head.read(encoded, inputs) for name, head in heads.items()}, encoded

    @property
    def composes(self):
        """Whether it has `outputs` of its own."""
        return type(self).outputs is not Objective.outputs

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
        return tuple(self.target_axes)

    @property
    def head_settings(self):
        """dict of head names to what the parts of a `Mixture` that share the head must agree on."""
        return {}

    @property
    def contiguous(self):
        """Whether a row continues that of the batch before, unless it is `fresh`."""
        return self.rows in CONTIGUOUS

    @property
    def row_settings(self):
        """The keyword arguments of the row builder, a dict."""
        return {"sequence_length": self.sequence_length}

    def target_shape(self, name):
        """Returns the shape of one row's targets of a head: (P,), (T,) or ().

        Args:
            name: one of `head_names`.

        Raises:
            ValueError: there is no such head.
        """
        self._check_head(name)
        return shape_of_targets(self.target_axes.get(name, "BP"), self)

    def _check_head(self, name):
        """Refuses a head that the objective does not have."""
        if name not in self.head_names:
            raise ValueError(
                f"{type(self).__name__} has the heads {list(self.head_names)}. Received: "
                f"name={name!r}"
            )


def check_rows(rows):
    """Refuses rows that are neither named nor planned.

    Args:
        rows: what was given.

    Raises:
        ValueError: naming it.
    """
    if not isinstance(rows, str) and (isinstance(rows, type) or not callable(rows)):
        raise ValueError(
            'rows must name a row builder, such as "full_sentences", or be a plan of your own, see '
            f"keras_plm.data.row_plan. Received: rows={rows!r}"
        )


def shape_of_targets(axes, rows_of):
    """Returns the shape of one row's targets: (P,), (T,) or ().

    Args:
        axes: "BP", "BT" or "B".
        rows_of: `Objective` whose T and P they are.
    """
    lengths = {"P": "num_predict", "T": "sequence_length"}
    return tuple(getattr(rows_of, lengths[axis]) for axis in axes[1:])


class DrawnNumbers:
    """Hands out the rows of a table of uniform random numbers, as a generator would.

    An objective draws `rng.random((rows, draws_per_row))`, block after block of rows. A part of a
    sum gets its own columns of the whole row's numbers this way, so a row of the sum depends on
    its own numbers only.

    Args:
        uniform: (B, N) float in [0, 1).

    Raises:
        ValueError: from `random`, if another shape or more rows are asked for than are left.
    """

    def __init__(self, uniform):
        self._uniform = uniform
        self._next = 0

    def random(self, shape):
        """The next `shape[0]` rows.

        Args:
            shape: (rows, N).
        """
        begin, end = self._next, self._next + shape[0]
        num_rows, num_columns = self._uniform.shape
        if len(shape) != 2 or shape[1] != num_columns or end > num_rows:
            raise ValueError(
                f"There are {num_rows - begin} rows of {num_columns} numbers left. Received: "
                f"shape={shape}"
            )
        self._next = end
        return self._uniform[begin:end]


def gather_targets(token_ids, targets, num_predict):
    """Lists the targets of each row in ascending positions, padded to `num_predict`.

    Args:
        token_ids: (B, T) int32.
        targets: (B, T) bool, at most `num_predict` per row.
        num_predict: P.

    Returns:
        target_positions (B, P) int32 (0 where unused), target ids (B, P) int32 (0 where unused),
        weights (B, P) float32 (1 for a target, 0 where unused).
    """
    shape = (len(targets), num_predict)
    positions, weights = np.zeros(shape, "int32"), np.zeros(shape, "float32")
    token_targets = np.zeros(shape, "int32")
    used = np.arange(num_predict) < targets.sum(axis=1)[:, None]  # (B, P)
    rows, columns = np.nonzero(targets)  # row by row, ascending
    positions[used], token_targets[used], weights[used] = columns, token_ids[rows, columns], 1
    return positions, token_targets, weights
