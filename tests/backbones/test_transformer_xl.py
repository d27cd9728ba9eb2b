import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data
from keras_plm.backbones import TransformerXLBackbone
from keras_plm.layers import CarriedState, UpdateCarriedState
from keras_plm.objectives import CausalModeling
from keras_plm.tasks import Pretrainer

VOCABULARY, WIDTH, LENGTH = 60, 8, 6
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCABULARY, (3, 3 * LENGTH)).astype("int32")

pytestmark = pytest.mark.usefixtures("quick_compilation")


@functools.cache
def made(**options):
    """A backbone with weights so large that scores matter, the same for all options."""
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=WIDTH, intermediate_dim=16)
    options = {"dropout": 0.0, **options}
    backbone = TransformerXLBackbone(VOCABULARY, **{**sizes, **options})
    rng = np.random.default_rng(1)
    for weight in backbone.weights:
        weight.assign((weight.name == "gamma") + rng.normal(0, 0.5, weight.shape))
    return backbone


def encode(backbone, token_ids, state=None, compiled={}, **features):
    """The outputs as numpy. Compiled on JAX, where many small operations are slow."""
    run = backbone.encode
    if keras.backend.backend() == "jax":
        import jax

        run = compiled.setdefault(id(backbone), (jax.jit(run), backbone))[0]
    given = {"token_ids": token_ids, **features}
    given |= {} if state is None else {"state": state}
    return keras.tree.map_structure(ops.convert_to_numpy, run(given))


def segments(backbone, token_ids, length=LENGTH):
    """The outputs of a text that is read by segments."""
    rows, state = [], None
    for first in range(0, token_ids.shape[1], length):
        encoded = encode(backbone, token_ids[:, first : first + length], state)
        state = encoded["state"]
        rows.append(encoded["sequence_output"])
    return np.concatenate(rows, axis=1)


def at_once(backbone, token_ids):
    """The outputs of a text that is read as one."""
    return encode(backbone, token_ids)["sequence_output"]


def moved(backbone, number, of=segments):
    """Which of the tokens of a text each of its rows depends on: (S, S), row, token."""
    text = np.tile(np.arange(number, dtype="int32"), (number, 1))
    changed = text + number * np.eye(number, dtype="int32")
    return (of(backbone, changed) != of(backbone, text)).any(axis=-1).T


# === Who sees whom ===


def test_a_later_token_has_no_influence_at_all(gradient):
    """Its gradient is exactly 0, as is that of its own state's target."""
    backbone = made(memory_length=4)
    table = backbone.token_embedding.embeddings
    batch = np.arange(LENGTH**2, dtype="int32").reshape(LENGTH, LENGTH)
    weights = RNG.normal(size=(LENGTH, LENGTH, WIDTH)).astype("float32")
    weights *= np.eye(LENGTH, dtype="float32")[:, :, None]  # copy n asks for row n
    memory = {
        "memory": RNG.normal(size=(LENGTH, 2, 4, WIDTH)).astype("float32"),
        "real": np.ones((LENGTH, 4), "bool"),
    }

    def total(embeddings):
        with keras.StatelessScope(state_mapping=[(table, embeddings)]):
            encoded = backbone.encode({"token_ids": batch, "state": memory})
        return ops.sum(encoded["sequence_output"] * weights)

    jit = keras.backend.backend() == "jax"
    found = gradient(total, ops.convert_to_numpy(table), jit=jit)[: LENGTH**2]
    reached = np.abs(found).reshape(LENGTH, LENGTH, WIDTH).max(axis=-1) != 0
    np.testing.assert_array_equal(reached, np.tri(LENGTH, dtype="bool"))


def test_through_the_memory_as_well_only_earlier_tokens_are_seen():
    """Without `same_length` the last M tokens before a segment, in one layer."""
    number, memory_length = 3 * LENGTH, 4
    row, token = np.mgrid[:number, :number]
    begins = row // LENGTH * LENGTH
    expected = (token <= row) & (token >= begins - memory_length)
    found = moved(made(num_layers=1, memory_length=memory_length), number)
    np.testing.assert_array_equal(found, expected)
    deep = moved(made(memory_length=memory_length), number)
    assert not deep[token > row].any() and deep[expected].all()
    assert deep[begins[:, 0] > 0, :].sum() > found[begins[:, 0] > 0, :].sum()


@pytest.mark.parametrize("with_itself, window", [(False, 5), (True, 4)])
@pytest.mark.parametrize("of", [segments, at_once])
def test_same_length_sees_as_many_tokens_everywhere(with_itself, window, of):
    number = 3 * LENGTH
    row, token = np.mgrid[:number, :number]
    options = {"memory_length": 4, "same_length": True, "same_length_with_itself": with_itself}
    backbone = made(num_layers=1, **options)
    found = moved(backbone, number, of)
    np.testing.assert_array_equal(found, (token <= row) & (row - token < window))


