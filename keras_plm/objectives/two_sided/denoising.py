"""Denoising with an encoder and a decoder (T5, BART, MASS): one side is noised, one is asked for.

A literal example, T5's: 20 tokens and </s>, `SpanPartition(0.3, 3)`, sentinels S0, S1 and so on.

    row                 t0 t1 t2 t3 t4 t5 t6 t7 .. t15 t16 t17 t18 t19 </s>
    selected                           x  x            x   x   x   x

    source_token_ids    t0 t1 t2 t3 t4 S0 t7 .. t15 S1 </s>  pad ..
    token_ids           pad S0 t5 t6 S1 t16 t17 t18 t19      what the decoder reads
    y["tokens"]         S0  t5 t6 S1  t16 t17 t18 t19 </s>

Three choices make it: which tokens (`select`), what the encoder reads (`input`), and what is asked
for (`target`). Tokens may be put in another order before (`arrange`) and turned behind (`rotate`).
Both sides have lengths of their own. The noises of the papers are such choices under their names,
`for_tokenizer(tokenizer, MASS(share=0.5))`.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, check_kind, check_vocabulary, flag, integer, number
from keras_plm.objectives.languages import check_languages
from keras_plm.objectives.noising.arrangement import Arrangement, inner_tokens, rotation
from keras_plm.objectives.noising.infilled_input import frame_of
from keras_plm.objectives.noising.noise import Noise
from keras_plm.objectives.objective import Objective, check_rows
from keras_plm.objectives.selection.row_units import number_units
from keras_plm.objectives.selection.selection import Selection
from keras_plm.objectives.two_sided.rewriting import Rewriting, SelectedRows
from keras_plm.objectives.two_sided.source_and_target import (
    FEATURES,
    LANGUAGES,
    decoder_arrays,
    moved_left,
    with_languages,
)


@dataclass(frozen=True)
class Denoising(Objective):
    """Asks a decoder for what an encoder does not see; the module's docstring shows one row.

    Args:
        vocabulary_size: V.
        select: `Selection`, which tokens; None: none. Selected tokens that stand together are one
            span.
        input: `Rewriting`, what the encoder reads.
        target: `Rewriting`, what the decoder is asked for.
        end_token_id: what closes the target; None: nothing, or the row itself does.
        start_token_id: what the decoder reads first.
        pad_token_id: what fills both sides.
        sequence_length: T, tokens per row.
        source_length: N, tokens that the encoder reads; None: the most that there can be.
        target_length: P, tokens that are asked for; None: the most that there can be.
        rows: the row builder, or a plan of a user's own.
        arrange: tuple of `Arrangement`, orders in which the tokens are put one after the other
            before some are selected. What surrounds the text stays.
        rotate: the chance that the noised text is turned, so that it begins with any of its tokens.
        languages: whether the language of the row is a feature of both sides (MASS): of rows that
            say it, such as "language_stream".

    Raises:
        ValueError: a setting is out of range, or the target asks for what is selected, and nothing
            is.

    Source: T5 (arXiv:1910.10683), section 3.1.4; BART (arXiv:1910.13461), section 2.2; MASS
    (arXiv:1905.02450), section 3.1. The three choices: `denoise` of T5's released code.
    """

    vocabulary_size: integer(1)
    select: Selection | None
    input: Rewriting
    target: Rewriting
    end_token_id: integer(0, none=True) = None
    start_token_id: integer(0) = 0
    pad_token_id: integer(0) = 0
    sequence_length: integer(1) = 512
    source_length: integer(1, none=True) = None
    target_length: integer(1, none=True) = None
    rows: str = "packed"
    arrange: tuple = ()
    rotate: number(0, 1) = 0.0
    languages: flag() = False

    def __post_init__(self):
        super().__post_init__()
        kinds = {"select": (Selection, type(None)), "input": Rewriting, "target": Rewriting}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                what = "a Selection or None" if name == "select" else f"a {kind.__name__}"
                raise ValueError(f"{name} must be {what}. Received: {name}={value!r}")
        check_rows(self.rows)
        arrange = self.arrange
        several = isinstance(arrange, (tuple, list))
        if not several or not all(isinstance(one, Arrangement) for one in arrange):
            raise ValueError(f"arrange must be a tuple of Arrangement. Received: {arrange=!r}")
        object.__setattr__(self, "arrange", tuple(arrange))
        self._set_lengths()

    def _set_lengths(self):
        """The lengths that are not given: the most that there can be."""
        longest = self.sequence_length, self._most
        if self.source_length is None:
            object.__setattr__(self, "source_length", self.input.longest(*longest))
        if self.target_length is None:
            length = self.target.longest(*longest)
            if not length:
                raise ValueError(
                    "The target asks for what is selected, and nothing is: set select. Received: "
                    f"select={self.select}, target={self.target}"
                )
            length += self.end_token_id is not None
            object.__setattr__(self, "target_length", length)

    @classmethod
    def for_tokenizer(cls, tokenizer, noise=None, **settings):
        """Makes the objective with a tokenizer's vocabulary and special tokens.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.
            noise: `Noise`, such as `SpanCorruption()`, which says the settings that make it; None:
                `settings` do.
            settings: others, by name; they go before those of the noise.

        Raises:
            TypeError: noise is none.
            ValueError: the tokenizer lacks a token that the noise needs, or a setting is out of
                range.
        """
        check_kind("noise", noise, Noise, none=True)
        known = {"pad_token_id": tokenizer.pad_token_id}
        known |= {} if noise is None else noise.choices(tokenizer)
        return cls(tokenizer.vocabulary_size, **{**known, **settings})

    @property
    def num_predict(self):
        """P, tokens that are asked for."""
        return self.target_length

    @property
    def feature_names(self):
        """The keys of `x`."""
        source, target = self.input.features, self.target.features
        return (*FEATURES[:2], *(f"source_{name}" for name in source), *FEATURES[2:4], *target,
            *FEATURES[4:], *(LANGUAGES if self.languages else ()))  # fmt: skip

    @property
    def draws_per_row(self):
        """Those of the choices, the orders and the turn, one after the other."""
        return sum(self._draws)

    @property
    def _draws(self):
        """How many numbers each of them takes."""
        drawing = (self.select, self.input, self.target, *self.arrange)
        of_each = (0 if one is None else one.draws(self.sequence_length) for one in drawing)
        return (*of_each, 2 if self.rotate else 0)

    @property
    def _most(self):
        """How many tokens are selected at most."""
        return 0 if self.select is None else self.select.predictions(self.sequence_length)

    def heads(self, backbone):
        """Returns the language model's head, as the backbone makes it."""
        return {"tokens": backbone.lm_head()}

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
            ValueError: missing arrays or wrong shapes, ids outside the vocabulary, a side that is
                longer than `source_length` or `target_length`, or a row of which the encoder has
                nothing to read.
        """
        row = (self.sequence_length,)
        names = ("token_ids", "padding_mask", "functional")
        check_arrays("Denoising", batch, {name: row for name in names})
        check_vocabulary("token_ids", batch["token_ids"], self.vocabulary_size)
        uniform = rng.random((len(batch["token_ids"]), self.draws_per_row))
        uniform = np.split(uniform, np.cumsum(self._draws)[:-1], axis=1)
        rows = self._selected(batch, uniform)
        source = moved_left(self.input(rows, uniform[1]), self.source_length, "source_length")
        if self.rotate:
            self._turn(source, rows, uniform[-1])
        target = self.target(rows, uniform[2])
        x, y, weight = decoder_arrays(source, target, self)
        if self.languages:
            check_languages("Denoising", batch, self.sequence_length)
            real = np.asarray(batch["padding_mask"])
            x = with_languages(x, batch, real, real, "Denoising")
        return {name: x[name] for name in self.feature_names}, y, weight

    def _selected(self, batch, uniform):
        """The rows in their order, and what is selected of them."""
        whole = np.asarray(batch["token_ids"])
        for arrange, numbers in zip(self.arrange, uniform[3:]):
            inner = inner_tokens(np.asarray(batch["padding_mask"]), np.asarray(batch["functional"]))
            order = arrange(np.asarray(batch["token_ids"]), inner, numbers)
            batch = {name: _ordered(np.asarray(one), order) for name, one in batch.items()}
        spans, empty = np.zeros(whole.shape, "int32"), None
        if self.select is not None:
            spans = self.select(batch, uniform[0], self._most)
            empty = self.select.empty_spans(batch, uniform[0])
        begins = spans > 0
        begins[:, 1:] &= spans[:, :-1] == 0  # what touches is one span
        return SelectedRows(
            np.asarray(batch["token_ids"]),
            np.asarray(batch["padding_mask"]),
            number_units(spans > 0, begins),
            begins,
            batch,
            self.vocabulary_size,
            np.asarray(batch["functional"]),
            spans,
            empty,
            whole,
            self.start_token_id,
        )

    def _turn(self, source, rows, uniform):
        """Turns what the encoder reads, but for what surrounds the text, in place."""
        lead, trail = (one[:, None] for one in frame_of(rows))
        place = np.arange(self.source_length)
        count = np.count_nonzero(source["keep"], axis=1)[:, None]
        order = rotation((place >= lead) & (place < count - trail), self.rotate, uniform)
        for name, values in source.items():
            source[name] = np.take_along_axis(values, order, axis=1)


def _ordered(values, order):
    """An array of a batch in another order of its tokens, if it has an axis of them."""
    if values.shape[:2] != order.shape:
        return values
    return np.take_along_axis(values, order.reshape(*order.shape, *[1] * (values.ndim - 2)), axis=1)
