import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import XLNetBackbone

LENGTH, WIDTH = 6, 8
# Context 0, 2, 5; predicted in the order 4, 1, 3.
ORDER = np.array([0, 2, 0, 3, 1, 0], "int32")
TARGETS = np.array([4, 1, 3], "int32")
IDS = np.random.default_rng(0).permutation(29)[:LENGTH].astype("int32") + 1

pytestmark = pytest.mark.usefixtures("quick_compilation")


def made(**options):
    """A backbone with weights so large that scores matter."""
    return XLNetBackbone(
        **{
            "vocabulary_size": 40,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": WIDTH,
            "intermediate_dim": 16,
            "dropout": 0.1,
            "initializer_range": 0.4,
            **options,
        }
    )


@functools.cache
def shared():
    """The backbone of tests that leave it as it is."""
    return made()


def encode(backbone, given, compiled={}):
    """The outputs as numpy, by name. Compiled on JAX, where many small operations are slow."""
    run = backbone.encode
    if keras.backend.backend() == "jax":
        import jax

        run = compiled.setdefault(id(backbone), (jax.jit(run), backbone))[0]
    return {
        name: [ops.convert_to_numpy(tensor) for tensor in value]
        if isinstance(value, list)
        else ops.convert_to_numpy(value)
        for name, value in run(given).items()
    }


