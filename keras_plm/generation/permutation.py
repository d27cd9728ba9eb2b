"""Compiled programs of `PermutationLM`: the whole sampling loop runs on the device."""

from typing import NamedTuple

import keras_hub
import numpy as np
from keras import ops

from keras_plm.backbones.xlnet_decoding import known_rows, next_row, recomputed_row
from keras_plm.generation.compiled_programs import CompiledPrograms
from keras_plm.generation.sampling import AllowedTokens, log_likelihood, log_likelihood_of_rows

MODES = ("factorised", "bidirectional")


class Decoding(NamedTuple):
    """How slots are filled.

    Args:
        sampler: `keras_hub.samplers.Sampler`.
        mode: one of `MODES`: whether a token that was filled in sees only what was there before
            ("factorised"), or in every step all tokens see each other ("bidirectional").
        forbidden_ids: tuple of int, the ids that are never filled in.
        stop_ids: tuple of int. After one of them a row is finished.
    """

    sampler: keras_hub.samplers.Sampler
    mode: str
    forbidden_ids: tuple = ()
    stop_ids: tuple = ()


class PermutationPrograms:
    """What `PermutationLM` computes, compiled by XLA once for each shape.

    Args:
        model: `PermutationLM`.
    """

    def __init__(self, model):
        self.model = model
        self.compiled = CompiledPrograms(model)

    def fill_batches(self, batches, decoding, with_scores=False):
        """Fill the slots of some batches.

        Args:
            batches: iterable of pairs, from `lay_out_batches`.
            decoding: `Decoding`.
            with_scores: bool. Whether to give log-likelihoods as well.

        Returns:
            Pair of lists, one entry for each row: the ids by slot, an array (n,), of a sampler
            that returns all beams (W, n); and their log-likelihoods, a float or a list of W.

        Raises:
            ValueError: if the mode is unknown.
        """
        if decoding.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: {decoding.mode!r}.")
        fillings, scores = [], []
        for canvas, count in batches:
            filled = self.fill(canvas, decoding)
            all_beams = isinstance(filled, (tuple, list))
            beams = filled[0] if all_beams else filled[:, None]  # (B, W, P)
            used = canvas.features["used"]
            rows = [beams[row][:, used[row]] for row in range(count)]  # (W, n) each
            fillings += rows if all_beams else [row[0] for row in rows]
            if with_scores:
                by_beam = [
                    self.score_steps(canvas, beams[:, beam], decoding.mode).sum(axis=1)
                    for beam in range(beams.shape[1])
                ]
                totals = np.stack(by_beam, axis=1)[:count]  # (B, W)
                scores += totals.tolist() if all_beams else totals[:, 0].tolist()
        return fillings, scores

    def fill(self, canvas, decoding):
        """Fill all slots of one batch, one after the other.

        Args:
            canvas: `Canvas`.
            decoding: `Decoding`.

        Returns:
            Array (B, P) of ids; of a sampler that returns all beams W, a pair of arrays:
            (B, W, P) ids and (B, W) log-likelihoods, best first.
        """
        sampler = decoding.sampler

        def fill(features, start):
            step, cache = self._step(features, *decoding[1:])
            return sampler(
                next=step,
                prompt=ops.full_like(features["target_positions"], -1),
                cache=cache,
                index=start,
                mask=ops.logical_not(features["used"]),
                stop_token_ids=list(decoding.stop_ids) or None,
                model=self.model,
            )

        key = ("fill", *decoding[1:])
        return self.compiled.run(key, fill, sampler, canvas.features, canvas.start)

    def score_steps(self, canvas, filled, mode):
        """The log-likelihood of what was filled in, step by step.

        Args:
            canvas: `Canvas`.
            filled: int array (B, P).
            mode: one of `MODES`.

        Returns:
            Float array (B, P), in nats; 0 in slots without a token.
        """

        def score(features, start, filled):
            step, cache = self._step(features, mode)
            slots = ops.arange(ops.shape(filled)[1])

            def score_slot(slot, state):
                scores, cache = state
                earlier = ops.where(slots < slot, filled, -1)
                logits, _, cache = step(earlier, cache, slot)
                score = log_likelihood(logits, ops.take(filled, slot, axis=1))  # (B,)
                return ops.where(slots == slot, score[:, None], scores), cache

            scores = ops.zeros_like(filled, dtype="float32")
            scores, _ = ops.fori_loop(start, ops.shape(filled)[1], score_slot, (scores, cache))
            return ops.where(features["used"], scores, 0.0)

        arguments = (canvas.features, canvas.start, filled)
        return self.compiled.run(("score", mode), score, None, *arguments)

    def score_at_once(self, features):
        """The log-likelihood of the targets under the order, in one pass of two streams.

        Args:
            features: dict of arrays, those of a `Canvas` whose `token_ids` hold the targets.

        Returns:
            Float array (B, P), in nats; 0 in slots without a target.
        """

        def score(features):
            targets = ops.take_along_axis(
                features["token_ids"], features["target_positions"], axis=1
            )  # (B, P)
            inputs = {name: value for name, value in features.items() if name != "used"}
            rows = self.model.backbone.encode(inputs)["target_output"]  # (B, P, D)
            scores = log_likelihood_of_rows(self.model.heads["tokens"], rows, targets)
            return ops.where(features["used"], scores, 0.0)

        return self.compiled.run(("score_at_once",), score, None, features)

    def _step(self, features, mode, forbidden_ids=(), stop_ids=()):
        """What a sampler calls for the logits of a slot, and the cache to begin with."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        allowed = AllowedTokens(backbone.vocabulary_size, forbidden_ids, stop_ids)
        projections, cache = None, features
        if mode == "factorised":
            projections, cache = known_rows(backbone, features)

        def step(prompt, cache, index):
            filled = ops.maximum(prompt, 0)
            if mode == "factorised":
                last = ops.take(filled, ops.maximum(index - 1, 0), axis=1)  # (B,)
                row, cache = next_row(backbone, projections, cache, index, last)
            else:
                row = recomputed_row(backbone, cache, index, filled)
            logits = head(row[:, None])[:, 0]  # (B, V)
            used = ops.take(cache["used"], index, axis=1)  # (B,)
            return allowed.restrict(logits, prompt, used), row, cache

        return step, cache
