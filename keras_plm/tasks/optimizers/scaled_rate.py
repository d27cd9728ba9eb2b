"""A learning rate that is a multiple of the optimizer's own, for one step."""

import contextlib

from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers
from keras_plm.tasks.optimizers.replaced_methods import replaced
from keras_plm.tasks.training.replicas import under_strategy


@contextlib.contextmanager
def scaled_rate(optimizer, factor):
    """Let an optimizer take a step, while the block runs, at a multiple of its learning rate.

    The rate is scaled and not the gradient, which Adam would undo and clipping would cut; weight
    decay goes with it. Schedules and what callbacks read and set stay as they are.

    Args:
        optimizer: Keras optimizer.
        factor: scalar tensor.

    Raises:
        ValueError: in a strategy of `tf.distribute`, whose replicas share the optimizer.
    """
    if under_strategy():
        raise ValueError(
            "A strategy of `tf.distribute` cannot train on batches of several lengths, each at a "
            "rate of its own. Set variable_length=False, or train with JAX."
        )
    rate = "_get_current_learning_rate"
    with contextlib.ExitStack() as stack:
        for one in inner_optimizers(optimizer):
            stack.enter_context(replaced(one, {rate: _scaled(getattr(one, rate), factor)}))
        yield


def _scaled(rate, factor):
    """A function of nothing: a multiple of what another gives."""
    return lambda: rate() * factor
