"""sentence_pair_rows.py against a slow, independent reading of the published loop."""

import random
from collections import Counter

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import make_rows

CLS, SEP = 3, 4
FIRST = 10  # token i of the corpus has the id FIRST + i, so that a row says where it is from


def numbered(corpus):
    """The corpus with another id for every token."""
    count = len(corpus.token_ids)
    corpus.token_ids = np.arange(FIRST, FIRST + count).astype("int32")
    corpus.vocabulary_size = FIRST + count
    return corpus


def documents_of(corpus):
    """Documents as lists of sentences, lists of ids."""
    sentences = np.split(corpus.token_ids, corpus.sentence_offsets[1:-1])
    first = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    lists = [sentence.tolist() for sentence in sentences]
    return [lists[left:right] for left, right in zip(first, first[1:])]


def make(corpus, length=20, batch_size=1, seed=0, training=True, **settings):
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows("sentence_pair", request, {"sequence_length": length, **settings})


def pairs_of(rows, number):
    """(A, B, label) of every row of a pass, tuples of ids, also those that no batch holds."""
    stream, table, _ = rows._passes(number)
    tokens = stream.read(np.arange(stream.num_tokens))["token_ids"].tolist()
    return [
        (*(tuple(tokens[begin:end]) for begin, end in texts), label)
        for texts, label in zip(table.texts.tolist(), table.labels["sentence_pair"].tolist())
    ]


def published(documents, max_tokens, short_rate, negative, rng):
    """One pass of `create_instances_from_document` over all documents, in its own words."""
    instances = []
    for index, document in enumerate(documents):
        target = max_tokens
        if rng.random() < short_rate:
            target = rng.randint(2, max_tokens)
        chunk, length, i = [], 0, 0
        while i < len(document):
            chunk.append(document[i])
            length += len(document[i])
            enough = length >= target and (negative == "random" or len(chunk) > 1)
            if i == len(document) - 1 or enough:
                if negative == "swapped" and len(chunk) == 1:
                    break
                a_end = rng.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
                a = [token for sentence in chunk[:a_end] for token in sentence]
                b = [token for sentence in chunk[a_end:] for token in sentence]
                label = 0
                if negative == "random" and (len(chunk) == 1 or rng.random() < 0.5):
                    label, missing, b = 1, target - len(a), []
                    other = rng.choice([d for d in range(len(documents)) if d != index])
                    start = rng.randint(0, len(documents[other]) - 1)
                    for sentence in documents[other][start:]:
                        b = b + sentence
                        if len(b) >= missing:
                            break
                    i -= len(chunk) - a_end
                elif negative == "swapped" and rng.random() < 0.5:
                    label = 1
                a, b = list(a), list(b)
                while len(a) + len(b) > max_tokens:
                    longer = a if len(a) > len(b) else b
                    if rng.random() < 0.5:
                        del longer[0]
                    else:
                        longer.pop()
                if negative == "swapped" and label:
                    a, b = b, a
                instances.append((tuple(a), tuple(b), label))
                chunk, length = [], 0
            i += 1
    return instances


