"""Compiled programs of `PermutationLM`: the whole sampling loop runs on the device."""

from typing import NamedTuple

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_plm.backbones.xlnet_decoding import known_rows, next_row, recomputed_row

MODES = ("factorised", "bidirectional")
FORBIDDEN = -1e9  # a logit; its probability is exactly 0
SLOTS_OF_LOGITS = 128  # how many rows of logits are held at once
PROGRAMS_KEPT = 16


def find_sampler(sampler):
    """A sampler of KerasHub by name.

    Args:
        sampler: str such as "greedy", "random", "top_k", "top_p", "beam", or a
            `keras_hub.samplers.Sampler`.

    Raises:
        ValueError: if there is no such sampler, or it needs more than logits.
    """
    names = ("beam", "greedy", "random", "top_k", "top_p")
    found = keras_hub.samplers.get(sampler) if sampler in names else sampler
    too_much = (keras_hub.samplers.ContrastiveSampler, keras_hub.samplers.SpeculativeSampler)
    if not isinstance(found, keras_hub.samplers.Sampler) or isinstance(found, too_much):
        raise ValueError(
            f"`sampler` must be one of {names} or a `keras_hub.samplers.Sampler` that works on "
            f"logits alone. Received: {sampler!r}."
        )
    return found


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
        self._compiled = {}  # key: (program, its sampler, whose identity is part of the key)
        self._samplers = {}  # by name

    def sampler(self, sampler, seed=None):
        """As `find_sampler`, but for one name always the same one: what is compiled serves again.

        Args:
            sampler: str or `keras_hub.samplers.Sampler`.
            seed: int or None. What its random numbers start from; None: they go on.
        """
        found = self._samplers.get(sampler) if isinstance(sampler, str) else None
        found = found or find_sampler(sampler)
        if isinstance(sampler, str):
            self._samplers[sampler] = found
        if seed is not None:
            for variable in found.variables:
                variable.assign(keras.random.SeedGenerator(seed).state)
        return found

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

        key = ("fill", id(sampler), str(sampler.get_config()), *decoding[1:])
        return self._run(key, fill, sampler, canvas.features, canvas.start)

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
                score = _log_likelihood(logits, ops.take(filled, slot, axis=1))  # (B,)
                return ops.where(slots == slot, score[:, None], scores), cache

            scores = ops.zeros_like(filled, dtype="float32")
            scores, _ = ops.fori_loop(start, ops.shape(filled)[1], score_slot, (scores, cache))
            return ops.where(features["used"], scores, 0.0)

        return self._run(("score", mode), score, None, canvas.features, canvas.start, filled)

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
            scores = []
            for first in range(0, rows.shape[1], SLOTS_OF_LOGITS):
                some = slice(first, first + SLOTS_OF_LOGITS)
                logits = self.model.heads["tokens"](rows[:, some])  # (B, <= P, V)
                scores.append(_log_likelihood(logits, targets[:, some]))
            return ops.where(features["used"], ops.concatenate(scores, axis=1), 0.0)

        return self._run(("score_at_once",), score, None, features)

    def _step(self, features, mode, forbidden_ids=(), stop_ids=()):
        """What a sampler calls for the logits of a slot, and the cache to begin with."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        allowed = np.zeros(backbone.vocabulary_size, "float32")  # (V,)
        allowed[list(forbidden_ids)] = FORBIDDEN
        place_holder = stop_ids[0] if stop_ids else 0
        only = np.full(backbone.vocabulary_size, FORBIDDEN, "float32")  # (V,)
        only[place_holder] = 0.0
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
            logits = head(row[:, None])[:, 0] + allowed  # (B, V)
            # One token is certain where nothing is left to fill in, so that beams keep their score.
            idle = ops.logical_not(ops.take(cache["used"], index, axis=1))  # (B,)
            for stop in stop_ids:
                idle = ops.logical_or(idle, ops.any(prompt == stop, axis=1))
            return ops.where(idle[:, None], only, logits), row, cache

        return step, cache

    def _run(self, key, function, sampler, *arguments):
        """Call a function of nests of arrays, compiled; arrays come back."""
        if key not in self._compiled:
            if len(self._compiled) >= PROGRAMS_KEPT:
                self._compiled.clear()
            program = function
            if not self.model.run_eagerly:
                program = _compiled(function, self.model, sampler)
            self._compiled[key] = program, sampler
        arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
        outputs = self._compiled[key][0](*arguments)
        return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def _log_likelihood(logits, ids):
    """The log-likelihood (...) in nats of ids (...) under logits (..., V)."""
    ids = ops.maximum(ids, 0)[..., None]
    chosen = ops.take_along_axis(logits, ids, axis=-1)[..., 0]
    return chosen - ops.logsumexp(logits, axis=-1)


def _compiled(function, model, sampler):
    """A function under XLA, which reads the weights as they are when it is called."""
    if keras.backend.backend() == "jax":
        import jax

        changing = [] if sampler is None else sampler.variables  # the states of random numbers

        @jax.jit
        def program(weights, states, arguments):
            mapping = [*zip(model.variables, weights), *zip(changing, states)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                outputs = function(*arguments)
            return outputs, [scope.get_current_value(variable) for variable in changing]

        def run(*arguments):
            weights = [variable.value for variable in model.variables]
            states = [variable.value for variable in changing]
            outputs, states = program(weights, states, arguments)
            for variable, state in zip(changing, states):
                variable.assign(state)
            return outputs

        return run
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function
