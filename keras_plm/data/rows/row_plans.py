"""Which rows an objective takes: plans by their names, and builders of another kind."""

import functools

from keras_plm.checks import did_you_mean
from keras_plm.data.rows.contiguous_rows import ContiguousRows
from keras_plm.data.rows.dialogue_rows import dialogue
from keras_plm.data.rows.labels.discourse_relation_rows import discourse_relation
from keras_plm.data.rows.labels.sentence_distance_rows import sentence_distance
from keras_plm.data.rows.labels.sentence_reordering_rows import sentence_reordering
from keras_plm.data.rows.labels.token_document_rows import token_document
from keras_plm.data.rows.language_rows import language_stream
from keras_plm.data.rows.mixture_rows import DrawnParts, MixtureRows, PartsInStages
from keras_plm.data.rows.packed_rows import doc_sentences, full_sentences, packed
from keras_plm.data.rows.pair_rows import source_target, text_pair, translation_pair
from keras_plm.data.rows.planned_rows import PlannedRows
from keras_plm.data.rows.sentence_pair_rows import sentence_pair
from keras_plm.data.rows.two_way_rows import TwoWayRows
from keras_plm.data.rows.xlnet_rows import SegmentPairRows

# By the objective's attribute `rows`: plan(stream, room, rng, **settings), see `row_plan`.
ROW_PLANS = {
    "dialogue": dialogue,
    "discourse_relation": discourse_relation,
    "doc_sentences": doc_sentences,
    "full_sentences": full_sentences,
    "language_stream": language_stream,
    "packed": packed,
    "sentence_distance": sentence_distance,
    "sentence_pair": sentence_pair,
    "sentence_reordering": sentence_reordering,
    "source_target": source_target,
    "text_pair": text_pair,
    "token_document": token_document,
    "translation_pair": translation_pair,
}


def mixture_rows(request, parts, weights=None, stages=None):
    """Rows of several kinds, one of which makes each batch.

    Args:
        request: `RowRequest`.
        parts: pairs of what `make_rows` takes as `rows` and as `settings`. Equal ones share their
            rows.
        weights: positive numbers, how often the parts are drawn; "sizes": as often as the batches
            that a pass of each has.
        stages: instead of weights a table of counts, see `PartsInStages`. What is evaluated is a
            stage like the last.

    Returns:
        A `MixtureRows`.
    """
    builders = []
    for number, part in enumerate(parts):
        if part in parts[:number]:
            builders.append(builders[parts.index(part)])
        else:
            builders.append(make_rows(part[0], request, part[1]))
    if stages is not None:
        stages = stages if request.training else stages[-1:]
        return MixtureRows(builders, PartsInStages(stages, request.seed))
    if weights == "sizes":
        weights = [builder.steps_per_pass for builder in builders]
    return MixtureRows(builders, DrawnParts(weights, request.seed))


# Rows that no plan of a pass makes: builder(request, **settings) has `batch_size`,
# `steps_per_pass` and, called with (step, rows), returns a dict of arrays.
ROW_BUILDERS = {
    "mixture": mixture_rows,
    "segment_pair": SegmentPairRows,
    "sentence_stream": functools.partial(ContiguousRows, sentence_ends=True),
    "stream": ContiguousRows,
    "two_way_sentences": TwoWayRows,
}
READ_BOTH_WAYS = ("mixture", "segment_pair")


def make_rows(rows, request, settings):
    """Return what makes the rows of batch n.

    Args:
        rows: str, a key of `ROW_PLANS` or `ROW_BUILDERS`; or a plan of a user's own, see
            `row_plan`.
        request: `RowRequest`.
        settings: dict, what the plan or builder takes: the objective's `row_settings`.

    Returns:
        An object with `batch_size` and `steps_per_pass`, whose call with (step, rows) makes those
        rows of batch `step`, a dict of arrays.

    Raises:
        ValueError: there are no such rows, they are read from left to right only, or the corpus
            does not fit them.
    """
    known = sorted({**ROW_PLANS, **ROW_BUILDERS})
    if not callable(rows) and rows not in known:
        raise ValueError(
            f"No row builder is known for this objective; known are {known}, and a function of "
            f"your own is one, see keras_plm.data.row_plan. Received: objective.rows={rows!r}."
            f"{did_you_mean(rows, known)}"
        )
    if request.bidirectional and (callable(rows) or rows not in READ_BOTH_WAYS):
        raise ValueError(
            "These rows are read from left to right only. Received: "
            f"bidirectional={request.bidirectional}, rows={rows!r}"
        )
    if not callable(rows) and rows in ROW_BUILDERS:
        return ROW_BUILDERS[rows](request, **settings)
    return PlannedRows(request, rows if callable(rows) else ROW_PLANS[rows], **settings)
