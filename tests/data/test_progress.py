import sys

import pytest

from keras_plm.data import progress
from keras_plm.data.progress import with_progress

PARTS = [["ä", "b"], ["c" * 1997]]  # 3 and 1,997 bytes


def run(verbose):
    return list(with_progress(PARTS, "Eating", 2_100, list, verbose))


@pytest.mark.parametrize("verbose, in_a_terminal", [(0, ""), ("auto", "\r"), (1, "\r"), (2, "\r")])
def test_what_is_said(verbose, in_a_terminal, capsys, monkeypatch):
    assert run(verbose) == PARTS
    last = "Eating: 2.1 kB of 2.1 kB, 0 s\n"
    assert capsys.readouterr().out == ("" if verbose in (0, "auto") else last)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(verbose)
    assert capsys.readouterr().out == in_a_terminal + last if verbose else not in_a_terminal


def test_the_line_is_written_anew(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(progress.time, "monotonic", iter(range(100)).__next__)
    run(1)
    first, second, last = capsys.readouterr().out.split("\r")[1:]
    assert first.startswith("Eating: 0.0 kB of 2.1 kB, ")
    assert second.startswith("Eating: 2.0 kB of 2.1 kB, ")
    assert last.startswith("Eating: 2.1 kB of 2.1 kB, ") and last.endswith("s\n")


def test_another_verbose():
    with pytest.raises(ValueError, match="`verbose` must be one of"):
        run("loud")
