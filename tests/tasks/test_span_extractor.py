import json
import logging

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import Answer, SpanExtractor, SpanPreprocessor, TextClassifier

BATCH, LENGTH = 8, 24
WORDS = "dog cat bird room wall".split()


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def questions_on_contexts(count, seed=0, length=5):
    """Which word stands behind "the"? No answer where there is no "the"."""
    random = np.random.default_rng(seed)
    contexts, answers = [], []
    for number in range(count):
        words = random.choice(WORDS, length).tolist()
        place = int(random.integers(1, length))
        words[place - 1] = "a" if number % 4 == 3 else "the"
        start = len(" ".join(words[:place])) + 1
        contexts.append(" ".join(words))
        answers.append({"text": [words[place]], "answer_start": [start]})
        if number % 4 == 3:
            answers[-1] = None
    return (["which"] * count, contexts), answers


X, Y = questions_on_contexts(BATCH)


@pytest.fixture(scope="module")
def make_extractor(tokenizer, make_backbone):
    def make_extractor(beam, dropout=0.0, sequence_length=LENGTH, **changes):
        preprocessor = SpanPreprocessor(tokenizer, sequence_length, max_question_length=6, stride=8)
        backbone = make_backbone(**{"num_layers": 1, **changes})
        return SpanExtractor(backbone, preprocessor, beam, 3, 2, dropout)

    return make_extractor


@pytest.fixture(scope="module")
def extractors(make_extractor, graph):
    """One of each kind, with heads whose logits are far apart."""
    models = {beam: make_extractor(beam) for beam in (False, True)}
    for model in models.values():
        model.compile(keras.optimizers.Adam(3e-3), **graph)
        for weight in model.heads["span"].trainable_weights:
            weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    return models


both = pytest.mark.parametrize("beam", [False, True], ids=["simple", "beam"])


@pytest.mark.slow
@both
def test_learns_to_find_a_marked_word(beam, make_extractor, graph):
    model = make_extractor(beam, hidden_dim=32, initializer_range=0.1)
    model.compile(keras.optimizers.Adam(5e-3), **graph)
    model.fit(*questions_on_contexts(160), batch_size=32, epochs=14, verbose=0)
    x, y = questions_on_contexts(24, seed=1)
    found = model.answer(*x, batch_size=32)
    golds = [answer and answer["text"][0] for answer in y]
    right = [one.text == gold for one, gold in zip(found, golds) if gold]
    assert np.mean(right) > 0.8  # by chance 0.2
    null_scores = np.array([one.null_score for one in found])
    answerable = np.array([gold is not None for gold in golds])
    assert np.median(null_scores[answerable]) < np.median(null_scores[~answerable])
    for one, context in zip(found, x[1]):
        assert isinstance(one, Answer) and context[one.start : one.end] == one.text


