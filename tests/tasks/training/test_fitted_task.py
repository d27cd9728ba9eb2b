import keras
import numpy as np
import pytest

from keras_plm.tasks.training.fitted_task import weights_kept

TEXTS, LABELS = ["alice was tired", "the rabbit", "she ran", "down the hole"], np.arange(4) % 2


class StopAt(keras.callbacks.Callback):
    """Ends training by an error behind a batch."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


def test_what_was_trained_before_an_error_is_kept(make_classifier, graph):
    """JAX's trainer holds the newest values itself while it runs."""
    found = []
    for callbacks in ([StopAt()], []):
        keras.utils.set_random_seed(0)
        task = make_classifier(dropout=0.0)
        task.compile(keras.optimizers.SGD(0.1), **graph)
        before = task.get_weights()
        options = dict(batch_size=1, shuffle=False, verbose=0, callbacks=callbacks)
        if callbacks:
            with pytest.raises(KeyboardInterrupt):
                task.fit(TEXTS, LABELS, **options)
        else:
            task.fit(TEXTS[:2], LABELS[:2], **options)
        found.append(task.get_weights())
        assert any((one != other).any() for one, other in zip(before, found[-1]))
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_error_is_handed_on(make_classifier):
    with pytest.raises(ZeroDivisionError), weights_kept(make_classifier()):
        raise ZeroDivisionError
