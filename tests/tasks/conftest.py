"""Examples that are not what the objective made."""

import pytest

from keras_plm import data


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(request):
    """As `quick_compilation` says, but where processes are compared."""
    if not request.module.__name__.endswith("test_checkpoint"):
        request.getfixturevalue("quick_compilation")


class _Changed:
    """Batches of `examples`, each changed by a function of (step, batch)."""

    def __init__(self, batches, change):
        self.batches, self.change = batches, change

    def __getattr__(self, name):
        return getattr(self.__dict__["batches"], name)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, step):
        return self.change(step, self.batches[step])


@pytest.fixture(scope="session")
def change_batches():
    """A function that changes what `Examples` makes."""

    def change_batches(dataset, change):
        return data.Examples(_Changed(dataset._batches, change), dataset.start)

    return change_batches
