"""files.py: directories that are whole or absent, and refusal of crafted files."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest

from keras_plm import files


def hidden_entries(directory):
    return sorted(entry.name for entry in directory.iterdir() if entry.name.startswith("."))


def write(path, text):
    with files.atomic_directory(path, "marker.json") as directory:
        (directory / "marker.json").write_text(text)
        (directory / "below").mkdir()
        (directory / "below" / "data").write_text(text)


def test_atomic_directory_appears_whole_and_is_replaced(tmp_path):
    path = tmp_path / "new" / "result"
    write(path, "one")
    assert (path / "below" / "data").read_text() == "one"
    write(path, "two")
    assert (path / "below" / "data").read_text() == "two"
    assert hidden_entries(path.parent) == []


def test_atomic_directory_may_fill_an_empty_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "one")
    assert (tmp_path / "empty" / "marker.json").read_text() == "one"


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt(), KeyError()])
def test_atomic_directory_leaves_the_old_one_on_any_exception(tmp_path, error):
    path = tmp_path / "result"
    write(path, "old")
    with pytest.raises(type(error)):
        with files.atomic_directory(path, "marker.json") as directory:
            (directory / "marker.json").write_text("new")
            raise error
    assert (path / "marker.json").read_text() == "old"
    assert hidden_entries(tmp_path) == []


def test_atomic_directory_survives_a_failing_rename(tmp_path, monkeypatch):
    path = tmp_path / "result"
    write(path, "old")
    rename = type(path).rename

    def failing(self, target):
        if ".partial-" in self.name:
            raise OSError(28, "No space left")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", failing)
    with pytest.raises(OSError, match="No space"):
        write(path, "new")
    assert (path / "marker.json").read_text() == "old"
    assert hidden_entries(tmp_path) == []


def test_atomic_directory_never_replaces_what_is_not_ours(tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter").write_text("text")
    with pytest.raises(ValueError, match="holds no marker.json"):
        write(foreign, "one")
    (tmp_path / "file").write_text("text")
    with pytest.raises(ValueError, match="must be a directory"):
        write(tmp_path / "file", "one")
    assert (foreign / "chapter").read_text() == "text"


def start_and_kill(path):
    """Runs a process that is killed while it writes."""
    code = f"""
    import time
    from keras_plm import files
    with files.atomic_directory({str(path)!r}, "marker.json") as directory:
        (directory / "marker.json").write_text("half")
        print("writing", flush=True)
        time.sleep(60)
    """
    root = os.path.dirname(os.path.dirname(files.__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, cwd=root
    )
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_leaves_no_half_written_directory(tmp_path):
    path = tmp_path / "result"
    start_and_kill(path)
    assert not path.exists() and len(hidden_entries(tmp_path)) == 1
    write(path, "old")
    assert hidden_entries(tmp_path) == []
    start_and_kill(path)
    assert (path / "marker.json").read_text() == "old"
    keep = tmp_path / ".result.partial-of-somebody-else"
    keep.mkdir()
    alive = tmp_path / f".result.partial-{files.HOST}-{os.getpid()}-0123abcd"
    alive.mkdir()
    write(path, "new")
    assert (path / "marker.json").read_text() == "new"
    assert hidden_entries(tmp_path) == sorted([keep.name, alive.name])


@pytest.mark.skipif(os.name != "posix", reason="needs process numbers")
def test_a_run_killed_between_its_renames_is_put_right(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    old = tmp_path / f".result.replaced-{files.HOST}-{process.pid}-0123abcd"
    old.mkdir()
    (old / "marker.json").write_text("old")
    files.recover_directory(tmp_path / "result")
    assert (tmp_path / "result" / "marker.json").read_text() == "old"
    assert hidden_entries(tmp_path) == []


def test_read_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": [1, 2.5, null]}')
    assert files.read_json(path) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError, match="too large"):
        files.read_json(path, max_bytes=10)
    for content in [b"[1]", b'{"a": NaN}', b'{"a": ', b'{"a": "\xff"}', b"[" * 100_000, b""]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="config.json"):
            files.read_json(path)


def test_file_inside(tmp_path):
    directory = tmp_path / "preset"
    directory.mkdir()
    (directory / "data").write_text("x")
    (tmp_path / "secret").write_text("x")
    (directory / "out").symlink_to(tmp_path / "secret")
    (directory / "alias").symlink_to(directory / "data")
    assert files.file_inside(directory, "data") == (directory / "data").resolve()
    assert files.file_inside(directory, "alias") == (directory / "data").resolve()
    for name in ["../secret", str(tmp_path / "secret"), "a/../../secret", "", "C:\\x", "..\\x"]:
        with pytest.raises(ValueError, match="relative name"):
            files.file_inside(directory, name)
    with pytest.raises(ValueError, match="leads out"):
        files.file_inside(directory, "out")
    with pytest.raises(FileNotFoundError, match="no file 'missing'"):
        files.file_inside(directory, "missing")


def test_check_config():
    config = {"class": "keras_plm>XLNetBackbone", "num_layers": 2, "dropout": 0.1, "x": [None]}
    files.check_config({**config, "dtype": {"name": "mixed_float16"}, "seed": 4_000_000_000})
    bad = [
        {"vocabulary": "/etc/passwd"},
        {"vocabulary": "..\\x"},
        {"deep": [{"source": "https://host/x"}]},
        {"home": "~root"},
        {"disk": "C:x"},
        {"num_layers": 1001},
        {"anything": 10**9},
        {"dropout": float("nan")},
        {"value": object()},
        {1: 2},
    ]
    for extra in bad:
        with pytest.raises(ValueError, match="Received"):
            files.check_config({**config, **extra})
    files.check_config({"anything": 10**9}, limits={"anything": 10**9})


def test_load_array(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.arange(10, dtype="int64"))
    array = files.load_array(path, dtype=("int32", "int64"), ndim=1)
    assert isinstance(array, np.memmap) and array.tolist() == list(range(10))
    with pytest.raises(ValueError, match="data type .*uint16"):
        files.load_array(path, dtype="uint16")
    with pytest.raises(ValueError, match="2 axes"):
        files.load_array(path, ndim=2)
    whole = path.read_bytes()
    for content in [whole[:-1], whole + b"x", whole[:20], b"", b"PK\x03\x04", b"no array at all"]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="array.npy"):
            files.load_array(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="array.npy"):
        files.load_array(path)
    with pytest.raises(FileNotFoundError):
        files.load_array(tmp_path / "missing.npy")


def test_check_weights_file_reports_everything_at_once(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 3), "float32")
        file["layers/dense/vars/1"] = np.ones(3, "float32")
        file["vars/0"] = np.array(5, "int64")
        file.create_group("layers/input/vars")
    found = files.describe_weights_file(path)
    assert found["vars/0"] == ((), np.dtype("int64"))
    shapes = {name: shape for name, (shape, _) in found.items()}
    files.check_weights_file(path, shapes)
    other = {"layers/dense/vars/0": (4, 5), "layers/dense/vars/1": (3,), "layers/new/vars/0": (7,)}
    with pytest.raises(ValueError) as error:
        files.check_weights_file(path, other)
    message = str(error.value)
    assert "1 missing: layers/new/vars/0" in message and "1 unexpected: vars/0" in message
    assert "layers/dense/vars/0 (expected (4, 5), received (4, 3))" in message


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
def test_crafted_weights_files_are_refused(tmp_path, kind):
    path = tmp_path / "model.weights.h5"
    craft(path, kind)
    start = time.perf_counter()
    with pytest.raises(ValueError, match="not a usable weights file: .(good|bad|group/root)."):
        files.check_weights_file(path, {"good": (4,), "bad": (4,)})
    assert time.perf_counter() - start < 5


def test_truncated_weights_files_are_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.arange(5000.0)
    whole = path.read_bytes()
    for length in [0, 7, 100, 800, 2000, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="model.weights.h5"):
            files.describe_weights_file(path)
    path.write_bytes(b"not HDF5 at all" * 100)
    with pytest.raises(ValueError, match="model.weights.h5"):
        files.describe_weights_file(path)
