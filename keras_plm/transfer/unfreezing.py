"""Groups of variables that begin to be trained one after the other, in one `fit` or in several."""

import keras

from keras_plm.checks import check_integer
from keras_plm.tasks.optimizers.decay_exclusions import inner_optimizers
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.tasks.training.replicas import build_optimizer


class SequentialUnfreezing(keras.callbacks.Callback):
    """Trains each group of variables from an epoch on, by the gates of a `GroupedOptimizer`.

    The gates follow from the number of the epoch alone, so that a training that is resumed with
    `initial_epoch` goes on as it would have. At the end all is as in the last epoch.

    Args:
        first_epochs: list of int, one for each group of the optimizer, bottom to top: the first
            epoch, counted from 0, in which it is trained. SiATL: `[4, 1, 0]` for embeddings, LSTM
            and what is new.

    Raises:
        ValueError: if these are no integers of at least 0; by `fit`, if the model was not
            compiled with a `GroupedOptimizer` of as many groups.

    Source: Chronopoulou et al., SiATL, arXiv:1902.10547, section 3.3.
    """

    def __init__(self, first_epochs):
        super().__init__()
        self.first_epochs = list(first_epochs)
        for epoch in self.first_epochs:
            check_integer("first_epochs", epoch, 0)

    def set_model(self, model):
        super().set_model(model)
        optimizer, *_ = inner_optimizers(model.optimizer)  # behind a loss scale
        if not isinstance(optimizer, GroupedOptimizer):
            raise ValueError(
                f"{type(self).__name__} needs a model that was compiled with a "
                "`GroupedOptimizer`, such as `discriminative_rates` makes. "
                f"Received: {type(optimizer).__name__}."
            )
        self.optimizer = optimizer

    def on_train_begin(self, logs=None):
        build_optimizer(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        gates = self.optimizer.gates
        first_epochs = self.epochs_of(gates.shape[0])
        gates.assign([float(epoch >= first) for first in first_epochs])

    def epochs_of(self, number):
        """Return the first epochs of as many groups as there are.

        Args:
            number: int. How many groups.
        """
        if len(self.first_epochs) != number:
            raise ValueError(
                f"`first_epochs` must be one number for each of {number} groups. "
                f"Received: first_epochs={self.first_epochs}."
            )
        return self.first_epochs


class GradualUnfreezing(SequentialUnfreezing):
    """Trains the top group of variables first, and one more group with every epoch.

    Args:
        epochs_per_group: int. For how many epochs a group is the lowest that is trained.

    Raises:
        ValueError: see `SequentialUnfreezing`.

    Source: Howard and Ruder, ULMFiT, arXiv:1801.06146, section 3.3.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_plm.transfer import GradualUnfreezing, discriminative_rates, parameter_groups

    model = keras.Sequential([keras.layers.Dense(3, name="below"), keras.layers.Dense(1)])
    model.build((None, 2))
    groups = parameter_groups(model, ["below/"])
    model.compile(discriminative_rates(keras.optimizers.Adam(1e-3), groups), "mse")
    x, y = np.ones((4, 2)), np.ones((4, 1))
    model.fit(x, y, epochs=2, callbacks=[GradualUnfreezing()], verbose=0)
    ```
    """

    def __init__(self, epochs_per_group=1):
        check_integer("epochs_per_group", epochs_per_group, 1)
        super().__init__([])
        self.epochs_per_group = epochs_per_group

    def epochs_of(self, number):
        return [above * self.epochs_per_group for above in reversed(range(number))]


def fit_in_stages(model, stages, *args, **kwargs):
    """Fit stage by stage, each of which trains some groups of variables and computes no others.

    Backpropagation ends where nothing below is trained, which a gate does not save. In turn every
    stage has its program, and an optimizer that begins anew.

    Args:
        model: compiled Keras model.
        stages: list of pairs (groups, epochs): the variables that are trained, a list of lists of
            variables such as a part of what `parameter_groups` returned, and for how many epochs.
        args, kwargs: of `fit`; the stages say which epochs.

    Returns:
        `keras.callbacks.History` of all epochs.

    Raises:
        ValueError: if there is no stage, or one has no variable or no epoch.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_plm.transfer import fit_in_stages, parameter_groups

    model = keras.Sequential([keras.layers.Dense(3, name="below"), keras.layers.Dense(1)])
    model.build((None, 2))
    model.compile("adam", "mse")
    below, above = parameter_groups(model, ["below/"])
    stages = [([above], 1), ([below, above], 2)]
    history = fit_in_stages(model, stages, np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    assert history.epoch == [0, 1, 2]
    ```
    """
    trained = model.trainable_variables
    wanted = []
    for groups, epochs in stages:
        check_integer("epochs", epochs, 1)
        wanted.append(({id(one) for group in groups for one in group}, epochs))
        if not any(id(one) in wanted[-1][0] for one in trained):
            raise ValueError("A stage must train variables of the model. Received: none.")
    if not wanted:
        raise ValueError("`stages` must be a list of pairs (groups, epochs). Received: none.")
    if "epochs" in kwargs or "initial_epoch" in kwargs:
        raise ValueError("`stages` say the epochs. Received: `epochs` or `initial_epoch`.")
    whole, first = keras.callbacks.History(), 0
    whole.history, whole.epoch = {}, []
    try:
        for chosen, epochs in wanted:
            for one in trained:
                one.trainable = id(one) in chosen
            model.compile_from_config(model.get_compile_config())
            last = first + epochs
            history = model.fit(*args, initial_epoch=first, epochs=last, **kwargs)
            whole.epoch += history.epoch
            for name, values in history.history.items():
                whole.history.setdefault(name, []).extend(values)
            first = last
    finally:
        for one in trained:
            one.trainable = True
    whole.set_model(model)
    return whole
