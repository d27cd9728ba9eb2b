"""A number for a text or a pair of texts."""

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, flag, integer, kind, number, text
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.pooled_texts import pooled_texts, pooling_of, read_texts
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import (
    checked_rows,
    in_both_orders,
    inputs_of_several,
    sum_of_several,
    summary_head,
    text_inputs,
)
from keras_plm.tasks.training.label_kinds import numbers


@keras.saving.register_keras_serializable(package="keras_plm")
class TextRegressor(Task):
    """Predicts a number for texts, or pairs of texts, from the vector that stands for each.

    The numbers are predicted as they are: XLNet learned the similarities of STS-B from 0 to 5.
    Large ones had better be scaled to a range like that.

    Args:
        backbone: a backbone of this package.
        preprocessor: `TextPreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the number; of pooling="concat" before its first dense
            layer, and a quarter of it before the next (ULMFiT: 0.4); of "attention" behind its
            LSTM and of the attention (SiATL: 0.3).
        auxiliary_lm: float. The weight of the loss of a language model over the texts themselves,
            beside that of the task; 0: none. GPT-1 takes 0.5. The backbone must be causal; see
            `keras_plm.heads.AuxiliaryLMLoss`. It counts every text as 1, whatever its weight.
            `keras_plm.transfer.AuxiliaryLossDecay` lets the weight fall (SiATL).
        summarise: bool or None. Whether a dense layer with tanh stands before the number; None:
            unless the pooled output of a backbone is read. GPT-1 has none: False.
        both_orders: bool. Whether of pairs both orders are read, A B and B A, and their vectors
            added: the order of a pair, such as of two questions, makes no difference then.
        pooling: str or None. What stands for a text: the output at the "first" or "last" real
            token, or the "mean" of those at all real tokens; or "concat", ULMFiT's last, maximum
            and mean, with its `ConcatPoolingHead`; or "attention", SiATL's, over an LSTM of the
            task of width 100, with its `AttentionPoolingHead`. None: the pooled output, or the
            token that `backbone.summary_row` names.
        summary_activation: str or None. Another activation of the summary than tanh, such as
            "linear" (none); without the dense layer there is none unless it is named.
        logits_bias: bool. Whether a bias is added to the number; GPT's in transformers has none.
        gradient_length: int or None. Through how many of the last tokens of a text the gradient
            goes, of pooling="concat" over a backbone with a state; ULMFiT has 1400. What stands
            before is read without, so that memory does not grow with the text; see
            `keras_plm.layers.LongTextPooling`. None: through all.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T); with `both_orders` (B, 2, T).

    Returns:
        Tensor of shape (B, 1): a number each.

    Raises:
        ValueError: if a label is no finite number, there is not one per text, or an argument is
            not what it should be.

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
    (`is_regression`); GPT-1 (Radford et al. 2018), sections 3.2 and 3.3 (similarity).
    """

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        dropout: number(0, 1) = 0.1,
        auxiliary_lm=0.0,
        summarise=None,
        both_orders: flag() = False,
        pooling=None,
        summary_activation: text(none=True) = None,
        logits_bias=True,
        gradient_length: integer(1, none=True) = None,
        **kwargs,
    ):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = summary_head(
            backbone,
            1,
            dropout,
            "score",
            summarise,
            pooling,
            summary_activation,
            logits_bias,
            labels="number",
        )
        self.heads = {"score": head}

        # === Functional model ===
        inputs = rows = text_inputs(backbone)
        if both_orders:
            inputs, rows = inputs_of_several(backbone, 2)
        pool = pooling_of(head, pooling)
        summary = pooled_texts(backbone, rows, pool, auxiliary_lm, gradient_length)  # (B, D)
        if both_orders:
            summary = sum_of_several(summary, 2)
        outputs = head(summary)  # (B, 1)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout
        self.auxiliary_lm = float(auxiliary_lm)
        self.summarise = summarise
        self.pooling = pooling
        self.summary_activation = summary_activation
        self.logits_bias = logits_bias
        self.both_orders = bool(both_orders)
        self.gradient_length = gradient_length

    def read(self, encoded, features, several=1):
        mask = features["padding_mask"]
        head = self.heads["score"]
        return read_texts(self.backbone, head, self.pooling, encoded, mask, several)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """As every task does; the labels become a column, as the outputs are."""
        batch = super().preprocess_samples(x, y, sample_weight)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        if isinstance(y, (list, tuple, np.ndarray)):
            y = np.asarray(y)
            y = y.astype("float32") if numbers(y) else y  # one graph serves all kinds
            y = y[:, None] if y.ndim == 1 else y
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def features_and_labels(self, x, y, sample_weight):
        if not self.both_orders:
            return super().features_and_labels(x, y, sample_weight)
        return in_both_orders(self.preprocessor, x), y, sample_weight

    def check_x(self, x):
        """Refuse features that the backbone cannot take, or that are not two rows of each pair."""
        super().check_x(checked_rows(x, 2) if self.both_orders else x)

    def settings(self):
        return {
            "dropout": self.dropout,
            "auxiliary_lm": self.auxiliary_lm,
            "summarise": self.summarise,
            "pooling": self.pooling,
            "summary_activation": self.summary_activation,
            "logits_bias": self.logits_bias,
            "both_orders": self.both_orders,
            "gradient_length": self.gradient_length,
        }
