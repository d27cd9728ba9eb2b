"""The one decoding loop, and the log-likelihoods of texts, compiled.

A text has slots, which are filled from left to right. Where a slot is not to be filled, it holds
what the text begins with, or nothing. All rows of a batch are at the same slot:

    slots             the cat _ _ _ _      on the old mat _ _
    loop from slot 2          ^                   ^
    used              no  no  yes ...      no  no  no  no  yes yes

A step reads what stands in the slot before, by the decoder of the backbone, and predicts the slot.
What a slot is, the task says: `CausalLM`'s are the places of a text. `PrefixLM`'s stand behind a
source; to predict from a mask, the step reads a mask as well, over which the next token is written:

    place            0      1      2    3      4      5       6
    start reads      (pad)  [CLS]  the  [SEP]
    step 0 reads                        [SEP]  [MASK]
    step 1 reads                               le     [MASK]

`PermutationLM`'s stand anywhere in a text, in the order of the factorisation.
"""

from operator import itemgetter
from typing import NamedTuple

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_plm.backbones.decoding.decoder import RecomputingQueries
from keras_plm.checks import check_choice, check_integer
from keras_plm.generation.allowed_tokens import AllowedTokens
from keras_plm.generation.compiled_programs import CompiledPrograms, rows_of_program
from keras_plm.generation.progress import with_progress
from keras_plm.generation.sampling import (
    log_likelihood,
    log_likelihood_of_rows,
    texts_written,
)
from keras_plm.preprocessing.preprocessor import right_padded

MODES = ("factorised", "bidirectional")
ONE_TEXT_PER_ROW = (  # samplers that do not repeat the cache
    keras_hub.samplers.GreedySampler,
    keras_hub.samplers.RandomSampler,
    keras_hub.samplers.TopKSampler,
    keras_hub.samplers.TopPSampler,
)


class Writing(NamedTuple):
    """How slots are filled.

    Args:
        sampler: `keras_hub.samplers.Sampler`.
        forbidden_ids: tuple of int, the ids that are never written.
        stop_ids: tuple of int. After one of them a row is finished.
        mode: one of `MODES`: whether a token that was filled in sees only what was there before
            ("factorised"), or in every step all tokens see each other ("bidirectional"; of
            backbones that read "queries").
        mask_id: int or None. The mask that each token is predicted from; None: from the token
            before it, or a query row.
        min_length: int. The first slot that a stop token may be written into.
        no_repeat_ngram_size: int. n: no n tokens stand in the slots of a row twice; see
            `AllowedTokens`. 0: they may.
        first_token_id: int or None. What is written into the first slot of every row that is to
            be filled.
    """

    sampler: keras_hub.samplers.Sampler
    forbidden_ids: tuple = ()
    stop_ids: tuple = ()
    mode: str = "factorised"
    mask_id: int | None = None
    min_length: int = 0
    no_repeat_ngram_size: int = 0
    first_token_id: int | None = None


class Slots(NamedTuple):
    """A batch of texts with slots to fill.

    Args:
        features: dict of arrays, what `Decoder.start` takes but for `known`.
        texts: int array (B, P): what slots hold, -1 where they hold nothing.
        used: bool array (B, P): which slots are to be filled.
        start: int. The first slot that any row uses.
        before: int. How many places stand before slot 0, which are all known.
    """

    features: dict
    texts: np.ndarray
    used: np.ndarray
    start: int = 0
    before: int = 0


