import keras
import numpy as np
import pytest

from keras_plm.tasks import PermutationLM, Pretrainer, Task, TextClassifier


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


def test_clone_model(make_classifier, graph, caplog):
    """Keras's own copy: a plain model that computes the same, and that Keras can train."""
    model = make_classifier(num_layers=1)
    model.compile(keras.optimizers.SGD(0.1), **graph)
    x = model.keep_inputs(model.preprocessor.call(["the dog was", "a fish"]))
    for compiled in (True, False):
        model.compiled = compiled
        caplog.clear()
        plain = keras.models.clone_model(model)
        assert plain.compiled == compiled and compiled == ("task.clone()" in caplog.text)
        assert not any(one is other for one in plain.weights for other in model.weights)
        plain.set_weights(model.get_weights())
        outputs = [np.array(keras.ops.convert_to_numpy(one(x))) for one in (model, plain)]
        np.testing.assert_allclose(*outputs, atol=1e-6)
    model.compiled = True
    trained = keras.models.clone_model(model)
    trained.fit(x, np.array([0, 1]), verbose=0)
    assert "no_weight_decay" in model.get_compile_config()  # its own stays what it was
    with pytest.raises(ValueError, match="share weights.*Use `task.clone"):
        keras.models.clone_model(PermutationLM(model.backbone, model.preprocessor))


def test_clone_keeps_what_is_frozen(make_classifier):
    model = make_classifier(num_layers=1)
    model.backbone.trainable = False
    model.heads["label"].trainable = True
    new = model.clone()
    assert [v.path for v in new.trainable_variables] == [v.path for v in model.trainable_variables]
    assert 0 < len(new.trainable_variables) < len(make_classifier(num_layers=1).trainable_variables)
    assert new.preprocessor is not model.preprocessor
    before = model.get_weights()
    changed = [not np.array_equal(one, other) for one, other in zip(before, new.get_weights())]
    assert any(changed)
