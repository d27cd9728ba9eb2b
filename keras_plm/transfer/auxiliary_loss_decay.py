"""A language model beside a task whose loss counts less with every epoch."""

import keras

from keras_plm.checks import check_integer, check_number
from keras_plm.heads import AuxiliaryLMLoss


class AuxiliaryLossDecay(keras.callbacks.Callback):
    """Lets the weight of `auxiliary_lm` fall from epoch to epoch, by the same factor each time.

    The weight of epoch e, counted from 0, is `first * (last / first) ** (e / (epochs - 1))`, and
    stays at `last` from then on. It follows from the number of the epoch alone, so that a training
    that is resumed with `initial_epoch` goes on as it would have. It is a variable of the model:
    one program serves all epochs, `evaluate` takes the weight of the last one, and the weights
    that Keras saves hold it. A preset has the weight that the task was made with.

    Args:
        first: float above 0. The weight in the first epoch; SiATL's is `exp(-1.6)`, 0.2019.
        last: float above 0. The weight from epoch `epochs - 1` on; `exp(-2.3)`, 0.1003.
        epochs: int of at least 1. How many epochs there are from the first to the last weight.

    Raises:
        ValueError: if these are no such numbers; by `fit`, if the model has no `auxiliary_lm`.

    Source: Chronopoulou et al., SiATL, arXiv:1902.10547, section 3.2; the numbers are those of its
    released code.

    Example:

    ```python
    from keras_plm.transfer import AuxiliaryLossDecay

    decay = AuxiliaryLossDecay()
    assert [round(decay.weight_of(epoch), 4) for epoch in (0, 1, 14, 20)] == [
        0.2019,
        0.192,
        0.1003,
        0.1003,
    ]
    ```
    """

    def __init__(self, first=0.20189651799465538, last=0.10025884372280375, epochs=15):
        super().__init__()
        for name, value in (("first", first), ("last", last)):
            check_number(name, value, above=0)
        self.first, self.last = float(first), float(last)
        self.epochs = check_integer("epochs", epochs, 1)

    def weight_of(self, epoch):
        """Return the weight of an epoch.

        Args:
            epoch: int. Its number, counted from 0.

        Returns:
            float.
        """
        if epoch >= self.epochs - 1:
            return self.last
        return self.first * (self.last / self.first) ** (epoch / (self.epochs - 1))

    def set_model(self, model):
        super().set_model(model)
        self.losses = [one for one in model.layers if isinstance(one, AuxiliaryLMLoss)]
        if not self.losses:
            raise ValueError(
                f"{type(self).__name__} needs a task with `auxiliary_lm` above 0, the loss whose "
                f"weight it sets. Received: {type(model).__name__} {model.name!r} without it."
            )

    def on_epoch_begin(self, epoch, logs=None):
        for one in self.losses:
            one.current_weight.assign(self.weight_of(epoch))
