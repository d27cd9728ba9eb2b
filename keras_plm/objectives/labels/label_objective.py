"""Labels that the rows bring along: one for each pair of texts, or one for each token.

A literal example: whether a word has a capital in the text, which a lower-cased model does not see.
`capitals` is a column of the corpus, 0 or 1; special tokens and padding are not asked.

    token             CLS  the  queen  of  paris  SEP  padding
    capitals          0    0    0      0  1      0    0

    y["capitals"]     0    0    0      0  1      0    0
    sample_weight     0    1    1      1  1      0    0

The whole task, whose rows may be those of any other objective in an `ObjectiveSum`:

    @dataclass(frozen=True)
    class Capitals(TokenLabel):
        label = "capitals"
        classes = ("lower case", "with a capital")
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, integer
from keras_plm.objectives.objective import Objective, check_rows


@dataclass(frozen=True)
class LabelObjective(Objective, ABC):
    """Base of `PairLabel` and `TokenLabel`: hides nothing, and hands a label on.

    Args:
        sequence_length: T, tokens per row.

    Attributes:
        label: str. The array of the rows that holds it, and the name of the head.
        classes: tuple of str, what the labels 0, 1, ... mean.
        head: str. The class of `keras_plm.heads` that predicts it; or a `Head` of a user's own.
            It takes `num_classes`.
    """

    hides = False

    sequence_length: integer(1) = 512

    @property
    @abstractmethod
    def label(self):
        """The name of the label."""

    @property
    @abstractmethod
    def classes(self):
        """What the labels 0, 1, ... mean."""

    @property
    def draws_per_row(self):
        """None: the rows bring the labels."""
        return 0

    @property
    def head_settings(self):
        """How many classes there are."""
        return {self.label: len(self.classes)}

    def heads(self, backbone):
        """Returns the head that predicts the label."""
        from keras_plm import heads
        from keras_plm.layers.float_policy import float_policy

        kind = getattr(heads, self.head) if isinstance(self.head, str) else self.head
        head = kind(
            num_classes=len(self.classes),
            kernel_initializer=backbone.kernel_initializer(),
            dtype=float_policy(backbone.dtype_policy),
            name=self.label,
        )
        return {self.label: head}

    def _labels(self, batch, what, axes, least):
        """The features, and the labels as int32, from `least` on."""
        row = (self.sequence_length,)
        shapes = {name: row for name in self.feature_names}
        check_arrays(what, batch, {**shapes, self.label: row[: len(axes) - 1]})
        labels = np.asarray(batch[self.label]).astype("int32")
        if labels.min(initial=0) < least or labels.max(initial=0) >= len(self.classes):
            known = [f"{number} ({meaning})" for number, meaning in enumerate(self.classes)]
            raise ValueError(
                f"{self.label} must be {', '.join(known[:-1])} or {known[-1]}. Received: "
                f"{np.unique(labels).tolist()}"
            )
        return {name: batch[name] for name in self.feature_names}, labels


@dataclass(frozen=True)
class PairLabel(LabelObjective, ABC):
    """Base of what is asked about the texts of a row: next sentence, order, distance, relation.

    A subclass says `label`, `classes` and the `rows` that bring them; the backbone needs a pooler.
    """

    head = "SentencePairHead"

    @property
    def feature_names(self):
        """The keys of `x`."""
        return ("token_ids", "padding_mask", "segment_ids")

    @property
    def target_axes(self):
        """One label per row."""
        return {self.label: "B"}

    def heads(self, backbone):
        """Returns the head over the backbone's pooled output.

        Raises:
            ValueError: the backbone has no pooler.
        """
        if "pooler" not in backbone.reads:
            raise ValueError(
                f"{type(self).__name__} reads the pooled output, and the backbone has no pooler. "
                f"Make it with pooler=True. Received: {type(backbone).__name__} with pooler=False"
            )
        return super().heads(backbone)

    def __call__(self, batch, rng):
        """Hands on the rows and the label.

        Args:
            batch: dict of token_ids, segment_ids (B, T) int32; padding_mask (B, T) bool; the
                label (B,) int32.
            rng: not used.

        Returns:
            x: dict of token_ids, padding_mask, segment_ids (B, T).
            y: dict of the label (B,) int32.
            sample_weight: dict of (B,) float32, all 1.

        Raises:
            ValueError: the rows have no such label or another length.
        """
        what = f"{type(self).__name__}, whose rows are pairs,"
        x, labels = self._labels(batch, what, "B", least=0)
        return x, {self.label: labels}, {self.label: np.ones(len(labels), "float32")}


@dataclass(frozen=True)
class TokenLabel(LabelObjective, ABC):
    """Base of what is asked about each token; the module's docstring shows one.

    A subclass says `label` and `classes`. Labels of -1 are not asked.

    Args:
        rows: the row builder, or a plan of a user's own.
        segments: whether `segment_ids` is a feature.
    """

    head = "TokenHead"

    rows: str = "full_sentences"
    segments: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.rows)

    @property
    def target_axes(self):
        """One label per token."""
        return {self.label: "BT"}

    @property
    def feature_names(self):
        """The keys of `x`."""
        return ("token_ids", "padding_mask", *(["segment_ids"] if self.segments else []))

    def __call__(self, batch, rng):
        """Hands on the rows and the labels.

        Args:
            batch: dict of token_ids (B, T) int32; padding_mask, functional (B, T) bool; the
                labels (B, T).
            rng: not used.

        Returns:
            x: dict of token_ids, padding_mask and, by the settings, segment_ids (B, T).
            y: dict of the labels (B, T) int32, 0 where not asked.
            sample_weight: dict of (B, T) float32, 0 where not asked.

        Raises:
            ValueError: the rows have no such labels or another length.
        """
        what = type(self).__name__
        check_arrays(what, batch, {"functional": (self.sequence_length,)})
        x, labels = self._labels(batch, what, "BT", least=-1)
        asked = batch["padding_mask"] & ~batch["functional"] & (labels >= 0)
        labels = np.where(asked, labels, 0).astype("int32")
        return x, {self.label: labels}, {self.label: asked.astype("float32")}
