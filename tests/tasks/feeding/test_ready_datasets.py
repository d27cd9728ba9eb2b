"""Every kind of dataset that Keras takes, of strings, for every task with labels."""

import grain
import keras
import numpy as np
import pytest

from keras_plm.tasks import (
    ChoicePreprocessor,
    MultipleChoice,
    SpanExtractor,
    SpanPreprocessor,
    TextClassifier,
    TextPreprocessor,
    TextRegressor,
    TokenClassifier,
    WordPreprocessor,
)
from keras_plm.tasks.feeding.ready_datasets import of_one_type, python_batch

tf = pytest.importorskip("tensorflow")
BATCH = 2
TEXTS = ["the dog was", "I went to the boat", "a fish", "the window of a room", "he said no", "a"]
NAMES = ["low", "mid", "high"]
WORDS = [text.split() for text in TEXTS]
TAGS = [[NAMES[len(word) % 3] for word in words] for words in WORDS]
WEIGHTS = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0]


class Batches(keras.utils.PyDataset):
    """Batches by their number."""

    def __init__(self, batches, **kwargs):
        super().__init__(**kwargs)
        self.batches, self.epochs = batches, 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.epochs += 1


def rows(data, place):
    """A batch of the data: lists, and tuples of lists."""
    if isinstance(data, tuple):
        return tuple(rows(one, place) for one in data)
    return data[place : place + BATCH]


def batches_of(*parts):
    return [tuple(rows(part, place) for part in parts) for place in range(0, len(TEXTS), BATCH)]


def tensors(data):
    """What `tf.data` makes of lists: tensors, ragged ones where lists have several lengths."""
    if isinstance(data, tuple):
        return tuple(map(tensors, data))
    return tf.ragged.constant(data) if isinstance(data[0], list) else tf.constant(data)


KINDS = {
    "tf.data": lambda *parts: tf.data.Dataset.from_tensor_slices(tensors(parts)).batch(BATCH),
    "PyDataset": lambda *parts: Batches(batches_of(*parts)),
    "generator": lambda *parts: (batch for batch in batches_of(*parts)),
    "Grain": lambda *parts: grain.MapDataset.source(batches_of(*parts)),
    "Grain iterator": lambda *parts: grain.MapDataset.source(batches_of(*parts)).to_iter_dataset(),
}
DATA = {
    "classes": (TEXTS, [0, 1, 2, 0, 1, 2]),
    "names": (TEXTS, [NAMES[n] for n in (0, 1, 2, 0, 1, 2)]),
    "pairs": ((TEXTS, TEXTS[::-1]), [0, 1, 2, 0, 1, 2]),
    "several": (TEXTS, [["low"], ["mid", "high"], [], ["low"], ["high"], ["mid"]]),
    "numbers": (TEXTS, [1, 2, 0.5, 1.5, 0, 4]),
    "words": (WORDS, TAGS),
    "choices": ((TEXTS, [["a dog", "fish"]] * 6), [0, 1, 1, 0, 1, 0]),
    "spans": (
        (["who"] * 6, TEXTS),
        [
            {"text": [words[-1]], "answer_start": [len(" ".join(words[:-1] + [""]))]}
            for words in WORDS
        ],
    ),
}


