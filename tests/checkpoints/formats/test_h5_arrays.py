import h5py
import ml_dtypes
import numpy as np
import pytest

from keras_plm import files
from keras_plm.checkpoints.formats.h5_arrays import H5Arrays, describe_weights_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.arange(6.0, dtype="float32").reshape(2, 3)
        file["layers/dense/vars/1"] = np.array([1.5, -2.0], ml_dtypes.bfloat16).view("V2")
        file["quantized"] = np.zeros(2, "int8")
        file["infinite"] = np.array([np.inf], "float64")
    return path


def test_arrays_are_read_as_float32(path):
    arrays = H5Arrays(path)
    assert arrays.shapes == {
        "layers/dense/vars/0": (2, 3),
        "layers/dense/vars/1": (2,),
        "quantized": (2,),
        "infinite": (1,),
    }
    np.testing.assert_array_equal(arrays.read("layers/dense/vars/0"), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(arrays.read("layers/dense/vars/1"), [1.5, -2.0])
    assert arrays.read("layers/dense/vars/1").dtype == "float32"


def test_what_is_no_weight_is_refused(path):
    with pytest.raises(ValueError, match="not quantized. Received: int8 in 'quantized'"):
        H5Arrays(path).read("quantized")
    with pytest.raises(ValueError, match="not finite: 'infinite'"):
        H5Arrays(path).read("infinite")


def test_files_are_described_before_they_are_read(path):
    with h5py.File(path, "a") as file:
        file["away"] = h5py.ExternalLink("/etc/other.h5", "/x")
    with pytest.raises(ValueError, match="'away' is a link to another place"):
        describe_weights_file(path)


def test_too_many_arrays_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_ARRAYS", 3)
    for count in (14, 15):  # four objects, groups among them, for each array
        path = tmp_path / f"{count}.weights.h5"
        with h5py.File(path, "w") as file:
            for number in range(count):
                file[str(number)] = np.zeros(1)
        if count == 14:  # and the group that they are in
            assert len(describe_weights_file(path)) == 14
            continue
        with pytest.raises(ValueError, match="15.weights.h5.*must hold at most 3 arrays"):
            describe_weights_file(path)
