"""Masked language modelling (BERT and its family): predict hidden tokens from both sides.

A literal example: one row of 8 tokens, P = 3. The selection takes "cat" and "mats", the
corruption masks the first and keeps the second.

    position          0    1    2       3    4    5     6    7
    token             CLS  the  cat     sat  on   mats  SEP  padding
    functional        x    -    -       -    -    -     x    x
    x["token_ids"]    CLS  the  [MASK]  sat  on   mats  SEP  padding

    target_positions  2 5 0
    y["tokens"]       cat mats 0
    sample_weight     1 1 0

What BERT, whole-word BERT, RoBERTa, SpanBERT, ERNIE 1.0 and ALBERT differ in is `select` (which
tokens), `corrupt` (what they become), `rows` (what they stand in) and `static_passes`.
"""

import inspect
import operator
from dataclasses import InitVar, dataclass, field

import numpy as np

from keras_plm.checks import check_arrays, check_vocabulary, flag, integer, is_integer, number
from keras_plm.objectives.corruption import Corruption
from keras_plm.objectives.joint.objective_sum import ObjectiveSum
from keras_plm.objectives.joint.plug_in import Hidden
from keras_plm.objectives.joint.span_boundary import SpanBoundary
from keras_plm.objectives.languages import (
    check_languages,
    language_row_settings,
)
from keras_plm.objectives.objective import Objective, check_rows, gather_targets
from keras_plm.objectives.selection.random_selection import RandomSelection
from keras_plm.objectives.selection.selection import Selection

SPAN_BOUNDARY = 9  # the place of `span_boundary` among the arguments of the constructor
ROWS_AT_ONCE = 256  # enough that numpy's calls do not count, few enough for the caches


