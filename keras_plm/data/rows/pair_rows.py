"""Rows of two given sentences: a source and its target, or a sentence and its translation.

The pair `the cat` and `le chat noir` as "text_pair", with BERT's layout:

    token_ids       CLS  the  cat  SEP  le  chat  noir  SEP  PAD  PAD
    segment_ids     0    0    0    0    1   1     1     1    0    0

and as "translation_pair", with XLM's layout and the languages 5 and 9:

    token_ids       </s>  the  cat  </s>  </s>  le  chat  noir  </s>  PAD
    position_ids    0     1    2    3     0     1   2     3     4     0
    language_ids    5     5    5    5     9     9   9     9     9     9

"source_target" are rows as "translation_pair", of which each half has a length of its own.
"""

import numpy as np

from keras_plm.data.rows.language_rows import sample_rows
from keras_plm.data.rows.planned_rows import RowTable, row_plan, truncated_lengths
from keras_plm.data.rows.stream import DocumentStream
from keras_plm.objectives.languages import check_language_exponent


def _pairs(corpus, documents):
    """The documents that are pairs."""
    stream = DocumentStream(corpus, documents, 0)
    languages = stream.document_languages
    if languages is not None:
        documents = documents[languages[:, 0] != languages[:, 1]]
        stream = DocumentStream(corpus, documents, 0)
    sentences = stream.document_sentences
    wrong = np.flatnonzero(sentences[:, 1] - sentences[:, 0] != 2)
    if wrong.size or not len(documents):
        found = f"document {documents[wrong[0]]} is none" if wrong.size else "no pair of languages"
        raise ValueError(
            "Rows of pairs need documents of two sentences, the second the target or translation "
            "of the first: build the corpus with Corpus.build_pairs, or with languages, which "
            f"tell pairs from other documents. Received: {found}"
        )
    return documents


@row_plan(num_texts=2, select=_pairs)
def text_pair(stream, room, rng):
    """Plan rows of two sentences, laid out as the tokenizer lays out a pair.

    A row is one document of two sentences, as `Corpus.build_pairs` makes them, once in every pass.
    The longer sentence loses tokens from its end until both fit.

    Raises:
        ValueError: a document is no pair.

    Source: UniLM (Dong et al., 2019), section 2.5 (fine-tuning for generation).
    """
    first, end = stream.document_sentences.T  # (D,)
    texts = stream.sentence_begin(np.stack([first, first + 1, first + 1, end], axis=1))
    texts = texts.reshape(-1, 2, 2)  # (R, 2, 2)
    lengths = truncated_lengths(texts[:, :, 1] - texts[:, :, 0], room)
    texts[:, :, 1] = texts[:, :, 0] + lengths
    return RowTable(texts, languages=stream.document_languages)


@row_plan(num_texts=2, apart=True, select=_pairs)
def translation_pair(stream, room, rng, language_exponent=0.7):
    """Plan rows of two sentences, each with special tokens and positions of a row of its own.

    A row is one document of two sentences, as `Corpus.build_pairs` makes them. In a corpus with
    languages documents of one language are left out. The longer sentence loses tokens from its
    end until both fit. A training pass takes pairs of languages as `language_stream` takes
    languages; evaluation has each pair once.

    Two sentences so have four special tokens `</s>`, where fine-tuning on pairs, which XLM does
    without starting positions again, has three (`keras_plm.tokenizers.row_layout.LAYOUTS["xlm"]`).

    Args:
        stream, room, rng: see `row_plan`.
        language_exponent: float between 0 and 1.

    Raises:
        ValueError: there are no pairs, or a document is none and has no language that says so;
            or a setting is out of range.

    Source: XLM (Conneau and Lample, 2019), section 3.4 and figure 1, and `concat_batches` of the
    released code; sampling: section 3.5.
    """
    check_language_exponent(language_exponent)
    table = text_pair(stream, room, rng)
    if table.languages is None or not stream.training:
        return table
    rows = sample_rows(table.languages, language_exponent, rng)
    return RowTable(table.texts[rows], languages=table.languages[rows])


@row_plan(num_texts=2, apart=True, select=_pairs)
def source_target(stream, room, rng, first_length, second_length):
    """Plan rows of two sentences for an encoder and a decoder, each with special tokens of its own.

    A row is one document of two sentences, as `Corpus.build_pairs` makes them, once in every pass.
    Each sentence that is too long loses tokens from its end, whatever the other is.

    Args:
        stream, room, rng: see `row_plan`.
        first_length, second_length: how many tokens of a row each has, special ones included;
            together all of them.

    Raises:
        ValueError: a document is no pair, or a side has no room for a token.
    """
    around = (first_length + second_length - room) // 2  # special tokens of each
    most = np.array([first_length, second_length]) - around
    if most.min() < 1:
        raise ValueError(
            "Source and target must have room for a token each beside their special ones, "
            f"{around} in number: raise source_length, or target_length. Received: rows of "
            f"{first_length} and {second_length} tokens"
        )
    table = text_pair(stream, stream.num_tokens, rng)
    begin, end = table.texts[:, :, 0], table.texts[:, :, 1]
    texts = np.stack([begin, np.minimum(end, begin + most)], axis=2)
    return RowTable(texts, languages=table.languages)
