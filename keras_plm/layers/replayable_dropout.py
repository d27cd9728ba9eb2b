"""Dropout that can be computed again, and blocks that are."""

import contextlib

import keras

from keras_plm.checks import check_arguments, number
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import dropout


class ReplayableSeed(keras.random.SeedGenerator):
    """A seed generator that hands out given seeds while they are replayed.

    Example:
    ```python
    from keras_plm.layers.replayable_dropout import ReplayableSeed

    generator = ReplayableSeed(1)
    seeds = [generator.next(), generator.next()]
    with generator.replay(seeds):
        assert generator.next() is seeds[0]
    ```
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._replayed = iter(())

    def next(self, ordered=True):
        """The next seed: of those that are replayed, else a new one."""
        for seed in self._replayed:
            return seed
        return super().next(ordered)

    @contextlib.contextmanager
    def replay(self, seeds):
        """Hand out these seeds in the `with` block.

        Args:
            seeds: list of int tensors of shape (2,), from `next`.
        """
        before, self._replayed = self._replayed, iter(seeds)
        try:
            yield
        finally:
            self._replayed = before


@keras.saving.register_keras_serializable(package="keras_plm")
class ReplayableDropout(SequenceLayer):
    """Dropout whose mask can be drawn a second time, for `rematerialise`.

    On JAX it draws fewer random bits than Keras's (`keras_plm.ops.dropout`).

    Args:
        rate: float in [0, 1]. The share of entries that are set to 0 in training.

    Call arguments:
        inputs: tensor of any shape.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: if `rate` is outside of [0, 1].

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ReplayableDropout

    dropped = ReplayableDropout(0.5)(np.ones((2, 8), "float32"), training=True)
    assert set(np.unique(dropped)) <= {0.0, 2.0}
    ```

    Source: Dropout, Srivastava et al. 2014.
    """

    @check_arguments
    def __init__(self, rate: number(), **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be between 0 and 1. Received: rate={rate}.")
        self.rate = rate
        self.seed_generator = ReplayableSeed() if rate > 0 else None
        self.built = True

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        return dropout(inputs, self.rate, self.seed_generator)

    def compute_output_spec(self, inputs, training=False):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


def rematerialise(function, dropouts, draws, *values):
    """Call a function of tensors, and compute it again in the backward pass instead of storing.

    The seeds of its dropout are drawn outside and handed in, so that both computations drop the
    same: `keras.remat` alone would draw anew, and give wrong gradients on TensorFlow.

    Args:
        function: function of the values; what else it needs it may close over, but no gradient
            goes there.
        dropouts: list of the `ReplayableDropout` layers that it calls.
        draws: int. How often it calls each of them.
        values: tensors that gradients go through; others, and None, are handed on as they are.

    Returns:
        What the function returns.

    Source: Chen et al., arXiv:1604.06174.
    """
    generators = [dropout.seed_generator for dropout in dropouts if dropout.rate > 0]
    seeds = [[generator.next() for _ in range(draws)] for generator in generators]
    count = len(generators) * draws
    places = [place for place, value in enumerate(values) if _has_gradient(value)]

    def replayed(*arguments):
        flat, tensors = arguments[:count], arguments[count:]
        own = list(values)
        for place, tensor in zip(places, tensors):
            own[place] = tensor
        with contextlib.ExitStack() as stack:
            for index, generator in enumerate(generators):
                stack.enter_context(generator.replay(flat[index * draws : (index + 1) * draws]))
            return function(*own)

    tensors = [values[place] for place in places]
    return keras.remat(replayed)(*[seed for own in seeds for seed in own], *tensors)


def _has_gradient(value):
    """Whether a value is a tensor of floats."""
    return keras.ops.is_tensor(value) and "float" in keras.backend.standardize_dtype(value.dtype)