class Programs:
    """What a task that writes computes, compiled by XLA once for each shape.

    Args:
        model: task with a `backbone` and a head "tokens".
    """

    def __init__(self, model):
        self.model = model
        self.compiled = CompiledPrograms(model)

    def write_batches(self, batches, writing, number, verbose=0, length=None):
        """Fill the slots of some batches.

        Args:
            batches: iterable of pairs of `Slots` and how many of their rows count.
            writing: `Writing`.
            number: int. How many rows count in all.
            verbose: as for `keras.Model.predict`.
            length: int or None. The slots that are wanted: others are there for the shape, and
                what they are filled with is dropped. None: all.

        Returns:
            list of the ids in the used slots of each row, an array (n,); of a sampler that
            returns several texts, a list of these, best first.

        Raises:
            ValueError: as `write`.
        """
        written = []
        for slots, count in with_progress(batches, number, verbose, itemgetter(1)):
            texts = texts_written(self.write(slots, writing))[:count]
            for used, one in zip(slots.used[:, :length], texts):
                written.append(keras.tree.map_structure(lambda ids: ids[:length][used], one))
        return written

    def write(self, slots, writing):
        """Fill the slots of one batch, one after the other.

        Args:
            slots: `Slots`.
            writing: `Writing`.

        Returns:
            Array (B, P) of ids, with what the slots held before; of a sampler that returns several
            texts, a pair of arrays: (B, W, P) ids and (B, W) scores, best first.

        Raises:
            ValueError: if the mode is unknown, or what a row may take is; see `AllowedTokens`.
        """
        check_choice("mode", writing.mode, MODES)
        sampler, before = writing.sampler, slots.before

        def write(features, texts, used, start):
            step, cache = self._step(features, used, start, before, writing)
            return sampler(
                next=step,
                prompt=texts,
                cache=cache,
                index=start,
                mask=ops.logical_not(used),
                stop_token_ids=list(writing.stop_ids) or None,
                model=self.model,
            )

        key = ("write", before, *sorted(slots.features), *writing[1:])
        return self.compiled.run(key, write, sampler, *slots[:4])

    def score_steps(self, slots, filled, mode="factorised"):
        """The log-likelihood of what was filled in, step by step.

        Args:
            slots: `Slots`.
            filled: int array (B, P).
            mode: one of `MODES`.

        Returns:
            Float array (B, P), in nats; 0 in slots that are not used.
        """
        before, writing = slots.before, Writing(None, mode=mode)

        def score(features, texts, used, start, filled):
            step, cache = self._step(features, used, start, before, writing)
            number = ops.arange(ops.shape(filled)[1])

            def score_slot(slot, state):
                scores, cache = state
                texts = ops.where(number < slot, filled, -1)
                logits, _, cache = step(texts, cache, slot)
                score = log_likelihood(logits, ops.take(filled, slot, axis=1))  # (B,)
                return ops.where(number == slot, score[:, None], scores), cache

            scores = ops.zeros_like(filled, dtype="float32")
            scores, _ = ops.fori_loop(start, ops.shape(filled)[1], score_slot, (scores, cache))
            return ops.where(used, scores, 0.0)

        key = ("score_steps", before, *sorted(slots.features), mode)
        return self.compiled.run(key, score, None, *slots[:4], filled)

    def score(self, features, targets):
        """The log-likelihood of tokens at `target_positions`, in one pass.

        Args:
            features: dict of arrays that `encode` takes, `target_positions` (B, P) among them.
            targets: int array (B, P), the tokens.

        Returns:
            Float array (B, P), in nats.
        """

        def score(features, targets):
            rows = self.model.backbone.encode(features)["target_output"]  # (B, P, D)
            return log_likelihood_of_rows(self.model.heads["tokens"], rows, targets)

        return self.compiled.run(("score", *sorted(features)), score, None, features, targets)

    def _step(self, features, used, start, before, writing):
        """What a sampler calls for the logits of a slot, and the cache to begin with."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        allowed = AllowedTokens(
            backbone.vocabulary_size,
            writing.forbidden_ids,
            writing.stop_ids,
            writing.min_length,
            writing.no_repeat_ngram_size,
            writing.first_token_id,
        )
        factorised = writing.mode == "factorised"
        decoder = backbone.decoder() if factorised else RecomputingQueries(backbone)
        # The token before the first slot is read by the first step.
        constants, cache = decoder.start({**features, "known": before or start - 1})
        if used.shape[0] == 1 and type(writing.sampler) in ONE_TEXT_PER_ROW:
            cache = decoder.of_one_text(cache)
        cache = {"decoder": cache, "used": used}
        if before:
            cache["last"] = features["token_ids"][:, before - 1]

        def step(texts, cache, index):
            last = ops.take(texts, ops.maximum(index - 1, 0), axis=1)  # (B,)
            if before:
                last = ops.where(index > 0, last, cache["last"])
            read = [ops.maximum(last, 0)]
            if writing.mask_id is not None:
                read.append(ops.full_like(last, writing.mask_id))
            states, own = decoder.step(
                constants, cache["decoder"], ops.stack(read, axis=1), before + index - 1
            )
            logits = head.logits(states[:, -1:])[:, 0]
            logits = allowed.restrict(logits, texts, cache["used"], index)
            return logits, states[:, -1], {**cache, "decoder": own}

        return step, cache


def rows_of(prompts, length):
    """Prompts in arrays of one length, from the left.

    Args:
        prompts: list of B lists of at most `length` ints.
        length: int. T.

    Returns:
        Pair of arrays (B, T): int32 ids, 0 behind a prompt, and bool: what lies behind it.
    """
    token_ids, real = right_padded(prompts, length)
    return token_ids, ~real


def batches_of(rows, batch_size):
    """Yield rows in batches of one size, of 1, 2, 4, ... or `batch_size` rows.

    The last one is filled up with the first rows: programs serve a number of rows each.

    Args:
        rows: list of N rows.
        batch_size: int. The most rows of a batch.

    Yields:
        Pairs: a list of rows, and how many of them count.

    Raises:
        ValueError: if `batch_size` is no integer of at least 1.
    """
    check_integer("batch_size", batch_size, 1)
    size = rows_of_program(max(len(rows), 1), batch_size)
    for first in range(0, len(rows), size):
        batch = [rows[(first + index) % len(rows)] for index in range(size)]
        yield batch, min(size, len(rows) - first)
