"""Writing a text for a text with one Transformer: UniLM's sequence-to-sequence decoding."""

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_integer, flag, integer, kind, text
from keras_plm.generation.allowed_tokens import check_lengths
from keras_plm.generation.decoding import Slots, batches_of
from keras_plm.objectives.prefix_modeling import SEGMENTS
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.target_task import TargetTask, constant_features, target_head
from keras_plm.tasks.task_graph import text_inputs
from keras_plm.tasks.writing.writing_task import WritingTask

PLACES_AT_ONCE = 32  # sources are padded to multiples


@keras.saving.register_keras_serializable(package="keras_plm")
class PrefixLM(WritingTask, TargetTask):
    """Writes a target for a source, both in one row: the source sees itself, the target all.

    A row is `[CLS] source [SEP] target [SEP]` as the tokenizer lays it out. It is trained by a
    `Pretrainer` with `PrefixModeling(..., pattern="sequence_to_sequence")`, whose preset brings
    its head; or on features.

    Args:
        backbone: a backbone that reads in both directions and takes an `order`, such as
            `TransformerBackbone` with `causal=False`.
        preprocessor: `TextPreprocessor` or None: then it does not write.
        from_masks: bool. Whether each token is predicted from a mask in its place (targets
            "masked" and "masked_target" of `PrefixModeling`), or from the token before it
            ("next").
        pattern_segments: bool. Whether sources and targets have the segments that UniLM has for
            this pattern, 4 and 5, or 0 and 1. A backbone without a segment table ignores them.
        transform: bool. Whether the head transforms the rows before the product.
        head_activation: str or None. The activation of the transform; None: the backbone's.
        use_bias: bool. Whether each token of the vocabulary has a bias.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, of `order` (B, T) and of
            `target_positions` (B, P).

    Returns:
        dict of `tokens`, of shape (B, P, V): logits.

    Raises:
        TypeError: if the backbone predicts from query rows (XLNet).
        ValueError: if the backbone is causal, or lacks the segments.

    Example:
    ```python
    from keras_plm.tasks import BeamSearch, PrefixLM

    def look(preset):  # of a Pretrainer with models.unilm
        model = PrefixLM.from_preset(preset)
        best = BeamSearch(num_beams=5, length_penalty=0.7, num_results=3)
        return model.generate(["A text to be summarised."], max_length=20, sampler=best)
    ```

    Source: UniLM, arXiv:1905.03197, sections 2.2 and 2.5.
    """

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        from_masks: flag() = True,
        pattern_segments: flag() = True,
        transform: flag() = True,
        head_activation: text(none=True) = None,
        use_bias: flag() = True,
        **kwargs,
    ):
        if "queries" in backbone.reads:
            raise TypeError(
                f"PrefixLM needs a TransformerBackbone. Received: {type(backbone).__name__}."
            )
        if "bidirectional" not in backbone.reads:
            raise ValueError(
                "PrefixLM needs a backbone that reads a source in both directions; for one with "
                "causal=True there is CausalLM. Received: causal=True."
            )
        segments = SEGMENTS["sequence_to_sequence"] if pattern_segments else (0, 1)
        number = backbone.bounds.get("segment_ids", 0)
        if 0 < number <= segments[1]:
            raise ValueError(
                f"The segments {segments} need a backbone with num_segments={segments[1] + 1}, or "
                f"0. Received: num_segments={number}. UniLM's has 6; with two, set "
                "pattern_segments=False."
            )

        # === Layers ===
        self.forget_programs()
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.heads = {"tokens": target_head(backbone, transform, head_activation, use_bias)}

        # === Functional model ===
        inputs = text_inputs(backbone)
        for name in ("order", "target_positions"):
            inputs[name] = keras.Input((None,), dtype="int32", name=name)
        outputs = {"tokens": self.heads["tokens"].read(backbone.encode(inputs), inputs)}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.from_masks = bool(from_masks)
        self.pattern_segments = bool(pattern_segments)
        self.transform = bool(transform)
        self.head_activation = head_activation
        self.use_bias = bool(use_bias)
        self._segments = segments

    def settings(self):
        return {
            "from_masks": self.from_masks,
            "pattern_segments": self.pattern_segments,
            "transform": self.transform,
            "head_activation": self.head_activation,
            "use_bias": self.use_bias,
        }

    @check_arguments
    def generate(
        self,
        sources,
        max_length,
        sampler="greedy",
        forbidden_token_ids="auto",
        batch_size: integer(1) = 8,
        seed: integer(none=True) = None,
        verbose="auto",
        min_length: integer(0) = 0,
        no_repeat_ngram_size: integer(0) = 0,
    ):
        """Write a text for each source.

        XLA compiles once for each number of rows and lengths, all rounded up (`CausalLM.generate`).

        Args:
            sources: list of N str. What leaves no room for `max_length` loses its end, which is
                said in the log "keras_plm"; with `truncate=False` of the preprocessor it is
                refused.
            max_length: int. The most tokens of a text, the separator that ends it included.
            sampler: as for `CausalLM.generate`, such as `BeamSearch(num_beams=5)`.
            forbidden_token_ids: ids that are not written; "auto": the special pieces.
            batch_size: int. How many texts are written at once.
            seed: int or None. Of the sampler; None: as it comes.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.
            min_length: int. The fewest tokens of a text; the separator that ends it comes behind
                them.
            no_repeat_ngram_size: int. n: no n tokens of a text occur twice; those of its
                source do not count. 0: they may.

        Returns:
            list of N str; of lists of these, best first, if the sampler returns several.

        Raises:
            TypeError: if `sources` are no list of strings.
            ValueError: if there is no preprocessor, a source is empty, there is no room for any,
                or `min_length` is above `max_length`.
        """
        if getattr(self.preprocessor, "tokenizer", None) is None:
            raise ValueError("Texts need a preprocessor. Received: preprocessor=None.")
        tokenizer, layout = self.preprocessor.tokenizer, self.preprocessor.layout
        check_integer("max_length", max_length, 1)
        check_lengths(min_length, max_length)
        start, between = (
            [tokenizer.special_token_id(name) for name in names]
            for names in (layout.start, layout.between)
        )
        ids = self.preprocessor.encode_texts(sources, "`sources`")
        ids = self._fitting(ids, max_length + len(start) + len(between))
        rows = [[*start, *own, *between] for own in ids]
        stop_ids = self._text.stop_ids("auto")
        mask_id = tokenizer.mask_token_id if self.from_masks else None
        computed = self._slots_computed(max_length, sampler, max(map(len, rows)))
        batches = self._slots(rows, computed, batch_size)
        written = self._write(
            batches,
            len(rows),
            sampler,
            seed,
            forbidden_token_ids,
            stop_ids,
            verbose,
            max_length,
            mask_id=mask_id,
            min_length=min_length,
            no_repeat_ngram_size=no_repeat_ngram_size,
        )
        return self._text.written_texts(written, [[]] * len(rows), stop_ids, True)

    def _fitting(self, sources, reserved):
        """Sources that fit into the positions beside those that are reserved."""
        longest = self.backbone.max_sequence_length
        if longest is None:
            return sources
        room = longest - reserved
        too_long = [row for row, ids in enumerate(sources) if len(ids) > room]
        if not too_long:
            return sources
        found = (
            f"{len(too_long)} of {len(sources)} sources are longer than the {max(room, 0)} tokens "
            f"that the backbone's {longest} positions leave beside `max_length` and special "
            f"tokens, the first of them source {too_long[0]} with {len(sources[too_long[0]])}"
        )
        if room < 1 or not self.preprocessor.truncate:
            raise ValueError(f"{found}. Lower `max_length`, or shorten the sources.")
        self.preprocessor.say_cut(f"{found}: they lose their ends")
        return [ids[:room] for ids in sources]

    @property
    def document_ends(self):
        """The special tokens that end a text in the tokenizer's rows."""
        return self.preprocessor.layout.end

    def _slots(self, sources, length, batch_size):
        """Yield batches of slots behind sources, which end at one place, whatever their length."""
        constants = constant_features(self.backbone, self.preprocessor)
        for batch, count in batches_of(sources, batch_size):
            before = -(-max(map(len, batch)) // PLACES_AT_ONCE) * PLACES_AT_ONCE
            token_ids = np.zeros((len(batch), before + length), "int32")
            for row, source in zip(token_ids, batch):
                row[before - len(source) : before] = source
            places = np.arange(before + length)
            padding = np.array([before - len(source) for source in batch])
            first, second = self._segments
            features = {"token_ids": token_ids, "padding_mask": places >= padding[:, None]}
            if "segment_ids" in self.backbone.bounds:
                segments = np.where(places < before, first, second).astype("int32")
                features["segment_ids"] = np.tile(segments, (len(batch), 1))
            for name, constant in constants.items():
                features[name] = np.full_like(token_ids, constant)
            texts = np.full((len(batch), length), -1, "int32")
            yield Slots(features, texts, np.ones_like(texts, "bool"), before=before), count
