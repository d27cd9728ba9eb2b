"""Pretraining: any backbone with any objective, and the state that is carried along."""

import logging
import types

import keras

from keras_plm import features as contract
from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, kind
from keras_plm.data.examples import Examples
from keras_plm.layers import CarriedState, UpdateCarriedState
from keras_plm.layers.float_policy import float_policy
from keras_plm.objectives import Objective
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.feeding import prepared_data
from keras_plm.tasks.optimizers.scaled_rate import scaled_rate
from keras_plm.tasks.task import Task
from keras_plm.tasks.training.replicas import num_replicas, scope_of

logger = logging.getLogger("keras_plm")


@keras.saving.register_keras_serializable(package="keras_plm")
class Pretrainer(Task):
    """Trains a backbone by an objective.

    The loss of each head is the mean over its real targets of the batch, whatever their number,
    and 0 if there are none; the loss is the sum over the heads. (With several replicas of
    `tf.distribute` it is Keras's, the mean over the replicas of such means.) Where the backbone
    has a state (`state_spec`), it is carried from batch to batch in `state`, one for training and
    one for evaluation, and is zero in the rows that `fresh` says do not continue.

    Args:
        backbone: a backbone of this package.
        objective: `keras_plm.objectives.Objective`. It also says which features come in.
        preprocessor: `TextPreprocessor` or None. It is kept with the presets; its tokenizer must
            be the one that the examples were made with.

    Call arguments:
        inputs: dict of the features that the objective makes.

    Returns:
        dict of tensors by head: logits, such as `tokens` of shape (B, P, V), one row per target,
        and `sentence_pair` of shape (B, 2), one per example.

    Raises:
        ValueError: if the backbone has a state and the objective does not say `fresh`; if a head
            needs a pooler that the backbone has not; if examples were made with another
            tokenizer, objective or batch size.

    Source: XLNet, arXiv:1906.08237, section 3.1 and table 7 (optimizer); segment recurrence:
    Transformer-XL, arXiv:1901.02860, section 3.2.
    """

    trains_query_rows = True
    labels_are_weighted = True
    examples_of_fit = None  # what `fit` was given last, for `Checkpoint`
    resumed_examples = None  # set by `resume`, until `fit` has compared
    learning_rate = 1e-4
    fixes_shapes = True

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        objective: kind(Objective),
        preprocessor: kind(Preprocessor, none=True) = None,
        **kwargs,
    ):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.objective = objective
        self._seen = types.SimpleNamespace(ends={}, is_said=False)  # Keras does not look into it
        self.heads = objective.heads(backbone)
        self.state = None
        if spec := backbone.state_spec():
            if "fresh" not in objective.feature_names:
                raise ValueError(
                    "A backbone with memory needs an objective that says which rows are `fresh`, "
                    'such as CausalModeling(rows="stream"). '
                    f"Received: {type(objective).__name__}. Set memory_length=0."
                )
            reuse_length = objective.reuse_length
            if reuse_length != backbone.reuse_length:
                raise ValueError(
                    "With a memory, backbone and objective must agree on `reuse_length`, else the "
                    "memory would skip tokens or show those that are still to be predicted. "
                    f"Received: {backbone.reuse_length} and {reuse_length}."
                )
            policy = float_policy(backbone.dtype_policy)
            of_evaluation = backbone.evaluation_state_spec()
            self.state = CarriedState(spec, of_evaluation, dtype=policy, name="state")

        # === Functional model ===
        inputs = {name: _input(name) for name in objective.feature_names}
        features = dict(inputs)
        if self.state is not None:
            features["state"] = self.state(inputs["fresh"])  # (B, ...) each
        outputs, encoded = objective.outputs(backbone, self.heads, features)
        if self.state is not None:
            name = next(iter(outputs))
            outputs[name] = UpdateCarriedState(self.state, name="update_state")(
                outputs[name], encoded["state"]
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    @property
    def memory(self):
        """What is carried from batch to batch, a `CarriedState` or None: `state`."""
        return self.state

    @property
    def tokenizer(self):
        """The tokenizer of the preprocessor, or None."""
        return None if self.preprocessor is None else self.preprocessor.tokenizer

    def fit(self, x, steps_per_epoch=None, validation_data=None, validation_steps=None, **kwargs):
        """Train on examples of the objective.

        Args:
            x: `keras_plm.data.Examples`, or anything with (x, y, sample_weight) that
                `keras.Model.fit` takes.
            steps_per_epoch: int. The batches of an epoch; for `Examples` one pass by default.
            validation_data: as `x`, made with `training=False`.
            validation_steps: int. For `Examples` one pass by default.
            kwargs: see `keras.Model.fit`.

        Raises:
            ValueError: if the examples do not fit the model, or the training that was resumed
                before; the model is unchanged.
        """
        prepared_data.check_numbers(
            steps_per_epoch=steps_per_epoch, validation_steps=validation_steps
        )
        if isinstance(x, Examples) and self.resumed_examples is not None:
            self.resumed_examples.check(x)
        steps_per_epoch = self._take(x, steps_per_epoch, training=True)
        if validation_data is not None:
            validation_steps = self._take(validation_data, validation_steps, training=False)
        if isinstance(validation_data, Examples):
            validation_data = validation_data.repeat()
        self.resumed_examples = None
        self.examples_of_fit = x if isinstance(x, Examples) else None
        identity = self._say_what_comes_again(x)
        history = super().fit(
            x,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation_data,
            validation_steps=validation_steps,
            **kwargs,
        )
        if identity is not None:
            end = x.start + len(history.epoch) * steps_per_epoch
            self._seen.ends[identity] = max(end, self._seen.ends.get(identity, 0))
        return history

    def _say_what_comes_again(self, examples):
        """Say, once, that an earlier `fit` had the batches that come now; whose they are."""
        if not isinstance(examples, Examples):
            return None
        identity = examples.identity
        end = self._seen.ends.get(identity, 0)
        if examples.start < end and not self._seen.is_said:
            self._seen.is_said = True
            logger.warning(
                "Pretrainer.fit: these examples start at batch %d, and this model has been trained "
                "on their batches before %d: the same ones come again. `examples(..., start=%d)` "
                "goes on with new ones.",
                examples.start,
                end,
                end,
            )
        return identity

    def evaluate(self, x=None, steps=None, **kwargs):
        """Evaluate on examples of the objective, made with `training=False`; see `fit`."""
        prepared_data.check_numbers(steps=steps)
        if not kwargs.get("_use_cached_eval_dataset"):
            steps = self._take(x, steps, training=False)
            x = x.repeat() if isinstance(x, Examples) else x
        return super().evaluate(x, steps=steps, **kwargs)

    def predict(self, x, steps=None, **kwargs):
        """Predict logits for examples of the objective; see `evaluate`, whose state it uses."""
        prepared_data.check_numbers(steps=steps)
        steps = self._take(x, steps, training=False)
        x = x.repeat() if isinstance(x, Examples) else x
        return super().predict(x, steps=steps, **kwargs)

    def _take(self, data, steps, training):
        """Check examples, make the state for their batches, and say how many a pass has."""
        if isinstance(data, Examples):
            self._check_examples(data)
            batch_size, steps = data.local_batch_size, steps or data.steps_per_epoch
            prepared_data.check(self, data.batch_at(data.start))
        else:
            batch_size = None
        if self.state is not None:
            if batch_size is None:
                raise ValueError(
                    "A backbone with memory is trained on `keras_plm.data.examples`, whose rows "
                    f"continue from batch to batch. Received: {type(data).__name__}."
                )
            if (replicas := num_replicas(self)) > 1:
                raise ValueError(
                    "A backbone with memory is trained on one replica: what is carried belongs to "
                    "the rows of a whole batch. Make the model in a strategy with one device, on "
                    "JAX with `keras.distribution.DataParallel`, or with memory_length=0. "
                    f"Received: a strategy of {replicas} replicas."
                )
            with scope_of(self):
                is_new = self.state.resize(batch_size, training)
            if is_new:  # traced without this state
                self.train_function = self.test_function = self.predict_function = None
        return steps

    def _check_examples(self, examples):
        """Compare what the examples were made with to what the model is."""
        if examples.objective != self.objective:
            raise ValueError(
                "The examples were made with another objective. Make them with "
                f"`model.objective`, {self.objective}. Received: {examples.objective}."
            )
        if self.tokenizer and examples.tokenizer_fingerprint != self.tokenizer.fingerprint:
            raise ValueError(
                "The corpus was built with another tokenizer than the model's: fingerprint "
                f"{self.tokenizer.fingerprint[:12]}... expected, received "
                f"{examples.tokenizer_fingerprint[:12]}.... Build the corpus again with "
                "`model.tokenizer`."
            )
        if examples.vocabulary_size > self.backbone.vocabulary_size:
            raise ValueError(
                f"The corpus has a vocabulary of {examples.vocabulary_size} ids, the model one "
                f"of {self.backbone.vocabulary_size}. Build the corpus with the model's tokenizer."
            )

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Examples are ready: nothing is done to them."""
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _prepare(self, x, y=None, sample_weight=None, labelled=True):
        """Examples were checked by `_take`; other data are checked as every task does."""
        if isinstance(x, Examples):
            return x, y, sample_weight
        return super()._prepare(x, y, sample_weight, labelled)

    def _trainer(self, x):
        return keras.Model

    def train_step(self, *arguments):
        """Take one step; of a batch of another length than T at a rate in proportion."""
        if not self.objective.variable_length:
            return super().train_step(*arguments)
        token_ids = arguments[-1][0]["token_ids"]  # (B, T)
        length = keras.ops.cast(keras.ops.shape(token_ids)[1], "float32")
        with scaled_rate(self.optimizer, length / self.objective.sequence_length):
            return super().train_step(*arguments)

    def settings(self):
        return {"objective": self.objective.get_config()}

    @classmethod
    def read_settings(cls, settings):
        settings = super().read_settings(settings)
        if "objective" not in settings:  # handed over
            return settings
        return {**settings, "objective": Objective.from_config(settings["objective"])}


def _input(name):
    """A Keras input for a feature; all lengths but the batch's are free."""
    feature = contract.FEATURES[name]
    return keras.Input((None,) * (len(feature.shape) - 1), dtype=feature.dtype, name=name)
