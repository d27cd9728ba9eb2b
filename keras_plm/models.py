"""The catalogue: one builder per system, a point in (architecture, objective, transfer)."""

from keras_plm.backbones import TransformerBackbone, XLNetBackbone
from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    Mixture,
    ObjectiveSum,
    PermutationModeling,
    RandomSelection,
    SentencePair,
    SpanSelection,
)
from keras_plm.presets import TRANSFORMER_SIZES
from keras_plm.tasks import Pretrainer, TextPreprocessor

# Base and large are those of BERT (arXiv:1810.04805, section 3), and of all others here. A narrow
# model needs larger initial weights than the released 0.02, about 1 / sqrt(width): else it stays
# for long at the unigram loss.
SIZES = {
    "tiny": dict(
        num_layers=3, num_heads=4, hidden_dim=128, intermediate_dim=512, initializer_range=0.08
    ),
    "small": dict(
        num_layers=6, num_heads=4, hidden_dim=256, intermediate_dim=1024, initializer_range=0.06
    ),
    "base": dict(
        num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=3072, initializer_range=0.02
    ),
    "large": dict(
        num_layers=24, num_heads=16, hidden_dim=1024, intermediate_dim=4096, initializer_range=0.02
    ),
}
LENGTHS = {"tiny": 128, "small": 256, "base": 512, "large": 512}


def xlnet(tokenizer, size="base", sequence_length=None, bidirectional=False, **overrides):
    """XLNet: a two-stream Transformer-XL trained by permutation language modelling.

    Args:
        tokenizer: `keras_plm.data.SentencePieceTokenizer`.
        size: str. "tiny" (3 layers, width 128), "small" (6, 256), "base" (12, 768) or "large"
            (24, 1024).
        sequence_length: int or None. T; half of it is the reuse half, a sixth is predicted.
            None: 128, 256 or 512 by size.
        bidirectional: bool. Whether half of the rows are read right to left.
        overrides: arguments of `XLNetBackbone`, such as `memory_length`, `dropout`, `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: if the size is unknown, or an argument is.

    Source: XLNet, arXiv:1906.08237.
    """
    length = _length(size, sequence_length)
    objective = PermutationModeling(
        sequence_length=length,
        reuse_length=length // 2,
        num_predict=length // 6,
        permutation_size=length // 2,
        bidirectional=bidirectional,
    )
    arguments = {**SIZES[size], "reuse_length": length // 2, **overrides}
    backbone = XLNetBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length))


def bert(tokenizer, size="base", sequence_length=None, static_passes=0, **overrides):
    """BERT: masked tokens and the next sentence, over pairs of texts.

    As released: exactly 15 % of the tokens of a row are chosen, and of these 10 % become any
    entry of the vocabulary, special ones too. Not so: rows are masked anew in every pass, unless
    `static_passes` says otherwise, and all rows have one length.

    Args:
        tokenizer: `keras_plm.data.Tokenizer` with a mask, such as a WordPiece one.
        size: str. "tiny" (3 layers, width 128), "small" (6, 256), "base" (12, 768) or "large"
            (24, 1024).
        sequence_length: int or None. T. None: 128, 256 or 512 by size.
        static_passes: int. After how many passes over the corpus the same batches come again;
            the released data has 10 copies of the corpus. 0: never.
        overrides: arguments of `TransformerBackbone`, such as `dropout` and `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: if the size is unknown, an argument is, or the tokenizer has no mask.

    Source: BERT, arXiv:1810.04805, section 3.1; the released `create_pretraining_data.py`.
    """
    return _bert("token", tokenizer, size, sequence_length, static_passes, overrides)


def bert_wwm(tokenizer, size="base", sequence_length=None, static_passes=0, **overrides):
    """BERT with whole-word masking: the pieces of a word are chosen together.

    What becomes of a chosen piece is still drawn for each by itself. Words are those of the
    corpus: the tokenizer's, or for Chinese those of `Corpus.build(..., split_words=...)`.

    Args:
        tokenizer: as for `bert`.
        size: as for `bert`.
        sequence_length: as for `bert`.
        static_passes: as for `bert`.
        overrides: arguments of `TransformerBackbone`, such as `dropout` and `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: as for `bert`.

    Source: the released `create_pretraining_data.py` of BERT, `do_whole_word_mask`; BERT-wwm,
    arXiv:1906.08101, section 2.2.
    """
    return _bert("word", tokenizer, size, sequence_length, static_passes, overrides)


def roberta(tokenizer, size="base", sequence_length=None, **overrides):
    """RoBERTa: masked tokens alone, masked anew in every pass, in rows of full sentences.

    15 % of the tokens of a row are chosen on average, and random ones are never special. There
    are neither segments nor a pooler; positions count real tokens only.

    Args:
        tokenizer: as for `bert`; the original's is byte-level BPE. Its layout says which special
            tokens stand around a row. If that layout tells two texts apart by segments, which
            this model cannot, its table of one segment is left out.
        size: as for `bert`.
        sequence_length: as for `bert`.
        overrides: arguments of `TransformerBackbone`, such as `dropout` and `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: as for `bert`.

    Source: RoBERTa, arXiv:1907.11692, sections 4.1 and 4.2; fairseq's `mask_tokens_dataset`.
    """
    length = _length(size, sequence_length)
    select = RandomSelection(count="rounded")
    objective = MaskedModeling.for_tokenizer(tokenizer, select=select, sequence_length=length)
    tells_texts_apart = len(set(tokenizer.layout.segments)) > 1
    segments = 0 if tells_texts_apart else 1
    return _pretrainer(
        "roberta_base", tokenizer, objective, size, {"num_segments": segments, **overrides}
    )


