"""Token-document relation: does a token of one segment occur in others of its document too?

A literal example: a document of two rows, `the cat sat` and `the dog ran`. The first:

    token                   CLS  the  cat  sat  SEP
    y["token_document"]     0    1    0    0    0
    sample_weight           0    1    1    1    0
"""

from dataclasses import dataclass

from keras_plm.objectives.labels.label_objective import TokenLabel


@dataclass(frozen=True)
class TokenDocument(TokenLabel):
    """Asks of each token whether it is in another segment of the same document.

    Segments are the rows of "token_document", whole sentences of one document; documents of one
    row have no other and make none. There is no list of words that are not asked: common ones are
    easy, and as many as they are.

    Args:
        sequence_length: T, tokens per row.
        rows: "token_document", or a plan of a user's own whose `RowTable` has such labels.
        segments: whether `segment_ids` is a feature.

    Source: ERNIE 2.0 (arXiv:1907.12412), section 4.2.1 "Token-Document Relation Prediction Task".
    """

    label = "token_document"
    classes = ("in this segment alone", "in others of the document")

    rows: str = "token_document"
