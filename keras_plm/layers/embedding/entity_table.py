"""Vectors of entities: a table that is given, never trained, and in no checkpoint."""

import keras
from keras import ops

from keras_plm.checkpoints.entity_vectors import check_entity_vectors
from keras_plm.checks import check_arguments, integer


@keras.saving.register_keras_serializable(package="keras_plm")
class EntityTable(keras.layers.Layer):
    """A frozen table of the vectors of entities, which lies outside of every checkpoint.

    Row 0 is of no entity, and zero; entity n has row n. Vectors of a knowledge graph may be many
    times as large as the model: files of weights leave them out, and `give` puts them in. Until
    then all rows are zero.

    Args:
        num_entities: int. How many entities N there are, beside row 0; 0: there is no weight, and
            all vectors are zero.
        entity_dim: int. The width E of a vector.

    Call arguments:
        entity_ids: int tensor of any shape, each in [0, N].

    Returns:
        Tensor of the shape of `entity_ids` and one axis more, of length E: float32, under any
        dtype policy.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import EntityTable

    table = EntityTable(num_entities=2, entity_dim=3)
    table.give([[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    assert np.asarray(table(np.array([[2, 0]]))).tolist() == [[[4, 5, 6], [0, 0, 0]]]
    ```

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), sections 3.2 and 3.3.
    """

    @check_arguments
    def __init__(self, num_entities: integer(0), entity_dim: integer(1), **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_entities = num_entities
        self.entity_dim = entity_dim

    def build(self, entity_ids_shape=None):
        self.vectors = None
        if self.num_entities:
            self.vectors = self.add_weight(
                name="vectors",
                shape=(self.num_entities + 1, self.entity_dim),
                initializer="zeros",
                dtype="float32",
                trainable=False,
                autocast=False,
            )

    def give(self, vectors):
        """Fill the table.

        Args:
            vectors: array of numbers (N + 1, E), of which row 0 is zero.

        Raises:
            ValueError: if it has another shape, row 0 is not zero, or a number is not finite.
        """
        vectors = check_entity_vectors(vectors)
        shape = (self.num_entities + 1, self.entity_dim)
        if vectors.shape != shape:
            raise ValueError(
                f"The vectors must have the shape (N + 1, E) = {shape}: row 0 for no entity, then "
                f"one row for each of the {self.num_entities} entities. Received: shape "
                f"{vectors.shape}. Give the table that the model was made for, or make a model of "
                f"num_entities={len(vectors) - 1}, entity_dim={vectors.shape[1]}."
            )
        if not self.built:
            self.build()
        if self.vectors is not None:
            self.vectors.assign(vectors)

    def call(self, entity_ids):
        if self.vectors is None:
            return ops.zeros((*ops.shape(entity_ids), self.entity_dim), dtype="float32")
        return ops.take(self.vectors, entity_ids, axis=0)

    def compute_output_spec(self, entity_ids):
        return keras.KerasTensor((*entity_ids.shape, self.entity_dim), dtype="float32")

    def save_own_variables(self, store):
        """Save nothing: the vectors come from a file of their own."""

    def load_own_variables(self, store):
        """Read nothing; see `save_own_variables`."""

    def get_config(self):
        own = {"num_entities": self.num_entities, "entity_dim": self.entity_dim}
        return {**super().get_config(), **own}
