"""The noises of the papers: which choices of `Denoising` make them, with a tokenizer's tokens.

Denoising.for_tokenizer(tokenizer, MASS(share=0.5), sequence_length=64)
    == Denoising(V, OneSpan(0.5), CorruptedInput(mask, Corruption(random_ids="vocabulary")),
                 SpanTarget(), start_token_id=..., pad_token_id=..., sequence_length=64)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from keras_plm.checks import check_texts, choice, integer, number
from keras_plm.objectives.corruption import Corruption
from keras_plm.objectives.noising.arrangement import LocalShuffle, SentencePermutation
from keras_plm.objectives.noising.infilled_input import REPLACE, InfilledInput
from keras_plm.objectives.noising.noisy_input import NoisyInput
from keras_plm.objectives.selection.one_span import OneSpan
from keras_plm.objectives.selection.poisson_selection import PoissonSelection
from keras_plm.objectives.selection.span_partition import SpanPartition
from keras_plm.objectives.settings import Settings
from keras_plm.objectives.two_sided.rewriting import (
    CorruptedInput,
    SentinelInput,
    SentinelTarget,
    SpanTarget,
    WholeTarget,
)

ENDS = ("eos", "sep", "eod")  # which special token ends a text: the first that there is
RELEASES = ("translation", "summarization")
SUMMARY_BLOCK = 64  # `block_size` of MASS's `masked_dataset.py`
SENTINEL = "<extra_id_{}>"  # T5's name of sentinel n


@dataclass(frozen=True)
class Noise(Settings, ABC):
    """Base of what is done to a text under one name: it says the choices of `Denoising`."""

    kind: ClassVar[str] = "noise"

    @abstractmethod
    def choices(self, tokenizer):
        """Says what makes it.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.

        Returns:
            dict of arguments of `Denoising`: select, input, target, and what else differs.

        Raises:
            ValueError: the tokenizer lacks a token that is needed.
        """


@dataclass(frozen=True)
class MASS(Noise):
    """Hides one span of a sentence from the encoder, and asks the decoder for it (MASS).

    The decoder reads the tokens before those that it is asked for, and nothing else. With a share
    of one token it predicts what masked language modelling does, with a share of 1 what a causal
    language model does. Each hidden token becomes a mask (80 %), stays (10 %) or becomes a random
    one (10 %).

    Args:
        share: share of the tokens that are hidden, in (0, 1].
        release: "translation": one span in a sentence, a fifth of them at its start and a fifth at
            its end; the decoder does not see masks; random tokens from the whole vocabulary.
            "summarization": one span in each block of 64 tokens, anywhere; the decoder sees masks;
            no random token is a special one (released: none of BERT's first 999).

    Raises:
        ValueError: a setting is out of range.

    Source: MASS (arXiv:1905.02450), section 3.1 and table 1; the released `trainer.py`, and for
    summaries `masked_dataset.py`, whose share of .15 is not what the paper has.
    """

    share: number(above=0, most=1) = 0.5
    release: choice(RELEASES) = "translation"

    def choices(self, tokenizer):
        """See `Noise`."""
        mask, special = tokenizer.mask_token_id, _special_ids(tokenizer)
        if self.release == "translation":
            select = OneSpan(self.share)
            reads = CorruptedInput(mask, Corruption(random_ids="vocabulary"))
        else:
            select = OneSpan(self.share, 0.0, 0.0, SUMMARY_BLOCK)
            reads = CorruptedInput(mask, Corruption(), special, closed=False)
        begin = tokenizer.layout.start
        start = tokenizer.special_token_id(begin[0]) if begin else end_token_id(tokenizer)
        return {"select": select, "input": reads, "target": SpanTarget(), "start_token_id": start}


@dataclass(frozen=True)
class SpanCorruption(Noise):
    """Puts a sentinel in the place of each hidden span, and asks for the spans (T5).

    The text always ends with a hidden span, so both sides have as many sentinels. The tokenizer
    needs them: the tokens `<extra_id_0>`, `<extra_id_1>`, ... with ids that count down, which
    `data.add_special_tokens(tokenizer, data.SENTINEL_TOKENS)` adds to a `SubwordTokenizer`;
    `SentencePieceTokenizer` has them with `num_sentinels=100`, as the released models do.

    At the default rates rows of 568 tokens and their end fill 512 tokens of the source, and 114 of
    the target: `sequence_length=569, source_length=512, target_length=114`. Without these lengths
    the sides have room for all that may come. A special token within a row may cut a span in two,
    which takes a sentinel more: rows of several documents need some room.

    Args:
        rate: share of the tokens that are hidden, in (0, 1].
        mean_length: the mean length of a span, above 0.

    Raises:
        ValueError: a setting is out of range.

    Source: T5 (arXiv:1910.10683), sections 3.1.4 and 3.3.4; `random_spans_noise_mask` and
    `noise_span_to_unique_sentinel` of the released code.
    """

    rate: number(above=0, most=1) = 0.15
    mean_length: number(above=0) = 3.0

    def choices(self, tokenizer):
        """See `Noise`."""
        sentinels = _sentinels(tokenizer)
        return {
            "select": SpanPartition(self.rate, self.mean_length),
            "input": SentinelInput(*sentinels),
            "target": SentinelTarget(*sentinels),
            "start_token_id": tokenizer.pad_token_id,
            "end_token_id": end_token_id(tokenizer),
        }


@dataclass(frozen=True)
class TextInfilling(Noise):
    """Infills spans of words, permutes sentences, turns the text, and asks for all of it (BART).

    Args:
        share: share of the words that are hidden, between 0 and 1.
        mean_length: mean length of a span in words, some have none; None: each is one word.
        random: the chance that a span becomes a random token in place of a mask.
        replace: "span": a span becomes one mask; "token": one for each token; "nothing": it is
            deleted.
        permute: share of the sentences that are permuted.
        rotate: the chance that the text is turned. Released with a default of .5; BART has 0.
        full_stops: tuple of str, the pieces that end a sentence.

    Raises:
        ValueError: a setting is out of range.

    Source: BART (arXiv:1910.13461), section 2.2; the released `denoising_dataset.py`, and the
    settings that its authors published for it.
    """

    share: number(0, 1) = 0.3
    mean_length: number(above=0, most=30, none=True) = 3.5
    random: number(0, 1) = 0.1
    replace: choice(REPLACE) = "span"
    permute: number(0, 1) = 1.0
    rotate: number(0, 1) = 0.0
    full_stops: tuple = (".",)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "full_stops", tuple(check_texts("full_stops", self.full_stops)))

    def choices(self, tokenizer):
        """See `Noise`."""
        reads = InfilledInput(tokenizer.mask_token_id, self.replace, False, self.random)
        arrange = ()
        if self.permute:
            arrange = (SentencePermutation(self._full_stop_ids(tokenizer), self.permute),)
        return {
            "select": PoissonSelection(self.share, self.mean_length) if self.share else None,
            "input": reads,
            "arrange": arrange,
            "rotate": self.rotate,
            **_whole_text(tokenizer, start=end_token_id(tokenizer)),
        }

    def _full_stop_ids(self, tokenizer):
        """The ids of the full stops, with and without the mark of a word's begin or end."""
        pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
        bare = [one.removeprefix("##").lstrip("▁Ġ").removesuffix("</w>") for one in pieces]
        ids = tuple(number for number, piece in enumerate(bare) if piece in self.full_stops)
        if not ids:
            raise ValueError(
                "To permute sentences the tokenizer must have a full stop: name its pieces, or set "
                f"permute=0. Received: full_stops={self.full_stops}, none of which {tokenizer} has"
            )
        return ids


@dataclass(frozen=True)
class WordNoise(Noise):
    """Shuffles, drops and blanks tokens, and asks for all of them (a denoising autoencoder).

    Args:
        distance: the most places that a token moves; 0: none does.
        drop: the chance that a token is dropped; one stays at least.
        blank: the chance that one which is left becomes a mask.

    Raises:
        ValueError: a setting is out of range.

    Source: Lample et al. (arXiv:1711.00043), section 2.3; with back-translation it is how XLM and
    MASS go on to translate without pairs.
    """

    distance: integer(0) = 3
    drop: number(0, 1) = 0.1
    blank: number(0, 1) = 0.1

    def choices(self, tokenizer):
        """See `Noise`."""
        begin = tokenizer.layout.start
        start = tokenizer.special_token_id(begin[0]) if begin else end_token_id(tokenizer)
        return {
            "select": None,
            "input": NoisyInput(tokenizer.mask_token_id, self.drop, self.blank),
            "arrange": (LocalShuffle(self.distance),) if self.distance else (),
            **_whole_text(tokenizer, start),
        }


def _whole_text(tokenizer, start):
    """The choices of a target that is the row, closed by its end."""
    end = None if tokenizer.layout.end else end_token_id(tokenizer)
    return {"target": WholeTarget(), "start_token_id": start, "end_token_id": end}


def end_token_id(tokenizer):
    """Returns the id of what ends a text.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`.

    Raises:
        ValueError: it has nothing that does.
    """
    ids = tokenizer.special_token_ids
    for name in ENDS:
        if name in ids:
            return ids[name]
    raise ValueError(
        f"The tokenizer must have one of the special tokens {ENDS}, which ends a text. Received: "
        f"special_token_ids={ids}"
    )


def start_token_id(tokenizer):
    """Returns the id of what a decoder reads first: what a row begins with, or what ends a text.

    Where the layout says another token, as T5's and Marian's do (padding), it is that one.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`.

    Raises:
        ValueError: it has none of them.
    """
    layout = tokenizer.layout
    begin = layout.decoder_start or next(iter(layout.start), None)
    return end_token_id(tokenizer) if begin is None else tokenizer.special_token_id(begin)


def _special_ids(tokenizer):
    return tuple(sorted(set(tokenizer.special_token_ids.values())))


def _sentinels(tokenizer):
    """The id of the first sentinel, and how many there are."""
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    ids = {piece.removeprefix("▁"): number for number, piece in enumerate(pieces)
           if piece.startswith(("<extra_id_", "▁<extra_id_"))}  # fmt: skip
    first, count = ids.get(SENTINEL.format(0)), 0
    while first is not None and ids.get(SENTINEL.format(count)) == first - count:
        count += 1
    if not count or count < len(ids):
        raise ValueError(
            "Span corruption needs sentinels <extra_id_0>, <extra_id_1>, ..., whose ids count down "
            "one by one: add them to a SubwordTokenizer by data.add_special_tokens(tokenizer, "
            "data.SENTINEL_TOKENS), or make a SentencePieceTokenizer with num_sentinels=100. "
            f"Received: {len(ids)} such tokens, of which {count} count down"
        )
    return first, count
