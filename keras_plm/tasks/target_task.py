"""What the tasks that predict tokens share: training on targets, and a head over the vocabulary."""

import keras

from keras_plm.heads import MaskedLMHead
from keras_plm.tasks.task import Task
from keras_plm.tasks.training.defaults import target_losses, target_metrics
from keras_plm.tasks.training.label_checks import check_targets
from keras_plm.tasks.training.optimizers import default_optimizer


class TargetTask(Task):
    """Abstract base of the tasks that predict tokens at `target_positions`.

    It trains on features, as a `Pretrainer` does, with `y = {"tokens": ...}`.
    """

    methods_for_texts = "`generate`"

    def compile(
        self, optimizer="auto", loss="auto", weighted_metrics="auto", jit_compile=True, **kwargs
    ):
        """Set up training on features; see `keras.Model.compile`.

        Args:
            optimizer: "auto": AdamW with learning rate 5e-5, weight decay 0.01 (not on norms and
                biases), epsilon 1e-6, gradients clipped to a global norm of 1.
            loss: "auto": cross-entropy, averaged over the targets by weight.
            weighted_metrics: "auto": accuracy and perplexity over the targets.
            jit_compile: bool or "auto". Whether XLA compiles the step.
        """
        if optimizer == "auto":
            optimizer = default_optimizer()
        if loss == "auto":
            loss = target_losses(self.output)
        if weighted_metrics == "auto":
            weighted_metrics = target_metrics(self.output)
        super().compile(
            optimizer, loss, weighted_metrics=weighted_metrics, jit_compile=jit_compile, **kwargs
        )
        self.forget_programs()

    def forget_programs(self):
        """Forget what was compiled for generation, if there is any: it may have other weights."""

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Features stay what they are; texts have no targets to be trained on."""
        if not isinstance(x, dict):
            raise ValueError(
                f"{type(self).__name__} trains on features with targets: use `Pretrainer`, whose "
                f"preset it loads, or {self.methods_for_texts} for texts. "
                f"Received: {type(x).__name__}."
            )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def check_y(self, x, y, sample_weight):
        """Refuse targets that the model cannot train on, before a backend sees them."""
        check_targets(x, y, sample_weight, self.output)

    @classmethod
    def settings_of_heads(cls, heads):
        tokens = heads.get("tokens", {})
        names = {"transform": "transform", "head_activation": "activation", "use_bias": "use_bias"}
        return {ours: tokens[theirs] for ours, theirs in names.items() if theirs in tokens}


def target_head(backbone, transform, activation, use_bias):
    """A new head over the vocabulary.

    Args:
        backbone: a backbone of this package.
        transform: bool. Whether it transforms the rows first.
        activation: str or None. The activation of the transform; None: the backbone's.
        use_bias: bool. Whether each token of the vocabulary has a bias.

    Returns:
        `MaskedLMHead` with the name "tokens".
    """
    return MaskedLMHead(
        backbone.token_embedding,
        transform=transform,
        activation=activation or backbone.activation,
        layer_norm_epsilon=backbone.layer_norm_epsilon,
        use_bias=use_bias,
        kernel_initializer=backbone.kernel_initializer(),
        name="tokens",
    )


def constant_features(backbone, preprocessor):
    """The features that have one value for all tokens of a text: its language.

    Args:
        backbone: a backbone of this package.
        preprocessor: `TextPreprocessor` or None.

    Returns:
        dict of str to int; empty where the backbone has no languages.

    Raises:
        ValueError: if it has some, and no preprocessor names one.
    """
    if "language_ids" not in backbone.bounds:
        return {}
    if getattr(preprocessor, "tokenizer", None) is None:
        raise ValueError(
            "This backbone has languages: give a preprocessor that names one. "
            "Received: preprocessor=None."
        )
    features = preprocessor.padded([([0], [0])])
    if "language_ids" not in features:
        raise ValueError(
            "This backbone has languages, and the tokenizer has none: give a tokenizer made with "
            f"`languages`. Received: {type(preprocessor.tokenizer).__name__}."
        )
    return {"language_ids": int(features["language_ids"][0, 0])}
