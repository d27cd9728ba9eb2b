"""Objectives that let a masked one select and corrupt, and say themselves who sees whom.

A literal example: the settings of the masking stand beside the objective's own.

    PrefixModeling.for_tokenizer(tokenizer, pattern="left_to_right", sequence_length=128)
        == PrefixModeling(MaskedModeling.for_tokenizer(tokenizer, sequence_length=128),
                          pattern="left_to_right")
"""

from abc import ABC
from dataclasses import dataclass

from keras_plm.checks import check_names, constructor_arguments
from keras_plm.objectives.masked_modeling import MaskedModeling
from keras_plm.objectives.objective import Objective


@dataclass(frozen=True)
class MaskingObjective(Objective, ABC):
    """Base of the objectives that build on `MaskedModeling`: what they have of it.

    Args:
        masking: `MaskedModeling` without languages and positions: the rows, which of their tokens
            are targets, what these become, and the head.

    Raises:
        ValueError: it is not.
    """

    masking: MaskedModeling

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.masking, MaskedModeling):
            raise ValueError(
                f"{type(self).__name__} takes a MaskedModeling, which selects the targets. "
                f"Received: masking={self.masking!r}"
            )
        if self.masking.languages or self.masking.positions:
            raise ValueError(
                f"{type(self).__name__} takes neither languages nor positions from the rows. "
                f"Received: languages={self.masking.languages}, "
                f"positions={self.masking.positions}"
            )

    @classmethod
    def for_tokenizer(cls, tokenizer, **settings):
        """Makes the objective with a tokenizer's vocabulary, mask and special tokens.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.
            settings: those of the objective and those of `MaskedModeling`, by name.

        Raises:
            ValueError: the tokenizer has no mask, or a setting is out of range.
        """
        mine, its = constructor_arguments(cls), constructor_arguments(MaskedModeling)
        check_names(cls.__name__, settings, {*mine, *its})
        own = {name: settings.pop(name) for name in mine.keys() & settings.keys()}
        return cls(MaskedModeling.for_tokenizer(tokenizer, **settings), **own)

    @property
    def rows(self):
        """The row builder of the masking."""
        return self.masking.rows

    @property
    def row_settings(self):
        """Those of the masking."""
        return self.masking.row_settings

    @property
    def sequence_length(self):
        """T, tokens per row."""
        return self.masking.sequence_length

    @property
    def num_predict(self):
        """P, targets per row."""
        return self.masking.num_predict

    @property
    def static_passes(self):
        """That of the masking."""
        return self.masking.static_passes

    @property
    def samples_per_row(self):
        """That of the masking."""
        return self.masking.samples_per_row

    def heads(self, backbone):
        """Returns the masked language model's head."""
        return self.masking.heads(backbone)
