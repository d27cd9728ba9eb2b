"""XLNet's rows against the original's loops over one row, and what must hold of every row."""

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.stream import DocumentStream
from keras_plm.data.rows.xlnet_rows import SegmentPairRows

SEP, CLS, EOD = 4, 3, 7
LENGTHS = [(32, 16), (32, 0), (24, 8), (8, 2)]


def make_rows(
    corpus, length=32, reuse=16, batch_size=4, seed=0, training=True, bidirectional=False
):
    request = RowRequest(corpus, batch_size, seed, training, bidirectional)
    return SegmentPairRows(request, length, reuse)


def written_out_rows(rows, pass_number):
    """token ids and sentence numbers of the pass's rows, each in its own direction."""
    stream = rows._stream(pass_number)
    positions = np.arange(stream.num_tokens)
    num_rows = rows.batch_size // 2 if rows.request.bidirectional else rows.batch_size
    used = positions[: num_rows * rows.row_length]
    arrays = [stream.read(used)["token_ids"], stream.sentence_number(used)]
    arrays = [array.reshape(num_rows, rows.row_length) for array in arrays]
    if rows.request.bidirectional:
        arrays = [np.concatenate([array, array[:, ::-1]]) for array in arrays]
    return arrays


def split_a_and_b(sentence, begin, total, uniform, backward):
    """The original's loops. Draws among places are counted from the left of the text."""
    length = len(sentence)
    end, cuts = begin + 1, []
    while end < length:
        if sentence[end] != sentence[end - 1]:
            if end - begin >= total:
                break
            cuts.append(end)
        end += 1
    ordered = cuts[::-1] if backward else cuts
    a_end = ordered[int(uniform[1] * len(cuts))] if cuts else end
    if not cuts or uniform[0] < 0.5:
        missing = max(1, total - (a_end - begin))
        b_begin = int(uniform[2] * (length - missing + 1))
        if backward:
            b_begin = length - missing - b_begin
        b_end = b_begin + missing
        while b_begin > 0 and sentence[b_begin - 1] == sentence[b_begin]:
            b_begin -= 1
        while b_end < length and sentence[b_end - 1] == sentence[b_end]:
            b_end += 1
    else:
        b_begin, b_end = a_end, end
    a_length, b_length = a_end - begin, b_end - b_begin
    while a_length + b_length > total:
        if a_length > b_length:
            a_length -= 1
        else:
            b_length -= 1
    return a_length, b_begin, b_length


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length, reuse", LENGTHS)
def test_rows_are_the_original_ones(make_random_corpus, length, reuse, bidirectional):
    rows = make_rows(make_random_corpus(), length, reuse, bidirectional=bidirectional, seed=3)
    total, steps = length - reuse - 3, rows.steps_per_pass
    stride = reuse or length - 3
    tokens, sentences = written_out_rows(rows, 1)
    for step in range(steps, 2 * steps):
        batch = rows(step)
        begin = (step - steps) * stride
        uniform = np.random.default_rng((3, 1, step)).random((4, 3))
        for b in range(4):
            backward = bidirectional and b >= 2
            a_length, b_begin, b_length = split_a_and_b(
                sentences[b].tolist(), begin + reuse, total, uniform[b], backward
            )
            assert a_length + b_length == total and a_length > 0 and b_length > 0
            expected = np.concatenate(
                [
                    tokens[b, begin : begin + reuse + a_length], [SEP],
                    tokens[b, b_begin : b_begin + b_length], [SEP, CLS],
                ]
            )  # fmt: skip
            assert batch["token_ids"][b].tolist() == expected.tolist()
            segments = [0] * (reuse + a_length + 1) + [1] * (b_length + 1) + [2]
            assert batch["segment_ids"][b].tolist() == segments
            functional = np.flatnonzero(batch["functional"][b]).tolist()
            assert functional == [reuse + a_length, length - 2, length - 1]
            assert batch["backward"][b] == backward and batch["fresh"][b] == (step == steps)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_rows_continue_from_batch_to_batch(make_random_corpus, bidirectional):
    rows = make_rows(make_random_corpus(), bidirectional=bidirectional)
    steps = rows.steps_per_pass
    batches = [rows(step) for step in range(2 * steps)]
    fresh = np.array([batch["fresh"] for batch in batches])
    assert (np.flatnonzero(fresh.all(axis=1)) == [0, steps]).all()
    assert fresh.any(axis=1).sum() == 2
    reuse = np.concatenate([batch["token_ids"][:, :16] for batch in batches[:steps]], axis=1)
    tokens, _ = written_out_rows(rows, 0)
    np.testing.assert_array_equal(reuse, tokens[:, : 16 * steps])
    after = batches[0]["token_ids"][:, 16]  # A goes on where the reuse half ends
    np.testing.assert_array_equal(after, batches[1]["token_ids"][:, 0])
    if bidirectional:  # the row of b, read from its end
        np.testing.assert_array_equal(tokens[2:], tokens[:2, ::-1])