@both
def test_loss_is_the_formula(beam, extractors):
    model = extractors[beam]
    x, y, _ = keras.utils.unpack_x_y_sample_weight(model.preprocess_samples(X, Y))
    rows = len(x["token_ids"])
    assert rows == BATCH  # one window each
    outputs = {name: to_numpy(value) for name, value in model(x).items()}

    def cross_entropy(name):
        logits = outputs[name].astype("float64")
        highest = logits.max(1, keepdims=True)
        logits = logits - highest - np.log(np.exp(logits - highest).sum(1, keepdims=True))
        return -logits[np.arange(rows), y[name]]

    expected = 0.5 * (cross_entropy("start") + cross_entropy("end"))
    if beam:
        logit, label = outputs["impossible"][:, 0].astype("float64"), y["impossible"]
        expected += 0.5 * (np.logaddexp(0, logit) - label * logit)
    weights = np.arange(BATCH) / 4
    logs = model.evaluate(X, Y, BATCH, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(expected.mean(), rel=1e-4) and logs["loss"] > 0.1
    logs = model.evaluate(X, Y, BATCH, sample_weight=weights, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx((expected * weights).mean(), rel=1e-4)
    names = {"start", "end", "impossible"} if beam else {"start", "end"}
    assert set(logs) == {"loss", *(f"{n}_{m}" for n in names for m in ("loss", "accuracy"))}
    accuracy = (outputs["start"].argmax(1) == y["start"]).mean()
    assert logs["start_accuracy"] == pytest.approx(accuracy)


def test_training_reads_the_start_of_the_label(extractors):
    model = extractors[True]
    x, y, _ = keras.utils.unpack_x_y_sample_weight(model.preprocess_samples(X, Y))
    np.testing.assert_array_equal(x["start_positions"], y["start"])
    unknown, _, _ = keras.utils.unpack_x_y_sample_weight(model.preprocess_samples(X))
    np.testing.assert_array_equal(unknown["start_positions"], [-1] * BATCH)
    end = to_numpy(model(x)["end"])
    head = model.heads["span"]
    rows = model.backbone.encode({name: x[name] for name in model.backbone.input})
    rows = to_numpy(rows["sequence_output"])
    expected = head.end_logits(rows, rows[np.arange(BATCH), y["start"]][:, None])
    allowed = x["answer_mask"]
    np.testing.assert_allclose(end[allowed], to_numpy(expected)[:, 0][allowed], atol=1e-4)
    assert (end[~allowed] < -1e29).all()


@both
def test_neither_batch_mates_nor_padding_matter(beam, extractors, graph, tmp_path):
    model = extractors[beam]
    model.save_to_preset(str(tmp_path / "preset"))
    longer = SpanExtractor.from_preset(str(tmp_path / "preset"), sequence_length=32)
    longer.compile(**graph)
    expected = model.answer(*X, batch_size=BATCH)
    assert len({one.text for one in expected}) > 2
    alone = [
        model.answer([question], [context], batch_size=BATCH)[0] for question, context in zip(*X)
    ]
    for others in (alone, longer.answer(*X, batch_size=BATCH)):
        for one, other in zip(expected, others):
            assert (one.start, one.end) == (other.start, other.end)
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.null_score == pytest.approx(other.null_score, abs=1e-4)
    assert longer.beam == beam and longer.start_top == 3 and longer.preprocessor.stride == 8


@both
def test_long_contexts(beam, extractors):
    """Windows become one answer, as good as the best that a window of its own would give."""
    model = extractors[beam]
    (questions, contexts), answers = questions_on_contexts(3, length=20)
    features, windows = model.preprocessor.windows((questions, contexts))
    assert len(windows) > 9
    outputs = model.predict((questions, contexts), batch_size=BATCH, verbose=0)
    assert outputs["start"].shape == (len(windows), LENGTH)
    if beam:
        assert outputs["end_top_log_probs"].shape == (len(windows), 3, 2)
    found = model.answer(questions, contexts, n_best=2, batch_size=BATCH)
    numbers = [len(one.n_best) for one in found]  # equal texts of a beam are one answer
    assert max(numbers) == 2 and min(numbers) >= (1 if beam else 2)
    for one, context in zip(found, contexts):
        assert one.text and context[one.start : one.end] == one.text
    weights = [1.0, 0.0, 2.0]
    logs = model.evaluate(
        (questions, contexts), answers, BATCH, sample_weight=weights, verbose=0, return_dict=True
    )
    assert np.isfinite(list(logs.values())).all() and logs["loss"] > 0
    silent = model.answer(questions, contexts, null_threshold=-1e9, batch_size=BATCH)
    assert [(one.text, one.start, one.end) for one in silent] == [("", 0, 0)] * 3


def test_features_and_generators(extractors):
    model = extractors[True]
    expected = model.predict(X, batch_size=BATCH, verbose=0)
    features = model.preprocessor(X)  # without `start_positions`
    again = model.predict(features, batch_size=BATCH, verbose=0)
    assert all(np.array_equal(expected[name], again[name]) for name in expected)
    _, windows = model.preprocessor.windows(X)
    labels = model.preprocessor.labels(windows, Y)
    logs = model.evaluate(features, labels, BATCH, verbose=0, return_dict=True)
    same = model.evaluate(X, Y, BATCH, verbose=0, return_dict=True)
    assert logs == pytest.approx(same)
    batches = ((X, Y) for _ in range(2))
    logs = model.evaluate(batches, steps=2, verbose=0, return_dict=True)
    assert logs == pytest.approx(same)


@both
def test_the_other_head_starts_new(beam, extractors, tmp_path, caplog):
    model = extractors[beam]
    directory = str(tmp_path / "preset")
    model.save_to_preset(directory)
    settings = json.loads((tmp_path / "preset" / "task.json").read_text("utf-8"))
    assert settings["class"] == "SpanExtractor" and settings["settings"]["beam"] == beam
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        other = SpanExtractor.from_preset(directory, beam=not beam)
    assert other.beam != beam and "start new: ['span']" in caplog.text
    TextClassifier.from_preset(directory, num_classes=2)


def test_a_long_question_is_said_once(extractors, caplog):
    model = extractors[False]
    questions = ["dog " * 9, *X[0][1:]]
    assert len(model.answer(questions, X[1], batch_size=BATCH)) == len(questions)
    batches = [((questions, X[1]), Y)] * 3
    model.evaluate((batch for batch in batches), steps=2, verbose=0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all("1 of 8 questions are longer than `max_question_length`" in m for m in messages)
    assert messages[1].endswith("Said once for all batches.")


BAD_DATA = {
    "answer elsewhere": (X, [{"text": ["fish"], "answer_start": [0]}] + Y[1:], "Answer 0 is not"),
    "too few answers": (X, Y[1:], "7 answers for 8 questions"),
    "empty context": ((X[0], ["", *X[1][1:]]), Y, "Contexts has an empty text in row 0"),
    "one list": (X[0], Y, "pair .tuple. of two lists"),
    "no answers": (X, None, "need labels"),
    "weights": (X, Y, "weight of at least 0 per question.*7"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case, extractors, values, same):
    model = extractors[True]
    x, y, message = BAD_DATA[case]
    weights = np.ones(7) if case == "weights" else None
    before = values(model)
    for trial in (
        lambda: model.fit(x, y, sample_weight=weights, verbose=0),
        lambda: model.evaluate(x, y, sample_weight=weights, verbose=0),
        lambda: model.train_on_batch(x, y, weights),
    ):
        with pytest.raises(ValueError, match=message):
            trial()
        assert same(values(model), before)


def test_bad_features(extractors):
    model = extractors[True]
    x, y, _ = keras.utils.unpack_x_y_sample_weight(model.preprocess_samples(X, Y))
    blank, long = np.zeros_like(x["answer_mask"]), y["start"] * 0 + LENGTH
    for changes, labels, message in (
        ({"answer_mask": blank}, y, "`answer_mask` is all False in row 0"),
        ({"answer_mask": blank * 1}, y, "answer_mask.*dtype bool"),
        ({}, {**y, "start": y["start"] * 0}, "No answer may be at the label 'start' of row 0, 0"),
        ({}, {"start": y["start"]}, "must be a dict of .'end', 'impossible', 'start'"),
        ({}, np.zeros(BATCH), "must be a dict of"),
    ):
        with pytest.raises(ValueError, match=message):
            model.evaluate({**x, **changes}, labels, verbose=0)
    with pytest.raises(ValueError, match=r"`start_positions` must lie in \[-1, 24\)"):
        model.predict({**x, "start_positions": long}, verbose=0)
    short = {n: v[:, -2:] if v.ndim == 2 else v[:] * 0 - 1 for n, v in x.items()}
    with pytest.raises(ValueError, match="as many tokens as the beam.*2 tokens, start_top=3"):
        model.predict(short, verbose=0)


def test_bad_arguments(make_backbone, extractors):
    for changes in ({"start_top": 0}, {"end_top": 1.5}, {"start_top": True}):
        with pytest.raises(ValueError, match=f"`{next(iter(changes))}` must be an integer"):
            SpanExtractor(make_backbone(num_layers=1), beam=True, **changes)
    with pytest.raises(ValueError, match="`n_best` must be an integer of at least 1.*n_best=0"):
        extractors[False].answer(*X, n_best=0)
    with pytest.raises(ValueError, match="no preprocessor"):
        SpanExtractor(make_backbone(num_layers=1)).answer(*X)
