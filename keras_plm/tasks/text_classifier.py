"""Classification of texts and of pairs of texts."""

import keras
import numpy as np

from keras_plm.tasks.auxiliary_loss import with_auxiliary_loss
from keras_plm.tasks.label_checks import check_class_ids, check_weights
from keras_plm.tasks.optimizers import default_optimizer
from keras_plm.tasks.several_rows import (
    checked_rows,
    in_both_orders,
    inputs_of_several,
    sum_of_several,
)
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import summary_head, text_inputs, text_summary


@keras.saving.register_keras_serializable(package="keras_plm")
class TextClassifier(Task):
    """Classifies texts, or pairs of texts, by the vector that stands for each.

    That is the pooled output of a backbone with a pooler, else the output at the first real token
    (BERT's CLS) or the last one (XLNet's CLS; the last token of a causal backbone).

    Args:
        backbone: a backbone of this package.
        num_classes: int. How many classes.
        preprocessor: `TextPreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the logits.
        auxiliary_lm: float. The weight of the loss of a language model over the texts themselves,
            beside that of the task; 0: none. GPT-1 takes 0.5. The backbone must be causal; see
            `keras_plm.heads.AuxiliaryLMLoss`. It counts every text as 1, whatever its weight.
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the backbone has a pooler. GPT-1 has none: False.
        both_orders: bool. Whether of pairs both orders are read, A B and B A, and their vectors
            added: the order of a pair, such as of two questions, makes no difference then.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T); with `both_orders` (B, 2, T).

    Returns:
        Tensor of shape (B, num_classes): logits.

    Raises:
        ValueError: if `num_classes` is below 2, a label is out of range, or another argument is
            not what it should be.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import TextClassifier, TextPreprocessor

    def classify(path, texts, labels):
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        preprocessor = TextPreprocessor(tokenizer, sequence_length=32)
        classifier = TextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
        classifier.fit(texts, labels, epochs=3)
        return classifier.predict(texts)  # (N, 2)
    ```

    Source: BERT, arXiv:1810.04805, section 4.1; XLNet, arXiv:1906.08237, appendix A.4; GPT-1
    (Radford et al. 2018), sections 3.2 and 3.3, and the released `train.py`.
    """

    def __init__(
        self,
        backbone,
        num_classes,
        preprocessor=None,
        dropout=0.1,
        auxiliary_lm=0.0,
        summarise=None,
        both_orders=False,
        **kwargs,
    ):
        if not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
            raise ValueError(
                f"`num_classes` must be an integer of at least 2. Received: {num_classes!r}."
            )

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = summary_head(backbone, int(num_classes), dropout, "label", summarise)
        self.heads = {"label": head}

        # === Functional model ===
        inputs = rows = text_inputs(backbone)
        if both_orders:
            inputs, rows = inputs_of_several(backbone, 2)
        encoded = backbone.encode(rows)
        summary = text_summary(backbone, encoded, rows["padding_mask"])  # (B, D)
        summary = with_auxiliary_loss(summary, auxiliary_lm, backbone, encoded, rows)
        if both_orders:
            summary = sum_of_several(summary, 2)
        outputs = head(summary)  # (B, num_classes)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = int(num_classes)
        self.dropout = dropout
        self.auxiliary_lm = float(auxiliary_lm)
        self.summarise = summarise
        self.both_orders = bool(both_orders)

    def compile(self, optimizer="auto", loss="auto", metrics="auto", jit_compile=True, **kwargs):
        """Set up training; see `keras.Model.compile`.

        Args:
            optimizer: "auto": AdamW with learning rate 5e-5, weight decay 0.01 (not on norms and
                biases), epsilon 1e-6, gradients clipped to a global norm of 1.
            loss: "auto": sparse categorical cross-entropy on logits.
            metrics: "auto": accuracy.
            jit_compile: bool or "auto". Whether XLA compiles the step.
        """
        if optimizer == "auto":
            optimizer = default_optimizer()
        if loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(optimizer, loss, metrics=metrics, jit_compile=jit_compile, **kwargs)

    def features_and_labels(self, x, y, sample_weight):
        if not self.both_orders:
            return super().features_and_labels(x, y, sample_weight)
        return in_both_orders(self.preprocessor, x), y, sample_weight

    def check_x(self, x):
        """Refuse features that the backbone cannot take, or that are not two rows of each pair."""
        super().check_x(checked_rows(x, 2) if self.both_orders else x)

    def check_y(self, x, y, sample_weight):
        """Refuse labels that are not class numbers: JAX would give them a silent loss of 0."""
        count = len(x["token_ids"])
        check_weights(sample_weight, count)
        if y is not None:
            check_class_ids(y, count, self.num_classes)

    def settings(self):
        return {
            "num_classes": self.num_classes,
            "dropout": self.dropout,
            "auxiliary_lm": self.auxiliary_lm,
            "summarise": self.summarise,
            "both_orders": self.both_orders,
        }
