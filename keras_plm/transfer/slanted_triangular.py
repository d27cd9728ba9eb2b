"""The learning rate of ULMFiT: a short way up, a long way down."""

import keras
from keras import ops

from keras_plm.checks import check_integer, check_number


@keras.saving.register_keras_serializable(package="keras_plm")
class SlantedTriangular(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise to `learning_rate` in a small part of the steps, then linear fall.

    With `cut = floor(total_steps * cut_fraction)`, at least 1, step t counted from 0 has

    ```text
    p = t / cut                                      while t < cut
    p = 1 - (t - cut) / (total_steps - cut)          then, at least 0
    rate = learning_rate * (1 + p * (ratio - 1)) / ratio
    ```

    which is the paper's wherever `total_steps * cut_fraction` is an integer. Where it is none, the
    paper's formula becomes negative at the end (-0.004 for a rate of 0.01 and 15 steps): it falls
    over `cut * (1 / cut_fraction - 1)` steps, fewer than there are.

    Args:
        learning_rate: float. The peak.
        total_steps: int. The steps of the whole training; behind them the rate stays the last one.
        cut_fraction: float in (0, 1]. Which part of them rises.
        ratio: float of at least 1. The peak divided by the lowest rate.

    Raises:
        ValueError: if an argument is out of its bounds.

    Source: Howard and Ruder, ULMFiT, arXiv:1801.06146, section 3.2.

    Example:

    ```python
    from keras_plm.transfer import SlantedTriangular

    schedule = SlantedTriangular(0.01, total_steps=1000)
    assert abs(float(schedule(100)) - 0.01) < 1e-6
    ```
    """

    def __init__(self, learning_rate, total_steps, cut_fraction=0.1, ratio=32.0):
        super().__init__()
        check_number("learning_rate", learning_rate, above=0)
        check_integer("total_steps", total_steps, 1)
        check_number("cut_fraction", cut_fraction, most=1, above=0)
        check_number("ratio", ratio, 1)
        self.learning_rate = float(learning_rate)
        self.total_steps = int(total_steps)
        self.cut_fraction = float(cut_fraction)
        self.ratio = float(ratio)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        cut = max(1, int(self.total_steps * self.cut_fraction + 1e-9))
        fall = 1.0 - (step - cut) / max(1, self.total_steps - cut)
        p = ops.clip(ops.where(step < cut, step / cut, fall), 0.0, 1.0)
        return self.learning_rate * (1.0 + p * (self.ratio - 1.0)) / self.ratio

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "cut_fraction": self.cut_fraction,
            "ratio": self.ratio,
        }
