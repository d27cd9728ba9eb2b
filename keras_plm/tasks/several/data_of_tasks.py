"""How a `MultiTask` is fed: `fit`, `evaluate` and `predict` of the data of several tasks."""

import keras
import numpy as np

from keras_plm.checks import check_choice, check_integer, check_names
from keras_plm.data.mixing import mix
from keras_plm.tasks.feeding import prepared_data
from keras_plm.tasks.feeding.mixed_batches import MixedBatches, TaskBatches, rows_per_example
from keras_plm.tasks.feeding.shuffled_batches import choose_lengths
from keras_plm.tasks.several.parts_of_tasks import EvaluateTasks
from keras_plm.tasks.several.step_of_tasks import CompiledMultiTask


class FittedMultiTask(CompiledMultiTask):
    """Abstract base of `MultiTask`: data by names of tasks, each of which checks its own."""

    def fit(
        self,
        x=None,
        by="sizes",
        batch_size=32,
        epochs=1,
        initial_epoch=0,
        steps_per_epoch=None,
        length_buckets="auto",
        validation_data=None,
        seed=None,
        callbacks=None,
        **kwargs,
    ):
        """Train on the data of several tasks, in batches of one task each.

        Examples are shuffled anew in every pass over a task's data, all of which come before one
        comes again. The batch with the number n follows from the seed, so that
        `initial_epoch` goes on with the batches that would have come.

        Args:
            x: dict of names of tasks to their data: tuples (x, y) or (x, y, sample_weight), as
                the `fit` of the task takes them. Tasks that are not named are not trained.
            by: which task a batch is of, see `keras_plm.data.mix`.
            batch_size: int. How many rows R a batch has.
            epochs, initial_epoch: int. As Keras takes them.
            steps_per_epoch: int or None. None: as `keras_plm.data.mix` says.
            length_buckets: see `Task.fit`; the same lengths for all tasks.
            validation_data: dict of data as `x`, or None. It is evaluated behind each epoch, see
                `evaluate`; the logs have "val_" before the names.
            seed: int or None. Decides the order of all batches. None: `keras.utils.set_random_seed`
                does.
            callbacks, kwargs: as `keras.Model.fit` takes them.

        Returns:
            `keras.callbacks.History`, with the losses of all tasks, and metrics of validation.

        Raises:
            ValueError: if there is no such task, or its data are not what it takes.
        """
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "Several tasks have classes of their own: give a `sample_weight` with the data of "
                f"each. Received: class_weight={kwargs['class_weight']!r:.100}."
            )
        prepared_data.check_numbers(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
        )
        if seed is None:
            seed = np.random.randint(2**31)
        seed, size = check_integer("seed", seed, 0), 32 if batch_size is None else batch_size
        data = self._data(x, "x", labelled=True)
        if validation_data is not None:
            validation_data = self._data(validation_data, "validation_data", labelled=True)
        numbers = [list(self.members).index(name) for name in data]
        parts = [
            TaskBatches(name, self.members[name], batch, size, _seed(seed, number))
            for number, (name, batch) in zip(numbers, data.items())
        ]
        lengths = length_buckets
        if isinstance(lengths, str):
            check_choice("length_buckets", lengths, ["auto"])
            lengths = self._lengths(parts, epochs - initial_epoch, steps_per_epoch)
        for part in parts:
            part.sort(None if self.fixed_shapes else lengths)
        order = mix({one.name: one.num_batches for one in parts}, by, seed, steps_per_epoch)
        batches = MixedBatches(parts, numbers, order, self.input, initial_epoch * order.steps)
        self._see(parts, batches[0])
        callbacks = [] if callbacks is None else callbacks
        if validation_data is not None:
            evaluating = EvaluateTasks(validation_data, batch_size)
            if isinstance(callbacks, keras.callbacks.CallbackList):
                raise ValueError(
                    "`validation_data` of several tasks needs `callbacks` in a list. "
                    f"Received: {type(callbacks).__name__}."
                )
            callbacks = [evaluating, *keras.tree.flatten(callbacks)]
        return super().fit(
            batches,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=order.steps,
            callbacks=callbacks,
            **kwargs,
        )

    def evaluate(self, x, batch_size=None, verbose=0, **kwargs):
        """Evaluate each task on its data, as it is evaluated alone.

        Args:
            x: dict of names of tasks to their data: tuples (x, y) or (x, y, sample_weight).
            batch_size: int or None. How many examples a batch has.
            verbose: as for `keras.Model.evaluate`.
            kwargs: other arguments of `evaluate` of each task.

        Returns:
            dict of float: loss and metrics of each task, such as "cola_loss", "cola_accuracy".

        Raises:
            ValueError: if there is no such task, or its data are not what it takes.
        """
        kwargs.pop("return_dict", None)
        found = {}
        for name, batch in self._data(x, "x", labelled=True).items():
            given = keras.utils.unpack_x_y_sample_weight(batch)
            names = dict(zip(("x", "y", "sample_weight"), given))
            logs = self.members[name].evaluate(
                **names, batch_size=batch_size, verbose=verbose, return_dict=True, **kwargs
            )
            found |= {f"{name}_{one}": value for one, value in logs.items()}
        return found

    def predict(self, x, batch_size=None, verbose=0, **kwargs):
        """Predict for texts of tasks.

        Args:
            x: dict of names of tasks to what `predict` of each takes.
            batch_size, verbose, kwargs: see `Task.predict`.

        Returns:
            dict of the name of each task to its outputs.

        Raises:
            ValueError: if there is no such task, or its data are not what it takes.
        """
        given = self._named(x, "x")
        options = dict(batch_size=batch_size, verbose=verbose, **kwargs)
        return {name: self.members[name].predict(one, **options) for name, one in given.items()}

    def train_on_batch(self, x, y=None, sample_weight=None, return_dict=True):
        """Train on one batch of one task; see `keras.Model.train_on_batch`.

        Args:
            x: dict of the name of the task to its texts or features.
            y: dict of the name to labels.
            sample_weight: dict of the name to weights, or None.
            return_dict: bool. It must be True.

        Returns:
            dict of logs.

        Raises:
            ValueError: if there is no such task, several are named, or the data are not what it
                takes.
        """
        names = list(self._named(x, "x"))
        wrong = len(names) != 1 or not isinstance(y, dict) or list(y) != names or not return_dict
        if wrong or not (sample_weight is None or list(sample_weight) == names):
            raise ValueError(
                "A batch is of one task: give `x`, `y` and maybe `sample_weight` as dicts of its "
                f"name, and `return_dict=True`. Received: {names}, y={y!r:.80}."
            )
        (name,) = names
        weight = None if sample_weight is None else sample_weight[name]
        batch = self._data({name: (x[name], y[name], weight)}, "x", labelled=True)[name]
        number, features = list(self.members).index(name), batch[0]
        count = len(features["token_ids"])
        rows = count * rows_per_example(features)
        part = TaskBatches(name, self.members[name], batch, rows, 0)
        part.sort(None)
        one = MixedBatches([part], [number], mix({name: 1}), self.input)
        batch = one.complete(0, part.as_rows(part.arrays))
        self._see([part], batch)
        self._build_optimizer()
        logs = keras.Model.train_on_batch(self, *batch, return_dict=True)
        idle = {f"{other}_loss" for other in self.members if other != name}
        return {key: value for key, value in logs.items() if key not in idle}

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=True):
        """Evaluate on one batch of each of some tasks; see `evaluate` for what comes out.

        Args:
            x, y, sample_weight: dicts by names of tasks, as for `train_on_batch`.
            return_dict: bool. It must be True.

        Raises:
            ValueError: as `evaluate`, or if these are not of the same tasks.
        """
        given = [one for one in (x, y, sample_weight) if one is not None]
        alike = all(isinstance(one, dict) and one.keys() == given[0].keys() for one in given)
        if len(given) < 2 or not alike or not return_dict:
            raise ValueError(
                "Give `x`, `y` and maybe `sample_weight` as dicts of the same tasks, and "
                f"`return_dict=True`. Received: {[type(one).__name__ for one in given]}."
            )
        return self.evaluate({name: tuple(one[name] for one in given) for name in given[0]})

    def _prepare(self, x, y=None, sample_weight=None, labelled=True):
        """Data that are ready: those that `fit` made."""
        return x, y, sample_weight

    def _named(self, x, what):
        """Data by names of tasks."""
        if not isinstance(x, dict) or not x:
            raise ValueError(
                f"`{what}` must be a dict of names of tasks to their data. "
                f"Received: {type(x).__name__}."
            )
        check_names("MultiTask", x, self.members, "tasks")
        return {name: x[name] for name in self.members if name in x}

    def _data(self, x, what, labelled):
        """The data of tasks, made ready and checked by each of them."""
        found = {}
        for name, batch in self._named(x, what).items():
            if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 3:
                raise ValueError(
                    f"The data of {name!r} must be a tuple (x, y) or (x, y, sample_weight). "
                    f"Received: {type(batch).__name__}."
                )
            task = self.members[name]
            x_, y_, weight = prepared_data.prepare(task, *batch, labelled=labelled)
            if not isinstance(x_, dict):
                raise ValueError(
                    f"The data of {name!r} must be lists or arrays. Received: {type(x_).__name__}."
                )
            found[name] = (x_, y_, weight)
        return found

    def _lengths(self, parts, epochs, steps):
        """The lengths of batches that are worth their programs."""
        if self.fixed_shapes:
            return None
        lengths = [(part.lengths, part) for part in parts]
        known = [np.repeat(one, part.several) for one, part in lengths if one is not None]
        if not known:
            return None
        lengths = np.concatenate(known)
        steps = max(1, epochs) * (steps or -(-len(lengths) // parts[0].num_rows))
        cost = self._cost_of_a_program(parts[0].num_rows * lengths.max())
        return choose_lengths(lengths, max(1, steps), cost)

    def _see(self, parts, batch):
        """Make what the first step needs: losses, and how many rows the examples have."""
        for part in parts:
            if self._rows_per_example.get(part.name, 1) != part.several:
                self.train_function = None  # traced with those of before
            self._rows_per_example[part.name] = part.several
            loss, outputs = part.task._compile_loss, part.task.output
            if not loss.built:  # it makes variables, which no branch may do
                y = batch[1][part.name]
                outputs = {key: outputs[key] for key in y} if isinstance(y, dict) else outputs
                loss.build(keras.tree.map_structure(_spec, y), outputs)


def _seed(seed, number):
    """A seed of each task."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _spec(array):
    """An array without its values."""
    return keras.KerasTensor(array.shape, str(array.dtype))