def z_score(left, right):
    """Two-sample chi-square as a normal deviate; rare cells are put together."""
    cells = {cell: (left[cell], right[cell]) for cell in left.keys() | right.keys()}
    common = [counts for counts in cells.values() if sum(counts) >= 20]
    rest = [counts for counts in cells.values() if sum(counts) < 20]
    table = np.array(common + ([np.sum(rest, axis=0)] if rest else []), float)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    degrees = len(table) - 1
    return (((table - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees)


@pytest.mark.parametrize("negative", ["random", "swapped"])
def test_instances_are_as_frequent_as_published(make_random_corpus, negative):
    """Every (A, B, label), truncation and all; 10,000 rows or more of each, |z| < 4."""
    corpus = numbered(make_random_corpus(4, seed=3, longest_sentence=6))
    documents = documents_of(corpus)
    assert sorted(map(len, documents))[0] == 1 and max(map(len, documents)) > 4
    settings = dict(negative=negative, short_rate=0.3)
    rows = make(corpus, 3 + 11, **settings)
    ours, theirs, rng = Counter(), Counter(), random.Random(5)
    number = 0
    while ours.total() < 10_000:
        ours.update(pairs_of(rows, number))
        number += 1
    while theirs.total() < 10_000:
        theirs.update(published(documents, 11, 0.3, negative, rng))
    assert len(ours) > 30
    assert abs(z_score(ours, theirs)) < 4
    lengths = [Counter() for _ in range(2)]
    for counter, counts in zip((ours, theirs), lengths):
        for (a, b, label), count in counter.items():
            counts[len(a), len(b), label] += count
    assert abs(z_score(*lengths)) < 4
    wrong = Counter()  # the test can fail: coins that fall to one side
    for (a, b, label), count in theirs.items():
        wrong[a[1:] or a, b, label] += count
    assert z_score(ours, wrong) > 50


def test_statistics_of_10_000_rows(make_random_corpus):
    """Tolerances of four standard deviations."""
    corpus = numbered(make_random_corpus(5_000, longest_sentence=8))
    rows = make(corpus, 3 + 20, short_rate=0.1)
    pairs = pairs_of(rows, 0)
    count = len(pairs)
    assert count > 10_000
    sentence = np.searchsorted(corpus.sentence_offsets, np.arange(len(corpus.token_ids)), "right")
    document = np.searchsorted(corpus.document_offsets, np.arange(len(corpus.token_ids)), "right")
    labels = 0
    for a, b, label in pairs:
        assert a and b and len(a) + len(b) <= 20
        for text in (a, b):
            assert np.array_equal(text, np.arange(text[0], text[-1] + 1))  # contiguous
        a, b = np.array(a) - FIRST, np.array(b) - FIRST
        assert len(set(document[a])) == len(set(document[b])) == 1
        assert (document[a[0]] == document[b[0]]) == (label == 0)
        if label == 0:
            assert a[-1] < b[0] and sentence[b[0]] - sentence[a[-1]] >= 1
        labels += label
    # chunks of one sentence are always random: the fraction is above a half
    assert labels / count > 0.5 + 2 / np.sqrt(count)


def one_token_sentences(corpus):
    """10,000 documents of ten sentences of one token, so that a chunk is as long as was drawn."""
    corpus.sentence_offsets = np.arange(0, 100_001)
    corpus.document_offsets = np.arange(0, 100_001, 10)
    corpus.token_ids = np.arange(FIRST, FIRST + 100_000)
    corpus.vocabulary_size = FIRST + 100_000
    corpus.word_starts = np.ones(100_000, bool)
    return corpus


def test_half_of_the_chunks_are_random(make_random_corpus):
    """10,000 chunks of ten sentences; cut anywhere with the same probability; four deviations."""
    corpus = one_token_sentences(make_random_corpus(10_000))
    table = make(corpus, 3 + 20, short_rate=0.0, training=False)._passes(0)[1]
    begins, ends = table.texts[:, 0].T
    first = begins % 11 == 0  # of each document, with its <eod>
    assert first.sum() == 10_000
    assert abs(table.labels["sentence_pair"][first].mean() - 0.5) < 4 * 0.5 / 100
    counts = np.bincount((ends - begins)[first], minlength=10)[1:]  # 1 to 9
    assert abs(counts - 10_000 / 9).max() < 4 * np.sqrt(10_000 / 9 * 8 / 9)
    random_b = table.texts[first & (table.labels["sentence_pair"] == 1)]
    lengths = np.diff(random_b)[:, :, 0]
    to_the_end = 10 - random_b[:, 1, 0] % 11
    missing = 20 - lengths[:, 0]  # ten at least: B goes to its document's end
    np.testing.assert_array_equal(lengths[:, 1], np.minimum(to_the_end, missing))


def test_the_fraction_of_short_rows(make_random_corpus):
    """Four deviations."""
    corpus = one_token_sentences(make_random_corpus(10_000))
    for rate in (0.0, 0.1, 1.0):
        rows = make(corpus, 3 + 6, short_rate=rate, negative="swapped", training=False)
        texts = rows._passes(0)[1].texts
        lengths = np.diff(texts, axis=-1).sum(axis=(1, 2))
        firsts = lengths[texts[:, :, 0].min(axis=1) % 11 == 0]  # of each document, with its <eod>
        assert len(firsts) == 10_000
        counts = np.bincount(firsts, minlength=7)[2:]  # 2 to 6, each with the same probability
        share = np.full(5, rate / 5) + [0, 0, 0, 0, 1 - rate]
        deviations = np.sqrt(10_000 * share * (1 - share))
        assert np.all(abs(counts - 10_000 * share) <= 4 * deviations)


def test_pairs_that_are_never_false_use_every_sentence_once(make_random_corpus):
    corpus = numbered(make_random_corpus(50))
    rows = make(corpus, 3 + 500, negative="none", short_rate=0.0)
    documents = [sum(document, []) for document in documents_of(corpus) if len(document) > 1]
    pairs = pairs_of(rows, 0)
    assert sorted(list(a + b) for a, b, _ in pairs) == sorted(documents)
    assert len(documents) > 10 and not any(label for *_, label in pairs)
    assert not make(corpus, batch_size=4, negative="none")(0)["sentence_pair"].any()


def test_swapped_pairs_use_every_sentence_once(make_random_corpus):
    corpus = numbered(make_random_corpus(50))
    rows = make(corpus, 3 + 500, negative="swapped", short_rate=0.0)
    documents = [sum(document, []) for document in documents_of(corpus) if len(document) > 1]
    pairs = pairs_of(rows, 0)
    ordered = sorted(list(b + a if label else a + b) for a, b, label in pairs)
    assert ordered == documents
    assert all((a[0] > b[0]) == label for a, b, label in pairs)
    fraction = np.mean([pair[2] for number in range(20) for pair in pairs_of(rows, number)])
    assert abs(fraction - 0.5) < 4 * 0.5 / np.sqrt(20 * len(pairs))


def test_the_batch(make_random_corpus):
    corpus = numbered(make_random_corpus(30))
    rows = make(corpus, batch_size=4, negative="swapped")
    for step in (0, rows.steps_per_pass, 3):
        batch = rows(step)
        number, pass_step = divmod(step, rows.steps_per_pass)
        _, _, order = rows._passes(number)
        pairs = [pairs_of(rows, number)[row] for row in order[4 * pass_step : 4 * pass_step + 4]]
        for b, (first, second, label) in enumerate(pairs):
            ids = [CLS, *first, SEP, *second, SEP]
            real = batch["padding_mask"][b]
            assert batch["token_ids"][b][real].tolist() == ids
            segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
            assert batch["segment_ids"][b][real].tolist() == segments
            assert batch["sentence_pair"][b] == label
            assert np.flatnonzero(~batch["functional"][b]).tolist() == [
                place for place, index in enumerate(ids) if index >= FIRST
            ]
    assert batch["sentence_pair"].dtype == np.int32


def test_documents_too_short_for_a_pair(make_random_corpus):
    corpus = make_random_corpus(8)
    corpus.sentence_offsets = corpus.document_offsets  # no sentence bounds
    for negative in ("random", "swapped"):
        with pytest.raises(ValueError, match="a document with two sentences.*8 documents of one"):
            make(corpus, negative=negative)
    corpus = numbered(make_random_corpus(8, seed=1))
    single = {d[0][0] for d in documents_of(corpus) if len(d) == 1}
    assert single  # a document of one sentence
    swapped = pairs_of(make(corpus, 400, negative="swapped"), 0)
    assert not single & {token for a, b, _ in swapped for token in a + b}
    labels = {a[0]: label for a, b, label in pairs_of(make(corpus, 400), 0)}
    assert all(labels[first] == 1 for first in single)


def test_bad_input(make_random_corpus):
    corpus = make_random_corpus(8)
    for settings in (dict(negative="reply"), dict(short_rate=1.5), dict(short_rate=-1)):
        with pytest.raises(ValueError, match="must be .*Received"):
            make(corpus, **settings)
    corpus.documents = corpus.documents[:1]
    with pytest.raises(ValueError, match="only one: put blank lines.*Received: 1 document"):
        make(corpus)
    one = make_random_corpus(1)
    assert make(one, 8, negative="swapped").steps_per_pass > 0
    corpus = make_random_corpus(8)
    corpus.layout = "gpt"
    with pytest.raises(ValueError, match="Rows of 2 texts"):
        make(corpus)
