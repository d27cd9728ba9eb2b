"""Compiled programs of `PrefixLM`: a source is read once, a target is written behind it.

Sources end at the same place, whatever their lengths. To predict from a mask, each step reads the
token that was written last and a mask behind it, over which the next token is written:

    place            0      1      2    3      4      5       6
    read once        (pad)  [CLS]  the  [SEP]
    read at slot 0                      [SEP]  [MASK]
    read at slot 1                             le     [MASK]
    segment          4      4      4    4      5      5       5
"""

import numpy as np
from keras import ops

from keras_plm.backbones.transformer_decoding import cache_length, empty_cache, read_tokens
from keras_plm.generation.compiled_programs import CompiledPrograms
from keras_plm.generation.sampling import AllowedTokens

PLACES_AT_ONCE = 32  # sources are padded to multiples


class PrefixPrograms:
    """What `PrefixLM` computes, compiled by XLA once for each number of rows and lengths.

    Args:
        model: `PrefixLM`.
    """

    def __init__(self, model):
        self.model = model
        self.compiled = CompiledPrograms(model)

    def write(self, sources, length, writing, segments=(0, 0), mask_id=None):
        """Write a target for each source.

        Args:
            sources: list of B lists of int, with their special tokens.
            length: int. The most tokens of a target, P.
            writing: `keras_plm.generation.causal.Writing`.
            segments: two ints, the `segment_ids` of sources and of targets.
            mask_id: int or None. The mask that each token is predicted from; None: it is
                predicted from the token before it.

        Returns:
            Array (B, P) of ids; of a sampler that returns several texts, a pair of arrays:
            (B, W, P) ids and (B, W) scores, best first.
        """
        most = max(len(source) for source in sources)
        places = -(-most // PLACES_AT_ONCE) * PLACES_AT_ONCE
        token_ids = np.zeros((len(sources), places), "int32")
        for row, source in zip(token_ids, sources):
            row[places - len(source) :] = source
        padding = np.array([places - len(source) for source in sources], "int32")
        sampler = writing.sampler

        def write(token_ids, padding):
            step, cache = self._step(token_ids, padding, length, writing, segments, mask_id)
            return sampler(
                next=step,
                prompt=ops.full((token_ids.shape[0], length), -1, dtype="int32"),
                cache=cache,
                index=0,
                stop_token_ids=list(writing.stop_ids) or None,
                model=self.model,
            )

        key = ("write", length, *writing[1:], *segments, mask_id)
        return self.compiled.run(key, write, sampler, token_ids, padding)

    def _step(self, token_ids, padding, length, writing, segments, mask_id):
        """What a sampler calls for the logits of a slot, and the cache to begin with."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        constants = dict(writing.constants)
        allowed = AllowedTokens(backbone.vocabulary_size, writing.forbidden_ids, writing.stop_ids)
        batch, places = token_ids.shape
        cache = empty_cache(backbone, batch, cache_length(places + length))
        options = {"source_length": places, "padding": padding}
        own = {**constants, "segment_ids": segments[0]}
        _, cache = read_tokens(backbone, cache, token_ids, 0, own, **options)

        def step(texts, cache, index):
            last = ops.take(texts, ops.maximum(index - 1, 0), axis=1)  # (B,)
            last = ops.where(index > 0, last, cache["last"])
            rows = [ops.maximum(last, 0)]
            own = [ops.where(index > 0, segments[1], segments[0])]
            if mask_id is not None:
                rows.append(ops.full_like(last, mask_id))
                own.append(ops.convert_to_tensor(segments[1], dtype="int32"))
            rows, key_value = read_tokens(
                backbone,
                cache["key_value"],
                ops.stack(rows, axis=1),  # (B, 1 or 2)
                places + index - 1,
                {**constants, "segment_ids": ops.stack([ops.cast(one, "int32") for one in own])},
                source_length=places,
                padding=cache["padding"],
            )
            logits = allowed.restrict(
                head(rows[:, -1:])[:, 0], texts, ops.ones_like(last, dtype="bool")
            )
            return logits, rows[:, -1], {**cache, "key_value": key_value}

        return step, {"key_value": cache, "padding": padding, "last": token_ids[:, -1]}
