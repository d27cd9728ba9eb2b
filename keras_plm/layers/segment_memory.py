"""The memory that is carried from batch to batch: state in, state out."""

import keras
from keras import ops

from keras_plm.ops.keras_internals import in_symbolic_scope


@keras.saving.register_keras_serializable(package="keras_plm")
class SegmentMemory(keras.layers.Layer):
    """The memory of the previous batch, zero in the rows that do not continue it.

    Two states, one for training and one for evaluation, so that validation inside `fit` does
    not disturb training. A state has a row per row of the batch, so `resize` makes it before
    the first batch; states are no weights and are not saved with them.
    `UpdateSegmentMemory` writes what the model computed from it.

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

    def __init__(self, num_layers, memory_length, hidden_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.memory_length = memory_length
        self.hidden_dim = hidden_dim
        self.training_state = None
        self.evaluation_state = None

    def build(self, fresh_shape):
        pass

    def state(self, training):
        """The state variable of training or of evaluation, or None before `resize`."""
        return self.training_state if training else self.evaluation_state

    def resize(self, batch_size, training):
        """Make the state for batches of a size, if it is not there yet.

        Args:
            batch_size: int. The rows B of every batch to come.
            training: bool. Whether the state of training or of evaluation is meant.

        Returns:
            bool. Whether a state was made (then compiled functions must be made anew).

        Raises:
            ValueError: if the state is there for another batch size.
        """
        state = self.state(training)
        purpose = "training" if training else "evaluation"
        if state is not None:
            if state.shape[0] != batch_size:
                raise ValueError(
                    f"The memory of {purpose} was made for batches of {state.shape[0]} rows. "
                    f"Received: a batch of {batch_size} rows. Keep the batch size, or call "
                    "`forget()` to start with another one."
                )
            return False
        shape = (batch_size, *self._row_shape())
        self._tracker.unlock()  # state that is made after build, as Keras's own LoRA does
        state = self.add_weight(
            name=f"{purpose}_state",
            shape=shape,
            initializer="zeros",
            dtype=self.compute_dtype,
            trainable=False,
        )
        setattr(self, f"{purpose}_state", state)
        self._tracker.lock()
        return True

    def forget(self):
        """Drop both states, so that `resize` can make others."""
        self._tracker.unlock()
        for state in (self.training_state, self.evaluation_state):
            if state is not None:
                self._untrack_variable(state)
        self.training_state = self.evaluation_state = None
        self._tracker.lock()

    def state_for_a_batch(self, rows, training):
        """The state of training or of evaluation, refused to a batch that it does not fit.

        Args:
            rows: int or None. The rows B of the batch, if they are known.
            training: bool.

        Raises:
            ValueError: if there is no state yet or it has another number of rows.
        """
        state = self.state(training)
        if state is None:
            raise ValueError(
                "The memory has no state yet. Call `resize(batch_size, training)` first; "
                "`Pretrainer.fit` and `Pretrainer.evaluate` do."
            )
        if rows is not None and rows != state.shape[0]:
            raise ValueError(
                f"The memory was made for batches of {state.shape[0]} rows. "
                f"Received: a batch of {rows} rows."
            )
        return state

    def call(self, fresh, training=False):
        if in_symbolic_scope():  # Keras infers shapes with training=False on training batches
            return ops.zeros((ops.shape(fresh)[0], *self._row_shape()), self.compute_dtype)
        state = self.state_for_a_batch(fresh.shape[0], training)
        value = ops.convert_to_tensor(state)  # read before it is assigned
        fresh = ops.cast(fresh, "bool")[:, None, None, None]
        return ops.stop_gradient(ops.where(fresh, ops.zeros_like(value), value))

    def compute_output_spec(self, fresh, training=False):
        return keras.KerasTensor((fresh.shape[0], *self._row_shape()), dtype=self.compute_dtype)

    def _row_shape(self):
        return (self.num_layers, self.memory_length, self.hidden_dim)

    def save_own_variables(self, store):
        """Save nothing: the states are no weights."""

    def load_own_variables(self, store):
        """Load nothing: the states are no weights."""

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "memory_length": self.memory_length,
            "hidden_dim": self.hidden_dim,
        }


@keras.saving.register_keras_serializable(package="keras_plm")
class UpdateSegmentMemory(keras.layers.Layer):
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

    def __init__(self, memory, **kwargs):
        super().__init__(**kwargs)
        self.memory = memory

    def build(self, inputs_shape):
        pass

    def call(self, inputs, new_memory, training=False):
        if in_symbolic_scope():
            return inputs
        state = self.memory.state_for_a_batch(new_memory.shape[0], training)
        state.assign(ops.cast(ops.stop_gradient(new_memory), state.dtype))
        return inputs

    def compute_output_spec(self, inputs, new_memory, training=False):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "memory": keras.saving.serialize_keras_object(self.memory)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        memory = keras.saving.deserialize_keras_object(config.pop("memory"))
        return cls(memory, **config)
