"""sentence_reordering_rows.py: parts put back in order are the paragraph; all orders as often."""

from collections import Counter

import numpy as np
import pytest

from keras_plm.data.rows.labels import sentence_reordering_rows
from keras_plm.data.rows.packed_rows import doc_sentences
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import ROW_PLANS, make_rows
from keras_plm.objectives import SentenceReordering

CLS, SEP = 3, 4


def make(corpus, length=24, batch_size=1, seed=0, training=True, num_parts=3):
    request = RowRequest(corpus, batch_size, seed, training)
    settings = {"sequence_length": length, "num_parts": num_parts}
    return make_rows("sentence_reordering", request, settings)


@pytest.fixture
def corpus(make_random_corpus):
    return make_random_corpus(400, longest_sentence=5)


@pytest.mark.parametrize("num_parts", [2, 3, 4, 5])
def test_parts_in_their_order_are_the_paragraph(corpus, num_parts):
    rows, classes = make(corpus, num_parts=num_parts), SentenceReordering(24, num_parts).classes
    stream, table, _ = rows._passes(0)
    bounds, paragraphs = set(stream.sentence_bounds.tolist()), set()
    for row in doc_sentences(stream, 22, None).texts[:, 0].tolist():
        paragraphs.add(tuple(row))
    for texts, label in zip(table.texts.tolist(), table.labels["sentence_reordering"].tolist()):
        order = [int(part) for part in classes[label].split()]
        parts = [text for text in texts if text[1] > text[0]]
        assert len(parts) == len(order) and texts[: len(parts)] == parts  # empty ones are last
        straight = [parts[order.index(part)] for part in range(len(order))]
        assert all(left[1] == right[0] for left, right in zip(straight, straight[1:]))
        assert all(part[0] in bounds for part in straight[1:])
        whole = straight[0][0], straight[-1][1]
        assert whole in paragraphs
        assert sum(whole[0] < bound < whole[1] for bound in bounds) >= num_parts - 1
    expected = sum(
        sum(begin < bound < end for bound in bounds) >= num_parts - 1 for begin, end in paragraphs
    )
    assert len(table.texts) == expected > 50


def test_a_row_is_one_text(corpus):
    """[CLS] C A B [SEP]: one segment, nothing between the parts."""
    rows = make(corpus, batch_size=4)
    batch = rows(1)
    stream, table, order = rows._passes(0)
    for b, row in enumerate(order[4:8]):
        parts = [stream.read(np.arange(*text))["token_ids"] for text in table.texts[row]]
        real = batch["padding_mask"][b]
        assert batch["token_ids"][b][real].tolist() == [CLS, *np.concatenate(parts), SEP]
        assert batch["sentence_reordering"][b] == table.labels["sentence_reordering"][row]
    assert not batch["segment_ids"].any()


def test_numbers_of_parts_orders_and_cuts_are_drawn_alike(corpus):
    rows, counts, middle = make(corpus), Counter(), Counter()
    for number in range(30):
        stream, table, _ = rows._passes(number)
        counts.update(table.labels["sentence_reordering"].tolist())
        for texts in table.texts[table.labels["sentence_reordering"] == 1].tolist():
            inside = stream.sentence_bounds
            inside = inside[(inside > texts[0][0]) & (inside < texts[1][1])].tolist()
            if len(inside) == 3:
                middle[inside.index(texts[0][1])] += 1
    share = {label: count / counts.total() for label, count in counts.items()}
    expected = {0: 1 / 3, 1: 1 / 6, 2: 1 / 6, **dict.fromkeys(range(3, 9), 1 / 18)}
    assert share.keys() == expected.keys()
    assert all(abs(share[label] - expected[label]) < 0.02 for label in expected)
    assert all(abs(middle[cut] / middle.total() - 1 / 3) < 0.08 for cut in range(3))


def test_too_few_sentences(make_random_corpus):
    corpus = make_random_corpus(20, longest_sentence=5)
    corpus.sentence_offsets = corpus.document_offsets  # a sentence each
    with pytest.raises(ValueError, match="must have as many.*rows of 1 sentences.*num_parts=3"):
        make(corpus)
    assert ROW_PLANS["sentence_reordering"] is sentence_reordering_rows.sentence_reordering
