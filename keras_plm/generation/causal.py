"""Compiled programs of `CausalLM`: a prompt is read once, and the loop runs on the device.

All rows of a batch are at the same slot, and slot p is position p. A row whose prompt is longer
than another's has nothing to fill in while the loop walks over the rest of its prompt:

    prompts           the cat _ _ _ _      on the old mat _ _
    loop from slot 2          ^                   ^
    used              no  no  yes ...      no  no  no  no  yes yes
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_plm.backbones.transformer_decoding import (
    cache_length,
    empty_cache,
    read_prompt,
    read_tokens,
)
from keras_plm.checks import check_integer
from keras_plm.generation.compiled_programs import CompiledPrograms
from keras_plm.generation.sampling import AllowedTokens, log_likelihood_of_rows


class Writing(NamedTuple):
    """How prompts are continued.

    Args:
        sampler: `keras_hub.samplers.Sampler`.
        forbidden_ids: tuple of int, the ids that are never written.
        stop_ids: tuple of int. After one of them a row is finished.
        constants: tuple of pairs (name, int): the one id of `language_ids` and the like.
    """

    sampler: object
    forbidden_ids: tuple = ()
    stop_ids: tuple = ()
    constants: tuple = ()


class CausalPrograms:
    """What `CausalLM` computes, compiled by XLA once for each number of rows and length.

    Args:
        model: `CausalLM`.
    """

    def __init__(self, model):
        self.model = model
        self.compiled = CompiledPrograms(model)

    def write(self, prompts, length, writing):
        """Continue prompts up to a length.

        Args:
            prompts: list of B lists of at least 1 and less than `length` ints.
            length: int. T.
            writing: `Writing`.

        Returns:
            Array (B, T) of ids, the prompts included; of a sampler that returns several texts, a
            pair of arrays: (B, W, T) ids and (B, W) scores, best first.
        """
        token_ids, used = rows_of(prompts, length)
        sampler = writing.sampler

        def write(token_ids, used, start):
            step, cache = self._step(token_ids, used, start, writing)
            return sampler(
                next=step,
                prompt=ops.where(used, -1, token_ids),
                cache=cache,
                index=start,
                mask=ops.logical_not(used),
                stop_token_ids=list(writing.stop_ids) or None,
                model=self.model,
            )

        start = min(len(prompt) for prompt in prompts)
        return self.compiled.run(("write", *writing[1:]), write, sampler, token_ids, used, start)

    def score(self, features):
        """The log-likelihood of every token but the first of rows, in one pass.

        Args:
            features: dict of arrays that the backbone takes, such as `token_ids` (B, T).

        Returns:
            Float array (B, T), in nats; the first of each row is 0.
        """

        def score(features):
            rows = self.model.backbone.encode(features)["sequence_output"]  # (B, T, D)
            head, ids = self.model.heads["tokens"], features["token_ids"]
            scores = log_likelihood_of_rows(head, rows[:, :-1], ids[:, 1:])
            return ops.pad(scores, ((0, 0), (1, 0)))

        return self.compiled.run(("score", *sorted(features)), score, None, features)

    def _step(self, token_ids, used, start, writing):
        """What a sampler calls for the logits of a slot, and the cache to begin with."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        constants = dict(writing.constants)
        allowed = AllowedTokens(backbone.vocabulary_size, writing.forbidden_ids, writing.stop_ids)
        batch, length = token_ids.shape
        places = cache_length(length)
        cache = empty_cache(backbone, batch, places)
        whole = ops.pad(token_ids, ((0, 0), (0, places - length)))  # (B, S)
        # The token before the first slot is read by the first step.
        cache = read_prompt(backbone, cache, whole, start - 1, constants)

        def step(texts, cache, index):
            last = ops.maximum(ops.take(texts, index - 1, axis=1), 0)[:, None]  # (B, 1)
            rows, key_value = read_tokens(backbone, cache["key_value"], last, index - 1, constants)
            used = cache["used"]
            written = ops.where(used, texts, -1)
            logits = allowed.restrict(head(rows)[:, 0], written, ops.take(used, index, axis=1))
            return logits, rows[:, 0], {"key_value": key_value, "used": used}

        return step, {"key_value": cache, "used": used}


def rows_of(prompts, length):
    """Prompts in arrays of one length, from the left.

    Args:
        prompts: list of B lists of at most `length` ints.
        length: int. T.

    Returns:
        Pair of arrays (B, T): int32 ids, 0 behind a prompt, and bool: what lies behind it.
    """
    token_ids = np.zeros((len(prompts), length), "int32")
    for row, prompt in zip(token_ids, prompts):
        row[: len(prompt)] = prompt
    lengths = np.array([len(prompt) for prompt in prompts])
    return token_ids, np.arange(length) >= lengths[:, None]


def check_batch_size(batch_size):
    """Refuse what is no number of rows.

    Args:
        batch_size: int.

    Raises:
        ValueError: if it is no integer of at least 1.
    """
    check_integer("batch_size", batch_size, 1)


def batches_of(rows, batch_size):
    """Yield rows in batches of one size; the last one is filled up with the first rows.

    Args:
        rows: list of N rows.
        batch_size: int. The most rows of a batch.

    Yields:
        Pairs: a list of rows, and how many of them count.

    Raises:
        ValueError: if `batch_size` is no integer of at least 1.
    """
    check_batch_size(batch_size)
    size = min(batch_size, len(rows))
    for first in range(0, len(rows), size):
        batch = [rows[(first + index) % len(rows)] for index in range(size)]
        yield batch, min(size, len(rows) - first)
