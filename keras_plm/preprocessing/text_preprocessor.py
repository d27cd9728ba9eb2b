"""From texts, or pairs of texts, to the features of a backbone."""

import logging

import keras

from keras_plm.checks import check_flag
from keras_plm.preprocessing.linked_entities import entities_of_tokens
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tokenizers.text_columns import refuse_empty, text_list

logger = logging.getLogger("keras_plm")


@keras.saving.register_keras_serializable(package="keras_plm")
class TextPreprocessor(Preprocessor):
    """Turns texts, or pairs of texts, into token ids, segment ids and a padding mask.

    The layout is the tokenizer's. XLNet's is `A SEP CLS` or `A SEP B SEP CLS`, padded at the
    left, so that CLS is the last token of every row; segment 0 for A, 1 for B, 2 for CLS. BERT's
    is `CLS A SEP` or `CLS A SEP B SEP`, padded at the right; segment 0 for A, 1 for B. GPT-1's for
    the texts of its tasks is `<s> A <e>` or `<s> A $ B <e>` (layout "gpt1_transfer", of tokens that
    `keras_plm.data.add_special_tokens` or `keras_plm.presets.extend_vocabulary` adds), so that the
    last token has seen all. A text that is too long loses its end; in a pair the longer text gives
    way, B if both are as long.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        language: str or None. The language of all texts, for a tokenizer with languages (XLM).
        pre_split: bool. Whether spaces separate the words of all texts (XLM: zh, th, ja).
        truncate: bool. Whether what is too long is cut, as in the released code; how many rows
            were is said in the log "keras_plm". False: it is refused.
        backward: bool. Whether every text is read from its last token to its first, between the
            special tokens of the layout, for a model of such texts (ULMFiT's second one). Then
            what is too long loses its beginning.
        linker: function or None. What finds the entities of a text, for a backbone that reads
            them: of a str it returns a list of (begin, end, number), characters of the text and a
            row of the backbone's table, such as `keras_plm.data.DictionaryLinker`. The entity
            stands at the first token of its mention. No file keeps a function: it is given again
            where a preset is loaded.

    Call arguments:
        x: list of str, or a pair (tuple) of two such lists, of N texts.

    Returns:
        dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T) bool,
        `language_ids` (N, T) int32 if the tokenizer has languages, and `entity_ids` (N, T) int32
        if there is a linker. A task leaves out those that its backbone does not take.

    Raises:
        TypeError: if `x` holds anything but strings.
        ValueError: if the two lists of a pair differ in length, there are no texts, or one is
            empty; with `truncate=False` if a text or pair is too long.

    Source: XLNet, arXiv:1906.08237, section 2.5; the released `classifier_utils.py`; GPT-1
    (Radford et al. 2018), section 3.3 (classification, entailment, similarity).
    """

    def __init__(
        self,
        tokenizer=None,
        sequence_length=128,
        truncate=True,
        language=None,
        pre_split=False,
        backward=False,
        linker=None,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, language, pre_split, **kwargs)
        if not isinstance(truncate, bool):
            raise ValueError(f"`truncate` must be True or False. Received: {truncate!r}.")
        self.truncate = truncate
        self.backward = check_flag("backward", backward)
        if linker is not None and (not callable(linker) or backward):
            raise ValueError(
                "`linker` must be a function of a text, or None, of texts that are not read "
                f"backward. Received: linker={linker!r:.100}, backward={backward}."
            )
        self.linker = linker

    def settings(self):
        given = {"backward": True} if self.backward else {}
        return {**super().settings(), "truncate": self.truncate, **given}

    def encode_texts(self, texts, what="`x`"):
        ids = super().encode_texts(texts, what)
        return [one[::-1] for one in ids] if self.backward else ids

    def call(self, x):
        return self.padded(self.rows(x))

    def rows(self, x):
        """Lay out the rows of texts, without padding.

        Args:
            x: list of N str, or a pair (tuple) of two such lists.

        Returns:
            list of N pairs (token ids, segment ids), of at most T ints each; with a linker of
            triples, with the entity of each token.

        Raises:
            TypeError, ValueError: see the class.
        """
        if isinstance(x, tuple) and len(x) != 2:
            raise ValueError(
                f"A tuple must be a pair of two lists of texts. Received: {len(x)} elements. "
                "Give texts as a list."
            )
        first, second = x if isinstance(x, tuple) else (x, None)
        first, first_entities = self._encoded(first)
        if second is None:
            second, second_entities = [None] * len(first), [()] * len(first)
        else:
            second, second_entities = self._encoded(second)
        if len(first) != len(second):
            raise ValueError(
                "The two lists of a pair must be as long as each other. "
                f"Received: {len(first)} and {len(second)} texts."
            )
        num_special = self.layout.num_special(second[0] is not None)
        self.check_lengths([len(a) + len(b or ()) + num_special for a, b in zip(first, second)])
        rows = [self.pair_row(*texts) for texts in zip(first, second)]
        if self.linker is None:
            return rows
        entities = [[*a, *b] for a, b in zip(first_entities, second_entities)]
        return [
            (*row, self._laid_out(own, len(a), b is not None))
            for row, own, a, b in zip(rows, entities, first, second)
        ]

    def _encoded(self, texts):
        """The ids of texts, and with a linker the entity of each of their tokens."""
        if self.linker is None:
            ids = self.encode_texts(texts)
            return ids, [()] * len(ids)
        texts = text_list(texts, "`x`")
        ids, offsets = self.tokenizer.encode_with_offsets(texts)
        refuse_empty(texts, ids, "`x`")
        return ids, [entities_of_tokens(self.linker, *own) for own in zip(texts, offsets)]

    def _laid_out(self, entities, num_first, pair):
        """The entities of the tokens of a text or pair where these stand in their row."""
        places = list(range(-1, -1 - len(entities), -1))  # special tokens are numbers from 0
        second = places[num_first:] if pair else None
        row, _ = self.pair_row(places[:num_first], second)
        return [0 if place >= 0 else entities[-1 - place] for place in row]

    def write_preset(self, directory):
        if self.linker is not None:
            logger.warning(
                "%s: no file keeps the `linker`; give it again where the preset is loaded.",
                type(self).__name__,
            )
        super().write_preset(directory)

    def check_lengths(self, lengths):
        """Refuse rows that are too long, or say that they will be cut.

        Of the batches of a dataset, which a task reads one by one, that is said once.

        Args:
            lengths: list of int, of all rows with their special tokens.

        Raises:
            ValueError: with `truncate=False`, naming the first row that is too long.
        """
        too_long = [row for row, length in enumerate(lengths) if length > self.sequence_length]
        if not too_long:
            return
        row = too_long[0]
        found = (
            f"{len(too_long)} of {len(lengths)} rows are longer than {self.sequence_length} "
            f"tokens, the first of them row {row} with {lengths[row]}"
        )
        if not self.truncate:
            raise ValueError(
                f"{found}. Raise `sequence_length`, shorten the texts, or let `truncate=True` cut "
                "them."
            )
        lost = "beginnings, as they are read backward" if self.backward else "ends"
        self.say_cut(f"{found}: they lose their {lost}")
