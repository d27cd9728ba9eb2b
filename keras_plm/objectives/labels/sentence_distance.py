"""Sentence distance: are two sentences neighbours, of one document, or of two?

A literal example: the documents A B C and D.

    row                        CLS  A  SEP  B  SEP     CLS  A  SEP  C  SEP     CLS  A  SEP  D  SEP
    y["sentence_distance"]     0                       1                       2
"""

from dataclasses import dataclass

from keras_plm.objectives.labels.label_objective import PairLabel


@dataclass(frozen=True)
class SentenceDistance(PairLabel):
    """Asks how far apart two sentences are, each class as often as the others.

    Sentences of one document keep their order: B is never followed by A.

    Args:
        sequence_length: T, tokens per row.

    Source: ERNIE 2.0 (arXiv:1907.12412), section 4.2.2 "Sentence Distance Task"; the shares and
    the order are ours.
    """

    label = "sentence_distance"
    classes = ("adjacent", "of one document", "of two documents")
    rows = "sentence_distance"
