"""Permutation language modelling (XLNet): predict some tokens in a random order.

A literal example: one row of 8 tokens, `reuse_length=2` and `permutation_size=2`. "cat" and "on"
are selected; SEP and CLS are functional: they hold a place in the order but are not predicted.

    position          0    1    2    3    4    5     6    7
    token             the  cat  sat  on   SEP  mats  SEP  CLS
    selected          -    x    -    x    -    -     -    -
    permutation       1    0    1    0    1    0     1    0     place within each chunk of 2
    order             0    1    3    4    7    3     9    8

    target_positions  1 3
    y["tokens"]       cat on

"the" is context of the first part (order 0), "sat" and "mats" of the second (order 2 + 1). "on"
is in the first chunk of the second part at place 0: 3 + 1 + 0. The content row of a token sees
what has an order up to its own, the row that predicts it only what has a smaller one: "on" is
predicted from the, cat, sat and mats, and CLS sees all but the last SEP.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import choice, flag, integer
from keras_plm.objectives.objective import Objective, gather_targets
from keras_plm.objectives.selection.span_sampling import SPAN_UNITS, sample_spans

FUNCTIONAL_PER_ROW = 3  # SEP, SEP, CLS
ROWS_AT_ONCE = 128  # arrays of more rows leave the caches, and their memory is made anew every time
SHORTEST_SECOND_HALF = FUNCTIONAL_PER_ROW + 2  # one token of A, SEP, one of B, SEP, CLS


def local_permutation(selected, functional, permutation):
    """Gives every token of one part of the rows its order.

    One permutation of `permutation_size` places is used in every chunk of that many tokens; the
    chunks follow each other from left to right. Context (neither selected nor functional) has the
    order 0, every other token 1 + its place.

    Args:
        selected: (B, T) bool, the hidden tokens.
        functional: (B, T) bool, SEP and CLS.
        permutation: (B, permutation_size) int, each row a permutation of 0 to
            `permutation_size - 1`: the place of the k-th token of a chunk. The size divides T.

    Returns:
        (B, T) int32.

    Raises:
        ValueError: the permutation's size does not divide T.

    Source: XLNet (arXiv:1906.08237), section 2.2, and `_local_perm` of the released code.
    """
    num_rows, length = selected.shape
    size = permutation.shape[1]
    if length % size:
        raise ValueError(
            f"The permutation's size must divide the length of the part. Received: "
            f"permutation.shape={permutation.shape}, length={length}"
        )
    chunk_starts = np.arange(0, length, size)[:, None]  # (T / size, 1)
    place = (chunk_starts + permutation[:, None, :]).reshape(num_rows, length)
    return np.where(selected | functional, place + 1, 0).astype("int32")


@dataclass(frozen=True)
class PermutationModeling(Objective):
    """XLNet's objective: spans of tokens are predicted in the order of a random permutation.

    The module's docstring shows one example token by token. A row is a reuse half (the first
    `reuse_length` tokens, which become the next row's memory) and a second half that sees all of
    the first; each half has its own selection and its own permutation. `num_predict` positions
    are selected in all, the odd one in the first half; functional tokens among them are not
    predicted, so a row may have fewer real targets than `num_predict`: the rest has weight 0.
    With `reuse_length=0` the whole row is one part.

    Args:
        sequence_length: T, tokens per row; even.
        reuse_length: tokens of the reuse half, 0 for none. None: half of the row.
        num_predict: P, selected positions per row. None: a sixth of the row.
        permutation_size: tokens per permutation; divides both halves. At most `reuse_length`,
            since a larger one would show the memory what is predicted later. None: half of the
            row, or what of it divides both halves.
        max_ngram: longest span, in units.
        alpha: with `beta`: n units are selected in about `n * alpha / beta` positions.
        beta: see `alpha`.
        span_unit: "piece" (spans of n pieces, as released) or "word" (of n whole words).
        bidirectional: whether half of the rows are read right to left (feature `backward`).

    Raises:
        ValueError: a setting is out of range or does not fit the others.

    Source: XLNet (arXiv:1906.08237), sections 2.2, 2.3 and 3.1; `data_utils.py` of the released
    code.
    """

    rows = "segment_pair"

    sequence_length: integer(2) = 512
    reuse_length: integer(0, none=True) = None
    num_predict: integer(1, none=True) = None
    permutation_size: integer(1, none=True) = None
    max_ngram: integer(1) = 5
    alpha: integer(1) = 6
    beta: integer(1) = 1
    span_unit: choice(SPAN_UNITS) = "piece"
    bidirectional: flag() = False

    def __post_init__(self):
        super().__post_init__()
        half = self.sequence_length // 2
        reuse = half if self.reuse_length is None else self.reuse_length
        least = 1 if reuse else FUNCTIONAL_PER_ROW + 1
        derived = {
            "reuse_length": reuse,
            "num_predict": max(least, self.sequence_length // 6),
            "permutation_size": math.gcd(reuse or half, self.sequence_length - reuse),
        }
        for name, value in derived.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        _check_settings(self)
        _check_lengths(self)

    @property
    def parts(self):
        """The slice of the row and the number of selected positions, for each part."""
        second = self.num_predict // 2 if self.reuse_length else self.num_predict
        parts = ((slice(self.reuse_length, self.sequence_length), second),)
        if self.reuse_length:
            parts = ((slice(0, self.reuse_length), self.num_predict - second), *parts)
        return parts

    @property
    def feature_names(self):
        """The keys of `x`."""
        names = ("token_ids", "segment_ids", "order", "target_positions", "fresh")
        return (*names, "backward") if self.bidirectional else names

    @property
    def row_settings(self):
        """The keyword arguments of the row builder."""
        return {"sequence_length": self.sequence_length, "reuse_length": self.reuse_length}

    @property
    def draws_per_row(self):
        """Two per selected position, one per token, one per place of each permutation."""
        permutations = self.permutation_size * len(self.parts)
        return 2 * self.num_predict + self.sequence_length + permutations

    def heads(self, backbone):
        """Returns the masked language model's head over the backbone's token embedding."""
        from keras_plm.heads import MaskedLMHead

        return {"tokens": MaskedLMHead(backbone.token_embedding, name="tokens")}

    def __call__(self, batch, rng):
        """Selects the targets of each row and draws their order.

        Args:
            batch: dict of token_ids, segment_ids (B, T) int32; word_starts, functional (B, T)
                bool; fresh, backward (B,) bool.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids, segment_ids, order (B, T), target_positions (B, P), fresh (B,)
                and, if bidirectional, backward (B,).
            y: {"tokens": (B, P) int32}, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused.

        Raises:
            ValueError: wrong shapes, backward rows without `bidirectional`, a row without any
                real target, or a target that could see no token at all.
        """
        _check_batch(self, batch)
        num_rows = len(batch["token_ids"])
        selected = np.empty((num_rows, self.sequence_length), bool)
        order = np.empty((num_rows, self.sequence_length), "int32")
        for start in range(0, num_rows, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, num_rows))
            uniform = rng.random((rows.stop - start, self.draws_per_row))
            block = {name: values[rows] for name, values in batch.items()}
            self._hide(block, uniform, selected[rows], order[rows])
        targets = selected & ~batch["functional"]
        positions, tokens, weights = gather_targets(batch["token_ids"], targets, self.num_predict)
        _check_targets(order, positions, weights)
        x = {
            "token_ids": batch["token_ids"],
            "segment_ids": batch["segment_ids"],
            "order": order,
            "target_positions": positions,
            "fresh": batch["fresh"],
        }
        if self.bidirectional:
            x["backward"] = batch["backward"]
        return x, {"tokens": tokens}, {"tokens": weights}

    def _hide(self, batch, uniform, selected, order):
        """Fills in, part by part, what is selected and the order of every token."""
        begin = 0  # of the part's random numbers
        for part, goal in self.parts:
            middle = begin + 2 * goal + part.stop - part.start
            end = middle + self.permutation_size
            selected[:, part] = self._select(batch, part, goal, uniform[:, begin:middle])
            permutation = np.argsort(uniform[:, middle:end], axis=1)
            functional = batch["functional"][:, part]
            order[:, part] = local_permutation(selected[:, part], functional, permutation)
            order[:, part] += part.start + (part.start > 0)
            begin = end

    def _select(self, batch, part, goal, uniform):
        """Selects `goal` positions of a part; backward rows are sampled in reading order."""
        word_starts, backward = batch["word_starts"][:, part], batch["backward"]
        if backward.any():
            word_starts = np.where(backward[:, None], word_starts[:, ::-1], word_starts)
        selected = sample_spans(
            word_starts, goal, uniform, self.max_ngram, self.alpha, self.beta, self.span_unit
        )
        if backward.any():
            selected = np.where(backward[:, None], selected[:, ::-1], selected)
        return selected


def _check_settings(objective):
    """How often spans are selected."""
    if objective.alpha < objective.beta:
        raise ValueError(
            "alpha must be at least beta: a span of n is selected in n * alpha / beta positions. "
            f"Received: alpha={objective.alpha}, beta={objective.beta}"
        )


def _check_lengths(objective):
    """The lengths against each other."""
    length, reuse = objective.sequence_length, objective.reuse_length
    size = objective.permutation_size
    received = (
        f"Received: sequence_length={length}, reuse_length={reuse}, permutation_size={size}, "
        f"num_predict={objective.num_predict}"
    )
    if length % 2:
        raise ValueError(f"sequence_length must be even. {received}")
    if length - reuse < SHORTEST_SECOND_HALF:
        raise ValueError(
            f"sequence_length must exceed reuse_length by {SHORTEST_SECOND_HALF} or more: a token "
            f"of A, SEP, a token of B, SEP, CLS. {received}"
        )
    if reuse and size > reuse:
        raise ValueError(
            "permutation_size must not exceed reuse_length: the next row's memory would show "
            f"what is predicted later. Lower permutation_size. {received}"
        )
    if reuse % size or (length - reuse) % size:
        raise ValueError(
            "permutation_size must divide reuse_length and sequence_length - reuse_length. "
            f"{received}"
        )
    if not reuse and objective.num_predict <= FUNCTIONAL_PER_ROW:
        raise ValueError(
            f"Without a reuse half num_predict must exceed {FUNCTIONAL_PER_ROW}, else a row may "
            f"select SEP and CLS only and predict nothing. {received}"
        )
    for part, goal in objective.parts:
        most = part.stop - part.start - 1 - (0 if reuse else FUNCTIONAL_PER_ROW)
        if goal > most:
            raise ValueError(
                f"num_predict is too large: {goal} of the positions fall into a part of "
                f"{part.stop - part.start} tokens, of which at most {most} can be selected if "
                f"context is to be left. Lower num_predict or raise sequence_length. {received}"
            )


def _check_batch(objective, batch):
    """The rows fit the settings."""
    shape = (len(batch["token_ids"]), objective.sequence_length)
    for name in ("token_ids", "segment_ids", "word_starts", "functional"):
        if batch[name].shape != shape:
            raise ValueError(
                f"{name} must have the shape (B, sequence_length) = {shape}. Received: "
                f"{name}.shape={batch[name].shape}. Make the rows with this objective."
            )
    if batch["backward"].any() and not objective.bidirectional:
        raise ValueError(
            "The batch has rows that were read right to left, but the objective would not tell "
            "the model. Use PermutationModeling(bidirectional=True). Received: "
            f"{int(batch['backward'].sum())} backward rows"
        )


def _check_targets(order, positions, weights):
    """Every row has a real target, and every real target sees a token."""
    without = np.flatnonzero(weights[:, 0] == 0)  # the first slot is used before all others
    if len(without):
        raise ValueError(
            "Some rows have no real target: only functional tokens were selected. Raise "
            f"num_predict. Received: {len(without)} such rows, the first is row {without[0]}"
        )
    steps = np.where(weights > 0, np.take_along_axis(order, positions, axis=1), len(order[0]) + 2)
    blind = np.flatnonzero(steps.min(axis=1) <= order.min(axis=1))
    if len(blind):
        raise ValueError(
            "Some rows have a target that sees no token: everything before it in the order is "
            f"selected. Lower num_predict. Received: {len(blind)} such rows, the first is row "
            f"{blind[0]}"
        )
