"""Pairs in both orders, and GPT-1's rows."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.tasks import (
    ChoicePreprocessor,
    MultipleChoice,
    TextClassifier,
    TextPreprocessor,
    TextRegressor,
)
from keras_plm.tasks.task_graph import checked_rows, in_both_orders, sum_of_several

GPT = families.GPT1["flags"]
FIRST = ["the dog was red", "a fish", "I went to the boat of the red fish"]
SECOND = ["a house", "the fish was two", "no"]


@pytest.fixture(scope="module")
def backbone(make_transformer, gpt_transfer):
    return make_transformer(gpt_transfer.vocabulary_size, **GPT)


@pytest.fixture(scope="module")
def similarity(backbone, gpt_transfer, quick):
    preprocessor = TextPreprocessor(gpt_transfer, 40)
    model = TextRegressor(backbone, preprocessor, 0.0, summarise=False, both_orders=True)
    model.compile(keras.optimizers.SGD(0.0), **quick)
    return model


def test_rows_of_gpt_1(gpt_transfer):
    """Section 3.3: <s> text <e>; <s> premise $ hypothesis <e>; <s> context $ answer <e>."""
    s, d, e = (gpt_transfer.special_token_id(name) for name in ("start", "delimiter", "classify"))
    a, b, c = gpt_transfer.encode(["the dog", "a red fish", "two"])
    preprocessor = TextPreprocessor(gpt_transfer, 24)

    def row(ids, real):
        assert real.tolist() == sorted(real.tolist(), reverse=True)
        return ids[real].tolist()

    found = preprocessor(["the dog"])
    assert row(found["token_ids"][0], found["padding_mask"][0]) == [s, *a, e]
    found = preprocessor((["the dog"], ["a red fish"]))
    assert row(found["token_ids"][0], found["padding_mask"][0]) == [s, *a, d, *b, e]
    found = in_both_orders(preprocessor, (["the dog"], ["a red fish"]))
    rows = [row(*both) for both in zip(found["token_ids"][0], found["padding_mask"][0])]
    assert rows == [[s, *a, d, *b, e], [s, *b, d, *a, e]]
    found = ChoicePreprocessor(gpt_transfer, 40)((["the dog"], [["a red fish", "two"]]))
    rows = [row(*both) for both in zip(found["token_ids"][0], found["padding_mask"][0])]
    assert rows == [[s, *a, d, *b, e], [s, *a, d, *c, e]]


def test_the_classifier_reads_the_row_of_the_last_token(backbone, gpt_transfer, quick):
    model = TextClassifier(
        backbone, 2, TextPreprocessor(gpt_transfer, 24), dropout=0.0, summarise=False
    )
    model.compile(**quick)
    x = model.preprocess_samples((FIRST, SECOND))
    rows = ops.convert_to_numpy(backbone.encode(x)["sequence_output"])
    place = (x["token_ids"] == gpt_transfer.special_token_id("classify")).argmax(axis=1)
    kernel, bias = (ops.convert_to_numpy(one) for one in model.heads["label"].logits.weights)
    expected = rows[range(3), place] @ kernel + bias
    np.testing.assert_allclose(model.predict((FIRST, SECOND), verbose=0), expected, atol=1e-5)


def test_the_order_of_a_pair_makes_no_difference(similarity):
    one = similarity.predict((FIRST, SECOND), verbose=0)
    np.testing.assert_array_equal(similarity.predict((SECOND, FIRST), verbose=0), one)
    assert one.shape == (3, 1) and np.ptp(one) > 1e-2


def test_both_orders_are_added_before_the_linear_layer(similarity, backbone, gpt_transfer, quick):
    single = TextRegressor(backbone, TextPreprocessor(gpt_transfer, 40), 0.0, summarise=False)
    single.compile(**quick)
    for old, new in zip(similarity.heads["score"].weights, single.heads["score"].weights):
        new.assign(np.array(ops.convert_to_numpy(old)))  # a copy: JAX gives its arrays away
    orders = [single.predict(x, verbose=0) for x in ((FIRST, SECOND), (SECOND, FIRST))]
    bias = ops.convert_to_numpy(single.heads["score"].logits.bias)
    expected = orders[0] + orders[1] - bias  # linear, and the bias is there once
    np.testing.assert_allclose(similarity.predict((FIRST, SECOND), verbose=0), expected, atol=1e-5)
    assert np.abs(orders[0] - orders[1]).max() > 1e-3  # 100 times the tolerance


def test_training_and_features(similarity):
    pairs, scores = (FIRST, SECOND), [1.0, 2.0, 0.5]
    history = similarity.fit(pairs, scores, batch_size=2, validation_split=0.4, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    x = similarity.preprocess_samples(pairs)
    assert x["token_ids"].shape == (3, 2, 40)
    expected = similarity.predict(pairs, verbose=0)
    np.testing.assert_array_equal(similarity.predict(x, verbose=0), expected)


def test_wrong_input(similarity):
    x = similarity.preprocess_samples((FIRST, SECOND))
    for call in (similarity.predict, similarity.evaluate):
        with pytest.raises(ValueError, match="texts come in pairs.*Received: list"):
            call(FIRST)
    with pytest.raises(ValueError, match="as long as each other"):
        similarity.predict((FIRST, SECOND[:2]))
    for wrong in ({name: v[:, 0] for name, v in x.items()}, {n: v[:, :1] for n, v in x.items()}):
        with pytest.raises(ValueError, match=r"same shape \(B, C, T\), C = 2 rows each"):
            similarity.predict(wrong)


def test_rows_and_sums():
    x = {"token_ids": np.arange(12).reshape(2, 2, 3)}
    assert checked_rows(x)["token_ids"].tolist() == np.arange(12).reshape(4, 3).tolist()
    assert checked_rows("what is no dict") == "what is no dict"
    found = sum_of_several(ops.convert_to_tensor(np.arange(8.0).reshape(4, 2)), 2)
    assert ops.convert_to_numpy(found).tolist() == [[2, 4], [10, 12]]


def test_the_logits_of_choices_move_with_them(backbone, gpt_transfer, quick):
    model = MultipleChoice(backbone, ChoicePreprocessor(gpt_transfer, 40), summarise=False)
    model.compile(**quick)
    choices = [["a dog", "two"], ["yes", "no"], ["the boat", "it was not"]]
    logits = model.predict((FIRST, choices), verbose=0)
    turned = model.predict((FIRST, [own[::-1] for own in choices]), verbose=0)
    np.testing.assert_allclose(turned[:, ::-1], logits, atol=1e-5)
