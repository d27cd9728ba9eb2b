"""Capitals: does a word begin with a capital letter in the text that the model sees lower-cased?

A literal example: `Bob met IBM people`, whose second word has two pieces.

    token             CLS  bob  m    ##et  ibm  people  SEP
    capitals          0    1    0    0     1    0       0        the column of the corpus

    y["capitals"]     0    1    0    0     1    0       0
    sample_weight     0    1    1    1     1    1       0
"""

from dataclasses import dataclass

from keras_plm.objectives.labels.label_objective import TokenLabel


@dataclass(frozen=True)
class Capitals(TokenLabel):
    """Asks of each token whether its word begins with a capital letter.

    Ids must not show it: the tokenizer lower-cases. The text does not either then, so the corpus
    says, by `Corpus.build(..., annotate={"capitals": keras_plm.data.find_capitals})`.

    Args:
        sequence_length: T, tokens per row.
        rows: the row builder, or a plan of a user's own.
        segments: whether `segment_ids` is a feature.

    Source: ERNIE 2.0 (arXiv:1907.12412), section 4.2.1 "Capitalization Prediction Task"; that all
    pieces of a word have its label is ours.
    """

    label = "capitals"
    classes = ("lower case", "with a capital")
    columns = ("capitals",)