def spanbert(tokenizer, size="base", sequence_length=None, **overrides):
    """SpanBERT: masked spans, predicted from their own rows and from the tokens around them.

    Rows are of one document. A span is masked, replaced or kept as a whole; random tokens are as
    frequent as in the corpus. Spans of more than 20 tokens, and those beside a special token, are
    not predicted from their boundaries. Nothing would train a pooler: there is none.

    Args:
        tokenizer: as for `bert`.
        size: as for `bert`.
        sequence_length: as for `bert`.
        overrides: arguments of `TransformerBackbone`, such as `dropout` and `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: as for `bert`.

    Source: SpanBERT, arXiv:1907.10529, sections 3 and 4.2.
    """
    length = _length(size, sequence_length)
    objective = MaskedModeling.for_tokenizer(
        tokenizer,
        select=SpanSelection(),
        corrupt=Corruption(per="span", random_ids="corpus"),
        sequence_length=length,
        rows="doc_sentences",
        span_boundary=20,
    )
    return _pretrainer(
        "spanbert_base_en_cased", tokenizer, objective, size, {"pooler": False, **overrides}
    )


def ernie1(tokenizer, size="base", sequence_length=None, spans=True, dialogue=False, **overrides):
    """ERNIE 1.0 (Baidu): batches with masked tokens and batches with masked phrases, by turns.

    Every token or unit is chosen by itself, with a chance of 15 %; random ones are any entry of
    the vocabulary. As in the released code, each batch also asks whether the two texts of a row
    belong together. A large model was not published.

    Args:
        tokenizer: as for `bert`.
        size: as for `bert`.
        sequence_length: as for `bert`.
        spans: bool. Whether the units are the phrases and entities that the corpus has from
            `Corpus.build(..., find_spans=...)`, and the words between them; else words alone.
        dialogue: bool. Whether every third batch is of three turns of a dialogue, one of them
            perhaps not real. The documents of the corpus are dialogues then, the sentences turns.
        overrides: arguments of `TransformerBackbone`, such as `dropout` and `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: as for `bert`.

    Source: ERNIE, arXiv:1904.09223, sections 3.2 and 3.3; the released `batching.py`.
    """
    length = _length(size, sequence_length)
    parts = [("token", "random"), ("span" if spans else "word", "random")]
    parts += [("token", "reply")] if dialogue else []
    objectives = []
    for unit, negative in parts:
        pair = SentencePair(length, negative)
        masked = MaskedModeling.for_tokenizer(
            tokenizer,
            select=RandomSelection(unit, count="bernoulli"),
            corrupt=Corruption(random_ids="vocabulary"),
            sequence_length=length,
            rows=pair.rows,
            segments=True,
        )
        objectives.append(ObjectiveSum((masked, pair)))
    objective = Mixture(tuple(objectives), (1,) * len(objectives))
    return _pretrainer("ernie1_base_zh", tokenizer, objective, size, overrides)


def _length(size, sequence_length):
    """The length of the rows of a size, which must be known."""
    if size not in SIZES:
        raise ValueError(f"`size` must be one of {sorted(SIZES)}. Received: size={size!r}.")
    return LENGTHS[size] if sequence_length is None else sequence_length


def _bert(unit, tokenizer, size, sequence_length, static_passes, overrides):
    """BERT, masking tokens or words."""
    length = _length(size, sequence_length)
    masked = MaskedModeling.for_tokenizer(
        tokenizer,
        select=RandomSelection(unit),
        corrupt=Corruption(random_ids="vocabulary"),
        sequence_length=length,
        rows="sentence_pair",
        segments=True,
        static_passes=static_passes,
    )
    objective = ObjectiveSum((masked, SentencePair(length)))
    return _pretrainer("bert_base_en_uncased", tokenizer, objective, size, overrides)


def _pretrainer(published, tokenizer, objective, size, overrides):
    """A Transformer with the flags of a published one, of any size, and its objective.

    It has positions for rows of its size's length at least, and a segment for each of a layout's.
    """
    length = objective.sequence_length
    flags = TRANSFORMER_SIZES[published]
    arguments = {
        **flags,
        **SIZES[size],
        "vocabulary_size": tokenizer.vocabulary_size,
        "max_sequence_length": max(LENGTHS[size], length),
        "num_segments": max(flags["num_segments"], max(tokenizer.layout.segments) + 1),
        **overrides,
    }
    return Pretrainer(
        TransformerBackbone(**arguments), objective, TextPreprocessor(tokenizer, length)
    )
