"""Adam with decoupled weight decay, in the forms that the papers' released code has."""

import re

import keras
from keras import ops

from keras_plm.tasks.optimizers.adam_kernel import apply_adam, has_adam_kernel
from keras_plm.tasks.optimizers.dense_gradients import dense_gradients
from keras_plm.tasks.training.replicas import clipped_in_all

NO_DECAY = ("bias", "beta", "gamma")  # of dense layers and norms, in Keras's words


@keras.saving.register_keras_serializable(package="keras_plm")
class AdamWeightDecay(keras.optimizers.AdamW):
    """AdamW with the correction of the moments as an argument, and names that do not decay.

    With m and v, the moving averages of a variable's gradient and of its square, step t does

    ```text
    correction = sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t), or 1 without `bias_correction`
    variable -= learning_rate * (correction * m / (sqrt(v) + epsilon) + weight_decay * variable)
    ```

    which with the correction is `keras.optimizers.AdamW`. Without it the first steps are larger:
    with betas of 0.9 and 0.999 the first 3.2 times as large, the twelfth 6.6 times, the 290th
    twice, the 2000th 1.1 times. Warm-up takes back a part of that.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`.
        weight_decay: float.
        beta_1: float. How much of m a step keeps.
        beta_2: float. How much of v a step keeps.
        epsilon: float. What is added to the root of v.
        bias_correction: bool. Whether m and v, which begin at 0, are corrected for that.
        corrected_decay: bool. Whether weight decay is multiplied by the correction too (GPT-1).
        no_decay: list of str. The names of the variables that do not decay, in any layer: a name
            is the last part of a variable's path, and is meant whole ("bias" is not
            "content_bias"). `exclude_from_weight_decay` replaces them.
        kwargs: arguments of every Keras optimizer, such as `global_clipnorm`, `use_ema` and
            `gradient_accumulation_steps`.

    Raises:
        ValueError: if `weight_decay` is None, or `no_decay` no list of names.

    Source: Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; `optimization.py` of
    google-research/bert, `model_utils.py` of zihangdai/xlnet, `opt.py` of
    openai/finetune-transformer-lm.

    Example:

    ```python
    from keras_plm.transfer import AdamWeightDecay

    optimizer = AdamWeightDecay(1e-4, bias_correction=False, global_clipnorm=1.0)
    assert optimizer.get_config()["no_decay"] == ["bias", "beta", "gamma"]
    ```
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=True,
        corrected_decay=False,
        no_decay=NO_DECAY,
        **kwargs,
    ):
        names = isinstance(no_decay, (list, tuple)) and all(isinstance(n, str) for n in no_decay)
        if not names:
            raise ValueError(
                "`no_decay` must be a list of the names of variables, such as ['bias']. "
                f"Received: no_decay={no_decay!r:.100}."
            )
        if kwargs.pop("amsgrad", False):
            raise ValueError("AdamWeightDecay has no `amsgrad`: take `keras.optimizers.AdamW`.")
        super().__init__(learning_rate, weight_decay, beta_1, beta_2, epsilon, False, **kwargs)
        self.bias_correction = bias_correction
        self.corrected_decay = corrected_decay
        self.no_decay = tuple(no_decay)
        if no_decay:
            self.exclude_from_weight_decay(var_names=[_whole_names(no_decay)])

    def apply(self, grads, trainable_variables=None):
        """Update variables; see Keras's. Gradients of tables may be sparse."""
        return super().apply(dense_gradients(grads), trainable_variables)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Update variables, all of them at the rates of this step."""
        rates = self._rates_of(learning_rate)
        super()._backend_update_step(grads, trainable_variables, rates)

    def _rates_of(self, learning_rate):
        """The rates of this step's update and of its decay, float32 scalars."""
        rate = decay_rate = ops.cast(learning_rate, "float32")
        if self.bias_correction:
            step = ops.cast(self.iterations + 1, "float32")
            rate = rate * ops.sqrt(1 - ops.power(self.beta_2, step))
            rate = rate / (1 - ops.power(self.beta_1, step))
            decay_rate = rate if self.corrected_decay else decay_rate
        return rate, decay_rate * self.weight_decay

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable, and its m and v; see `_rates_of` for `learning_rate`."""
        rate, decay_rate = learning_rate
        dtype = variable.dtype
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        gradient = ops.cast(gradient, dtype)
        decays = self.weight_decay and self._use_weight_decay(variable)
        decay = ops.cast(decay_rate, dtype) * variable if decays else 0.0
        if has_adam_kernel(variable, m, v):
            if decays:
                self.assign_sub(variable, decay)
            apply_adam(variable, m, v, gradient, rate, self.beta_1, self.beta_2, self.epsilon)
            return
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        update = m * ops.cast(rate, dtype) / (ops.sqrt(v) + self.epsilon)
        self.assign_sub(variable, update + decay)

    def _clip_gradients(self, grads):
        """Clip the gradients of a batch, all replicas' together."""
        clips = self.clipnorm or self.global_clipnorm or self.clipvalue
        return clipped_in_all(grads, super()._clip_gradients) if clips else grads

    def _apply_weight_decay(self, variables):
        """Do nothing: Keras decays before the update, `update_step` together with it."""

    def get_config(self):
        config = super().get_config()
        del config["amsgrad"]
        return {
            **config,
            "bias_correction": self.bias_correction,
            "corrected_decay": self.corrected_decay,
            "no_decay": list(self.no_decay),
        }


def _whole_names(names):
    """A pattern of variables with one of these names: "bias", and TensorFlow's ".../bias:0"."""
    return rf"(^|/)({'|'.join(re.escape(name) for name in names)})(:\d+)?$"
