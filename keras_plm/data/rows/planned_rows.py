"""Batches of rows that are planned once per pass: which parts of the stream stand in which row.

A plan is a function of the stream of a pass. Rows of two tokens of each document:

    @row_plan(num_texts=1)
    def beginnings(stream, room, rng):
        begins = stream.sentence_begin(stream.document_sentences[:, 0])
        return RowTable(np.stack([begins, begins + 2], axis=1)[:, None])

    stream     a b c <eod> d e f g <eod>         room: tokens of text that a row has room for
    texts      [[0, 2]], [[4, 6]]                rows: a b, d e
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from keras_plm.data.corpus.columns import check_columns, token_columns
from keras_plm.data.rows.passes import LastPasses, document_order
from keras_plm.data.rows.row_rendering import RowRenderer
from keras_plm.data.rows.stream import DocumentStream

# What separates documents: the first of these special tokens that the tokenizer has.
SEPARATORS = ("eod", "eos", "sep")


@dataclass(frozen=True)
class RowTable:
    """The rows of one pass, in the order of its stream.

    Args:
        texts: (R, K, 2) int64, begin and end of each row's K texts, positions of the stream.
        labels: dict of the names of labels to (R,) int32, one for each row, such as
            {"sentence_pair": 1 where the texts of a row do not belong together}; None: there are
            none.
        languages: (R, K) int, the language of each text; None if the rows do not say.
        token_labels: dict of the names of labels of tokens to functions of (stream, texts), texts
            (B, K, 2) of some of the rows, that return their labels, one for each token of these
            texts, one text after the other; None: there are none.
    """

    texts: np.ndarray
    labels: dict | None = None
    languages: np.ndarray | None = None
    token_labels: dict | None = None


@dataclass(frozen=True)
class RowPlan:
    """What the rows of a plan are like.

    Args:
        num_texts: K, texts per row.
        joined: whether these are pieces of one text, with nothing between.
        apart: whether each text has special tokens and positions of its own, see `RowRenderer`.
        across: whether texts reach across documents, and need a separator between these.
        select: function (corpus, documents) to those of the documents, (D,) int in the order of
            the pass, that make the stream, in its order; None: all of them.
    """

    num_texts: int = 1
    apart: bool = False
    across: bool = False
    select: object = None
    joined: bool = False


def row_plan(**settings):
    """Say what the rows of a plan are like, where they are not of one text of one document each.

    Args:
        settings: those of `RowPlan`.

    Returns:
        A decorator of a function (stream, room, rng, **settings) to a `RowTable`: the
        `DocumentStream` of a pass; how many tokens of text a row holds; a
        `numpy.random.Generator`; and what else the objective's `row_settings` say.
    """

    def mark(plan):
        plan.row_plan = RowPlan(**settings)
        return plan

    return mark


class PlannedRows:
    """Makes the rows of batch n from a corpus; the same n gives the same rows everywhere.

    In every pass the documents, in an order drawn anew if training, are one stream; a plan says
    which parts of it are rows, and the rows, shuffled if training, fill the batches. The first
    pass says how many batches every pass has: what is left over is not used in it, and a later
    pass with fewer rows starts over with its first ones. A pass's plan is held in memory, 16 bytes
    per text of a row, and 8 per row.

    Args:
        request: `RowRequest`; all that is drawn for pass p depends on its seed and p alone.
        plan: function, see `row_plan`.
        sequence_length: T, tokens per row.
        min_entities: int. Rows with mentions of fewer entities are left out (ERNIE); 0: none.
        settings: what else the plan takes.

    Raises:
        ValueError: the corpus has fewer rows than a batch or does not fit them, or the plan gives
            rows that do not fit; or entities are asked for, and the corpus has none.
    """

    def __init__(self, request, plan, sequence_length, min_entities=0, **settings):
        self.request, self.batch_size = request, request.batch_size
        self._min_entities = min_entities
        if min_entities:
            check_columns(token_columns(request.corpus), ("entities",))
        self._rows = getattr(plan, "row_plan", RowPlan())
        if self._rows.across:
            check_separator(request.corpus)
        self._render = RowRenderer(
            request.corpus,
            sequence_length,
            self._rows.num_texts,
            self._rows.apart,
            self._rows.joined,
        )
        self._plan = functools.partial(plan, **settings)
        self._passes = LastPasses(self._make_pass)
        num_rows = len(self._passes(0)[2])
        self.steps_per_pass = num_rows // self.batch_size
        if not self.steps_per_pass:
            with_entities, fewer = "", ""
            if min_entities:
                with_entities = f" of {min_entities} mentions or more"
                fewer = "min_entities, "
            raise ValueError(
                f"The corpus is too small for one batch: its {len(request.corpus.documents)} "
                f"documents make {num_rows} rows{with_entities}. Lower {fewer}batch_size or the "
                "objective's sequence_length, or give more text. Received: "
                f"batch_size={self.batch_size}, sequence_length={sequence_length}"
            )

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`, counted through the passes.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of arrays, see `RowRenderer`, and the labels (B,) int32 of the rows and (B, T)
            of their tokens, if they have some.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        number, pass_step = divmod(step, self.steps_per_pass)
        stream, table, order = self._passes(number if self.request.training else 0)
        place = pass_step * self.batch_size + np.arange(self.batch_size)[rows]  # (B,)
        chosen = order[place % len(order)]
        languages = None if table.languages is None else table.languages[chosen]
        batch = self._render(stream, table.texts[chosen], languages, table.token_labels)
        batch.update({name: labels[chosen] for name, labels in (table.labels or {}).items()})
        return batch

    def _make_pass(self, number):
        """Stream, table of rows, and the order of the rows."""
        request = self.request
        documents = document_order(request, number)
        if self._rows.select is not None:
            documents = self._rows.select(request.corpus, documents)
        separator = separator_id(request.corpus)
        stream = DocumentStream(request.corpus, documents, separator, request.training)
        rng = np.random.default_rng((request.seed, 1, number))
        table = self._plan(stream, self._render.text_length, rng)
        _check_table(table, self._rows.num_texts, self._render.text_length, stream.num_tokens)
        if self._min_entities:
            table = _with_marks(table, stream.marked("entities"), self._min_entities)
        order = np.arange(len(table.texts))
        return stream, table, rng.permutation(order) if request.training else order


def separator_id(corpus):
    """Return the id of what separates documents; 0 where there is nothing.

    Args:
        corpus: a `Corpus`.
    """
    ids = corpus.special_token_ids
    return next((ids[name] for name in SEPARATORS if name in ids), 0)


def check_separator(corpus):
    """Refuses a corpus whose tokenizer has nothing that separates documents.

    Args:
        corpus: a `Corpus`.

    Raises:
        ValueError: naming what it has.
    """
    if not set(SEPARATORS) & corpus.special_token_ids.keys():
        raise ValueError(
            f"Rows across documents need one of the special tokens {SEPARATORS} between them: "
            "build the corpus with a tokenizer that has one. Received: "
            f"special_token_ids={dict(corpus.special_token_ids)}"
        )


def _check_table(table, num_texts, room, num_tokens):
    """What a plan returned are rows of the stream that fit."""
    texts = np.asarray(table.texts) if isinstance(table, RowTable) else np.zeros(0)
    if texts.ndim != 3 or texts.shape[1:] != (num_texts, 2) or texts.dtype.kind not in "iu":
        raise ValueError(
            "A plan of rows must return a RowTable of texts (R, K, 2), their begins and ends, K as "
            f"in @row_plan(num_texts=K). Received: {type(table).__name__} of {texts.shape} "
            f"{texts.dtype}, K={num_texts}"
        )
    lengths = texts[:, :, 1] - texts[:, :, 0]
    low, high = texts.min(initial=0), texts.max(initial=0)
    longest = lengths.sum(axis=1).max(initial=0)
    if low < 0 or high > num_tokens or lengths.min(initial=0) < 0 or longest > room:
        raise ValueError(
            f"A plan's texts must lie in the stream, [0, {num_tokens}], begin before they end, and "
            f"have {room} tokens per row at most. Received: {low} to {high}, rows of {longest}"
        )
    for name, labels in (table.labels or {}).items():
        if np.shape(labels) != texts.shape[:1]:
            raise ValueError(
                f"A plan's labels must be one per row, ({len(texts)},). Received: {name} of "
                f"{np.shape(labels)}"
            )


def _with_marks(table, marked, least):
    """The rows of a table whose texts have so many of the positions, which ascend."""
    begin, end = np.searchsorted(marked, np.asarray(table.texts)).transpose(2, 0, 1)  # (R, K) each
    kept = (end - begin).sum(axis=1) >= least
    labels = {name: np.asarray(one)[kept] for name, one in (table.labels or {}).items()}
    languages = None if table.languages is None else np.asarray(table.languages)[kept]
    texts = np.asarray(table.texts)[kept]
    return replace(table, texts=texts, labels=labels, languages=languages)


def truncated_lengths(lengths, total):
    """The lengths of texts of which the longest loses a token until they fit.

    Of equally long ones the last loses it. `[[5, 2, 9]]` with `total=12` becomes `[[5, 2, 5]]`.

    Args:
        lengths: (N, K) int, tokens of the K texts of each row.
        total: int, how many tokens there may be in a row.

    Returns:
        (N, K) int.

    Source: BERT (Devlin et al., 2019), `truncate_seq_pair` of `create_pretraining_data.py`.
    """
    lengths = np.asarray(lengths)
    number = lengths.shape[1]
    shortest = np.sort(lengths, axis=1)[:, :-1].cumsum(axis=1)
    shortest = np.concatenate([np.zeros_like(lengths[:, :1]), shortest], axis=1)  # of the first k
    level = ((total - shortest) // np.arange(number, 0, -1)).max(axis=1, keepdims=True)  # (N, 1)
    cut = lengths > level
    missing = total - np.minimum(lengths, level).sum(axis=1, keepdims=True)
    keeps_one_more = cut & (np.cumsum(cut, axis=1) <= missing)
    return np.minimum(lengths, level) + keeps_one_more
