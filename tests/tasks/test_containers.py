"""What every method that takes texts makes of lists, columns, tables, dicts, sets and strings."""

import numpy as np
import pytest

from keras_plm.tasks import CausalLM, MaskedLM, TextClassifier, TextEmbedder, TextPreprocessor

TEXTS = ["the dog was", "I went to the boat", "a fish"]


class Frame:
    """A table as pandas has them, which yields its column names."""

    def __init__(self, **columns):
        self.columns, self.data = list(columns), columns
        self.shape = (len(TEXTS), len(columns))

    def __len__(self):
        return len(TEXTS)

    def __iter__(self):
        return iter(self.columns)

    def __getitem__(self, name):
        return self.data[name]


def column(texts):
    """The texts behind nothing but `__len__`, `__getitem__` and `__iter__`."""
    methods = {
        "__len__": lambda self: len(texts),
        "__getitem__": lambda self, number: texts[number],
        "__iter__": lambda self: iter(texts),
    }
    return type("Column", (), methods)()


GOOD = {
    "tuple's items": lambda texts: list(tuple(texts)),
    "array": lambda texts: np.array(texts, object),
    "column": column,
    "frame": lambda texts: Frame(text=np.array(texts, object)),
}
BAD = {
    "frame": (Frame(text=TEXTS, label=[0, 1, 0]), "columns|dict of features"),
    "dict": ({"text": TEXTS}, "not a dict|takes exactly the features|features with targets"),
    "set": (set(TEXTS), "set has no order"),
    "bytes": (b"the dog", "Received bytes"),
    "string": ("the dog was", "one text: 'the dog was'"),
}


@pytest.fixture(scope="module")
def methods(make_transformer, wordpiece, byte_level, quick):
    """The methods that take texts, by name."""
    gpt = dict(num_segments=0, causal=True)
    causal = CausalLM(
        make_transformer(byte_level.vocabulary_size, **gpt), TextPreprocessor(byte_level, 16)
    )
    backbone = make_transformer(wordpiece.vocabulary_size, num_segments=2)
    preprocessor = TextPreprocessor(wordpiece, 16)
    masked, vectors = MaskedLM(backbone, preprocessor), TextEmbedder(backbone, preprocessor)
    classifier = TextClassifier(backbone, 2, preprocessor)
    for model in (causal, masked, vectors, classifier):
        model.compile(**quick)
    labels = np.array([0, 1, 0])
    return {
        "predict": lambda texts: classifier.predict(texts, verbose=0),
        "evaluate": lambda texts: classifier.evaluate(texts, labels, verbose=0),
        "embed": vectors.embed,
        "score masked": masked.score,
        "score": lambda texts: [one.total for one in causal.score(texts)],
        "generate": lambda texts: causal.generate(texts, 14, "greedy"),
        "choose": lambda texts: causal.choose(["the"], [texts]),
        "fit": lambda texts: classifier.fit(texts, labels, verbose=0) and None,
        "encode": wordpiece.encode,
    }


METHODS = ["predict", "evaluate", "embed", "score masked", "score", "generate", "choose", "encode"]


@pytest.mark.parametrize("method", METHODS)
def test_one_dimension_of_strings_is_a_list_of_texts(method, methods):
    def result(texts):
        found = methods[method](texts)
        return getattr(found, "tolist", lambda: found)()

    expected = str(result(list(TEXTS)))
    for name, make in GOOD.items():
        assert str(result(make(TEXTS))) == expected, name


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("method", [*METHODS, "fit"])
def test_what_is_no_list_of_texts_is_refused(method, bad, methods):
    given, message = BAD[bad]
    if method == "encode" and bad == "string":
        assert methods["encode"](given) == methods["encode"]([given])[0]  # one text, one list
        return
    with pytest.raises((TypeError, ValueError), match=message):
        methods[method](given)


def test_fit_takes_columns_of_texts_and_of_labels(methods):
    for make in GOOD.values():
        assert methods["fit"](make(TEXTS)) is None


def test_labels_are_columns_too(make_classifier, quick):
    model = make_classifier(num_layers=1)
    model.compile(**quick)
    expected = model.evaluate(TEXTS, [0, 1, 0], verbose=0)
    assert model.evaluate(column(TEXTS), column([0, 1, 0]), verbose=0) == expected


@pytest.mark.parametrize("ids", [b"2", "2", {2: 1}, {2, 3}])
def test_ids_that_are_no_list(ids, make_transformer, quick):
    model = CausalLM(make_transformer(12, num_segments=0, causal=True))
    model.compile(**quick)
    with pytest.raises((TypeError, ValueError), match="Received"):
        model.generate([[1, 2]], 4, "greedy", forbidden_token_ids=ids)
    with pytest.raises((TypeError, ValueError), match="Received"):
        model.generate([[1, 2]], 4, "greedy", stop_token_ids=ids)
