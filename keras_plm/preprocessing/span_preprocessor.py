"""From questions and contexts to windows over the contexts, and from answers to positions."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_plm.checks import check_integer, is_integer
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tokenizers.text_columns import column_items, text_list

LARGEST_QUESTION, LARGEST_STRIDE = 64, 128  # run_squad.py: max_query_length, doc_stride


@dataclass(frozen=True)
class SpanWindow:
    """Which part of which context one row holds.

    Args:
        example: int. The index of the question.
        context: str. The whole context of the question.
        offsets: int array (C, 2). Where in `context` each of its C tokens lies, [begin, end) in
            characters.
        start: int. The first of these tokens that the row holds.
        end: int. The one after the last that the row holds.
        first: int. The position in the row of token `start`.
        owned: bool array (end - start,). Whether, of all windows with this token, this one has
            the most context around it.
        no_answer: int. The position in the row that stands for "no answer here"; -1: its last.
    """

    example: int
    context: str
    offsets: np.ndarray
    start: int
    end: int
    first: int
    owned: np.ndarray
    no_answer: int = -1


@keras.saving.register_keras_serializable(package="keras_plm")
class SpanPreprocessor(Preprocessor):
    """Turns questions and their contexts into rows; a long context becomes several windows.

    The layout is the tokenizer's: XLNet's has the context first, `context SEP question SEP CLS`,
    padded at the left; the others the question, such as BERT's `CLS question SEP context SEP`.
    Windows of one context begin `stride` tokens apart, so that every token lies in one of them
    at least. An answer may lie on the tokens of the context; CLS, or where rows have no special
    tokens (GPT) the last token of the question, stands for "no answer in this window". There are
    W rows for N questions, W >= N.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        max_question_length: int or None. The most tokens of a question. None: T / 4, at most 64.
            A longer question loses its end, as in the released code; how many did is said in the
            log "keras_plm".
        stride: int or None. The tokens from the start of a window to that of the next one. None:
            T / 4, at most 128.
        language: str or None. The language of all texts, for a tokenizer with languages (XLM).
        pre_split: bool. Whether spaces separate the words of all texts (XLM: zh, th, ja).

    Call arguments:
        x: pair (tuple) of two lists of str, questions and contexts, of N texts each.

    Returns:
        dict of `token_ids` (W, T) int32, `segment_ids` (W, T) int32, `padding_mask` (W, T) bool,
        `answer_mask` (W, T) bool.

    Raises:
        TypeError: if there is anything but strings.
        ValueError: if the lists differ in length, a text is empty, or the windows would leave
            gaps.

    Source: XLNet, arXiv:1906.08237, section 2.5 and appendix A.5; the released `run_squad.py`
    (sequence length 512, questions 64, stride 128).
    """

    def __init__(
        self,
        tokenizer=None,
        sequence_length=384,
        max_question_length=None,
        stride=None,
        language=None,
        pre_split=False,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, language, pre_split, **kwargs)
        for name, value in (("max_question_length", max_question_length), ("stride", stride)):
            check_integer(name, value, 1, none=True)
        self._given = {"max_question_length": max_question_length, "stride": stride}
        quarter = self.sequence_length // 4
        self.max_question_length = int(max_question_length or min(quarter, LARGEST_QUESTION))
        self.stride = int(stride or min(quarter, LARGEST_STRIDE))
        num_special = 0 if tokenizer is None else self.layout.num_special(pair=True)
        room = self.sequence_length - num_special - self.max_question_length
        if self.stride > room:
            raise ValueError(
                f"Beside a question of {self.max_question_length} tokens and {num_special} special "
                f"ones, a row of {self.sequence_length} has {room} tokens of the context: windows "
                f"{self.stride} apart would leave gaps. Give a smaller `stride` or "
                "`max_question_length`, or a larger `sequence_length`. Received: "
                f"sequence_length={self.sequence_length}, "
                f"max_question_length={max_question_length}, stride={stride}."
            )

    def settings(self):
        return {**super().settings(), **self._given}

    def call(self, x):
        return self.windows(x)[0]

    def windows(self, x):
        """Make the rows, and remember where each comes from.

        Args:
            x: pair (tuple) of two lists of str, questions and contexts.

        Returns:
            Tuple of the dict of features, see the class, and a list of W `SpanWindow`.

        Raises:
            TypeError, ValueError: see the class.
        """
        questions, contexts = self._checked(x)
        question_ids = self._question_ids(questions)
        different = list(dict.fromkeys(contexts))  # SQuAD asks several questions about each
        encoded = zip(*self.tokenizer.encode_with_offsets(different))
        context_tokens = dict(zip(different, encoded))
        rows, windows = [], []
        for example, (question, context) in enumerate(zip(question_ids, contexts)):
            ids, offsets = context_tokens[context]
            self._check_tokens(example, questions[example], question, context, ids)
            bounds = self._bounds(len(ids), len(question))
            owned = _owned(bounds, len(ids))
            for (start, end), mine in zip(bounds, owned):
                row, first, no_answer = self._row(list(ids[start:end]), list(question))
                rows.append(row)
                windows.append(
                    SpanWindow(
                        example=example,
                        context=context,
                        offsets=offsets,
                        start=start,
                        end=end,
                        first=first,
                        owned=mine,
                        no_answer=no_answer,
                    )
                )
        features = self.padded(rows)
        answer_mask = np.zeros(features["token_ids"].shape, bool)  # (W, T)
        for row, window in enumerate(windows):
            answer_mask[row, window.no_answer] = True
            length = window.end - window.start
            answer_mask[row, window.first : window.first + length] = True
        return {**features, "answer_mask": answer_mask}, windows

    def labels(self, windows, answers):
        """Positions of the answers in the rows.

        An answer that does not lie in a window as a whole is no answer there: its positions are
        those that stand for "no answer".

        Args:
            windows: list of W `SpanWindow`, as from `windows`.
            answers: for each of the N questions a dict {"text": [...], "answer_start": [...]}
                as in SQuAD, of which the first one is learned; None or empty lists: the
                question cannot be answered.

        Returns:
            dict of `start` (W,) int32, `end` (W,) int32 and `impossible` (W,) float32, 0 or 1.

        Raises:
            ValueError: naming the question whose answer is not in its context.
        """
        examples = {window.example: window for window in windows}
        answers = column_items(answers, "Answers", "answers")
        if len(answers) != len(examples):
            raise ValueError(
                "There must be one answer per question, None where there is none. "
                f"Received: {len(answers)} answers for {len(examples)} questions."
            )
        tokens = [_answer_tokens(row, one, examples[row]) for row, one in enumerate(answers)]
        no_answer = np.array([window.no_answer for window in windows], "int32")  # (W,)
        start, end = no_answer.copy(), no_answer.copy()
        for row, window in enumerate(windows):
            first, last = tokens[window.example] or (-1, -1)
            if window.start <= first and last < window.end:
                start[row] = window.first + first - window.start
                end[row] = window.first + last - window.start
        impossible = (start == no_answer).astype("float32")
        return {"start": start, "end": end, "impossible": impossible}

    def _checked(self, x):
        if not isinstance(x, tuple) or len(x) != 2:
            what = f"{len(x)} elements" if isinstance(x, tuple) else type(x).__name__
            raise ValueError(
                "`x` must be a pair (tuple) of two lists, questions and contexts. "
                f"Received: {what}."
            )
        pair = [text_list(one, name) for one, name in zip(x, ("Questions", "Contexts"))]
        if len(pair[0]) != len(pair[1]):
            raise ValueError(
                "There must be one context per question. "
                f"Received: {len(pair[0])} questions and {len(pair[1])} contexts."
            )
        return pair

    def _check_tokens(self, example, question, question_ids, context, context_ids):
        for name, text, ids in (
            ("question", question, question_ids),
            ("context", context, context_ids),
        ):
            if not len(ids):
                raise ValueError(
                    f"The tokenizer makes no token of the {name} of row {example}. "
                    f"Received: {text!r:.80}."
                )

    def _question_ids(self, questions):
        """The ids of the questions; of long ones those that fit."""
        ids, most = self.tokenizer.encode(questions), self.max_question_length
        too_long = [row for row, own in enumerate(ids) if len(own) > most]
        if too_long:
            row = too_long[0]
            self.say_cut(
                f"{len(too_long)} of {len(ids)} questions are longer than "
                f"`max_question_length`={most} tokens, the first of them question {row} with "
                f"{len(ids[row])}: they lose their ends"
            )
        return [own[:most] for own in ids]

    def _row(self, context, question):
        """A row, the position of the context's first token, and that of "no answer"."""
        layout = self.layout
        before = self.first_position(context + question + [0] * layout.num_special(pair=True))
        if layout.question_first:
            row = self.pair_row(question, context)
            first = len(layout.start) + len(question) + len(layout.between)
            last_of_question = len(layout.start) + len(question) - 1
        else:
            row = self.pair_row(context, question)
            first = len(layout.start)
            last_of_question = len(row[0]) - len(layout.end) - 1
        no_answer = last_of_question
        if layout.start:
            no_answer = 0
        elif layout.end:
            no_answer = len(row[0]) - 1
        return row, before + first, before + no_answer

    def _bounds(self, num_tokens, question_length):
        """[start, end) of the windows over a context."""
        room = self.room(pair=True) - question_length
        starts = range(0, max(num_tokens - room, 0) + self.stride, self.stride)
        return [(start, min(start + room, num_tokens)) for start in starts]


