"""Directories as Hugging Face has them, from the stored weights and configs of transformers."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

FIXTURES = Path(__file__).parents[1] / "fixtures"
WEIGHTS = runpy.run_path(str(FIXTURES / "transformer_weights.py"))
make_weights, padded = WEIGHTS["make_weights"], WEIGHTS["padded"]


@pytest.fixture(autouse=True, scope="module")
def every_compilation_is_quick(quick_compilation):
    """On JAX most tests compile many small operations once."""


@pytest.fixture(scope="session")
def transformer_reference():
    """What transformers computed: see tests/fixtures/make_transformer_checkpoints.py."""
    with np.load(FIXTURES / "transformer_checkpoints.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def transformer_cases(transformer_reference):
    """The config, the names and shapes of the tensors, and the sides of the padding, by case."""
    return json.loads(str(transformer_reference["cases"]))


@pytest.fixture(scope="session")
def transformer_weights():
    """The function of a tensor's name and shape that makes its values."""
    return make_weights


@pytest.fixture
def make_transformer(transformer_cases, tmp_path):
    """A function that writes the directory that transformers saved in one of the cases."""

    def make_transformer(case, name="hugging_face", change=None, **changes):
        directory = tmp_path / name
        directory.mkdir()
        shapes = transformer_cases[case]["shapes"]
        arrays = {key: make_weights(key, shape) for key, shape in shapes.items()}
        if change is not None:
            change(arrays)
        config = {**transformer_cases[case]["config"], **changes}
        (directory / "config.json").write_text(json.dumps(config))
        save_file(arrays, directory / "model.safetensors", metadata={"format": "pt"})
        return directory

    return make_transformer


@pytest.fixture(scope="session")
def transformer_inputs(transformer_reference):
    """A function of the side of the padding: the inputs of all cases."""
    names = ("token_ids", "padding_mask", "segment_ids", "task_ids", "language_ids")
    inputs = {name: transformer_reference[name] for name in names}
    return lambda side: padded(inputs, side)


@pytest.fixture(scope="session")
def assert_near():
    """A function with the tolerance of the house: 1e-5, relative to the largest value above 1."""

    def assert_near(ours, theirs):
        assert ours.shape == theirs.shape
        assert np.isfinite(ours).all()
        assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())

    return assert_near


@pytest.fixture
def tensorflow_directory(tmp_path):
    """A copy of a small original TensorFlow checkpoint."""
    directory = tmp_path / "tensorflow"
    directory.mkdir()
    for path in (FIXTURES / "keras_xlnet_tune").iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    return directory
