"""What every backbone has: one forward pass, `encode`, and presets that load safely."""

import collections
import contextlib
import os
import types

import keras
import keras_hub

from keras_plm import files
from keras_plm.backbones.decoding.decoder import RecomputingDecoder
from keras_plm.backbones.preset_files import preset_directory, weights_file
from keras_plm.backbones.preset_files.frozen_parts import freeze_parts, frozen_parts, layers_inside
from keras_plm.backbones.preset_files.quantization import check_saveable
from keras_plm.checks import check_names, is_integer
from keras_plm.heads import AdaptiveSoftmaxHead, MaskedLMHead
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.initializer import Normal, TruncatedNormal


class Backbone(keras_hub.models.Backbone):
    """Abstract base of the backbones. Concrete backbones are final.

    The class's own Functional graph is `encode` on the ids and masks that every text has; a task
    builds its own graph by calling `encode` on the features that it needs, over the same layers
    and weights. A backbone is pure: what is carried from batch to batch comes in and goes out as
    `state`, of which `state_spec` says the form, and lives in the Pretrainer.

    Args:
        frozen: list of str, layers that are not trained, each by its name inside of those around
            it, such as ["token_embedding", "block_0.attention"]. Presets and `.keras` files have
            it where `trainable` was set on some layers.
        kwargs: name, trainable, dtype: those of `keras.Model`.

    Attributes:
        memory_length: int. The tokens M that `encode` hands on as memory; 0 = none.
        reuse_length: int. How many leading tokens of a row its successor does not read again
            and the state goes on from; 0 = all.
        causal: bool. Whether, without an `order`, no token sees one to its right.
        same_length: bool. Whether all rows see equally many keys, so that none sees one without a
            memory.
        first_position: int or None. The row of the position table that a first token has; None:
            there is no such table.
        activation: str. That of the feed-forward layers, which heads with a transform take.
        layer_norm_epsilon: float. That of norms, which heads take as well.
        initializer: str. How initial weights are drawn: "normal" or "truncated_normal".
        initializer_range: float. Standard deviation of initial weights.
        summary_row: str. Which real token of a row stands for all of it: "first" or "last".
        pooler: bool. Whether `encode` returns `pooled_output` as well.
        max_sequence_length: int or None. The longest rows that it takes; None: any.
        bounds: dict of str to int. What the ids of features must lie below, besides `token_ids`.
        not_in_checkpoints: frozenset of str. The paths of weights that no checkpoint has, because
            they come from a file of their own.
    """

    memory_length = 0
    reuse_length = 0
    causal = False
    same_length = False
    first_position = None
    activation = "gelu"
    layer_norm_epsilon = 1e-12
    initializer = "truncated_normal"
    initializer_range = 0.02
    summary_row = "last"
    pooler = False
    max_sequence_length = None
    bounds = types.MappingProxyType({})
    not_in_checkpoints = frozenset()

    def __init__(self, *args, frozen=(), **kwargs):
        cls = type(self)  # Keras would ignore what it does not know
        check_names(
            cls.__name__, set(kwargs) - {"inputs", "outputs"}, preset_directory.arguments_of(cls)
        )
        super().__init__(*args, **kwargs)
        freeze_parts(layers_inside(self), frozen)

    def get_config(self):
        """The name, what is frozen, and the policies of quantized layers and of all others.

        Not KerasHub's: Keras serialises a map without a default by taking the names of the live
        layers' policies away.
        """
        policy = self.dtype_policy
        layers = [layer for layer in self._flatten_layers() if layer.quantization_mode is not None]
        if layers:
            policies = {layer.path: layer.dtype_policy for layer in layers}
            policy = keras.dtype_policies.DTypePolicyMap(float_policy(policy), policies)
        dtype = keras.dtype_policies.serialize(policy)
        config = {"name": self.name, "trainable": self.trainable, "dtype": dtype}
        frozen = frozen_parts(layers_inside(self)) if self.trainable else []
        return {**config, **({"frozen": frozen} if frozen else {})}

    def kernel_initializer(self):
        """Make the initializer of the backbone's kernels, which new heads take as well.

        Returns:
            `keras.initializers.Initializer`, a new one.
        """
        return make_initializer(self.initializer, self.initializer_range)

    @property
    def reads(self):
        """The capabilities that tasks ask for, a frozenset of str, by the config.

        - "bidirectional": without an `order`, a token sees those on both sides.
        - "causal": without an `order`, no token sees one to its right.
        - "alone": no token sees any other, whatever the features.
        - "queries": `target_output` are rows that predict tokens which they do not see, from
          `order` and `target_positions` alone (XLNet).
        - "state": `encode` takes and hands on a `state`.
        - "source": `encode` reads a second sequence, `source_token_ids`.
        - "pooler": `encode` returns `pooled_output`.
        - "entities": `encode` takes `entity_ids`, rows of the table `entity_table`.
        - "both_ways": `encode` takes `backward_character_ids`, and returns `forward_output` and
          `backward_output` of two language models, each half as wide as a token state (ELMo).
        """
        reads = {"causal" if self.causal else "bidirectional"}
        reads |= {"pooler"} if self.pooler else set()
        reads |= {"state"} if self.state_spec() else set()
        return frozenset(reads)

    def lm_head(self, cutoffs=(), **options):
        """Make the head over the vocabulary, named "tokens", that this backbone's tokens need.

        Args:
            cutoffs: tuple of int. The first ids of the clusters of an adaptive softmax behind the
                first; (): every token has a logit.
            options: arguments of `MaskedLMHead`, which an adaptive softmax does not have.

        Returns:
            `Head`: `MaskedLMHead`, or `AdaptiveSoftmaxHead`.

        Raises:
            ValueError: if the cutoffs do not ascend within the vocabulary.
        """
        if cutoffs:
            initializer = self.kernel_initializer()
            return AdaptiveSoftmaxHead(
                self.token_embedding, cutoffs, kernel_initializer=initializer, name="tokens"
            )
        return MaskedLMHead(self.token_embedding, name="tokens", **options)

    def layer_groups(self):
        """Group the weights from bottom to top: embeddings, first block, ..., last block.

        What all blocks share is in the first group, what stands above them (a final norm, a
        pooler) in the last.

        Returns:
            list of L + 1 lists of `keras.Variable`; every weight is in exactly one. One list of
            all, where a backbone does not say more.
        """
        return [list(self.weights)]

    def encode(self, features):
        """Run the forward pass on the features that are present.

        Args:
            features: dict of str to tensor, named and shaped as in `keras_plm.features`.

        Returns:
            dict with `sequence_output` (B, T, D), `hidden_states` (a list of L + 1 tensors
            (B, T, D), embeddings first); with `target_positions` also `target_output` (B, P, D);
            where the backbone has a state, the new `state`, a nest as `state_spec` says.

        Raises:
            ValueError: if the backbone does not take one of the features.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `encode`.")

    def state_spec(self, batch_size=None):
        """Say what is carried from batch to batch: `encode` takes it as the feature `state`.

        Args:
            batch_size: int or None. B.

        Returns:
            Nest of `keras.KerasTensor` of shape (B, ...), each with its dtype; a dict at the top.
            {}: nothing is carried. All zeros is the state of a text that begins.
        """
        return {}

    def evaluation_state_spec(self, batch_size=None):
        """Say what is carried in evaluation, where lengths may differ (a longer memory).

        Args:
            batch_size: int or None. B.

        Returns:
            Nest of the structure of `state_spec`; the same, where a backbone does not say more.
            Where it does, one graph must serve both: `encode` takes lengths from the state.
        """
        return self.state_spec(batch_size)

    def copy_scope(self):
        """Say inside of which context a config of this backbone makes a whole copy of it.

        Returns:
            Context manager. A backbone needs one that was given something no config holds.
        """
        return contextlib.nullcontext()

    def decoder(self):
        """Make what reads a text a few tokens at a time, as a task that writes does.

        Returns:
            `keras_plm.backbones.decoding.decoder.Decoder`; where a backbone has none of its own,
            one that reads the text again at every step.
        """
        return RecomputingDecoder(self)

    def train_query_rows(self, trainable):
        """Set free, or freeze, the weights that only query rows use. Most backbones have none.

        Args:
            trainable: bool; or None, as at first: tasks with query rows train them, and in other
                models they are frozen.
        """

    @property
    def query_weights(self):
        """The weights that only query rows use, and that were not frozen; a list."""
        return []

    def write_preset(self, directory):
        """Write config and weights into a directory that is there.

        Args:
            directory: str.

        Raises:
            ValueError: see `keras_plm.backbones.preset_files.quantization.check_saveable`.
        """
        check_saveable(self)
        config = keras.saving.serialize_keras_object(self)
        for key in ("build_config", "compile_config"):
            config.pop(key, None)
        files.write_json(os.path.join(directory, preset_directory.CONFIG_FILE), config)
        optimizer, self.optimizer = getattr(self, "optimizer", None), None
        try:  # Keras would save the state of a compiled model's optimizer among the weights
            weights_file.write_weights(self, os.path.join(directory, preset_directory.WEIGHTS_FILE))
        finally:
            self.optimizer = optimizer

    def save(self, *args, **kwargs):
        """Save a `.keras` file; see `keras.Model.save` and `write_preset`."""
        check_saveable(self, with_optimizer=True)
        return super().save(*args, **kwargs)

    def export(self, *args, **kwargs):
        """Export the forward pass; see `keras.Model.export` and `write_preset`."""
        check_saveable(self)
        return super().export(*args, **kwargs)

    def save_to_preset(self, preset_dir):
        """Save config and weights to a directory, whole or not at all.

        Args:
            preset_dir: str. The directory; a preset that is there already is replaced.

        Raises:
            ValueError: if the directory is there and holds something else than a preset.
        """
        with files.atomic_directory(preset_dir, preset_directory.CONFIG_FILE) as directory:
            self.write_preset(directory)

    @classmethod
    def from_preset(cls, preset, load_weights=True, strict=False, **kwargs):
        """Load a backbone from a preset.

        Called on `Backbone`, it loads any backbone of this package.

        Args:
            preset: str. A directory: one that `save_to_preset` of a backbone or of a task wrote,
                a Hugging Face one (`config.json`, `model.safetensors`, also in shards), one that
                KerasHub wrote of a BERT, RoBERTa or GPT-2 (`model.weights.h5`), or an
                original TensorFlow checkpoint (`xlnet_config.json`, `xlnet_model.ckpt.*`; what
                its config does not say, such as `causal`, is given here). Or a name of
                `keras_plm.presets.list_presets`, a handle "hf://owner/name@revision", or an
                `OpenedPreset`.
            load_weights: bool. False takes the config alone.
            strict: bool. Whether weights that the file has beside those of the model and of
                known heads are refused. False: they are passed over, and named in the log
                "keras_plm"; but what stands beside weights of the model, such as a block more
                than the config says, is refused in any case.
            kwargs: constructor arguments that replace the saved ones, such as `dropout`.

        Raises:
            FileNotFoundError: if there is no such preset, or it cannot be downloaded.
            ValueError: if it is of another class, or its weights are missing, unexpected,
                misshapen or not finite.
        """
        classes = known_backbones() if cls is Backbone else [cls]
        return preset_directory.read_backbone(preset, classes, load_weights, strict, **kwargs)


def known_backbones(base=Backbone):
    """Return the concrete backbones that there are, of this package and of a user's own."""
    found = []
    for cls in base.__subclasses__():
        found += [cls, *known_backbones(cls)]
    return found


