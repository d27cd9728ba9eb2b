"""Denoising with an encoder and a decoder (T5, BART, MASS): one side is noised, one is asked for.

A literal example, T5's: 20 tokens and </s>, `SpanPartition(0.3, 3)`, sentinels S0, S1 and so on.

    row                 t0 t1 t2 t3 t4 t5 t6 t7 .. t15 t16 t17 t18 t19 </s>
    selected                           x  x            x   x   x   x

    source_token_ids    t0 t1 t2 t3 t4 S0 t7 .. t15 S1 </s>  pad ..
    token_ids           pad S0 t5 t6 S1 t16 t17 t18 t19      what the decoder reads
    y["tokens"]         S0  t5 t6 S1  t16 t17 t18 t19 </s>

Three choices make it: which tokens (`select`), what the encoder reads (`input`), and what is asked
for (`target`). Both sides have lengths of their own.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, check_vocabulary, integer
from keras_plm.objectives.objective import Objective, check_rows
from keras_plm.objectives.rewriting import Rewriting, SelectedRows
from keras_plm.objectives.selection.row_units import number_units
from keras_plm.objectives.selection.selection import Selection


@dataclass(frozen=True)
class Denoising(Objective):
    """Asks a decoder for what an encoder does not see; the module's docstring shows one row.

    Args:
        vocabulary_size: V.
        select: `Selection`, which tokens. Selected tokens that stand together are one span.
        input: `Rewriting`, what the encoder reads.
        target: `Rewriting`, what the decoder is asked for.
        end_token_id: what closes the target; None: nothing, or the row itself does.
        start_token_id: what the decoder reads first.
        pad_token_id: what fills both sides.
        sequence_length: T, tokens per row.
        source_length: N, tokens that the encoder reads; None: the most that there can be.
        target_length: P, tokens that are asked for; None: the most that there can be.
        rows: the row builder, or a plan of a user's own.

    Raises:
        ValueError: a setting is out of range.

    Source: T5 (arXiv:1910.10683), section 3.1.4; BART (arXiv:1910.13461), section 2.2; MASS
    (arXiv:1905.02450), section 3.1. The three choices: `denoise` of T5's released code.
    """

    vocabulary_size: integer(1)
    select: Selection
    input: Rewriting
    target: Rewriting
    end_token_id: integer(0, none=True) = None
    start_token_id: integer(0) = 0
    pad_token_id: integer(0) = 0
    sequence_length: integer(1) = 512
    source_length: integer(1, none=True) = None
    target_length: integer(1, none=True) = None
    rows: str = "packed"

    def __post_init__(self):
        super().__post_init__()
        kinds = {"select": Selection, "input": Rewriting, "target": Rewriting}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise ValueError(f"{name} must be a {kind.__name__}. Received: {name}={value!r}")
        check_rows(self.rows)
        longest = self.sequence_length, self.select.predictions(self.sequence_length)
        if self.source_length is None:
            object.__setattr__(self, "source_length", self.input.longest(*longest))
        if self.target_length is None:
            length = self.target.longest(*longest) + (self.end_token_id is not None)
            object.__setattr__(self, "target_length", length)

    @property
    def num_predict(self):
        """P, tokens that are asked for."""
        return self.target_length

    @property
    def feature_names(self):
        """The keys of `x`."""
        source = (f"source_{name}" for name in ("token_ids", "padding_mask", *self.input.features))
        return (*source, "token_ids", "padding_mask", *self.target.features, "target_positions")

    @property
    def draws_per_row(self):
        """Those of the selection, the input and the target, one after the other."""
        return sum(one.draws(self.sequence_length) for one in self._choices)

    @property
    def _choices(self):
        """What draws numbers, in its order."""
        return self.select, self.input, self.target

    def heads(self, backbone):
        """Returns the language model's head: the rows times the token embedding."""
        from keras_plm.heads import MaskedLMHead

        return {"tokens": MaskedLMHead(backbone.token_embedding, use_bias=False, name="tokens")}

    def __call__(self, batch, rng):
        """Selects spans and writes both sides.

        Args:
            batch: dict of token_ids (B, T) int32; padding_mask, functional (B, T) bool; what else
                the choices read.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of source_token_ids, source_padding_mask (B, N) and what else the input gives,
                as "source_..."; token_ids, padding_mask, target_positions (B, P) and what else
                the target gives.
            y: {"tokens": (B, P) int32}, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused. A row of which nothing is
                asked for has only 0.

        Raises:
            ValueError: missing arrays or wrong shapes, ids outside the vocabulary, or a side that
                is longer than `source_length` or `target_length`.
        """
        row = (self.sequence_length,)
        names = ("token_ids", "padding_mask", "functional")
        check_arrays("Denoising", batch, {name: row for name in names})
        check_vocabulary("token_ids", batch["token_ids"], self.vocabulary_size)
        num_rows = len(batch["token_ids"])
        ends = np.cumsum([one.draws(*row) for one in self._choices])
        uniform = np.split(rng.random((num_rows, self.draws_per_row)), ends[:-1], axis=1)
        units = self.select(batch, uniform[0], self.select.predictions(*row))
        begins = units > 0
        begins[:, 1:] &= units[:, :-1] == 0  # what touches is one span
        selected = SelectedRows(
            np.asarray(batch["token_ids"]),
            np.asarray(batch["padding_mask"]),
            number_units(units > 0, begins),
            begins,
            batch,
            self.vocabulary_size,
        )
        source = _compacted(self.input(selected, uniform[1]), self.source_length, "source_length")
        written = self.target(selected, uniform[2])
        target = _compacted(written, self.target_length, "target_length")
        asked = target.pop("keep")
        tokens = target.pop("token_ids")
        if self.end_token_id is not None:
            tokens, target, asked = self._closed(tokens, target, asked)
        reads = target.pop("inputs", None)
        if reads is None:
            start = np.full((num_rows, 1), self.start_token_id, "int32")
            reads = np.concatenate([start, tokens[:, :-1]], axis=1)
        real = asked.copy()
        real[:, 0] = True  # a decoder reads its start even where nothing is asked
        weight = asked & written["keep"].any(axis=1)[:, None]
        source_real = source.pop("keep")
        source["token_ids"] = np.where(source_real, source["token_ids"], self.pad_token_id)
        x = {f"source_{name}": values for name, values in source.items()}
        x["source_padding_mask"] = source_real
        x["token_ids"] = np.where(real, reads, self.pad_token_id).astype("int32")
        positions = np.arange(self.target_length, dtype="int32")
        x |= {"padding_mask": real, "target_positions": np.tile(positions, (num_rows, 1)), **target}
        y = np.where(weight, tokens, 0).astype("int32")
        return (
            {name: x[name] for name in self.feature_names},
            {"tokens": y},
            {"tokens": weight.astype("float32")},
        )

    def _closed(self, tokens, target, asked):
        """The target with its end."""
        place = np.count_nonzero(asked, axis=1)
        if place.max(initial=0) >= self.target_length:
            _refuse_length("target_length", place.max() + 1, self.target_length)
        rows = np.arange(len(place))
        tokens[rows, place], asked[rows, place] = self.end_token_id, True
        return tokens, target, asked


def _compacted(written, length, name):
    """What is kept of each row, from left to right: (B, length) of (B, W), 0 behind it."""
    keep = written["keep"]
    place = np.cumsum(keep, axis=1) - 1
    longest = int(place[:, -1].max(initial=-1)) + 1
    if longest > length:
        _refuse_length(name, longest, length)
    rows, columns = np.nonzero(keep)
    slots = place[rows, columns]
    made = {}
    for key, values in written.items():
        dtype = "bool" if values.dtype == bool else "int32"
        made[key] = np.zeros((len(keep), length), dtype)
        made[key][rows, slots] = values[rows, columns]
    return made


def _refuse_length(name, longest, length):
    """A side is too long."""
    raise ValueError(
        f"{name} must have room for all that stands there. Raise it, or lower sequence_length or "
        f"the selection's rate. Received: rows of {longest}, {name}={length}"
    )
