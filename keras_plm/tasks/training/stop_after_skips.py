"""The end of a training whose batches are skipped one after the other."""

import logging
import threading

import keras

from keras_plm.tasks.training.finite_guard import SKIPPED

logger = logging.getLogger("keras_plm")


class StopAfterSkips(keras.callbacks.Callback):
    """Ends training when too many batches in a row were skipped, and logs the first one.

    Args:
        limit: int. How many.

    Raises:
        FloatingPointError: from `fit`. The model is then as after its last finite batch.
    """

    async_safe = True  # it does not keep the next step from starting

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self._lock = threading.Lock()
        self._before = 0  # skipped in a row when the epoch began
        self._said = False

    def on_train_begin(self, logs=None):
        self._before, self._said = 0, False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._good, self._last_good, self._last = 0, -1, -1  # how many, and numbers of batches

    def on_epoch_end(self, epoch, logs=None):
        self._before = self._in_a_row()

    def on_train_batch_end(self, batch, logs=None):
        if SKIPPED not in (logs or {}):
            return
        with self._lock:  # calls may come in any order
            skipped = round(float(logs[SKIPPED]))
            good = batch + 1 - skipped
            if good > self._good:
                self._good, self._last_good = good, batch
            elif good == self._good and good:
                self._last_good = min(self._last_good, batch)
            self._last = max(self._last, batch)
            in_a_row = self._in_a_row()
            said, self._said = self._said, self._said or skipped > 0
        if self._said and not said:
            logger.warning(
                "Epoch %d: %d of the first %d batches were skipped, as their loss or gradients are "
                "not finite; see %r in the logs.",
                self._epoch + 1,
                skipped,
                batch + 1,
                SKIPPED,
            )
        if in_a_row >= self.limit:
            raise FloatingPointError(
                f"The loss or gradients of {in_a_row} batches in a row were not finite, the last "
                f"of them batch {batch + 1} of epoch {self._epoch + 1}. The model and its "
                "optimizer are as after the last finite batch. Lower the learning rate, clip "
                "gradients, look for values in data, weights of samples or classes, or initial "
                "weights that are too large; or compile with another `skip_non_finite`. "
                f"Received: skip_non_finite={self.limit}."
            )

    def _in_a_row(self):
        """How many of the last batches were skipped, without a good one among them."""
        return self._last - self._last_good + (0 if self._good else self._before)
