"""Denoising of entities (ERNIE of Tsinghua): which of a batch's entities does a mention mean?

A literal example of a batch of 3 rows, which share K = 7 candidates, one of them unused. The number
of an entity stands at the first token of its mention; 0 is no entity.

    entities               0  4  0  2 | 0  3    0  5   | 0  1  0  0
    candidate_entity_ids   0  1  2  3  4  5  0
    drawn                     .50  .90    .03    .10        .70
    x["entity_ids"]        0  4  0  2 | 0  1..5 0  0   | 0  1  0  0      a replaced, a dropped one

    y["entities"]          0  4  0  2 | 0  3    0  5   | 0  1  0  0      their candidates, from 0
    sample_weight          0  1  0  1 | 0  1    0  1   | 0  1  0  0
"""

import logging
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, flag, integer, number
from keras_plm.objectives.objective import CONTIGUOUS, Objective, check_rows

logger = logging.getLogger("keras_plm")

_told = set()  # the objectives of which it was said that there are more entities than candidates


def candidate_entities(entity_ids, most):
    """List the entities of a batch, of which each mention is to be told.

    Args:
        entity_ids: (B, T) int, 0 where there is none, of all rows of the batch.
        most: int, K.

    Returns:
        (K,) int32: 0, the distinct entities ascending, and 0 where unused. Of more than K - 1
        entities those count that come first, row by row: rows are in random order, so none is
        preferred by its number. And an int, how many mentions have an entity that is left out.

    Source: ERNIE (arXiv:1905.07129), section 3.4, and the released `run_pretrain.py`, where the
    candidates are those of the batch of each device, however many there are.
    """
    mentions = entity_ids[entity_ids > 0]  # row by row
    distinct, first = np.unique(mentions, return_index=True)
    kept = np.sort(distinct[np.argsort(first)[: most - 1]])
    candidates = np.zeros(most, "int32")
    candidates[1 : 1 + len(kept)] = kept
    return candidates, int(np.count_nonzero(~np.isin(mentions, kept)))


def denoise_entities(entity_ids, candidates, uniform, replaced, dropped):
    """Corrupt the entities of mentions, and say which candidates they were.

    Args:
        entity_ids: (B, T) int, 0 where there is none.
        candidates: (K,) int, as `candidate_entities` lists them.
        uniform: (B, 2 T) float in [0, 1): for each token what is done, then with which entity.
        replaced: float, the share of the mentions that get a candidate drawn at random, which may
            be their own.
        dropped: float, the share that get none.

    Returns:
        entity_ids (B, T) int32, corrupted; labels (B, T) int32, the place of the original entity
        among the candidates; weights (B, T) float32, 1 at mentions, whatever became of them, 0
        elsewhere and where their entity is no candidate.
    """
    known = candidates[1 : 1 + np.count_nonzero(candidates)]  # ascending
    action, which = np.split(uniform, 2, axis=1)  # (B, T) each
    is_mention = entity_ids > 0
    place = np.searchsorted(known, entity_ids)  # (B, T)
    is_known = is_mention & (np.append(known, 0)[place] == entity_ids)
    drawn = np.append(known, 0)[(which * len(known)).astype("int64")]
    noisy = np.where(is_mention & (action < replaced), drawn, entity_ids)
    noisy[(action >= replaced) & (action < replaced + dropped)] = 0
    labels = np.where(is_known, place + 1, 0)
    return noisy.astype("int32"), labels.astype("int32"), is_known.astype("float32")


