"""Choices by their likelihood behind a prompt, which is read once for all of them.

Prompts of different lengths end at the same place, so that all choices begin at one:

    prompts           _ _ the capital of France is         what is two and two
    choices                                    Paris | Lyon                    four | twenty two
    read     once     _ _ the capital of France is         what is two and two
             each                              -      -                        -      twenty

The last row of a prompt predicts the first token of every choice; what a choice of n tokens costs
beyond the prompt is n - 1 rows, which read the keys and values of the prompt.
"""

from operator import itemgetter
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_plm.backbones.decoding.decoder import repeat_cache
from keras_plm.checks import check_choice
from keras_plm.generation.decoding import batches_of
from keras_plm.generation.progress import with_progress
from keras_plm.generation.sampling import log_likelihood_of_rows
from keras_plm.tokenizers.text_columns import column_items

NORMALIZATIONS = ("none", "tokens", "unconditional")
PROMPT_STEP, CHUNK = 16, 64  # lengths of prompts are multiples of the one up to 64, then of 64
CHOICE_STEP = 8  # the rows that choices have beyond the prompt are a multiple of this


class Choice(NamedTuple):
    """The likeliest of several choices.

    Args:
        index: int. Which one; the first, if several are as likely.
        scores: float array (C,), what was compared: log-likelihoods in nats, normalised as asked.
        tokens: list of C float arrays (n,), the log-likelihood of each token of each choice.
    """

    index: int
    scores: np.ndarray
    tokens: list


def encoded_choices(text, choices, number):
    """The ids of choices.

    Args:
        text: `TextIds`.
        choices: list of N lists of C str, or of C lists of int; C may differ.
        number: int. N.

    Returns:
        list of N lists of C lists of int.

    Raises:
        TypeError: if they are neither texts nor ids.
        ValueError: if there are not N, one list is empty, or a choice has no tokens.
    """
    choices = column_items(choices, "`choices`", "lists of choices")
    if len(choices) != number:
        raise ValueError(
            "There must be one list of choices for each prompt. "
            f"Received: {len(choices)} lists, {number} prompts."
        )
    encoded = []
    for index, own in enumerate(choices):
        what = f"The choices of prompt {index}"
        if hasattr(own, "__len__") and not len(own):
            raise ValueError(f"{what} are none. Received: an empty list.")
        ids, _ = text.encode(own, what=what)
        empty = [place for place, one in enumerate(ids) if not one]
        if empty:
            raise ValueError(
                f"{what} must have at least one token each: one of length 0 is always certain. "
                f"Received: {own[empty[0]]!r:.80} as choice {empty[0]}."
            )
        encoded.append(ids)
    return encoded


