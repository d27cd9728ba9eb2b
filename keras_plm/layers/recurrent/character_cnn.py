"""Words from their characters: convolutions of several widths, highways, a projection."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, check_integer, integer, text
from keras_plm.features import NUM_CHARACTERS
from keras_plm.layers.activation import get_activation
from keras_plm.layers.initializer import Normal, ZeroRow
from keras_plm.layers.sequence_layer import SequenceLayer

FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))


@keras.saving.register_keras_serializable(package="keras_plm")
class CharacterCNN(SequenceLayer):
    """A vector for each word, from the bytes that it is written with.

    Every convolution looks at k characters at a time, and of each of its filters the largest value
    within the word is kept; then the highways, each with y = g * relu(transform) + (1 - g) * x,
    and a projection, if the width is not that of all filters together. The maximum runs over all
    places of a word, the learned vectors behind its end too.

    Args:
        output_dim: int. The width P of a word's vector.
        filters: tuple of pairs (k, number of filters).
        character_dim: int. The width of a character's vector.
        num_highways: int. How many highways, 0 or more.
        activation: str. The activation of the convolutions, a name that Keras knows.

    Call arguments:
        character_ids: int tensor of shape (B, T, W), see `keras_plm.tokenizers.character_ids`:
            0 to 261. A word of zeros is padding; it has a vector, which nothing should read.

    Returns:
        Tensor of shape (B, T, P).

    Raises:
        ValueError: if a size or a filter is none.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import CharacterCNN

    layer = CharacterCNN(output_dim=8, filters=((1, 4), (3, 6)), num_highways=1)
    assert tuple(layer(np.ones((2, 5, 50), "int32")).shape) == (2, 5, 8)
    ```

    Source: ELMo, arXiv:1802.05365, section 3.4, and the released bilm-tf (`training.py`); Kim et
    al., arXiv:1508.06615; highways Srivastava et al., arXiv:1505.00387.
    """

    @check_arguments
    def __init__(
        self,
        output_dim: integer(1),
        filters=FILTERS,
        character_dim: integer(1) = 16,
        num_highways: integer(0) = 2,
        activation: text() = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.output_dim = output_dim
        self.filters = _checked_filters(filters)
        self.character_dim = character_dim
        self.num_highways = num_highways
        self.activation = activation
        self._activate = get_activation(activation)
        policy = self.dtype_policy
        self.character_embedding = keras.layers.Embedding(
            NUM_CHARACTERS,
            character_dim,
            embeddings_initializer=ZeroRow(_uniform(1.0), row=0),
            dtype=policy,
            name="character_embedding",
        )
        self.convolutions = [
            keras.layers.Conv1D(
                number,
                width,
                kernel_initializer=self._of_convolution(width),
                dtype=policy,
                name=f"convolution_{index}",
            )
            for index, (width, number) in enumerate(self.filters)
        ]
        self.highways = [
            (
                self._dense(self.width, f"highway_{index}_gate", -2.0),
                self._dense(self.width, f"highway_{index}_transform"),
            )
            for index in range(num_highways)
        ]
        self.projection = None
        if output_dim != self.width:
            self.projection = self._dense(output_dim, "projection")

    @property
    def width(self):
        """How many filters there are in all."""
        return sum(number for _, number in self.filters)

    def _of_convolution(self, width):
        """How a convolution's kernel begins."""
        if self.activation == "relu":
            return _uniform(0.05)
        return Normal(stddev=(width * self.character_dim) ** -0.5)

    def _dense(self, width, name, bias=0.0):
        """A dense layer over all filters."""
        return keras.layers.Dense(
            width,
            kernel_initializer=Normal(stddev=self.width**-0.5),
            bias_initializer=keras.initializers.Constant(bias),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, character_ids_shape):
        self.character_embedding.build(character_ids_shape)
        for convolution in self.convolutions:
            convolution.build((None, character_ids_shape[-1], self.character_dim))
        dense = [one for pair in self.highways for one in pair]
        for layer in dense + [self.projection] * (self.projection is not None):
            layer.build((None, None, self.width))

    def call(self, character_ids):
        shape = ops.shape(character_ids)
        characters = ops.reshape(character_ids, (-1, shape[-1]))  # (B T, W)
        characters = self.character_embedding(characters)
        parts = [ops.max(one(characters), axis=1) for one in self.convolutions]
        words = self._activate(ops.concatenate(parts, axis=-1))  # (B T, filters)
        for gate, transform in self.highways:
            share = ops.sigmoid(gate(words))
            words = share * ops.relu(transform(words)) + (1 - share) * words
        if self.projection is not None:
            words = self.projection(words)
        return ops.reshape(words, (*shape[:2], self.output_dim))  # (B, T, P)

    def compute_output_spec(self, character_ids):
        shape = (*character_ids.shape[:2], self.output_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "filters": [list(one) for one in self.filters],
            "character_dim": self.character_dim,
            "num_highways": self.num_highways,
            "activation": self.activation,
        }


def _uniform(bound):
    return keras.initializers.RandomUniform(-bound, bound)


def _checked_filters(filters):
    """Pairs of width and number, or an error."""
    pairs = isinstance(filters, (list, tuple)) and bool(filters)
    if not pairs or not all(isinstance(one, (list, tuple)) and len(one) == 2 for one in filters):
        raise ValueError(
            "`filters` must be pairs of a width and a number of filters. "
            f"Received: filters={filters!r:.200}."
        )
    names = "the width of a filter", "the number of filters"
    return tuple(
        tuple(check_integer(name, value, 1) for name, value in zip(names, one)) for one in filters
    )
