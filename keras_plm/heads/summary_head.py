"""The classification head: a summary of the sequence, then logits."""

import keras

from keras_plm.checks import check_arguments, check_choice, choice, flag, integer, number, text
from keras_plm.heads.label_head import LABELS, LabelHead
from keras_plm.layers.activation import get_activation
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout


@keras.saving.register_keras_serializable(package="keras_plm")
class SummaryHead(LabelHead):
    """Logits from the vector that stands for a text: dense, tanh, dropout, dense.

    A backbone with a pooler has made the summary itself: then only dropout and dense are left.
    Fine-tuned checkpoints of XLNet, XLM and GPT leave out, or replace, one part or another.

    Args:
        num_classes: int. How many logits.
        hidden_dim: int. The width D of the summary.
        dropout: float. Dropout rate of the summary.
        summarise: bool. Whether the first dense layer is there; False for a pooled output.
        kernel_initializer: initializer of the kernels.
        activation: str or None. The activation of the summary: "gelu" (erf), "gelu_tanh", or a
            name that Keras knows, such as "linear" (none). None: tanh behind the first dense
            layer, nothing without it.
        use_bias: bool. Whether the logits have a bias.
        labels: str. What it is trained on: the "class" of a text; its "classes", any number of
            them, each a yes or no; the "choice" among C texts of an example, of which each has
            one logit; a "number".

    Call arguments:
        inputs: tensor of shape (B, D), the output at the token that stands for the text, or the
            pooled output.

    Returns:
        Tensor of shape (B, num_classes), float32.

    Raises:
        ValueError: if the activation or `labels` is unknown.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SummaryHead

    logits = SummaryHead(num_classes=3, hidden_dim=8)(np.zeros((2, 8), "float32"))
    assert tuple(logits.shape) == (2, 3)
    ```

    Source: the released `modeling.py` of XLNet (`summarize_sequence`, then the task's logits);
    without the summary the released `run_classifier.py` of BERT (`create_model`); other
    activations and no bias: transformers' `XLNetSequenceSummary`, `GPT2ForSequenceClassification`.
    """

    @check_arguments
    def __init__(
        self,
        num_classes: integer(1),
        hidden_dim: integer(1),
        dropout: number(0, 1) = 0.1,
        summarise: flag() = True,
        kernel_initializer: initializer() = "glorot_uniform",
        activation: text(none=True) = None,
        use_bias: flag() = True,
        labels: choice(LABELS) = "class",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("labels", labels, LABELS)
        self.labels = labels
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.activation = activation
        self.use_bias = use_bias
        self._activate = get_activation(activation or ("tanh" if summarise else "linear"))
        self.summary = None
        if summarise:
            self.summary = keras.layers.Dense(
                hidden_dim,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name="summary",
            )
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.logits = keras.layers.Dense(
            num_classes,
            use_bias=use_bias,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    def build(self, inputs_shape):
        if self.summary is not None:
            self.summary.build(inputs_shape)
        self.logits.build((*inputs_shape[:-1], self.hidden_dim))

    def call(self, inputs, training=None):
        summary = inputs if self.summary is None else self.summary(inputs)  # (B, D)
        summary = self.dropout(self._activate(summary), training=training)
        return keras.ops.cast(self.logits(summary), "float32")  # (B, num_classes)

    def compute_output_spec(self, inputs, training=None):
        return keras.KerasTensor((*inputs.shape[:-1], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout.rate,
            "summarise": self.summary is not None,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "activation": self.activation,
            "use_bias": self.use_bias,
            "labels": self.labels,
        }
