"""What the tasks that predict tokens share: training on targets, and a head over the vocabulary."""

import keras

from keras_plm.tasks.task import Task


class TargetTask(Task):
    """Abstract base of the tasks that predict tokens at `target_positions`.

    It trains on features, as a `Pretrainer` does, with `y = {"tokens": ...}`.
    """

    methods_for_texts = "`generate`"
    labels_are_weighted = True

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Features stay what they are; texts have no targets to be trained on."""
        if not isinstance(x, dict):
            raise ValueError(
                f"{type(self).__name__} trains on features with targets: use `Pretrainer`, whose "
                f"preset it loads, or {self.methods_for_texts} for texts. "
                f"Received: {type(x).__name__}."
            )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    @classmethod
    def settings_of_heads(cls, heads):
        tokens = heads.get("tokens", {})
        names = {"transform": "transform", "head_activation": "activation", "use_bias": "use_bias"}
        return {ours: tokens[theirs] for ours, theirs in names.items() if theirs in tokens}


def target_head(backbone, transform, activation, use_bias, cutoffs=()):
    """A new head over the vocabulary, as the backbone makes it.

    Args:
        backbone: a backbone of this package.
        transform: bool. Whether it transforms the rows first.
        activation: str or None. The activation of the transform; None: the backbone's.
        use_bias: bool. Whether each token of the vocabulary has a bias.
        cutoffs: tuple of int. See `Backbone.lm_head`.

    Returns:
        `Head` with the name "tokens".
    """
    return backbone.lm_head(
        cutoffs,
        transform=transform,
        activation=activation or backbone.activation,
        layer_norm_epsilon=backbone.layer_norm_epsilon,
        use_bias=use_bias,
        kernel_initializer=backbone.kernel_initializer(),
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
