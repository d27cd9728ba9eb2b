"""Whether the second text of a pair belongs to the first."""

import keras

from keras_plm.heads.head import Head, Targets


@keras.saving.register_keras_serializable(package="keras_plm")
class SentencePairHead(Head):
    """Two logits from the pooled vector of a pair: 0 = it goes on, 1 = it does not.

    For BERT's next sentence prediction class 0 is the real next sentence and class 1 a random
    one; for sentence order prediction 0 is in order and 1 swapped.

    Args:
        kernel_initializer: initializer of the kernel.

    Call arguments:
        inputs: tensor of shape (B, D), the pooled output.

    Returns:
        Tensor of shape (B, 2), float32.

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

    targets = Targets("B", 2)

    def __init__(self, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.logits = keras.layers.Dense(
            2,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    def build(self, inputs_shape):
        self.logits.build(inputs_shape)

    def call(self, inputs):
        return keras.ops.cast(self.logits(inputs), "float32")  # (B, 2)

    def read(self, encoded, features):
        """The logits of the pairs.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `pooled_output` (B, D).
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, 2), float32.

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
        return keras.KerasTensor((*inputs.shape[:-1], 2), dtype="float32")

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "kernel_initializer": initializer}
