"""Class logits for every token."""

import keras

from keras_plm.checks import check_arguments, flag, integer, number, texts
from keras_plm.heads.head import Head, Targets, class_accuracy
from keras_plm.layers.initializer import initializer
from keras_plm.layers.pooling.scalar_mix import ScalarMix
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.metrics import EntityF1
from keras_plm.metrics.entity_f1 import is_bio


@keras.saving.register_keras_serializable(package="keras_plm")
class TokenHead(SequenceLayer, Head):
    """Logits from the vector of each token: dropout, dense.

    With `mix` that vector is a weighted sum of the layers of a backbone, see `ScalarMix`, whose
    weights the head learns, as ELMo is used.

    Args:
        num_classes: int. How many logits C.
        dropout: float. Dropout rate of the vectors.
        kernel_initializer: initializer of the kernel.
        class_names: list of C str, or None. Where they are "O", "B-..." and "I-...", `EntityF1` is
            among the metrics.
        mix: bool. Whether it takes the layers of a backbone.

    Call arguments:
        inputs: tensor of shape (B, T, D); with `mix` a list of such, bottom to top.

    Returns:
        Tensor of shape (B, T, num_classes), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import TokenHead

    logits = TokenHead(num_classes=3)(np.zeros((2, 5, 8), "float32"))
    assert tuple(logits.shape) == (2, 5, 3)
    ```

    Source: BERT, arXiv:1810.04805, section 5.3; ELMo, arXiv:1802.05365, equation 1.
    """

    @check_arguments
    def __init__(
        self,
        num_classes: integer(1),
        dropout: number(0, 1) = 0.0,
        kernel_initializer: initializer() = "glorot_uniform",
        class_names: texts(none=True) = None,
        mix: flag() = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                "`class_names` must be one for each class. "
                f"Received: num_classes={num_classes}, class_names={class_names!r:.200}."
            )
        self.num_classes = num_classes
        self.class_names = class_names
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.mix = ScalarMix(dtype=self.dtype_policy, name="mix") if mix else None
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    @property
    def targets(self):
        """One class for each token."""
        return Targets("BT", self.num_classes)

    def new_metrics(self):
        """Accuracy over the tokens that count, and F1 of entities where there are such."""
        metrics = [class_accuracy()]
        if self.class_names is not None and is_bio(self.class_names):
            metrics.append(EntityF1(self.class_names))
        return metrics

    def read(self, encoded, features):
        """The logits of every token.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `sequence_output` (B, T, D),
                or with `mix` `hidden_states`, a list of such.
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, T, num_classes), float32.
        """
        return self(encoded["sequence_output" if self.mix is None else "hidden_states"])

    def build(self, inputs_shape):
        if self.mix is not None:
            self.mix.build(inputs_shape)
            inputs_shape = inputs_shape[-1]
        self.logits.build(inputs_shape)

    def call(self, inputs, training=None):
        if self.mix is not None:
            inputs = self.mix(inputs)  # (B, T, D)
        logits = self.logits(self.dropout(inputs, training=training))
        return keras.ops.cast(logits, "float32")  # (B, T, num_classes)

    def compute_mask(self, inputs, previous_mask):
        return previous_mask if self.mix is None else self.mix.compute_mask(inputs, previous_mask)

    def compute_output_spec(self, inputs, training=None):
        inputs = inputs if self.mix is None else inputs[-1]
        return keras.KerasTensor((*inputs.shape[:-1], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "dropout": self.dropout.rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "class_names": None if self.class_names is None else list(self.class_names),
            "mix": self.mix is not None,
        }
