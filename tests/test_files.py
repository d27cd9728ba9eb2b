"""files.py: directories that are whole or absent, and refusal of crafted files."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap

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
    with pytest.raises(type(error), check=lambda caught: caught is error):
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

    monkeypatch.setattr(files, "_exchange", lambda *_: False)
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


def test_replacing_files_leaves_the_others(tmp_path):
    path = tmp_path / "new" / "result"
    with files.replacing_files(path) as directory:
        assert not path.exists()
        (directory / "a").write_text("one")
    (path / "other").write_text("stays")
    number = path.stat().st_ino
    with files.replacing_files(path) as directory:
        (directory / "a").write_text("two")
        (directory / "b").write_text("new")
        assert (path / "a").read_text() == "one" and not (path / "b").exists()
    found = {one.name: one.read_text() for one in path.iterdir()}
    assert found == {"a": "two", "b": "new", "other": "stays"} and path.stat().st_ino == number
    for error in (OSError(28, "No space left"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            with files.replacing_files(path) as directory:
                (directory / "a").write_text("half")
                raise error
    assert {one.name: one.read_text() for one in path.iterdir()} == found
    assert hidden_entries(path.parent) == []


def test_replacing_files_last(tmp_path, monkeypatch):
    """Of a killed run the old last file is there, and of what it left nothing stays."""
    path = tmp_path / "result"
    with files.replacing_files(path) as directory:
        (directory / "a").write_text("old")
    replace, moved = type(path).replace, []

    def killed(self, target):
        moved.append(self.name)
        if self.name == "a":
            raise Killed
        return replace(self, target)

    class Killed(BaseException):
        pass

    monkeypatch.setattr(type(path), "replace", killed)
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)  # it had no time to
    with pytest.raises(Killed):
        with files.replacing_files(path, last="a") as directory:
            for name in "cab":
                (directory / name).write_text("new")
    monkeypatch.undo()
    assert moved == ["b", "c", "a"]
    assert (path / "a").read_text() == "old" and len(hidden_entries(path)) == 1
    with files.replacing_files(path) as directory:
        assert hidden_entries(path) == [directory.name]
    assert hidden_entries(path) == []


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
    write(path, "new")
    assert (path / "marker.json").read_text() == "new"
    assert hidden_entries(tmp_path) == [keep.name]


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_a_run_that_is_alive_is_left_alone(tmp_path):
    """Another writer, in this process or not, clears nothing away; both end whole."""
    path = tmp_path / "result"
    with files.atomic_directory(path, "marker.json") as first:
        files.recover_directory(path)
        write(path, "second")
        assert first.is_dir() and hidden_entries(tmp_path) == [first.name]
        assert (path / "marker.json").read_text() == "second"
        (first / "marker.json").write_text("first")
    assert (path / "marker.json").read_text() == "first" and hidden_entries(tmp_path) == []


OLD_NAME = ".result.replaced-0a1b2c3d-1-0123abcd"  # of a process 1, which lives, on another host


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
@pytest.mark.parametrize("name", [".result.replaced-0123456789abcdef", OLD_NAME])
def test_a_run_killed_between_its_renames_is_put_right(tmp_path, name):
    """Whatever host and process it was: nobody has its lock."""
    old = tmp_path / name
    old.mkdir()
    (old / "marker.json").write_text("old")
    assert files.recover_directory(tmp_path / "result") is True
    assert (tmp_path / "result" / "marker.json").read_text() == "old"
    assert hidden_entries(tmp_path) == []


KILLED_BETWEEN = """
import os, pathlib, signal, sys
from keras_plm import files

rename = pathlib.Path.rename

def killed(self, target):
    if ".partial-" in self.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

pathlib.Path.rename = killed
files._exchange = lambda *_: False  # as where the system cannot
with files.atomic_directory(sys.argv[1], "marker.json") as directory:
    (directory / "marker.json").write_text("new")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_killed_between_its_renames(tmp_path):
    path = tmp_path / "result"
    write(path, "old")
    root = os.path.dirname(os.path.dirname(files.__file__))
    process = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, str(path)], cwd=root)
    assert process.returncode == -signal.SIGKILL and not path.exists()
    assert len(hidden_entries(tmp_path)) == 2
    files.recover_directory(path)
    assert (path / "marker.json").read_text() == "old" and hidden_entries(tmp_path) == []


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs an exchange")
def test_there_is_no_time_without_a_directory(tmp_path, monkeypatch):
    """So that a kill at any time leaves one that readers find, who never write."""
    path, renamed = tmp_path / "result", []
    write(path, "old")
    monkeypatch.setattr(type(path), "rename", lambda *names: renamed.append(names))
    write(path, "new")
    assert not renamed and (path / "marker.json").read_text() == "new"
    assert (path / "below" / "data").read_text() == "new" and hidden_entries(tmp_path) == []