@pytest.fixture(scope="module")
def make_task(make_backbone, tokenizer, graph):
    made = {}

    def make_task(case):
        if case in made:
            return made[case]
        backbone, options = make_backbone(num_layers=1), dict(dropout=0.0)
        preprocessor = TextPreprocessor(tokenizer, 16)
        tasks = {
            "numbers": lambda: TextRegressor(backbone, preprocessor, **options),
            "words": lambda: TokenClassifier(
                backbone, 3, WordPreprocessor(tokenizer, 16), class_names=NAMES, **options
            ),
            "choices": lambda: MultipleChoice(
                backbone, ChoicePreprocessor(tokenizer, 16), **options
            ),
            "spans": lambda: SpanExtractor(backbone, SpanPreprocessor(tokenizer, 24), **options),
            "several": lambda: TextClassifier(
                backbone, 3, preprocessor, class_names=NAMES, multi_label=True, **options
            ),
        }
        classifier = lambda: TextClassifier(  # noqa: E731
            backbone, 3, preprocessor, class_names=NAMES, **options
        )
        made[case] = tasks.get(case, classifier)()
        made[case].compile(keras.optimizers.SGD(0.1), **graph)
        return made[case]

    return make_task


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case in ("names", "words") else [pytest.mark.slow])
        for case in DATA
    ],
)
def test_same_losses_as_lists(case, kind, make_task):
    if case == "spans" and kind == "tf.data":
        pytest.skip("answers are dicts, of which there is no tensor")
    model, (x, y) = make_task(case), DATA[case]
    start = model.get_weights()
    expected = model.evaluate(x, y, BATCH, verbose=0, return_dict=True)
    logs = model.evaluate(KINDS[kind](x, y), verbose=0, return_dict=True)
    for name in expected if case != "words" else ():  # whose loss is a mean by batch
        if not name.endswith("_loss"):  # Keras averages these wrongly where there is no length
            assert logs[name] == pytest.approx(expected[name], rel=1e-5)
    data = KINDS[kind](x) if kind == "tf.data" else KINDS[kind](x, y)
    pairs = zip(*(keras.tree.flatten(model.predict(one, verbose=0)) for one in (x, data)))
    for whole, found in pairs:
        padding = case == "words" and whole == 0  # lists are read without it
        np.testing.assert_allclose(np.where(padding, 0, found), whole, atol=1e-5)
    weights = () if case == "words" and kind == "tf.data" else (WEIGHTS,)
    model.fit(x, y, BATCH, *weights, shuffle=False, verbose=0)
    trained = model.get_weights()
    model.set_weights(start)
    held_out = KINDS["PyDataset"](x, y)
    history = model.fit(KINDS[kind](x, y, *weights), validation_data=held_out, verbose=0).history
    for one, other in zip(model.get_weights(), trained):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert history["val_loss"] == pytest.approx(
        [model.evaluate(held_out, verbose=0, return_dict=True)["loss"]], rel=1e-5
    )
    model.set_weights(start)


def test_features(make_task):
    """Of a `PyDataset` with hooks and workers, and of `tf.data`; labels that are names."""
    model, (x, y) = make_task("names"), DATA["names"]
    features = model.keep_inputs(model.preprocessor.call(x))
    model.optimizer.learning_rate = 0.0
    expected = model.evaluate(features, y, BATCH, verbose=0, return_dict=True)
    named = [
        ({name: value[place : place + BATCH] for name, value in features.items()}, rows(y, place))
        for place in range(0, len(x), BATCH)
    ]
    dataset = Batches(named, workers=2, use_multiprocessing=False)
    ours = tf.data.Dataset.from_tensor_slices((features, y)).batch(BATCH)
    for data in (dataset, ours, grain.MapDataset.source(named)):
        logs = model.evaluate(data, verbose=0, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-5)
        model.fit(data, validation_data=data, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.1
    assert dataset.epochs > 2
    np.testing.assert_allclose(
        model.predict(Batches([one[:1] for one in named]), verbose=0),
        model.predict(features, BATCH, verbose=0),
        atol=1e-5,
    )


def test_length_and_repetition(make_task):
    """Keras knows how many batches there are, if there is an end."""
    model, (x, y) = make_task("classes"), DATA["classes"]
    steps = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: None)
    for data, number, options in (
        (KINDS["tf.data"](x, y), 3, {}),
        (KINDS["PyDataset"](x, y), 3, {}),
        (KINDS["tf.data"](x, y).repeat(), 5, {"steps_per_epoch": 5}),
    ):
        model.fit(data, epochs=2, callbacks=[steps], verbose=0, **options)
        assert steps.params["steps"] == number
        before = int(model.optimizer.iterations)
        model.fit(data, epochs=2, verbose=0, **options)
        assert int(model.optimizer.iterations) - before == 2 * number


def test_training_on_one_kind_and_validating_on_another(make_task):
    model, (x, y) = make_task("names"), DATA["names"]
    for kind in KINDS:
        for held_out in ("tf.data", "PyDataset", "Grain"):
            data, other = KINDS[kind](x, y), KINDS[held_out](x, y)
            logs = model.fit(data, validation_data=other, class_weight={1: 2.0}, verbose=0).history
            loss = model.evaluate(x, y, BATCH, verbose=0, return_dict=True)["loss"]
            assert logs["val_loss"] == pytest.approx([loss], rel=1e-4), (kind, held_out)
    with pytest.raises(ValueError, match="Beside a Grain dataset.*generator"):
        model.fit(KINDS["Grain"](x, y), validation_data=KINDS["generator"](x, y), verbose=0)


