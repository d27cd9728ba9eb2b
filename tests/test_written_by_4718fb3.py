"""What commit 4718fb3 saved still loads as what it was: see fixtures/make_written_by_4718fb3.py.

Training checkpoints of then keep their arrays by index: a change in the order of layers would load
them permuted without a word, and shows here in the weights by path and in the next two losses.
"""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_plm import backbones, data, tasks

ARCHIVE = Path(__file__).parent / "fixtures" / "written_by_4718fb3.zip"
TEXTS = ["The train stopped with a long shriek of its whistle.", "I was fool enough to agree."]
BATCH_SIZE = 4


@pytest.fixture(autouse=True, scope="module")
def every_compilation_is_quick(quick_compilation):
    """On JAX small graphs are compiled that run once."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The directory that the archive holds."""
    folder = tmp_path_factory.mktemp("written")
    with zipfile.ZipFile(ARCHIVE) as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def expected(written):
    """A function of a prefix to the arrays below it, by the rest of their names."""
    with np.load(written / "expected.npz", allow_pickle=False) as file:
        arrays = dict(file)

    def expected(prefix):
        found = {
            name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)
        }
        assert found
        return found

    return expected


def assert_weights(model, stored):
    """Compare every weight with the array of its path, whatever its number is now."""
    arrays = {name.split(":", 1)[1]: value for name, value in stored.items()}
    variables = {v.path: v for v in model.weights if not v.path.startswith("state/")}
    assert variables.keys() == arrays.keys()
    for path, variable in variables.items():
        value = keras.ops.convert_to_numpy(variable)
        np.testing.assert_array_equal(value, arrays[path], err_msg=path)


def learned(model, corpus, first=2):
    """The losses of the next two steps, and what the first of them was fed."""
    examples = data.examples(corpus, model.objective, BATCH_SIZE)
    losses = []
    for number in (first, first + 1):
        x, y, weight = examples.batch_at(number)
        losses.append(model.train_on_batch(x, y, weight, return_dict=True)["loss"])
    x, y, _ = examples.batch_at(first)
    return np.array(losses), {**x, **{f"y_{name}": value for name, value in y.items()}}


@pytest.mark.parametrize("name, corpus", [("xlnet", "xlnet_corpus"), ("bert", "corpus")])
def test_training_goes_on(written, expected, name, corpus):
    """A preset with its heads, and the checkpoint of the same step, by path and by the losses."""
    model = tasks.Pretrainer.from_preset(str(written / name))
    assert_weights(model, expected(f"{name}/weights/"))

    optimizer = keras.optimizers.Adam(1e-2) if name == "xlnet" else "auto"
    model.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
    for variable in model.weights:  # so that the checkpoint has something to bring back
        variable.assign(np.zeros(variable.shape, "float32"))
    assert tasks.resume(model, str(written / f"{name}_checkpoint")) == 2
    assert_weights(model, expected(f"{name}/weights/"))
    if name == "xlnet":
        memory = keras.ops.convert_to_numpy(model.state.training_state["memory"])
        np.testing.assert_array_equal(memory, expected("xlnet/memory")[""])
        assert memory.any()

    losses, batch = learned(model, data.Corpus.open(str(written / corpus)))
    for key, value in expected(f"{name}/batch/").items():
        np.testing.assert_array_equal(batch[key], value, err_msg=key)
    # TensorFlow wrote it, with norms of gradients that were not those of their sums: the second
    # step starts from weights that differ by little.
    np.testing.assert_allclose(losses, expected(f"{name}/losses")[""], rtol=1e-5, atol=0)


def test_the_backbones_of_presets(written, expected):
    for name in ("xlnet", "bert"):
        backbone = backbones.Backbone.from_preset(str(written / name))
        stored = expected(f"{name}/weights/")
        arrays = {path.split(":", 1)[1]: value for path, value in stored.items()}
        for variable in backbone.weights:
            value = keras.ops.convert_to_numpy(variable)
            np.testing.assert_array_equal(value, arrays[variable.path], err_msg=variable.path)


@pytest.mark.parametrize("kind", ["preset", "keras"])
def test_a_classifier(written, expected, kind):
    if kind == "preset":
        classifier = tasks.TextClassifier.from_preset(str(written / "classifier"))
    else:
        classifier = keras.saving.load_model(str(written / "classifier.keras"))
    assert_weights(classifier, expected("classifier/weights/"))
    logits = classifier.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(logits, expected("classifier/predict")[""], rtol=0, atol=1e-5)


def test_a_corpus(written, expected):
    corpus = data.Corpus.open(str(written / "corpus"))
    for name, value in expected("corpus/").items():
        np.testing.assert_array_equal(getattr(corpus, name), value)