@pytest.mark.parametrize(
    "options",
    [
        {"memory_length": 12},  # all that there is
        {"memory_length": 5, "same_length": True},
        {"memory_length": 5, "same_length": True, "start_from_zeros": True},
    ],
    ids=str,
)
def test_segments_are_the_text_at_once(options):
    backbone = made(**options)
    expected = at_once(backbone, IDS)
    np.testing.assert_allclose(segments(backbone, IDS), expected, atol=1e-5)


def test_zeros_that_begin_a_text_are_seen():
    """A memory of zeros is the state of a text that begins, both ways."""
    ids = IDS[:, :LENGTH]
    for start_from_zeros in (False, True):
        backbone = made(memory_length=4, start_from_zeros=start_from_zeros)
        spec = backbone.state_spec(len(ids))
        state = {name: np.zeros(one.shape, one.dtype) for name, one in spec.items()}
        begun = encode(backbone, ids)
        again = encode(backbone, ids, state)
        np.testing.assert_allclose(again["sequence_output"], begun["sequence_output"], atol=1e-6)
        for name, value in begun["state"].items():
            np.testing.assert_allclose(again["state"][name], value, atol=1e-6)
        plain = encode(made(), ids)["sequence_output"]
        is_plain = np.abs(begun["sequence_output"] - plain).max() < 1e-6
        assert is_plain is not start_from_zeros


def test_padding_is_seen_neither_now_nor_from_the_memory():
    backbone = made(memory_length=2 * LENGTH)
    real = np.ones((3, LENGTH), "bool")
    real[1, :2] = False
    padded = np.where(real, IDS[:, :LENGTH], 0)
    other = np.where(real, IDS[:, :LENGTH], 7)
    found = []
    for first in (padded, other):
        begun = encode(backbone, first, padding_mask=real)
        then = encode(backbone, IDS[:, LENGTH : 2 * LENGTH], begun["state"])
        found.append((begun["sequence_output"][real], then["sequence_output"]))
    for one, two in zip(*found):
        np.testing.assert_array_equal(one, two)
    short = encode(backbone, IDS[1:2, 2:LENGTH])  # the padding away
    then = encode(backbone, IDS[1:2, LENGTH : 2 * LENGTH], short["state"])
    np.testing.assert_allclose(then["sequence_output"], found[0][1][1:2], atol=1e-5)


def test_beyond_the_clamp_all_distances_are_one():
    backbone = made(num_layers=1, clamp_length=3)
    text = IDS[:1, :10].copy()
    swapped = text.copy()
    swapped[:, [0, 2]] = text[:, [2, 0]]
    one, two = (encode(backbone, ids)["sequence_output"][0] for ids in (text, swapped))
    np.testing.assert_allclose(one[5:], two[5:], atol=1e-6)  # 2 is 3 away from 5
    assert np.abs(one[4] - two[4]).max() > 1e-3


# === In a Pretrainer ===


def test_rows_that_are_fresh_begin_in_the_middle_of_a_batch():
    backbone = made(memory_length=4)
    state = CarriedState(backbone.state_spec())
    state.resize(3, training=False)
    first, then = IDS[:, :LENGTH], IDS[:, LENGTH : 2 * LENGTH]
    before = state(np.array([True] * 3))
    encoded = backbone.encode({"token_ids": first, "state": before})
    UpdateCarriedState(state)(encoded["sequence_output"], encoded["state"])
    carried = encode(backbone, then, state(np.array([False, True, False])))["sequence_output"]
    goes_on = encode(backbone, then, encoded["state"])["sequence_output"]
    begins = encode(backbone, then)["sequence_output"]
    np.testing.assert_allclose(carried[[0, 2]], goes_on[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(carried[1], begins[1], atol=1e-6)
    assert np.abs(goes_on[1] - begins[1]).max() > 0.1


def losses_of_the_text(backbone, head, examples, steps, length):
    """The mean loss of each batch, from one pass over the joined rows."""
    batches = [examples.batch_at(step) for step in range(steps)]
    ids = np.concatenate([x["token_ids"] for x, _, _ in batches], axis=1)
    targets = np.concatenate([y["tokens"] for _, y, _ in batches], axis=1)
    whole = TransformerXLBackbone.from_config(
        {**backbone.get_config(), "memory_length": length, "evaluation_memory_length": None}
    )
    whole.set_weights(backbone.get_weights())
    logits = ops.convert_to_numpy(head(whole.encode({"token_ids": ids})["sequence_output"]))
    logits = logits.astype("float64")
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    scores = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return -scores.reshape(len(ids), steps, LENGTH).mean(axis=(0, 2))


@pytest.mark.slow
def test_the_memory_goes_on_from_batch_to_batch(tokenizer, corpus, quick):
    """The losses are those of the text at once; in validation with a longer memory."""
    backbone = TransformerXLBackbone(
        *(tokenizer.vocabulary_size, 2, 2, WIDTH, 16),
        dropout=0.0,
        memory_length=4,
        evaluation_memory_length=9,
        same_length=True,
        initializer_range=0.5,
    )
    model = Pretrainer(backbone, CausalModeling(LENGTH, rows="stream", documents_apart=False))
    model.compile(keras.optimizers.SGD(0.0), **quick)
    examples = data.examples(corpus, model.objective, 3)
    held_out = data.examples(corpus, model.objective, 3, training=False)
    history = model.fit(
        examples, steps_per_epoch=4, validation_data=held_out, validation_steps=4, verbose=0
    ).history
    known = (backbone, model.heads["tokens"])
    expected = losses_of_the_text(*known, examples, 4, length=4).mean()
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-5)
    expected, short = (losses_of_the_text(*known, held_out, 4, n).mean() for n in (9, 4))
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-5)
    assert abs(expected - short) > 1e-3
    assert model.state.training_state["memory"].shape == (3, 2, 4, WIDTH)
    assert model.state.evaluation_state["memory"].shape == (3, 2, 9, WIDTH)


