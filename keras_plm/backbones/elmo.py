"""ELMo: words from their characters, and two stacks of LSTMs, one for each direction."""

import keras
from keras import ops

from keras_plm.backbones.backbone import Backbone, check_sizes
from keras_plm.checks import (
    check_arguments,
    check_names,
    constructor_arguments,
    flag,
    integer,
    number,
    text,
)
from keras_plm.features import WORD_LENGTH
from keras_plm.layers import CharacterCNN, ProjectedLSTM, ReplayableDropout
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.recurrent.character_cnn import FILTERS
from keras_plm.ops import gather_rows, real_tokens

_FEATURES = (
    "character_ids",
    "backward_character_ids",
    "token_ids",
    "padding_mask",
    "target_positions",
    "state",
)
DIRECTIONS = ("forward", "backward")


@keras.saving.register_keras_serializable(package="keras_plm")
class ELMoBackbone(Backbone):
    """ELMo: a forward and a backward language model over words, which are read by their bytes.

    The two stacks see nothing of each other: the state of a token has the forward one's in its
    first half, of all up to the token, and the backward one's in its second, of all from it on.

    Without a `state` every text stands for itself: the same text always has the same vectors. The
    released code, which trained over a running text, carries the state from batch to batch even
    in use; so does `encode`, if it is given the `state` that it returned for the batch before.

    Args:
        vocabulary_size: int. The vocabulary size V of the words that are predicted in pretraining;
            none of the backbone's weights depends on it, and `token_ids` are not read.
        num_layers: int. The LSTMs L of each direction.
        projection_dim: int. The width P of words, and of the output of each LSTM.
        lstm_dim: int. The width C of the cells.
        filters: tuple of pairs: width and number of the filters of `CharacterCNN`.
        character_dim: int. The width of a character's vector.
        num_highways: int. The highways behind the filters.
        activation: str. That of the filters, "relu" or "tanh".
        cell_clip: float or None. The largest absolute value of a cell.
        projection_clip: float or None. The largest absolute value of the output of an LSTM.
        skip_connections: bool. Whether every LSTM but the first adds its input to its output.
        dropout: float. Dropout rate of the input of every LSTM, and of what heads predict from.
        dtype: str or `keras.DTypePolicy`.

    Raises:
        ValueError: if a size is no integer or below 1, or a setting is out of range.

    Example:
    ```python
    from keras_plm.backbones import ELMoBackbone
    from keras_plm.tokenizers.words.character_ids import character_ids

    sizes = dict(num_layers=2, projection_dim=4, lstm_dim=8, filters=((1, 3), (2, 5)))
    backbone = ELMoBackbone(vocabulary_size=100, **sizes)
    words = character_ids(["<S>", "The", "cat", "</S>"])[None]
    encoded = backbone.encode({"character_ids": words})
    assert tuple(encoded["sequence_output"].shape) == (1, 4, 8)
    assert len(encoded["hidden_states"]) == 3  # words, first and second layer
    ```

    Source: Peters et al., arXiv:1802.05365; the released bilm-tf (`training.py`, `model.py`).
    """

    @check_arguments
    def __init__(
        self,
        vocabulary_size,
        num_layers,
        projection_dim,
        lstm_dim,
        filters=FILTERS,
        character_dim=16,
        num_highways: integer(0) = 2,
        activation: text() = "relu",
        cell_clip: number(above=0, none=True) = 3.0,
        projection_clip: number(above=0, none=True) = 3.0,
        skip_connections: flag() = True,
        dropout: number(0, 1) = 0.1,
        dtype=None,
        **kwargs,
    ):
        sizes = {
            "vocabulary_size": vocabulary_size,
            "num_layers": num_layers,
            "projection_dim": projection_dim,
            "lstm_dim": lstm_dim,
            "character_dim": character_dim,
        }
        check_sizes(**sizes)
        for name, value in sizes.items():
            setattr(self, name, value)
        self.skip_connections = skip_connections

        # === Layers ===
        self.character_cnn = CharacterCNN(
            projection_dim,
            filters,
            character_dim,
            num_highways,
            activation,
            dtype=dtype,
            name="character_cnn",
        )
        self.blocks, self.block_dropouts, self.output_dropouts = {}, {}, {}
        for direction in DIRECTIONS:
            self.blocks[direction] = [
                ProjectedLSTM(
                    lstm_dim,
                    projection_dim,
                    cell_clip,
                    projection_clip,
                    dtype=dtype,
                    name=f"{direction}_lstm_{index}",
                )
                for index in range(num_layers)
            ]
            dropouts = [
                ReplayableDropout(dropout, dtype=dtype, name=f"{direction}_dropout_{index}")
                for index in range(num_layers + 1)
            ]
            self.block_dropouts[direction] = dropouts[:-1]
            self.output_dropouts[direction] = dropouts[-1]

        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "character_ids": keras.Input((None, WORD_LENGTH), dtype="int32", name="character_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.filters = [list(one) for one in self.character_cnn.filters]
        self.num_highways = num_highways
        self.activation = activation
        self.cell_clip = cell_clip
        self.projection_clip = projection_clip
        self.dropout = dropout

    @property
    def reads(self):
        """Those of every backbone, and "both_ways": each direction has an output of its own."""
        return super().reads | {"both_ways"}

    def lm_head(self, *args, **kwargs):
        """Refuse: there is no table of tokens, and no token state that has not seen its token."""
        raise ValueError(
            "ELMo predicts words by the two heads of its objective, TwoWayModeling, in a "
            f"Pretrainer, and has no head over a vocabulary besides. Received: {self.name!r}."
        )

    @property
    def hidden_dim(self):
        """The width D of a token's state: both directions."""
        return 2 * self.projection_dim

    def encode(self, features):
        """Run the forward pass over words.

        Args:
            features: dict of str to tensor: `character_ids`, and any of `padding_mask`, on
                whatever side (words of zeros are padding besides), `target_positions`, `state`, as
                `state_spec` says, and `token_ids`, which are not read. With
                `backward_character_ids` the backward stack reads these as they stand, another
                text of which the order is reversed already, as in pretraining.

        Returns:
            dict, see `Backbone.encode`, in which padding is 0; the first of the `hidden_states`
            are the words, twice. And `forward_output` and `backward_output`, (B, T, P), behind
            dropout, which predict the next word and the one before: the latter in the order in
            which it was read, where `backward_character_ids` are given, and then the halves of
            the other outputs do not belong together.

        Raises:
            ValueError: for a feature that ELMo does not take, or for a state of another form or
                batch size.
        """
        check_names(type(self).__name__, features, _FEATURES, "features")
        if "character_ids" not in features:
            raise ValueError(
                f"{type(self).__name__} needs `character_ids`. Received only: {sorted(features)}."
            )
        words, real = self._words(features["character_ids"], features.get("padding_mask"))
        back, back_real = _reversed(words), _reversed(real)
        own_order = "backward_character_ids" in features
        if own_order:
            back, back_real = self._words(features["backward_character_ids"])
        states = self._states(features.get("state"))
        forward, state = self._stack("forward", words, real, states["forward"])
        backward, back_state = self._stack("backward", back, back_real, states["backward"])
        outputs = {
            f"{name}_output": self.output_dropouts[name](layers[-1])
            for name, layers in (("forward", forward), ("backward", backward))
        }
        if not own_order:
            backward = [_reversed(rows) for rows in backward]
            outputs["backward_output"] = _reversed(outputs["backward_output"])
        hidden_states = [ops.concatenate(pair, axis=-1) for pair in zip(forward, backward)]
        encoded = {
            "sequence_output": hidden_states[-1],  # (B, T, 2P)
            "hidden_states": hidden_states,
            **outputs,
            "state": {"forward": state, "backward": back_state},
        }
        if "target_positions" in features:
            encoded["target_output"] = gather_rows(hidden_states[-1], features["target_positions"])
        return encoded

    def _words(self, character_ids, padding_mask=None):
        """Words (B, T, P), 0 where they are padding, and which are not, bool (B, T)."""
        real = real_tokens(ops.any(character_ids > 0, axis=-1), padding_mask)
        words = self.character_cnn(character_ids)
        return words * ops.cast(real, words.dtype)[..., None], real

    def _stack(self, direction, content, real, states):
        """The layers (B, T, P) of a direction, in the order in which it reads; its new state."""
        layers, new = [content], {"hidden": [], "cell": []}
        pairs = zip(self.blocks[direction], self.block_dropouts[direction], states)
        for index, (block, dropout, state) in enumerate(pairs):
            content = dropout(content)
            rows, hidden, cell = block(content, state=state, padding_mask=real)
            content = rows + content if self.skip_connections and index else rows
            layers.append(content)
            new["hidden"].append(hidden)
            new["cell"].append(cell)
        return layers, new

    def _states(self, state):
        """For each direction a list of L pairs of hidden state and cell, or of None."""
        if not state:
            return dict.fromkeys(DIRECTIONS, [None] * self.num_layers)
        try:
            pairs = {
                name: list(zip(state[name]["hidden"], state[name]["cell"], strict=True))
                for name in DIRECTIONS
            }
        except (KeyError, TypeError, ValueError):
            pairs = {}
        if {*map(len, pairs.values())} != {self.num_layers}:
            raise ValueError(
                "`state` must have 'forward' and 'backward', each with 'hidden' and 'cell', lists "
                f"of {self.num_layers} tensors, as `state_spec` says. Received: {state!r:.200}."
            )
        return pairs

    def layer_groups(self):
        """Group the weights from bottom to top: words, first LSTMs, ..., last LSTMs."""
        levels = zip(*(self.blocks[direction] for direction in DIRECTIONS))
        groups = [[weight for block in level for weight in block.weights] for level in levels]
        return [list(self.character_cnn.weights), *groups]

    def state_spec(self, batch_size=None):
        """Say what is carried: `hidden` and `cell` of every LSTM, by direction."""
        dtype = float_policy(self.dtype_policy).compute_dtype

        def one(width):
            spec = keras.KerasTensor((batch_size, width), dtype=dtype)
            return [spec] * self.num_layers

        return {
            direction: {"hidden": one(self.projection_dim), "cell": one(self.lstm_dim)}
            for direction in DIRECTIONS
        }

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in _ARGUMENTS}}


def _reversed(rows):
    """The same from right to left: padding, which no LSTM reads, may stand on either side."""
    return ops.flip(rows, axis=1)


_ARGUMENTS = [name for name in constructor_arguments(ELMoBackbone) if name != "dtype"]
