"""ULMFiT's classifier: batch norm, dropout and dense, twice, from a pooled text."""

import keras

from keras_plm.checks import check_arguments, choice, integer, integers, number
from keras_plm.heads.label_head import LABELS, LabelHead
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout


@keras.saving.register_keras_serializable(package="keras_plm")
class ConcatPoolingHead(LabelHead):
    """Logits from what `ConcatPooling` gives: norms over the batch, dropout and dense layers.

    Dense layers have no bias, as the norm before the next has one; nor have the logits. In
    training the norms look at the other examples of the batch.

    Args:
        num_classes: int. How many logits.
        hidden_dim: int. The width D of the token states, of which 3D are pooled.
        intermediate_dims: tuple of int. The widths of the dense layers before the logits.
        dropout: float. Dropout rate of what was pooled.
        intermediate_dropout: float. Dropout rate before every other dense layer.
        kernel_initializer: initializer of the kernels.
        labels: str. What it is trained on; see `SummaryHead`.

    Call arguments:
        inputs: tensor of shape (B, 3D).

    Returns:
        Tensor of shape (B, num_classes), float32.

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import ConcatPoolingHead
    from keras_plm.layers import ConcatPooling

    pooled = ConcatPooling()(np.ones((2, 5, 8), "float32"))
    assert tuple(ConcatPoolingHead(num_classes=3, hidden_dim=8)(pooled).shape) == (2, 3)
    ```

    Source: ULMFiT, arXiv:1801.06146, section 3.3; fastai's `PoolingLinearClassifier`, whose norms
    and biases these are.
    """

    @check_arguments
    def __init__(
        self,
        num_classes: integer(1),
        hidden_dim: integer(1),
        intermediate_dims: integers(1) = (50,),
        dropout: number(0, 1) = 0.4,
        intermediate_dropout: number(0, 1) = 0.1,
        kernel_initializer: initializer() = "glorot_uniform",
        labels: choice(LABELS) = "class",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.intermediate_dims = intermediate_dims
        self.dropout = dropout
        self.intermediate_dropout = intermediate_dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.labels = labels
        widths = (*intermediate_dims, num_classes)
        rates = (dropout, *[intermediate_dropout] * len(intermediate_dims))
        self.steps = [self._step(*one) for one in zip(range(len(widths)), widths, rates)]

    def _step(self, index, width, rate):
        """Norm, dropout and dense of one step."""
        policy, is_last = self.dtype_policy, index == len(self.intermediate_dims)
        return (
            # fastai's: torch's momentum .1 is the share of the new value.
            keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, dtype=policy, name=f"norm_{index}"
            ),
            ReplayableDropout(rate, dtype=policy, name=f"dropout_{index}"),
            keras.layers.Dense(
                width,
                activation=None if is_last else "relu",
                use_bias=False,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=policy,
                name=f"{'logits' if is_last else 'dense'}_{index}",
            ),
        )

    def build(self, inputs_shape):
        width = 3 * self.hidden_dim
        for norm, _, dense in self.steps:
            norm.build((None, width))
            dense.build((None, width))
            width = dense.units

    def call(self, inputs, training=None):
        for norm, dropout, dense in self.steps:
            inputs = dropout(norm(inputs, training=training), training=training)
            inputs = dense(inputs)  # (B, width)
        return keras.ops.cast(inputs, "float32")

    def compute_output_spec(self, inputs, training=None):
        return keras.KerasTensor((inputs.shape[0], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_dim": self.hidden_dim,
            "intermediate_dims": list(self.intermediate_dims),
            "dropout": self.dropout,
            "intermediate_dropout": self.intermediate_dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "labels": self.labels,
        }
