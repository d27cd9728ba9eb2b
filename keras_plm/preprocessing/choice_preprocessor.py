"""From contexts, questions and choices to the features of a backbone."""

import keras
import numpy as np

from keras_plm.checks import check_integer
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tokenizers.text_columns import column_items, text_list

LARGEST_CHOICE = 128  # run_race.py: max_qa_length


@keras.saving.register_keras_serializable(package="keras_plm")
class ChoicePreprocessor(Preprocessor):
    """Turns contexts with C choices each into C rows per context.

    The layout is the tokenizer's, the context first: XLNet's `context SEP question choice SEP
    CLS`, padded at the left, BERT's `CLS context SEP question choice SEP`, or GPT-1's `<s> context
    $ question choice <e>` (layout "gpt1_transfer"). GPT-1 itself has the question before the
    delimiter: for that, make it the end of the context. The choice stands
    in the place of "_" in its question, else after the question. Of question and choice the last
    `max_choice_length` tokens are kept; a context that is too long loses its end. How many were
    cut is said in the log "keras_plm", and of how many contexts two choices so became the same.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        max_choice_length: int or None. The most tokens of question and choice together. None:
            T / 4, at most 128.
        language: str or None. The language of all texts, for a tokenizer with languages (XLM).
        pre_split: bool. Whether spaces separate the words of all texts (XLM: zh, th, ja).

    Call arguments:
        x: tuple (contexts, choices) or (contexts, questions, choices): contexts and questions
            are lists of N str, choices is a list of N lists of C str, or an array (N, C).

    Returns:
        dict of `token_ids` (N, C, T) int32, `segment_ids` (N, C, T) int32, `padding_mask`
        (N, C, T) bool.

    Raises:
        TypeError: if there is anything but strings.
        ValueError: if lists differ in length, an example has fewer than two choices or another
            number than the others, or a text is empty.

    Source: XLNet, arXiv:1906.08237, section 3.4.1 (RACE); the released `run_race.py` (sequence
    length 512, question and choice 128), which also lets the context of a choice see the choices
    before it; not so here. GPT-1 (Radford et al. 2018), section 3.3.
    """

    def __init__(
        self,
        tokenizer=None,
        sequence_length=512,
        max_choice_length=None,
        language=None,
        pre_split=False,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, language, pre_split, **kwargs)
        num_special = 0 if tokenizer is None else self.layout.num_special(pair=True)
        longest = self.sequence_length - num_special - 1  # a token of the context
        why = f", as sequence_length={self.sequence_length} leaves room for"
        check_integer("max_choice_length", max_choice_length, 1, longest, none=True, why=why)
        if self.sequence_length < 8:
            raise ValueError(
                "`sequence_length` must be at least 8 for a context and a choice. "
                f"Received: {sequence_length!r}."
            )
        self._given = None if max_choice_length is None else int(max_choice_length)
        self.max_choice_length = self._given or min(self.sequence_length // 4, LARGEST_CHOICE)

    def settings(self):
        return {**super().settings(), "max_choice_length": self._given}

    def call(self, x):
        contexts, questions, choices = _checked_parts(x)
        different = list(dict.fromkeys(contexts))  # several questions about each
        context_ids = dict(zip(different, self.encode_texts(different, "Contexts")))
        texts = [
            _asked(question, choice) for question, own in zip(questions, choices) for choice in own
        ]
        whole = self.encode_texts(texts, "Choices")
        shape = (len(contexts), len(choices[0]), self.sequence_length)
        firsts = [context_ids[context] for context in contexts for _ in choices[0]]
        lasts = [list(ids[-self.max_choice_length :]) for ids in whole]
        self._say_cut(whole, firsts, lasts, num_choices=shape[1])
        room = self.room(pair=True)
        rows = [
            self.pair_row(list(first[: room - len(last)]), last)
            for first, last in zip(firsts, lasts)
        ]
        return {name: array.reshape(shape) for name, array in self.padded(rows).items()}

    def _say_cut(self, whole, firsts, lasts, num_choices):
        """Say how many texts lose something, of each row's choice and context."""
        long = [row for row, ids in enumerate(whole) if len(ids) > self.max_choice_length]
        room = self.room(pair=True)
        contexts = sum(len(first) + len(last) > room for first, last in zip(firsts, lasts))
        examples = [slice(row, row + num_choices) for row in range(0, len(whole), num_choices)]
        same = sum(_num_different(lasts[own]) < _num_different(whole[own]) for own in examples)
        found = []
        if long:
            found.append(
                f"{len(long)} of {len(whole)} choices with their questions are longer than "
                f"`max_choice_length`={self.max_choice_length} tokens, the first of them of "
                f"example {long[0] // num_choices} with {len(whole[long[0]])}: they lose their "
                f"beginnings"
            )
        if same:
            found.append(f"in {same} examples choices became the same by that")
        if contexts:
            found.append(f"{contexts} of {len(whole)} rows lose the ends of their contexts")
        if found:
            self.say_cut(", and ".join(found))


def _num_different(rows):
    return len(set(map(tuple, rows)))


def _asked(question, choice):
    """Question and choice as one text. (run_race.py)"""
    if question is None:
        return choice
    return question.replace("_", choice) if "_" in question else f"{question} {choice}"


def _checked_parts(x):
    """Contexts, questions (None each if there are none) and choices, of the same length."""
    if not isinstance(x, tuple) or len(x) not in (2, 3):
        what = f"{len(x)} elements" if isinstance(x, tuple) else type(x).__name__
        raise ValueError(
            "`x` must be a tuple (contexts, choices) or (contexts, questions, choices). "
            f"Received: {what}."
        )
    contexts, choices = text_list(x[0], "Contexts"), _checked_choices(x[-1])
    questions = [None] * len(contexts) if len(x) == 2 else text_list(x[1], "Questions")
    if not len(contexts) == len(questions) == len(choices):
        raise ValueError(
            "There must be a context, a question (if any) and a list of choices per example. "
            f"Received: {len(contexts)} contexts, {len(questions)} questions, {len(choices)} "
            "lists of choices."
        )
    return contexts, questions, choices


def _checked_choices(choices):
    """A list of lists of strings, all of the same length."""
    if isinstance(choices, np.ndarray):
        choices = choices.tolist()
    choices = column_items(choices, "Choices", "lists of texts")
    if not choices:
        raise TypeError("Choices must be a list of lists of texts. Received: an empty list.")
    checked = []
    for number, own in enumerate(choices):
        checked.append(text_list(own, f"The choices of example {number}"))
        if len(own) < 2 or len(own) != len(choices[0]):
            raise ValueError(
                "Every example must have the same number of choices, at least 2. Received: "
                f"{len(own)} for example {number}, {len(choices[0])} for example 0."
            )
    return checked
