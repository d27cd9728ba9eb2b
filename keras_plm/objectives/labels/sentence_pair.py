"""Sentence pairs (BERT, ALBERT, ERNIE): does the second text belong to the first?

A literal example: two rows of 7 tokens. The row builder has made the pairs; this objective hides
nothing and hands on the question. One polarity everywhere: 0 = true, next, in order, real.

    row 0          CLS  it  rains  SEP  stay  in  SEP      the real next sentence
    row 1          CLS  it  rains  SEP  tea   is  SEP      a random one
    segment_ids    0    0   0      0    1     1   1

    y["sentence_pair"]    0 1
"""

from dataclasses import dataclass

from keras_plm.checks import choice, number
from keras_plm.objectives.labels.label_objective import PairLabel

NEGATIVES = ("random", "swapped", "reply")


@dataclass(frozen=True)
class SentencePair(PairLabel):
    """Asks whether the second text of a pair is the one that follows the first.

    Alone it trains on whole rows; in an `ObjectiveSum` with `MaskedModeling(rows=...)` on the same
    rows with masks, as BERT does.

    Args:
        sequence_length: T, tokens per row.
        negative: what a false pair is: "random", a text from another document (BERT's next
            sentence); "swapped", the same two in the other order (ALBERT's sentence order);
            "reply", a turn of a dialogue that is not real (ERNIE 1.0's dialogue pairs).
        short_rate: fraction of the rows that are made from shorter pairs, in [0, 1].

    Raises:
        ValueError: a setting is out of range.

    Source: BERT (arXiv:1810.04805), section 3.1, task 2; ALBERT (arXiv:1909.11942), section 3.1;
    ERNIE (arXiv:1904.09223), section 3.3 "Dialogue language model".
    """

    label = "sentence_pair"
    classes = ("belongs together", "does not")

    negative: choice(NEGATIVES) = "random"
    short_rate: number(0, 1) = 0.1

    @property
    def rows(self):
        """The row builder that makes such pairs."""
        return "dialogue" if self.negative == "reply" else "sentence_pair"

    @property
    def row_settings(self):
        """The keyword arguments of the row builder."""
        return {
            "sequence_length": self.sequence_length,
            "negative": self.negative,
            "short_rate": self.short_rate,
        }
