"""Whatever is imported first, Keras finds our classes when it loads a model."""

import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import keras
import pytest

import keras_plm
from keras_plm.backbones import TransformerBackbone
from keras_plm.tasks import TextClassifier

ORDERS = {
    "ours first": "import sys, keras_plm; assert 'keras' not in sys.modules; import keras",
    "keras first": "import keras, keras_plm",
    "a room first": "import keras_plm.layers, keras",
    "keras's function first": "from keras.saving import load_model; import keras, keras_plm",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    backbone = TransformerBackbone(30, 1, 2, 8, 16, max_sequence_length=8)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    TextClassifier(backbone, 2).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_in_a_new_process(order, path):
    code = f"{ORDERS[order]}; print(type(keras.saving.load_model({str(path)!r})).__name__)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.stdout.strip() == "TextClassifier", run.stderr[-2000:]


def test_names_of_others_are_looked_up_as_before():
    find = keras.saving.get_registered_object
    assert find("keras_plm>TextClassifier") is TextClassifier
    assert find("keras_plm>Nothing") is find("other>TextClassifier") is find(None) is None
    assert find("a", custom_objects={"a": 3}) == 3
    with keras.saving.custom_object_scope({"keras_plm>TextClassifier": dict}):
        assert find("keras_plm>TextClassifier") is dict


def test_the_hook_acts_once_behind_keras(monkeypatch):
    hook, done = keras_plm._AfterKeras(), []
    spec = SimpleNamespace(loader=SimpleNamespace(exec_module=done.append))
    monkeypatch.setattr(keras_plm, "_find_our_classes", lambda: done.append("found"))
    for found in (spec, None):  # None: keras is not installed
        monkeypatch.setattr(keras_plm, "find_spec", lambda name: found)
        monkeypatch.setattr(sys, "meta_path", [hook, *sys.meta_path])
        assert hook.find_spec("numpy") is None and hook in sys.meta_path
        assert hook.find_spec("keras") is found and hook not in sys.meta_path
    spec.loader.exec_module("keras")
    assert done == ["keras", "found"]


def test_the_package_waits_for_keras_or_finds_it(monkeypatch):
    registration = sys.modules[keras.saving.get_registered_object.__module__]
    for module in (registration, keras.saving):  # put back behind the test
        monkeypatch.setattr(module, "get_registered_object", module.get_registered_object)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = registration.get_registered_object
    runpy.run_path(keras_plm.__file__)
    assert registration.get_registered_object is not before
    assert keras.saving.get_registered_object is registration.get_registered_object
    monkeypatch.delitem(sys.modules, "keras")
    runpy.run_path(keras_plm.__file__)
    assert type(sys.meta_path[0]).__name__ == "_AfterKeras"
