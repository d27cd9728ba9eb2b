"""The right one of several choices."""

import keras
import numpy as np

from keras_plm.layers import ChoicesToRows, RowsToChoices
from keras_plm.tasks.choice_preprocessor import ChoicePreprocessor
from keras_plm.tasks.default_optimizer import default_optimizer
from keras_plm.tasks.label_checks import check_class_ids, check_weights
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import summary_head, text_inputs, text_summary


@keras.saving.register_keras_serializable(package="keras_plm")
class MultipleChoice(Task):
    """Chooses the answer to a question about a context, or the continuation of a context.

    Each choice is read with the context, in a row of its own; its logit comes from the vector that
    stands for the row. A batch of B examples with C choices costs as much as one of B * C texts.

    Args:
        backbone: a backbone of this package.
        preprocessor: `ChoicePreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the logits.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, C, T).

    Returns:
        Tensor of shape (B, C): logits.

    Raises:
        ValueError: if a label is no number of a choice.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import ChoicePreprocessor, MultipleChoice

    def choose(path, contexts, questions, choices, labels):
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        model = MultipleChoice(backbone, ChoicePreprocessor(tokenizer, sequence_length=128))
        model.fit((contexts, questions, choices), labels, epochs=3)
        return model.predict((contexts, questions, choices)).argmax(axis=1)
    ```

    Source: XLNet, arXiv:1906.08237, section 3.4.1 (RACE); the released `run_race.py`.
    """

    preprocessor_class = ChoicePreprocessor

    def __init__(self, backbone, preprocessor=None, dropout=0.1, **kwargs):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        backbone.train_query_rows(False)
        head = summary_head(backbone, 1, dropout, name="choice")
        self.heads = {"choice": head}

        # === Functional model ===
        inputs = {
            name: keras.Input((None, None), dtype=tensor.dtype, name=name)  # (B, C, T)
            for name, tensor in text_inputs(backbone).items()
        }
        rows = {name: ChoicesToRows(name=f"{name}_rows")(tensor) for name, tensor in inputs.items()}
        summary = text_summary(backbone, backbone.encode(rows), rows["padding_mask"])
        scores = head(summary)  # (B * C, 1)
        outputs = RowsToChoices(name="scores")(scores, inputs["token_ids"])  # (B, C)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout

    def compile(self, optimizer="auto", loss="auto", metrics="auto", jit_compile=True, **kwargs):
        """Set up training; see `keras.Model.compile`.

        Args:
            optimizer: "auto": AdamW with learning rate 2e-5 and weight decay 0.01, gradients
                clipped to a global norm of 1.
            loss: "auto": sparse categorical cross-entropy on the logits of the choices.
            metrics: "auto": accuracy.
            jit_compile: bool or "auto". Whether XLA compiles the step.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(2e-5)  # table 8, RACE
        if loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(optimizer, loss, metrics=metrics, jit_compile=jit_compile, **kwargs)

    def check_x(self, x):
        """Refuse features that are not (B, C, T), or whose rows the backbone cannot take."""
        if isinstance(x, dict):
            arrays = {name: np.asarray(value) for name, value in x.items()}
            shapes = {name: array.shape for name, array in arrays.items()}
            if len(set(shapes.values())) > 1 or any(len(one) != 3 for one in shapes.values()):
                raise ValueError(
                    "Features must all have the same shape (B, C, T), C choices each. "
                    f"Received: {shapes}."
                )
            x = {name: array.reshape(-1, array.shape[-1]) for name, array in arrays.items()}
        super().check_x(x)

    def check_y(self, x, y, sample_weight):
        """Refuse labels that are no numbers of a choice."""
        count, num_choices = np.shape(x["token_ids"])[:2]
        check_weights(sample_weight, count, "example")
        if y is not None:
            check_class_ids(y, count, num_choices, "example")

    def settings(self):
        return {"dropout": self.dropout}
