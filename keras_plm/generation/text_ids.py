"""From texts with blanks to ids, and back: what was written, and how likely it is."""

from typing import NamedTuple

import numpy as np

from keras_plm.generation.canvas import BLANK, checked_ids
from keras_plm.generation.sampling import beams, single_results, until_stop
from keras_plm.tokenizers.added_tokens import TRANSFER_TOKENS
from keras_plm.tokenizers.text_columns import column_items, text_list

NEVER_TARGETS = ("unk", "bos", "eos", "cls", "sep", "pad", "mask", "eod", *TRANSFER_TOKENS)


class TextScore(NamedTuple):
    """The log-likelihood of a text.

    Args:
        total: float, in nats.
        tokens: float array (n,), in nats, of each token from left to right.
        token_ids: list of n ints.
    """

    total: float
    tokens: np.ndarray
    token_ids: list


class TextIds:
    """Turns what users give to a model that writes into lists of ids, and lists of ids back.

    Texts become texts again, and lists of ids lists of ids, in which `BLANK` (-1) is a blank.

    Args:
        tokenizer: `keras_plm.data.Tokenizer` or None: then ids only.
        vocabulary_size: int. V of the backbone.
        ends: tuple of str. The special tokens that may end a document; the first of them that the
            tokenizer has is meant by `<eod>`. Without any there is none.
    """

    def __init__(self, tokenizer, vocabulary_size, ends=("eod",)):
        self.tokenizer = tokenizer
        self.vocabulary_size = vocabulary_size
        ids = {} if tokenizer is None else tokenizer.special_token_ids
        self.end = [ids[name] for name in ends if name in ids][:1]  # a list of one id, or of none

    def encode(self, texts, blank=None, what="`texts`"):
        """The ids of texts.

        Args:
            texts: list of str, or of lists of int.
            blank: str or None. What stands for one blank piece in a text.
            what: str. What they are, for the message.

        Returns:
            Pair of a list of lists of int, and a bool: whether strings were given.

        Raises:
            TypeError: if they are neither.
            ValueError: if there are none, or strings without a tokenizer.
        """
        texts, are_ids = rows_given(texts, what)
        if are_ids:
            return checked_ids(texts, self.vocabulary_size, blank is not None, what), False
        texts = text_list(texts, what, allow_empty=True)
        if self.tokenizer is None:
            raise ValueError(
                f"Without a preprocessor {what} must be lists of ids. Received: {texts[0]!r:.80}."
            )
        if blank is None:
            return self.tokenizer.encode(texts), True
        if not isinstance(blank, str) or not blank.strip():
            raise ValueError(f"`blank` must be a string to look for. Received: {blank!r}.")
        return [self._encode_around(text.split(blank)) for text in texts], True

    def encode_behind(self, texts, prompts):
        """The ids of texts that are to be scored, and of what stands before each.

        Args:
            texts: list of N str or of lists of int.
            prompts: list of N of these, or None: nothing.

        Returns:
            Two lists of N lists of int: those of the texts, and those of the prompts.

        Raises:
            TypeError: if they are neither texts nor ids.
            ValueError: if there are no texts, one has no tokens, or there are not N prompts.
        """
        rows, _ = self.encode(texts)
        empty = [index for index, row in enumerate(rows) if not row]
        if empty or not rows:
            raise ValueError(
                f"Every text must have at least one token. Received: {len(rows)} texts, "
                f"without a token: {empty[:5]}."
            )
        if prompts is None:
            return rows, [[]] * len(rows)
        known, _ = self.encode(prompts, what="`prompts`")
        if len(known) != len(rows):
            raise ValueError(
                "There must be one prompt for each text. "
                f"Received: {len(known)} prompts, {len(rows)} texts."
            )
        return rows, known

    def context(self, prefix):
        """The ids that stand before every text: a document `prefix`, and its end.

        In pretraining documents follow each other with `<eod>` between, so that `<eod>` is how a
        model knows that a text begins.

        Args:
            prefix: None: only the end of some document (without a tokenizer: nothing); str: a
                document; or a list of int, which is taken as it is.

        Returns:
            list of int.
        """
        if prefix is None:
            return list(self.end)
        if isinstance(prefix, str):
            (ids,), _ = self.encode([prefix], what="`prefix`")
            return ids + self.end
        return checked_ids([prefix], self.vocabulary_size, what="`prefix`")[0]

    def decode(self, ids, as_text):
        """Text, or the ids as they are.

        Args:
            ids: list of int.
            as_text: bool.
        """
        if not as_text:
            return [int(index) for index in ids]
        known = self.tokenizer.vocabulary_size  # a backbone may have more ids than its tokenizer
        return self.tokenizer.decode([index for index in ids if index < known])

    def written_texts(self, written, starts, stop_ids, as_text):
        """Return what was written as texts, up to where it stops.

        Args:
            written: list, from `keras_plm.generation.decoding.Programs.write_batches`.
            starts: list of lists of int, what stands before each.
            stop_ids: iterable of int.
            as_text: bool.

        Returns:
            list of texts, or of lists of texts where there are several.
        """
        results = [
            [self.decode(start + until_stop(ids, stop_ids), as_text) for ids in beams(one)]
            for start, one in zip(starts, written)
        ]
        return single_results(results, written)

    def never_filled_in(self, forbidden, but=()):
        """The ids that must not be filled in.

        Args:
            forbidden: iterable of int, or "auto": the special pieces, which are no text (`<eop>`
                is), and ids beyond the tokenizer's; without a tokenizer none.
            but: iterable of int that are allowed all the same if "auto".

        Returns:
            tuple of int.
        """
        if not isinstance(forbidden, str):
            forbidden = column_items(forbidden, "`forbidden_token_ids`", "ids")
            forbidden = checked_ids([forbidden], self.vocabulary_size, what="forbidden ids")[0]
        elif forbidden != "auto":
            raise ValueError(
                f"`forbidden_token_ids` must be ids or 'auto'. Received: {forbidden!r}."
            )
        elif self.tokenizer is None:
            return ()
        else:
            ids = self.tokenizer.special_token_ids
            forbidden = [ids[name] for name in NEVER_TARGETS if name in ids]
            forbidden += range(self.tokenizer.vocabulary_size, self.vocabulary_size)
            forbidden = [index for index in forbidden if index not in but]
        if len(set(forbidden)) >= self.vocabulary_size:
            raise ValueError("Not all ids can be forbidden.")
        return tuple(sorted(set(forbidden)))

    def stop_ids(self, stop):
        """The ids that end a text.

        Args:
            stop: None, iterable of int, or "auto": `<eod>`; without a tokenizer none.

        Returns:
            tuple of int.
        """
        if isinstance(stop, str):
            if stop != "auto":
                raise ValueError(f"`stop_token_ids` must be ids or 'auto'. Received: {stop!r}.")
            return tuple(self.end)
        stop = () if stop is None else column_items(stop, "`stop_token_ids`", "ids")
        return tuple(checked_ids([stop], self.vocabulary_size, what="stop ids")[0])

    def _encode_around(self, parts):
        """The ids of the parts of a text, with a blank between each two."""
        ids = list(self.tokenizer.encode(parts[0]))
        for part in parts[1:]:
            ids += [BLANK, *self._encode_after_blank(part)]
        return ids

    def _encode_after_blank(self, part):
        """The ids of a part of a text: one that follows without a space starts no word."""
        end_of_paragraph = self.tokenizer.special_token_ids.get("eop")
        if not part or part[0].isspace() or end_of_paragraph is None:
            return self.tokenizer.encode(part)
        # SentencePiece takes the start of its input for the start of a word; a piece of its own
        # in front prevents that.
        ids = self.tokenizer.encode("<eop>" + part)
        return ids[ids.index(end_of_paragraph) + 1 :]


def text_scores(rows, scores):
    """Join the ids of texts with the log-likelihoods of their tokens.

    Args:
        rows: list of N lists of n ints.
        scores: list of N float arrays (n,).

    Returns:
        list of N `TextScore`.
    """
    return [
        TextScore(float(tokens.sum(dtype="float64")), tokens, row)
        for tokens, row in zip(scores, rows)
    ]


def rows_given(texts, what="`texts`"):
    """What a user gives to a model that writes, and whether it is ids.

    Args:
        texts: list of str, or of lists of int, or an int array of shape (N, n).
        what: str. What they are, for the message.

    Returns:
        Pair: list or array of N rows, and a bool: whether the first is not a string.

    Raises:
        TypeError: if it is no list or column.
    """
    if not isinstance(texts, np.ndarray) or texts.ndim != 2:  # rows of ids, of one length
        texts = column_items(texts, what, "texts, or of lists of ids")
    first = next(iter(texts), "")
    return texts, hasattr(first, "__iter__") and not isinstance(first, (str, bytes))
