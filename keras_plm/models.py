"""The catalogue: one function per system, a point in (architecture, objective, transfer).

Each says in full what the system is: its objective, its family in `families.py`, whose flags the
Transformer has, and what differs from the family as it was released. All take these arguments; a
docstring below describes only those that a system alone has.

Args:
    tokenizer: `keras_plm.data.Tokenizer`. Its layout says which special tokens stand around a row,
        and in which segments. Objectives that hide tokens need one with a mask.
    size: str. "tiny" (3 layers, width 128), "small" (6, 256), "base" (12, 768) or "large" (24,
        1024). Other published sizes are overrides: the layers, heads and widths of
        `keras_plm.presets.TRANSFORMER_SIZES`.
    sequence_length: int or None. T, tokens per row. None: 128, 256, 512 or 512 by size; for base
        and large of GPT-2 1024, of GPT-3 2048.
    overrides: arguments of the backbone, such as `dropout` and `dtype`. They win over all flags.

Returns:
    `keras_plm.tasks.Pretrainer`, compiled with its defaults.

Raises:
    ValueError: if the size is unknown, an argument is unknown or out of range, or the tokenizer
        lacks what the objective needs.
"""

import functools
import inspect
from dataclasses import replace

import keras

from keras_plm import families
from keras_plm.backbones import (
    AWDLSTMBackbone,
    ELMoBackbone,
    EmbeddingBackbone,
    KnowledgeBackbone,
    Seq2SeqBackbone,
    TransformerBackbone,
    TransformerXLBackbone,
    XLNetBackbone,
)
from keras_plm.backbones.preset_files.preset_directory import arguments_of
from keras_plm.checks import (
    check_arguments,
    check_choice,
    check_integer,
    check_names,
    flag,
    integer,
    kind,
    number,
)
from keras_plm.objectives import (
    MASS,
    Capitals,
    CausalModeling,
    Corruption,
    Denoising,
    DiscourseRelation,
    EntityDenoising,
    MaskedModeling,
    MaskedPermutationModeling,
    Mixture,
    NgramSelection,
    ObjectiveSum,
    PermutationModeling,
    PrefixModeling,
    RandomSelection,
    SentenceDistance,
    SentencePair,
    SentenceReordering,
    SkipGram,
    SpanBoundary,
    SpanCorruption,
    SpanSelection,
    TextInfilling,
    TokenDocument,
    Translation,
    TwoWayModeling,
    continual_stages,
)
from keras_plm.tasks import MultiTask, Pretrainer, TextPreprocessor
from keras_plm.tokenizers import Tokenizer

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
ELMO_SIZES = {
    "tiny": dict(
        num_layers=2,
        projection_dim=32,
        lstm_dim=256,
        filters=((1, 16), (2, 16), (3, 32), (4, 32), (5, 32)),
        num_highways=1,
    ),
    **{name.removeprefix("elmo_"): sizes for name, sizes in families.ELMO["sizes"].items()},
}
LENGTHS = {"tiny": 128, "small": 256, "base": 512, "large": 512}
# Base is the one that fastai released.
LSTM_SIZES = {
    "tiny": dict(num_layers=2, hidden_dim=64, lstm_dim=128),
    "small": dict(num_layers=3, hidden_dim=200, lstm_dim=576),
    "base": dict(num_layers=3, hidden_dim=400, lstm_dim=1152),
}
SIATL_SIZES = {
    "tiny": dict(num_layers=2, hidden_dim=64, lstm_dim=128),
    "small": dict(num_layers=2, hidden_dim=200, lstm_dim=500),
    "base": dict(num_layers=2, hidden_dim=400, lstm_dim=1000),
}
# Mikolov et al. (arXiv:1310.4546), sections 3 and 4: 300 and 1000; the default of word2vec.c: 100.
SKIP_GRAM_WIDTHS = {"tiny": 50, "small": 100, "base": 300, "large": 1000}


# GLUE's as the paper casts them (arXiv:1901.11504, section 3.1): QNLI and WNLI rank candidates.
_PAIRS = {"class": "TextClassifier", "num_classes": 2, "pooling": "san"}
MT_DNN_TASKS = {
    "cola": {"class": "TextClassifier", "num_classes": 2, "dropout": 0.05},
    "sst2": {"class": "TextClassifier", "num_classes": 2},
    "stsb": {"class": "TextRegressor"},
    "mnli": {**_PAIRS, "num_classes": 3},
    "rte": _PAIRS,
    "qqp": _PAIRS,
    "mrpc": _PAIRS,
    "qnli": {"class": "MultipleChoice"},
    "wnli": {"class": "MultipleChoice"},
}


