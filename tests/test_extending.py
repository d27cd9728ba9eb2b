"""Runs docs/extending.md from top to bottom, as a reader would."""

import pytest

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_the_page_runs(run_page):
    names = run_page("extending", paths=["novels.txt"])
    assert len(names["texts"]) == 1 and len(names["scores"]) == 1
