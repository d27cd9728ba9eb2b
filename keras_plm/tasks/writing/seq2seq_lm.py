"""Writing a text for a text with an encoder and a decoder: translation, summaries, text to text."""

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_integer, choice, flag, integer, kind, number
from keras_plm.generation.allowed_tokens import check_lengths
from keras_plm.generation.choice_scoring import Choice
from keras_plm.generation.decoding import Slots, batches_of
from keras_plm.generation.progress import with_progress
from keras_plm.generation.sampling import beams, single_results, with_end
from keras_plm.generation.source_target_ids import SourceTargetIds
from keras_plm.generation.text_ids import text_scores
from keras_plm.heads.losses.smoothed_cross_entropy import SHARED_BY
from keras_plm.preprocessing.seq2seq_preprocessor import Seq2SeqPreprocessor
from keras_plm.tasks.feeding.length_batches import Shapes, plan, round_up
from keras_plm.tasks.target_task import TargetTask
from keras_plm.tasks.training.label_checks import check_weights
from keras_plm.tasks.writing.writing_task import WritingTask
from keras_plm.tokenizers.text_columns import column_items


@keras.saving.register_keras_serializable(package="keras_plm")
class Seq2SeqLM(WritingTask, TargetTask):
    """Writes a target for a source: an encoder reads the source, a decoder writes the target.

    `fit(sources, targets)` trains it on pairs of texts. Tasks of text to text go the same way:
    `prefix` of the preprocessor names the task, and a class is a word that is written, or that
    `choose` finds to be the likeliest.

    Args:
        backbone: a backbone that reads a "source", such as `Seq2SeqBackbone`.
        preprocessor: `Seq2SeqPreprocessor` or None: then texts are given as lists of ids.
        label_smoothing: float. The share of each target that goes to other tokens in the loss,
            below 1; 0.1 in the paper.
        shared_by: str. Which other tokens, see `keras_plm.heads.SmoothedCrossEntropy`.
        start_token_id: int or None. What the decoder reads first: `</s>` (BART, fairseq), the
            padding (Marian, T5), `<s>` (OpenNMT). None: what a row of the tokenizer begins with,
            or with what it ends one.
        end_token_id: int or None. What ends a text; None: as the tokenizer says.

    Call arguments:
        inputs: dict of `source_token_ids` and `source_padding_mask` (B, N), `token_ids` and
            `padding_mask` (B, T), what the decoder reads, and `target_positions` (B, P); where the
            backbone has languages `source_language_ids` (B, N) and `language_ids` (B, T).

    Returns:
        dict of `tokens`, of shape (B, P, V): logits.

    Raises:
        TypeError: if the backbone reads no source.
        ValueError: if a setting is out of range, or the targets are longer than its positions.

    Example:
    ```python
    from keras_plm.backbones import Seq2SeqBackbone
    from keras_plm.tasks import BeamSearch, Seq2SeqLM

    backbone = Seq2SeqBackbone(20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    model = Seq2SeqLM(backbone, start_token_id=1, end_token_id=2)  # with a preprocessor: texts
    texts = model.generate([[5, 6, 7, 2], [8, 2]], max_length=4)
    assert len(texts) == 2 and len(texts[0]) <= 4
    best = BeamSearch(num_beams=4, num_results=2)
    assert len(model.generate([[5, 2]], max_length=4, sampler=best)[0]) == 2
    (score,) = model.score([[5, 6, 2]], [[9, 2]])
    assert score.tokens.shape == (2,)
    ```

    Source: Vaswani et al., arXiv:1706.03762, sections 3.1, 5.4 and 6.1; T5, arXiv:1910.10683,
    section 2.4; BART, arXiv:1910.13461, section 3.3.
    """

    preprocessor_class = Seq2SeqPreprocessor

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Seq2SeqPreprocessor, none=True) = None,
        label_smoothing: number(0, 1) = 0.0,
        shared_by: choice(SHARED_BY) = "others",
        start_token_id: integer(0, none=True) = None,
        end_token_id: integer(0, none=True) = None,
        **kwargs,
    ):
        if "source" not in backbone.reads:
            raise TypeError(
                "Seq2SeqLM needs a backbone that reads a source, such as Seq2SeqBackbone; one that "
                "has source and target in one row has PrefixLM. "
                f"Received: {type(backbone).__name__}."
            )
        ids = {"start_token_id": start_token_id, "end_token_id": end_token_id}
        for name, value in ids.items():
            check_integer(name, value, 0, backbone.vocabulary_size - 1, none=True)
        length = getattr(preprocessor, "target_length", None) or 0
        longest = backbone.max_sequence_length
        if longest is not None and length > longest:
            raise ValueError(
                f"The backbone has positions for {longest} tokens. Give a `target_length` of at "
                f"most {longest}. Received: target_length={length}."
            )

        # === Layers ===
        self.forget_programs()
        self.backbone = backbone
        self.preprocessor = preprocessor
        smoothing = {"label_smoothing": label_smoothing, "shared_by": shared_by}
        head = backbone.lm_head(**(smoothing if label_smoothing else {}))
        self.heads = {"tokens": head}

        # === Functional model ===
        inputs = dict(backbone.input)
        inputs["target_positions"] = keras.Input((None,), dtype="int32", name="target_positions")
        outputs = {"tokens": head.read(backbone.encode(inputs), inputs)}  # (B, P, V)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.label_smoothing = label_smoothing
        self.shared_by = shared_by
        self.start_token_id = start_token_id
        self.end_token_id = end_token_id

    def settings(self):
        names = ("label_smoothing", "shared_by", "start_token_id", "end_token_id")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def settings_of_heads(cls, heads):
        tokens = heads.get("tokens", {})
        return {name: tokens[name] for name in ("label_smoothing", "shared_by") if name in tokens}

    # === Training ===

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Turn pairs of texts into features and targets; features stay what they are."""
        if isinstance(x, dict):
            return super().preprocess_samples(x, y, sample_weight)
        x, y, sample_weight = self.features_and_labels(x, y, sample_weight)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def features_and_labels(self, x, y, sample_weight):
        """Turn sources and targets into features, targets and weights.

        Args:
            x: list of N str.
            y: list of N str.
            sample_weight: N weights, one per pair, or None.

        Returns:
            Tuple (features, dict of `tokens` (N, P) int32, dict of `tokens` (N, P) float32).

        Raises:
            TypeError, ValueError: see `Seq2SeqPreprocessor`; or there is not one target for each
                source, or weights are none.
        """
        ids = self._ids
        preprocessor = ids.preprocessor_of_texts
        if y is None:
            raise ValueError(
                "Sources need targets: `fit(sources, targets)`; `generate` writes them. "
                "Received: y=None."
            )
        sources = preprocessor.source_rows(x)
        targets = preprocessor.target_rows(y, ids.start, ids.end)
        _check_pairs(sources, targets)
        check_weights(sample_weight, len(sources), "pair")
        length = preprocessor.target_length or preprocessor.sequence_length
        features, y, weight = ids.arrays(sources, targets, preprocessor.sequence_length, length)
        if sample_weight is not None:
            weight["tokens"] *= np.asarray(sample_weight, "float32").reshape(-1, 1)
        return features, y, weight

    # === Texts ===

    @check_arguments
    def generate(
        self,
        sources,
        max_length=None,
        sampler="greedy",
        min_length: integer(0) = 0,
        no_repeat_ngram_size: integer(0) = 0,
        forbidden_token_ids="auto",
        return_scores: flag() = False,
        batch_size: integer(1) = 8,
        seed: integer(none=True) = None,
        verbose="auto",
    ):
        """Write a text for each source.

        XLA compiles once for each number of rows and lengths, all rounded up (`CausalLM.generate`).

        Args:
            sources: list of N str, or of lists of int: then with their special tokens.
            max_length: int. The most tokens of a text, what ends it included; None: what the
                preprocessor has targets for.
            sampler: as for `CausalLM.generate`, such as `BeamSearch(num_beams=4)`.
            min_length: int. The fewest tokens of a text; what ends it comes behind them.
            no_repeat_ngram_size: int. n: no n tokens of a text occur twice; those of its source do
                not count. 0: they may.
            forbidden_token_ids: ids that are not written; "auto": the special pieces but the end.
            return_scores: bool. Whether to return log-likelihoods as well.
            batch_size: int. How many texts are written at once.
            seed: int or None. Of the sampler; None: as it comes.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N str, or of lists of int where ids were given; of lists of these, best first,
            if the sampler returns several. With `return_scores` a pair: these, and the
            log-likelihoods of what was written, the end included, in nats, at temperature 1 and
            with no id forbidden, in the same nesting.

        Raises:
            TypeError: if `sources` are neither texts nor ids.
            ValueError: if there are no sources, one is empty or too long, nobody says what the
                decoder starts with, or an argument is out of range.
        """
        ids = self._ids
        rows, as_text = ids.source_rows(sources)
        known, stop_ids = ids.known(as_text), () if ids.end is None else (ids.end,)
        max_length = self._max_length(max_length, len(known))
        check_lengths(min_length, max_length)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        computed = self._slots_computed(max_length, sampler, len(known) - 1)
        batches = self._slots([rows[row] for row in order], known, computed, batch_size)
        found = self._write(
            *(batches, len(rows), sampler, seed, forbidden_token_ids, stop_ids, verbose),
            length=max_length,
            min_length=min_length,
            no_repeat_ngram_size=no_repeat_ngram_size,
        )
        written = [found[place] for place in np.argsort(order)]
        texts = ids.target_text.written_texts(written, [[]] * len(rows), stop_ids, as_text)
        if not return_scores:
            return texts
        pairs = [
            (row, [*known[1:], *with_end(own, stop_ids)])
            for row, one in zip(rows, written)
            for own in beams(one)
        ]
        scores = iter(self._score(pairs, batch_size, 0))
        totals = [[float(next(scores)[len(known) - 1 :].sum()) for _ in beams(w)] for w in written]
        return texts, single_results(totals, written)

    @check_arguments
    def score(self, sources, targets, batch_size: integer(1) = 8, verbose="auto"):
        """The log-likelihood of every token of targets, given their sources, in one pass.

        Args:
            sources: as for `generate`.
            targets: list of N str, or of lists of int: then with what ends them.
            batch_size: int. How many pairs are read at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N `TextScore`; the last token of a text is what ends it.

        Raises:
            TypeError: if they are neither texts nor ids.
            ValueError: if there are none, not as many, one is empty or longer than positions, or
                nobody says what the decoder starts with.
        """
        rows, _ = self._ids.source_rows(sources)
        asked = self._ids.target_rows(targets)
        _check_pairs(rows, asked)
        return text_scores(asked, self._score(list(zip(rows, asked)), batch_size, verbose))

    @check_arguments
    def choose(
        self,
        sources,
        choices,
        normalize: choice(("none", "tokens")) = "none",
        batch_size: integer(1) = 8,
        verbose="auto",
    ):
        """Find which of several texts is the likeliest for each source, such as names of classes.

        Args:
            sources: as for `generate`.
            choices: list of N lists of C texts as `score` takes them; C may differ.
            normalize: "none": the log-likelihood of a text, what ends it included; "tokens": that
                per token.
            batch_size, verbose: as for `score`.

        Returns:
            list of N `Choice`.

        Raises:
            TypeError, ValueError: as `score`; or there are no choices for a source.

        Source: T5, arXiv:1910.10683, section 2.4: each label is a text.
        """
        rows, _ = self._ids.source_rows(sources)
        choices = column_items(choices, "`choices`", "lists of choices")
        if len(choices) != len(rows):
            raise ValueError(
                "There must be one list of choices for each source. "
                f"Received: {len(choices)} lists, {len(rows)} sources."
            )
        asked = [
            self._ids.target_rows(own, f"the choices of source {row}")
            for row, own in enumerate(choices)
        ]
        pairs = [(row, one) for row, own in zip(rows, asked) for one in own]
        scores = iter(self._score(pairs, batch_size, verbose))
        found = []
        for own in asked:
            tokens = [next(scores) for _ in own]
            totals = np.array([one.sum(dtype="float64") for one in tokens])
            if normalize == "tokens":
                totals /= [len(one) for one in own]
            found.append(Choice(int(totals.argmax()), totals, tokens))
        return found

    # === Parts ===

    @property
    def _ids(self):
        """What turns sources and targets into ids; the preprocessor may get its tokenizer later."""
        given = self.start_token_id, self.end_token_id
        return SourceTargetIds(self.preprocessor, self.backbone, *given)

    def _max_length(self, max_length, num_known):
        """How many tokens are written at most: each of them but the last is read as well."""
        longest = self.backbone.max_sequence_length
        if longest is not None:
            longest += 1 - num_known
        preprocessor = self.preprocessor
        if max_length is None and preprocessor is not None:
            max_length = preprocessor.target_length or preprocessor.sequence_length
        return check_integer("max_length", max_length, 1, longest)

    def _width(self, rows):
        """How long an array of rows is: XLA compiles a program for each."""
        longest = self.backbone.max_sequence_length
        width = round_up(max(map(len, rows)))
        return width if longest is None else min(width, longest)

    def _slots(self, rows, known, length, batch_size):
        """Yield batches of slots behind what the decoder knows, for sources of similar length."""
        for batch, count in batches_of(rows, batch_size):
            token_ids = np.zeros((len(batch), len(known) + length), "int32")
            token_ids[:, : len(known)] = known
            texts = np.full((len(batch), length), -1, "int32")
            features = {
                **self._ids.source_arrays(batch, self._width(batch)),
                "token_ids": token_ids,
            }
            features |= self._ids.languages(features)
            yield Slots(features, texts, np.ones_like(texts, "bool"), before=len(known)), count

    def _score(self, pairs, batch_size, verbose):
        """The log-likelihoods (n,) of the second of each pair of rows, given the first."""
        shapes = Shapes(batch_size, fixed=self.fixed_shapes)
        lengths = np.array([len(row) + len(asked) for row, asked in pairs])
        scores = [None] * len(pairs)
        batches = plan(lengths, len(pairs), int(lengths.max()), shapes)
        for numbers, _ in with_progress(batches, len(pairs), verbose, count=lambda b: len(b[0])):
            whole = np.resize(numbers, shapes.rows(len(numbers)))
            sides = [[pairs[row][side] for row in whole] for side in (0, 1)]
            features, y, _ = self._ids.arrays(*sides, *map(self._width, sides))
            values = self._programs.score(features, y["tokens"])  # (B, P)
            for row, own in zip(numbers, values):
                scores[row] = own[: len(pairs[row][1])]
        return scores


def _check_pairs(sources, targets):
    """There is one target for each source."""
    if len(sources) != len(targets):
        raise ValueError(
            "There must be one target for each source. "
            f"Received: {len(sources)} sources, {len(targets)} targets."
        )
