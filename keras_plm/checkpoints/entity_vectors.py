"""Files of the vectors of entities, such as a knowledge graph's, and what they must be."""

import os
import zipfile

import numpy as np
from safetensors import safe_open

from keras_plm import files
from keras_plm.checkpoints.word_vectors import read_vectors
from keras_plm.checks import check_kind, check_rectangular

NAME = "entity_vectors"


def read_entity_vectors(path):
    """Read a table of the vectors of entities. Nothing is unpickled.

    Row 0 is of no entity, and zero; entity n has row n. Files of word vectors, which know no such
    row, get it: their first entity is number 1.

    Args:
        path: str or path. A `.npy` file; a `.npz` or `.safetensors` file, of which it is the array
            "entity_vectors", or the only one; or a file that `keras_plm.data.read_vectors` reads.

    Returns:
        float32 array (N + 1, E).

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if `path` is no path.
        ValueError: if it is damaged, has no such array, or as `check_entity_vectors`.

    Example:
    ```python
    import numpy as np
    from keras_plm.checkpoints import read_entity_vectors

    np.savez("graph.npz", entity_vectors=[[0, 0], [0.5, 1]], relation_vectors=[[2, 2]])
    assert read_entity_vectors("graph.npz").tolist() == [[0, 0], [0.5, 1]]
    ```
    """
    name = os.fspath(check_kind("path", path, (str, os.PathLike)))
    if name.endswith(".npy"):
        vectors = files.load_array(path, ndim=2)
    elif name.endswith(".npz"):
        with files.reading(path, "a complete .npz file"), zipfile.ZipFile(path) as archive:
            vectors = _of_npz(path, archive)
    elif name.endswith(".safetensors"):
        with files.reading(path, "a usable safetensors file"):
            with safe_open(path, framework="numpy") as file:
                vectors = file.get_tensor(_the_array(path, list(file.keys())))
    else:
        vectors = read_vectors(path)[1]
        vectors = np.concatenate([np.zeros_like(vectors[:1]), vectors])
    return check_entity_vectors(vectors, str(path))


def check_entity_vectors(vectors, what="`entity_vectors`"):
    """Return vectors of entities as a float32 array, or refuse what are none.

    Args:
        vectors: array of numbers (N + 1, E), of which row 0 is zero.
        what: str. What they are, for the message.

    Returns:
        float32 array of the same shape.

    Raises:
        ValueError: if they are no table of numbers, row 0 is not zero, or a number is not finite.
    """
    vectors = check_rectangular(what, vectors)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or 0 in vectors.shape:
        raise ValueError(
            f"{what} must be an array of numbers of the shape (N + 1, E). Received: shape "
            f"{vectors.shape}, dtype {vectors.dtype}."
        )
    with np.errstate(over="ignore"):
        vectors = np.asarray(vectors, "float32")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(f"{what} must be finite. Received: row {int(np.argmin(finite))} is not.")
    if vectors[0].any():
        raise ValueError(
            f"Row 0 of {what} must be zero: it is of no entity, and entity n has row n. Put a row "
            f"of zeros before the vectors. Received: row 0 begins {vectors[0][:4].tolist()}."
        )
    return vectors


def entity_source(vectors, path=None):
    """Say which table a model was given, as its config keeps it.

    Args:
        vectors: float32 array (N + 1, E).
        path: str, path or None. The file that it was read from.

    Returns:
        dict of `file`, a name without directories, or None; `num_entities`, N; and `sha256`, the
        digest of the numbers, whatever file they are in.
    """
    return {
        "file": None if path is None else os.path.basename(os.fspath(path)),
        "num_entities": len(vectors) - 1,
        "sha256": files.digest({NAME: vectors}),
    }


def _of_npz(path, archive):
    """The array of a `.npz` file."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    with archive.open(_the_array(path, names) + ".npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _the_array(path, names):
    """The name of the array that is the table."""
    if NAME in names:
        return NAME
    if len(names) == 1:
        return names[0]
    raise ValueError(
        f"{path} must have an array {NAME!r}, or one array alone. Received: {sorted(names)[:20]}."
    )