@dataclass(frozen=True)
class MaskedModeling(Objective):
    """Hides some tokens of each row and asks for them; the module's docstring shows one row.

    Args:
        vocabulary_size: V.
        mask_token_id: id of the mask.
        special_token_ids: ids that random tokens never are, unless `corrupt` says so; the mask
            never is.
        select: `Selection`, which tokens are hidden.
        corrupt: `Corruption`, what they become.
        sequence_length: T, tokens per row.
        num_predict: P, the most targets per row; None takes `select.predictions(T)`.
        rows: the row builder, or a plan of a user's own.
        segments: whether `segment_ids` is a feature.
        span_boundary: 0. Above it, as in older code, the constructor returns the `ObjectiveSum`
            of these settings and `SpanBoundary(span_boundary)`.
        static_passes: 0 masks anew in every pass; after k > 0 passes the same batches come again
            (BERT's data has k = 10 copies of the corpus).
        languages: whether `language_ids` is a feature (XLM).
        positions: whether `position_ids` is a feature, of rows whose texts have positions of
            their own (XLM's pairs of translations, and all that take turns with them).
        transform: whether the head transforms the rows before it reads the token embedding; XLM's
            does not.
        language_exponent: how the rows of "language_stream" and "translation_pair" draw
            languages, see there; None leaves it to them.

    XLM's choice of rare tokens rather than frequent ones (section 3.3: weights ~ 1 / sqrt of the
    frequency, over a whole batch) is not there; by default its released code has none either.

    Raises:
        ValueError: a setting is out of range or does not fit the others.

    Source: BERT (arXiv:1810.04805), section 3.1; RoBERTa (arXiv:1907.11692), section 4.1;
    SpanBERT (arXiv:1907.10529), section 3; ERNIE (arXiv:1904.09223), section 3.2; XLM
    (arXiv:1901.07291), sections 3.3 and 3.4.
    """

    tells_hidden = True

    vocabulary_size: integer(1)
    mask_token_id: integer(0)
    special_token_ids: tuple = ()
    select: Selection = field(default_factory=RandomSelection)
    corrupt: Corruption = field(default_factory=Corruption)
    sequence_length: integer(1) = 512
    num_predict: integer(1, none=True) = None
    rows: str = "full_sentences"
    segments: flag() = False
    span_boundary: InitVar[int] = 0
    static_passes: integer(0) = 0
    languages: flag() = False
    positions: flag() = False
    transform: flag() = True
    language_exponent: number(0, 1, none=True) = None

    def __new__(cls, *values, **settings):
        """Makes a sum where older code sets `span_boundary`."""
        values, place = list(values), SPAN_BOUNDARY
        longest = values[place] if len(values) > place else settings.pop("span_boundary", 0)
        if is_integer(longest) and longest == 0:
            return super().__new__(cls, *values, **settings)
        values[place : place + 1] = [0] * (len(values) > place)
        return ObjectiveSum((cls(*values, **settings), SpanBoundary(longest)))

    def __post_init__(self, span_boundary):
        super().__post_init__()
        object.__setattr__(self, "special_token_ids", _as_ids(self.special_token_ids))
        _check_kinds(self)
        if self.num_predict is None:
            predictions = self.select.predictions(self.sequence_length)
            object.__setattr__(self, "num_predict", predictions)
        _check_ids(self)

    @classmethod
    def for_tokenizer(cls, tokenizer, **settings):
        """Makes the objective with a tokenizer's vocabulary, mask and special tokens.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.
            settings: all others, by name.

        Raises:
            ValueError: the tokenizer has no mask, or a setting is out of range.
        """
        special_ids = tuple(sorted(set(tokenizer.special_token_ids.values())))
        return cls(tokenizer.vocabulary_size, tokenizer.mask_token_id, special_ids, **settings)

    @property
    def feature_names(self):
        """The keys of `x`."""
        return ("token_ids", "padding_mask", "target_positions", *self._row_features)

    @property
    def _row_features(self):
        """The features that are arrays of the rows, as they come."""
        asked = {
            "segment_ids": self.segments,
            "language_ids": self.languages,
            "position_ids": self.positions,
            "fresh": self.contiguous,
        }
        return tuple(name for name, is_feature in asked.items() if is_feature)

    @property
    def row_settings(self):
        """The length of the rows, and the exponent of the languages if it is set."""
        return language_row_settings(self)

    @property
    def draws_per_row(self):
        """Those of the selection, and two per slot: what its token becomes, and which random."""
        return self.select.draws(self.sequence_length) + 2 * self.num_predict

    @property
    def samples_per_row(self):
        """P tokens of the corpus if random tokens are as frequent as in the corpus."""
        from_corpus = self.corrupt.random > 0 and self.corrupt.random_ids == "corpus"
        return self.num_predict if from_corpus else 0

    def heads(self, backbone):
        """Returns the masked language model's head."""
        from keras_plm.heads import MaskedLMHead

        head = MaskedLMHead(
            backbone.token_embedding,
            transform=self.transform,
            activation=backbone.activation,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=backbone.kernel_initializer(),
            name="tokens",
        )
        return {"tokens": head}

    def __call__(self, batch, rng):
        """Selects the targets of each row and corrupts them.

        Args:
            batch: dict of token_ids (B, T) int32; padding_mask, functional, word_starts (B, T)
                bool; what else the selection and the features need; sampled_ids (B, P) int32 if
                random tokens come from the corpus.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids (B, T), padding_mask (B, T), target_positions (B, P) and, by the
                settings, segment_ids, language_ids, position_ids (B, T), fresh (B,).
            y: {"tokens": (B, P) int32}, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused. A row without maskable
                tokens has only 0.

        Raises:
            ValueError: missing arrays, wrong shapes, ids outside the vocabulary, or a selection
                of special tokens or of more than P.
        """
        return self.hide(batch, rng)[0]

    def hide(self, batch, rng):
        """Selects and corrupts, and says what was hidden; see `Objective`."""
        arrays = _check_batch(self, batch)
        num_rows, middle = len(batch["token_ids"]), self.select.draws(self.sequence_length)
        token_ids = batch["token_ids"].copy()
        blocks = []
        for start in range(0, num_rows, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, num_rows))
            uniform = rng.random((rows.stop - start, self.draws_per_row))
            block = {name: array[rows] for name, array in arrays.items()}
            units = self.select(block, uniform[:, :middle], self.num_predict)
            blocks.append(self._hide(block, units, uniform[:, middle:], token_ids[rows]))
        positions, tokens, weights, units = map(np.concatenate, zip(*blocks))
        x = {
            "token_ids": token_ids,
            "padding_mask": batch["padding_mask"],
            "target_positions": positions,
        }
        x.update({name: batch[name] for name in self._row_features})
        hidden = Hidden(positions, tokens, weights, units, token_ids)
        return (x, {"tokens": tokens}, {"tokens": weights}), hidden

    def _hide(self, batch, units, uniform, token_ids):
        """The (B, P) arrays of some rows; their `token_ids` are corrupted in place."""
        targets = units != 0
        _check_selection(self, targets, batch["functional"])
        positions, tokens, weights = gather_targets(batch["token_ids"], targets, self.num_predict)
        units = np.take_along_axis(units, positions, axis=1)
        becomes = self.corrupt(
            tokens,
            units,
            uniform,
            self.vocabulary_size,
            self.mask_token_id,
            self.special_token_ids,
            batch.get("sampled_ids"),
        )
        rows, slots = np.nonzero(weights)
        token_ids[rows, positions[rows, slots]] = becomes[rows, slots]
        return positions, tokens, weights, np.where(weights > 0, units, 0)