def test_what_is_refused(make_task, values, same):
    model, (x, y) = make_task("names"), DATA["names"]
    before = values(model)
    single = tf.data.Dataset.from_tensor_slices((x, y))
    wrong = ["car", *y[1:]]
    for data, message in (
        (single, "batches of texts, not single ones: add `.batch"),
        (KINDS["tf.data"](x, wrong), "among.*Received: 'car' in text 0"),
        (KINDS["PyDataset"](x, wrong), "among.*Received: 'car' in text 0"),
        (KINDS["tf.data"](x), "need labels"),
        (KINDS["PyDataset"](x), "need labels"),
        (KINDS["tf.data"](["", *x[1:]], y), "empty text in row 0"),
        (KINDS["tf.data"](x, y, [-1.0] * 6), "weight of at least 0"),
        (Batches([]), "There is no data.*PyDataset"),
        (single.take(0).batch(2), "There is no data.*tf.data"),
        (tf.data.Dataset.from_tensors(([b"\xff"], [0])), "must be UTF-8"),
    ):
        for call in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                call(data, verbose=0)
    for kind in ("tf.data", "PyDataset", "generator"):  # in a later batch
        with pytest.raises(Exception, match="among.*Received: 'car' in text 1"):
            model.evaluate(KINDS[kind](x, [*y[:-1], "car"]), verbose=0)
    assert same(values(model), before)


def test_preprocessor_in_a_graph(make_task):
    """Its tokenizer cannot run there: the message says what can be done."""
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(BATCH)
    pairs = tf.data.Dataset.from_tensor_slices((TEXTS, TEXTS)).batch(BATCH)
    preprocessor = make_task("classes").preprocessor
    for call in (
        lambda: dataset.map(preprocessor),
        lambda: pairs.map(lambda *pair: preprocessor(pair)),
        lambda: tf.function(preprocessor)(tf.constant(TEXTS)),
    ):
        with pytest.raises(ValueError, match="`tf.data.Dataset.map`.*`fit`.*Received"):
            call()
    eager = preprocessor(tf.constant(TEXTS))
    assert (eager["token_ids"] == preprocessor(TEXTS)["token_ids"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_too_long_are_said_once(kind, make_task, caplog):
    model, (x, y) = make_task("classes"), DATA["classes"]
    long = [x[0], *(text + " the dog" * 20 for text in x[1:])]  # the first batch has one of two

    def said():
        number = caplog.text.count("they lose their ends")
        caplog.clear()
        return number

    repeated = {} if kind == "generator" else {"epochs": 2}
    model.fit(KINDS[kind](long, y), verbose=0, **repeated)
    assert said() == 1
    for call in (model.evaluate, model.predict, model.evaluate):
        call(KINDS[kind](x[:2] + long[2:], y), verbose=0)  # not of the first batch
        assert said() == 1
    model.fit(x, y, validation_data=(long, y), verbose=0)
    assert said() == 1
    model.fit(long, y, validation_data=(long, y), verbose=0)
    assert said() == 2  # of either list
    for number in (1, 2):
        model.preprocessor(long)
        assert said() == 1
    with pytest.raises(ValueError, match="of shape"):
        model.fit(long, y[1:], verbose=0)
    model.preprocessor(long)
    model.train_on_batch(long, y)
    model.train_on_batch(long, y)
    assert said() == 4


def test_python_batch():
    assert python_batch(["a", "b"]) == (["a", "b"], None, None)
    assert python_batch([["a", "b"], [0, 1]]) == (["a", "b"], [0, 1], None)
    x, y, weight = python_batch(
        ((tf.constant(["ä"]), np.array(["b"])), tf.ragged.constant([["c"]]))
    )
    assert x == (["ä"], ["b"]) and y == [["c"]] and weight is None
    x, y, _ = python_batch(({"token_ids": tf.constant([[1]])}, tf.constant([2.0])))
    assert x["token_ids"].tolist() == [[1]] and isinstance(y, np.ndarray) and y.dtype == "float32"


def test_of_one_type():
    for given, kinds, expected in (
        (np.array([1, 2]), ["ids"], "int32"),
        (np.array([1, 2]), [], "int32"),
        (np.array([1, 2]), ["numbers"], "float32"),
        (np.array([True]), ["yes_no"], "float32"),
        (np.array([1, 2]), ["ids", "numbers"], "int32"),
        (np.array([0.5]), ["ids"], "float32"),
        (np.array(["a"]), ["ids"], "<U1"),
    ):
        assert of_one_type(given, kinds).dtype == expected
    assert of_one_type("text") == "text"
