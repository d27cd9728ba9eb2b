"""SiATL's classifier: an LSTM of the task, attention over it, and logits."""

import keras

from keras_plm.checks import check_arguments, choice, integer, number
from keras_plm.heads.label_head import LABELS, LabelHead
from keras_plm.layers.initializer import initializer
from keras_plm.layers.pooling.attention_pooling import AttentionPooling


@keras.saving.register_keras_serializable(package="keras_plm")
class AttentionPoolingHead(LabelHead):
    """Logits from an LSTM over the token states, and attention over its outputs.

    The layer `pooling` makes the vector of a text, the head itself its logits.

    Args:
        num_classes: int. How many logits.
        hidden_dim: int. The width D of the token states.
        units: int. The width of the LSTM.
        dropout: float. Dropout rate of the LSTM's outputs, and of the energies of the attention.
        kernel_initializer: initializer of the kernels.
        labels: str. What it is trained on; see `SummaryHead`.

    Call arguments:
        inputs: tensor of shape (B, units), what `pooling` gave.

    Attributes:
        pooling: `keras_plm.layers.AttentionPooling`, from token states (B, T, D) to (B, units).

    Returns:
        Tensor of shape (B, num_classes), float32.

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import AttentionPoolingHead

    head = AttentionPoolingHead(num_classes=3, hidden_dim=8, units=4)
    pooled = head.pooling(np.ones((2, 5, 8), "float32"))
    assert tuple(head(pooled).shape) == (2, 3)
    ```

    Source: Chronopoulou et al., SiATL, arXiv:1902.10547, section 3.2; sizes and dropouts of its
    released code.
    """

    @check_arguments
    def __init__(
        self,
        num_classes: integer(1),
        hidden_dim: integer(1),
        units: integer(1) = 100,
        dropout: number(0, 1) = 0.3,
        kernel_initializer: initializer() = "glorot_uniform",
        labels: choice(LABELS) = "class",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.units = units
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.labels = labels
        self.pooling = AttentionPooling(
            units,
            dropout,
            dropout,
            self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="pooling",
        )
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    def build(self, inputs_shape):
        if not self.pooling.built:
            self.pooling.build((None, None, self.hidden_dim))
        self.logits.build((None, self.units))

    def call(self, inputs):
        return keras.ops.cast(self.logits(inputs), "float32")  # (B, num_classes)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs.shape[0], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_dim": self.hidden_dim,
            "units": self.units,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "labels": self.labels,
        }
