"""What the tasks that write texts share: ids of texts, the decoding loop, and what comes out."""

import keras_hub

from keras_plm.generation.decoding import Programs, Writing
from keras_plm.generation.text_ids import TextIds

# Samplers whose first tokens are the same, however many come behind them.
STEPWISE = tuple(
    getattr(keras_hub.samplers, f"{name}Sampler") for name in ("Greedy", "Random", "TopK", "TopP")
)


class WritingTask:
    """What a task that writes texts has beside its other base, by the decoder of its backbone.

    Attributes:
        document_ends: tuple of str. The special tokens that may end a document; the first of them
            that the tokenizer has is meant.
    """

    document_ends = ("eod",)

    def forget_programs(self):
        """Forget what was compiled: it may have other weights."""
        self._programs = Programs(self)

    @property
    def _text(self):
        """What turns texts into ids; the preprocessor may get its tokenizer later."""
        tokenizer = None if self.preprocessor is None else self.preprocessor.tokenizer
        return TextIds(tokenizer, self.backbone.vocabulary_size, self.document_ends)

    def _slots_computed(self, length, sampler, taken):
        """How many slots are computed where `length` are wanted: up to an eighth more.

        No more than the backbone has positions for beside those that are `taken`.
        A program serves one number of slots; so there are eight for all lengths from 129 to 256.
        Beams compete until the last slot, so that of theirs there are as many as are wanted.
        """
        if type(self._programs.compiled.sampler(sampler)) not in STEPWISE:
            return length
        step = 1 << max(length.bit_length() - 4, 0)
        rounded, longest = -(-length // step) * step, self.backbone.max_sequence_length
        return rounded if longest is None else max(min(rounded, longest - taken), length)

    def _write(
        self,
        batches,
        number,
        sampler,
        seed,
        forbidden_token_ids,
        stop_ids=(),
        verbose="auto",
        length=None,
        **options,
    ):
        """The ids that are written into batches of slots; see `Programs.write_batches`."""
        forbidden = self._text.never_filled_in(forbidden_token_ids, but=stop_ids)
        found = self._programs.compiled.sampler(sampler, seed)
        writing = Writing(found, forbidden, stop_ids, **options)
        return self._programs.write_batches(batches, writing, number, verbose, length)


def check_prompts(prompts, max_length):
    """Refuse prompts that leave no room for a continuation.

    Args:
        prompts: list of lists of int.
        max_length: int. The length of prompt and continuation.

    Raises:
        ValueError: naming the first that is too long.
    """
    for index, prompt in enumerate(prompts):
        if len(prompt) >= max_length:
            raise ValueError(
                "Every prompt must be shorter than `max_length`. "
                f"Received: max_length={max_length}, prompt {index} has {len(prompt)} tokens."
            )
