"""Released pairs of ELMo that are damaged or contradict themselves; what they hold is tested with
the backbone."""

import json
import pathlib
import shutil

import h5py
import numpy as np
import pytest

from keras_plm.checkpoints import open_checkpoint
from keras_plm.checkpoints.families.elmo import read_options

FIXTURE = pathlib.Path(__file__).parents[2] / "fixtures" / "elmo_bilm_tf"


@pytest.fixture
def directory(tmp_path):
    for name in ("options.json", "lm_weights.hdf5"):
        shutil.copy(FIXTURE / name, tmp_path / f"elmo_{name}")
    return tmp_path


def changed(directory, **changes):
    """Write options in which some values of a part are others."""
    path = directory / "elmo_options.json"
    options = json.loads(path.read_text())
    for part, values in changes.items():
        options[part] = {**options[part], **values} if isinstance(values, dict) else values
    path.write_text(json.dumps(options))


def places(directory, strict=True):
    checkpoint = open_checkpoint(directory)
    return checkpoint.backbone_places(checkpoint.arguments, strict)


def test_what_it_gives(directory):
    found = places(directory)
    shape, read = found["backward_lstm_1/gates/bias"]
    with h5py.File(FIXTURE / "lm_weights.hdf5") as file:
        theirs = file["RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell/B"][()]
    i, j, f, o = np.split(theirs, 4)
    assert shape == (256,)
    np.testing.assert_array_equal(read(), np.concatenate([i, f + 1, j, o]))
    values = dict(open_checkpoint(directory).backbone_weights(open_checkpoint(directory).arguments))
    assert values.keys() == found.keys()
    assert all(array.shape == found[path][0] for path, array in values.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"lstm": {"dim": 32}},
        {"lstm": {"n_layers": 3}},
        {"lstm": {"n_layers": 1}},
        {"char_cnn": {"n_highway": 1}},
        {"char_cnn": {"filters": [[1, 4], [2, 8], [3, 16], [4, 32], [5, 65]]}},
    ],
    ids=str,
)
def test_options_that_contradict_the_weights(directory, changes):
    changed(directory, **changes)
    with pytest.raises(ValueError, match="missing|unexpected|of another shape"):
        places(directory, strict=False)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"char_cnn": {"n_characters": 261}}, "write 262"),
        ({"char_cnn": {"max_characters_per_token": 20}}, "max_characters_per_token"),
        ({"char_cnn": {"filters": [[1, "4"]]}}, "pairs of sizes"),
        ({"char_cnn": {"activation": "gelu"}}, "'activation' must be one of"),
        ({"char_cnn": {"embedding": 3}}, "positive integers"),
        ({"char_cnn": 3}, "`lstm` and `char_cnn`"),
        ({"lstm": {"n_layers": 0}}, "positive integers"),
        ({"lstm": {"cell_clip": "3"}}, "'cell_clip' must be a number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_that_are_none(directory, changes, message):
    changed(directory, **changes)
    with pytest.raises(ValueError, match=message):
        open_checkpoint(directory)


def test_defaults_of_bilm():
    options = json.loads((FIXTURE / "options.json").read_text())
    for name in ("cell_clip", "proj_clip", "use_skip_connections"):
        del options["lstm"][name]
    found = read_options({**options, "n_tokens_vocab": 7})
    assert found["cell_clip"] is found["projection_clip"] is None
    assert found["skip_connections"] is False and found["vocabulary_size"] == 7


def test_files_that_are_missing(directory):
    (directory / "elmo_lm_weights.hdf5").rename(directory / "other.hdf5")
    with pytest.raises(FileNotFoundError, match=r"one file `\*weights.hdf5`"):
        places(directory)
    (directory / "elmo_options.json").unlink()
    assert open_checkpoint(directory) is None


def test_weights_that_are_damaged(directory):
    path = directory / "elmo_lm_weights.hdf5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="usable weights file"):
        places(directory)