def _owned(bounds, num_tokens):
    """For each window, which of its tokens have most context there. (run_squad.py)"""
    score = np.full((len(bounds), num_tokens), -1.0)
    for row, (start, end) in enumerate(bounds):
        place = np.arange(end - start)
        score[row, start:end] = np.minimum(place, place[::-1]) + 0.01 * (end - start)
    owner = score.argmax(axis=0)  # (num_tokens,), the first of the best
    return [owner[start:end] == row for row, (start, end) in enumerate(bounds)]


def _answer_tokens(row, answer, window):
    """First and last token of the first answer, among all of its context; None if there is none."""
    span = _answer_characters(row, answer, window.context)
    if span is None:
        return None
    begins, ends = window.offsets[:, 0], window.offsets[:, 1]
    first = int(np.searchsorted(ends, span[0], side="right"))
    last = int(np.searchsorted(begins, span[1], side="left")) - 1
    if first > last:
        raise ValueError(
            f"The tokenizer makes no token of answer {row}. "
            f"Received: {window.context[slice(*span)]!r:.80}."
        )
    return first, last


def _answer_characters(row, answer, context):
    """[begin, end) of the first answer, in characters of the context; None if there is none."""
    if answer is None or (isinstance(answer, dict) and not answer):
        return None
    if not isinstance(answer, dict) or not {"text", "answer_start"} <= set(answer):
        raise ValueError(
            f'Answer {row} must be None or a dict {{"text": [...], "answer_start": [...]}}. '
            f"Received: {answer!r:.80}."
        )
    texts, starts = answer["text"], answer["answer_start"]
    lists = all(hasattr(one, "__len__") and not isinstance(one, str) for one in (texts, starts))
    if not lists or len(texts) != len(starts):
        raise ValueError(
            f"Answer {row} must have lists, an `answer_start` for every text. "
            f"Received: {answer!r:.80}."
        )
    for text, start in zip(texts, starts):
        integer = is_integer(start)
        if not isinstance(text, str) or not text.strip() or not integer:
            raise ValueError(
                f"The texts of answer {row} must be strings that are not empty, at integers. A "
                f"question without an answer has empty lists. Received: {text!r:.80} at {start!r}."
            )
        if start < 0 or context[start : start + len(text)] != text:
            there = context[max(start, 0) : max(start, 0) + len(text)]
            raise ValueError(
                f"Answer {row} is not in its context at `answer_start`={start}. "
                f"Received: {text!r:.80}; the context has there {there!r:.80}."
            )
    if not len(texts):
        return None
    text, start = texts[0], int(starts[0])
    before = len(text) - len(text.lstrip())
    return start + before, start + len(text.rstrip())
