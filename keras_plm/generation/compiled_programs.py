"""Programs of a model outside of `fit`, compiled by XLA once for each shape."""

import os

import keras
from keras import ops

from keras_plm.generation.sampling import find_sampler

PROGRAMS_KEPT = 16
JIT_VARIABLE = "KERAS_PLM_JIT_COMPILE"


def xla_is_allowed():
    """Whether XLA may compile; the environment variable KERAS_PLM_JIT_COMPILE=0 says no.

    For a look at a few steps, which take less time than XLA needs to compile one. TensorFlow then
    runs plain graphs. JAX compiles as always: without, it would run one operation at a time.

    Raises:
        ValueError: if the variable is neither 0 nor 1.
    """
    value = os.environ.get(JIT_VARIABLE, "1")
    if value not in ("0", "1"):
        raise ValueError(
            f"The environment variable {JIT_VARIABLE} must be 0 or 1. Received: {value!r}."
        )
    return value == "1" or keras.backend.backend() == "jax"


def runs_on_cpu():
    """Whether the backend has nothing but a CPU to run on."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    import tensorflow as tf

    return {device.device_type for device in tf.config.list_logical_devices()} == {"CPU"}


def xla_predicts(model):
    """Whether XLA compiles what a model predicts, a program for every shape.

    Not on a CPU under TensorFlow, whose graphs take any shape in one program: XLA's is up to 1.1
    times as fast there, and takes as long to compile as hundreds of batches to predict (measured,
    see docs/performance.md). With `fixed_shapes` there is one shape, so it does.

    Args:
        model: compiled `Task`.

    Returns:
        bool.
    """
    if keras.backend.backend() != "tensorflow":
        return True
    return bool(model.jit_compile) and (model.fixed_shapes or not runs_on_cpu())


def rows_of_program(count, most):
    """How many rows are computed for so many: 1, 2, 4, ... or the most, so that programs are few.

    Args:
        count: int of at least 1. Those that are asked for.
        most: int. The most rows of a batch.

    Returns:
        int.
    """
    return min(1 << (count - 1).bit_length(), most)


class CompiledPrograms:
    """Runs functions of arrays that read a model's weights, each compiled once.

    Args:
        model: Keras model. With `run_eagerly` nothing is compiled.
    """

    def __init__(self, model):
        self.model = model
        self._compiled = {}  # key: (program, its sampler, whose identity is part of the key)
        self._samplers = {}  # by name

    def sampler(self, sampler, seed=None):
        """As `find_sampler`, but for one name always the same one: what is compiled serves again.

        Args:
            sampler: str or `keras_hub.samplers.Sampler`.
            seed: int or None. What its random numbers start from; None: they go on.
        """
        found = self._samplers.get(sampler) if isinstance(sampler, str) else None
        found = found or find_sampler(sampler)
        if isinstance(sampler, str):
            self._samplers[sampler] = found
        if seed is not None:
            for variable in found.variables:
                variable.assign(keras.random.SeedGenerator(seed).state)
        return found

    def run(self, key, function, sampler, *arguments):
        """Call a function, compiled.

        Args:
            key: tuple that names the function and all of it that is no argument.
            function: function of nests of tensors.
            sampler: `keras_hub.samplers.Sampler` that it calls, or None.
            arguments: nests of arrays.

        Returns:
            A nest of arrays.
        """
        if sampler is not None:
            key = (*key, id(sampler), str(sampler.get_config()))
        if key not in self._compiled:
            if len(self._compiled) >= PROGRAMS_KEPT:
                self._compiled.clear()
            program = function
            if not self.model.run_eagerly:
                program = _compiled(function, self.model, sampler)
            self._compiled[key] = program, sampler
        arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
        outputs = self._compiled[key][0](*arguments)
        return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def _compiled(function, model, sampler):
    """A function under XLA, which reads the weights as they are when it is called."""
    if keras.backend.backend() == "jax":
        import jax

        changing = [] if sampler is None else sampler.variables  # the states of random numbers

        @jax.jit
        def program(weights, states, arguments):
            mapping = [*zip(model.variables, weights), *zip(changing, states)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                outputs = function(*arguments)
            return outputs, [scope.get_current_value(variable) for variable in changing]

        def run(*arguments):
            weights = [variable.value for variable in model.variables]
            states = [variable.value for variable in changing]
            outputs, states = program(weights, states, arguments)
            for variable, state in zip(changing, states):
                variable.assign(state)
            return outputs

        return run
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=xla_is_allowed())
    return function