def _takes(backbone_class):
    """Refuse arguments that neither a system nor its backbone takes, before anything is made."""

    def decorate(system):
        known = {*inspect.signature(system).parameters, *arguments_of(backbone_class)}
        what = f"models.{system.__name__} of a {backbone_class.__name__}"

        @functools.wraps(system)
        def checked(*arguments, **settings):
            check_names(what, settings, known - {"overrides"})
            return system(*arguments, **settings)

        return checked

    return decorate


@_takes(XLNetBackbone)
@check_arguments
def xlnet(
    tokenizer: kind(Tokenizer), size="base", sequence_length=None, bidirectional=False, **overrides
):
    """XLNet: a two-stream Transformer-XL trained by permutation language modelling.

    Half of a row is the reuse half; a sixth of the row is predicted. The original's tokenizer is a
    `keras_plm.data.SentencePieceTokenizer`.

    Args:
        bidirectional: bool. Whether half of the rows are read right to left.

    Source: XLNet, arXiv:1906.08237, sections 2.2 to 2.4.
    """
    length = _length(size, sequence_length)
    objective = PermutationModeling(length, bidirectional=bidirectional)
    arguments = {**SIZES[size], "reuse_length": objective.reuse_length, **overrides}
    backbone = XLNetBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length))


@_takes(TransformerXLBackbone)
@check_arguments
def transformer_xl(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """Transformer-XL: every token of a text predicted from those before, and from a memory.

    The rows of a batch go on where those of the batch before ended, through the ends of documents,
    and see the states of as many tokens before them as a row has. Positions are relative. As in
    the PyTorch code a text begins with no memory, and all layers share the position biases.

    The original reads words, or characters. For words by frequency give `cutoffs` and `div_val`:
    then embedding and softmax are adaptive. The published sizes are in `families.TRANSFORMER_XL`;
    base and large are those of BERT, with its widths.

    Source: Transformer-XL, arXiv:1901.02860, sections 3.2, 3.3 and 4.1; kimiyoung/transformer-xl.
    """
    length = _length(size, sequence_length)
    objective = CausalModeling(length, rows="stream", documents_apart=False, output_bias=True)
    family = families.TRANSFORMER_XL
    arguments = {**family["flags"], **SIZES[size], "memory_length": length, **overrides}
    backbone = TransformerXLBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length))


@_takes(AWDLSTMBackbone)
@check_arguments
def ulmfit(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=70,
    backward: flag() = False,
    **overrides,
):
    """ULMFiT: an AWD-LSTM, every token of a text predicted from all those before it.

    The rows of a batch go on where those of the batch before ended, and so does the state of the
    LSTMs. Batches have one of six lengths about T. The original reads words:
    `train_tokenizer(..., model="word", layout="ulmfit")`. Then its `TextClassifier` has
    `pooling="concat"` and the dropouts `families.AWD_LSTM["classifier"]`.

    Args:
        size: str. "tiny" (2 LSTMs, width 64), "small" (3, 200) or "base" (3, 400; inside 1152).
        sequence_length: int. T, what the lengths of batches are near: 35, 60, 65, 70, 75, 80 of 70.
        backward: bool. Whether texts are read from their last token to their first: the second
            model of the pair whose predictions ULMFiT averages.

    Source: ULMFiT, arXiv:1801.06146, sections 3.1 and 3.4; AWD-LSTM, arXiv:1708.02182; sizes and
    dropouts of fastai (`awd_lstm_lm_config`).
    """
    check_choice("size", size, sorted(LSTM_SIZES))
    length = check_integer("sequence_length", sequence_length, 4)
    objective = CausalModeling(
        length,
        rows="stream",
        documents_apart=False,
        output_bias=True,
        variable_length=True,
        backward=backward,
    )
    arguments = {**families.AWD_LSTM["flags"], **LSTM_SIZES[size], **overrides}
    backbone = AWDLSTMBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length, backward=backward))


@_takes(AWDLSTMBackbone)
@check_arguments
def siatl(tokenizer: kind(Tokenizer), size="base", sequence_length=80, **overrides):
    """SiATL: LSTMs whose language model a classifier keeps as an auxiliary loss.

    The rows of a batch go on where those of the batch before ended, and so does the state. A dense
    layer leads from the last LSTM to the width of the embeddings, whose table is the softmax,
    without a bias: it is then the very language model of `TextClassifier(auxiliary_lm=0.2)`, which
    has `pooling="attention"` and the dropouts `families.SIATL["classifier"]`. The original reads
    words: `train_tokenizer(..., model="word", layout="ulmfit")`.

    Args:
        size: str. "tiny" (2 LSTMs of 128, embeddings of 64), "small" (500, 200) or "base" (1000,
            400).
        sequence_length: int or None. T, tokens per row; None: 80.

    Source: Chronopoulou et al., SiATL, arXiv:1902.10547, sections 3 and 4.2; its released code.
    """
    check_choice("size", size, sorted(SIATL_SIZES))
    length = check_integer("sequence_length", 80 if sequence_length is None else sequence_length, 2)
    objective = CausalModeling(length, rows="stream", documents_apart=False)
    arguments = {**families.SIATL["flags"], **SIATL_SIZES[size], **overrides}
    backbone = AWDLSTMBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length))


