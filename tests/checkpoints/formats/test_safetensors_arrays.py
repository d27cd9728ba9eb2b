import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_plm import files
from keras_plm.checkpoints.formats.safetensors_arrays import SafetensorsArrays

ARRAYS = {
    "core.a": np.arange(6, dtype="float32").reshape(2, 3),
    "core.b": np.ones(4, "float32"),
    "head": np.zeros((1, 2), "float32"),
}


def write(directory, arrays=ARRAYS, name="model.safetensors"):
    save_file(arrays, directory / name)
    return directory / name


def write_shards(directory):
    """Two shards and their index; returns the index."""
    first = {"core.a": ARRAYS["core.a"]}
    rest = {name: array for name, array in ARRAYS.items() if name not in first}
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, arrays in zip(names, (first, rest)):
        write(directory, arrays, name)
    weight_map = {name: names[name != "core.a"] for name in ARRAYS}
    index = {"metadata": {"total_size": 48}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return index


@pytest.mark.parametrize("writer", [write, write_shards])
def test_one_file_or_shards(writer, tmp_path):
    writer(tmp_path)
    arrays = SafetensorsArrays(tmp_path)
    assert arrays.shapes == {name: array.shape for name, array in ARRAYS.items()}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays.read(name), array)


def test_old_names_copies_and_what_is_ignored(tmp_path):
    arrays = {"core.gamma": ARRAYS["core.b"], "core.ids": np.arange(3), "copy": ARRAYS["core.a"]}
    write(tmp_path, arrays)
    assert SafetensorsArrays(tmp_path).no_floats == {"core.ids": "I64"}
    write(tmp_path, {"a": np.ones(2, "float32"), "b": ARRAYS["core.a"], "ids": np.arange(3)})
    assert SafetensorsArrays(tmp_path, "core.").no_floats == {"core.ids": "I64"}
    write(tmp_path, arrays)
    arrays = SafetensorsArrays(
        tmp_path, "core.", {"gamma": "weight"}, "ids", lambda names: {"core.a": sorted(names)[0]}
    )
    assert arrays.shapes == {"core.weight": (4,), "copy": (2, 3), "core.a": (2, 3)}
    assert arrays.no_floats == {}
    np.testing.assert_array_equal(arrays.read("core.a"), ARRAYS["core.a"])
    write(tmp_path, {"core.gamma": ARRAYS["core.b"], "core.weight": ARRAYS["core.b"]})
    with pytest.raises(ValueError, match="has 'core.*' and 'core.*'"):
        SafetensorsArrays(tmp_path, old_names={"gamma": "weight"})


def test_a_prefix_is_put_in_front_where_no_name_has_it(tmp_path):
    write(tmp_path)
    assert set(SafetensorsArrays(tmp_path, "core.").shapes) == set(ARRAYS)
    arrays = SafetensorsArrays(tmp_path, "body.")
    assert set(arrays.shapes) == {f"body.{name}" for name in ARRAYS}
    np.testing.assert_array_equal(arrays.read("body.core.a"), ARRAYS["core.a"])


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "float32", "float64"])
def test_any_floats_become_float32(dtype, tmp_path):
    write(tmp_path, {"a": np.array([0.5, -2.0], dtype)})
    value = SafetensorsArrays(tmp_path).read("a")
    assert value.dtype == np.float32 and value.tolist() == [0.5, -2.0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value, tmp_path):
    write(tmp_path, {"good": np.ones(2, "float32"), "bad": np.array([1.0, value], "float32")})
    arrays = SafetensorsArrays(tmp_path)
    arrays.read("good")
    with pytest.raises(ValueError, match="not finite: 'bad'"):
        arrays.read("bad")


def header(path, text):
    data = text.encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(64))


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "text": lambda path: path.write_text("weights" * 100),
    "a header beyond the end": lambda p: p.write_bytes((2**40).to_bytes(8, "little") + bytes(99)),
    "a huge header": lambda path: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]),
    "no JSON": lambda path: header(path, "{'a': 1"),
    "offsets beyond the end": lambda path: header(
        path, '{"a":{"dtype":"F32","shape":[999999],"data_offsets":[0,3999996]}}'
    ),
    "offsets that overlap": lambda path: header(
        path,
        '{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},'
        '"b":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}',
    ),
    "another size than its shape": lambda path: header(
        path, '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,64]}}'
    ),
    "an unknown type": lambda path: header(
        path, '{"a":{"dtype":"OBJECT","shape":[16],"data_offsets":[0,64]}}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files(damage, tmp_path):
    damage(write(tmp_path))
    with pytest.raises(ValueError, match="model.safetensors is not a usable safetensors file"):
        SafetensorsArrays(tmp_path)


@pytest.mark.parametrize(
    "place, error, message",
    [
        ("../outside.safetensors", ValueError, "relative name"),
        ("/etc/outside.safetensors", ValueError, "relative name"),
        ("link.safetensors", ValueError, "link that leads out"),
        ("nowhere.safetensors", FileNotFoundError, "no file 'nowhere.safetensors'"),
        ("pytorch_model.bin", ValueError, "weight_map"),
        (3, ValueError, "weight_map"),
        ("model-00001-of-00002.safetensors", ValueError, r"disagree about \['head'\]"),
    ],
)
def test_bad_shards(place, error, message, tmp_path):
    directory = tmp_path / "model"
    directory.mkdir()
    index = write_shards(directory)
    write(tmp_path, {"head": ARRAYS["head"]}, "outside.safetensors")
    (directory / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    index["weight_map"]["head"] = place
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(error, match=message):
        SafetensorsArrays(directory)


def test_arrays_that_the_index_does_not_name(tmp_path):
    index = write_shards(tmp_path)
    del index["weight_map"]["head"]
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"disagree about \['head'\]"):
        SafetensorsArrays(tmp_path)


def test_an_array_in_two_shards(tmp_path):
    index = write_shards(tmp_path)
    write(tmp_path, ARRAYS, index["weight_map"]["head"])
    with pytest.raises(ValueError, match="'core.a' is in model-00001-of-00002.safetensors"):
        SafetensorsArrays(tmp_path)


@pytest.mark.parametrize("weight_map", [None, [], {}])
def test_an_index_without_names(weight_map, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    if weight_map == {}:
        assert SafetensorsArrays(tmp_path).shapes == {}
        return
    with pytest.raises(ValueError, match="no `weight_map`"):
        SafetensorsArrays(tmp_path)


def test_pickles_are_never_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file 'model.safetensors'") as error:
        SafetensorsArrays(tmp_path)
    assert "torch" not in str(error.value)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(FileNotFoundError, match="never opened") as error:
        SafetensorsArrays(tmp_path)
    message = str(error.value)
    assert "weights_only=True" in message
    assert "save_file({name: value.clone().contiguous()" in message


def test_a_link_that_leads_out(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").symlink_to(write(tmp_path))
    with pytest.raises(ValueError, match="link that leads out"):
        SafetensorsArrays(tmp_path / "model")


def test_too_many_arrays_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_ARRAYS", 3)
    arrays = {str(number): np.zeros(0, "float32") for number in range(4)}
    for count in (3, 4):
        save_file(dict(list(arrays.items())[:count]), tmp_path / "model.safetensors")
        if count == 3:
            assert len(SafetensorsArrays(tmp_path).shapes) == 3
            continue
        with pytest.raises(ValueError, match="safetensors file: it must hold at most 3 arrays"):
            SafetensorsArrays(tmp_path)