def test_word_starts_follow_their_tokens(make_random_corpus):
    corpus = make_random_corpus()
    corpus.word_starts = corpus.token_ids % 2 == 0
    rows = make_rows(corpus, bidirectional=True)
    for step in range(rows.steps_per_pass):
        batch = rows(step)
        token_ids = batch["token_ids"]
        special = batch["functional"] | (token_ids == EOD)
        np.testing.assert_array_equal(batch["word_starts"], special | (token_ids % 2 == 0))
        assert np.isin(token_ids[batch["functional"]], (SEP, CLS)).all()
        assert not np.isin(token_ids[~batch["functional"]], (SEP, CLS)).any()


def test_dtypes_and_shapes(make_random_corpus):
    batch = make_rows(make_random_corpus())(0)
    shapes = {"token_ids": (4, 32), "segment_ids": (4, 32), "word_starts": (4, 32)}
    shapes |= {"functional": (4, 32), "fresh": (4,), "backward": (4,)}
    assert {name: array.shape for name, array in batch.items()} == shapes
    kinds = {name: array.dtype.kind for name, array in batch.items()}
    assert kinds.pop("token_ids") == kinds.pop("segment_ids") == "i"
    assert set(kinds.values()) == {"b"}
    assert batch["token_ids"].dtype == batch["segment_ids"].dtype == np.int32


def test_documents_are_shuffled_anew_in_every_pass(make_random_corpus):
    corpus = make_random_corpus()
    rows = make_rows(corpus)
    passes = [rows._stream(number) for number in (0, 1)]
    whole = np.arange(passes[0].num_tokens)
    first, second = (stream.read(whole)["token_ids"] for stream in passes)
    assert (first != second).any()
    np.testing.assert_array_equal(np.sort(first), np.sort(second))
    kept = make_rows(corpus, training=False)
    plain = DocumentStream(corpus, corpus.documents, EOD).read(whole)["token_ids"]
    for number in (0, 1):
        np.testing.assert_array_equal(kept._stream(number).read(whole)["token_ids"], plain)


def test_a_view_has_its_own_documents_only(make_random_corpus):
    corpus = make_random_corpus()
    begin, end = corpus.document_offsets[20:22]
    corpus.token_ids[:] = 100
    corpus.token_ids[begin:end] = 200
    corpus.documents = np.delete(np.arange(40), 20)
    rows = make_rows(corpus, 8, 2, 2)
    seen = np.concatenate([rows(step)["token_ids"] for step in range(rows.steps_per_pass)])
    assert set(np.unique(seen)) == {SEP, CLS, EOD, 100}


def test_one_pass_uses_all_that_fits(make_random_corpus):
    corpus = make_random_corpus()
    for length, reuse in LENGTHS:
        rows = make_rows(corpus, length, reuse)
        last = (rows.steps_per_pass - 1) * rows.stride + length - 3
        assert last <= rows.row_length < last + rows.stride
        for step in (rows.steps_per_pass - 1, rows.steps_per_pass):
            assert rows(step)["token_ids"].shape == (4, length)


def test_one_long_document_without_sentence_ends(make_random_corpus):
    corpus = make_random_corpus(1, longest_sentence=1_000)
    corpus.sentence_offsets = corpus.document_offsets
    rows = make_rows(corpus, 8, 2, 4)
    batch = rows(0)
    assert ((batch["segment_ids"] == 1).sum(axis=1) >= 2).all()


def test_bad_input(make_random_corpus):
    corpus = make_random_corpus()
    with pytest.raises(ValueError, match="even batch_size.*Received: batch_size=3"):
        make_rows(corpus, batch_size=3, bidirectional=True)
    with pytest.raises(ValueError, match="too small for one batch.*400 rows of 29 need 11600"):
        make_rows(corpus, batch_size=400)
    corpus.documents = np.array([], int)
    with pytest.raises(ValueError, match="too small.*0 documents have 0 tokens"):
        make_rows(corpus)
    corpus = make_random_corpus()
    del corpus.special_token_ids["eod"], corpus.special_token_ids["sep"]
    with pytest.raises(ValueError, match=r"no special tokens \['sep', 'eod'\]"):
        make_rows(corpus)


@pytest.mark.parametrize("bad", [500, 60_000, -1])
def test_ids_outside_the_vocabulary(make_random_corpus, bad):
    corpus = make_random_corpus()
    corpus.token_ids = corpus.token_ids.astype("int32")
    corpus.token_ids[:] = bad
    rows = make_rows(corpus)
    with pytest.raises(ValueError, match=f"outside its vocabulary.*{bad}.*vocabulary_size=500"):
        rows(0)
