"""Filling in and scoring with a masked language model."""

import itertools
from typing import NamedTuple

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_integer, flag, kind, text
from keras_plm.generation.progress import with_progress
from keras_plm.preprocessing.masked_text import each_token_masked, log_softmax, rows_with_masks
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.feeding.length_batches import longest_first, take_all_shapes
from keras_plm.tasks.target_task import TargetTask, target_head
from keras_plm.tasks.task_graph import text_inputs
from keras_plm.tasks.training.fitted_task import weights_kept


class Filling(NamedTuple):
    """One token that may stand in the place of a mask.

    Args:
        token: str, the entry of the vocabulary, such as "##ing".
        token_id: int.
        probability: float.
    """

    token: str
    token_id: int
    probability: float


@keras.saving.register_keras_serializable(package="keras_plm")
class MaskedLM(TargetTask):
    """Predicts masked tokens from both sides: fills masks in, and scores texts.

    It trains on features, as a `Pretrainer` does, with `y = {"tokens": ...}`; the preset of a
    Pretrainer brings its head.

    Args:
        backbone: a backbone that reads in both directions and whose targets need no order.
        preprocessor: `TextPreprocessor` or None: then features are given, not texts.
        transform: bool. Whether the head transforms the rows (BERT, RoBERTa, ERNIE, MPNet) or not
            (XLM).
        head_activation: str or None. The activation of the transform; None: the backbone's.
        use_bias: bool. Whether each token of the vocabulary has a bias.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (B, T), and of `target_positions` (B, P).

    Returns:
        dict of `tokens`, of shape (B, P, V): logits.

    Raises:
        TypeError: if the backbone predicts in an order (XLNet).
        ValueError: if the backbone is causal.

    Example:
    ```python
    from keras_plm.tasks import MaskedLM

    def look(preset):  # of BERT, RoBERTa, ERNIE, XLM, MPNet, or of a Pretrainer
        model = MaskedLM.from_preset(preset)
        mask = model.preprocessor.tokenizer.mask_token  # such as "[MASK]"
        (masks,) = model.fill_mask([f"The {mask} sat on the mat."], top_k=3)
        for filling in masks[0]:
            print(filling.token, filling.probability)
        return model.score(["The cat sat on the mat.", "The cat sat at the mat."])  # (2,)
    ```

    Source: BERT, arXiv:1810.04805, section 3.1, task 1.
    """

    methods_for_texts = "`fill_mask` and `score`"

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        transform: flag() = True,
        head_activation: text(none=True) = None,
        use_bias: flag() = True,
        **kwargs,
    ):
        if "queries" in backbone.reads:
            raise TypeError(
                "MaskedLM needs a backbone that predicts masked tokens. XLNet predicts in an "
                "order, and never sees a mask: use PermutationLM. "
                f"Received: {type(backbone).__name__}."
            )
        if "bidirectional" not in backbone.reads:
            raise ValueError(
                "MaskedLM needs a backbone that reads in both directions: a causal one would fill "
                f"a mask in from its left side alone. Received: {type(backbone).__name__} with "
                "causal=True."
            )

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = target_head(backbone, transform, head_activation, use_bias)
        self.heads = {"tokens": head}

        # === Functional model ===
        inputs = text_inputs(backbone)
        inputs["target_positions"] = keras.Input((None,), dtype="int32", name="target_positions")
        outputs = {"tokens": head.read(backbone.encode(inputs), inputs)}  # (B, P, V)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.transform = bool(transform)
        self.head_activation = head_activation
        self.use_bias = bool(use_bias)

    def read(self, encoded, features, several=1):
        return {"tokens": self.heads["tokens"].read(encoded, features)}

    def settings(self):
        return {
            "transform": self.transform,
            "head_activation": self.head_activation,
            "use_bias": self.use_bias,
        }

    # === Texts ===

    def fill_mask(self, texts, top_k=5, batch_size=32, verbose="auto"):
        """Say which tokens may stand in the places of masks.

        Several masks of a text are filled in independently: each one sees the others as masks.

        Args:
            texts: list of N str, each with at least one mask written as
                `preprocessor.tokenizer.mask_token`, such as "the [MASK] sat".
            top_k: int. How many tokens are returned for each mask.
            batch_size: int. How many texts are read at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N lists, one per text, of lists, one per mask from left to right, of `top_k`
            `Filling` (token, token_id, probability), the most probable first.

        Raises:
            TypeError: if `texts` are no list of strings.
            ValueError: if there is no preprocessor, the tokenizer has no mask token, a text has
                no mask, or one is cut off.
        """
        tokenizer = self._tokenizer()
        check_integer("top_k", top_k, 1)
        check_integer("batch_size", batch_size, 1)
        rows = rows_with_masks(self.preprocessor, texts)
        most = max(len(places) for _, _, places in rows)
        filled = [None] * len(rows)
        own = ((number, *rows[number]) for number in longest_first(rows))
        found = self._logits(own, most, batch_size)
        for number, _, logits in with_progress(found, len(rows), verbose):
            probabilities = np.exp(log_softmax(logits))[:, : tokenizer.vocabulary_size]
            filled[number] = [_best(one, top_k, tokenizer) for one in probabilities]
        return filled

    def score(self, texts, batch_size=32, verbose="auto"):
        """The pseudo-log-likelihood of texts: the sum over their tokens of log p(token | rest).

        Each token is masked in turn, so a text of n tokens is read n times. Special tokens are
        seen but not scored. What is beyond `sequence_length` is cut off first, unless the
        preprocessor has `truncate=False`.

        Args:
            texts: list of N str.
            batch_size: int. How many masked rows are read at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            float64 array (N,), in nats.

        Raises:
            TypeError: if `texts` are no list of strings.
            ValueError: if there is no preprocessor, the tokenizer has no mask token, or a text
                is empty.

        Source: Salazar et al., "Masked Language Model Scoring", arXiv:1910.14659, section 2.
        """
        mask_id = self._tokenizer().mask_token_id
        check_integer("batch_size", batch_size, 1)
        if isinstance(texts, tuple):
            raise TypeError("`texts` must be a list of texts. Received: a tuple.")
        rows, layout = self.preprocessor.rows(texts), self.preprocessor.layout
        scores = np.zeros(len(rows))
        masked = (
            (number, *one)
            for number in longest_first(rows)
            for one in each_token_masked(*rows[number], layout, mask_id)
        )
        total = sum(len(ids) - layout.num_special(pair=False) for ids, _ in rows)
        found = self._logits(masked, 1, batch_size)
        for number, (place,), logits in with_progress(found, total, verbose):
            scores[number] += log_softmax(logits[0])[rows[number][0][place]]
        return scores

    def _tokenizer(self):
        """The tokenizer, which texts need."""
        if getattr(self.preprocessor, "tokenizer", None) is None:
            raise ValueError("Texts need a preprocessor. Received: preprocessor=None.")
        return self.preprocessor.tokenizer

    def _logits(self, rows, num_targets, batch_size):
        """Predict the targets of rows, of which the longest ones come first.

        Takes tuples: a number, token ids, segment ids, and the positions of at most `num_targets`
        targets. Yields tuples: the number, these positions, and their logits (targets, V).
        """
        shapes, first_position = self._shapes(batch_size), self.preprocessor.first_position
        whole, rows = self.preprocessor.sequence_length, iter(rows)
        moved = self.preprocessor.layout.pad_left and not self._cuts_left
        while chunk := list(itertools.islice(rows, batch_size)):
            length = whole if moved else shapes.length(len(chunk[0][1]), whole)
            full = [chunk[index % len(chunk)] for index in range(shapes.rows(len(chunk)))]
            targets = np.zeros((len(full), num_targets), "int32")
            for row, (_, ids, _, places) in zip(targets, full):
                row[: len(places)] = first_position(ids, length) + np.array(places)
            features = self.preprocessor.padded([row[1:3] for row in full], length)
            x = {**self.keep_inputs(features), "target_positions": targets}
            if not shapes.few:
                take_all_shapes(self, x)
            with weights_kept(self):
                logits = np.asarray(self.predict_on_batch(x)["tokens"])  # (B, P, V)
            for (number, _, _, places), own in zip(chunk, logits):
                yield number, places, own[: len(places)]


def _best(probabilities, top_k, tokenizer):
    """The most probable tokens (V,), the best first."""
    ids = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        Filling(piece, int(index), float(probabilities[index]))
        for piece, index in zip(tokenizer.pieces(ids), ids)
    ]
