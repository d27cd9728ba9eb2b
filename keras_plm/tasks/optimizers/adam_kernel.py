"""TensorFlow's kernel for Adam: one pass over the weights, where single operations take many."""

import keras

from keras_plm.ops.keras_internals import compiled_by_xla
from keras_plm.tasks.training.replicas import under_strategy


def has_adam_kernel(*variables):
    """Return whether `apply_adam` can update variables here.

    XLA makes one pass of single operations by itself. Under a strategy of `tf.distribute`, inside a
    `keras.StatelessScope` and in half precision they are needed.

    Args:
        variables: Keras or TensorFlow variables.
    """
    if keras.backend.backend() != "tensorflow" or under_strategy() or compiled_by_xla():
        return False
    import tensorflow as tf

    values = [_value(one) for one in variables]
    return all(isinstance(one, tf.Variable) and one.dtype == "float32" for one in values)


def apply_adam(variable, m, v, gradient, rate, beta_1, beta_2, epsilon):
    """Update a variable and its moments: `variable -= rate * m / (sqrt(v) + epsilon)`.

    Args:
        variable, m, v: Keras or TensorFlow variables, for which `has_adam_kernel` is true.
        gradient: tensor of their shape.
        rate: float32 scalar tensor, in which is the correction of the moments, if there is one.
        beta_1, beta_2, epsilon: floats.
    """
    import tensorflow as tf

    tf.raw_ops.ResourceApplyAdam(
        var=_value(variable).handle,
        m=_value(m).handle,
        v=_value(v).handle,
        beta1_power=0.0,  # with powers of the betas the kernel would correct the moments itself
        beta2_power=0.0,
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )


def _value(variable):
    """The variable of TensorFlow in one of Keras, or a tensor in a `keras.StatelessScope`."""
    return variable.value if isinstance(variable, keras.Variable) else variable
