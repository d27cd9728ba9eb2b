"""Every task over every kind of backbone: neither padding nor batch mates matter."""

import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.data import SubwordTokenizer
from keras_plm.tasks import (
    ChoicePreprocessor,
    MultipleChoice,
    SpanExtractor,
    SpanPreprocessor,
    TextClassifier,
    TextPreprocessor,
    TokenClassifier,
    WordPreprocessor,
)
from keras_plm.tasks.pooled_texts import text_summary
from keras_plm.tasks.task_graph import summary_head, text_inputs

TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish"]
WORDS = [text.split() for text in TEXTS]
CHOICES = [["a dog", "two"], ["yes", "no"], ["the boat", "it was not"]]
SPANS = {"max_question_length": 20, "stride": 16}
TASKS = {
    "classifier": (TextClassifier, {"num_classes": 3}, TextPreprocessor, {}, TEXTS),
    "pairs": (TextClassifier, {"num_classes": 2}, TextPreprocessor, {}, (TEXTS, TEXTS[::-1])),
    "tagger": (TokenClassifier, {"num_classes": 3}, WordPreprocessor, {}, WORDS),
    "choice": (MultipleChoice, {}, ChoicePreprocessor, {"max_choice_length": 12}, (TEXTS, CHOICES)),
    "span": (SpanExtractor, {}, SpanPreprocessor, SPANS, (TEXTS, TEXTS)),
    "beam": (
        SpanExtractor,
        {"beam": True, "start_top": 2, "end_top": 2},
        SpanPreprocessor,
        SPANS,
        (TEXTS, TEXTS),
    ),
}


@pytest.fixture(scope="module")
def kinds(tokenizer, wordpiece, byte_level, make_backbone, make_transformer):
    """For each kind of backbone the backbone and its tokenizer."""
    special = {"eos": "</s>"}
    plain = SubwordTokenizer(byte_level.model, special, layout="gpt")
    counted, causal = families.ROBERTA["flags"], families.GPT2["flags"]
    return {
        "xlnet": (make_backbone(num_layers=1), tokenizer),
        "pooler": (make_transformer(300, pooler=True, num_tasks=2), wordpiece),
        "counted": (make_transformer(byte_level.vocabulary_size, **counted), byte_level),
        "causal": (make_transformer(plain.vocabulary_size, **causal), plain),
    }


def outputs_of(model, x, real):
    """The outputs of a task that mean something, whatever the padding."""
    outputs = model.predict_on_batch(x)
    if isinstance(outputs, dict):
        outputs = [outputs[name] for name in ("start", "end", "impossible") if name in outputs]
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [one[real] if one.shape[:2] == real.shape else one for one in outputs]


def features_of(model, preprocessor, x):
    """The features of a task, and where the real tokens are."""
    features = preprocessor.call(x)
    if getattr(model, "beam", False):
        features["start_positions"] = np.full(len(features["token_ids"]), -1, "int32")
    return model.keep_inputs(features), features["padding_mask"]


CASES = [  # XLNet's are in the tests of each task; all pairs pass, and take minutes
    ("classifier", "pooler"),
    ("pairs", "counted"),
    ("tagger", "causal"),
    ("choice", "counted"),
    ("span", "causal"),
    ("span", "counted"),
    ("beam", "pooler"),
]


@pytest.mark.parametrize("task, kind", CASES)
def test_neither_padding_nor_batch_mates_matter(task, kind, kinds, quick):
    backbone, tokenizer = kinds[kind]
    cls, arguments, preprocessor_class, options, x = TASKS[task]
    short, long = (preprocessor_class(tokenizer, length, **options) for length in (56, 64))
    model = cls(backbone, preprocessor=short, **arguments)
    model.compile(**quick)
    expected = outputs_of(model, *features_of(model, short, x))
    for one in outputs_of(model, *features_of(model, long, x)), expected:
        for got, value in zip(one, expected):
            np.testing.assert_allclose(got, value, atol=2e-5)
    assert any(np.ptp(value) > 1e-3 for value in expected)
    features, real = features_of(model, short, x)
    others = outputs_of(
        model, {name: v[[0, 2, 2]] for name, v in features.items()}, real[[0, 2, 2]]
    )
    for got, value in zip(others, expected):
        count = 1 if len(value) == 3 else real[0].sum()  # of the first text
        np.testing.assert_allclose(got[:count], value[:count], atol=2e-5)


