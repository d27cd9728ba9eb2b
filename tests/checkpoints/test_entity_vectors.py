import logging
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_plm.checkpoints import read_entity_vectors
from keras_plm.checkpoints.entity_vectors import entity_source

VECTORS = np.array([[0, 0], [1, -2], [0.5, 3]], "float16")
OTHERS = {"relation_vectors": np.ones((4, 2), "float32"), "ids": np.arange(3)}


def written(path, vectors=VECTORS):
    """One file of each kind, and what it is called."""
    np.save(path / "a.npy", vectors)
    np.savez(path / "alone.npz", anything=vectors)
    np.savez(path / "b.npz", entity_vectors=vectors, **OTHERS)
    np.savez_compressed(path / "c.npz", entity_vectors=vectors)
    save_file({"entity_vectors": vectors, **OTHERS}, path / "d.safetensors")
    return [path / name for name in ("a.npy", "alone.npz", "b.npz", "c.npz", "d.safetensors")]


def test_every_kind_of_file_gives_the_same(tmp_path):
    sources = []
    for path in written(tmp_path):
        found = read_entity_vectors(path)
        assert found.dtype == "float32"
        np.testing.assert_array_equal(found, VECTORS)
        sources.append(entity_source(found, path))
    assert [one["file"] for one in sources][:2] == ["a.npy", "alone.npz"]
    assert {one["sha256"] for one in sources} == {entity_source(found)["sha256"]}
    assert entity_source(found)["file"] is None and sources[0]["num_entities"] == 2


def test_word_vectors_begin_at_entity_1(tmp_path):
    (tmp_path / "graph.vec").write_text("Q42 1 -2\nQ1 0.5 3\n")
    np.testing.assert_array_equal(read_entity_vectors(str(tmp_path / "graph.vec")), VECTORS)


def test_bad_tables_are_refused_by_the_name_of_their_file(tmp_path):
    for path in written(tmp_path, VECTORS[::-1]):
        with pytest.raises(ValueError, match=f"Row 0 of .*{path.name} must be zero"):
            read_entity_vectors(path)
    for path in written(tmp_path, VECTORS[0]):
        with pytest.raises(ValueError, match=path.name):
            read_entity_vectors(path)
    for path in written(tmp_path, np.where(VECTORS == 3, np.nan, VECTORS)):
        with pytest.raises(ValueError, match="finite. Received: row 2"):
            read_entity_vectors(path)


def test_files_that_are_damaged_or_hold_something_else(tmp_path):
    np.savez(tmp_path / "two.npz", **OTHERS)
    save_file(OTHERS, tmp_path / "two.safetensors")
    for name in ("two.npz", "two.safetensors"):
        with pytest.raises(ValueError, match="an array 'entity_vectors', or one array alone.*ids"):
            read_entity_vectors(tmp_path / name)
    for path in written(tmp_path):
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(ValueError, match=path.name):
            read_entity_vectors(path)
    np.savez(tmp_path / "pickled.npz", entity_vectors=np.array([{}, None], object))
    with pytest.raises(ValueError, match="pickled.npz"):
        read_entity_vectors(tmp_path / "pickled.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("entity_vectors.txt", "0 0")
    with pytest.raises(ValueError, match="text.npz"):
        read_entity_vectors(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError):
        read_entity_vectors(tmp_path / "nothing.npz")
    with pytest.raises(TypeError, match="`path` must be of the class str or PathLike"):
        read_entity_vectors(VECTORS)


def test_nothing_is_said_of_a_good_file(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="keras_plm"):
        read_entity_vectors(written(tmp_path)[0])
    assert not caplog.records
