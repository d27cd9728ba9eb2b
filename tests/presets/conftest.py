"""Quick compilation: on JAX most tests compile many small operations once."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def every_compilation_is_quick(quick_compilation):
    """As `quick_compilation` says."""