class ChoiceScoring:
    """Scores choices of ids behind prompts of ids.

    Args:
        model: `CausalLM`.
        compiled: its `CompiledPrograms`.
        constants: dict of str to int, see `constant_features`.
        batch_size: int. How many prompts are read at once.
        verbose: as for `keras.Model.predict`.
    """

    def __init__(self, model, compiled, constants, batch_size, verbose=0):
        self.model = model
        self.compiled = compiled
        self.constants = constants
        self.batch_size = batch_size
        self.verbose = verbose

    def choose(self, prompts, choices, normalize="none", unconditional=None):
        """Find the likeliest choice behind each prompt.

        Args:
            prompts: list of N lists of int.
            choices: list of N lists of lists of int, as from `encoded_choices`.
            normalize: str, one of `NORMALIZATIONS`.
            unconditional: list of int. What stands before a choice that is asked for nothing, for
                "unconditional".

        Returns:
            list of N `Choice`.

        Raises:
            ValueError: if `normalize` is unknown, and as `score`.
        """
        check_choice("normalize", normalize, NORMALIZATIONS)
        tokens = self.score(prompts, choices)
        totals = [np.array([one.sum(dtype="float64") for one in own]) for own in tokens]
        scores = totals
        if normalize == "tokens":
            scores = [total / [len(one) for one in own] for total, own in zip(totals, tokens)]
        elif normalize == "unconditional":
            before = self._totals_behind(unconditional, choices)
            scores = [
                total - [before[tuple(one)] for one in own] for total, own in zip(totals, choices)
            ]
        return [Choice(int(one.argmax()), one, own) for one, own in zip(scores, tokens)]

    def score(self, prompts, choices):
        """The log-likelihood of every token of choices behind their prompts.

        Args:
            prompts: list of N lists of int.
            choices: list of N lists of lists of int.

        Returns:
            list of N lists of C float arrays (n,), in nats.

        Raises:
            ValueError: if a prompt is empty, or it and a choice are longer than the positions.
        """
        longest = self.model.backbone.max_sequence_length
        for index, (prompt, own) in enumerate(zip(prompts, choices)):
            most = max(map(len, own))
            if not prompt:
                raise ValueError(
                    f"Prompt {index} is empty: there is nothing that a choice can be predicted "
                    "from. Give a prompt, or a `prefix`."
                )
            if longest is not None and len(prompt) + most > longest:
                raise ValueError(
                    f"The backbone has positions for {longest} tokens. Received: prompt {index} "
                    f"with {len(prompt)} tokens, prefix included, and a choice with {most}."
                )
        number = max(map(len, choices))
        key = ("choose", *sorted(self.constants.items()))
        scores = []
        batches = batches_of(list(zip(prompts, choices)), self.batch_size)
        for batch, count in with_progress(batches, len(prompts), self.verbose, itemgetter(1)):
            arrays = _arrays(*zip(*batch), number)
            values = self.compiled.run(key, self._log_likelihoods, None, *arrays)  # (B, C, R)
            for (_, own), rows in zip(batch[:count], values):
                scores.append([row[: len(one)] for one, row in zip(own, rows)])
        return scores

    def _totals_behind(self, unconditional, choices):
        """The log-likelihood of each different choice behind the same prompt."""
        if not unconditional:
            raise ValueError("`unconditional_prompt` must have a token. Received: no tokens.")
        different = list(dict.fromkeys(tuple(one) for own in choices for one in own))
        number = max(map(len, choices))  # the shape of the program that is there already
        groups = [different[n : n + number] for n in range(0, len(different), number)]
        tokens = sum(self.score([unconditional] * len(groups), groups), [])
        return {one: own.sum(dtype="float64") for one, own in zip(different, tokens)}

    def _log_likelihoods(self, token_ids, choice_ids, padding_mask):
        """Of the tokens of choices (B, C, R) behind prompts (B, S) that are padded at the left."""
        backbone, head = self.model.backbone, self.model.heads["tokens"]
        decoder, length = backbone.decoder(), token_ids.shape[1]
        batch, number, width = choice_ids.shape
        room = ((0, 0), (0, width - 1))
        whole = ops.pad(token_ids, room)  # (B, S + R - 1)
        features = {name: ops.full_like(whole, value) for name, value in self.constants.items()}
        features |= {"token_ids": whole, "known": length - 1}
        features["padding_mask"] = ops.pad(padding_mask, room, constant_values=True)
        constants, cache = decoder.start(features)
        last, cache = decoder.step(constants, cache, token_ids[:, -1:], length - 1)  # (B, 1, D)
        likelihoods = ops.log_softmax(head.logits(last)[:, 0])  # (B, V)
        scores = ops.take_along_axis(likelihoods, choice_ids[:, :, 0], axis=1)  # (B, C)
        scores = scores[..., None]
        if width == 1:
            return scores
        cache = repeat_cache(cache, number)
        tokens = ops.reshape(choice_ids, (batch * number, width))  # (B * C, R)
        rows, _ = decoder.step(constants, cache, tokens[:, :-1], length)
        rest = log_likelihood_of_rows(head, rows, tokens[:, 1:])  # (B * C, R - 1)
        return ops.concatenate([scores, ops.reshape(rest, (batch, number, width - 1))], axis=2)


def _arrays(prompts, choices, number):
    """Ids of prompts (B, S), padded at the left, of choices (B, C, R); the mask (B, S)."""
    length = max(map(len, prompts))
    step = PROMPT_STEP if length <= CHUNK else CHUNK
    length = -(-length // step) * step
    most = max(len(one) for own in choices for one in own)
    width = 1 + -(-(most - 1) // CHOICE_STEP) * CHOICE_STEP
    token_ids = np.zeros((len(prompts), length), "int32")
    choice_ids = np.zeros((len(prompts), number, width), "int32")
    for row, (prompt, own) in enumerate(zip(prompts, choices)):
        token_ids[row, length - len(prompt) :] = prompt
        for place, one in enumerate(own):
            choice_ids[row, place, : len(one)] = one
    padding = np.array([length - len(prompt) for prompt in prompts])
    return token_ids, choice_ids, np.arange(length) >= padding[:, None]
