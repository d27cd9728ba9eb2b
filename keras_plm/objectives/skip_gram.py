"""Skip-gram with negative sampling: which words stand beside a word, and which do not?

A literal example: one row of 5 tokens with a window of 2, of which no word is dropped and the
windows drawn are 1, 2, 1, 1; one negative for each pair.

    position            0    1    2    3    4
    token               the  cat  sat  on   padding
    window              1    2    1    1

    pairs               the cat, cat the, cat sat, cat on, sat cat, sat on, on sat
    target_positions    0   1   1   1   2   2   3   0       the centre of each pair
    candidate_ids       mat the sat a   the on  cat 0       drawn from the counts
                        cat the sat on  cat on  sat 0       the context: always the last
    y["context"]        1   1   1   1   1   1   1   0       which candidate is the context
    sample_weight       1   1   1   1   1   1   1   0

Three of the negatives are the context itself: the head leaves those out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_plm.checks import check_arrays, check_vocabulary, integer, number
from keras_plm.objectives.objective import Objective, check_rows

NOISE_POWER = 0.75  # section 2.2: "significantly" better than 1 and than the uniform distribution


def keep_chances(counts, threshold):
    """How likely a word of a text stays in it, so that frequent ones are seen less often.

    Args:
        counts: (V,), how often each word occurs.
        threshold: t, the share of all words at which dropping begins.

    Returns:
        (V,) float64: min(1, sqrt(t / share)).

    Source: Mikolov et al. (arXiv:1310.4546), equation 5. The released word2vec.c keeps t / share
    more: (sqrt(share / t) + 1) t / share.
    """
    shares = counts / max(counts.sum(), 1)
    return np.minimum(1, np.sqrt(threshold / np.maximum(shares, 1e-300)))


def context_pairs(kept, document, window, length):
    """Which tokens are the context of which.

    Words that are not kept are gone before windows are laid, so these reach further then.

    Args:
        kept: (B, T) bool.
        document: (B, T) int, the number of the document of each token: pairs are of one.
        window: (B, T) int, how many kept tokens before and behind it are the context of each.
        length: the largest that a window can be, W.

    Returns:
        centres and contexts, (B, T * 2W) int64, positions in the row; and which of them are pairs,
        (B, T * 2W) bool. Centres ascend.
    """
    num_rows, num_tokens = kept.shape
    order = np.argsort(~kept, axis=1, kind="stable")  # (B, T): kept tokens first
    is_kept = np.take_along_axis(kept, order, axis=1)
    distances = np.concatenate([np.arange(-length, 0), np.arange(1, length + 1)])  # (2W,)
    places = np.arange(num_tokens)[:, None] + distances  # (T, 2W): places among the kept tokens
    inside = (places >= 0) & (places < num_tokens)
    places = np.where(inside, places, 0)
    centres = np.broadcast_to(order[:, :, None], (num_rows, *places.shape))
    contexts = order[:, places]  # (B, T, 2W)
    rows = np.arange(num_rows)[:, None, None]
    pairs = inside & is_kept[:, :, None] & is_kept[:, places]
    pairs &= np.abs(distances) <= np.take_along_axis(window, order, axis=1)[:, :, None]
    pairs &= document[rows, centres] == document[rows, contexts]
    return tuple(one.reshape(num_rows, -1) for one in (centres, contexts, pairs))


@dataclass(frozen=True)
class SkipGram(Objective):
    """Tells the words near a word from words drawn by how frequent they are.

    The window of each word is drawn uniformly from 1 to `window`, so that near words count more.
    Negatives are drawn with chances proportional to count ** .75. Counts are those of the corpus
    that the examples are made of, special tokens (the unknown word too) left out; these are
    dropped from the text as well.

    A token is read alone: the backbone is an `EmbeddingBackbone`, whose table has the vectors.

    Args:
        vocabulary_size: V.
        special_token_ids: ids that are neither centre nor context nor negative.
        sequence_length: T, tokens per row.
        window: W, the largest distance of a word and its context.
        num_negatives: how many words are drawn for each pair: 5 to 20 for little text, 2 to 5 for
            much.
        threshold: the share of all words beyond which a word is sometimes dropped, see
            `keep_chances`; None: none is. The paper has 1e-5, for a corpus of a billion words.
        num_pairs: P, pairs per row; None: T (W + 1), as many as a row has in the mean if no word
            is dropped. Of a row with more pairs, those that are left out are drawn.
        rows: the row builder or a user's own plan, of single texts.

    Raises:
        ValueError: a setting is out of range.

    Source: Mikolov et al. (arXiv:1310.4546), sections 2.2 and 2.3; the uniform windows:
    Mikolov et al. (arXiv:1301.3781), section 3.2.
    """

    hides: ClassVar[bool] = False
    token_counts = True
    target_axes = {"context": "BP"}
    feature_names = ("token_ids", "padding_mask", "target_positions", "candidate_ids")

    vocabulary_size: integer(2)
    special_token_ids: tuple = ()
    sequence_length: integer(2) = 512
    window: integer(1) = 5
    num_negatives: integer(1) = 5
    threshold: number(above=0, none=True) = 1e-3
    num_pairs: integer(1, none=True) = None
    rows: str = "packed"

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.rows)
        ids = tuple(np.atleast_1d(self.special_token_ids).tolist())
        if not all(isinstance(one, int) and 0 <= one < self.vocabulary_size for one in ids):
            raise ValueError(
                f"special_token_ids must be ids below vocabulary_size={self.vocabulary_size}. "
                f"Received: special_token_ids={self.special_token_ids!r:.200}"
            )
        object.__setattr__(self, "special_token_ids", ids)
        if self.num_pairs is None:
            object.__setattr__(self, "num_pairs", self.sequence_length * (self.window + 1))

    @classmethod
    def for_tokenizer(cls, tokenizer, **settings):
        """Makes the objective with a tokenizer's vocabulary and special tokens.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.
            settings: all others, by name.
        """
        special_ids = tuple(sorted(set(tokenizer.special_token_ids.values())))
        return cls(tokenizer.vocabulary_size, special_ids, **settings)

    @property
    def num_predict(self):
        """P, pairs per row."""
        return self.num_pairs

    @property
    def head_settings(self):
        """The head has as many logits for each pair."""
        return {"context": self.num_negatives}

    @property
    def draws_per_row(self):
        """One for each token to stay, one for its window, one for each pair that may be left out,
        and one for each negative."""
        of_tokens = self.sequence_length * (2 + 2 * self.window)
        return of_tokens + self.num_pairs * self.num_negatives

    def heads(self, backbone):
        """Returns the head with the vectors of contexts.

        Raises:
            ValueError: the backbone's tokens see each other, and so what is to be predicted.
        """
        from keras_plm.heads import NegativeSamplingHead
        from keras_plm.layers.float_policy import float_policy

        if "alone" not in backbone.reads:
            raise ValueError(
                "SkipGram predicts what stands beside a token: the backbone must read each token "
                "alone, as EmbeddingBackbone does. Received: "
                f"{type(backbone).__name__}, which reads {sorted(backbone.reads)}"
            )
        head = NegativeSamplingHead(
            *(self.vocabulary_size, self.num_negatives),
            dtype=float_policy(backbone.token_embedding.dtype_policy),
            name="context",
        )
        return {"context": head}

    def __call__(self, batch, rng):
        """Draws the pairs of each row, and their negatives.

        Args:
            batch: dict of token_ids (B, T) int32; padding_mask, functional (B, T) bool;
                token_counts (V,) int, how often each token is in the corpus.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids, padding_mask (B, T); target_positions (B, P), the centre of each
                pair; candidate_ids (B, P, num_negatives + 1), the negatives and last the context.
            y: {"context": (B, P) int32}, which candidate is the context: num_negatives, 0 where
                the slot is unused.
            sample_weight: {"context": (B, P) float32}, 0 where the slot is unused.

        Raises:
            ValueError: missing arrays, wrong shapes, or ids outside the vocabulary; or no token
                but special ones is in the corpus.
        """
        shape = (self.sequence_length,)
        names = ("token_ids", "padding_mask", "functional")
        check_arrays("SkipGram", batch, dict.fromkeys(names, shape))
        token_ids, functional = np.asarray(batch["token_ids"]), batch["functional"]
        check_vocabulary("token_ids", token_ids, self.vocabulary_size)
        counts = self._counts(batch)
        num_rows, length = token_ids.shape
        drawn = np.split(
            rng.random((num_rows, self.draws_per_row)),
            np.cumsum([length, length, 2 * self.window * length]),
            axis=1,
        )
        kept = batch["padding_mask"] & ~functional & (counts[token_ids] > 0)
        if self.threshold is not None:
            kept &= drawn[0] < keep_chances(counts, self.threshold)[token_ids]
        window = 1 + (drawn[1] * self.window).astype(int)  # (B, T)
        document = np.cumsum(functional, axis=1)
        centres, contexts, pairs = context_pairs(kept, document, window, self.window)
        chosen, weights = _some_of(pairs, drawn[2], self.num_pairs)  # (B, P)
        used = weights > 0
        centres, contexts = (
            np.where(used, np.take_along_axis(one, chosen, axis=1), 0).astype("int32")
            for one in (centres, contexts)
        )
        candidates = np.zeros((*used.shape, self.num_negatives + 1), "int32")
        candidates[..., :-1] = _noise(counts, drawn[3]).reshape(candidates[..., :-1].shape)
        candidates[..., -1] = np.take_along_axis(token_ids, contexts, axis=1)
        x = {
            "token_ids": token_ids,
            "padding_mask": batch["padding_mask"],
            "target_positions": centres,
            "candidate_ids": np.where(used[..., None], candidates, 0).astype("int32"),
        }
        y = np.where(used, self.num_negatives, 0).astype("int32")
        return x, {"context": y}, {"context": weights}

    def _counts(self, batch):
        """How often each token is in the corpus, 0 of special ones."""
        counts = np.array(batch.get("token_counts", ()), "float64")
        if counts.shape != (self.vocabulary_size,):
            raise ValueError(
                f"SkipGram needs token_counts of the shape ({self.vocabulary_size},), how often "
                "each token is in the corpus, as keras_plm.data.token_counts makes them. Received: "
                f"{'shape ' + str(counts.shape) if 'token_counts' in batch else 'none'}"
            )
        counts[list(self.special_token_ids)] = 0
        if not counts.any() or counts.min() < 0:
            raise ValueError(
                "SkipGram needs a corpus with tokens that are not special ones. Received: "
                f"token_counts from {counts.min()} to {counts.max()}, special ones left out"
            )
        return counts


def _some_of(pairs, uniform, number):
    """The places of up to so many pairs of each row (B, P), ascending; weights 0 behind them."""
    num_rows, num_places = pairs.shape
    keys = np.where(pairs, uniform, 2.0)
    if num_places < number:
        keys = np.pad(keys, ((0, 0), (0, number - num_places)), constant_values=2.0)
    chosen = np.argpartition(keys, number - 1, axis=1)[:, :number]  # the lowest numbers
    is_pair = np.take_along_axis(keys, chosen, axis=1) < 2
    chosen = np.sort(np.where(is_pair, chosen, num_places), axis=1)
    weights = (chosen < num_places).astype("float32")
    return np.where(weights > 0, chosen, 0), weights


def _noise(counts, uniform):
    """Words with chances proportional to count ** .75, one for each number in [0, 1)."""
    ends = np.cumsum(counts**NOISE_POWER)
    return np.searchsorted(ends, uniform * ends[-1], side="right")
