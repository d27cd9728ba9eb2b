"""XLNet's classification head: a summary of the sequence, then logits."""

import keras


@keras.saving.register_keras_serializable(package="keras_plm")
class SummaryHead(keras.layers.Layer):
    """Logits from the vector of one token: dense, tanh, dropout, dense.

    Args:
        num_classes: int. How many logits.
        hidden_dim: int. The width D of the summary.
        dropout: float. Dropout rate of the summary.
        kernel_initializer: initializer of both kernels.

    Call arguments:
        inputs: tensor of shape (B, D), the output at the CLS token.

    Returns:
        Tensor of shape (B, num_classes), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SummaryHead

    logits = SummaryHead(num_classes=3, hidden_dim=8)(np.zeros((2, 8), "float32"))
    assert tuple(logits.shape) == (2, 3)
    ```

    Source: the released `modeling.py` of XLNet (`summarize_sequence`, then the task's logits).
    """

    def __init__(
        self, num_classes, hidden_dim, dropout=0.1, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.summary = keras.layers.Dense(
            hidden_dim,
            activation="tanh",
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="summary",
        )
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    def build(self, inputs_shape):
        self.summary.build(inputs_shape)
        self.logits.build((*inputs_shape[:-1], self.hidden_dim))

    def call(self, inputs, training=None):
        summary = self.dropout(self.summary(inputs), training=training)  # (B, D)
        return keras.ops.cast(self.logits(summary), "float32")  # (B, num_classes)

    def compute_output_spec(self, inputs, training=None):
        return keras.KerasTensor((*inputs.shape[:-1], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout.rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