_parameters = inspect.signature(MaskedModeling.__init__).parameters
MaskedModeling.__signature__ = inspect.Signature(list(_parameters.values())[1:])  # not `__new__`'s


def _as_ids(ids):
    """The ids as a tuple of int."""
    try:
        return tuple(operator.index(one) for one in ids)
    except TypeError:
        raise ValueError(
            f"special_token_ids must be integers, in a tuple. Received: special_token_ids={ids!r}"
        ) from None


def _check_kinds(objective):
    """The settings that hold settings, and the rows."""
    for name, kind in (("select", Selection), ("corrupt", Corruption)):
        value = getattr(objective, name)
        if not isinstance(value, kind):
            raise ValueError(f"{name} must be a {kind.__name__}. Received: {name}={value!r}")
    check_rows(objective.rows)


def _check_ids(objective):
    """The ids against the vocabulary, and P against T."""
    size = objective.vocabulary_size
    specials = {objective.mask_token_id, *objective.special_token_ids}
    outside = sorted(one for one in specials if not 0 <= one < size)
    if outside:
        raise ValueError(
            "mask_token_id and special_token_ids must lie in the vocabulary, "
            f"[0, {size}). Received: {outside}"
        )
    corrupt = objective.corrupt
    if corrupt.random and corrupt.random_ids == "ordinary" and len(specials) == size:
        raise ValueError(
            "All ids of the vocabulary are special: there is no random token to draw. Use "
            'Corruption(random=0) or random_ids="vocabulary". Received: '
            f"vocabulary_size={size}, special_token_ids={objective.special_token_ids}"
        )
    if objective.num_predict > objective.sequence_length:
        raise ValueError(
            f"num_predict must be at most sequence_length={objective.sequence_length}. Received: "
            f"num_predict={objective.num_predict}"
        )


def _check_batch(objective, batch):
    """The rows fit the settings; returns the arrays of the batch that have rows."""
    names = ["token_ids", "padding_mask", "functional", "word_starts"]
    if objective.languages:
        check_languages("MaskedModeling", batch, objective.sequence_length)
    names += objective._row_features
    row = (objective.sequence_length,)
    check_arrays("MaskedModeling", batch, {n: () if n == "fresh" else row for n in names})
    check_vocabulary("token_ids", batch["token_ids"], objective.vocabulary_size)
    if objective.samples_per_row:
        expected = (len(batch["token_ids"]), objective.samples_per_row)
        sampled = np.shape(batch.get("sampled_ids"))  # () of None
        if len(sampled) != 2 or sampled[0] != expected[0] or sampled[1] < expected[1]:
            raise ValueError(
                'Corruption(random_ids="corpus") needs sampled_ids of the shape (B, num_predict) '
                f"= {expected}, tokens drawn from the corpus. Received: {sampled}. Make the rows "
                "with this objective."
            )
        check_vocabulary("sampled_ids", batch["sampled_ids"], objective.vocabulary_size)
    return {name: array for name, array in batch.items() if np.ndim(array) > 0}


def _check_selection(objective, targets, functional):
    """The selection kept its promises."""
    if (targets & functional).any():
        raise ValueError(
            "The selection took special tokens or padding. Received: "
            f"select={objective.select}, {int((targets & functional).sum())} of them"
        )
    most = int(np.count_nonzero(targets, axis=1).max(initial=0))
    if most > objective.num_predict:
        raise ValueError(
            f"The selection took more than num_predict={objective.num_predict} tokens of a row. "
            f"Received: select={objective.select}, {most} tokens"
        )
