"""Causal language modelling (GPT-1, 2, 3, XLM's CLM): every token is predicted from those before.

A literal example: one row of 7 tokens of two documents. The separator is functional: it is the
last token that its document predicts, and the first that the next document sees.

    position          0    1    2     3     4      5       6
    token             the  cat  sat   <eod> dogs   barked  padding
    order             0    1    2     3     4      5       0
    until             3    3    3     7     7      7       7

    target_positions  0    1    2     3     4      5
    y["tokens"]       cat  sat  <eod> dogs  barked 0
    sample_weight     1    1    1     1     1      0

"barked" is predicted from the row of "dogs", which sees <eod> and itself. Without
`documents_apart` there is neither `order` nor `until`: that row sees the, cat and sat as well.

Of `rows="stream"` and "sentence_stream", which go on from batch to batch, the last token has a
target as well: the first of the next batch's row. `fresh` says which rows begin, for backbones that
carry a state.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import ascending, check_arrays, flag, integer, number
from keras_plm.features import WORD_LENGTH
from keras_plm.objectives.languages import (
    check_languages,
    language_row_settings,
)
from keras_plm.objectives.objective import Objective, check_rows
from keras_plm.objectives.variable_lengths import lengths_of_batches


def document_ends(begins):
    """Says for every token where its document ends, as `until` has it.

    Args:
        begins: (B, T) bool, True at the first token of each document; what stands before the
            first of a row is a document, too.

    Returns:
        (B, T) int32: the position behind the document's last token, T for the last document.
    """
    length = begins.shape[1]
    following = np.full(begins.shape, length, "int32")  # where a document begins behind the token
    following[:, :-1] = np.where(begins[:, 1:], np.arange(1, length), length)
    return np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1]


@dataclass(frozen=True)
class CausalModeling(Objective):
    """Asks for every token but the first of a text; the module's docstring shows one row.

    The backbone must be causal, or `documents_apart` make its rows so. Positions are counted
    through the whole row, whatever documents it holds.

    At a separator (any functional token within a row): it is a target of the document before it,
    which so learns to end; with `documents_apart` it stands at the head of the document behind it,
    so that a first token is predicted from the separator alone, as generation begins with it.
    GPT-2 and GPT-3 do not keep documents apart: "sequences with multiple documents are not masked
    in any special way", the separator says that what is before it does not matter.

    Args:
        sequence_length: T, tokens per row; P = T - 1 of them are predicted, of "stream" rows P = T.
        rows: the row builder or a user's own plan, of single texts if `documents_apart`; "stream"
            for a backbone that carries a state, which then goes on through the ends of documents;
            "sentence_stream": the same with a separator behind every sentence, which are lines in
            a corpus of `split_sentences=None` (Transformer-XL).
        documents_apart: whether tokens see none of another document in their row. A recurrent
            backbone, which takes no `order`, needs False.
        output_bias: whether each token of the vocabulary has a bias (XLM), or not (GPT).
        languages: whether `language_ids` is a feature.
        characters: whether `character_ids` is a feature, see `keras_plm.features`.
        language_exponent: how the rows of "language_stream" draw languages, see there; None
            leaves it to them.
        cutoffs: the first ids of the clusters of an adaptive softmax behind the first, for a large
            vocabulary whose ids are by frequency: training computes the rare ones where they are
            targets alone. (): the softmax that the backbone has by itself.
        variable_length: whether the rows of "stream" and "sentence_stream" have in training one of
            six lengths about T, another one from batch to batch, as the seed and the number of the
            batch say; see `keras_plm.objectives.variable_lengths`. A batch of n tokens per row
            is learned from at n / T of the learning rate. Evaluation has T throughout.
        backward: whether these rows hold every document, or sentence, from its last token to its
            first, each before its separator as ever: a model then predicts each token from those
            behind it in the text.

    Raises:
        ValueError: a setting is out of range, or the rows do not go on from batch to batch where
            they must.

    Source: GPT (Radford et al. 2018), section 3.1; GPT-2 (Radford et al. 2019), section 2; GPT-3
    (arXiv:2005.14165), appendix B, which is cited above; XLM (arXiv:1901.07291), section 3.2.
    Variable lengths: AWD-LSTM (arXiv:1708.02182), section 4.1; backward: ULMFiT
    (arXiv:1801.06146), section 3.4.
    """

    sequence_length: integer(2) = 512  # a token, and one that is predicted from it
    rows: str = "packed"
    documents_apart: flag() = True
    output_bias: flag() = False
    languages: flag() = False
    language_exponent: number(0, 1, none=True) = None
    characters: flag() = False
    cutoffs: ascending() = ()
    variable_length: flag() = False
    backward: flag() = False

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.rows)
        if (self.variable_length or self.backward) and not self.contiguous:
            raise ValueError(
                "variable_length and backward are for rows that go on from batch to batch: use "
                f'rows="stream" or "sentence_stream". Received: rows={self.rows!r}, '
                f"variable_length={self.variable_length}, backward={self.backward}"
            )

    @property
    def num_predict(self):
        """P, targets per row."""
        return self.sequence_length - (not self.contiguous)

    @property
    def feature_names(self):
        """The keys of `x`."""
        names = ("token_ids", "padding_mask", "target_positions")
        names += ("order", "until") if self.documents_apart else ()
        names += ("fresh",) if self.contiguous else ()
        names += ("character_ids",) if self.characters else ()
        return names + (("language_ids",) if self.languages else ())

    @property
    def row_settings(self):
        """The length of the rows, and what else of them is not as by default."""
        settings = language_row_settings(self)
        for name in ("variable_length", "backward"):
            settings |= {name: True} if getattr(self, name) else {}
        return settings

    @property
    def draws_per_row(self):
        """None: nothing is drawn."""
        return 0

    def heads(self, backbone):
        """Returns the language model's head: the rows times the token embedding.

        Raises:
            ValueError: the backbone is not causal, and without `order` a row would see its target;
                or its target rows are queries, which do not see their own token.
        """
        if "queries" in backbone.reads:
            raise ValueError(
                "CausalModeling predicts each token from the row of the one before. The target "
                "rows of this backbone are queries, which do not see their own token: use "
                f"PermutationModeling. Received: {type(backbone).__name__}"
            )
        if not self.documents_apart and "causal" not in backbone.reads:
            raise ValueError(
                "CausalModeling(documents_apart=False) leaves it to the backbone that no token "
                "sees one to its right. Make it with causal=True, or set documents_apart=True. "
                f"Received: {type(backbone).__name__} with causal=False"
            )
        return {"tokens": backbone.lm_head(self.cutoffs, use_bias=self.output_bias)}

    def _length_of(self, batch):
        """The tokens of each row of a batch: T, or one of the lengths that vary."""
        length = np.shape(batch.get("token_ids", ()))[1:]
        if self.variable_length and set(length) <= set(lengths_of_batches(self.sequence_length)):
            return length[0] if length else self.sequence_length
        return self.sequence_length

    def __call__(self, batch, rng):
        """Lists the targets of each row.

        Args:
            batch: dict of token_ids (B, T) int32; padding_mask (B, T) bool; functional (B, T)
                bool if `documents_apart`; language_ids (B, T) int32 if `languages`; character_ids
                (B, T, 50) int32 if `characters`; of rows that go on next_token_ids (B,) int32 and
                fresh (B,) bool.
            rng: not used.

        Returns:
            x: dict of token_ids, padding_mask (B, T), target_positions (B, P), which is 0 to
                P - 1, and, by the settings, order, until, language_ids (B, T), character_ids (B,
                T, 50), fresh (B,).
            y: {"tokens": (B, P) int32}, the token behind each position, 0 where that is padding.
                With `variable_length` T and P are those of the batch.
            sample_weight: {"tokens": (B, P) float32}, 0 where one of the two is padding.

        Raises:
            ValueError: missing arrays or wrong shapes.
        """
        names = ["token_ids", "padding_mask"]
        names += ["functional"] if self.documents_apart else []
        length = self._length_of(batch)
        shapes = {name: (length,) for name in names}
        shapes |= {"next_token_ids": (), "fresh": ()} if self.contiguous else {}
        if self.characters:
            shapes["character_ids"] = (length, WORD_LENGTH)
        check_arrays("CausalModeling", batch, shapes)
        if self.languages:
            check_languages("CausalModeling", batch, length)
        token_ids, real = batch["token_ids"], batch["padding_mask"]
        following, is_real = token_ids[:, 1:], real[:, 1:]
        if self.contiguous:
            behind = np.asarray(batch["next_token_ids"])[:, None]  # (B, 1)
            following = np.concatenate([following, behind], axis=1)
            is_real = np.concatenate([is_real, real[:, -1:]], axis=1)
        counts = is_real & real[:, : following.shape[1]]  # (B, P)
        positions = np.arange(following.shape[1], dtype="int32")
        x = {
            "token_ids": token_ids,
            "padding_mask": real,
            "target_positions": np.tile(positions, (len(token_ids), 1)),
        }
        if self.documents_apart:
            x["order"] = np.where(real, np.arange(length, dtype="int32"), 0)
            x["until"] = document_ends(batch["functional"] & real)
        if self.languages:
            x["language_ids"] = batch["language_ids"]
        if self.contiguous:
            x["fresh"] = batch["fresh"]
        if self.characters:
            x["character_ids"] = batch["character_ids"]
        y = np.where(counts, following, 0).astype("int32")
        return x, {"tokens": y}, {"tokens": counts.astype("float32")}
