"""The right one of several choices."""

import keras
from keras import ops

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, kind, number, text
from keras_plm.layers import RowsToChoices
from keras_plm.preprocessing.choice_preprocessor import ChoicePreprocessor
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.pooled_texts import pooling_of, read_texts, text_summary
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import (
    checked_rows,
    encode_texts,
    inputs_of_several,
    summary_head,
    with_auxiliary_loss,
)


@keras.saving.register_keras_serializable(package="keras_plm")
class MultipleChoice(Task):
    """Chooses the answer to a question about a context, or the continuation of a context.

    Each choice is read with the context, in a row of its own; its logit comes from the vector that
    stands for the row. A batch of B examples with C choices costs as much as one of B * C texts.

    Args:
        backbone: a backbone of this package.
        preprocessor: `ChoicePreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the logits.
        auxiliary_lm: float. The weight of the loss of a language model over the texts themselves,
            beside that of the task; 0: none. GPT-1 takes 0.5. The backbone must be causal; see
            `keras_plm.heads.AuxiliaryLMLoss`. It counts every choice as 1, whatever its weight.
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the pooled output of a backbone is read. GPT-1 has none: False.
        pooling: str or None. What stands for a row: the output at the "first" or "last" real
            token, or the "mean" of those at all real tokens; "concat" or "attention" as
            `TextClassifier` has them. None: the pooled output, or the token that
            `backbone.summary_row` names.
        summary_activation: str or None. Another activation of the summary than tanh, such as
            "linear" (none); without the dense layer there is none unless it is named.
        logits_bias: bool. Whether the logits have a bias; those of GPT's classifiers in
            transformers have none.
        summary_dim: int or None. The width of the dense layer; None: that of the backbone. In
            transformers XLM's is `num_labels`. Of pooling="attention" the width of its LSTM;
            None: 100.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, C, T).

    Returns:
        Tensor of shape (B, C): logits.

    Raises:
        ValueError: if a label is no number of a choice, or an argument is not what it should be.

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

    Source: XLNet, arXiv:1906.08237, section 3.4.1 (RACE); the released `run_race.py`; GPT-1
    (Radford et al. 2018), sections 3.2 and 3.3.
    """

    preprocessor_class = ChoicePreprocessor
    learning_rate = 2e-5  # XLNet, table 8, RACE

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        dropout: number(0, 1) = 0.1,
        auxiliary_lm=0.0,
        summarise=None,
        pooling=None,
        summary_activation: text(none=True) = None,
        logits_bias=True,
        summary_dim=None,
        **kwargs,
    ):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = summary_head(
            backbone,
            1,
            dropout,
            "choice",
            summarise,
            pooling,
            summary_activation,
            logits_bias,
            summary_dim,
            labels="choice",
        )
        self.heads = {"choice": head}

        # === Functional model ===
        inputs, rows = inputs_of_several(backbone)
        encoded = encode_texts(backbone, rows)
        summary = text_summary(
            backbone, encoded, rows["padding_mask"], pooling_of(head, pooling)
        )  # (B * C, D)
        summary = with_auxiliary_loss(summary, auxiliary_lm, backbone, encoded, rows)
        scores = head(summary)  # (B * C, 1)
        outputs = RowsToChoices(name="scores")(scores, inputs["token_ids"])  # (B, C)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout
        self.auxiliary_lm = float(auxiliary_lm)
        self.summarise = summarise
        self.pooling = pooling
        self.summary_activation = summary_activation
        self.logits_bias = logits_bias
        self.summary_dim = summary_dim

    def read(self, encoded, features, several=1):
        scores = read_texts(
            self.backbone, self.heads["choice"], self.pooling, encoded, features["padding_mask"]
        )  # (B * C, 1)
        return ops.reshape(scores, (-1, several))

    def check_x(self, x):
        """Refuse features that are not (B, C, T), or whose rows the backbone cannot take."""
        super().check_x(checked_rows(x))

    def settings(self):
        return {
            "dropout": self.dropout,
            "auxiliary_lm": self.auxiliary_lm,
            "summarise": self.summarise,
            "pooling": self.pooling,
            "summary_activation": self.summary_activation,
            "logits_bias": self.logits_bias,
            "summary_dim": self.summary_dim,
        }
