import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_plm.heads import MaskedLMHead, SummaryHead
from keras_plm.tasks.preset_files.heads_file import read_heads, write_heads


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def made(seed=0, num_classes=3, **options):
    """A backbone of one embedding, and two heads, of which one is tied to it."""
    embedding = keras.layers.ReversibleEmbedding(7, 4, name="token_embedding")
    tied = MaskedLMHead(embedding, name="tokens")
    own = SummaryHead(num_classes, 4, name="label", **options)
    tied(np.zeros((1, 2, 4), "float32"))
    own(np.zeros((1, 4), "float32"))
    random = np.random.default_rng(seed)
    for variable in [*tied.weights, *own.weights]:
        variable.assign(random.normal(size=variable.shape))
    return embedding, {"tokens": tied, "label": own}


def arrays_of(heads):
    return [to_numpy(variable.value) for head in heads.values() for variable in head.weights]


def test_round_trip(tmp_path):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, heads, backbone)
    keys = {key.rsplit("/", 1)[-1] for key in load_file(path)}
    assert keys == {"bias", "kernel"}  # not the embedding
    assert len(load_file(path)) == 5
    other, again = made(seed=1)
    table = to_numpy(other.weights[0].value)
    assert read_heads(path, again, other) == {}
    for head in ("tokens", "label"):
        for old, new in zip(heads[head].weights, again[head].weights, strict=True):
            if not any(new is weight for weight in other.weights):
                np.testing.assert_array_equal(to_numpy(new.value), to_numpy(old.value))
    np.testing.assert_array_equal(to_numpy(other.weights[0].value), table)


def test_missing_and_misshapen_heads_are_left_alone(tmp_path):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, {"tokens": heads["tokens"]}, backbone)
    other, again = made(seed=1)
    before = [to_numpy(variable.value) for variable in again["label"].weights]
    assert "label/" in read_heads(path, again, other)["label"]
    np.testing.assert_array_equal(to_numpy(again["tokens"].bias), to_numpy(heads["tokens"].bias))
    write_heads(path, heads, backbone)
    other, wider = made(seed=1, num_classes=5)
    before = [to_numpy(variable.value) for variable in wider["label"].weights]
    assert "has the shape" in read_heads(path, wider, other)["label"]
    after = [to_numpy(variable.value) for variable in wider["label"].weights]
    for options in (dict(use_bias=False), dict(summarise=False)):  # all that it has is there
        other, less = made(seed=1, **options)
        assert "this head has not" in read_heads(path, less, other)["label"]
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-4])


def huge_header(path):
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])


def no_tensors(path):
    path.write_bytes(b"")


def not_finite(path):
    arrays = load_file(path)
    arrays["tokens/bias"][2] = np.nan
    save_file(arrays, path)


def integers(path):
    save_file({key: value.astype("int32") for key, value in load_file(path).items()}, path)


def pickled(path):
    import pickle

    path.write_bytes(pickle.dumps({"tokens/bias": [0.0]}))


@pytest.mark.parametrize(
    "damage", [truncated, huge_header, no_tensors, not_finite, integers, pickled]
)
def test_damaged_files(damage, tmp_path):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, heads, backbone)
    damage(path)
    other, again = made(seed=1)
    before = arrays_of(again)
    with pytest.raises(ValueError, match="heads.safetensors is not a usable file of heads"):
        read_heads(path, again, other)
    assert all(np.array_equal(a, b) for a, b in zip(before, arrays_of(again)))


def test_missing_file(tmp_path):
    backbone, heads = made()
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors"):
        read_heads(tmp_path / "nowhere.safetensors", heads, backbone)


def test_half_precision_is_saved_as_float32(tmp_path):
    path = tmp_path / "heads.safetensors"
    embedding = keras.layers.ReversibleEmbedding(7, 4, dtype="bfloat16")
    head = MaskedLMHead(embedding, name="tokens")
    head(ops.zeros((1, 2, 4), "bfloat16"))
    head.bias.assign(np.arange(7))
    write_heads(path, {"tokens": head}, embedding)
    (value,) = load_file(path).values()
    assert value.dtype == np.float32 and value.tolist() == list(range(7))
    assert read_heads(path, {"tokens": head}, embedding) == {}


def test_scalars(tmp_path):
    """A weight without axes stays one."""

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

        def call(self, x):
            return x * self.scale

    path = tmp_path / "heads.safetensors"
    embedding, head = keras.layers.Embedding(2, 2), Scale(name="scale")
    embedding.build(None)
    head(np.ones(2, "float32"))
    head.scale.assign(3.0)
    write_heads(path, {"scale": head}, embedding)
    head.scale.assign(0.0)
    assert read_heads(path, {"scale": head}, embedding) == {} and float(head.scale) == 3.0


# === Digests ===


def test_a_changed_bit_is_refused(tmp_path, caplog):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, heads, backbone)
    data = bytearray(path.read_bytes())
    data[-1] ^= 64  # of the array that is written last
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not a usable file of heads: .* not what was saved, by"):
        read_heads(path, heads, backbone)
    assert not caplog.records


def test_digests_of_other_arrays_are_refused(tmp_path):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, heads, backbone)
    path.write_bytes(path.read_bytes().replace(b'"tokens/bias":', b'"tokens/bjas":'))
    with pytest.raises(ValueError, match="its digests are those of other arrays"):
        read_heads(path, heads, backbone)


def test_a_file_without_digests_is_read_and_said(tmp_path, caplog):
    path = tmp_path / "heads.safetensors"
    backbone, heads = made()
    write_heads(path, heads, backbone)
    save_file(load_file(path), path)
    assert read_heads(path, heads, backbone) == {}
    (record,) = caplog.records
    assert record.getMessage() == (f"{path} has no digests, as it was saved before there were any.")
