"""The tables of vectors of entities that models were given: in no checkpoint, found by digest."""

import contextlib
import contextvars
import logging
import os

from keras_plm.checkpoints.entity_vectors import (
    check_entity_vectors,
    entity_source,
    read_entity_vectors,
)
from keras_plm.checks import is_integer

logger = logging.getLogger("keras_plm")

# Tables that are at hand where a config names one: dict of a digest to its array.
_AT_HAND = contextvars.ContextVar("entity vectors", default={})


def entity_vectors_at_hand(vectors):
    """Let `keras.saving.load_model` find the table of a saved `KnowledgeBackbone`.

    Presets take it by themselves: `from_preset(directory, entity_vectors=...)`.

    Args:
        vectors: str, path, or float array (N + 1, E). The table; see `KnowledgeBackbone`.

    Returns:
        Context manager, inside of which a config that names this table, by its digest, finds it.

    Raises:
        ValueError: if it is no such table.
    """
    vectors, path = _read(vectors)
    return at_hand(entity_source(vectors, path)["sha256"], vectors)


@contextlib.contextmanager
def at_hand(digest, vectors):
    """Put a table where configs look for it.

    Args:
        digest: str. What configs say of it.
        vectors: float32 array (N + 1, E).
    """
    before = _AT_HAND.set({**_AT_HAND.get(), digest: vectors})
    try:
        yield
    finally:
        _AT_HAND.reset(before)


def _read(vectors):
    """A table as an array, and the file that it comes from, if it does."""
    if isinstance(vectors, (str, os.PathLike)):
        if not os.path.isfile(vectors):
            raise FileNotFoundError(
                "`entity_vectors` must be an array, or a file that is there. Received: "
                f"entity_vectors={os.fspath(vectors)!r:.200}."
            )
        return read_entity_vectors(vectors), vectors
    return check_entity_vectors(vectors), None


def find_table(vectors, source, width):
    """Find the table of a model.

    Args:
        vectors: str, path, float array (N + 1, E), or None. What was given.
        source: dict or None. What the config says.
        width: int. E.

    Returns:
        Pair of what a config shall say, and a float32 array (N + 1, E), or None: there is none.

    Raises:
        ValueError: if it is no such table, or another one than the config says.
    """
    if vectors is None:
        vectors = None if source is None else _AT_HAND.get().get(source["sha256"])
        if vectors is None and source is not None:
            logger.warning(
                "KnowledgeBackbone: the vectors of its %d entities are not at hand: texts are read "
                "without entities. They were in %s; give `entity_vectors=`, a file with them.",
                *(source["num_entities"], source["file"] or "an array"),
            )
        return source, vectors
    vectors, path = _read(vectors)
    if vectors.shape[1] != width:
        raise ValueError(
            f"`entity_vectors` must have the width entity_dim={width}. Received: shape "
            f"{vectors.shape}."
        )
    found = entity_source(vectors, path)
    if source is not None and found["sha256"] != source["sha256"]:
        raise ValueError(
            "`entity_vectors` are not those that the model was saved with. Expected: "
            f"{source}. Received: {found}. Give the same table, or entity_source=None as well, if "
            "you mean to use another one."
        )
    return source or found, vectors


def checked_source(source):
    """Return what a config says of a table, or refuse what is no such thing.

    Args:
        source: dict of `file`, `num_entities` and `sha256`, or None.

    Raises:
        ValueError: naming it.
    """
    if source is None:
        return None
    good = isinstance(source, dict) and source.keys() == {"file", "num_entities", "sha256"}
    good = good and isinstance(source["file"], (str, type(None)))
    good = good and is_integer(source["num_entities"]) and source["num_entities"] >= 0
    if not good or not isinstance(source["sha256"], str):
        raise ValueError(
            "`entity_source` must be None, or a dict of `file`, `num_entities` and `sha256`, as a "
            f"saved config has it. Received: entity_source={source!r:.200}."
        )
    return dict(source)