@_takes(ELMoBackbone)
@check_arguments
def elmo(
    tokenizer: kind(Tokenizer), size="small", sequence_length=None, num_sampled=0, **overrides
):
    """ELMo: a forward and a backward LSTM language model over words, read by their characters.

    Sentences follow each other, each of them reversed for the backward side, in rows that go on
    from batch to batch; each side has a state of its own, and both share the softmax. The
    tokenizer is a `WordTokenizer` of `characters=True`, as `train_tokenizer(..., model="word",
    layout="elmo")` makes it. Texts of tasks may have 128 words, however short the rows are.

    Args:
        size: str. "tiny" (2 layers of 256 cells, words of width 32), or one of the released ones,
            "small" (1,024 cells, width 128), "medium" (2,048, 256) and "original" (4,096, 512).
        sequence_length: int or None. T, words per row; None: 20, as released.
        num_sampled: int. How many words stand for the vocabulary in the softmax of training; 0:
            all of it. Released: 8,192 for 793,471 words.

    Source: ELMo, arXiv:1802.05365, sections 3.1 and 3.4; the released bilm-tf.
    """
    check_choice("size", size, tuple(ELMO_SIZES))
    if not getattr(tokenizer, "characters", False):
        raise ValueError(
            "ELMo reads the characters of words: give a WordTokenizer of characters=True, as "
            'train_tokenizer(..., model="word", layout="elmo") makes it. '
            f"Received: {tokenizer!r:.200}."
        )
    length = 20 if sequence_length is None else sequence_length
    objective = TwoWayModeling(length, num_sampled)
    arguments = {**families.ELMO["flags"], **ELMO_SIZES[size], **overrides}
    arguments["vocabulary_size"] = tokenizer.vocabulary_size
    backbone = ELMoBackbone(**arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, max(length, 128)))


@_takes(TransformerBackbone)
@check_arguments
def bert(
    tokenizer: kind(Tokenizer), size="base", sequence_length=None, static_passes=0, **overrides
):
    """BERT: masked tokens and the next sentence, over pairs of texts.

    As released: exactly 15 % of the tokens of a row are chosen, and of these 10 % become any
    entry of the vocabulary, special ones too. Not so: rows are masked anew in every pass, unless
    `static_passes` says otherwise, and all rows have one length.

    Args:
        static_passes: int. After how many passes over the corpus the same batches come again;
            the released data has 10 copies of the corpus. 0: never.

    Source: BERT, arXiv:1810.04805, section 3.1; the released `create_pretraining_data.py`.
    """
    length = _length(size, sequence_length)
    pairs = _masked_pairs(tokenizer, "token", length, static_passes)
    return _pretrainer(families.BERT, tokenizer, ObjectiveSum(pairs), size, overrides)


@_takes(TransformerBackbone)
@check_arguments
def mt_dnn(tokenizer: kind(Tokenizer), size="base", sequence_length=None, tasks=None, **overrides):
    """MT-DNN: a BERT that several tasks train together, each with a head of its own.

    Batches are of one task each, drawn by the sizes of the data; pairs are classified by a
    stochastic answer network, and candidates ranked. The tokenizer's layout has segments, as
    BERT's. This one starts from random weights: `tasks.MultiTask.from_preset(preset,
    tasks=models.MT_DNN_TASKS)` starts from a BERT, as the original does.

    Args:
        tasks: dict of names to tasks, see `keras_plm.tasks.MultiTask`. None: those of GLUE,
            `models.MT_DNN_TASKS`; the released settings classify all pairs without the answer
            network, which the paper has for MNLI, QQP and MRPC, and for RTE too.

    Returns:
        `keras_plm.tasks.MultiTask`, compiled with Adamax at a rate of 5e-5 (the schedule is the
        user's: linear, a tenth of it warm-up), decay 0.01, gradients clipped to a norm of 1.

    Source: MT-DNN, arXiv:1901.11504, sections 3 and 4.3; namisan/mt-dnn.
    """
    length = _length(size, sequence_length)
    _check_two_segments(tokenizer, "MT-DNN")
    backbone = TransformerBackbone(**_arguments(families.BERT, tokenizer, length, size, overrides))
    kinds = MT_DNN_TASKS if tasks is None else tasks
    model = MultiTask(backbone, kinds, TextPreprocessor(tokenizer, length))
    optimizer = keras.optimizers.Adamax(5e-5, weight_decay=0.01, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer)
    return model


