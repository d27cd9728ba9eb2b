"""One of several functions, chosen while a compiled program runs, that may assign to variables."""

import keras
from keras import ops


def run_branch(index, branches, changing, reading=()):
    """Run one of several functions; the others take no time.

    On TensorFlow these are conditions, one in the other. A branch of JAX's assigns nothing, as what
    it makes must not leave it: here it gives the values, which are assigned behind it.

    Args:
        index: int scalar. Which function.
        branches: list of functions of nothing, which give nests of one structure, and of tensors
            of the same shapes and data types.
        changing: list of `keras.Variable`, all that any of them assigns to, such as the seeds of a
            dropout.
        reading: list of the other variables that any of them reads.

    Returns:
        What the function gave.

    Example:
    ```python
    import keras
    from keras_plm.ops import run_branch

    count = keras.Variable(0)
    value = run_branch(1, [lambda: count.value, lambda: count.assign_add(2)], [count])
    assert int(value) == int(count) == 2
    ```
    """
    if keras.backend.backend() != "jax":
        return _one_of(index, branches)
    before = [(variable, ops.convert_to_tensor(variable)) for variable in (*changing, *reading)]

    def with_values(branch):
        def run():
            with keras.StatelessScope(before) as scope:
                result = branch()
            return result, [scope.get_current_value(variable) for variable in changing]

        return run

    result, values = ops.switch(index, [with_values(branch) for branch in branches])
    for variable, value in zip(changing, values):
        variable.assign(value)
    return result


def run_if(condition, function, changing):
    """Run a function where a condition holds.

    Args:
        condition: bool scalar.
        function: function of nothing, whose result is dropped.
        changing: as for `run_branch`.
    """

    def nothing():
        return ops.convert_to_tensor(True)  # what a branch must give

    def something():
        function()
        return nothing()

    run_branch(ops.cast(condition, "int32"), [nothing, something], changing)


def run_loss_branch(index, branches, changing, reading=(), scale=None):
    """As `run_branch`, of functions that give a loss, for training under XLA.

    TensorFlow's own gradient of a switch hands what a branch computed from the forward to the
    backward pass, and the shapes among that, which XLA must know as it compiles: it then works out
    the whole forward pass by an interpreter, which may take hours. Here, on TensorFlow, a branch
    computes loss and gradients in one go, and the backward pass only scales them. (Not in eager
    mode, nor under a strategy of `tf.distribute`.)

    Args:
        index, changing, reading: as for `run_branch`.
        branches: list of functions of nothing, each of which gives a float32 scalar.
        scale: float32 scalar or None. What the loss is multiplied with behind this function, as in
            half precision, in which gradients would vanish without; None: 1.

    Returns:
        float32 scalar.
    """
    if keras.backend.backend() != "tensorflow":
        return run_branch(index, branches, changing, reading)
    import tensorflow as tf

    if tf.executing_eagerly() or tf.distribute.has_strategy():
        return _one_of(index, branches)
    scale = tf.constant(1.0) if scale is None else tf.convert_to_tensor(scale)
    tensors, variables = _read_by(branches)

    @tf.custom_gradient
    def loss_of(*_):
        def with_gradients(branch):
            def run():
                with tf.GradientTape() as tape:
                    tape.watch(tensors)
                    loss = branch()
                    scaled = loss * scale
                found = tape.gradient(
                    scaled, tensors + variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                return loss, [tf.convert_to_tensor(one) for one in found]

            return run

        loss, found = _one_of(index, [with_gradients(branch) for branch in branches])
        of_variables = {one.ref(): own for one, own in zip(variables, found[len(tensors) :])}

        def gradient(upstream, variables=()):
            factor = upstream / scale
            scaled = [own * tf.cast(factor, own.dtype) for own in found[: len(tensors)]]
            return scaled, [
                of_variables[one.ref()] * tf.cast(factor, one.dtype) for one in variables
            ]

        return loss, gradient

    return loss_of(*tensors)


def _one_of(index, branches):
    """As `keras.ops.switch`, by conditions: TensorFlow's switch may take XLA hours to compile."""
    first, *others = branches
    if not others:
        return first()
    return ops.cond(index <= 0, first, lambda: _one_of(index - 1, others))


def _read_by(branches):
    """The float tensors and trainable variables of TensorFlow that functions read from outside."""
    import tensorflow as tf

    tensors, variables = {}, {}
    for branch in branches:
        graph = tf.function(branch, autograph=False).get_concrete_function().graph
        for outside, _ in graph.captures:
            if outside.dtype.is_floating:
                tensors[outside.ref()] = outside
        for one in graph.trainable_variables:
            variables[one.ref()] = one
    return list(tensors.values()), list(variables.values())
