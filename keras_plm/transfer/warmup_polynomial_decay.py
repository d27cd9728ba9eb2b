"""The learning rate of XLNet: linear warm-up, then linear or polynomial decay."""

import math
from numbers import Integral, Real

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_plm")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `learning_rate`, then polynomial decay to `end_learning_rate`.

    The step counts from 0, as `optimizer.iterations` does, so the very first update has the
    learning rate 0 (it only fills the optimizer's moving averages):

    - `step < warmup_steps`: `learning_rate * step / warmup_steps`
    - then, with `p = (step - warmup_steps) / (total_steps - warmup_steps)` and at most 1:
      `(learning_rate - end_learning_rate) * (1 - p) ** power + end_learning_rate`

    The decay starts where the warm-up ends, at the peak. (BERT's released code counts the decay
    from step 0 instead, and so falls from the peak by `warmup_steps / total_steps` at once.)

    An optimizer with `gradient_accumulation_steps=n` asks its schedule at every batch, not at
    every update: multiply `warmup_steps` and `total_steps` by n there.

    Args:
        learning_rate: float. The peak, reached at step `warmup_steps`.
        warmup_steps: int. The number of steps of the warm-up, in updates; 0 means none.
        total_steps: int. The number of steps of warm-up and decay together, in updates. From there
            on the learning rate stays at `end_learning_rate`.
        end_learning_rate: float. The learning rate at the end, in absolute terms (XLNet's
            `min_lr_ratio` times the peak).
        power: float. The power of the decay: 1 is linear.

    Raises:
        ValueError: if an argument is not a finite number, is negative (`learning_rate` and `power`:
            not positive), if `total_steps` is not above `warmup_steps`, or `end_learning_rate` is
            above `learning_rate`.

    Source: Yang et al. 2019, XLNet (arXiv:1906.08237), Table 7 (linear decay; 40,000 warm-up
    steps of 500,000), and the released code's `decay_method="poly"`.

    Example:

    ```python
    from keras_plm.transfer import WarmupPolynomialDecay, xlnet_optimizer

    schedule = WarmupPolynomialDecay(4e-4, warmup_steps=40_000, total_steps=500_000)
    optimizer = xlnet_optimizer(schedule)
    float(schedule(20_000))  # 2e-4, half of the warm-up
    ```
    """

    def __init__(self, learning_rate, warmup_steps, total_steps, end_learning_rate=0.0, power=1.0):
        super().__init__()
        _check_number("learning_rate", learning_rate, positive=True)
        _check_number("end_learning_rate", end_learning_rate, positive=False)
        _check_number("power", power, positive=True)
        _check_steps("warmup_steps", warmup_steps)
        _check_steps("total_steps", total_steps)
        if total_steps <= warmup_steps:
            raise ValueError(
                "`total_steps` counts the warm-up too, so it must be above `warmup_steps`. "
                f"Received: total_steps={total_steps}, warmup_steps={warmup_steps}."
            )
        if end_learning_rate > learning_rate:
            raise ValueError(
                "`end_learning_rate` must not be above the peak `learning_rate`. Received: "
                f"end_learning_rate={end_learning_rate}, learning_rate={learning_rate}."
            )
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)
        self.total_steps = int(total_steps)
        self.end_learning_rate = float(end_learning_rate)
        self.power = float(power)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warmup = self.learning_rate * (step / max(self.warmup_steps, 1))
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        left = ops.power(1.0 - ops.clip(progress, 0.0, 1.0), self.power)
        decay = (self.learning_rate - self.end_learning_rate) * left + self.end_learning_rate
        return ops.where(step < self.warmup_steps, warmup, decay)

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
        }


def _check_number(name, value, positive):
    number = isinstance(value, Real) and math.isfinite(value)
    if not number or value < 0 or (positive and value == 0):
        bound = "above 0" if positive else "at least 0"
        raise ValueError(f"`{name}` must be a finite number {bound}. Received: {name}={value!r}.")


def _check_steps(name, value):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
        raise ValueError(
            f"`{name}` must be a number of steps, an integer of at least 0. "
            f"Received: {name}={value!r}."
        )