@_takes(TransformerBackbone)
@check_arguments
def bert_wwm(
    tokenizer: kind(Tokenizer), size="base", sequence_length=None, static_passes=0, **overrides
):
    """BERT with whole-word masking: the pieces of a word are chosen together.

    What becomes of a chosen piece is still drawn for each by itself. Words are those of the
    corpus: the tokenizer's, or for Chinese those of `Corpus.build(..., split_words=...)`. All else
    is `bert`, `static_passes` too.

    Source: the released `create_pretraining_data.py` of BERT, `do_whole_word_mask`; BERT-wwm,
    arXiv:1906.08101, section 2.2.
    """
    length = _length(size, sequence_length)
    pairs = _masked_pairs(tokenizer, "word", length, static_passes)
    return _pretrainer(families.BERT, tokenizer, ObjectiveSum(pairs), size, overrides)


@_takes(TransformerBackbone)
@check_arguments
def roberta(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """RoBERTa: masked tokens alone, masked anew in every pass, in rows of full sentences.

    15 % of the tokens of a row are chosen on average, and random ones are never special. There is
    no pooler; positions count real tokens only. The table of one segment is left out where the
    layout tells two texts apart by segments, which this model cannot. The original's tokenizer is
    byte-level BPE.

    Source: RoBERTa, arXiv:1907.11692, sections 4.1 and 4.2; fairseq's `mask_tokens_dataset`.
    """
    length = _length(size, sequence_length)
    select = RandomSelection(count="rounded")
    objective = MaskedModeling.for_tokenizer(tokenizer, select=select, sequence_length=length)
    segments = 0 if len(set(tokenizer.layout.segments)) > 1 else 1
    return _pretrainer(
        families.ROBERTA, tokenizer, objective, size, overrides, num_segments=segments
    )


@_takes(TransformerBackbone)
@check_arguments
def spanbert(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """SpanBERT: masked spans, predicted from their own rows and from the tokens around them.

    Rows are of one document. A span is masked, replaced or kept as a whole; random tokens are as
    frequent as in the corpus. Spans of more than 20 tokens, and those beside a special token, are
    not predicted from their boundaries. Nothing would train a pooler: there is none.

    Source: SpanBERT, arXiv:1907.10529, sections 3 and 4.2.
    """
    masked = MaskedModeling.for_tokenizer(
        tokenizer,
        select=SpanSelection(),
        corrupt=Corruption(per="span", random_ids="corpus"),
        sequence_length=_length(size, sequence_length),
        rows="doc_sentences",
    )
    objective = ObjectiveSum((masked, SpanBoundary(20)))
    return _pretrainer(families.SPANBERT, tokenizer, objective, size, overrides, pooler=False)


@_takes(TransformerBackbone)
@check_arguments
def ernie1(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    spans: flag() = True,
    dialogue: flag() = False,
    **overrides,
):
    """ERNIE 1.0 (Baidu): batches with masked tokens and batches with masked phrases, by turns.

    Every token or unit is chosen by itself, with a chance of 15 %; random ones are any entry of
    the vocabulary. As in the released code, each batch also asks whether the two texts of a row
    belong together, and the activation is ReLU. A large model was not published.

    Args:
        spans: bool. Whether the units are the phrases and entities that the corpus has from
            `Corpus.build(..., find_spans=...)`, and the words between them; else words alone.
        dialogue: bool. Whether every third batch is of three turns of a dialogue, one of them
            perhaps not real. The documents of the corpus are dialogues then, the sentences turns.

    Source: ERNIE, arXiv:1904.09223, sections 3.2 and 3.3; the released `batching.py`.
    """
    length, corrupt = _length(size, sequence_length), Corruption(random_ids="vocabulary")
    settings = dict(corrupt=corrupt, sequence_length=length, segments=True)
    parts = [("token", "random"), ("span" if spans else "word", "random")]
    parts += [("token", "reply")] if dialogue else []
    objectives = []
    for unit, negative in parts:
        pair, select = SentencePair(length, negative), RandomSelection(unit, count="bernoulli")
        masked = MaskedModeling.for_tokenizer(tokenizer, select=select, rows=pair.rows, **settings)
        objectives.append(ObjectiveSum((masked, pair)))
    objective = Mixture(tuple(objectives), (1,) * len(objectives))
    return _pretrainer(families.ERNIE1, tokenizer, objective, size, overrides)


@_takes(TransformerBackbone)
@check_arguments
def ernie2(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    label_tasks=("capitals", "token_document", "sentence_reordering", "discourse_relation"),
    spans: flag() = True,
    task_steps: integer(2, none=True) = 50_000,
    **overrides,
):
    """ERNIE 2.0 (Baidu): task after task is added to masked phrases, and the old ones go on.

    A batch is of one task, whose number each token has in an embedding of its own: masked tokens
    are 0, and as in ERNIE 1.0. Rows are whole sentences of one document. The tasks are those of the
    English model; the Chinese one has distances of sentences, and relevance from a search log,
    which is not here. The corpus is lower-cased English with the columns `capitals` and
    `discourse_markers`, see `docs/ernie2.md`.

    Args:
        label_tasks: tuple of str. The tasks after the first, in their order: those of the default,
            and "sentence_distance".
        spans: bool. Whether masked units are the phrases and entities that the corpus has from
            `Corpus.build(..., find_spans=...)`, and the words between them; else words alone.
        task_steps: int or None. How many batches each task has, spread over the stages from the
            one where it is new; at least as many as tasks. None: all tasks at once, without end,
            each as often as the others.

    Source: ERNIE 2.0, arXiv:1907.12412, sections 3 and 4, tables 1 and 8; no code of its tasks
    was released.
    """
    length = _length(size, sequence_length)
    labels = {
        "capitals": Capitals(length, "doc_sentences", segments=True),
        "token_document": TokenDocument(length, segments=True),
        "sentence_reordering": SentenceReordering(length),
        "sentence_distance": SentenceDistance(length),
        "discourse_relation": DiscourseRelation(length),
    }
    names = label_tasks if isinstance(label_tasks, (tuple, list)) else ()
    known = all(isinstance(name, str) and name in labels for name in names)
    if not names or not known or len(set(names)) < len(names):
        raise ValueError(
            f"label_tasks must be one or more different ones of {sorted(labels)}. Received: "
            f"label_tasks={label_tasks!r:.200}"
        )
    masked = MaskedModeling.for_tokenizer(
        tokenizer,
        select=RandomSelection("span" if spans else "word", count="bernoulli"),
        corrupt=Corruption(random_ids="vocabulary"),
        sequence_length=length,
        rows="doc_sentences",
        segments=True,
    )
    parts = (masked, *(labels[name] for name in names))
    if task_steps is None:
        objective = Mixture(parts, (1,) * len(parts), task_ids=True)
    else:
        task_steps = check_integer("task_steps", task_steps, len(parts))
        stages = continual_stages(len(parts), task_steps)
        objective = Mixture(parts, stages=stages, task_ids=True)
    return _pretrainer(families.ERNIE2, tokenizer, objective, size, overrides)


@_takes(TransformerBackbone)
@check_arguments
def gpt1(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    documents_apart=False,
    output_bias=False,
    **overrides,
):
    """GPT-1: a causal Transformer with norms after the sublayers, that predicts the next token.

    Rows are full of running text, with a separator between documents: the tokenizer's "eod",
    "eos" or "sep". The embeddings are not normalised. Base is the published size.

    Args:
        documents_apart: bool. Whether tokens see none of another document in their row.
        output_bias: bool. Whether each token of the vocabulary has a bias; GPT has none.

    Source: GPT (Radford et al. 2018), sections 3.1 and 4.1.
    """
    length = _length(size, sequence_length)
    objective = CausalModeling(length, documents_apart=documents_apart, output_bias=output_bias)
    return _pretrainer(families.GPT1, tokenizer, objective, size, overrides)


@_takes(TransformerBackbone)
@check_arguments
def gpt2(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    documents_apart=False,
    output_bias=False,
    **overrides,
):
    """GPT-2: GPT-1 with norms before the sublayers, one at the end, and rows twice as long.

    As published, tokens see the documents before theirs in the row, and the weights that add to
    the residuals begin smaller, by the root of their number. As in the released code, positions
    begin half as large as tokens. `documents_apart` and `output_bias` are those of `gpt1`; base and
    large are the published small and medium one.

    Source: GPT-2 (Radford et al. 2019), section 2.3; `model.py` of openai/gpt-2.
    """
    length = _length(size, sequence_length, published=1024)
    deviation = overrides.get("initializer_range", SIZES[size]["initializer_range"])
    delta = {"scaled_residuals": True, "position_initializer_range": deviation / 2}
    objective = CausalModeling(length, documents_apart=documents_apart, output_bias=output_bias)
    return _pretrainer(families.GPT2, tokenizer, objective, size, overrides, **delta)


@_takes(TransformerBackbone)
@check_arguments
def gpt3(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    documents_apart=False,
    output_bias=False,
    **overrides,
):
    """GPT-3: GPT-2 in which every second layer sees only the nearest eighth of a row.

    The width of that band was not published; `window` sets it, as in `window=[None, 256]`. Rows
    are again twice as long. `documents_apart` and `output_bias` are those of `gpt1`; base and large
    are the published 125M and 350M.

    Source: GPT-3, arXiv:2005.14165, section 2.1 and appendix B.
    """
    length = _length(size, sequence_length, published=2048)
    band = [None, max(1, length // 8)]
    deviation = overrides.get("initializer_range", SIZES[size]["initializer_range"])
    delta = {"window": band, "scaled_residuals": True, "position_initializer_range": deviation / 2}
    objective = CausalModeling(length, documents_apart=documents_apart, output_bias=output_bias)
    return _pretrainer(families.GPT3, tokenizer, objective, size, overrides, **delta)


@_takes(TransformerBackbone)
@check_arguments
def unilm(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """UniLM: one model trained by four patterns of visibility, in turns.

    A third of the batches is bidirectional, with BERT's next sentence; in a third the first text
    of a pair is seen whole and the second from left to right; a sixth each reads one text from
    left to right and from right to left. 15 % of the tokens are chosen, as one token, or in one
    case out of five as two or three. Six segments tell the patterns apart; the layout must tell
    two texts apart by theirs.

    In UniLM itself the rows of one batch take turns. What rows the last three have was not
    published: here their pairs follow each other in a document, and single texts are of one
    document.

    Source: UniLM, arXiv:1905.03197, sections 2.1 to 2.4.
    """
    length = _length(size, sequence_length)
    _check_two_segments(tokenizer, "UniLM")
    select = NgramSelection(3, chances=(0.8, 0.1, 0.1), unit="token")
    pairs, texts = (
        MaskedModeling.for_tokenizer(tokenizer, select=select, sequence_length=length, rows=rows)
        for rows in ("sentence_pair", "doc_sentences")
    )
    bidirectional = ObjectiveSum((PrefixModeling(pairs, "bidirectional"), SentencePair(length)))
    to_second = PrefixModeling(pairs, "sequence_to_sequence")
    one_way = (PrefixModeling(texts, way) for way in ("left_to_right", "right_to_left"))
    objective = Mixture((bidirectional, to_second, *one_way), (2, 2, 1, 1))
    return _pretrainer(families.UNILM, tokenizer, objective, size, overrides)


@_takes(KnowledgeBackbone)
@check_arguments
def ernie_thu(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    static_passes=0,
    num_candidates=512,
    min_entities=5,
    **overrides,
):
    """ERNIE (Tsinghua): BERT's tokens and pairs, over a text and the entities that it mentions.

    The blocks of the lower half read the text alone; those above carry a second stream, of the
    entities, and fuse both. The vectors of the entities are frozen, and come from a knowledge
    graph: `entity_vectors=`, a table or its file. Tokens are masked as in `bert`. The paper starts
    from BERT's weights, `backbone.copy_text_weights(bert)`, and has rows of 256.

    For each mention it is told which entity of the batch is meant, whose vector was given,
    another's, or none. The corpus has the column `entities`.

    Args:
        static_passes: int. As in `bert`.
        num_candidates: int. The entities of a batch, see `EntityDenoising`.
        min_entities: int. Rows with fewer mentions are left out; 0: none is.

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), sections 3.2 to 3.4 and 4.1; thunlp/ERNIE.
    """
    length = _length(size, sequence_length)
    pairs = _masked_pairs(tokenizer, "token", length, static_passes)
    entities = EntityDenoising(num_candidates, length, min_entities=min_entities)
    objective = ObjectiveSum((*pairs, entities))
    return _pretrainer(
        families.ERNIE_THU, tokenizer, objective, size, overrides, backbone_class=KnowledgeBackbone
    )


@_takes(TransformerBackbone)
@check_arguments
def xlm(
    tokenizer: kind(Tokenizer), size="base", sequence_length=None, objective="mlm", **overrides
):
    """XLM: one model of many languages, trained on each of them and on translations.

    Rows are running text of one language, of which 15 % of the tokens are chosen, each by itself,
    or which is predicted from left to right; or a sentence and its translation, where positions
    start again and masked tokens are predicted from both. Languages are drawn as their share of
    the rows ** 0.7. The languages are those of the tokenizer, such as `train_tokenizer(...,
    model="bpe", layout="xlm", languages=["en", "de"])`; with less than two there is no table of
    languages. The published models are wider than base and large, and XLM's rows have 256 tokens.

    Not so in XLM: `</s>` within a row may be chosen too, the rows of a batch have one language,
    and the paper, unlike the defaults of its code, prefers rare tokens.

    Args:
        objective: str. "mlm", "clm" or "mlm_tlm": masked batches of text and of translations, half
            of each, from a corpus that has both.

    Source: XLM, arXiv:1901.07291, sections 3 and 5.1; facebookresearch/XLM.
    """
    _check_xlm_objective(objective)
    length, languages = _length(size, sequence_length), len(tokenizer.languages) > 1
    rows = dict(sequence_length=length, rows="language_stream", languages=languages)
    select, corrupt = RandomSelection(count="bernoulli"), Corruption(random_ids="vocabulary")
    masks = dict(select=select, corrupt=corrupt, positions=objective == "mlm_tlm", transform=False)
    if objective == "clm":
        chosen = CausalModeling(documents_apart=False, output_bias=True, **rows)
    else:
        chosen = MaskedModeling.for_tokenizer(tokenizer, **rows, **masks)
    if objective == "mlm_tlm":
        chosen = Mixture((chosen, replace(chosen, rows="translation_pair")), (1, 1))
    tables = max(tokenizer.languages.values()) + 1 if languages else 0
    delta = {"num_languages": tables, "causal": objective == "clm"}
    return _pretrainer(families.XLM, tokenizer, chosen, size, overrides, **delta)


@_takes(TransformerBackbone)
@check_arguments
def mpnet(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """MPNet: masked tokens in a random order; each sees those before it, and where the rest is.

    15 % of the tokens are chosen, by whole words; the copies of the targets come on top of the
    row. Attention is biased by the distance, in 32 buckets; positions count real tokens only.
    There are no segments. Nothing would train a pooler: there is none.

    Source: MPNet, arXiv:2004.09297, sections 2.2 and 3.1; the README of the released code.
    """
    objective = MaskedPermutationModeling.for_tokenizer(
        tokenizer,
        select=RandomSelection("word"),
        sequence_length=_length(size, sequence_length),
    )
    return _pretrainer(families.MPNET, tokenizer, objective, size, overrides, pooler=False)


@_takes(Seq2SeqBackbone)
@check_arguments
def transformer(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """The original Transformer: a text is translated, by an encoder and a decoder.

    The corpus is of pairs of texts, `Corpus.build` with languages or `Corpus.build_pairs`; each
    side has T tokens at most. Labels are smoothed by .1. As in all sizes here, encoder and decoder
    have as many layers each; the paper's base has 6 of width 512, with 8 heads.

    Source: Transformer, arXiv:1706.03762, sections 3 and 5.4.
    """
    length = _length(size, sequence_length)
    lengths = dict(source_length=length, target_length=length)
    objective = Translation.for_tokenizer(tokenizer, label_smoothing=0.1, **lengths)
    return _encoder_decoder(families.TRANSFORMER, tokenizer, objective, size, overrides)


@_takes(Seq2SeqBackbone)
@check_arguments
def mass(tokenizer: kind(Tokenizer), size="base", sequence_length=None, share=0.5, **overrides):
    """MASS: one span of a text is hidden from the encoder, and the decoder is asked for it.

    Half of the tokens are hidden. In MASS a row is a sentence; here it has as many sentences of a
    document as it holds. Noise and loss are those of its models for translation, the architecture
    is that of those for summaries: the former have languages, and an output projection for each.

    Args:
        share: float. The share of the tokens that are hidden, in (0, 1]: with one token it is
            masked language modelling, with all of them causal language modelling.

    Source: MASS, arXiv:1905.02450, sections 3.1 and 3.2; microsoft/MASS.
    """
    length = _length(size, sequence_length)
    objective = Denoising.for_tokenizer(
        tokenizer, MASS(share), sequence_length=length, rows="doc_sentences"
    )
    return _encoder_decoder(families.MASS, tokenizer, objective, size, overrides)


@_takes(Seq2SeqBackbone)
@check_arguments
def bart(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """BART: sentences are permuted and spans infilled; the decoder writes the whole text.

    Spans of 3.5 words in the mean, some of none, hide 30 % of the words, each behind one mask.
    Layers of a size are those of each side: the published base has 6 and 6, large 12 and 12.

    Source: BART, arXiv:1910.13461, sections 2.2 and 5.1.
    """
    length = _length(size, sequence_length)
    objective = Denoising.for_tokenizer(
        tokenizer, TextInfilling(), sequence_length=length, rows="doc_sentences"
    )
    return _encoder_decoder(families.BART, tokenizer, objective, size, overrides)


@_takes(Seq2SeqBackbone)
@check_arguments
def t5(tokenizer: kind(Tokenizer), size="base", sequence_length=None, **overrides):
    """T5: each hidden span becomes a sentinel, and the decoder is asked for what they stand for.

    15 % of the tokens are hidden, in spans of 3 in the mean. The tokenizer needs sentinels:
    `data.add_special_tokens(tokenizer, data.SENTINEL_TOKENS)`. This is T5 1.0; the flags of 1.1 are
    `families.T5_1_1["flags"]`, as overrides.

    In T5 itself rows are pieces of one document after the other, cut anywhere, as here.

    Source: T5, arXiv:1910.10683, sections 2.1 and 3.1.4; google-research/
    text-to-text-transfer-transformer.
    """
    length = _length(size, sequence_length)
    objective = Denoising.for_tokenizer(tokenizer, SpanCorruption(), sequence_length=length)
    return _encoder_decoder(families.T5, tokenizer, objective, size, overrides)


@_takes(EmbeddingBackbone)
@check_arguments
def skip_gram(
    tokenizer: kind(Tokenizer),
    size="base",
    sequence_length=None,
    window: integer(1) = 5,
    num_negatives: integer(1) = 5,
    threshold: number(above=0, none=True) = 1e-3,
    **overrides,
):
    """Skip-gram with negative sampling (word2vec): a vector for each token, whatever its text.

    A token is told from drawn ones by those beside it, in a window of 1 to `window` tokens. The
    vectors are those of the backbone, `token_embedding`; those of contexts are the head's. The
    tokenizer may be any; word2vec's units are words, as those of `train_tokenizer(...,
    model="word", layout="transformer_xl")`.

    Sizes are widths of 50, 100, 300 and 1000. In word2vec.c text goes on for 1,000 words, and a
    window ends with a sentence; here it ends with a document, or with the row.

    Args:
        window: int. The largest distance of a token and its context.
        num_negatives: int. How many tokens are drawn for each pair.
        threshold: float or None. The share of all tokens beyond which one is sometimes dropped.

    Source: Mikolov et al., arXiv:1310.4546, sections 2.2 and 2.3; arXiv:1301.3781, section 3.2.
    """
    objective = SkipGram.for_tokenizer(
        tokenizer,
        sequence_length=_length(size, sequence_length),
        window=window,
        num_negatives=num_negatives,
        threshold=threshold,
    )
    arguments = {"hidden_dim": SKIP_GRAM_WIDTHS[size], **overrides}
    backbone = EmbeddingBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, objective.sequence_length))


def _length(size, sequence_length, published=None):
    """The length of the rows of a size, which must be known; base and large may have their own."""
    check_choice("size", size, sorted(SIZES))
    if sequence_length is not None:
        return check_integer("sequence_length", sequence_length, 1)
    return published if published and size in ("base", "large") else LENGTHS[size]


def _masked_pairs(tokenizer, unit, length, static_passes):
    """BERT's objectives: units of which 15 % are masked, and the next sentence."""
    masked = MaskedModeling.for_tokenizer(
        tokenizer,
        select=RandomSelection(unit),
        corrupt=Corruption(random_ids="vocabulary"),
        sequence_length=length,
        rows="sentence_pair",
        segments=True,
        static_passes=static_passes,
    )
    return masked, SentencePair(length)


def _pretrainer(
    family, tokenizer, objective, size, overrides, backbone_class=TransformerBackbone, **delta
):
    """Return a Transformer of a family, of any size, and its objective; `delta` is what differs."""
    length = objective.sequence_length
    arguments = _arguments(family, tokenizer, length, size, overrides, **delta)
    return Pretrainer(backbone_class(**arguments), objective, TextPreprocessor(tokenizer, length))


def _arguments(family, tokenizer, length, size, overrides, **delta):
    """The arguments of a Transformer of a family, of any size.

    It has positions for rows of its size's length at least, and, if its family has segments, one
    for each of the layout's.
    """
    segments = family["flags"]["num_segments"]
    return {
        **family["flags"],
        **family["initial_weights"],
        **SIZES[size],
        "vocabulary_size": tokenizer.vocabulary_size,
        "max_sequence_length": max(LENGTHS[size], length),
        "num_segments": segments and max(segments, max(tokenizer.layout.segments) + 1),
        **delta,
        **overrides,
    }


def _encoder_decoder(family, tokenizer, objective, size, overrides):
    """Return an encoder-decoder of a family, of any size, and its objective.

    Where positions are learned, it has them for rows of its size's length at least.
    """
    sides = objective.source_length, objective.target_length
    learned = family["flags"]["positions"] == "learned"
    arguments = {
        **family["flags"],
        **family["initial_weights"],
        **SIZES[size],
        "vocabulary_size": tokenizer.vocabulary_size,
        "max_sequence_length": max(LENGTHS[size], *sides) if learned else None,
        **overrides,
    }
    preprocessor = TextPreprocessor(tokenizer, objective.source_length)
    return Pretrainer(Seq2SeqBackbone(**arguments), objective, preprocessor)


def _check_two_segments(tokenizer, what):
    """Refuse a layout of one segment."""
    if len(set(tokenizer.layout.segments)) < 2:
        raise ValueError(
            f"{what} needs rows that tell the second text from the first by its segment. Received: "
            f"a tokenizer with layout={tokenizer.layout.name!r}. Use one with BERT's layout."
        )


def _check_xlm_objective(objective):
    """Refuse what is none of XLM's objectives."""
    check_choice("objective", objective, ("mlm", "clm", "mlm_tlm"))
