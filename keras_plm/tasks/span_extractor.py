"""Extractive question answering: the span of a context that answers a question."""

import math

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import (
    check_arguments,
    check_integer,
    check_number,
    flag,
    integer,
    kind,
    number,
)
from keras_plm.heads import BeamSpanHead, SpanHead
from keras_plm.heads.span_head import NEVER
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import summary_row
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.preprocessing.span_preprocessor import SpanPreprocessor
from keras_plm.tasks.span_decoding import decode_answers
from keras_plm.tasks.task import Task
from keras_plm.tasks.task_graph import encode_texts, text_inputs
from keras_plm.tasks.training.label_checks import check_positions, check_weights


@keras.saving.register_keras_serializable(package="keras_plm")
class SpanExtractor(Task):
    """Finds the span of a context that answers a question, or says that there is none.

    `fit` and `evaluate` take `x = (questions, contexts)` and, as `y`, for each question a dict
    {"text": [...], "answer_start": [...]} as in SQuAD, or None where there is no answer. A long
    context becomes several rows (windows); `predict` gives the outputs of the rows, `answer` the
    answers to the questions.

    With `beam=True` an end depends on its start, and a part of its own says whether there is an
    answer. Training reads the start of the label: the feature `start_positions`, which `fit`
    takes from `y`; -1 stands for an unknown one.

    Args:
        backbone: a backbone of this package.
        preprocessor: `SpanPreprocessor` or None: then features are given, not strings.
        beam: bool. False: starts and ends are independent, and one token stands for "no
            answer" (see `SpanPreprocessor`).
        start_top: int. How many starts the beam has.
        end_top: int. How many ends each start of the beam has.
        dropout: float. Dropout rate before the logit of "no answer" (beam only).

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, and `answer_mask`, each (B, T); with `beam` also
            `start_positions` (B,).

    Returns:
        dict of `start` and `end`, (B, T) logits; with `beam` also what `BeamSpanHead` returns.

    Raises:
        ValueError: if a beam has no size, or an answer is not in its context.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import SpanExtractor, SpanPreprocessor

    def answer(path, questions, contexts, answers):
        tokenizer = train_tokenizer([path], vocabulary_size=1000)
        backbone = XLNetBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        preprocessor = SpanPreprocessor(tokenizer, sequence_length=128)
        extractor = SpanExtractor(backbone, preprocessor, beam=True)
        extractor.fit((questions, contexts), answers, epochs=3)
        return [found.text for found in extractor.answer(questions, contexts)]
    ```

    Source: XLNet, arXiv:1906.08237, appendix A.5, and the released `run_squad.py` (beam); BERT,
    arXiv:1810.04805, sections 4.2 and 4.3.
    """

    preprocessor_class = SpanPreprocessor
    learning_rate = 3e-5
    outputs_of_tokens = labels_are_positions = True
    output_of_padding = NEVER

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        beam: flag() = False,
        start_top: integer(1) = 5,
        end_top: integer(1) = 5,
        dropout: number(0, 1) = 0.1,
        **kwargs,
    ):
        start_top = check_integer("start_top", start_top, 1)
        end_top = check_integer("end_top", end_top, 1)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        options = dict(
            kernel_initializer=backbone.kernel_initializer(),
            dtype=float_policy(backbone.dtype_policy),
            name="span",
        )
        if beam:
            head = BeamSpanHead(
                backbone.hidden_dim,
                start_top=int(start_top),
                end_top=int(end_top),
                dropout=dropout,
                layer_norm_epsilon=backbone.layer_norm_epsilon,
                **options,
            )
        else:
            head = SpanHead(**options)
        self.heads = {"span": head}

        # === Functional model ===
        inputs = text_inputs(backbone)
        encoded = encode_texts(backbone, inputs)
        inputs["answer_mask"] = keras.Input((None,), dtype="bool", name="answer_mask")
        if beam:
            inputs["start_positions"] = keras.Input((), dtype="int32", name="start_positions")
        self.beam = bool(beam)  # before what needs it
        outputs = self._logits_of(encoded, inputs)

        # === Config ===
        self.start_top = int(start_top)
        self.end_top = int(end_top)
        self.dropout = dropout
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def read(self, encoded, features, several=1):
        return self._labelled(self._logits_of(encoded, features))

    def _logits_of(self, encoded, features):
        """All that the head gives, the beam too."""
        rows, head = encoded["sequence_output"], self.heads["span"]  # (B, T, D)
        if not self.beam:
            return head(rows, features["answer_mask"])
        summary = summary_row(rows, features["padding_mask"], self.backbone.summary_row)  # (B, D)
        return head(rows, features["answer_mask"], features["start_positions"], summary)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of the outputs that have labels; the beam has none."""
        return super().compute_loss(x, y, self._labelled(y_pred), sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics of the outputs that have labels; the beam has none."""
        return super().compute_metrics(x, y, self._labelled(y_pred), sample_weight)

    def _labelled(self, outputs):
        return {name: outputs[name] for name in sorted(self._label_names())}

    def answer(
        self,
        questions,
        contexts,
        n_best=5,
        max_answer_length=64,
        null_threshold=None,
        batch_size=None,
        **kwargs,
    ):
        """Answer questions about contexts of any length.

        Args:
            questions: list of N str.
            contexts: list of N str.
            n_best: int. How many possible answers of each question are kept.
            max_answer_length: int. The most tokens of an answer.
            null_threshold: float or None. Questions whose null score is above it have no answer
                (`keras_plm.metrics.best_threshold` finds it); None: every question is answered.
            batch_size: int. The rows of a batch.
            kwargs: see `keras.Model.predict`.

        Returns:
            list of N `Answer`: text, offsets in the context, scores, and the n-best spans.

        Raises:
            TypeError, ValueError: see `SpanPreprocessor`.
        """
        check_integer("n_best", n_best, 1)
        check_integer("max_answer_length", max_answer_length, 1)
        if not (isinstance(null_threshold, float) and math.isinf(null_threshold)):  # all, or none
            check_number("null_threshold", null_threshold, none=True)
        if self.preprocessor is None:
            raise ValueError(f"{type(self).__name__} has no preprocessor: it cannot read texts.")
        features, windows = self.preprocessor.windows((questions, contexts))
        features = self.keep_inputs(features)
        outputs = self.predict(features, batch_size=batch_size, **kwargs)
        return decode_answers(windows, outputs, n_best, max_answer_length, null_threshold)

    def features_and_labels(self, x, y, sample_weight):
        """Rows of questions and contexts; positions of answers; the weight of each row."""
        x, windows = self.preprocessor.windows(x)
        if y is not None:
            y = self._labelled(self.preprocessor.labels(windows, y))
        if sample_weight is not None:
            examples = np.array([window.example for window in windows])
            check_weights(sample_weight, examples[-1] + 1, "question")
            sample_weight = np.asarray(sample_weight).reshape(-1)[examples]
        return x, y, sample_weight

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Turn questions, contexts and answers into rows; features stay what they are.

        A beam also gets `start_positions`: those of the labels, -1 where there are none.
        """
        batch = super().preprocess_samples(x, y, sample_weight)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        if self.beam and isinstance(y, dict) and "start" in y:
            x = {**x, "start_positions": y["start"]}
        elif self.beam and "token_ids" in x and "start_positions" not in x:
            x = {**x, "start_positions": x["token_ids"][:, 0] * 0 - 1}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def check_x(self, x):
        super().check_x(x)
        answer_mask = np.asarray(x["answer_mask"])
        if not answer_mask.any(axis=1).all():
            row = int(np.argmin(answer_mask.any(axis=1)))
            raise ValueError(f"`answer_mask` is all False in row {row}: it can have no answer.")
        if not self.beam:
            return
        length, starts = answer_mask.shape[1], np.asarray(x["start_positions"])
        if length < max(self.start_top, self.end_top):
            raise ValueError(
                "Rows must have as many tokens as the beam has starts and ends. Received: "
                f"{length} tokens, start_top={self.start_top}, end_top={self.end_top}."
            )
        if starts.min() < -1 or starts.max() >= length:
            raise ValueError(
                f"`start_positions` must lie in [-1, {length}). "
                f"Received: values from {starts.min()} to {starts.max()}."
            )

    def check_y(self, x, y, sample_weight):
        """Refuse positions that the masks rule out, whose loss would be 1e30, or no positions."""
        answer_mask = np.asarray(x["answer_mask"])
        check_weights(sample_weight, len(answer_mask), "row")
        if y is not None:
            check_positions(y, self._label_names(), answer_mask)

    def _label_names(self):
        return {"start", "end", "impossible"} if self.beam else {"start", "end"}

    def settings(self):
        return {
            "beam": self.beam,
            "start_top": self.start_top,
            "end_top": self.end_top,
            "dropout": self.dropout,
        }
