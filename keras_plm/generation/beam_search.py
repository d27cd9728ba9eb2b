"""Beam search with a length penalty and the n best texts."""

import keras
import keras_hub
from keras import ops

from keras_plm.checks import check_arguments, choice, integer, number

NOTHING = -1e9  # the score of a beam that there is not; an allowed token's is far above
NORMALIZATIONS = ("gnmt", "power")


@keras.saving.register_keras_serializable(package="keras_plm")
class BeamSearch(keras_hub.samplers.Sampler):
    """Searches for the texts with the best log-likelihood for their length.

    The score of a text Y is `log p(Y) / ((5 + |Y|) / 6) ** length_penalty`, or with "power"
    `log p(Y) / |Y| ** length_penalty`, where |Y| counts the tokens that were filled in, the stop
    token included. Texts that stopped are put aside, so that all beams go on with those that did
    not; the search ends when none of these can become better than the `num_results` best that
    were put aside. What reaches the last slot counts as it is. (KerasHub's `BeamSampler` has no
    length penalty, and a text that stopped keeps a beam.)

    One beam is greedy search, with the same ids: it ends with the first stop token that is the
    best token. More beams than there are tokens, or texts, search them all. p is over the tokens
    that may be taken: what is forbidden has no share of it (`transformers` leaves it its share).

    Args:
        num_beams: int. How many unfinished texts are followed.
        length_penalty: float of at least 0. alpha: 0 is none; 0.6 in the papers below.
        num_results: int. How many texts are returned, at most `num_beams`.
        temperature: float. What logits are divided by.
        length_normalization: "gnmt": the papers' and tensor2tensor's; or "power", with alpha 1
            the mean per token: that of fairseq, Marian, CTranslate2 and `transformers`.

    Call arguments:
        next: function of (filled, cache, index) that returns logits (B, V), anything, and a cache.
        prompt: int tensor of shape (B, P): what is filled in; -1 is a slot to fill.
        cache: nest of tensors whose first axis is the batch.
        index: int or int tensor. The first slot.
        mask: bool tensor of shape (B, P) or None: True where a slot is not to be filled in. There
            `next` must make one token certain.
        stop_token_ids: list of int or None.
        model: Keras model.

    Returns:
        Int tensor of shape (B, P), with -1 behind a stop token, if `num_results` is 1. Else a
        pair: of (B, N, P), best first, and the scores (B, N), float32; a text that there is not
        has a score below -1e8.

    Raises:
        ValueError: if a number is out of its range.

    Example:
    ```python
    from keras_plm.tasks import BeamSearch

    sampler = BeamSearch(num_beams=4, length_penalty=0.6, num_results=2)
    assert sampler.get_config()["num_beams"] == 4  # model.generate(prompts, sampler=sampler)
    ```

    Source: Wu et al., arXiv:1609.08144, section 7, equation 14; Vaswani et al.,
    arXiv:1706.03762, section 6.1; GPT-3, arXiv:2005.14165, section 2.4.
    """

    @check_arguments
    def __init__(
        self,
        num_beams: integer(1) = 4,
        length_penalty: number() = 0.6,
        num_results: integer(1) = 1,
        temperature: number() = 1.0,
        length_normalization: choice(NORMALIZATIONS) = "gnmt",
    ):
        super().__init__(temperature=temperature)
        if num_results > num_beams:
            raise ValueError(
                "`num_results` must be at most `num_beams`. "
                f"Received: num_results={num_results}, num_beams={num_beams}."
            )
        if not length_penalty >= 0 or not temperature > 0:
            raise ValueError(
                "`length_penalty` must be at least 0 and `temperature` above 0. "
                f"Received: length_penalty={length_penalty!r}, temperature={temperature!r}."
            )
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.num_results = num_results
        self.length_normalization = length_normalization

    def __call__(
        self, next, prompt, cache=None, index=0, mask=None, stop_token_ids=None, model=None
    ):
        batch, slots = prompt.shape
        given = ops.zeros_like(prompt, dtype="bool") if mask is None else ops.cast(mask, "bool")
        lengths = ops.cumsum(ops.cast(ops.logical_not(given), "float32"), axis=1)  # (B, P)
        stops = tuple(stop_token_ids or ())

        def search(alive, scores, finished, finished_scores, cache, index):
            logits, _, cache = next(_flat(alive), cache, index)  # (B * W, V)
            logits = ops.cast(logits, "float32")
            shares = ops.log_softmax(logits / self.temperature, axis=-1)
            steps = _unflat(_only(logits > NOTHING / 2, shares), batch)  # (B, W, V)
            vocabulary = steps.shape[-1]
            # Behind the best of one beam nothing is looked at: greedy search.
            width = (1 + len(stops)) * self.num_beams if self.num_beams > 1 else 1
            # Compared by how far they lie behind: a long text's score would round the steps.
            best = ops.max(scores, axis=1, keepdims=True)  # (B, 1)
            totals = ops.reshape((scores - best)[:, :, None] + steps, (batch, -1))  # (B, W * V)
            totals, chosen = ops.top_k(totals, k=min(width, self.num_beams * vocabulary))  # (B, C)
            totals = totals + best
            parents, tokens = chosen // vocabulary, chosen % vocabulary
            slot_given = ops.take(given, index, axis=1)[:, None]  # (B, 1)
            texts = ops.take_along_axis(alive, parents[:, :, None], axis=1)  # (B, C, P)
            here = ops.arange(slots) == index  # (P,)
            new = ops.logical_and(here, ops.logical_not(slot_given[:, :, None]))  # (B, 1, P)
            texts = ops.where(new, ops.cast(tokens, texts.dtype)[:, :, None], texts)

            stopped = ops.zeros_like(tokens, dtype="bool")
            for stop in stops:
                stopped = ops.logical_or(stopped, tokens == stop)
            stopped = ops.logical_and(stopped, ops.logical_not(slot_given))  # (B, C)
            length = ops.take(lengths, index, axis=1)[:, None]  # (B, 1)
            finished, finished_scores = _best(
                self.num_results,
                ops.concatenate([finished_scores, _only(stopped, self._score(totals, length))], 1),
                ops.concatenate([finished, texts], axis=1),
            )
            going_on = _only(ops.logical_not(stopped), totals)
            scores, kept = ops.top_k(going_on, k=self.num_beams)  # (B, W)
            alive = ops.take_along_axis(texts, kept[:, :, None], axis=1)
            parents = ops.take_along_axis(parents, kept, axis=1)  # (B, W)
            source = ops.reshape(parents + self.num_beams * ops.arange(batch)[:, None], (-1,))
            cache = keras.tree.map_structure(lambda part: ops.take(part, source, axis=0), cache)
            return alive, scores, finished, finished_scores, cache, index + 1

        def unfinished(alive, scores, finished, finished_scores, cache, index):
            if not stops:
                return ops.convert_to_tensor(True)
            # A log-likelihood only falls, and is divided by most where a text is longest: nothing
            # that comes of it has a better score than it would have there.
            hope = self._score(ops.max(scores, axis=1), lengths[:, -1])  # (B,)
            return ops.any(ops.min(finished_scores, axis=1) < hope)

        alive = ops.repeat(prompt[:, None], self.num_beams, axis=1)  # (B, W, P)
        none = ops.full((batch, self.num_beams), NOTHING, dtype="float32")
        scores = ops.where(ops.arange(self.num_beams) == 0, 0.0, none)  # (B, W)
        finished, finished_scores = (part[:, : self.num_results] for part in (alive, none))
        cache = keras.tree.map_structure(
            lambda part: ops.repeat(part, self.num_beams, axis=0), () if cache is None else cache
        )
        index = ops.cast(index, "int32")
        alive, scores, finished, finished_scores, _, index = self.run_loop(
            cond=unfinished,
            body=search,
            model=model,
            loop_vars=(alive, scores, finished, finished_scores, cache, index),
            maximum_iterations=slots - index,
        )
        reached = ops.where(index >= slots, self._score(scores, lengths[:, -1:]), NOTHING)
        texts, scores = _best(
            self.num_results,
            ops.concatenate([finished_scores, reached], axis=1),
            ops.concatenate([finished, alive], axis=1),
        )
        return (texts, scores) if self.num_results > 1 else texts[:, 0]

    def _score(self, log_likelihood, length):
        """Log-likelihoods for their lengths; what there is not stays that."""
        if self.length_normalization == "gnmt":
            length = (5.0 + length) / 6.0
        penalty = ops.maximum(length, 1.0) ** self.length_penalty
        nothing = log_likelihood <= NOTHING / 2
        return ops.where(nothing, NOTHING, log_likelihood / penalty)

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"

    def get_config(self):
        return {
            **super().get_config(),
            "num_beams": self.num_beams,
            "length_penalty": self.length_penalty,
            "num_results": self.num_results,
            "length_normalization": self.length_normalization,
        }


def _best(count, scores, texts):
    """The best few of texts (B, C, P), and their scores."""
    scores, chosen = ops.top_k(scores, k=count)  # (B, count)
    return ops.take_along_axis(texts, chosen[:, :, None], axis=1), scores


def _only(wanted, scores):
    """Scores of what is wanted, and of nothing else."""
    return ops.where(wanted, scores, NOTHING)


def _flat(beams):
    """(B, W, ...) as (B * W, ...)."""
    return ops.reshape(beams, (-1, *beams.shape[2:]))


def _unflat(rows, batch):
    """(B * W, ...) as (B, W, ...)."""
    return ops.reshape(rows, (batch, -1, *rows.shape[1:]))
