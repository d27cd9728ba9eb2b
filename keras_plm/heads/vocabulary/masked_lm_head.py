"""From rows to a distribution over the vocabulary, with the token embedding as output matrix."""

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_plm.checks import check_arguments, choice, flag, integer, kind, number, text
from keras_plm.heads.head import Head, Targets, class_accuracy
from keras_plm.heads.losses.smoothed_cross_entropy import (
    SHARED_BY,
    SmoothedCrossEntropy,
    check_smoothing,
)
from keras_plm.layers.activation import get_activation
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer


def token_metrics():
    """Return new metrics of logits over a vocabulary: accuracy, and perplexity.

    Returns:
        list of `keras.metrics.Metric`.
    """
    return [class_accuracy(), keras_hub.metrics.Perplexity(from_logits=True, name="perplexity")]


@keras.saving.register_keras_serializable(package="keras_plm")
class MaskedLMHead(SequenceLayer, Head):
    """Logits over the vocabulary: rows times the transposed token embedding, plus a bias.

    BERT, RoBERTa, ERNIE and MPNet first transform the rows (dense, activation, layer norm); XLNet
    and XLM do not; GPT has neither a transform nor a bias.

    Args:
        token_embedding: `keras.layers.ReversibleEmbedding` of shape (V, D), shared with the
            backbone; with `tie_weights=False` it has a matrix of its own for the way back.
        transform: bool. Whether the rows are transformed before the product.
        activation: str. The activation of the transform: "gelu" (erf), "gelu_tanh", or a name
            that Keras knows.
        layer_norm_epsilon: float. Of the transform's layer norm.
        use_bias: bool. Whether each token of the vocabulary has a bias.
        kernel_initializer: initializer of the transform's kernel.
        label_smoothing: float. The share of each target that goes to other tokens in the loss,
            below 1; the perplexity is that of the targets themselves.
        shared_by: str. Which other tokens, see `SmoothedCrossEntropy`.
        scale: float. What the rows are multiplied by before the product (T5 1.0: D^-0.5).
        zero_token_id: int or None. The token whose embedding counts as 0 and is not trained
            (Marian's padding), so that its logit is its bias; None: there is none.

    Call arguments:
        rows: tensor of shape (B, P, D).
        mask: bool tensor of shape (B, P) or None: the implicit mask, which the logits have.

    Returns:
        Tensor of shape (B, P, V), float32.

    Raises:
        ValueError: if the activation is unknown, or a setting is out of range.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_plm.heads import MaskedLMHead

    embedding = keras.layers.ReversibleEmbedding(10, 4)
    head = MaskedLMHead(embedding, transform=True)
    assert tuple(head(np.zeros((2, 3, 4), "float32")).shape) == (2, 3, 10)
    ```

    Source: BERT, arXiv:1810.04805, and its released `run_pretraining.py`
    (`get_masked_lm_output`); without the transform XLNet, arXiv:1906.08237, equation 4.
    """

    @check_arguments
    def __init__(
        self,
        token_embedding: kind(keras.layers.Embedding),
        transform: flag() = False,
        activation: text(none=True) = "gelu",
        layer_norm_epsilon: number(0) = 1e-12,
        use_bias: flag() = True,
        kernel_initializer: initializer() = "glorot_uniform",
        label_smoothing: number(0, 1) = 0.0,
        shared_by: choice(SHARED_BY) = "others",
        scale: number(above=0) = 1.0,
        zero_token_id: integer(0, none=True) = None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", float_policy(token_embedding.dtype_policy))
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.use_bias = use_bias
        check_smoothing(label_smoothing)
        self.label_smoothing = label_smoothing
        self.shared_by = shared_by
        self.scale = scale
        self.zero_token_id = zero_token_id
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        activate = None if activation is None and not transform else get_activation(activation)
        self.transform = self.transform_norm = None
        if transform:
            self.transform = keras.layers.Dense(
                token_embedding.output_dim,
                activation=activate,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name="transform",
            )
            self.transform_norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="transform_norm"
            )

    def build(self, rows_shape):
        if not self.token_embedding.built:
            self.token_embedding.build(rows_shape)
        if self.transform is not None:
            self.transform.build(rows_shape)
            self.transform_norm.build(rows_shape)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.token_embedding.input_dim,), initializer="zeros"
            )

    @property
    def targets(self):
        """One token of the vocabulary for each slot."""
        return Targets("BP", self.token_embedding.input_dim)

    @property
    def loss(self):
        """A new cross-entropy over the vocabulary, of smoothed labels if there is a share."""
        if not self.label_smoothing:
            return super().loss
        return SmoothedCrossEntropy(self.label_smoothing, self.shared_by)

    def new_metrics(self):
        """Accuracy and perplexity over the targets."""
        return token_metrics()

    def logits(self, rows):
        """The logits of the vocabulary, which generation samples from.

        Args:
            rows: tensor of shape (..., D), token states.

        Returns:
            Tensor of shape (..., V), float32.
        """
        return self(rows)

    def call(self, rows, mask=None):
        if self.transform is not None:
            rows = self.transform_norm(self.transform(rows))  # (B, P, D)
        if mask is not None:
            rows = ops.copy(rows)  # a copy has no mask: the table would warn of one
        if self.scale != 1:
            rows = rows * self.scale
        logits = ops.cast(self.token_embedding(rows, reverse=True), "float32")  # (B, P, V)
        if self.zero_token_id is not None:
            is_zero = np.arange(self.token_embedding.input_dim) == self.zero_token_id  # (V,)
            logits = ops.where(is_zero, ops.zeros_like(logits), logits)
        return logits if self.bias is None else logits + ops.cast(self.bias, "float32")

    def read(self, encoded, features):
        """The logits of the targets.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `target_output` (B, P, D).
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, P, V), float32.
        """
        return self(encoded["target_output"])

    def compute_output_spec(self, rows, mask=None):
        shape = (*rows.shape[:-1], self.token_embedding.input_dim)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "transform": self.transform is not None,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "label_smoothing": self.label_smoothing,
            "shared_by": self.shared_by,
            "scale": self.scale,
            "zero_token_id": self.zero_token_id,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("token_embedding"))
        return cls(embedding, **config)
