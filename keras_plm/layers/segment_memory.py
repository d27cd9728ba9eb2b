"""The memory of segment recurrence: a carried state of one tensor."""

import keras

from keras_plm.checks import check_arguments, integer, kind
from keras_plm.layers.carried_state import StateCarrier, StateUpdate


@keras.saving.register_keras_serializable(package="keras_plm")
class SegmentMemory(StateCarrier):
    """The memory of the previous batch, zero in the rows that do not continue it.

    A `CarriedState` of one tensor. `UpdateSegmentMemory` writes what the model computed from it.

    Args:
        num_layers: int. The layers L.
        memory_length: int. The tokens M that are remembered.
        hidden_dim: int. The width D.

    Call arguments:
        fresh: bool tensor of shape (B,). True = this row does not continue the previous batch's
            row: its memory is zero.

    Returns:
        Tensor of shape (B, L, M, D), no gradient flows into it.

    Raises:
        ValueError: if the batch has another size than the state, or there is no state yet.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import SegmentMemory, UpdateSegmentMemory

    memory = SegmentMemory(num_layers=1, memory_length=2, hidden_dim=4)
    memory.resize(batch_size=3, training=True)
    before = memory(np.array([True, True, True]), training=True)  # zeros
    UpdateSegmentMemory(memory)(np.zeros(3), before + 1.0, training=True)
    after = memory(np.array([True, False, False]), training=True)  # zeros, ones, ones
    assert [float(row[0, 0, 0]) for row in after] == [0.0, 1.0, 1.0]
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.2.
    """

    @check_arguments
    def __init__(
        self, num_layers: integer(1), memory_length: integer(1), hidden_dim: integer(1), **kwargs
    ):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.memory_length = memory_length
        self.hidden_dim = hidden_dim

    def leaf_specs(self):
        """Return the `keras.KerasTensor` (None, L, M, D) that a state is."""
        shape = (None, self.num_layers, self.memory_length, self.hidden_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "memory_length": self.memory_length,
            "hidden_dim": self.hidden_dim,
        }


@keras.saving.register_keras_serializable(package="keras_plm")
class UpdateSegmentMemory(StateUpdate):
    """Writes the new memory into a `SegmentMemory` and hands an output on unchanged.

    What it hands on must become an output of the model: a write that nothing depends on is
    dropped.

    Args:
        memory: `SegmentMemory`.

    Call arguments:
        inputs: tensor of any shape.
        new_memory: tensor of shape (B, L, M, D).

    Returns:
        `inputs`.
    """

    @check_arguments
    def __init__(self, memory: kind(SegmentMemory), **kwargs):
        super().__init__(**kwargs)
        self.memory = memory

    def call(self, inputs, new_memory, training=False):
        return self.write(self.memory, inputs, new_memory, training)

    def compute_output_spec(self, inputs, new_memory, training=False):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "memory": keras.saving.serialize_keras_object(self.memory)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        memory = keras.saving.deserialize_keras_object(config.pop("memory"))
        return cls(memory, **config)
