"""The state that is carried from batch to batch: state in, state out."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, kind
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops.keras_internals import in_symbolic_scope


class StateCarrier(keras.layers.Layer):
    """Abstract base of the layers that hold the state of the previous batch.

    Two states, one for training and one for evaluation, so that validation inside `fit` does
    not disturb training. A state has a row per row of the batch, so `resize` makes it before
    the first batch; states are no weights and are not saved with them.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._training_variables = self._evaluation_variables = None

    def leaf_specs(self):
        """Return the nest of `keras.KerasTensor` (B, ...) that a state is; B is not looked at."""
        raise NotImplementedError(f"{type(self).__name__} has no `leaf_specs`.")

    def evaluation_leaf_specs(self):
        """Return those of the state of evaluation, whose leaves may have other lengths."""
        return self.leaf_specs()

    def leaf_names(self):
        """Return the names of the leaves, in the order of `keras.tree.flatten`."""
        return _leaf_names(self.leaf_specs())

    def build(self, fresh_shape):
        pass

    @property
    def training_state(self):
        """The nest of state variables of training, or None before `resize`."""
        return self.state(training=True)

    @property
    def evaluation_state(self):
        """The nest of state variables of evaluation, or None before `resize`."""
        return self.state(training=False)

    def state(self, training):
        """The state variables of training or of evaluation, or None before `resize`."""
        variables = self._training_variables if training else self._evaluation_variables
        if variables is None:
            return None
        return keras.tree.pack_sequence_as(self.leaf_specs(), list(variables))

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
        purpose = "training" if training else "evaluation"
        variables = self._training_variables if training else self._evaluation_variables
        if variables is not None:
            rows = variables[0].shape[0]
            if rows != batch_size:
                raise ValueError(
                    f"The memory of {purpose} was made for batches of {rows} rows. "
                    f"Received: a batch of {batch_size} rows. Keep the batch size, or call "
                    "`forget()` to start with another one."
                )
            return False
        specs = self.leaf_specs() if training else self.evaluation_leaf_specs()
        self._tracker.unlock()  # state that is made after build, as Keras's own LoRA does
        variables = tuple(
            self.add_weight(
                name=f"{purpose}_state" + (f".{name}" if name != "state" else ""),
                shape=(batch_size, *spec.shape[1:]),
                initializer="zeros",
                dtype=spec.dtype,
                trainable=False,
            )
            for name, spec in zip(self.leaf_names(), keras.tree.flatten(specs))
        )
        setattr(self, f"_{purpose}_variables", variables)
        self._tracker.lock()
        return True

    def forget(self):
        """Drop both states, so that `resize` can make others."""
        self._tracker.unlock()
        for variables in (self._training_variables, self._evaluation_variables):
            for variable in variables or ():
                self._untrack_variable(variable)
        self._training_variables = self._evaluation_variables = None
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
        made_for = keras.tree.flatten(state)[0].shape[0]
        if rows is not None and rows != made_for:
            raise ValueError(
                f"The memory was made for batches of {made_for} rows. "
                f"Received: a batch of {rows} rows."
            )
        return state

    def call(self, fresh, training=False):
        if in_symbolic_scope():  # Keras infers shapes with training=False on training batches
            rows = ops.shape(fresh)[0]
            return keras.tree.map_structure(
                lambda spec: ops.zeros((rows, *spec.shape[1:]), spec.dtype), self.leaf_specs()
            )
        state = self.state_for_a_batch(fresh.shape[0], training)
        fresh = ops.cast(fresh, "bool")

        def carried(variable):
            value = ops.convert_to_tensor(variable)  # read before it is assigned
            of_row = ops.reshape(fresh, (-1, *[1] * (len(value.shape) - 1)))
            return ops.stop_gradient(ops.where(of_row, ops.zeros_like(value), value))

        return keras.tree.map_structure(carried, state)

    def compute_output_spec(self, fresh, training=False):
        return keras.tree.map_structure(
            lambda spec: keras.KerasTensor((fresh.shape[0], *spec.shape[1:]), dtype=spec.dtype),
            self.leaf_specs(),
        )

    def save_own_variables(self, store):
        """Save nothing: the states are no weights."""

    def load_own_variables(self, store):
        """Load nothing: the states are no weights."""


