import keras
import pytest

from keras_plm.tasks import Pretrainer, Task, TextClassifier


@pytest.fixture(scope="module")
def pretrainer(make_pretrainer):
    return make_pretrainer(num_layers=1, memory_length=8, dropout=0.1)


@pytest.fixture(scope="module")
def classifier(make_classifier):
    return make_classifier(num_layers=1, num_classes=3, dropout=0.2)


def test_concrete_tasks_are_final():
    assert {one.__name__ for one in Task.__subclasses__()} >= {"Pretrainer", "TextClassifier"}
    assert not Pretrainer.__subclasses__() and not TextClassifier.__subclasses__()


def test_strings_are_refused_by_a_direct_call(classifier):
    with pytest.raises(ValueError, match="Calling a model directly"):
        classifier(["a text"])


def test_the_registered_names():
    for cls in (Pretrainer, TextClassifier):
        assert keras.saving.get_registered_name(cls) == f"keras_plm>{cls.__name__}"


def test_metrics_can_be_left_out(make_classifier):
    """A task compiles itself; a later compilation without metrics must not keep the first's."""
    model = make_classifier(num_layers=1)
    model.compile(loss="auto", metrics=None, jit_compile=False)
    results = model.evaluate(["the boat", "a fish"], [0, 1], verbose=0, return_dict=True)
    assert set(results) == {"loss"}
    model.compile(jit_compile=False)
    results = model.evaluate(["the boat", "a fish"], [0, 1], verbose=0, return_dict=True)
    assert set(results) == {"loss", "accuracy"}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a matter of tf.function")
def test_a_step_is_traced_once(make_classifier):
    model = make_classifier(num_layers=1)
    model.compile(jit_compile=False)
    traced = []
    train_step = model.train_step

    def counted(*args, **kwargs):
        traced.append(1)
        return train_step(*args, **kwargs)

    model.train_step = counted
    model.fit(["the boat", "a fish"], [0, 1], batch_size=2, epochs=2, verbose=0)
    assert len(traced) == 1
