"""BERT's pairs of texts: [CLS] A [SEP] B [SEP], where B follows A or does not.

A document of the sentences `s0 s1 s2 s3 s4` of 10 tokens each, with room for 30: a chunk is
filled with sentences until it has 30 tokens (`s0 s1 s2`), and cut behind one of them, drawn.

    label 0            A = s0, B = s1 s2                   the next chunk begins with s3
    label 1, random    A = s0, B = two sentences or more of another document; next: s1
    label 1, swapped   A = s1 s2, B = s0                   the next chunk begins with s3
"""

import bisect
import itertools

import numpy as np

from keras_plm.checks import check_choice
from keras_plm.data.rows.planned_rows import RowTable, row_plan, truncated_lengths

NEGATIVES = ("random", "swapped", "none")


@row_plan(num_texts=2)
def sentence_pair(stream, room, rng, negative="random", short_rate=0.1):
    """Plan rows of two texts of a document, or of one and another, made as BERT makes them.

    Sentences of a document are gathered until there are as many tokens as a row holds, in one
    document out of ten of a smaller number drawn for it. The first of them, a number drawn, are
    A. With "random" B is, by a coin (and always after a chunk of one sentence), text of another
    document from a sentence drawn in it on, and the sentences not used begin the next chunk; else
    B is the rest. With "swapped" A and B change places by a coin; a chunk has two sentences or
    more then, and a single one that is left at a document's end is not used. "none" is the same
    without the coin: B always follows A (UniLM's sources and targets). What is too long loses
    tokens, one by one, from the longer text, at its begin or end by a coin.

    The original gives up after drawing the document itself ten times in a row, and swaps no
    chunk of one sentence but pairs it with a random text: this is all that differs. The label
    `sentence_pair` is 1 where B is random or the two are swapped.

    Args:
        stream, room, rng: see `row_plan`.
        negative: what a false pair is, "random" or "swapped"; "none" if there are none.
        short_rate: share of the documents with shorter rows, between 0 and 1.

    Raises:
        ValueError: the corpus has no document with two sentences, or only one document
            ("random"); or a setting is out of range.

    Source: BERT (Devlin et al., 2019), section 3.1 and `create_pretraining_data.py`; ALBERT (Lan
    et al., 2020), section 3.1; UniLM (Dong et al., 2019), section 2.3.
    """
    check_choice("negative", negative, NEGATIVES)
    if not 0 <= short_rate <= 1:
        raise ValueError(f"short_rate must be between 0 and 1. Received: short_rate={short_rate!r}")
    if negative == "random":
        check_documents(stream, "A random next sentence")
    bounds, sentences = stream.sentence_bounds, stream.document_sentences  # (S + 1,), (D, 2)
    numbers = sentences[:, 1] - sentences[:, 0]
    if numbers.max(initial=0) < 2:
        raise ValueError(
            "Pairs of sentences need a document with two sentences at least: build the corpus "
            "with sentence bounds, as Corpus.build(..., split_sentences=...) finds them. "
            f"Received: {len(numbers)} documents of one sentence each"
        )
    chunks, documents, targets = _chunks(bounds, sentences, room, rng, negative, short_rate)
    begin, cut, end, is_false = chunks.T
    a = np.stack([bounds[begin], bounds[cut]], axis=1)  # (R, 2)
    b = np.stack([bounds[cut], bounds[end]], axis=1)
    is_false = is_false.astype(bool)
    if negative == "random":
        missing = targets - (a[:, 1] - a[:, 0])
        b[is_false] = _random_texts(bounds, sentences, documents[is_false], missing[is_false], rng)
    texts = np.stack([a, b], axis=1)  # (R, 2, 2)
    lengths = texts[:, :, 1] - texts[:, :, 0]
    cuts = lengths - truncated_lengths(lengths, room)  # tokens that are too many
    texts[:, :, 0] += (front := rng.binomial(cuts, 0.5))  # a coin for each of them
    texts[:, :, 1] -= cuts - front
    if negative == "swapped":
        texts[is_false] = texts[is_false, ::-1]
    return RowTable(texts, {"sentence_pair": is_false.astype("int32")})


def check_documents(stream, what):
    """Refuses a stream from which no other document can be drawn.

    Args:
        stream: `DocumentStream`.
        what: str, what is drawn, for the message.

    Raises:
        ValueError: there are less than two documents.
    """
    number = len(stream.document_sentences)
    if number < 2:
        raise ValueError(
            f"{what} comes from another document, and this corpus has only one: put blank lines "
            f"between documents, or split off less of it. Received: {number} document"
        )


def _chunks(bounds, sentences, text_length, rng, negative, short_rate):
    """Begin, cut and end of each chunk, in sentences, and whether its pair is false.

    Returns (R, 4) int64; the document of each chunk, (R,); and its target, (R,).
    """
    fewest = 1 if negative == "random" else 2  # sentences of a chunk
    draw = itertools.chain.from_iterable(iter(lambda: rng.random(4096).tolist(), None)).__next__
    chunks, documents, targets = [], [], []
    for document, (first, last) in enumerate(sentences.tolist()):
        target = text_length
        if draw() < short_rate:
            target = min(2 + int(draw() * (text_length - 1)), text_length)
        ends = bounds[first : last + 1].tolist()  # where each sentence begins, and the last ends
        size, begin = last - first, 0
        while begin + fewest <= size:
            # the first sentence with which the chunk has `target` tokens, or the last there is
            end = bisect.bisect_left(ends, ends[begin] + target, begin + fewest, size)
            number = end - begin
            cut = begin + 1 + (int(draw() * (number - 1)) if number > 1 else 0)
            is_false = negative != "none" and (number == 1 or draw() < 0.5)
            chunks.append((first + begin, first + cut, first + end, is_false))
            documents.append(document)
            targets.append(target)
            begin = cut if is_false and negative == "random" else end
    return np.array(chunks, "int64").reshape(-1, 4), np.array(documents), np.array(targets)


def _random_texts(bounds, sentences, documents, missing, rng):
    """Texts of `missing` tokens or more from other documents than `documents`; begin and end."""
    uniform = rng.random((len(documents), 2))
    other = (uniform[:, 0] * (len(sentences) - 1)).astype("int64")
    other += other >= documents
    first, last = sentences[other].T
    begin = first + (uniform[:, 1] * (last - first)).astype("int64")
    # the first sentence's end by which there are enough tokens, one sentence at least
    end = np.searchsorted(bounds, bounds[begin] + missing, side="left")
    end = np.minimum(np.maximum(end, begin + 1), last)
    return np.stack([bounds[begin], bounds[end]], axis=1)
