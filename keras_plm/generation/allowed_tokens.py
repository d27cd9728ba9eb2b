"""Which tokens a row may take in a slot: what is forbidden is so before any sampler looks."""

import numpy as np
from keras import ops

from keras_plm.checks import check_integer

FORBIDDEN = -1e9  # a logit; its probability is exactly 0


class AllowedTokens:
    """The tokens that a row may take in a slot, whatever the sampler.

    Where a row has nothing to fill in, or has stopped, one token is certain, so that its beams
    neither multiply nor lose their score. Where it could take nothing any more it stops, although
    that is before `min_length`; if it cannot stop either, it may repeat itself.

    Args:
        vocabulary_size: int. V.
        forbidden_ids: iterable of int, those that no row ever takes.
        stop_ids: iterable of int, those after which a row is finished.
        min_length: int. The first slot that may hold a stop token.
        no_repeat_ngram_size: int. n: no n tokens stand in the slots twice, be they written or
            known before. A stop token, which belongs to no text, is exempt. 0: they may.
        first_token_id: int or None. What every row begins with, forbidden or not, at no cost: the
            log-likelihood of what is certain is 0.

    Raises:
        ValueError: if the first token is none of the vocabulary, or stops.
    """

    def __init__(
        self,
        vocabulary_size,
        forbidden_ids=(),
        stop_ids=(),
        min_length=0,
        no_repeat_ngram_size=0,
        first_token_id=None,
    ):
        check_integer("min_length", min_length, 0)
        check_integer("no_repeat_ngram_size", no_repeat_ngram_size, 0)
        check_integer("first_token_id", first_token_id, 0, vocabulary_size - 1, none=True)
        self.stop_ids = tuple(stop_ids)
        if first_token_id in self.stop_ids:
            raise ValueError(
                "The first token must not be one that stops. "
                f"Received: first_token_id={first_token_id}, stop ids {self.stop_ids}."
            )
        self.min_length = min_length
        self.ngram_size = no_repeat_ngram_size
        self.forbidden = np.zeros(vocabulary_size, "float32")  # (V,)
        self.forbidden[list(forbidden_ids)] = FORBIDDEN
        self.stops = np.zeros(vocabulary_size, "bool")  # (V,)
        self.stops[list(self.stop_ids)] = True
        self.idle = self._certain(self.stop_ids[0] if self.stop_ids else 0)
        self.first = None if first_token_id is None else self._certain(first_token_id)

    def restrict(self, logits, texts, used, index):
        """Leave nothing but allowed tokens.

        Args:
            logits: float tensor of shape (B, V).
            texts: int tensor of shape (B, P): what the slots hold so far, else -1.
            used: bool tensor of shape (B, P): which slots are to be filled in.
            index: int or int tensor. The slot that is filled next.

        Returns:
            Float tensor of shape (B, V).
        """
        written = ops.where(used, texts, -1)
        idle = ops.logical_not(ops.take(used, index, axis=1))  # (B,)
        for stop in self.stop_ids:
            idle = ops.logical_or(idle, ops.any(written == stop, axis=1))
        logits = logits + self.forbidden
        if self.min_length or self.ngram_size:
            logits = ops.where(self._refused(texts, index), FORBIDDEN, logits)
        if self.first is not None:
            first = ops.all(written < 0, axis=1)  # (B,)
            logits = ops.where(first[:, None], self.first, logits)
        return ops.where(idle[:, None], self.idle, logits)

    def _refused(self, texts, index):
        """Which tokens must not stand in this slot, (B, V), though they may in others."""
        allowed = self.forbidden == 0  # (V,)
        refused = ops.logical_and(index < self.min_length, self.stops)[None]  # (1, V)
        if self.ngram_size:
            repeats = would_repeat(texts, index, self.ngram_size, len(allowed))  # (B, V)
            refused = ops.logical_or(refused, ops.logical_and(repeats, ~self.stops))
        left = ops.any(ops.logical_and(allowed, ops.logical_not(refused)), axis=1)
        may_stop = self.stops & allowed
        otherwise = ~may_stop if may_stop.any() else np.zeros_like(allowed)  # (V,)
        return ops.where(left[:, None], refused, otherwise)

    def _certain(self, token):
        """Logits (V,) of which one is certain."""
        certain = np.full(len(self.forbidden), FORBIDDEN, "float32")
        certain[token] = 0.0
        return certain


def would_repeat(texts, index, size, vocabulary_size):
    """Find the tokens that would complete a run of tokens that is there already.

    Args:
        texts: int tensor of shape (B, P), with -1 where there is nothing.
        index: int or int tensor. The place of the next token; what stands there and behind it
            does not matter.
        size: int. n, the length of such a run.
        vocabulary_size: int. V.

    Returns:
        Bool tensor of shape (B, V).
    """
    rows, places = texts.shape
    if size > places:
        return ops.zeros((rows, vocabulary_size), dtype="bool")
    starts = places - size + 1  # S, where a run may begin
    last = texts[:, size - 1 :]  # (B, S), the last token of each
    same = ops.logical_and(last >= 0, ops.arange(size - 1, places) < index)
    for offset in range(size - 1):
        now = ops.take(texts, ops.maximum(index - size + 1 + offset, 0), axis=1)  # (B,)
        same = ops.logical_and(same, texts[:, offset : offset + starts] == now[:, None])
    # Those of other runs are counted 0 times.
    where = ops.stack([ops.broadcast_to(ops.arange(rows)[:, None], last.shape), last], axis=-1)
    where = ops.reshape(ops.maximum(where, 0), (-1, 2))  # (B * S, 2)
    count = ops.reshape(ops.cast(same, "int32"), (-1,))
    return ops.scatter(where, count, (rows, vocabulary_size)) > 0


def check_lengths(min_length, max_length):
    """Refuse texts that would have to be longer than they may be.

    Args:
        min_length: int. The fewest tokens of a text.
        max_length: int. The most.

    Raises:
        ValueError: naming both.
    """
    if min_length > max_length:
        raise ValueError(
            "`min_length` must be at most `max_length`. "
            f"Received: min_length={min_length}, max_length={max_length}."
        )
