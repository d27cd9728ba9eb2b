"""Classification of every word of a text."""

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_integer, flag, kind, number
from keras_plm.heads import TokenHead
from keras_plm.layers.float_policy import float_policy
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.preprocessing.word_preprocessor import WordPreprocessor
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import encode_texts, text_inputs
from keras_plm.tasks.training.class_names import check_class_names
from keras_plm.tasks.training.label_checks import check_weights_of_labels
from keras_plm.tokenizers.text_columns import column_items


@keras.saving.register_keras_serializable(package="keras_plm")
class TokenClassifier(Task):
    """Classifies the words of texts by the output at the first piece of each word.

    Texts are lists of words, labels are lists of as many classes, as numbers or, where
    `class_names` are given, as names. Words that do not fit into `sequence_length` are neither
    trained nor evaluated on; `tag` gives None for them. The loss is the mean over the words of a
    batch, whatever their number.

    Args:
        backbone: a backbone of this package.
        num_classes: int. How many classes C.
        preprocessor: `WordPreprocessor` or None: then features are given, not words.
        class_names: list of C str, or None. The names of the classes, such as
            `["O", "B-person", "I-person"]`.
        dropout: float. Dropout rate before the logits.
        mix_layers: bool. Whether the vector of a word is a weighted sum of all layers of the
            backbone, whose weights are learned, and not the last one: ELMo, mostly with
            `backbone.trainable = False`.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T).

    Returns:
        Tensor of shape (B, T, C): logits; those at the first pieces of words mean something.

    Raises:
        ValueError: if `num_classes` is below 2, the names are not C different ones, or a label
            is out of range.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import TokenClassifier, WordPreprocessor

    def tag(path, texts, labels):  # [["Ann", "sings"], ...], [["B-person", "O"], ...]
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        names = ["O", "B-person", "I-person"]
        model = TokenClassifier(backbone, 3, WordPreprocessor(tokenizer, 64), class_names=names)
        model.fit(texts, labels, epochs=3)
        return model.tag(texts)
    ```

    Source: BERT, arXiv:1810.04805, section 5.3; ELMo, arXiv:1802.05365, section 3.2.
    """

    outputs_of_tokens = True
    labels_are_weighted = True
    preprocessor_class = WordPreprocessor

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        num_classes,
        preprocessor: kind(Preprocessor, none=True) = None,
        class_names=None,
        dropout: number(0, 1) = 0.1,
        mix_layers: flag() = False,
        **kwargs,
    ):
        num_classes = check_integer("num_classes", num_classes, 2)
        class_names = check_class_names(class_names, num_classes)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = TokenHead(
            int(num_classes),
            dropout=dropout,
            kernel_initializer=backbone.kernel_initializer(),
            class_names=class_names,
            mix=mix_layers,
            dtype=float_policy(backbone.dtype_policy),
            name="token_label",
        )
        self.heads = {"token_label": head}

        # === Config ===
        self.num_classes = int(num_classes)
        self.class_names = class_names  # before `compile`, which needs it
        self.dropout = dropout
        self.mix_layers = mix_layers

        # === Functional model ===
        inputs = text_inputs(backbone)
        outputs = head.read(encode_texts(backbone, inputs), inputs)  # (B, T, C)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def read(self, encoded, features, several=1):
        return self.heads["token_label"].read(encoded, features)

    def tag(self, texts, batch_size=None, **kwargs):
        """Say the most likely class of every word.

        Args:
            texts: list of N lists of str.
            batch_size: int. The rows of a batch.
            kwargs: see `keras.Model.predict`.

        Returns:
            list of N lists, an entry per word: the class's name, or its number without
            `class_names`; None for a word beyond `sequence_length`, which is said in the log
            "keras_plm".

        Raises:
            TypeError, ValueError: see `WordPreprocessor`.
        """
        if self.preprocessor is None:
            raise ValueError("Words need a preprocessor. Received: preprocessor=None.")
        texts = column_items(texts, "`texts`", "texts, each a list of words")
        features, positions = self.preprocessor.features_and_words(texts)
        features = self.keep_inputs(features)
        logits = self.predict(features, batch_size=batch_size, **kwargs)  # (N, T, C)
        tags = []
        for text, places, row in zip(texts, positions, logits):
            ids = row[places].argmax(axis=-1).tolist()
            found = ids if self.class_names is None else [self.class_names[one] for one in ids]
            tags.append(found + [None] * (len(text) - len(found)))
        return tags

    def features_and_labels(self, x, y, sample_weight):
        """Turn texts and the labels of their words into rows of T positions.

        Args:
            x: list of N lists of str.
            y: list of N lists of int, or of str, or None.
            sample_weight: N weights, one per text, or N lists of one per word, or None.

        Returns:
            Tuple (features, int array (N, T) or None, float array (N, T) or None).

        Raises:
            TypeError, ValueError: see the class.
        """
        x = column_items(x, "`x`", "texts, each a list of words")
        features, positions = self.preprocessor.features_and_words(x)
        if y is None:
            return features, None, None
        y = self._class_ids(y)
        y, there = self.preprocessor.at_words(x, positions, y, "label")  # (N, T)
        weight = there.astype("float32")
        if sample_weight is not None:
            what = "weights, one per text or a list of them per text"
            sample_weight = column_items(sample_weight, "`sample_weight`", what)
            if len(sample_weight) == len(x):
                sample_weight = [
                    one if isinstance(one, (list, tuple)) or np.ndim(one) else [one] * len(text)
                    for one, text in zip(sample_weight, x)
                ]
            given, _ = self.preprocessor.at_words(x, positions, sample_weight, "weight")
            check_weights_of_labels(given, weight.shape)
            weight = weight * given
        return features, y, weight

    def _class_ids(self, labels):
        """Labels as lists of numbers."""
        numbers_of = {name: number for number, name in enumerate(self.class_names or ())}
        rows = []
        if hasattr(labels, "__len__"):
            labels = column_items(labels, "`y`", "lists of labels")
        for row, own in enumerate(labels if hasattr(labels, "__len__") else [labels]):
            names = [name for name in own if isinstance(name, str)] if np.ndim(own) else []
            if names and self.class_names is None:
                raise ValueError(
                    f"Labels that are names need `class_names`. Received: {names[0]!r:.80}."
                )
            unknown = [name for name in names if name not in numbers_of]
            if unknown:
                raise ValueError(
                    f"Labels must be among {list(numbers_of)}. Received: {unknown[0]!r:.80} in "
                    f"text {row}."
                )
            rows.append([numbers_of.get(one, one) for one in own] if names else own)
        return rows

    def settings(self):
        names = None if self.class_names is None else list(self.class_names)
        return {
            "num_classes": self.num_classes,
            "class_names": names,
            "dropout": self.dropout,
            "mix_layers": self.mix_layers,
        }