# === What it says, and refuses ===


def test_layer_groups_go_from_the_embedding_to_the_last_block():
    groups = made().layer_groups()
    names = [{weight.path.split("/")[0] for weight in group} for group in groups]
    assert names == [{"token_embedding", "attention_biases"}, {"block_0"}, {"block_1"}]


def test_it_reads_from_left_to_right_and_with_a_memory_a_state():
    assert made().reads == {"causal"} and made().state_spec() == {}
    assert made(memory_length=4).reads == {"causal", "state"}
    assert set(made(memory_length=4).state_spec()) == {"memory", "real"}
    assert set(made(memory_length=4, start_from_zeros=True).state_spec()) == {"memory"}
    assert not set(encode(made(), IDS)) & {"state", "memory"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hidden_dim": 9, "head_dim": 4}, "must be even"),
        ({"num_heads": 3}, "multiple of `num_heads` unless `head_dim`.*num_heads=3"),
        ({"head_dim": 0}, "head_dim.*at least 1"),
        ({"same_length": True}, "`memory_length` must be an integer of at least 1.*every token"),
        ({"memory_length": -1}, "`memory_length` must be an integer of at least 0"),
        ({"evaluation_memory_length": 4}, "`evaluation_memory_length`.*there is no memory"),
        ({"memory_length": 4, "evaluation_memory_length": 0}, "`evaluation_memory_length`"),
        ({"clamp_length": 0}, "`clamp_length` must be.*at least 1"),
        ({"start_from_zeros": 1}, "`start_from_zeros` must be True or False"),
        ({"cutoffs": [20, 10]}, "`cutoffs` must be.*ascending"),
        ({"cutoffs": [20, VOCABULARY]}, "`cutoffs` must be.*59"),
        ({"tie_projections": "some"}, "`tie_projections` must be"),
    ],
)
def test_arguments_that_are_refused(options, message):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=WIDTH, intermediate_dim=16)
    with pytest.raises(ValueError, match=message):
        TransformerXLBackbone(VOCABULARY, **{**sizes, **options})


@pytest.mark.parametrize(
    "shape, real, message",
    [
        ((2, 2, 4, WIDTH), (2, 4), "a row for every text.*a memory of 2 rows and a batch of 3"),
        ((3, 1, 4, WIDTH), (3, 4), r"\(B, L, M, D\) with L = 2, D = 8"),
        ((3, 2, 4, 6), (3, 4), "L = 2, D = 8"),
        ((3, 2, 0, WIDTH), (3, 0), "M of at least 1"),
        ((3, 2, 4, WIDTH), None, r"must have \['memory', 'real'\].*\['memory'\]"),
    ],
)
def test_states_that_are_refused(shape, real, message):
    state = {"memory": np.zeros(shape, "float32")}
    state |= {} if real is None else {"real": np.zeros(real, "bool")}
    with pytest.raises(ValueError, match=message):
        made(memory_length=4).encode({"token_ids": IDS, "state": state})


def test_a_head_of_other_clusters_is_refused():
    backbone = made(cutoffs=(10, 30), div_val=2)
    assert backbone.lm_head((10, 30), transform=False).cutoffs == (10, 30)
    with pytest.raises(ValueError, match=r"cutoffs=\(10, 20\).*embedding has \[10, 30\]"):
        backbone.lm_head((10, 20))
    with pytest.raises(ValueError, match="no transform.*transform=True"):
        backbone.lm_head(transform=True)


def test_an_order_is_refused():
    with pytest.raises(ValueError, match="order"):
        made().encode({"token_ids": IDS, "order": IDS})
