"""Training on the replicas of a strategy of `tf.distribute`, as Keras trains on them.

A model that is made in the scope of a strategy trains with it wherever its `fit` is called. What
Keras makes late, such as the variables of an optimizer, has to be made in that scope too.
"""

import contextlib

import keras
from keras import ops

from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers


def strategy_of(model):
    """Return the `tf.distribute.Strategy` that a model was made in, or None.

    Args:
        model: Keras model.
    """
    return getattr(model, "_distribute_strategy", None)


def scope_of(model):
    """Return a context in which variables are made as those of a model were.

    Args:
        model: Keras model.
    """
    strategy = strategy_of(model)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def build_optimizer(model):
    """Make the variables of a model's optimizer, where there are none yet, as the model's were.

    Args:
        model: compiled Keras model, built.

    Raises:
        ValueError: if a strategy is asked to accumulate gradients.
    """
    optimizer = model.optimizer
    if optimizer is not None and not optimizer.built:
        accumulating = [one.gradient_accumulation_steps for one in inner_optimizers(optimizer)]
        if strategy_of(model) is not None and any(accumulating):
            raise ValueError(
                "A strategy of `tf.distribute` cannot accumulate gradients: Keras would update "
                "variables inside of a branch. Take smaller batches on more replicas, or train "
                f"with JAX. Received: gradient_accumulation_steps={accumulating[0]}."
            )
        with scope_of(model):
            optimizer.build(model.trainable_variables)


def num_replicas(model):
    """Return on how many replicas TensorFlow trains a model; 1 without a strategy.

    Args:
        model: Keras model.
    """
    strategy = strategy_of(model)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def under_strategy():
    """Return whether a strategy of `tf.distribute` is at work, in whose replica this runs."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.has_strategy()


def part_of_a_replica(strategy, batches):
    """Return what the first replica gets of the first batch.

    Args:
        strategy: `tf.distribute.Strategy`.
        batches: Keras's `EpochIterator`.

    Returns:
        The nest of a batch, of tensors.
    """
    _, _, iterator = next(iter(batches))
    first = lambda value: strategy.experimental_local_results(value)[0]  # noqa: E731
    return keras.tree.map_structure(first, next(iterator))


def clipped_in_all(gradients, clip):
    """Clip the gradients of all replicas, of which each has its part.

    Args:
        gradients: list of tensors, those of this replica if there are several.
        clip: function of such a list. Keras would clip each part for itself.

    Returns:
        list of tensors, whose sum over the replicas is clipped.
    """
    if keras.backend.backend() != "tensorflow":
        return clip(gradients)
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return clip(gradients)
    clipped = clip(replica.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))
    return [ops.divide(one, replica.num_replicas_in_sync) for one in clipped]
