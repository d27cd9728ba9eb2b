"""A classifier of pairs by MT-DNN's answer module."""

import numpy as np
import pytest

from keras_plm import heads
from keras_plm.tasks import MultipleChoice, TextClassifier, TextPreprocessor, TextRegressor
from keras_plm.tasks.pairs_by_san import check_pairs

FIRST = ["the dog was red", "a fish", "he was there", "I went to the boat"]
SECOND = ["a dog", "the fish was there", "no", "he went"]
LABELS = [0, 2, 1, 1]


@pytest.fixture(params=[2, 0])
def make(request, tokenizers, make_transformer):
    """A function that makes one, over a backbone with segments and one without."""
    tokenizer = tokenizers["bert"]
    backbone = make_transformer(tokenizer.vocabulary_size, num_segments=request.param)

    def make(task=TextClassifier, num_classes=3, **arguments):
        preprocessor = TextPreprocessor(tokenizer, 24)
        arguments = {"pooling": "san", "dropout": 0.0, **arguments}
        if task is TextClassifier:
            arguments["num_classes"] = num_classes
        return task(backbone, preprocessor=preprocessor, **arguments)

    return make


def test_is_what_the_head_says_of_both_texts(make, quick):
    model = make()
    model.compile(**quick)
    head = model.heads["label"]
    assert isinstance(head, heads.SANHead) and head.turns == 5
    found = model.predict((FIRST, SECOND), verbose=0)
    assert found.shape == (4, 3)
    x = model.preprocessor.call((FIRST, SECOND))
    encoded = model.backbone.encode(
        {
            name: x[name]
            for name in ("token_ids", "padding_mask", "segment_ids")
            if name in model.backbone.input
        }
    )
    first = x["padding_mask"] & (x["segment_ids"] == 0)
    expected = head(encoded["sequence_output"], first, x["padding_mask"] & ~first)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    probabilities = [list(one.probabilities.values()) for one in model.classify((FIRST, SECOND))]
    np.testing.assert_allclose(np.exp(found), probabilities, atol=1e-6)
    first, second = (
        model.predict((SECOND, FIRST), verbose=0),
        model.predict((FIRST, SECOND), verbose=0),
    )
    assert np.abs(first - second).max() > 1e-3


def test_learns_pairs_and_is_saved(make, graph, tmp_path):
    model = make()
    model.compile("adam", **graph)
    model.optimizer.learning_rate = 0.01
    history = model.fit((FIRST, SECOND), LABELS, epochs=8, verbose=0, length_buckets=None)
    assert history.history["loss"][-1] < history.history["loss"][0] - 0.1
    model.save_to_preset(str(tmp_path / "pairs"))
    again = TextClassifier.from_preset(str(tmp_path / "pairs"))
    assert again.pooling == "san"
    found, expected = (one.predict((FIRST, SECOND), verbose=0) for one in (again, model))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_single_texts_are_refused(make, quick):
    model = make()
    model.compile(**quick)
    for call in (
        lambda: model.fit(FIRST, LABELS, verbose=0),
        lambda: model.predict(FIRST, verbose=0),
        lambda: check_pairs(model.preprocessor.call(FIRST)),
    ):
        with pytest.raises(ValueError, match="classifies pairs of texts.*4 of 4 rows without"):
            call()


def test_rows_whose_layout_has_no_segments_are_refused(tokenizers, make_transformer, quick):
    """RoBERTa's: nobody could say which text a token is of."""
    tokenizer = tokenizers["roberta"]
    backbone = make_transformer(tokenizer.vocabulary_size, num_segments=0)
    model = TextClassifier(backbone, 3, TextPreprocessor(tokenizer, 24), pooling="san")
    model.compile(**quick)
    with pytest.raises(ValueError, match="RoBERTa's has none"):
        model.predict((FIRST, SECOND), verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"both_orders": True}, "reads one row of each pair"),
        ({"multi_label": True}, "must be one of"),
        ({"gradient_length": 5}, "reads one row of each pair"),
        ({"summarise": True}, "brings a head of its own"),
        ({"task": TextRegressor}, "must be one of"),
        ({"task": MultipleChoice}, "must be one of"),
    ],
)
def test_what_it_cannot_be(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
