"""weights_file.py: crafted, damaged and foreign weights files are refused unread."""

import re

import h5py
import keras
import numpy as np
import pytest

from keras_plm.backbones.preset_files import weights_file
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights


def test_check_weights_file_reports_everything_at_once(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 3), "float32")
        file["layers/dense/vars/1"] = np.ones(3, "float32")
        file["vars/0"] = np.array(5, "int64")
        file.create_group("layers/input/vars")
    found = weights_file.describe_weights_file(path)
    assert found["vars/0"] == ((), np.dtype("int64"))
    weights_file.check_weights_file(path, found)
    single, double = np.dtype("float32"), np.dtype("float64")
    other = {
        "layers/dense/vars/0": ((4, 5), single),
        "layers/dense/vars/1": ((3,), double),
        "layers/new/vars/0": ((7,), single),
    }
    message = (
        "1 missing: layers/new/vars/0; 1 unexpected: vars/0; 1 of another shape: "
        "layers/dense/vars/0 (expected (4, 5), received (4, 3)); 1 of another data type: "
        "layers/dense/vars/1 (expected float64, received float32). Use"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        weights_file.check_weights_file(path, other)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int8", "bool"])
def test_another_data_type_is_refused(dtype, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        kernel = file["layers/dense/vars/0"][()]
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = kernel.astype(dtype)
    before = model.get_weights()
    message = rf"vars/0 \(expected float32, received {dtype}\)"
    with pytest.raises(ValueError, match=message):
        weights_file.read_weights(model, path)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    if dtype.startswith("float"):  # in a model that was asked for in another precision
        weights_file.read_weights(model, path, converts_floats=True)
        np.testing.assert_allclose(model.get_weights()[0], kernel, atol=1e-3)
    else:
        with pytest.raises(ValueError, match=f"received {dtype}"):
            weights_file.read_weights(model, path, converts_floats=True)


def craft(path, kind):
    """A weights file with one thing in it that must be refused."""
    with h5py.File(path.parent / "outside.h5", "w") as file:
        file["secret"] = np.ones(4)
    with h5py.File(path, "w") as file:
        file["good"] = np.ones(4)
        if kind == "soft link":
            file["bad"] = h5py.SoftLink("/good")
        elif kind == "external link":
            file["bad"] = h5py.ExternalLink("outside.h5", "/secret")
        elif kind == "second hard link":
            file["bad"] = file["good"]
        elif kind == "cycle":
            file["group/root"] = file["/"]
        elif kind == "external storage":
            outside = str(path.parent / "outside.h5")
            file.create_dataset("bad", (4,), "f4", external=[(outside, 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource("outside.h5", "secret", (4,))
            file.create_virtual_dataset("bad", layout)
        elif kind == "gzip":
            file.create_dataset("bad", data=np.zeros(10_000), compression="gzip")
        elif kind == "bomb":
            file.create_dataset("bad", (1 << 28,), "f4", compression="gzip")
        elif kind == "declared without data":
            file.create_dataset("bad", (1 << 28,), "f4")
        elif kind == "strings":
            file.create_dataset("bad", data=["a", "b"])
        elif kind == "null space":
            file["bad"] = h5py.Empty("f4")
        elif kind == "named type":
            file["bad"] = np.dtype("f4")


@pytest.mark.parametrize(
    "kind",
    "soft link;external link;second hard link;cycle;external storage;virtual;gzip;bomb;"
    "declared without data;strings;null space;named type".split(";"),
)
def test_crafted_weights_files_are_refused_unread(tmp_path, kind, monkeypatch):
    path = tmp_path / "model.weights.h5"
    craft(path, kind)
    for reading in ("__getitem__", "__array__", "read_direct", "astype", "__iter__"):
        monkeypatch.setattr(h5py.Dataset, reading, lambda *_, **__: pytest.fail("an array is read"))
    with pytest.raises(ValueError, match="not a usable weights file: .(good|bad|group/root)."):
        weights_file.check_weights_file(path, {"good": (4,), "bad": (4,)})


def test_truncated_weights_files_are_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.arange(5000.0)
    whole = path.read_bytes()
    for length in [0, 7, 100, 800, 2000, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="model.weights.h5"):
            weights_file.describe_weights_file(path)
    path.write_bytes(b"not HDF5 at all" * 100)
    with pytest.raises(ValueError, match="model.weights.h5"):
        weights_file.describe_weights_file(path)


def test_give_weights():
    layer, weights, read = keras.layers.Dense(2, name="dense"), DeferredWeights(), []
    with weights.building():
        layer.build((None, 3))
    places = {"dense/bias": ((2,), lambda: read.append(1) or np.array([1.0, 2.0]))}
    weights_file.give_weights(layer, places, weights)
    for path, shape in (("dense/bias", (3,)), ("dense/scale", (2,))):
        with pytest.raises(ValueError, match=f"'{path}' of shape .* has no place in a Dense"):
            weights_file.give_weights(layer, {path: (shape, None)}, weights)
    assert not read
    weights.fill()
    assert keras.ops.convert_to_numpy(layer.bias).tolist() == [1.0, 2.0]


# === Digests ===


def dense(number=0, dtype="float32"):
    """A small model of the weights 1, 2, 3, ..., and the name of its kernel in files."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype=dtype)])
    for variable in model.weights:
        variable.assign(np.arange(np.prod(variable.shape)).reshape(variable.shape) + number + 1.0)
    return model, "layers/dense/vars/0"


def test_a_file_with_digests_is_one_of_keras(tmp_path, caplog):
    """Of the same arrays by the same names, and Keras reads it."""
    for dtype in ("float32", "bfloat16"):
        model, _ = dense(dtype=dtype)
        model.save_weights(tmp_path / "keras.weights.h5")
        weights_file.write_weights(model, tmp_path / "ours.weights.h5")
        described = weights_file.describe_weights_file
        assert described(tmp_path / "ours.weights.h5") == described(tmp_path / "keras.weights.h5")
        by_keras, by_us = dense(5, dtype)[0], dense(5, dtype)[0]
        by_keras.load_weights(tmp_path / "ours.weights.h5")
        weights_file.read_weights(by_us, tmp_path / "ours.weights.h5")
        for other in (by_keras, by_us):
            for expected, found in zip(model.get_weights(), other.get_weights(), strict=True):
                np.testing.assert_array_equal(found, expected)
        assert not caplog.records
        weights_file.read_weights(by_us, tmp_path / "keras.weights.h5")
        assert [one.getMessage() for one in caplog.records] == [
            f"{tmp_path}/keras.weights.h5 has no digests, as it was saved before there were any."
        ]
        caplog.clear()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_changed_bit_is_refused(dtype, tmp_path):
    path = tmp_path / "model.weights.h5"
    model, name = dense(dtype=dtype)
    weights_file.write_weights(model, path)
    with h5py.File(path) as file:
        offset = file[name].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"model.weights.h5 is damaged: '{name}' is not what was"):
        weights_file.read_weights(model, path)


def test_arrays_that_changed_places_are_refused(tmp_path):
    """Each with its own digest."""
    path = tmp_path / "model.weights.h5"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(2)])
    weights_file.write_weights(model, path)
    with h5py.File(path, "r+") as file:
        file.move("layers/dense/vars/0", "kept")
        file.move("layers/dense_1/vars/0", "layers/dense/vars/0")
        file.move("kept", "layers/dense_1/vars/0")
    with pytest.raises(ValueError, match="is not what was saved, by its SHA-256"):
        weights_file.read_weights(model, path)


def test_an_array_without_its_digest_is_said(tmp_path, caplog):
    path = tmp_path / "model.weights.h5"
    model, name = dense()
    weights_file.write_weights(model, path)
    with h5py.File(path, "r+") as file:
        del file[name].attrs["sha256"]
        file[name][...] = 7.0
    weights_file.read_weights(model, path)
    assert f"has arrays without a digest: ['{name}']" in caplog.text
    assert (model.get_weights()[0] == 7).all()
