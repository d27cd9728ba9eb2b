"""A language model for each direction (ELMo): every word from those before, and those behind it.

A literal example: one row of T = 4 of the sentences `the cat sat` and `it slept`. Each direction
has rows of its own, in the order in which it reads:

    position                    0     1    2    3
    words of character_ids      <S>   the  cat  sat
    y["forward"]                the   cat  sat  </S>
    words of backward_...       </S>  sat  cat  the
    y["backward"]               sat   cat  the  <S>

Both go on with the other sentence in the next batch, each from its own state.
"""

from dataclasses import dataclass

from keras_plm.checks import check_arrays, integer
from keras_plm.features import WORD_LENGTH
from keras_plm.objectives.objective import Objective


@dataclass(frozen=True)
class TwoWayModeling(Objective):
    """Asks for every word of sentences twice, of two language models that share their softmax.

    The loss is the mean of both directions. For a backbone that has one output for each, such as
    `ELMoBackbone`; words are read by their characters, those out of the vocabulary as well.

    Args:
        sequence_length: T, words per row, from which the gradient goes back; the state goes on.
        num_sampled: how many words, drawn for each batch, stand for the vocabulary in the softmax
            of training; 0: all of it does. In evaluation it always does.

    Raises:
        ValueError: a setting is out of range.

    Source: ELMo, arXiv:1802.05365, sections 3.1 and 3.4; the released bilm-tf (`training.py`,
    `bin/train_elmo.py`: rows of 20, a sample of 8,192).
    """

    sequence_length: integer(1) = 20
    num_sampled: integer(0) = 0

    # Without annotations: these are no settings.
    rows = "two_way_sentences"
    characters = True
    target_axes = {"forward": "BT", "backward": "BT"}

    @property
    def feature_names(self):
        """The keys of `x`."""
        return "token_ids", "padding_mask", "character_ids", "backward_character_ids", "fresh"

    @property
    def draws_per_row(self):
        """None: nothing is drawn."""
        return 0

    def heads(self, backbone):
        """Returns a head for each direction, over one table.

        Raises:
            ValueError: the backbone is no pair of language models.
        """
        from keras_plm.heads import SampledSoftmaxHead, SoftmaxTable
        from keras_plm.layers.float_policy import float_policy

        if "both_ways" not in backbone.reads:
            raise ValueError(
                "TwoWayModeling predicts by a language model for each direction: use a backbone "
                f"that has them, ELMoBackbone. Received: {type(backbone).__name__}"
            )
        policy = float_policy(backbone.dtype_policy)
        width = backbone.hidden_dim // 2
        softmax = SoftmaxTable(backbone.vocabulary_size, width, dtype=policy, name="softmax")
        return {
            name: SampledSoftmaxHead(softmax, self.num_sampled, f"{name}_output", 0.5, name=name)
            for name in self.target_axes
        }

    def __call__(self, batch, rng):
        """Hands the words and the targets of each row on.

        Args:
            batch: dict of token_ids, forward_targets, backward_targets (B, T) int32; padding_mask
                (B, T) bool; character_ids, backward_character_ids (B, T, 50) int32; fresh (B,)
                bool.
            rng: not used.

        Returns:
            x: dict of token_ids, padding_mask (B, T), character_ids, backward_character_ids
                (B, T, 50), fresh (B,).
            y: {"forward": (B, T) int32, "backward": (B, T) int32}.
            sample_weight: of the same shapes, float32, 0 where there is padding.

        Raises:
            ValueError: missing arrays or wrong shapes.
        """
        words = ("token_ids", "padding_mask", "forward_targets", "backward_targets")
        shapes = {name: (self.sequence_length,) for name in words}
        for name in ("character_ids", "backward_character_ids"):
            shapes[name] = (self.sequence_length, WORD_LENGTH)
        check_arrays("TwoWayModeling", batch, {**shapes, "fresh": ()})
        weight = batch["padding_mask"].astype("float32")
        return (
            {name: batch[name] for name in self.feature_names},
            {name: batch[f"{name}_targets"] for name in self.target_axes},
            dict.fromkeys(self.target_axes, weight),
        )
