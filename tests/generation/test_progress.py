import pytest

from keras_plm.generation.progress import with_progress

BATCHES = [("ab", 2), ("c", 1)]


def run(verbose):
    return list(with_progress(BATCHES, 3, verbose, count=lambda batch: batch[1]))


@pytest.mark.parametrize("verbose", ["auto", 0, 1, 2])
def test_a_bar_of_texts(verbose, capsys):
    assert run(verbose) == BATCHES
    said = capsys.readouterr().out
    assert ("3/3" in said) == (verbose != 0) and ("2/3" in said) == (verbose in ("auto", 1))


def test_another_verbose():
    with pytest.raises(ValueError, match="`verbose` must be one of"):
        run("loud")
