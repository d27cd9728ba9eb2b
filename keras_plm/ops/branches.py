"""One of several functions, chosen while a compiled program runs, that may assign to variables."""

import keras
from keras import ops


def run_branch(index, branches, changing, reading=()):
    """Run one of several functions; the others take no time.

    On TensorFlow that is `keras.ops.switch`. A branch of JAX's assigns nothing, as what it makes
    must not leave it: here it gives the values, which are assigned behind it.

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
        return ops.switch(index, branches)
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
