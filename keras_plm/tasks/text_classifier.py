"""Classification of texts and of pairs of texts."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import (
    check_arguments,
    check_flag,
    check_integer,
    flag,
    integer,
    kind,
    number,
    text,
)
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.pairs_by_san import check_pairs, pairs_by_san
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
from keras_plm.tasks.training.class_names import (
    check_class_names,
    class_ids_of_names,
    multi_hot,
)
from keras_plm.tasks.training.label_kinds import YES_NO


@dataclass(frozen=True)
class Classification:
    """What a text was classified as.

    Args:
        label: str, or int without `class_names`. The most probable class; with `multi_label` a
            list of all classes with a probability above 0.5, which may be none.
        probabilities: dict of each class, in their order, to its probability, a float. They sum to
            1, but with `multi_label`: there each class has its own yes or no.
    """

    label: str | int | list
    probabilities: dict


@keras.saving.register_keras_serializable(package="keras_plm")
class TextClassifier(Task):
    """Classifies texts, or pairs of texts, by the vector that stands for each.

    That is the pooled output of a backbone with a pooler, else the output at the first real token
    (BERT's CLS) or the last one (XLNet's CLS; the last token of a causal backbone).

    Labels are numbers of classes or, where `class_names` are given, names. With `multi_label` a
    text has any number of classes: its label is a row of C numbers, 1 for each of its classes, or
    a list of their names.

    Args:
        backbone: a backbone of this package.
        num_classes: int. How many classes C.
        preprocessor: `TextPreprocessor` or None: then features are given, not strings.
        dropout: float. Dropout rate before the logits; of pooling="concat" before its first dense
            layer, and a quarter of it before the next (ULMFiT: 0.4); of "attention" behind its
            LSTM and of the attention (SiATL: 0.3).
        auxiliary_lm: float. The weight of the loss of a language model over the texts themselves,
            beside that of the task; 0: none. GPT-1 takes 0.5. The backbone must be causal; see
            `keras_plm.heads.AuxiliaryLMLoss`. It counts every text as 1, whatever its weight.
            `keras_plm.transfer.AuxiliaryLossDecay` lets the weight fall (SiATL).
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the pooled output of a backbone is read. GPT-1 has none: False.
        both_orders: bool. Whether of pairs both orders are read, A B and B A, and their vectors
            added: the order of a pair, such as of two questions, makes no difference then.
        pooling: str or None. What stands for a text: the output at the "first" or "last" real
            token, or the "mean" of those at all real tokens; or "concat", ULMFiT's last, maximum
            and mean, with its `ConcatPoolingHead`; or "attention", SiATL's, over an LSTM of the
            task of width 100, with its `AttentionPoolingHead`; or "san", of pairs alone, MT-DNN's
            answer module, with its `SANHead`. None: the pooled output, or the token that the
            backbone names, as said above.
        summary_activation: str or None. Another activation of the summary than tanh, such as
            "linear" (none); without the dense layer there is none unless it is named.
        logits_bias: bool. Whether the logits have a bias; those of GPT's classifiers in
            transformers have none.
        class_names: list of C str, or None. The names of the classes, such as `["no", "yes"]`.
        multi_label: bool. Whether the classes do not exclude each other: each logit then stands
            for a yes or no of its own. A loss that takes such labels says so too.
        gradient_length: int or None. Through how many of the last tokens of a text the gradient
            goes, of pooling="concat" over a backbone with a state; ULMFiT has 1400. What stands
            before is read without, so that memory does not grow with the text; see
            `keras_plm.layers.LongTextPooling`. None: through all.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T); with `both_orders` (B, 2, T).

    Returns:
        Tensor of shape (B, num_classes): logits.

    Raises:
        ValueError: if `num_classes` is below 2, a label is out of range or has an unknown name,
            or another argument is not what it should be.

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
        return [found.label for found in classifier.classify(texts)]
    ```

    Source: BERT, arXiv:1810.04805, section 4.1; XLNet, arXiv:1906.08237, appendix A.4; GPT-1
    (Radford et al. 2018), sections 3.2 and 3.3, and the released `train.py`.
    """

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        num_classes,
        preprocessor: kind(Preprocessor, none=True) = None,
        dropout: number(0, 1) = 0.1,
        auxiliary_lm=0.0,
        summarise=None,
        both_orders: flag() = False,
        pooling=None,
        summary_activation: text(none=True) = None,
        logits_bias=True,
        class_names=None,
        multi_label: flag() = False,
        gradient_length: integer(1, none=True) = None,
        **kwargs,
    ):
        num_classes = check_integer("num_classes", num_classes, 2)
        check_flag("multi_label", multi_label)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = summary_head(
            backbone,
            int(num_classes),
            dropout,
            "label",
            summarise,
            pooling,
            summary_activation,
            logits_bias,
            labels="classes" if multi_label else "class",
        )
        self.heads = {"label": head}

        # === Functional model ===
        inputs = rows = text_inputs(backbone)
        if both_orders:
            inputs, rows = inputs_of_several(backbone, 2)
        if pooling == "san":
            others = (both_orders, multi_label, auxiliary_lm, gradient_length)
            inputs, outputs = pairs_by_san(backbone, head, inputs, others)
        else:
            pool = pooling_of(head, pooling)
            summary = pooled_texts(backbone, rows, pool, auxiliary_lm, gradient_length)  # (B, D)
            outputs = head(sum_of_several(summary, 2) if both_orders else summary)
        self.class_names = check_class_names(class_names, num_classes)
        self._multi_label = multi_label
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = int(num_classes)
        self.dropout = dropout
        self.auxiliary_lm = float(auxiliary_lm)
        self.summarise = summarise
        self.pooling = pooling
        self.summary_activation = summary_activation
        self.logits_bias = logits_bias
        self.both_orders = bool(both_orders)
        self.gradient_length = gradient_length

    def read(self, encoded, features, several=1):
        head = self.heads["label"]
        if self.pooling == "san":
            return head.read(encoded, features)
        mask = features["padding_mask"]
        return read_texts(self.backbone, head, self.pooling, encoded, mask, several)

    @property
    def multi_label(self):
        """Whether a text may have several classes: made so, or its loss takes such labels."""
        return self._multi_label or self._label_kinds.get("label") == YES_NO

    def classify(self, texts, batch_size=None, **kwargs):
        """Say the class of every text, and how probable each class is.

        Args:
            texts: list of N str, a pair (tuple) of two such lists, or a dict of features: what
                `predict` takes.
            batch_size: int. The rows of a batch.
            kwargs: see `keras.Model.predict`.

        Returns:
            list of N `Classification`, in the order of the texts.

        Raises:
            TypeError, ValueError: see `TextPreprocessor`.
        """
        logits = self.predict(texts, batch_size=batch_size, **kwargs)  # (N, C)
        logits = np.asarray(logits, "float64")
        several = self.multi_label
        if several:
            rows = np.exp(-np.logaddexp(0.0, -logits))  # sigmoid
        else:
            rows = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows /= rows.sum(axis=1, keepdims=True)
        classes = self.class_names or list(range(self.num_classes))
        found = []
        for row in rows.tolist():
            probabilities = dict(zip(classes, row))
            if several:
                label = [one for one in classes if probabilities[one] > 0.5]
            else:
                label = max(classes, key=probabilities.get)
            found.append(Classification(label, probabilities))
        return found

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """As every task does; names of classes become numbers, several of them a row of 0 and 1."""
        if self.multi_label:
            y = multi_hot(y, self.class_names)
        elif self.class_names is not None:
            y = class_ids_of_names(y, self.class_names)
        return super().preprocess_samples(x, y, sample_weight)

    def features_and_labels(self, x, y, sample_weight):
        if not self.both_orders:
            return super().features_and_labels(x, y, sample_weight)
        return in_both_orders(self.preprocessor, x), y, sample_weight

    def check_x(self, x):
        """Refuse features that the backbone cannot take, or that are not what pairs need."""
        super().check_x(checked_rows(x, 2) if self.both_orders else x)
        if self.pooling == "san":
            check_pairs(x)

    def settings(self):
        return {
            "num_classes": self.num_classes,
            "dropout": self.dropout,
            "auxiliary_lm": self.auxiliary_lm,
            "summarise": self.summarise,
            "pooling": self.pooling,
            "summary_activation": self.summary_activation,
            "logits_bias": self.logits_bias,
            "both_orders": self.both_orders,
            "gradient_length": self.gradient_length,
            "class_names": None if self.class_names is None else list(self.class_names),
            "multi_label": self.multi_label,
        }
