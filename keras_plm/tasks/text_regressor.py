"""A number for a text or a pair of texts."""

import keras
import numpy as np

from keras_plm.metrics import PearsonCorrelation, SpearmanCorrelation
from keras_plm.tasks.default_optimizer import default_optimizer
from keras_plm.tasks.label_checks import check_weights, numbers
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import summary_head, text_inputs, text_summary


@keras.saving.register_keras_serializable(package="keras_plm")
class TextRegressor(Task):
    """Predicts a number for texts, or pairs of texts, from the vector that stands for each.

    The numbers are predicted as they are: XLNet learned the similarities of STS-B from 0 to 5.
    Large ones had better be scaled to a range like that.

    Args:
        backbone: a backbone of this package.
        preprocessor: `TextPreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the number.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T).

    Returns:
        Tensor of shape (B, 1): a number each.

    Raises:
        ValueError: if a label is no finite number, or there is not one per text.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import TextPreprocessor, TextRegressor

    def similarity(path, first, second, scores):
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        regressor = TextRegressor(backbone, TextPreprocessor(tokenizer, sequence_length=64))
        regressor.fit((first, second), scores, epochs=3)
        return regressor.predict((first, second))  # (N, 1)
    ```

    Source: XLNet, arXiv:1906.08237, appendix A.4; the released `run_classifier.py`
    (`is_regression`).
    """

    def __init__(self, backbone, preprocessor=None, dropout=0.1, **kwargs):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        backbone.train_query_rows(False)
        head = summary_head(backbone, 1, dropout, name="score")
        self.heads = {"score": head}

        # === Functional model ===
        inputs = text_inputs(backbone)
        summary = text_summary(backbone, backbone.encode(inputs), inputs["padding_mask"])  # (B, D)
        outputs = head(summary)  # (B, 1)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout

    def compile(self, optimizer="auto", loss="auto", metrics="auto", jit_compile=True, **kwargs):
        """Set up training; see `keras.Model.compile`.

        Args:
            optimizer: "auto": AdamW with learning rate 5e-5 and weight decay 0.01, gradients
                clipped to a global norm of 1.
            loss: "auto": mean squared error.
            metrics: "auto": mean squared error, Pearson and Spearman correlation; the latter
                holds the latest 8192 numbers (see `SpearmanCorrelation`).
            jit_compile: bool or "auto". Whether XLA compiles the step.
        """
        if optimizer == "auto":
            optimizer = default_optimizer()
        if loss == "auto":
            loss = keras.losses.MeanSquaredError()
        if metrics == "auto":
            metrics = [
                keras.metrics.MeanSquaredError(name="mse"),
                PearsonCorrelation(),
                SpearmanCorrelation(),
            ]
        super().compile(optimizer, loss, metrics=metrics, jit_compile=jit_compile, **kwargs)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """As every task does; the labels become a column, as the outputs are."""
        batch = super().preprocess_samples(x, y, sample_weight)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        if isinstance(y, (list, tuple, np.ndarray)):
            y = np.asarray(y)
            y = y.astype("float32") if numbers(y) else y  # one graph serves all kinds
            y = y[:, None] if y.ndim == 1 else y
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def check_y(self, x, y, sample_weight):
        """Refuse labels that are not one finite number per text."""
        count = len(x["token_ids"])
        check_weights(sample_weight, count)
        if y is None:
            return
        y = np.asarray(y)
        if y.shape not in ((count,), (count, 1)):  # Keras would compare each with all others
            raise ValueError(
                f"There must be one number per text. Received: {y.shape} for {count} texts."
            )
        if not numbers(y):
            raise ValueError(
                "Labels must be finite numbers. "
                f"Received: {y.dtype} values such as {y.ravel()[:5].tolist()}."
            )

    def settings(self):
        return {"dropout": self.dropout}
