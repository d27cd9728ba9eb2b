"""Moving averages of weights (`use_ema`) that begin where the weights are."""

from keras import ops

from keras_plm.tasks.optimizers.decay_exclusions import assigning_optimizers


def begin_averages(optimizer):
    """Let averages of weights that have taken no step be these, and none share an array with one.

    Keras begins averages at 0, and sets them in a first step. Where there is none, because a group
    of variables stands still or all batches are skipped, the end of `fit` would make 0 of weights.
    That end gives weights the arrays of their averages, of which JAX gives each away once.

    Args:
        optimizer: Keras optimizer, built, or one that wraps such.
    """
    for one in assigning_optimizers(optimizer):
        if not one.use_ema:
            continue
        averages, begins = one._model_variables_moving_average, not int(one.iterations)
        for average, variable in zip(averages, one._trainable_variables):
            if begins or average.value is variable.value:
                average.assign(ops.copy(variable))