def test_what_stands_for_a_text(kinds):
    for kind, place in (("xlnet", "last"), ("counted", "first"), ("causal", "last")):
        backbone, tokenizer = kinds[kind]
        inputs = TextPreprocessor(tokenizer, 24).call(TEXTS)
        inputs = {name: ops.convert_to_tensor(inputs[name]) for name in text_inputs(backbone)}
        encoded = backbone.encode(inputs)
        rows = ops.convert_to_numpy(encoded["sequence_output"])
        real = ops.convert_to_numpy(inputs["padding_mask"])
        index = 0 if place == "first" else -1
        expected = [row[own][index] for row, own in zip(rows, real)]
        got = ops.convert_to_numpy(text_summary(backbone, encoded, inputs["padding_mask"]))
        np.testing.assert_allclose(got, expected, atol=1e-6)
    backbone, tokenizer = kinds["pooler"]
    assert set(backbone.input) - set(text_inputs(backbone)) == {"task_ids"}
    encoded = {"pooled_output": "the pooled output"}
    assert text_summary(backbone, encoded, None) == "the pooled output"
    assert summary_head(backbone, 2, 0.1, "label").summary is None
    assert summary_head(kinds["causal"][0], 2, 0.1, "label").summary is not None
    assert summary_head(backbone, 2, 0.1, "label", pooling="mean").summary is not None


def test_other_poolings(kinds):
    for kind in ("counted", "pooler", "xlnet"):  # padded at the right, at the right, at the left
        backbone, tokenizer = kinds[kind]
        inputs = TextPreprocessor(tokenizer, 24).call(TEXTS)
        inputs = {name: ops.convert_to_tensor(inputs[name]) for name in text_inputs(backbone)}
        encoded = backbone.encode(inputs)
        rows = ops.convert_to_numpy(encoded["sequence_output"])
        real = ops.convert_to_numpy(inputs["padding_mask"])
        assert not real.all()
        for pooling, pool in (
            ("first", lambda own: own[0]),
            ("last", lambda own: own[-1]),
            ("mean", lambda own: own.mean(axis=0)),
        ):
            expected = [pool(row[own]) for row, own in zip(rows, real)]
            got = text_summary(backbone, encoded, inputs["padding_mask"], pooling)
            np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)
    with pytest.raises(ValueError, match="`pooling` must be one of .* Received: pooling='max'"):
        text_summary(backbone, encoded, inputs["padding_mask"], "max")


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(logits_bias=None), "`logits_bias` must be True or False"),
        (dict(summary_dim=0), "`summary_dim` must be None"),
        (dict(summary_dim=2.5), "`summary_dim` must be None"),
        (dict(summary_dim=3, summarise=False), "summary_dim=3, summarise=False"),
        (dict(summary_activation=3), "activation"),
    ],
)
def test_heads_that_there_are_not(changes, message, kinds):
    with pytest.raises(ValueError, match=message):
        summary_head(kinds["xlnet"][0], 2, 0.1, "label", **changes)


def test_rows_that_are_too_long_for_the_backbone(kinds):
    backbone, tokenizer = kinds["pooler"]
    with pytest.raises(ValueError, match=r"positions for 64.*sequence_length=65"):
        TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 65))


def test_features_that_users_give_are_not_filtered(kinds):
    backbone, tokenizer = kinds["causal"]
    model = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 24))
    features = model.preprocessor.call(TEXTS)
    assert "segment_ids" in features and "segment_ids" not in model.keep_inputs(features)
    with pytest.raises(ValueError, match="takes exactly the features"):
        model.predict(features, verbose=0)
