"""Whether the second text of a pair belongs to the first."""

import keras

from keras_plm.checks import check_arguments, integer
from keras_plm.heads.head import Head, Targets
from keras_plm.layers.initializer import initializer


@keras.saving.register_keras_serializable(package="keras_plm")
class SentencePairHead(Head):
    """Two logits from the pooled vector of a pair: 0 = it goes on, 1 = it does not.

    For BERT's next sentence prediction class 0 is the real next sentence and class 1 a random
    one; for sentence order prediction 0 is in order and 1 swapped.

    Other labels of pairs have as many classes as they have.

    Args:
        kernel_initializer: initializer of the kernel.
        num_classes: int. How many logits.

    Call arguments:
        inputs: tensor of shape (B, D), the pooled output.

    Returns:
        Tensor of shape (B, num_classes), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SentencePairHead

    logits = SentencePairHead()(np.zeros((3, 8), "float32"))
    assert tuple(logits.shape) == (3, 2)
    ```

    Source: BERT, arXiv:1810.04805, section 3.1, task 2; the released `run_pretraining.py`
    (`get_next_sentence_output`).
    """

    @check_arguments
    def __init__(
        self,
        kernel_initializer: initializer() = "glorot_uniform",
        num_classes: integer(1) = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    @property
    def targets(self):
        """One class for each example."""
        return Targets("B", self.num_classes)

    def build(self, inputs_shape):
        self.logits.build(inputs_shape)

    def call(self, inputs):
        return keras.ops.cast(self.logits(inputs), "float32")  # (B, num_classes)

    def read(self, encoded, features):
        """The logits of the pairs.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `pooled_output` (B, D).
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, num_classes), float32.

        Raises:
            ValueError: if the backbone has no pooler.
        """
        if "pooled_output" not in encoded:
            raise ValueError(
                "An objective about whole texts reads the pooled output: make the backbone with "
                f"pooler=True. Received: what a backbone without a pooler gives, {sorted(encoded)}."
            )
        return self(encoded["pooled_output"])

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape[:-1], self.num_classes), dtype="float32")

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "kernel_initializer": initializer,
            "num_classes": self.num_classes,
        }