def features(**changes):
    """One example with two streams, as a batch of one."""
    plain = {
        "token_ids": IDS[None],
        "segment_ids": np.array([[0, 0, 0, 1, 1, 2]], "int32"),
        "order": ORDER[None],
        "target_positions": TARGETS[None],
    }
    changed = {**plain, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def random_memory(length, batch=1):
    values = np.random.default_rng(1).normal(size=(batch, 2, length, WIDTH))
    return values.astype("float32")


def reach(backbone, gradient, **changes):
    """On which tokens each row depends: whether the gradient is not exactly 0.

    One copy of the example per row, each with token ids of its own, so that one gradient of the
    embedding table tells them apart. Returns (T, T) for content rows, (P, T) for query rows.
    """
    table = backbone.token_embedding.embeddings
    slots = len(TARGETS)
    rows = LENGTH + slots
    batch = {name: np.repeat(value, rows, axis=0) for name, value in features(**changes).items()}
    batch["token_ids"] = np.arange(rows * LENGTH, dtype="int32").reshape(rows, LENGTH)
    weights = np.random.default_rng(2).normal(size=(rows, rows, WIDTH)).astype("float32")
    weights *= np.eye(rows, dtype="float32")[:, :, None]  # copy n asks for row n

    def total(embeddings):
        with keras.StatelessScope(state_mapping=[(table, embeddings)]):
            encoded = backbone.encode(batch)
        content = ops.sum(encoded["sequence_output"] * weights[:, :LENGTH])
        return content + ops.sum(encoded["target_output"] * weights[:, LENGTH:])

    jit = keras.backend.backend() == "jax"  # many small operations are slow there
    result = gradient(total, ops.convert_to_numpy(table), jit=jit)
    reached = np.abs(result.reshape(rows, LENGTH, WIDTH)).max(axis=-1) != 0
    return reached[:LENGTH], reached[LENGTH:]


@pytest.mark.parametrize("memory_length, causal", [(0, False), (3, False), (3, True)])
def test_what_a_row_depends_on(memory_length, causal, gradient):
    """Its own token and later targets reach a prediction with a gradient of exactly 0."""
    backbone = made(causal=causal, vocabulary_size=54)
    changes = {"memory": random_memory(memory_length)} if memory_length else {}
    content, query = reach(backbone, gradient, **changes)
    not_right = np.arange(LENGTH) <= np.arange(LENGTH)[:, None] if causal else True
    expected = (ORDER[None, :] <= ORDER[:, None]) & not_right
    np.testing.assert_array_equal(content, expected | np.eye(LENGTH, dtype=bool))
    expected = (ORDER[None, :] < ORDER[:, None]) & not_right
    np.testing.assert_array_equal(query, expected[TARGETS])


def test_padding_reaches_nobody_but_itself(gradient):
    padding_mask = np.array([[True, True, False, True, True, True]])
    content, query = reach(made(vocabulary_size=54), gradient, padding_mask=padding_mask)
    expected = (ORDER[None, :] <= ORDER[:, None]) & padding_mask
    np.testing.assert_array_equal(content, expected | np.eye(LENGTH, dtype=bool))
    expected = (ORDER[None, :] < ORDER[:, None]) & padding_mask
    np.testing.assert_array_equal(query, expected[TARGETS])


def test_a_target_does_not_depend_on_what_comes_later_in_the_order():
    """Teacher forcing is step by step: hiding the tokens still to be predicted changes nothing."""
    backbone = shared()
    whole = encode(backbone, features())["target_output"]
    for slot, target in enumerate(TARGETS):
        known = np.where(ORDER < ORDER[target], IDS, 0)[None]
        step = encode(backbone, features(token_ids=known))["target_output"]
        np.testing.assert_allclose(step[:, slot], whole[:, slot], atol=1e-6)


def test_memory_gets_no_gradient_and_changes_the_output(gradient):
    backbone = made(memory_length=LENGTH)
    table = backbone.token_embedding.embeddings
    before, after = np.arange(0, 6)[None], np.arange(6, 12)[None]

    def total(embeddings):
        with keras.StatelessScope(state_mapping=[(table, embeddings)]):
            memory = backbone.encode({"token_ids": before})["memory"]
            encoded = backbone.encode(features(token_ids=after, memory=memory))
            return ops.sum(encoded["target_output"] ** 3) + ops.sum(encoded["memory"])

    jit = keras.backend.backend() == "jax"
    result = np.abs(gradient(total, ops.convert_to_numpy(table), jit=jit)).max(axis=-1)
    assert not result[:6].any() and result[6:12].any()

    memory = encode(backbone, {"token_ids": before})["memory"]
    other = encode(backbone, {"token_ids": before + 20})["memory"]
    one = encode(backbone, features(memory=memory))
    two = encode(backbone, features(memory=other))
    for name in ("target_output", "sequence_output"):
        assert np.abs(one[name] - two[name]).max() > 0.01


def test_side_and_amount_of_padding_change_nothing():
    backbone = shared()
    plain = encode(backbone, features())
    lefts, rows = range(4), []
    for left in lefts:  # three tokens of padding: on the right, on both sides, on the left
        width = ((0, 0), (left, 3 - left))
        row = {
            name: np.pad(value, width, constant_values=4 if name == "segment_ids" else 0)
            for name, value in features(target_positions=None).items()
        }
        row["target_positions"] = TARGETS[None] + left
        row["padding_mask"] = np.pad(np.ones((1, LENGTH), bool), width)
        rows.append(row)
    padded = encode(backbone, {name: np.concatenate([row[name] for row in rows]) for name in row})
    assert np.isfinite(padded["sequence_output"]).all()
    for left in lefts:
        targets, content = padded["target_output"][left], padded["sequence_output"][left]
        np.testing.assert_allclose(targets, plain["target_output"][0], atol=1e-5)
        real = content[left : left + LENGTH]
        np.testing.assert_allclose(real, plain["sequence_output"][0], atol=1e-5)


def test_batch_mates_change_nothing():
    backbone = shared()
    generator = np.random.default_rng(3)
    batch = {
        "token_ids": generator.integers(0, 40, (4, LENGTH)),
        "padding_mask": generator.random((4, LENGTH)) < 0.7,
        "segment_ids": generator.integers(0, 3, (4, LENGTH)),
        "order": generator.integers(0, 5, (4, LENGTH)),
        "target_positions": generator.integers(0, LENGTH, (4, 2)),
        "backward": np.array([False, True, True, False]),
        "memory": random_memory(3, batch=4),
    }
    together = encode(backbone, batch)
    for row in range(4):
        alone = encode(backbone, {name: v[row : row + 1] for name, v in batch.items()})
        for name in ("sequence_output", "target_output"):
            np.testing.assert_allclose(alone[name][0], together[name][row], atol=1e-5)


def test_only_equality_of_segments_matters():
    segments = [[0, 0, 0, 1, 1, 2], [2, 2, 2, 0, 0, 1], [0, 0, 0, 0, 0, 0]]
    batch = {name: np.repeat(value, 3, axis=0) for name, value in features().items()}
    encoded = encode(shared(), {**batch, "segment_ids": np.array(segments)})
    for name in ("sequence_output", "target_output"):
        plain, renamed, one = encoded[name]
        np.testing.assert_array_equal(renamed, plain)
        assert np.abs(one - plain).max() > 0.01


def test_missing_segments_are_all_zero():
    backbone, zeros = shared(), np.zeros((1, LENGTH), "int32")
    explicit = encode(backbone, {"token_ids": IDS[None], "segment_ids": zeros})
    missing = encode(backbone, {"token_ids": IDS[None]})
    np.testing.assert_allclose(explicit["sequence_output"], missing["sequence_output"], atol=1e-6)


def test_segment_of_memory_is_zero():
    """With memory the labels count: 0 is the segment of what came before."""
    segments = [[0, 0, 0, 1, 1, 2], [1, 1, 1, 0, 0, 2]]
    batch = {"token_ids": IDS[None].repeat(2, 0), "segment_ids": np.array(segments)}
    encoded = encode(shared(), {**batch, "memory": random_memory(2).repeat(2, 0)})
    plain, swapped = encoded["sequence_output"]
    assert np.abs(swapped - plain).max() > 0.01


def test_causal_in_one_pass_or_in_segments_with_memory():
    backbone = made(causal=True, memory_length=12, clamp_length=9)
    token_ids = np.random.default_rng(4).integers(0, 40, (2, 12))
    targets = np.array([[1, 3, 0]] * 2)
    memory = {}
    whole = encode(backbone, {"token_ids": token_ids, "target_positions": targets + 8})
    for start in (0, 4, 8):
        part = {"token_ids": token_ids[:, start : start + 4], "target_positions": targets, **memory}
        encoded = encode(backbone, part)
        expected = whole["sequence_output"][:, start : start + 4]
        np.testing.assert_allclose(encoded["sequence_output"], expected, atol=1e-5)
        memory = {"memory": encoded["memory"]}
    np.testing.assert_allclose(encoded["target_output"], whole["target_output"], atol=1e-5)


def test_content_stream_is_the_same_with_and_without_query_rows():
    backbone, memory = made(memory_length=4), random_memory(3)
    both = encode(backbone, features(memory=memory))
    content = encode(backbone, features(memory=memory, target_positions=None))
    assert "target_output" not in content
    for name in ("sequence_output", "memory"):
        np.testing.assert_allclose(content[name], both[name], atol=1e-6)
    np.testing.assert_allclose(content["hidden_states"], both["hidden_states"], atol=1e-6)


def test_query_rows_do_not_know_of_each_other():
    backbone = shared()
    plain = encode(backbone, features())["target_output"]
    other_slots = np.array([[0, 3, 4, 0, 1, 0]])  # the same targets, and three unused slots
    encoded = encode(backbone, features(target_positions=other_slots))["target_output"]
    np.testing.assert_allclose(encoded[:, [2, 4, 1]], plain, atol=1e-6)


def test_backward_rows_read_the_mirrored_text():
    """A reversed row with the sign turned is the row itself, in reverse."""
    rows = features()
    mirrored = {name: value[:, ::-1] for name, value in rows.items()}
    mirrored["target_positions"] = LENGTH - 1 - TARGETS[None]
    batch = {name: np.concatenate([rows[name], mirrored[name], mirrored[name]]) for name in rows}
    encoded = encode(shared(), {**batch, "backward": np.array([False, True, False])})
    plain, turned, unturned = encoded["sequence_output"]
    np.testing.assert_allclose(turned[::-1], plain, atol=1e-5)
    assert np.abs(unturned[::-1] - plain).max() > 0.01
    plain, turned, unturned = encoded["target_output"]
    np.testing.assert_allclose(turned, plain, atol=1e-5)
    assert np.abs(unturned - plain).max() > 0.01


@pytest.mark.parametrize(
    "memory_length, reuse_length, given",
    [(1, 0, 0), (4, 2, 0), (4, 2, 5), (20, 9, 1)],
)
def test_new_memory(memory_length, reuse_length, given):
    """The last M of the old memory and the leading inputs of each block; it may start and grow."""
    backbone = made(memory_length=memory_length, reuse_length=reuse_length)
    old = random_memory(given)
    encoded = encode(backbone, features(memory=old if given else None))
    assert len(encoded["hidden_states"]) == 3
    for layer in range(2):
        new = encoded["hidden_states"][layer][:, : reuse_length or None]
        expected = np.concatenate([old[:, layer], new], axis=1)[:, -memory_length:]
        np.testing.assert_array_equal(encoded["memory"][:, layer], expected)


def test_without_a_memory_length_none_is_handed_on():
    assert "memory" not in encode(shared(), {"token_ids": IDS[None], "memory": random_memory(3)})


def test_positions_that_do_not_factorise_are_the_same_positions():
    backbone = made(factorise_positions=False)
    assert not backbone.position_encoding.factorise
    assert not backbone.get_config()["factorise_positions"]
    backbone.set_weights(shared().get_weights())
    memory = random_memory(3)
    found, expected = (encode(one, features(memory=memory)) for one in (backbone, shared()))
    for name in ("sequence_output", "target_output"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


BAD_FEATURES = {
    "unknown": (features(fresh=np.array([True])), "XLNetBackbone takes.*'fresh'"),
    "no tokens": (features(token_ids=None), "needs `token_ids`"),
    "targets without order": (features(order=None), "`target_positions` needs `order`"),
    "memory of other layers": (features(memory=random_memory(3)[:, :1]), r"\(1, 1, 3, 8\)"),
    "memory of another width": (features(memory=random_memory(3)[..., :4]), "`memory`.*D = 8"),
}


@pytest.mark.parametrize("given, message", BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_bad_features(given, message):
    with pytest.raises(ValueError, match=message):
        shared().encode(given)


BAD_ARGUMENTS = [
    ({"hidden_dim": 9, "num_heads": 3}, "even.*hidden_dim=9"),
    ({"hidden_dim": 10, "num_heads": 4}, "multiple.*num_heads=4"),
    ({"memory_length": -1}, "memory_length=-1"),
    ({"reuse_length": -1}, "reuse_length=-1"),
    ({"clamp_length": 0}, "clamp_length"),
    ({"num_heads": 0}, "num_heads=0"),
    ({"num_layers": 0}, "num_layers=0"),
    ({"vocabulary_size": 0}, "vocabulary_size=0"),
    ({"intermediate_dim": -4}, "intermediate_dim=-4"),
    ({"hidden_dim": 8.0}, "hidden_dim=8.0"),
    ({"num_layers": "2"}, "num_layers='2'"),
    ({"activation": "no_such_activation"}, "no_such_activation"),
    ({"activation": {"class_name": "ReLU", "config": {}, "module": "keras.layers"}}, "activation"),
    ({"dropout": 1.5}, "1.5"),
]


@pytest.mark.parametrize("options, message", BAD_ARGUMENTS)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)