def test_where_directories_cannot_change_places(tmp_path, monkeypatch):
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())
    for text in ("old", "new"):
        write(tmp_path / "result", text)
        assert (tmp_path / "result" / "marker.json").read_text() == text
    assert hidden_entries(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_what_was_half_removed_is_never_put_back(tmp_path, monkeypatch):
    """A run that dies while it removes the old directory leaves none that could be taken for it."""
    path = tmp_path / "result"
    write(path, "old")
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)  # it died before
    write(path, "new")
    monkeypatch.undo()
    assert len(hidden_entries(tmp_path)) == 1
    (path / "marker.json").unlink()
    (path / "below" / "data").unlink()
    (path / "below").rmdir()
    path.rmdir()
    assert files.recover_directory(path) is False
    assert not path.exists() and hidden_entries(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_of_two_that_were_replaced_the_newer_goes_back(tmp_path):
    for number, time in [(1, 200), (2, 300), (3, 100)]:
        old = tmp_path / f".result.replaced-{number:016x}"
        old.mkdir()
        (old / "marker.json").write_text(str(time))
        os.utime(old, (time, time))
    files.recover_directory(tmp_path / "result")
    assert (tmp_path / "result" / "marker.json").read_text() == "300"
    assert hidden_entries(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_without_locks_the_old_one_goes_back_and_nothing_else(tmp_path, monkeypatch):
    """As on some network file systems: who cannot be asked may be alive."""

    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    partial = tmp_path / ".result.partial-0123456789abcdef"
    partial.mkdir()
    (tmp_path / ".result.replaced-0123456789abcdef").mkdir()
    files.recover_directory(tmp_path / "result")
    assert (tmp_path / "result").is_dir() and hidden_entries(tmp_path) == [partial.name]
    write(tmp_path / "result", "one")
    write(tmp_path / "result", "two")
    assert (tmp_path / "result" / "marker.json").read_text() == "two"
    assert hidden_entries(tmp_path) == [partial.name]


LOOKS = """
import pathlib, sys
from keras_plm import files

path, found = pathlib.Path(sys.argv[1]), 0
print("looking", flush=True)
while not path.with_name("stop").exists():
    assert files.recover_directory(path)
    found += 1
print(found)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_a_reader_beside_a_writer_always_finds_one(tmp_path):
    path = tmp_path / "result"
    write(path, "0")
    root = os.path.dirname(os.path.dirname(files.__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", LOOKS, str(path)], stdout=subprocess.PIPE, cwd=root
    )
    process.stdout.readline()
    for number in range(100):
        write(path, str(number))
    (tmp_path / "stop").touch()
    found, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and int(found) > 0
    assert (path / "marker.json").read_text() == "99" and hidden_entries(tmp_path) == []


class PanicException(BaseException):
    """What a panic in Rust becomes, which is no Exception."""

    __module__ = "pyo3_runtime"


class SafetensorError(Exception):
    pass


NAMED = "dir/a.bin: 3 is odd"
FULL = "Error while serializing: I/O error: No space left on device (os error 28)"
RAISED = [  # what is raised inside, and the class and text that come out
    (ValueError("3 is odd"), ValueError, NAMED),
    (ValueError("dir/a.bin: 3 is odd"), ValueError, NAMED),
    (ValueError("dir/b.bin has 3"), ValueError, "dir/b.bin has 3"),
    (ValueError("subdir/b.bin has 3"), ValueError, "dir/a.bin: subdir/b.bin has 3"),
    (TypeError("missing num_layers"), ValueError, "dir/a.bin: TypeError: missing num_layers"),
    (KeyError("x"), ValueError, "dir/a.bin: KeyError: 'x'"),
    (RecursionError("deep"), ValueError, "dir/a.bin: RecursionError: deep"),
    (PanicException("gave up"), ValueError, "dir/a.bin: PanicException: gave up"),
    (
        OSError("file signature not found"),
        ValueError,
        "dir/a.bin: OSError: file signature not found",
    ),
    (
        OSError(22, "Invalid argument"),
        ValueError,
        "dir/a.bin: OSError: [Errno 22] Invalid argument",
    ),
    (OSError(5, "I/O error"), OSError, "[Errno 5] I/O error: 'dir/a.bin'"),
    (OSError(5, "I/O error", "x"), OSError, "[Errno 5] I/O error: 'x'"),
    (SafetensorError(FULL), OSError, "[Errno 28] No space left on device: 'dir/a.bin'"),
    (FileNotFoundError("dir has no a.bin"), FileNotFoundError, "dir has no a.bin"),
    (MemoryError("8 GB"), MemoryError, "dir/a.bin: 8 GB"),
    (KeyboardInterrupt(), KeyboardInterrupt, ""),
]


@pytest.mark.parametrize("error, kind, text", RAISED)
def test_reading_names_the_file(error, kind, text):
    with pytest.raises(BaseException) as caught:
        with files.reading("dir/a.bin"):
            raise error
    assert type(caught.value) is kind and str(caught.value) == text


def test_reading_says_what_it_is_not():
    advice = "Save it again, or take another copy."
    message = f"a.json is not valid JSON: KeyError: 'x'. {advice}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        with files.reading("a.json", "valid JSON"):
            raise KeyError("x")


def test_writing_makes_an_error_of_the_system_of_what_libraries_made_of_it():
    hdf5 = RuntimeError("file write failed: time = Sun, errno = 28, error message = 'No space'")
    for error in (SafetensorError(FULL), hdf5, OSError(28, "No space left on device")):
        with pytest.raises(OSError, match="No space left on device: 'dir'") as caught:
            with files.writing("dir"):
                raise error
        assert caught.value.errno == 28
    for error in (ValueError("not finite"), RuntimeError("something else"), KeyError("x")):
        with pytest.raises(type(error), check=lambda caught: caught is error):
            with files.writing("dir"):
                raise error


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
    for depth, deep in ((99, False), (100, True), (900, True)):
        path.write_text('{"a": ' + "[" * depth + "]" * depth + "}")
        if deep:
            with pytest.raises(ValueError, match="config.json .*nested more than 100 deep"):
                files.read_json(path)
        else:
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
    os.mkfifo(directory / "pipe")  # nobody will ever write into it
    for name in ("missing", "pipe"):
        with pytest.raises(FileNotFoundError, match=f"no file '{name}'"):
            files.file_inside(directory, name)
    (directory / "circle").symlink_to("circle")
    with pytest.raises((ValueError, FileNotFoundError), match="preset.*circle"):
        files.file_inside(directory, "circle")


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
    for old, new in [(b"(10,)", b"(10(,"), (b"'<i8'", b"'<ix'"), (b"(10,)", b"(-9,)")]:
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match="array.npy is not a complete .npy array"):
            files.load_array(path)
    header = whole[:128].replace(b"(10,), }" + b" " * 20, b"(%d,), }" % 10**21)
    path.write_bytes(header[:128].ljust(127) + b"\n" + whole[128:])
    with pytest.raises(ValueError, match="array.npy is not a complete .npy array"):
        files.load_array(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="array.npy"):
        files.load_array(path)
    with pytest.raises(FileNotFoundError, match="missing.npy"):
        files.load_array(tmp_path / "missing.npy")


def test_write_json(tmp_path):
    files.write_json(tmp_path / "value.json", {"b": [1, None], "a": "ä"})
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == {"b": [1, None], "a": "ä"}


def test_digest():
    """Of names, data types, shapes, bytes and the mark; not of the order or the memory layout."""
    arrays = {"a": np.arange(6, dtype="int32").reshape(2, 3), "b": np.array(1.5), "c": np.zeros(0)}
    same = {"c": arrays["c"], "b": arrays["b"], "a": np.asfortranarray(arrays["a"])}
    assert files.digest(same) == files.digest(arrays)
    others = [
        {**arrays, "a": arrays["a"].reshape(3, 2)},
        {**arrays, "a": arrays["a"].view("uint32")},
        {**arrays, "a": arrays["a"] + np.eye(2, 3, dtype="int32")},
        {"d": arrays["a"], **{name: arrays[name] for name in "bc"}},
        {name: arrays[name] for name in "ab"},
    ]
    found = {files.digest(one) for one in [arrays, *others]} | {files.digest(arrays, "step 1")}
    assert len(found) == 7
    expected = hashlib.sha256(b"m\0a\0|u1\0(2,)\0\x01\x02").hexdigest()
    assert files.digest({"a": np.array([1, 2], "uint8")}, "m") == expected


def test_has_entry(tmp_path):
    (tmp_path / "there").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert [files.has_entry(tmp_path, name) for name in ("there", "broken", "other")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("why", ["another system", "another file system"])
def test_where_there_are_no_locks(why, tmp_path, monkeypatch):
    """Windows has none, and some network file systems refuse them: saving goes on without."""
    if why == "another system":
        monkeypatch.setattr(files, "fcntl", None)
    else:

        def refuse(*_):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(files.fcntl, "flock", refuse)
    target = tmp_path / "saved"
    for number in (1, 2):
        with files.atomic_directory(target, "mark.json") as directory:
            files.write_json(os.path.join(directory, "mark.json"), {"number": number})
        assert files.read_json(target / "mark.json") == {"number": number}
    assert files.recover_directory(target)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