@dataclass(frozen=True)
class EntityDenoising(Objective):
    """Tells for each mention which entity it means, among those of the batch (dEA).

    Of the mentions 5 % get another entity, and 15 % none; all are asked for. Tokens are not
    hidden: in an `ObjectiveSum` with `MaskedModeling` and `SentencePair` on the same rows each
    draws for itself. The corpus has the entities as a column, see `Corpus.build(annotate=...)`
    and `build_entity_corpus`; the backbone reads `entity_ids`.

    All rows of a batch share the candidates, so an example depends on its mates, as in no other
    objective. They are made of the whole batch before it is sliced into shards, so that all shards
    together are that batch. Mentions of entities that are no candidates, since there are more than
    K - 1 in the batch, have weight 0; how many is said once in the log "keras_plm". A batch
    without entities has weight 0.

    Args:
        num_candidates: K, the entities of a batch, and one more for none. About as many as a batch
            has mentions.
        sequence_length: T, tokens per row.
        replaced: share of the mentions that get an entity of the batch at random.
        dropped: share of the mentions that get none.
        min_entities: rows with fewer mentions are left out; 0: none is. Rows that go on from batch
            to batch cannot be left out.
        rows: the row builder, or a plan of a user's own.
        segments: whether `segment_ids` is a feature.

    Raises:
        ValueError: a setting is out of range, or `replaced` and `dropped` are more than 1 together,
            or rows that go on are to be left out.

    Source: ERNIE (Zhang et al., 2019, arXiv:1905.07129), section 3.4, and the released
    `create_instances.py` (5 mentions per row) and `run_pretrain.py` (the candidates).
    """

    hides = False
    whole_batch = True
    columns = ("entities",)
    target_axes = {"entities": "BT"}

    num_candidates: integer(2)
    sequence_length: integer(1) = 512
    replaced: number(0, 1) = 0.05
    dropped: number(0, 1) = 0.15
    min_entities: integer(0) = 5
    rows: str = "sentence_pair"
    segments: flag() = True

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.rows)
        if self.replaced + self.dropped > 1:
            raise ValueError(
                "A mention is replaced or dropped, so that both shares are at most 1 together. "
                f"Received: replaced={self.replaced}, dropped={self.dropped}"
            )
        if self.min_entities and self.rows in (*CONTIGUOUS, "segment_pair"):
            raise ValueError(
                "Rows that go on from batch to batch cannot be left out: set min_entities=0. "
                f"Received: min_entities={self.min_entities}, rows={self.rows!r}"
            )

    @property
    def feature_names(self):
        """The keys of `x`."""
        segments = ["segment_ids"] if self.segments else []
        return ("token_ids", "padding_mask", *segments, "entity_ids", "candidate_entity_ids")

    @property
    def draws_per_row(self):
        """Two for each token."""
        return 2 * self.sequence_length

    @property
    def row_settings(self):
        """The keyword arguments of the row builder."""
        least = {"min_entities": self.min_entities} if self.min_entities else {}
        return {"sequence_length": self.sequence_length, **least}

    def heads(self, backbone):
        """Returns the head that compares tokens with the vectors of the candidates.

        Raises:
            ValueError: the backbone reads no entities.
        """
        if "entities" not in backbone.reads:
            raise ValueError(
                "EntityDenoising needs a backbone that reads entities, such as KnowledgeBackbone. "
                f"Received: {type(backbone).__name__}, which reads {sorted(backbone.reads)}"
            )
        from keras_plm.heads import EntityHead

        head = EntityHead(
            backbone.entity_table,
            activation=backbone.activation,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=backbone.kernel_initializer(),
            name="entities",
        )
        return {"entities": head}

    def of_batch(self, batch):
        """Lists the candidates.

        Args:
            batch: dict of entities (B, T), those of all rows.

        Returns:
            dict of candidate_entity_ids (K,) int32.

        Raises:
            ValueError: the rows have no entities.
        """
        candidates, left_out = candidate_entities(self._entities(batch), self.num_candidates)
        if left_out and self not in _told:
            _told.add(self)
            logger.warning(
                "A batch has %s entities or more, and num_candidates=%s with that for none: %s of "
                "its %s mentions are not asked for. Raise num_candidates, or lower the batch size. "
                "This is said once.",
                self.num_candidates,
                self.num_candidates,
                left_out,
                np.count_nonzero(batch["entities"]),
            )
        return {"candidate_entity_ids": candidates}

    def __call__(self, batch, rng):
        """Corrupts the entities.

        Args:
            batch: dict of token_ids, segment_ids, entities (B, T) int; padding_mask (B, T) bool;
                candidate_entity_ids (K,) int32, what `of_batch` made of the whole batch.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids, padding_mask and, by the settings, segment_ids, as they were;
                entity_ids (B, T) int32; candidate_entity_ids (B, K) int32, the same in every row.
            y: {"entities": (B, T) int32}, places among the candidates, 0 where not asked.
            sample_weight: {"entities": (B, T) float32}, 0 where not asked.

        Raises:
            ValueError: the rows have no entities or another length, or there are no candidates.
        """
        entity_ids = self._entities(batch)
        given = self.feature_names[:-2]
        check_arrays("EntityDenoising", batch, dict.fromkeys(given, (self.sequence_length,)))
        candidates = np.asarray(batch.get("candidate_entity_ids", ()))
        if candidates.shape != (self.num_candidates,):
            raise ValueError(
                f"EntityDenoising needs candidate_entity_ids of the shape ({self.num_candidates},) "
                f"as `of_batch` makes them of the whole batch. Received: {candidates.shape}. Make "
                "the batches with keras_plm.data.examples."
            )
        uniform = rng.random((len(entity_ids), self.draws_per_row))
        noisy, labels, weights = denoise_entities(
            entity_ids, candidates, uniform, self.replaced, self.dropped
        )
        x = {name: batch[name] for name in given}
        x["entity_ids"] = noisy
        x["candidate_entity_ids"] = np.tile(candidates, (len(noisy), 1)).astype("int32")
        return x, {"entities": labels}, {"entities": weights}

    def _entities(self, batch):
        """The entities of rows."""
        if "entities" not in batch:
            raise ValueError(
                "EntityDenoising needs rows with entities: build the corpus with "
                'annotate={"entities": linker}, such as a keras_plm.data.DictionaryLinker, or with '
                f"keras_plm.data.build_entity_corpus. Received: rows of {sorted(batch)}"
            )
        check_arrays("EntityDenoising", batch, {"entities": (self.sequence_length,)})
        return np.asarray(batch["entities"])
