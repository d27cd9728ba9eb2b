"""The optimizer that tasks are trained with unless another is given."""

import keras

# TensorFlow asks by the name of a `tf.Variable`, ".../bias:0".
NO_WEIGHT_DECAY = "(bias|beta|gamma)(:0)?$"


def default_optimizer(learning_rate=5e-5, epsilon=1e-7):
    """AdamW as for BERT and XLNet: weight decay 0.01, not on norms and biases.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`.
        epsilon: float. What is added to the root of the second moment.

    Returns:
        `keras.optimizers.AdamW`, gradients clipped to a global norm of 1.

    Source: XLNet, arXiv:1906.08237, appendix A.3 (table 8).
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=0.01, epsilon=epsilon, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=[NO_WEIGHT_DECAY])
    return optimizer