def make_initializer(kind, deviation):
    """Make the initializer of weights.

    Args:
        kind: str. "normal", or "truncated_normal": what lies beyond two deviations is drawn anew,
            so that the weights have 0.88 times the deviation.
        deviation: float. The standard deviation, before that.

    Returns:
        `keras.initializers.Initializer`.

    Raises:
        ValueError: if there is no such kind.
    """
    known = {"normal": Normal, "truncated_normal": TruncatedNormal}
    if not isinstance(kind, str) or kind not in known:
        raise ValueError(
            "`initializer` must be 'normal' or 'truncated_normal'. "
            f"Received: initializer={kind!r:.100}."
        )
    return known[kind](stddev=deviation)


def grouped_weights(backbone, blocks, above=()):
    """Group weights as `Backbone.layer_groups` does.

    Args:
        backbone: `Backbone`.
        blocks: list of L layers, bottom to top.
        above: layers that stand above the last block.

    Returns:
        list of L + 1 lists of `keras.Variable`.
    """
    owners = collections.Counter(id(weight) for block in blocks for weight in block.weights)
    groups = [[one for one in block.weights if owners[id(one)] == 1] for block in blocks]
    groups[-1] += [weight for layer in above for weight in layer.weights]
    taken = {id(weight) for group in groups for weight in group}
    return [[weight for weight in backbone.weights if id(weight) not in taken], *groups]


def check_sizes(**sizes):
    """Refuse sizes of an architecture that are no integers or below 1.

    Args:
        sizes: the constructor arguments, by name.

    Raises:
        ValueError: naming all of the arguments that are wrong.
    """
    wrong = [
        f"{name}={size!r}"
        for name, size in sizes.items()
        if not is_integer(size) or not 1 <= size < 2**31
    ]
    if wrong:
        raise ValueError(
            f"{sorted(sizes)} must be integers of at least 1. Received: {', '.join(wrong):.200}."
        )
