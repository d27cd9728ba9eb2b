"""The papers' training methods: schedules, callbacks, optimizer and model wrappers."""

from keras_plm.transfer.warmup_polynomial_decay import WarmupPolynomialDecay

__all__ = ["WarmupPolynomialDecay"]
