"""The learning rate of the original Transformer, which falls with the root of the step."""

import keras
from keras import ops

from keras_plm.checks import check_integer, check_number


@keras.saving.register_keras_serializable(package="keras_plm")
class InverseSquareRootDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `learning_rate`, then decay with the inverse square root of the step.

    Step s, counted from 1 (`optimizer.iterations` + 1), has the rate
    `learning_rate * min(s / warmup_steps, sqrt(warmup_steps / s))`, which never is 0.

    Args:
        learning_rate: float. The peak, at step `warmup_steps`.
        warmup_steps: int of at least 1.

    Raises:
        ValueError: if an argument is out of its bounds.

    Source: Vaswani et al., arXiv:1706.03762, equation 3, whose peak `noam` computes; fairseq's
    `inverse_sqrt` is given the peak.

    Example:

    ```python
    from keras_plm.transfer import InverseSquareRootDecay

    schedule = InverseSquareRootDecay(5e-4, warmup_steps=4000)
    assert abs(float(schedule(15_999)) - 2.5e-4) < 1e-8
    ```
    """

    def __init__(self, learning_rate, warmup_steps):
        super().__init__()
        check_number("learning_rate", learning_rate, above=0)
        check_integer("warmup_steps", warmup_steps, 1)
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0
        warmup = step / self.warmup_steps
        return self.learning_rate * ops.minimum(warmup, ops.sqrt(self.warmup_steps / step))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


def noam(hidden_dim, warmup_steps=4000, factor=1.0):
    """Return the original Transformer's schedule, whose peak follows from the width.

    Args:
        hidden_dim: int. D.
        warmup_steps: int of at least 1.
        factor: float. What the paper's rate is multiplied by.

    Returns:
        `InverseSquareRootDecay` with a peak of `factor / sqrt(hidden_dim * warmup_steps)`.

    Raises:
        ValueError: if an argument is out of its bounds.

    Source: Vaswani et al., arXiv:1706.03762, section 5.3, equation 3.

    Example:

    ```python
    from keras_plm.transfer import noam

    assert abs(float(noam(512)(3999)) - 6.9877e-4) < 1e-8
    ```
    """
    check_integer("hidden_dim", hidden_dim, 1)
    check_integer("warmup_steps", warmup_steps, 1)
    check_number("factor", factor, above=0)
    return InverseSquareRootDecay(factor / (hidden_dim * warmup_steps) ** 0.5, warmup_steps)
