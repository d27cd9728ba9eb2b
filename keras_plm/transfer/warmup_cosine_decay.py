"""The learning rate of GPT: linear warm-up, then half a wave of a cosine."""

import math

import keras
from keras import ops

from keras_plm.checks import check_integer, check_number


@keras.saving.register_keras_serializable(package="keras_plm")
class WarmupCosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `learning_rate`, then cosine decay to `end_learning_rate`.

    The step counts from 0, as in `WarmupPolynomialDecay`, which has the same arguments:

    - `step < warmup_steps`: `learning_rate * step / warmup_steps`
    - then, with `p = (step - warmup_steps) / (total_steps - warmup_steps)` and at most 1:
      `end_learning_rate + (learning_rate - end_learning_rate) * (1 + cos(pi * p)) / 2`

    Args:
        learning_rate: float. The peak, reached at step `warmup_steps`.
        warmup_steps: int of at least 0.
        total_steps: int. Warm-up and decay together, above `warmup_steps`.
        end_learning_rate: float. The rate at the end and behind it; GPT-3: a tenth of the peak.

    Raises:
        ValueError: if an argument is out of its bounds.

    Source: Radford et al. 2018, GPT, section 4.1 (2,000 updates of warm-up, to 0); Brown et al.,
    GPT-3, arXiv:2005.14165, appendix B (to 10 %).

    Example:

    ```python
    from keras_plm.transfer import WarmupCosineDecay

    schedule = WarmupCosineDecay(2.5e-4, warmup_steps=2000, total_steps=100_000)
    assert abs(float(schedule(51_000)) - 1.25e-4) < 1e-8
    ```
    """

    def __init__(self, learning_rate, warmup_steps, total_steps, end_learning_rate=0.0):
        super().__init__()
        check_number("learning_rate", learning_rate, above=0)
        check_integer("warmup_steps", warmup_steps, 0)
        check_integer("total_steps", total_steps, warmup_steps + 1)
        check_number("end_learning_rate", end_learning_rate, 0, learning_rate)
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)
        self.total_steps = int(total_steps)
        self.end_learning_rate = float(end_learning_rate)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warmup = self.learning_rate * (step / max(self.warmup_steps, 1))
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        left = (1.0 + ops.cos(math.pi * ops.clip(progress, 0.0, 1.0))) / 2.0
        decay = self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left
        return ops.where(step < self.warmup_steps, warmup, decay)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "end_learning_rate": self.end_learning_rate,
        }