@keras.saving.register_keras_serializable(package="keras_plm")
class CarriedState(StateCarrier):
    """The state of the previous batch, of any nest, zero in the rows that do not continue it.

    It keeps a state for training and one for evaluation; see `resize`, which makes them.
    `UpdateCarriedState` writes what the model computed from it.

    Args:
        spec: nest of what has a `shape` (B, ...) and a `dtype`, such as `keras.KerasTensor`, as
            `Backbone.state_spec` gives it. Each leaf keeps the dtype that is said here.
        evaluation_spec: nest of the same structure, for the state of evaluation, whose leaves may
            have other lengths (a longer memory); None: as `spec`.

    Call arguments:
        fresh: bool tensor of shape (B,). True = this row does not continue the previous batch's
            row: its state is zero.

    Returns:
        Nest of tensors (B, ...) as `spec`, no gradient flows into them.

    Raises:
        ValueError: if a leaf has no known shape behind B, or the two specs differ in structure; if
            the batch has another size than the state, or there is no state yet.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_plm.layers import CarriedState, UpdateCarriedState

    state = CarriedState({"cell": keras.KerasTensor((None, 4)), "step": keras.KerasTensor((None,))})
    state.resize(batch_size=2, training=True)
    before = state(np.array([True, True]), training=True)  # zeros
    UpdateCarriedState(state)(
        np.zeros(2), {"cell": before["cell"] + 1.0, "step": before["step"] + 2.0}, training=True
    )
    after = state(np.array([True, False]), training=True)
    assert [float(step) for step in after["step"]] == [0.0, 2.0]
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.2; of recurrent cells Merity et al.,
    arXiv:1708.02182, section 5 (the hidden state of the batch before, cut from its gradient).
    """

    def __init__(self, spec, evaluation_spec=None, **kwargs):
        super().__init__(**kwargs)
        evaluation_spec = spec if evaluation_spec is None else evaluation_spec
        self._spec, self._evaluation_spec = _Spec(spec), _Spec(evaluation_spec)
        if _leaf_names(spec) != _leaf_names(evaluation_spec):
            raise ValueError(
                "`spec` and `evaluation_spec` must have the same leaves. "
                f"Received: {_leaf_names(spec)} and {_leaf_names(evaluation_spec)}."
            )

    def leaf_specs(self):
        """Return the nest of `keras.KerasTensor` (None, ...) that a state is."""
        return self._spec.nest

    def evaluation_leaf_specs(self):
        """Return those of the state of evaluation, whose leaves may have other lengths."""
        return self._evaluation_spec.nest

    def get_config(self):
        specs = {"spec": self._spec.nest, "evaluation_spec": self._evaluation_spec.nest}
        specs = {name: keras.saving.serialize_keras_object(one) for name, one in specs.items()}
        return {**super().get_config(), **specs}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in {"spec", "evaluation_spec"} & set(config):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


class StateUpdate(SequenceLayer):
    """Abstract base of the layers that write a new state and hand an output on unchanged.

    What it hands on must become an output of the model: a write that nothing depends on is
    dropped.
    """

    def build(self, inputs_shape):
        pass

    def write(self, carrier, inputs, new_state, training):
        """Assign each leaf of `new_state` to the state of `carrier`; return `inputs`."""
        if in_symbolic_scope():
            return inputs
        new = keras.tree.flatten(new_state)
        state = carrier.state_for_a_batch(new[0].shape[0], training)
        names = carrier.leaf_names(), _leaf_names(new_state)
        if names[0] != names[1]:
            raise ValueError(
                f"The new state must have the leaves {names[0]}. Received: {names[1]}."
            )
        for variable, value in zip(keras.tree.flatten(state), new, strict=True):
            variable.assign(ops.cast(ops.stop_gradient(value), variable.dtype))
        return inputs


@keras.saving.register_keras_serializable(package="keras_plm")
class UpdateCarriedState(StateUpdate):
    """Writes the new state into a `CarriedState` and hands an output on unchanged.

    What it hands on must become an output of the model: a write that nothing depends on is
    dropped.

    Args:
        carried: `CarriedState`.

    Call arguments:
        inputs: tensor of any shape.
        new_state: nest of tensors (B, ...), of the structure of the state.

    Returns:
        `inputs`.
    """

    @check_arguments
    def __init__(self, carried: kind(CarriedState), **kwargs):
        super().__init__(**kwargs)
        self.carried = carried

    def call(self, inputs, new_state, training=False):
        return self.write(self.carried, inputs, new_state, training)

    def compute_output_spec(self, inputs, new_state, training=False):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        carried = keras.saving.serialize_keras_object(self.carried)
        return {**super().get_config(), "carried": carried}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("carried")), **config)


def _leaf_names(nest):
    """The paths of the leaves of a nest; "state" if it is one leaf."""
    paths = [path for path, _ in keras.tree.flatten_with_path(nest)]
    return [".".join(map(str, path)) or "state" for path in paths]


class _Spec:
    """Holds the shapes (None, ...) of a nest where Keras neither tracks nor wraps them."""

    def __init__(self, nest):
        for leaf in keras.tree.flatten(nest):
            if not hasattr(leaf, "shape") or str(getattr(leaf, "dtype", "object")) == "object":
                raise TypeError(
                    "`spec` must be a nest of tensors, `keras.KerasTensor` (B, ...). "
                    f"Received: spec={nest!r:.200}."
                )
            if not len(leaf.shape) or None in leaf.shape[1:]:
                raise ValueError(
                    "Every leaf of `spec` must have a shape (B, ...) that is known behind B. "
                    f"Received: shape {tuple(leaf.shape)}."
                )
        self.nest = keras.tree.map_structure(
            lambda leaf: keras.KerasTensor((None, *leaf.shape[1:]), leaf.dtype), nest
        )
