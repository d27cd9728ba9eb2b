"""Writing and scoring from left to right."""

import keras
import numpy as np

from keras_plm.backbones import Backbone
from keras_plm.checks import ascending, check_arguments, check_integer, flag, integer, kind, text
from keras_plm.data.rows.planned_rows import SEPARATORS
from keras_plm.generation.allowed_tokens import check_lengths
from keras_plm.generation.choice_scoring import ChoiceScoring, encoded_choices
from keras_plm.generation.decoding import (
    Slots,
    batches_of,
    rows_of,
)
from keras_plm.generation.progress import with_progress
from keras_plm.generation.sampling import beams, single_results, with_end
from keras_plm.generation.text_ids import text_scores
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tasks.feeding.length_batches import Shapes, plan
from keras_plm.tasks.target_task import TargetTask, constant_features, target_head
from keras_plm.tasks.task_graph import text_inputs
from keras_plm.tasks.writing.writing_task import WritingTask, check_prompts


@keras.saving.register_keras_serializable(package="keras_plm")
class CausalLM(WritingTask, TargetTask):
    """Predicts each token from those to its left: continues texts, and scores them.

    It trains on features, as a `Pretrainer` does, with `y = {"tokens": ...}`; the preset of a
    Pretrainer brings its head.

    Texts are read as the tokenizer makes them, behind the token that ends a document, if it has
    one (GPT-2: `<|endoftext|>`): in pretraining a text begins there. What was read is kept by the
    decoder of the backbone, which changes nothing: see `Backbone.decoder`.

    Args:
        backbone: a backbone that reads "causal", such as `TransformerBackbone` with
            `causal=True`.
        preprocessor: `TextPreprocessor` or None: then texts are given as lists of ids.
        transform: bool. Whether the head transforms the rows before the product with the
            embeddings (not in GPT).
        head_activation: str or None. The activation of the transform; None: the backbone's.
        use_bias: bool. Whether each token of the vocabulary has a bias (XLM, not GPT).
        cutoffs: tuple of int. The first ids of the clusters of an adaptive softmax behind the
            first, as the objective had them; (): the softmax that the backbone has by itself.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids` and
            `padding_mask`, each (B, T), and of `target_positions` (B, P): the rows that predict,
            each the token to its right.

    Returns:
        dict of `tokens`, of shape (B, P, V): logits.

    Raises:
        TypeError: if the backbone predicts from query rows (XLNet), or reads a source (BART).
        ValueError: if the backbone is not causal.

    Example:
    ```python
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.tasks import BeamSearch, CausalLM

    backbone = TransformerBackbone(
        vocabulary_size=20,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
        num_segments=0,
        causal=True,
    )
    model = CausalLM(backbone)  # with a preprocessor: texts
    texts = model.generate([[3, 4, 5], [6]], max_length=8, sampler="greedy")
    assert [len(text) for text in texts] == [8, 8] and texts[0][:3] == [3, 4, 5]
    best = BeamSearch(num_beams=4, length_penalty=0.6, num_results=2)
    (texts,) = model.generate([[3, 4]], max_length=6, sampler=best, stop_token_ids=[0])
    assert len(texts) == 2
    assert len(model.score([[4, 5]], prompts=[[3]])[0].tokens) == 2
    (best,) = model.choose([[3, 4]], [[[5, 6], [7]]], normalize="tokens")
    assert best.index in (0, 1) and best.scores.shape == (2,)
    ```

    Source: GPT-1 (Radford et al. 2018), section 3.1; GPT-3, arXiv:2005.14165, section 2.4.
    """

    document_ends = SEPARATORS

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        preprocessor: kind(Preprocessor, none=True) = None,
        transform: flag() = False,
        head_activation: text(none=True) = None,
        use_bias: flag() = False,
        cutoffs: ascending() = (),
        **kwargs,
    ):
        if "queries" in backbone.reads:
            raise TypeError(
                "CausalLM needs a TransformerBackbone with causal=True; for XLNet there is "
                f"PermutationLM. Received: {type(backbone).__name__}."
            )
        if "source" in backbone.reads:
            raise TypeError(
                "CausalLM needs a backbone that reads one text; for one that reads a source there "
                f"is Seq2SeqLM. Received: {type(backbone).__name__}."
            )
        if getattr(preprocessor, "backward", False):
            raise ValueError(
                "CausalLM writes texts from left to right. Received: a preprocessor with "
                "backward=True. Leave it out, and give and take ids in the order of the model."
            )
        if "causal" not in backbone.reads:
            raise ValueError(
                "CausalLM needs a backbone with causal=True: one that reads in both directions "
                "has seen what it would predict. For such there is MaskedLM. Received: "
                f"{type(backbone).__name__} with causal=False."
            )

        # === Layers ===
        self.forget_programs()
        self.backbone = backbone
        self.preprocessor = preprocessor
        head = target_head(backbone, transform, head_activation, use_bias, cutoffs)
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
        self.cutoffs = tuple(cutoffs)

    def settings(self):
        return {
            "transform": self.transform,
            "head_activation": self.head_activation,
            "use_bias": self.use_bias,
            "cutoffs": list(self.cutoffs),
        }

    @classmethod
    def settings_of_heads(cls, heads):
        cutoffs = heads.get("tokens", {}).get("cutoffs")
        return super().settings_of_heads(heads) | ({"cutoffs": cutoffs} if cutoffs else {})

    # === Texts ===

    @check_arguments
    def generate(
        self,
        prompts,
        max_length=None,
        sampler="top_p",
        stop_token_ids="auto",
        prefix=None,
        forbidden_token_ids="auto",
        strip_prompt: flag() = False,
        return_scores: flag() = False,
        batch_size: integer(1) = 8,
        seed: integer(none=True) = None,
        verbose="auto",
        state=None,
        min_length: integer(0) = 0,
        no_repeat_ngram_size: integer(0) = 0,
    ):
        """Continue texts.

        XLA compiles once for each number of rows and `max_length`, both rounded up: to 1, 2, 4,
        ... or `batch_size` rows, and by up to an eighth of the tokens, which are dropped (with
        beams, none).

        Args:
            prompts: list of N str or of lists of int; they may differ in length.
            max_length: int. The length of prompt and continuation in tokens; None: the
                preprocessor's `sequence_length`, or what the backbone has positions for.
            sampler: "greedy", "random", "top_k", "top_p", "beam" or a
                `keras_hub.samplers.Sampler`, such as `BeamSearch(num_results=5)`, which returns
                the 5 best. KerasHub's "top_p" keeps to p = 0.1.
            stop_token_ids: ids that end a text and are not part of it; "auto": the token that
                ends a document, if there is one; None: no.
            prefix: None, str or list of int: what stands before each of the prompts. None: the
                token that ends a document, if there is one; str: a document, and that token;
                ids are taken as they are, so [] is nothing.
            forbidden_token_ids: ids that are not written; "auto": the special pieces but those
                that stop.
            strip_prompt: bool. Whether to return the continuations without the prompts.
            return_scores: bool. Whether to return log-likelihoods as well.
            batch_size: int. How many prompts are continued at once.
            seed: int or None. Of the sampler; None: as it comes.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.
            state: nest of arrays (N, ...), as `encode` of a backbone with a memory hands it on:
                what stands before each prompt, and before nothing else unless `prefix` says so.
                None: nothing.
            min_length: int. The fewest tokens of prompt and continuation; a token that stops comes
                behind them.
            no_repeat_ngram_size: int. n: no n tokens of prefix, prompt and continuation
                occur twice. 0: they may.

        Returns:
            list of N str, or of lists of int where ids were given; of lists of these, best first,
            if the sampler returns several. With `return_scores` a pair: these, and the
            log-likelihoods of what was written, a stop token included, in nats, at temperature 1
            and with no id forbidden, in the same nesting.

        Raises:
            TypeError: if `prompts` are neither texts nor ids.
            ValueError: if there are no prompts, one is empty or leaves no room, there are not
                positions enough, `min_length` is above `max_length`, a name is unknown, or a state
                has another number of rows or is none that the backbone takes.
        """
        prompts, as_text = self._text.encode(prompts, what="`prompts`")
        if not prompts:
            raise ValueError("`prompts` holds no prompts. Received: an empty list.")
        self._check_state(state, len(prompts), "prompts")
        before = self._text.context([] if prefix is None and state is not None else prefix)
        max_length = self._max_length(max_length, len(before))
        for index, prompt in enumerate(prompts):
            if not prompt:
                raise ValueError(
                    f"Prompt {index} is empty: there is nothing to continue. Give a token, such as "
                    "the one that ends a document."
                )
        check_prompts(prompts, max_length)
        check_lengths(min_length, max_length)
        stop_ids = self._text.stop_ids(stop_token_ids)
        rows = [before + prompt for prompt in prompts]
        length = len(before) + max_length
        computed = len(before) + self._slots_computed(max_length, sampler, len(before))
        batches = self._slots(rows, computed, batch_size, state)
        number = len(prompts)
        written = self._write(
            batches,
            number,
            sampler,
            seed,
            forbidden_token_ids,
            stop_ids,
            verbose,
            length,
            min_length=len(before) + min_length if min_length else 0,
            no_repeat_ngram_size=no_repeat_ngram_size,
        )
        starts = [[]] * len(prompts) if strip_prompt else prompts
        results = self._text.written_texts(written, starts, stop_ids, as_text)
        if not return_scores:
            return results
        pairs = [
            (before + prompt, with_end(ids, stop_ids))
            for prompt, one in zip(prompts, written)
            for ids in beams(one)
        ]
        of_prompt = [number for number, one in enumerate(written) for _ in beams(one)]
        found = iter(self._score(pairs, batch_size, 0, _rows_of_state(state, of_prompt)))
        scores = [[float(next(found).sum()) for _ in beams(one)] for one in written]
        return results, single_results(scores, written)

    @check_arguments
    def score(
        self,
        texts,
        prompts=None,
        prefix=None,
        batch_size: integer(1) = 8,
        verbose="auto",
        state=None,
    ):
        """The log-likelihood of every token of texts, in one pass.

        Every token is predicted from `prefix`, prompt and the tokens before it.

        Args:
            texts: list of N str or of lists of int.
            prompts: list of N of these, or None. What stands before each text, and is known.
            prefix: as in `generate`.
            batch_size: int. How many texts are scored at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.
            state: as in `generate`; what stands before each prompt.

        Returns:
            list of N `TextScore`.

        Raises:
            TypeError: if `texts` are neither texts nor ids.
            ValueError: if there are no texts, one has no tokens, is too long, or there is nothing
                that its first token can be predicted from; for a state as `generate`.
        """
        rows, known = self._text.encode_behind(texts, prompts)
        self._check_state(state, len(rows), "texts")
        context = self._text.context([] if prefix is None and state is not None else prefix)
        pairs = [(context + first, row) for first, row in zip(known, rows)]
        return text_scores(rows, self._score(pairs, batch_size, verbose, state))

    @check_arguments
    def choose(
        self,
        prompts,
        choices,
        normalize="none",
        unconditional_prompt="Answer:",
        prefix=None,
        batch_size: integer(1) = 8,
        verbose="auto",
    ):
        """Find which of several choices is the likeliest behind each prompt.

        A prompt is read once for all of its choices. They are encoded apart from it: with GPT-2's
        tokenizer give " Paris", with its space, and no space at the end of the prompt.

        Args:
            prompts: list of N str or of lists of int.
            choices: list of N lists of C str, or of C lists of int; C may differ.
            normalize: "none": the log-likelihood of a choice behind the prompt; "tokens": that per
                token; "unconditional": less its log-likelihood behind `unconditional_prompt`,
                which takes away what is likely anyway.
            unconditional_prompt: str or list of int. For `normalize="unconditional"`. GPT-3's
                "Answer: ", here without the space, which is the choices'.
            prefix: as in `generate`; it stands before the unconditional prompt as well.
            batch_size: int. How many prompts are read at once.
            verbose: "auto", 0, 1 or 2, as for `keras.Model.predict`: whether a bar is shown.

        Returns:
            list of N `Choice`.

        Raises:
            TypeError: if prompts or choices are neither texts nor ids.
            ValueError: if there are no prompts, or no choices for one, a choice has no tokens,
                nothing stands before it, it and its prompt are longer than the positions, or
                `normalize` is unknown.

        Source: GPT-3, arXiv:2005.14165, section 2.4.
        """
        text = self._text
        known, _ = text.encode(prompts, what="`prompts`")
        if not known:
            raise ValueError("`prompts` holds no prompts. Received: an empty list.")
        choices = encoded_choices(text, choices, len(known))
        context = text.context(prefix)
        unconditional = None
        if isinstance(normalize, str) and normalize == "unconditional":
            what = "`unconditional_prompt`"
            unconditional = context + text.encode([unconditional_prompt], what=what)[0][0]
        constants = constant_features(self.backbone, self.preprocessor)
        scoring = ChoiceScoring(self, self._programs.compiled, constants, batch_size, verbose)
        prompts = [context + prompt for prompt in known]
        return scoring.choose(prompts, choices, normalize, unconditional)

    # === Parts ===

    def _max_length(self, max_length, num_before):
        """The length of prompt and continuation, checked against the backbone's positions."""
        longest = self.backbone.max_sequence_length
        room = float("inf") if longest is None else longest - num_before
        if max_length is None:
            room = min(room, getattr(self.preprocessor, "sequence_length", room))
            max_length = None if room == float("inf") else room
        if longest is None:
            return check_integer("max_length", max_length, 2)
        why = (
            f": the backbone has positions for {longest} tokens, and {num_before} stand before "
            "each prompt"
        )
        return check_integer("max_length", max_length, 2, room, why=why)

    def _check_state(self, state, number, what):
        """Refuse a state that the backbone does not take, or of another number of rows."""
        if state is None:
            return
        if "state" not in self.backbone.reads:
            raise ValueError(
                "This backbone has no state: texts cannot go on from one. "
                f"Received: a state, and {type(self.backbone).__name__} without a memory."
            )
        counts = sorted({leaf.shape[0] for leaf in keras.tree.flatten(state)})
        if counts != [number]:
            raise ValueError(
                f"The state must have a row for each of the {what}. "
                f"Received: {number} {what}, and a state of {counts} rows."
            )

    def _slots(self, rows, length, batch_size, state):
        """Yield batches of texts whose places are slots, from the end of what each begins with."""
        constants = constant_features(self.backbone, self.preprocessor)
        for numbered, count in batches_of(list(enumerate(rows)), batch_size):
            numbers, batch = zip(*numbered)
            token_ids, used = rows_of(batch, length)
            features = {"token_ids": token_ids}
            if state is not None:
                features["state"] = _rows_of_state(state, numbers)
            for name, constant in constants.items():
                features[name] = np.full_like(token_ids, constant)
            texts = np.where(used, -1, token_ids).astype("int32")
            yield Slots(features, texts, used, min(map(len, batch))), count

    def _score(self, pairs, batch_size, verbose, state=None):
        """The log-likelihoods (n,) of the second of each pair of lists of ids behind the first."""
        longest = self.backbone.max_sequence_length or max(len(a) + len(b) for a, b in pairs)
        for index, (known, row) in enumerate(pairs):
            if not known:
                raise ValueError(
                    f"There is nothing that the first token of text {index} can be predicted "
                    "from. Give a prefix or a prompt."
                )
            if len(known) + len(row) > longest:
                raise ValueError(
                    f"The backbone has positions for {longest} tokens. Received: text {index} "
                    f"with {len(row)} tokens behind {len(known)}."
                )
        check_integer("batch_size", batch_size, 1)
        scores, constants = [None] * len(pairs), constant_features(self.backbone, self.preprocessor)
        lengths = np.array([len(known) + len(row) for known, row in pairs])
        shapes = Shapes(batch_size, fixed=self.fixed_shapes)
        batches = plan(lengths, len(pairs), longest, shapes)
        for numbers, length in with_progress(
            batches, len(pairs), verbose, count=lambda batch: len(batch[0])
        ):
            whole = np.resize(numbers, shapes.rows(len(numbers)))
            batch = [pairs[number] for number in whole]
            token_ids, behind = rows_of([known + row for known, row in batch], length)
            features = {"token_ids": token_ids, "padding_mask": ~behind}
            for name, constant in constants.items():
                features[name] = np.full_like(token_ids, constant)
            if state is not None:
                features["state"] = _rows_of_state(state, whole)
            places = np.tile(np.arange(length - 1, dtype="int32"), (len(batch), 1))
            features["target_positions"] = places  # each the token to its right
            values = self._programs.score(features, token_ids[:, 1:])  # (B, T - 1)
            for number, (known, row), own in zip(numbers, batch, values):
                scores[number] = own[len(known) - 1 : len(known) + len(row) - 1]
        return scores


def _rows_of_state(state, numbers):
    """The rows of a state with some numbers, or None if there is none."""
    take = lambda leaf: keras.ops.convert_to_numpy(leaf)[np.asarray(numbers)]  # noqa: E731
    return None if state is None else keras.tree.map_structure(take, state)
