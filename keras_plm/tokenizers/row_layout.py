"""How texts become a row: which special tokens stand around them, and which segments they have."""

from dataclasses import dataclass

from keras_plm.checks import did_you_mean


@dataclass(frozen=True)
class RowLayout:
    """Where the special tokens of a row stand.

    `LAYOUTS["bert"].lay_out(tokenizer, [7], [8, 9])` gives the ids of `[CLS] 7 [SEP] 8 9 [SEP]`
    and the segments `0 0 0 1 1 1`. Special tokens have the names of `Tokenizer.special_token_ids`.

    Args:
        name: str, under which `LAYOUTS` has it.
        start: tuple of str. The special tokens before the first text.
        between: tuple of str. Those between the two texts of a pair; they belong to the first.
        end: tuple of str. Those after the last text.
        segments: three ints. The segment of A with what is before and after it, of B with the
            first token after it, and of the tokens after that.
        pad_left: bool. Whether rows are padded at the left.
        question_first: bool. Whether of a question and its passage the question is A.
        decoder_start: str or None. The special token that a decoder reads first; None: the first
            one of `start`, or what ends a text.
    """

    name: str
    start: tuple = ()
    between: tuple = ()
    end: tuple = ()
    segments: tuple = (0, 0, 0)
    pad_left: bool = False
    question_first: bool = True
    decoder_start: str | None = None

    def lay_out(self, tokenizer, first, *others):
        """Lay out one row, whatever its length.

        Args:
            tokenizer: `Tokenizer` that knows the special ids.
            first: list of int. The ids of A.
            others: lists of int. The ids of B, and of further texts: turns of a dialogue, whose
                segments are those of A and B by turns.

        Returns:
            Two lists of as many ints: token ids and segment ids.

        Raises:
            ValueError: if the tokenizer lacks a special token.
        """
        start, between, end = (
            [tokenizer.special_token_id(name) for name in names]
            for names in (self.start, self.between, self.end)
        )
        ids = [*start, *first]
        segments = [self.segments[0]] * len(ids)
        last = self.segments[0]
        for number, text in enumerate(others, start=1):
            ids += [*between, *text]
            segments += [last] * len(between)
            last = self.segments[number % 2]
            segments += [last] * len(text)
        behind = [last, *[self.segments[2]] * len(end)][: len(end)]
        return ids + end, segments + behind

    def num_special(self, pair=False):
        """How many special tokens a row has.

        Args:
            pair: bool. Whether it holds two texts.
        """
        return len(self.start) + len(self.end) + (len(self.between) if pair else 0)


LAYOUTS = {
    layout.name: layout
    for layout in (
        # A SEP B SEP CLS: Yang et al. (2019), section 2.5, and `classifier_utils.py`.
        RowLayout("xlnet", (), ("sep",), ("sep", "cls"), (0, 1, 2), True, False),
        # CLS A SEP B SEP: Devlin et al. (2019), figure 2.
        RowLayout("bert", ("cls",), ("sep",), ("sep",), (0, 1, 1)),
        # <s> A </s></s> B </s>: Liu et al. (2019), as fairseq and transformers build it; MPNet too.
        RowLayout("roberta", ("cls",), ("sep", "sep"), ("sep",)),
        # </s> A </s> B </s>: Conneau and Lample (2019), `batch_sentences` of the released code;
        # transformers puts <s> first, which the released models did not see there.
        RowLayout("xlm", ("cls",), ("sep",), ("sep",)),
        # Texts as they are: GPT-1, GPT-2.
        RowLayout("gpt"),
        # <s> A $ B <e>: Radford et al. (2018), section 3.3 and figure 1; the released `train.py`.
        RowLayout("gpt1_transfer", ("start",), ("delimiter",), ("classify",)),
        # A <eos> B <eos>: Transformer-XL (Dai et al. 2019), `add_eos` of the released code.
        RowLayout("transformer_xl", (), ("eos",), ("eos",)),
        # <S> A </S> <S> B </S>: ELMo (Peters et al. 2018), `encode` of the released bilm-tf.
        RowLayout("elmo", ("bos",), ("eos", "bos"), ("eos",)),
        # A </s> B </s>: T5 (Raffel et al. 2020), whose texts end so; pairs as in transformers.
        RowLayout("t5", (), ("eos",), ("eos",), decoder_start="pad"),
        # A </s>: Marian, as OPUS-MT's models were trained; it has no pairs, which are as T5's.
        RowLayout("marian", (), ("eos",), ("eos",), decoder_start="pad"),
        # A SEP: MASS (Song et al. 2019), whose texts have BERT's pieces and end so; pairs as T5's.
        RowLayout("mass", (), ("sep",), ("sep",)),
        # xxbos A xxbos B: ULMFiT (Howard and Ruder 2018), as fastai 2 begins its texts.
        RowLayout("ulmfit", ("bos",), ("bos",)),
    )
}


def layout_by_name(name):
    """The layout of that name.

    Args:
        name: str, one of `LAYOUTS`.

    Raises:
        ValueError: if there is none.
    """
    if not isinstance(name, str) or name not in LAYOUTS:
        raise ValueError(
            f"layout must be one of {sorted(LAYOUTS)}. Received: layout={name!r:.100}."
            f"{did_you_mean(name, LAYOUTS)}"
        )
    return LAYOUTS[name]
