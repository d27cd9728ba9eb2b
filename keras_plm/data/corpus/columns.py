"""What a corpus may say about each token, or each sentence, beside what it is.

    COLUMNS["digits"] = Column("uint8", bound=2)

is all that another one costs: `Corpus.build(..., annotate={"digits": find_digits})` fills it,
files, streams and rows carry it, and it is an array of the batches. The words 我, 爱, 北京大学 with
a span over the last, in a row:

    token          CLS  我   爱   北   京   大   学   SEP
    word_starts    1    1    1    1    0    0    0    1      special tokens: `special`
    span_marks     0    0    0    1    2    2    2    0
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.objectives.labels.discourse_relation import DISCOURSE_MARKERS


@dataclass(frozen=True)
class Column:
    """One number for each token of a corpus.

    Args:
        dtype: str, as numpy names it.
        bound: int, values are below it and at least 0; None: what is known depends on the corpus.
        special: the value at special tokens, padding and the ends of documents, and where nothing
            is said.
        first: function of the values at the tokens that texts in a row begin with, to what they
            become there; None: they stay.
        torn: function of (values, values behind them) to where the second cannot follow; None:
            all can.
        rule: str, what the values are, for the message about a damaged file.
        per: "token" or "sentence". Those of sentences are not carried into rows.
        optional: whether a corpus may be without.
        begins: whether what `annotate` finds has its number at its first token alone.
        found_by: str, the function that finds it in text, for the message where it is missing.
    """

    dtype: str
    bound: int | None = None
    special: int = 0
    first: object = None
    torn: object = None
    rule: str = ""
    per: str = "token"
    optional: bool = True
    begins: bool = False
    found_by: str = "a function of a sentence"


COLUMNS = {
    "word_starts": Column(
        "bool", 2, True, first=np.ones_like, rule="must be 0 or 1", optional=False
    ),
    "span_marks": Column(
        "uint8",
        3,
        first=lambda marks: marks > 0,  # what begins within a span begins it
        torn=lambda marks, behind: (behind == 2) & (marks == 0),
        rule="must be 0, 1 at the begin of a span, or 2 behind 1 or 2",
    ),
    # 0, or the number of a word that the vocabulary has not, from 1; see `Corpus.word_characters`.
    "unknown_words": Column("int32", 2**31 - 1),
    # 0, or the entity whose mention begins here, a row of a table of vectors, from 1. What is left
    # of a mention that a row cuts has none (ERNIE, arXiv:1905.07129, and its released data).
    "entities": Column(
        "int32", 2**31 - 1, begins=True, found_by="keras_plm.data.DictionaryLinker({...})"
    ),
    "sentence_languages": Column("int32", per="sentence"),
    # 1 at words that begin with a capital letter, which ids may not show.
    "capitals": Column("uint8", 2, found_by="keras_plm.data.find_capitals"),
    # At the connective that a sentence begins with its place in `DISCOURSE_MARKERS`, from 1.
    "discourse_markers": Column(
        "uint8", len(DISCOURSE_MARKERS) + 1, found_by="keras_plm.data.find_discourse_markers"
    ),
}


def token_columns(corpus):
    """Return the columns of tokens that a corpus has, a dict of names to arrays (N,).

    Args:
        corpus: a `Corpus`, or any object with them as attributes.
    """
    found = {
        name: getattr(corpus, name, None)
        for name, column in COLUMNS.items()
        if column.per == "token"
    }
    return {name: np.asarray(values) for name, values in found.items() if values is not None}


def check_columns(columns, names):
    """Refuses a corpus that lacks a column which an objective needs.

    Args:
        columns: dict of those that it has, by name, see `token_columns`.
        names: iterable of str, those that are needed.

    Raises:
        ValueError: naming it, and what finds it.
    """
    for name in names:
        if name not in columns:
            found_by = COLUMNS[name].found_by if name in COLUMNS else Column.found_by
            raise ValueError(
                f"The objective needs the column {name!r} of the corpus: build the corpus with "
                f'Corpus.build(..., annotate={{"{name}": {found_by}}}). Received: a corpus of the '
                f"columns {sorted(columns)}"
            )


def fill_special(columns, special, first):
    """Give special tokens and the first ones of texts their values, in place.

    Args:
        columns: dict of names to arrays (B, T).
        special: (B, T) bool; None: they have theirs.
        first: index of the tokens that texts begin with.
    """
    for name, values in columns.items():
        column = COLUMNS[name]
        if special is not None:
            np.copyto(values, column.special, where=special)
        if column.first is not None:
            values[first] = column.first(values[first])


def check_column(name, values, known, directory):
    """Refuses values that a column cannot have.

    Args:
        name: str, a key of `COLUMNS`.
        values: array, a part of the column, with the first element of the next part.
        known: list of all values there are, where the column has no bound.
        directory: of the corpus, for the message.

    Raises:
        ValueError: naming the column.
    """
    column = COLUMNS[name]
    values = values.view("uint8") if values.dtype == bool else values
    if column.bound is None:
        wrong, rule = not np.isin(values, known).all(), f"must be among {known}"
    else:
        wrong = len(values) and (values.max() >= column.bound or values.min() < 0)
        wrong = wrong or (column.torn is not None and column.torn(values[:-1], values[1:]).any())
        rule = column.rule or f"must be within [0, {column.bound})"
    if wrong:
        raise ValueError(f"{directory} is damaged: {name} {rule}")
