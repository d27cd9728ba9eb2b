"""Discourse relation: which connective, now gone, began the second of two sentences?

A literal example: `It was late. But, he went on.`

    row                         CLS  it  was  late  .  SEP  he  went  on  .  SEP
    y["discourse_relation"]     0                                      "but" is the first marker
"""

from dataclasses import dataclass

from keras_plm.objectives.labels.label_objective import PairLabel

# The commonest connectives that begin sentences of English novels, in the order of their number
# in 35,245 sentences of novels of the 19th century, as `keras_plm.data` splits them: 1,327 begin
# with "but", 20 with "of course". Words that are more often something else ("there", "only") are
# left out. The paper has the 174 markers of Discovery (arXiv:1903.11850), which is a data set.
DISCOURSE_MARKERS = (
    "but", "and", "if", "as", "when", "then", "for", "so", "now", "after", "yet", "indeed",
    "however", "at last", "perhaps", "nor", "while", "thus", "though", "before", "besides",
    "because", "still", "or", "since", "of course",
)  # fmt: skip


@dataclass(frozen=True)
class DiscourseRelation(PairLabel):
    """Asks which of `DISCOURSE_MARKERS` the second of two consecutive sentences began with.

    The marker is taken away, with the quotation marks before it and the comma behind. The corpus
    says where there are some, by `Corpus.build(..., annotate={"discourse_markers":
    keras_plm.data.find_discourse_markers})`.

    Args:
        sequence_length: T, tokens per row.

    Source: ERNIE 2.0 (arXiv:1907.12412), section 4.2.3 "Discourse Relation Task"; Sileo et al.,
    arXiv:1903.11850, sections 2 and 3.
    """

    label = "discourse_relation"
    classes = DISCOURSE_MARKERS
    rows = "discourse_relation"
    columns = ("discourse_markers",)
