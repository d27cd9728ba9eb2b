"""How tasks are fed: `fit`, `evaluate` and `predict` of strings, features and datasets of them."""

import contextlib
import math
import os
import types

import grain
import keras
import keras_hub
import numpy as np

from keras_plm.generation.compiled_programs import runs_on_cpu, xla_predicts
from keras_plm.tasks.feeding import length_batches, prepared_data
from keras_plm.tasks.feeding.length_batches import Shapes, SortedBatches
from keras_plm.tasks.feeding.ready_datasets import array_of_list, is_tf_dataset
from keras_plm.tasks.feeding.row_lengths import row_lengths, whole_length
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches, choose_lengths
from keras_plm.tasks.feeding.tensorflow_batches import as_tf_dataset
from keras_plm.tasks.training.compiled_task import CompiledTask, is_auto
from keras_plm.tasks.training.finite_guard import SKIPPED
from keras_plm.tasks.training.stop_after_skips import StopAfterSkips

# What compiling one step of training costs, about (docs/performance.md): on a CPU 7 seconds, in
# which a core computes so much; on an accelerator so many steps, which take milliseconds there.
PROGRAM_OF_A_CORE = 7e11
PROGRAM_OF_AN_ACCELERATOR = 200


class FittedTask(CompiledTask):
    """Abstract base of `Task`: raw strings in, checked batches of rows of similar length."""

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Turn strings into features, and check their labels; features stay what they are."""
        if not isinstance(x, dict):
            if self.preprocessor is None:
                raise ValueError(
                    f"{type(self).__name__} has no preprocessor: give a dict of the features "
                    f"{self.input_names_of_task()}. Received: {type(x).__name__}."
                )
            x, y, sample_weight = self.features_and_labels(x, y, sample_weight)
            x, y = self.keep_inputs(x), self.as_labels(y)
            self.check_y(x, y, sample_weight)
        else:
            y = self.as_labels(y)
        kinds = list(self._label_kinds.values())
        y, sample_weight = array_of_list(y, kinds), array_of_list(sample_weight)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def features_and_labels(self, x, y, sample_weight):
        """Turn raw strings and what belongs to them into arrays, before they are checked.

        The base leaves labels and weights as they are: one each per text. A task whose rows are
        not its texts, or whose labels are not of one length, replaces this.

        Args:
            x: strings, as the preprocessor takes them.
            y: labels as the user gave them, or None.
            sample_weight: weights as the user gave them, or None.

        Returns:
            Tuple (dict of features, labels or None, weights or None).
        """
        # Not `preprocessor(x)`: Keras would append all of `x` to the message of an error.
        return self.preprocessor.call(x), y, sample_weight

    @prepared_data.warning_once
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        length_buckets="auto",
        tokens_per_batch=None,
        **kw,
    ):
        """Train on raw strings, on features, or on a dataset of either.

        Lists are tokenised once and shuffled anew in every epoch (`shuffle=False`: not at all);
        other arguments are those of `keras.Model.fit`.

        Args:
            x: list of str, a pair of such lists, a dict of features, or a dataset of batches of
                either: of `tf.data`, of Grain, a `keras.utils.PyDataset` or a generator.
            y: labels of lists and features.
            batch_size: int. The batch size B of lists and features.
            sample_weight: weights of lists and features.
            validation_data: dataset, or tuple (x, y) or (x, y, sample_weight).
            length_buckets: "auto", list of int, or None. Rows of lists and features go into
                batches with rows of similar length, cut to the smallest of these lengths that
                holds them: less work on padding, and one more program of XLA's per length.
                "auto": at most 8 lengths, each only if it saves more time than it takes to
                compile; all lengths that rows have, where XLA does not compile. None, or compiled
                with `fixed_shapes`: every row stays as it is.
            tokens_per_batch: int or None. In place of `batch_size`, for lists and features: each
                batch has as many rows as make so many tokens with their padding, short rows more
                and long ones fewer; of an encoder and a decoder so many on each side.

        Raises:
            ValueError: if the first batch is not what the model takes, or a number of batches or
                rows is no integer of at least 1; the model is unchanged.
        """
        prepared_data.check_numbers(batch_size=batch_size, tokens_per_batch=tokens_per_batch, **kw)
        if batch_size is not None and tokens_per_batch is not None:
            raise ValueError(
                "A batch has a number of rows or a number of tokens: give `batch_size` or "
                f"`tokens_per_batch`. Received: batch_size={batch_size}, {tokens_per_batch=}."
            )
        self._weigh_classes(kw.pop("class_weight", None))
        x, y, sample_weight = self._prepare(x, y, sample_weight)
        trainer = self._trainer(x)
        validation_data = prepared_data.prepare_validation(
            self, validation_data, mapped=trainer is not keras.Model
        )
        if trainer is keras.Model and isinstance(validation_data, grain.MapDataset):
            kw.setdefault("validation_steps", len(validation_data))  # Keras would not ask
        split = kw.pop("validation_split", None)
        if split and validation_data is None:
            (x, y, sample_weight), validation_data = prepared_data.split(x, y, sample_weight, split)
        sortable = trainer is keras.Model and kw.get("validation_steps") is None
        if sortable and isinstance(validation_data, tuple):
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            if isinstance(parts[0], dict):
                size = kw.pop("validation_batch_size", None) or batch_size
                validation_data = self._sorted_batches(parts, size)
        shuffled = isinstance(x, dict) and kw.get("shuffle", True) is True
        sorts = {"length_buckets": length_buckets, "tokens_per_batch": tokens_per_batch}
        sorts = [name for name, one in sorts.items() if one is not None and not is_auto(one)]
        if sorts and not shuffled:
            raise ValueError(
                f"`{sorts[0]}` needs lists or arrays, which are shuffled. "
                f"Received: {type(x).__name__}, shuffle={kw.get('shuffle', True)!r}."
            )
        if not isinstance(x, dict):
            kw.setdefault("shuffle", False)  # Keras cannot, and would warn
        elif shuffled:
            arrays, batch_size = (x, y, sample_weight), batch_size or 32
            if is_auto(length_buckets):
                rows = batch_size
                if tokens_per_batch is not None:
                    rows = max(1, tokens_per_batch // whole_length(x))
                length_buckets = self._length_buckets(x, rows, **kw)
            x = ShuffledBatches(
                arrays,
                batch_size,
                length_buckets,
                cut_left=self._cuts_left and not self.labels_are_positions,
                labels_of_tokens=self.outputs_of_tokens,
                tokens_per_batch=tokens_per_batch,
            )
            kw.update(shuffle=False, steps_per_epoch=kw.get("steps_per_epoch") or x.num_steps)
            y = sample_weight = batch_size = None
        if self._guard is not None:
            stop, callbacks = StopAfterSkips(self._guard.limit), kw.get("callbacks") or []
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.callbacks.append(stop)
            else:
                kw["callbacks"] = [stop, *keras.tree.flatten(callbacks)]
        self._build_optimizer()
        with weights_kept(self):
            return trainer.fit(
                self,
                x=as_tf_dataset(x),
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_data=as_tf_dataset(validation_data),
                **kw,
            )

    @prepared_data.warning_once
    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kw):
        """Evaluate on what `fit` takes; see `keras.Model.evaluate`.

        Rows of lists and features go into batches with rows of similar length, see `compile`.
        """
        prepared_data.check_numbers(batch_size=batch_size, **kw)
        if not kw.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._prepare(x, y, sample_weight)
            if isinstance(x, dict) and kw.get("steps") is None:
                x = self._sorted_batches((x, y, sample_weight), batch_size)
                y = sample_weight = batch_size = None
        trainer = keras.Model if isinstance(x, SortedBatches) else self._trainer(x)
        with weights_kept(self):
            return trainer.evaluate(
                self,
                x=as_tf_dataset(x),
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                **kw,
            )

    @prepared_data.warning_once
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Predict for what `fit` takes; see `keras.Model.predict`.

        Texts and features are read in batches of rows of similar length, the longest ones first;
        results are in the order given. Under TensorFlow on a CPU one program takes all shapes.
        Elsewhere XLA compiles one for each: of the lengths 16, 32, 48, 64, 96, 128, 192, ... and
        of 1, 2, 4, ... `batch_size` rows, of which a call meets as many as it has lengths and one
        more; later calls find them. See `compile` for `fixed_shapes`.
        """
        prepared_data.check_numbers(batch_size=batch_size, steps=steps)
        x, _, _ = self._prepare(x, labelled=False)
        if not isinstance(x, dict) or steps is not None:
            options = dict(batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)
            with weights_kept(self):
                return self._trainer(x).predict(self, x=as_tf_dataset(x), **options)
        number, *_, whole = np.shape(x["token_ids"])
        found = None
        of_tokens = [
            self.outputs_of_tokens and output.shape[1] is None
            for output in keras.tree.flatten(self.output)
        ]
        for rows, outputs, columns in self._predicted(x, batch_size, callbacks, verbose):
            flat = keras.tree.flatten(outputs)
            if found is None:
                found = [
                    np.full(
                        (number, whole, *one.shape[2:]) if tokens else (number, *one.shape[1:]),
                        self.output_of_padding if tokens else 0,
                        one.dtype,
                    )
                    for one, tokens in zip(flat, of_tokens)
                ]
            for all_rows, one, tokens in zip(found, flat, of_tokens):
                all_rows[(rows, columns) if tokens else rows] = one
        return keras.tree.pack_sequence_as(outputs, found)

    def _predicted(self, x, batch_size=None, callbacks=None, verbose=0):
        """Predict for features; see `length_batches.predict`."""
        with weights_kept(self):
            yield from length_batches.predict(
                self, x, self._shapes(batch_size), self._cuts_left, callbacks, verbose
            )

    def _sorted_batches(self, arrays, batch_size):
        """Batches to evaluate on; see `SortedBatches`."""
        return SortedBatches(
            arrays,
            self._shapes(batch_size),
            cut_left=self._cuts_left and not self.labels_are_positions,
            labels_of_tokens=self.outputs_of_tokens,
        )

    def _shapes(self, batch_size):
        """The shapes that batches of predictions have."""
        size = 32 if batch_size is None else batch_size
        return Shapes(size, few=xla_predicts(self), fixed=self.fixed_shapes)

    @property
    def _cuts_left(self):
        """Whether padding at the left of rows may be left out."""
        return self.backbone.max_sequence_length is None

    def _length_buckets(self, x, batch_size, epochs=1, initial_epoch=0, steps_per_epoch=None, **kw):
        """The lengths of batches that are worth their programs, or None."""
        lengths, _ = row_lengths(x, self._cuts_left and not self.labels_are_positions)
        if lengths is None or self.fixed_shapes:
            return None
        steps = (epochs - initial_epoch) * (steps_per_epoch or -(-len(lengths) // batch_size))
        cost = self._cost_of_a_program(batch_size * lengths.max())
        return choose_lengths(lengths, max(steps, 1), cost)

    def _cost_of_a_program(self, tokens):
        """How many steps on so many tokens take as long as XLA does to compile one; 0: it does not.

        A step has six operations for each weight and token: a product and a sum, forward, and as
        many for the gradients of the token and of the weight.
        """
        if keras.backend.backend() != "jax" and not self.jit_compile:
            return 0
        if not runs_on_cpu():
            return PROGRAM_OF_AN_ACCELERATOR
        weights = sum(math.prod(one.shape) for one in self.weights if one.name != "embeddings")
        return PROGRAM_OF_A_CORE * (os.cpu_count() or 1) / (6 * weights * tokens)

    def make_predict_function(self, force=False):
        """Make the program that predicts; see `xla_predicts`."""
        if self.predict_function is not None and not force:
            return self.predict_function
        with self._xla_as_for_predictions():
            return super().make_predict_function(force)

    def make_test_function(self, force=False):
        """Make the program that evaluates; see `xla_predicts`."""
        if self.test_function is not None and not force:
            return self.test_function
        with self._xla_as_for_predictions():
            return super().make_test_function(force)

    @contextlib.contextmanager
    def _xla_as_for_predictions(self):
        before = self.jit_compile
        self.jit_compile = before and xla_predicts(self)
        try:
            yield
        finally:
            self.jit_compile = before

    def train_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Train on one batch of lists or features; see `keras.Model.train_on_batch`."""
        self._weigh_classes(kw.pop("class_weight", None))
        batch = self._prepare(x, y, sample_weight)
        self._build_optimizer()
        return_dict = kw.pop("return_dict", False)
        logs = keras.Model.train_on_batch(self, *batch, return_dict=True, **kw)
        if return_dict:
            return logs
        return self._flatten_metrics_in_order({k: v for k, v in logs.items() if k != SKIPPED})

    def test_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Evaluate on one batch of lists or features; see `keras.Model.test_on_batch`."""
        return keras.Model.test_on_batch(self, *self._prepare(x, y, sample_weight), **kw)

    def _prepare(self, x, y=None, sample_weight=None, labelled=True):
        """Data that are ready and checked."""
        return prepared_data.prepare(self, x, y, sample_weight, labelled)

    def _trainer(self, x):
        """Whose loop it is: KerasHub's for Grain datasets, else Keras's (it shuffles arrays)."""
        ready = x is None or isinstance(x, (dict, types.GeneratorType, keras.utils.PyDataset))
        return keras.Model if ready or is_tf_dataset(x) else keras_hub.models.Task


@contextlib.contextmanager
def weights_kept(model):
    """Bring a model's variables up to date if an exception ends its run.

    JAX's trainer holds the newest values itself while it runs, and the variables the values
    before the first step (see `Task._purge_model_variables`).

    Args:
        model: the Keras model that is about to run.
    """
    try:
        yield
    except BaseException:
        if keras.backend.backend() == "jax":
            model.jax_state_sync()
            model._jax_state = None  # a later failure must not bring these values back
        raise
