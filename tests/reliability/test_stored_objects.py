"""Whatever is stored: damage is refused or changes nothing, and a full disk loses nothing."""

import contextlib
import errno
import os

import pytest
from fuzz_files import FAULTS, Fuzz
from stored_objects import KINDS, same

resource = pytest.importorskip("resource", reason="limits are POSIX's")
CASES = 30  # of each kind; `python tests/reliability/fuzz_files.py 5000` runs more


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage(kind, tmp_path):
    fuzz = Fuzz(kind, tmp_path)
    outcomes = [fuzz.run(number) for number in range(CASES)]
    assert not [text for outcome, text in outcomes if outcome in FAULTS]
    assert "refused" in {outcome for outcome, _ in outcomes}


@contextlib.contextmanager
def largest_file(size):
    """Let the system refuse to write more than so many bytes into a file of this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(kind, tmp_path):
    """The error names the directory, and what was there before is there: without it, nothing."""
    make, read = KINDS[kind]
    whole = tmp_path / "whole"
    make(0)(whole)
    expected, save = read(whole), make(1)
    largest = max(path.stat().st_size for path in whole.rglob("*"))
    for size, name in ((0, "whole"), (largest // 3, "whole"), (largest - 100, "new")):
        with largest_file(size), pytest.raises(OSError, match=name) as caught:
            save(tmp_path / name)
        assert caught.value.errno == errno.EFBIG
        assert os.listdir(tmp_path) == ["whole"]
        assert not [name for name in os.listdir(whole) if name.startswith(".")]
    assert same(read(whole), expected)
    save(whole)
    assert not same(read(whole), expected)
