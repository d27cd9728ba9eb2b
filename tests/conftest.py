"""What every test file gets: a quiet backend, and random numbers and memory of its own."""

import gc
import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_report_header():
    return f"keras backend: {os.environ.get('KERAS_BACKEND', 'tensorflow (the default)')}"


@pytest.fixture(autouse=True)
def fixed_seed():
    """Start every test from the same seeds, so that no test depends on the ones before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def freed_memory():
    """Forget the graphs of a test file when it is done."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()
