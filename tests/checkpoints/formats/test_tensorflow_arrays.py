import numpy as np
import pytest

from keras_plm.checkpoints.formats.tensorflow_arrays import IGNORED, TensorflowArrays

PREFIX = "xlnet_model.ckpt"


def test_names_shapes_and_values(tensorflow_directory):
    arrays = TensorflowArrays(tensorflow_directory, PREFIX)
    assert len(arrays.shapes) == 31
    assert arrays.shapes["model/transformer/word_embedding/lookup_table"] == (31, 6)
    value = arrays.read("model/transformer/seg_embed")
    assert value.shape == (2, 2, 2, 3) and value.dtype == np.float32


def test_the_only_checkpoint_is_taken_by_any_name(tensorflow_directory):
    for path in list(tensorflow_directory.glob(f"{PREFIX}.*")):
        path.rename(tensorflow_directory / path.name.replace(PREFIX, "model.ckpt-1200"))
    arrays = TensorflowArrays(tensorflow_directory, PREFIX)
    assert arrays.path.name == "model.ckpt-1200" and len(arrays.shapes) == 31


def save(directory, variables):
    """A checkpoint as TensorFlow 1 wrote it: variables by name."""
    import tensorflow as tf

    names = list(variables)
    tf.raw_ops.SaveV2(
        prefix=str(directory / PREFIX),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[name]) for name in names],
    )


def test_what_optimizers_leave_is_ignored(tmp_path):
    left = ("a/Adam", "a/Adam_1", "a/adam_m", "a/adam_v", "beta1_power")
    variables = {name: np.ones(2, "float32") for name in ("a", *left)}
    save(tmp_path, {**variables, "global_step": np.array(3)})
    assert TensorflowArrays(tmp_path, PREFIX).shapes == {"a": (2,)}
    assert not IGNORED.fullmatch("model/Adams/kernel")


def test_integers_and_values_that_are_not_finite(tmp_path):
    (tmp_path / "one").mkdir()
    save(tmp_path / "one", {"good": np.ones(2, "float32"), "bad": np.ones(2, "int64")})
    assert TensorflowArrays(tmp_path / "one", PREFIX).no_floats == {"bad": "int64"}
    save(tmp_path, {"good": np.ones(2, "float32"), "bad": np.array([np.nan], "float32")})
    arrays = TensorflowArrays(tmp_path, PREFIX)
    arrays.read("good")
    with pytest.raises(ValueError, match="not finite: 'bad'"):
        arrays.read("bad")


def test_missing_checkpoints(tensorflow_directory, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint xlnet_model.ckpt.index.*\[\]"):
        TensorflowArrays(tmp_path / "empty", PREFIX)
    index = tensorflow_directory / f"{PREFIX}.index"
    for name in ("one.index", "two.index"):
        (tensorflow_directory / name).write_bytes(index.read_bytes())
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r"\['one', 'two'\]"):
        TensorflowArrays(tensorflow_directory, PREFIX)


def test_damaged_checkpoints(tensorflow_directory):
    data = tensorflow_directory / f"{PREFIX}.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="not a usable checkpoint"):
        TensorflowArrays(tensorflow_directory, PREFIX).read("model/transformer/seg_embed")
    changed = bytearray(whole)
    changed[-3] ^= 1  # the checksum does not fit any more
    data.write_bytes(bytes(changed))
    arrays = TensorflowArrays(tensorflow_directory, PREFIX)
    with pytest.raises(ValueError, match="not a usable checkpoint"):
        for name in arrays.shapes:
            arrays.read(name)
    index = tensorflow_directory / f"{PREFIX}.index"
    index.write_bytes(index.read_bytes()[:50])
    with pytest.raises(ValueError, match="not a usable checkpoint"):
        TensorflowArrays(tensorflow_directory, PREFIX)


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
def test_links_that_lead_out(ending, tensorflow_directory, tmp_path):
    path = tensorflow_directory / f"{PREFIX}.{ending}"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="link that leads out"):
        TensorflowArrays(tensorflow_directory, PREFIX)
