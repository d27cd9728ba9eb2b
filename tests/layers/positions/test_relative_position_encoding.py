import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import RelativePositionEncoding


def table(length, memory_length=0, both_directions=False, batch=2, **options):
    """The encoding of a segment by distance as float32 numpy."""
    options = {"hidden_dim": 8, "factorise": False, **options}
    inputs = np.zeros((batch, length, 8), "float32")
    result, rows, keys = RelativePositionEncoding(**options)(
        inputs, memory_length=memory_length, both_directions=both_directions
    )
    assert rows.shape == keys.shape == (0, 0)
    return ops.convert_to_numpy(ops.cast(result, "float32"))


def sinusoids(distances, hidden_dim=8):
    """XLNet's encoding in double precision: all sines, then all cosines."""
    result = np.zeros((len(distances), hidden_dim))
    for row, distance in enumerate(distances):
        for column in range(hidden_dim // 2):
            angle = distance / 10000 ** (2 * column / hidden_dim)
            result[row, column] = np.sin(angle)
            result[row, hidden_dim // 2 + column] = np.cos(angle)
    return result


@pytest.mark.parametrize("length, memory_length", [(1, 0), (5, 0), (5, 3), (2, 7)])
def test_distances_run_from_the_first_key_to_the_last(length, memory_length):
    distances = np.arange(memory_length + length, -length, -1)
    result = table(length, memory_length)
    assert result.shape == (1, 2 * length + memory_length, 8)
    np.testing.assert_allclose(result[0], sinusoids(distances), atol=1e-6)


def test_causal_distances_end_at_zero():
    result = table(4, 3, causal=True)
    np.testing.assert_allclose(result[0], sinusoids(np.arange(7, -1, -1)), atol=1e-6)
    np.testing.assert_allclose(result[0, -1], [0] * 4 + [1] * 4)


def test_clamp_clips_both_sides():
    distances = np.clip(np.arange(8, -5, -1), -2, 2)
    np.testing.assert_allclose(table(5, 3, clamp_length=2)[0], sinusoids(distances), atol=1e-6)


@pytest.mark.parametrize("clamp_length", [None, 2])
def test_backward_is_the_negated_distance(clamp_length):
    distances = np.arange(8, -5, -1)
    if clamp_length:
        distances = np.clip(distances, -clamp_length, clamp_length)
    result = table(5, 3, both_directions=True, clamp_length=clamp_length)
    assert result.shape == (2, 13, 8)
    np.testing.assert_allclose(result[0], sinusoids(distances), atol=1e-6)
    np.testing.assert_allclose(result[1], sinusoids(-distances), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_angles_are_float32_in_half_precision(policy):
    """In bfloat16 the integers above 256 collapse; here only the result is rounded."""
    full = table(600, hidden_dim=16)
    half = table(600, hidden_dim=16, dtype=policy)
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(full, "bfloat16"), "float32"))
    np.testing.assert_array_equal(half, rounded)
    far = half[0, :300]  # the distances 600 .. 301
    assert len(np.unique(far, axis=0)) == 300


def test_dropout_only_in_training():
    layer = RelativePositionEncoding(8, dropout=0.5, factorise=False)
    inputs = np.zeros((1, 50, 8), "float32")
    assert not (ops.convert_to_numpy(layer(inputs)[0])[..., 4:] == 0).all(axis=(0, 2)).any()
    dropped = ops.convert_to_numpy(layer(inputs, training=True)[0])[..., 4:] == 0
    assert 0.3 < dropped.mean() < 0.7


def test_dropout_of_features_serves_both_forms(monkeypatch):
    """The same features are dropped in each direction, at all distances, and the forms agree."""
    length, memory, parts = 6, 3, {}
    for known in (True, False):
        keras.utils.set_random_seed(3)
        layer = RelativePositionEncoding(16, dropout=0.5)
        if not known:  # as where the length is not
            monkeypatch.setattr(layer, "_may_factorise", lambda: False)
        outputs = layer(
            np.zeros((1, length, 16), "float32"),
            memory_length=memory,
            both_directions=True,
            training=True,
        )
        parts[known] = [ops.convert_to_numpy(one).astype("float64") for one in outputs]
    coefficients, rows, keys = parts[True]
    by_distance = parts[False][0]
    assert coefficients.shape[0] == by_distance.shape[0] == 2
    dropped = (coefficients == 0).all(axis=1)  # (2, D)
    assert 0.2 < dropped.mean() < 0.8
    np.testing.assert_array_equal(dropped, (by_distance == 0).all(axis=1))
    half = keys.shape[1] // 2
    for i in range(length):
        for j in range(length + memory):
            row, key = (features[:half] + 1j * features[half:] for features in (rows[i], keys[j]))
            turn = row * key.conj()
            made = np.concatenate([turn.real, turn.imag]) @ coefficients
            np.testing.assert_allclose(made, by_distance[:, length - i + j], atol=1e-5)


@pytest.mark.parametrize("options", [{"factorise": False}, {"causal": True}, {"clamp_length": 3}])
def test_dropout_of_entries_where_nothing_factorises(options):
    layer = RelativePositionEncoding(8, dropout=0.5, **options)
    dropped = ops.convert_to_numpy(layer(np.zeros((1, 50, 8), "float32"), training=True)[0]) == 0
    assert not (dropped.all(axis=1) | ~dropped.any(axis=1)).any()


def test_length_may_be_unknown():
    inputs = keras.Input((None, 8))
    layer = RelativePositionEncoding(8, factorise=False)
    outputs = layer(inputs, memory_length=2)[0]
    assert outputs.shape == (1, None, 8)
    model = keras.Model(inputs, outputs)
    for length in (3, 6):
        result = ops.convert_to_numpy(model(np.zeros((1, length, 8), "float32")))
        np.testing.assert_array_equal(result, table(length, 2))


@pytest.mark.parametrize("both_directions", [False, True])
def test_factorised_it_is_the_same_encoding(both_directions):
    """Row features turned against key features, times coefficients: the sinusoids of i - j."""
    layer = RelativePositionEncoding(16)
    parts = layer(
        np.zeros((1, 24, 16), "float32"), memory_length=9, both_directions=both_directions
    )
    coefficients, rows, keys = (ops.convert_to_numpy(part).astype("float64") for part in parts)
    assert coefficients.shape[0] == (2 if both_directions else 1)
    assert len(rows) == 24 and len(keys) == 33
    half = keys.shape[1] // 2
    for i in (0, 11, 23):
        for j in (0, 9 + i, 32):
            row, key = (features[:half] + 1j * features[half:] for features in (rows[i], keys[j]))
            turn = row * key.conj()  # the angles of 9 + i - j, from the centre of the window
            made = np.concatenate([turn.real, turn.imag]) @ coefficients[-1]
            distance = (9 + i - j) * (-1 if both_directions else 1)
            np.testing.assert_allclose(made, sinusoids([distance], 16)[0], atol=2e-6)


def test_three_outputs_of_a_functional_graph():
    inputs = keras.Input((5, 8))
    layer = RelativePositionEncoding(8)
    model = keras.Model(inputs, layer(inputs, memory_length=3))
    x = np.zeros((1, 5, 8), "float32")
    for one, other in zip(model(x), layer(x, memory_length=3), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.parametrize("options", [{"clamp_length": 4}, {"causal": True}, {"factorise": False}])
def test_what_does_not_factorise(options):
    layer = RelativePositionEncoding(8, **options)
    rows = layer(np.zeros((1, 5, 8), "float32"), training=True)[1]
    assert rows.shape == (0, 0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="even.*hidden_dim=7"):
        RelativePositionEncoding(7)
    with pytest.raises(ValueError, match="clamp_length.*Received: 0"):
        RelativePositionEncoding(8, clamp_length=0)
