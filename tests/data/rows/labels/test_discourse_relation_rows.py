"""discourse_relation_rows.py: the literal example, every pair against the text, what is missing."""

import pytest

from keras_plm import data, objectives
from keras_plm.data.rows.labels import discourse_relation_rows
from keras_plm.data.rows.row_plans import ROW_PLANS

TEXT = "It was late. But, he went on. \n\nSo it was. He came. At last he left. Butter is good. And."
ANNOTATE = {"discourse_markers": data.find_discourse_markers}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT * 50)
    return data.train_tokenizer([path], 50, model="wordpiece", lowercase=True)


def test_the_example(path, tokenizer, tmp_path):
    """Two pairs: that a document begins with "So" or a sentence is "And." makes no other."""
    corpus = data.Corpus.build([path], tokenizer, tmp_path / "c", annotate=ANNOTATE)
    objective = objectives.DiscourseRelation(64)
    examples = data.examples(corpus, objective, 1, training=False)
    assert examples.steps_per_epoch == 3
    found = []
    for step in range(3):
        x, y, weight = examples.batch_at(step)
        pieces = tokenizer.pieces(x["token_ids"][0][x["padding_mask"][0]].tolist())
        text = " ".join(pieces).replace(" ##", "")
        marker = objectives.DISCOURSE_MARKERS[y["discourse_relation"][0]]
        found.append((text, marker))
        assert weight["discourse_relation"].tolist() == [1.0]
    assert found == [
        ("[CLS] it was late . [SEP] he went on . [SEP]", "but"),
        ("[CLS] he came . [SEP] he left . [SEP]", "at last"),
        ("[CLS] butter is good . [SEP] . [SEP]", "and"),
    ]
    assert ROW_PLANS["discourse_relation"] is discourse_relation_rows.discourse_relation


def test_long_sentences_lose_tokens(path, tokenizer, tmp_path):
    corpus = data.Corpus.build([path], tokenizer, tmp_path / "c", annotate=ANNOTATE)
    examples = data.examples(corpus, objectives.DiscourseRelation(9), 2, training=False)
    x, _, _ = examples.batch_at(0)
    assert x["padding_mask"].all() and (x["segment_ids"].sum(axis=1) >= 3).all()


def test_a_corpus_without_the_column(path, tokenizer, tmp_path):
    plain = data.Corpus.build([path], tokenizer, tmp_path / "c")
    message = r'annotate=\{"discourse_markers": keras_plm.data.find_discourse_markers\}\)'
    with pytest.raises(ValueError, match=message):
        data.examples(plain, objectives.DiscourseRelation(64), 1)
    masked = objectives.MaskedModeling.for_tokenizer(tokenizer, sequence_length=64, segments=True)
    later = objectives.Mixture((masked, objectives.Capitals(64, segments=True)), (1, 1))
    with pytest.raises(ValueError, match="needs the column 'capitals'.*find_capitals.*word_starts"):
        data.examples(plain, later, 1)  # before its first batch


def test_a_text_without_markers(tokenizer, tmp_path):
    (tmp_path / "text.txt").write_text("So it was.\n\nHe came. She went. But")
    corpus = data.Corpus.build(
        [tmp_path / "text.txt"], tokenizer, tmp_path / "c", annotate=ANNOTATE
    )
    with pytest.raises(ValueError, match="2 documents, 1 sentences of a marker alone"):
        data.examples(corpus, objectives.DiscourseRelation(64), 1)
