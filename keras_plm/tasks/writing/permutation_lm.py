"""Infilling in any order, generation and scoring with a permutation language model."""

from operator import itemgetter

import keras
import numpy as np

from keras_plm import features as contract
from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_integer, flag, integer, kind
from keras_plm.generation.canvas import BLANK, lay_out_batches, permutations
from keras_plm.generation.decoding import Slots
from keras_plm.generation.progress import with_progress
from keras_plm.generation.sampling import beams, single_results
from keras_plm.generation.text_ids import text_scores
from keras_plm.heads import MaskedLMHead
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.feeding.length_batches import longest_first
from keras_plm.tasks.task import Task
from keras_plm.tasks.writing.writing_task import WritingTask, check_prompts

_FEATURES = ("token_ids", "padding_mask", "segment_ids", "order", "target_positions")


@keras.saving.register_keras_serializable(package="keras_plm")
class PermutationLM(WritingTask, Task):
    """Fills blanks in any order, continues texts and scores them, with XLNet's query stream.

    A row is `<eod> text`, or `prefix <eod> text`: in pretraining `<eod>` stands between two
    documents, so a text begins after it, and it is what the first of all tokens is predicted
    from. There is no SEP and no CLS, which the context never sees in pretraining.

    Two modes. "factorised": known tokens see each other, and the token filled in at step p sees
    the known ones and those of the steps up to p. That is what pretraining teaches, it is a
    probability distribution over all blanks, and keys and values of every token are computed once
    (two rows per step). "bidirectional": in every step all tokens that are filled in by then see
    each other, which is a whole pass per step.

    In pretraining one token in six is predicted. A long continuation of a short prompt is far
    from that; a longer `prefix` helps.

    Args:
        backbone: a backbone that reads "queries", such as `XLNetBackbone`.
        preprocessor: `TextPreprocessor` or None: then texts are given as lists of ids, with -1 for
            a blank.

    Call arguments:
        inputs: dict of `token_ids`, `padding_mask`, `segment_ids`, `order` (B, T) and
            `target_positions` (B, P).

    Returns:
        Tensor of shape (B, P, V): logits.

    Raises:
        TypeError: if the backbone has no query rows.
        ValueError: if the backbone is one of `same_length`, which sees nothing without a memory.

    Example:
    ```python
    from keras_plm.backbones import XLNetBackbone
    from keras_plm.tasks import PermutationLM

    backbone = XLNetBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
    )
    model = PermutationLM(backbone)  # with a preprocessor: texts
    (filled,) = model.infill([[3, 4, -1, 6, -1]], order="right_to_left", sampler="greedy")
    assert [filled[place] for place in (0, 1, 3)] == [3, 4, 6]
    assert len(model.score([[3, 4, 5]], prefix=[7])[0].tokens) == 3
    ```

    Source: XLNet, arXiv:1906.08237, sections 2.2 and 2.3.
    """

    trains_query_rows = True
    labels_are_weighted = True
    weights_may_be_missing = True
    learning_rate = 2e-5

    @check_arguments
    def __init__(
        self, backbone: kind(Backbone), preprocessor: kind(Preprocessor, none=True) = None, **kwargs
    ):
        if not isinstance(backbone, Backbone) or "queries" not in backbone.reads:
            raise TypeError(
                "PermutationLM needs a backbone with query rows, an XLNetBackbone. "
                f"Received: {type(backbone).__name__}."
            )
        if backbone.same_length:
            raise ValueError(
                "A backbone of same_length=True sees nothing without a memory, and PermutationLM "
                "has none."
            )
        # === Layers ===
        self.forget_programs()
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.heads = {"tokens": MaskedLMHead(backbone.token_embedding, name="tokens")}

        # === Functional model ===
        inputs = {
            name: keras.Input((None,), dtype=contract.FEATURES[name].dtype, name=name)
            for name in _FEATURES
        }
        outputs = self.heads["tokens"](backbone.encode(inputs)["target_output"])  # (B, P, V)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Features stay what they are; texts have no targets to be trained on."""
        if not isinstance(x, dict):
            raise ValueError(
                "PermutationLM does not train on texts: use `Pretrainer`, whose preset it loads. "
                f"Received: {type(x).__name__}."
            )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def settings(self):
        return {}

    # === Filling in ===

    @check_arguments
    def infill(
        self,
        texts,
        order="left_to_right",
        sampler="greedy",
        mode="factorised",
        blank="<mask>",
        prefix=None,
        forbidden_token_ids="auto",
        return_scores: flag() = False,
        batch_size: integer(1) = 8,
        seed: integer(none=True) = None,
        verbose="auto",
    ):
        """Fill the blanks of texts, each with one piece of the vocabulary.

        Args:
            texts: list of N str with blanks, such as `"the <mask><mask> sat"`, or list of lists
                of int, in which -1 is a blank. Each has at least one.
            order: "left_to_right", "right_to_left", "random", or a list with a permutation for
                each text, which lists its blanks (0 = the leftmost) in the order of filling.
            sampler: "greedy", "random", "top_k", "top_p", "beam" or a
                `keras_hub.samplers.Sampler`. With `BeamSampler(return_all_beams=True)` the n best.
            mode: "factorised" or "bidirectional", see the class.
            blank: str. What stands for one blank piece in a text.
            prefix: None, str or list of int: a document that stands before each of the texts; ids
                are taken as they are, without the `<eod>` that follows a text.
            forbidden_token_ids: ids that are not filled in; "auto": the special pieces.
            return_scores: bool. Whether to return log-likelihoods as well.
            batch_size: int. How many rows are filled at once.
            seed: int or None. Of the sampler and of random orders; None: as it comes.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N str (of lists of int where ids were given), or of lists of these, best first,
            with all beams. With `return_scores` a pair: these, and the log-likelihoods of what was
            filled in, in nats, at temperature 1 and with no id forbidden, in the same nesting.

        Raises:
            TypeError: if `texts` are neither texts nor ids.
            ValueError: if there are no texts, a text has no blank, an order does not fit, or a
                name is unknown.
        """
        rows, as_text = self._text.encode(texts, blank=blank)
        blanks = [[i for i, token in enumerate(row) if token == BLANK] for row in rows]
        for index, places in enumerate(blanks):
            if not places:
                raise ValueError(
                    f"Text {index} has no blank ({blank!r} in a text, {BLANK} among ids). "
                    f"Received: {list(texts)[index]!r:.80}."
                )
        ordered = permutations(order, [len(places) for places in blanks], seed)
        targets = [[row[i] for i in places] for row, places in zip(blanks, ordered)]
        batches = list(self._batches(rows, targets, prefix, batch_size))
        written = self._write(
            batches, len(rows), sampler, seed, forbidden_token_ids, verbose=verbose, mode=mode
        )
        results = [
            [self._text.decode(_put(row, places, ids).tolist(), as_text) for ids in beams(one)]
            for row, places, one in zip(rows, targets, written)
        ]
        results = single_results(results, written)
        return (results, self._step_scores(batches, written, mode)) if return_scores else results

    @check_arguments
    def generate(
        self,
        prompts,
        max_length=None,
        sampler="top_p",
        mode="factorised",
        stop_token_ids="auto",
        prefix=None,
        forbidden_token_ids="auto",
        strip_prompt: flag() = False,
        batch_size: integer(1) = 8,
        seed: integer(none=True) = None,
        verbose="auto",
    ):
        """Continue texts from left to right: blanks behind the prompt, filled in that order.

        Args:
            prompts: list of N str or of lists of int; they may differ in length.
            max_length: int. The length of prompt and continuation in tokens; None: the
                preprocessor's `sequence_length`.
            sampler, mode, prefix, forbidden_token_ids, batch_size, seed, verbose: as in `infill`.
                (With "auto" the stop tokens are not forbidden.) KerasHub's "top_p" keeps to
                p = 0.1.
            stop_token_ids: ids that end a text and are not part of it; "auto": `<eod>`; None: no.
            strip_prompt: bool. Whether to return the continuations without the prompts.

        Returns:
            list of N str, or of lists of int where ids were given; of lists of these with all
            beams.

        Raises:
            TypeError: if `prompts` are neither texts nor ids.
            ValueError: if there are no prompts, one leaves no room, or a name is unknown.
        """
        prompts, as_text = self._text.encode(prompts, what="`prompts`")
        if max_length is None and self.preprocessor is not None:
            max_length = self.preprocessor.sequence_length
        check_integer("max_length", max_length)
        check_prompts(prompts, max_length)
        stop_ids = self._text.stop_ids(stop_token_ids)
        rows = [prompt + [BLANK] * (max_length - len(prompt)) for prompt in prompts]
        targets = [list(range(len(prompt), max_length)) for prompt in prompts]
        batches = self._batches(rows, targets, prefix, batch_size)
        written = self._write(
            batches, len(rows), sampler, seed, forbidden_token_ids, stop_ids, verbose, mode=mode
        )
        starts = [[]] * len(prompts) if strip_prompt else prompts
        return self._text.written_texts(written, starts, stop_ids, as_text)

    # === Scoring ===

    @check_arguments
    def score(
        self,
        texts,
        prompts=None,
        order="left_to_right",
        prefix=None,
        batch_size: integer(1) = 8,
        verbose="auto",
    ):
        """The log-likelihood of every token of texts under an order, in one pass.

        Every token is predicted from `prefix`, prompt and the tokens before it in the order.

        Args:
            texts: list of N str or of lists of int.
            prompts: list of N of these, or None. What stands before each text, and is known.
            order: as in `infill`, over all tokens of a text.
            prefix: as in `infill`.
            batch_size: int. How many texts are scored at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N `TextScore`.

        Raises:
            TypeError: if `texts` are neither texts nor ids.
            ValueError: if there are no texts, one has no tokens, or an order does not fit; without
                a preprocessor also if there is nothing that the first token can be predicted from.
        """
        rows, before = self._text.encode_behind(texts, prompts)
        ordered = permutations(order, [len(row) for row in rows])
        targets = [[len(first) + i for i in places] for first, places in zip(before, ordered)]
        whole = [first + row for first, row in zip(before, rows)]
        scores = [None] * len(whole)
        by_length = longest_first([(row,) for row in whole])
        numbers = iter(by_length)
        whole, targets = ([some[number] for number in by_length] for some in (whole, targets))
        batches = self._batches(whole, targets, prefix, batch_size)
        for slots, count in with_progress(batches, len(whole), verbose, itemgetter(1)):
            features = {name: value for name, value in slots.features.items() if name != "used"}
            places = features["target_positions"]  # (B, P)
            tokens = np.take_along_axis(features["token_ids"], places, axis=1)
            values = self._programs.score(features, tokens)
            for row, number in zip(range(count), numbers):
                scores[number] = values[row, slots.used[row]]
        tokens = [
            _put(np.zeros(len(row), "float32"), places, by_step)
            for row, places, by_step in zip(rows, ordered, scores)
        ]
        return text_scores(rows, tokens)

    # === Parts ===

    def _batches(self, rows, targets, prefix, batch_size):
        """Yield slots of rows behind their prefix, and the number of rows that count."""
        context = self._text.context(prefix)
        rows = [context + row for row in rows]
        targets = [[len(context) + place for place in places] for places in targets]
        causal = "causal" in self.backbone.reads
        for canvas, count in lay_out_batches(rows, targets, batch_size, causal):
            features, used = canvas.features, canvas.features["used"]
            texts = np.full(used.shape, -1, "int32")
            yield Slots(features, texts, used, canvas.start), count

    def _step_scores(self, batches, written, mode):
        """The log-likelihoods of what was written, step by step, in the nesting of `written`."""
        scores, rows = [], iter(written)
        for slots, count in batches:
            own = [next(rows) for _ in range(count)]
            totals = []  # of each beam (B,)
            for beam in range(max(len(beams(one)) for one in own)):
                filled = np.zeros_like(slots.texts)
                for row, (used, one) in enumerate(zip(slots.used, own)):
                    texts = beams(one)
                    filled[row, used] = texts[min(beam, len(texts) - 1)]
                totals.append(self._programs.score_steps(slots, filled, mode).sum(axis=1))
            totals = np.stack(totals, axis=1).tolist()
            scores += [row[: len(beams(one))] for row, one in zip(totals, own)]
        return single_results(scores, written)


def _put(row, places, values):
    """A row with values put into its places."""
    row = np.array(row)
    row[places] = values
    return row
