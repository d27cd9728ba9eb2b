"""Which entity of a batch a token mentions."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, kind, number
from keras_plm.heads.head import Head, Targets
from keras_plm.layers.activation import get_activation
from keras_plm.layers.embedding.entity_table import EntityTable
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class EntityHead(SequenceLayer, Head):
    """Logits over the entities of a batch, for each token: its state times their vectors.

    With the state w of a token, and the vector c of a candidate:

        logit = c . layer_norm(activation(W w))

    The vectors are those of the backbone's frozen table. The first candidate is none, whose vector
    is zero; what is 0 behind it is unused, and has a logit of -1e30.

    Args:
        entity_table: `keras_plm.layers.EntityTable` of width E, shared with the backbone.
        activation: str. "gelu" (erf), "gelu_tanh", or a name that Keras knows.
        layer_norm_epsilon: float.
        kernel_initializer: initializer of the kernel.

    Call arguments:
        rows: tensor of shape (B, T, D), the states of tokens.
        candidates: int tensor of shape (B, C), rows of the table.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, which the logits have.

    Returns:
        Tensor of shape (B, T, C), float32.

    Raises:
        ValueError: if the activation is unknown.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import EntityHead
    from keras_plm.layers import EntityTable

    head = EntityHead(EntityTable(num_entities=4, entity_dim=3))
    candidates = np.array([[0, 2, 4, 0], [0, 1, 0, 0]])
    logits = np.asarray(head(np.ones((2, 5, 8), "float32"), candidates))
    assert logits.shape == (2, 5, 4) and logits[0, 0, 3] < -1e29
    ```

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), section 3.4, equation 6; the transform:
    the released `modeling.py`, `BertEntPredictionHead`.
    """

    @check_arguments
    def __init__(
        self,
        entity_table: kind(EntityTable),
        activation="gelu",
        layer_norm_epsilon: number(0) = 1e-12,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        kwargs.setdefault("dtype", float_policy(entity_table.dtype_policy))
        super().__init__(**kwargs)
        self.entity_table = entity_table
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.transform = keras.layers.Dense(
            entity_table.entity_dim,
            activation=get_activation(activation),
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="transform",
        )
        self.transform_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="transform_norm"
        )

    def build(self, rows_shape, candidates_shape):
        if not self.entity_table.built:
            self.entity_table.build(candidates_shape)
        self.transform.build(rows_shape)
        self.transform_norm.build((*rows_shape[:-1], self.entity_table.entity_dim))

    @property
    def targets(self):
        """One of the candidates for each token."""
        return Targets("BT", "C")

    def call(self, rows, candidates, rows_mask=None):
        rows = self.transform_norm(self.transform(rows))  # (B, T, E)
        vectors = ops.cast(self.entity_table(candidates), rows.dtype)  # (B, C, E)
        logits = ops.cast(ops.einsum("bte,bce->btc", rows, vectors), "float32")
        place = ops.cumsum(ops.ones_like(candidates), axis=1)  # (B, C): 1 .. C
        used = ops.logical_or(ops.not_equal(candidates, 0), ops.equal(place, 1))  # (B, C)
        return ops.where(used[:, None], logits, -1e30)

    def read(self, encoded, features):
        """The logits of the tokens.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `sequence_output` (B, T, D).
            features: dict with `candidate_entity_ids` (B, C).

        Returns:
            Tensor of shape (B, T, C), float32.
        """
        return self(encoded["sequence_output"], features["candidate_entity_ids"])

    def compute_output_spec(self, rows, candidates, rows_mask=None):
        shape = (*rows.shape[:-1], candidates.shape[-1])
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "entity_table": keras.saving.serialize_keras_object(self.entity_table),
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        table = keras.saving.deserialize_keras_object(config.pop("entity_table"))
        return cls(table, **config)
