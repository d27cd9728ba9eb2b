"""row_rendering.py: rows as arrays, in every layout, against the layout written out."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.row_rendering import RowRenderer
from keras_plm.data.rows.stream import DocumentStream
from keras_plm.tokenizers.row_layout import LAYOUTS

CLS, SEP, PAD, MASK, EOD = 3, 4, 5, 6, 7


def small_corpus(layout="bert", span_marks=None):
    """Documents 10 11 | 12 and 13 14 15 with the words (10 11), 12, 13, (14 15)."""
    return SimpleNamespace(
        token_ids=np.arange(10, 16).astype("uint16"),
        word_starts=np.array([1, 0, 1, 1, 1, 0], bool),
        span_marks=span_marks,
        sentence_offsets=np.array([0, 2, 3, 6]),
        document_offsets=np.array([0, 3, 6]),
        documents=np.arange(2),
        vocabulary_size=16,
        special_token_ids=dict(
            cls=CLS, sep=SEP, pad=PAD, eod=EOD, start=0, delimiter=1, classify=2, bos=8, eos=9
        ),
        layout=layout,
    )


def render(corpus, texts, length=8, apart=False, languages=None, joined=False, labels=None):
    stream = DocumentStream(corpus, corpus.documents, EOD)  # 10 11 12 EOD 13 14 15 EOD
    texts = np.array(texts)
    languages = None if languages is None else np.array(languages)
    renderer = RowRenderer(corpus, length, texts.shape[1], apart, joined)
    return renderer(stream, texts, languages, labels)


def test_the_example():
    batch = render(small_corpus(), [[(0, 2), (2, 3)]])
    expected = {
        "token_ids": [CLS, 10, 11, SEP, 12, SEP, PAD, PAD],
        "padding_mask": [1, 1, 1, 1, 1, 1, 0, 0],
        "functional": [1, 0, 0, 1, 0, 1, 1, 1],
        "word_starts": [1, 1, 0, 1, 1, 1, 1, 1],
        "segment_ids": [0, 0, 0, 0, 1, 1, 0, 0],
    }
    assert {name: array[0].tolist() for name, array in batch.items()} == expected
    dtypes = {name: array.dtype.name for name, array in batch.items()}
    assert dtypes.pop("token_ids") == dtypes.pop("segment_ids") == "int32"
    assert set(dtypes.values()) == {"bool"}


def test_pieces_of_one_text():
    """Joined: as a single text is laid out, in any order of its pieces, some of them empty."""
    batch = render(small_corpus(), [[(2, 3), (0, 2), (3, 3)]], joined=True)
    assert batch["token_ids"].tolist() == [[CLS, 12, 10, 11, SEP, PAD, PAD, PAD]]
    assert not batch["segment_ids"].any()
    assert batch["functional"][0].astype(int).tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    padded_left = render(small_corpus("xlnet"), [[(2, 3), (0, 2)]], joined=True)
    whole = render(small_corpus("xlnet"), [[(0, 3)]])
    order = [*np.flatnonzero(~padded_left["functional"][0])]
    assert padded_left["token_ids"][0][order].tolist() == [12, 10, 11]
    for name in ("functional", "padding_mask", "segment_ids"):
        assert (padded_left[name] == whole[name]).all()


def test_labels_of_tokens():
    """One for each token of text, in the order of the texts; -1 at special tokens."""
    given = []

    def labels_of(stream, texts):
        given.append(texts.tolist())
        return np.arange(4)

    texts = [[(0, 2), (2, 3)], [(4, 5), (5, 5)]]
    batch = render(small_corpus(), texts, labels={"marks": labels_of})
    assert given == [[[list(text) for text in row] for row in texts]]
    assert batch["marks"].tolist() == [[-1, 0, 1, -1, 2, -1, -1, -1], [-1, 3, *[-1] * 6]]
    assert batch["marks"].dtype == np.int32


def test_the_example_of_texts_apart():
    batch = render(small_corpus(), [[(0, 2), (2, 3)]], apart=True, languages=[[5, 9]])
    expected = {
        "token_ids": [CLS, 10, 11, SEP, CLS, 12, SEP, PAD],
        "padding_mask": [1, 1, 1, 1, 1, 1, 1, 0],
        "functional": [1, 0, 0, 1, 1, 0, 1, 1],
        "word_starts": [1, 1, 0, 1, 1, 1, 1, 1],
        "segment_ids": [0, 0, 0, 0, 1, 1, 1, 0],
        "position_ids": [0, 1, 2, 3, 0, 1, 2, 0],
        "language_ids": [5, 5, 5, 5, 9, 9, 9, 9],
    }
    assert {name: array[0].tolist() for name, array in batch.items()} == expected
    assert batch["position_ids"].dtype == batch["language_ids"].dtype == np.int32
    assert "language_ids" not in render(small_corpus(), [[(0, 2), (2, 3)]], apart=True)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "gpt"])
def test_texts_apart_in_every_layout(layout):
    """Each text is laid out as a row of its own would be."""
    corpus, own = small_corpus(layout), LAYOUTS[layout]
    tokenizer = SimpleNamespace(special_token_id=corpus.special_token_ids.get)
    texts, tokens = [(4, 6), (2, 3)], np.array([10, 11, 12, EOD, 13, 14, 15, EOD])
    batch = render(corpus, [texts], 14, apart=True, languages=[[1, 2]])
    first, second = (own.lay_out(tokenizer, tokens[b:e].tolist())[0] for b, e in texts)
    missing = 14 - len(first) - len(second)
    before, after = (missing, 0) if own.pad_left else (0, missing)
    assert batch["token_ids"][0].tolist() == [PAD] * before + first + second + [PAD] * after
    positions = [*[0] * before, *range(len(first)), *range(len(second)), *[0] * after]
    assert batch["position_ids"][0].tolist() == positions
    languages = [1] * (before + len(first)) + [2] * (len(second) + after)
    assert batch["language_ids"][0].tolist() == languages
    single = render(corpus, [[(4, 6)]], 14), render(corpus, [[(4, 6)]], 14, apart=True)
    for name, array in single[0].items():  # of one text, only the positions come on top
        np.testing.assert_array_equal(single[1][name], array)


def test_a_document_ends_within_a_row_and_a_row_within_a_word():
    batch = render(small_corpus(), [[(1, 6)], [(6, 8)]])
    assert batch["token_ids"].tolist() == [
        [CLS, 11, 12, EOD, 13, 14, SEP, PAD],
        [CLS, 15, EOD, SEP, PAD, PAD, PAD, PAD],
    ]
    assert batch["functional"].tolist() == [[1, 0, 0, 1, 0, 0, 1, 1], [1, 0, 1, 1, 1, 1, 1, 1]]
    assert batch["word_starts"].all()  # 11 and 15 too: their words begin in other rows


def test_span_marks():
    corpus = small_corpus(span_marks=np.array([0, 1, 2, 0, 1, 2], "uint8"))
    batch = render(corpus, [[(0, 8)], [(2, 5)], [(6, 7)]], 10)
    assert batch["span_marks"].tolist() == [
        [0, 0, 1, 2, 0, 0, 1, 2, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0, 0, 0],  # 12 is what is left of its span
        [0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert batch["span_marks"].dtype == np.uint8


@pytest.mark.parametrize("layout", [*LAYOUTS])
@pytest.mark.parametrize("num_texts", [1, 2, 3])
def test_every_layout(layout, num_texts):
    if layout == "gpt" and num_texts > 1:
        return
    tokenizer = SimpleNamespace(special_token_id=small_corpus().special_token_ids.get)
    texts = [[(4, 6), (0, 0), (2, 3)][:num_texts], [(0, 3), (4, 5), (5, 7)][:num_texts]]
    tokens = np.array([10, 11, 12, EOD, 13, 14, 15, EOD])
    batch = render(small_corpus(layout), texts, 14)
    for b, row in enumerate(texts):
        ids = [tokens[begin:end].tolist() for begin, end in row]
        ids, segments = LAYOUTS[layout].lay_out(tokenizer, *ids)
        missing = 14 - len(ids)
        before, after = (missing, 0) if layout == "xlnet" else (0, missing)
        assert batch["token_ids"][b].tolist() == [PAD] * before + ids + [PAD] * after
        assert batch["segment_ids"][b].tolist() == [0] * before + segments + [0] * after
        real = [False] * before + [True] * len(ids) + [False] * after
        assert batch["padding_mask"][b].tolist() == real
        assert batch["functional"][b].tolist() == (batch["token_ids"][b] < 10).tolist()


def test_bad_input():
    corpus = small_corpus("gpt")
    assert RowRenderer(corpus, 8).text_length == 8
    with pytest.raises(ValueError, match="2 texts need the special tokens.*Received: layout='gpt'"):
        RowRenderer(corpus, 8, 2)
    with pytest.raises(ValueError, match="2 texts need the special tokens.*Received: layout='gpt'"):
        RowRenderer(corpus, 8, 2, apart=True)
    corpus = small_corpus()
    assert RowRenderer(corpus, 8, 2).text_length == 5
    assert RowRenderer(corpus, 8, 2, apart=True).text_length == 4
    with pytest.raises(ValueError, match="each of its 2 texts beside 3.*Received: sequence_length"):
        RowRenderer(corpus, 4, 2)
    del corpus.special_token_ids["cls"]
    with pytest.raises(ValueError, match="need the special tokens"):
        RowRenderer(corpus, 8)
