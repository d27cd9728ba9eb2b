import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.backbones import Backbone, TransformerBackbone

LENGTH, WIDTH = 6, 8
# Context 0, 2, 5; predicted in the order 4, 1, 3.
ORDER = np.array([0, 2, 0, 3, 1, 0], "int32")
TARGETS = np.array([4, 1, 3], "int32")
IDS = np.random.default_rng(0).permutation(29)[:LENGTH].astype("int32") + 1

# One row per column of systems: what differs between them.
SYSTEMS = {
    "bert": families.BERT["flags"],
    "roberta": families.ROBERTA["flags"],
    "ernie": dict(activation="relu", num_segments=4, num_tasks=3, pooler=True),
    "xlm": {**families.XLM["flags"], "num_languages": 3},
    "mpnet": {**families.MPNET["flags"], "relative_position_buckets": 8},
    "gpt1": families.GPT1["flags"],
    "gpt2": {**families.GPT2["flags"], "scaled_residuals": True},
    "gpt3": {**families.GPT3["flags"], "window": [None, 3], "head_dim": 6},
}

pytestmark = pytest.mark.usefixtures("quick_compilation")


def made(system=None, **options):
    """A backbone with weights so large that scores matter."""
    return TransformerBackbone(
        **{
            "vocabulary_size": 60,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": WIDTH,
            "intermediate_dim": 16,
            "max_sequence_length": 12,
            "dropout": 0.1,
            "initializer_range": 0.4,
            **SYSTEMS.get(system, {}),
            **options,
        }
    )


@functools.cache
def shared(system=None):
    """The backbone of tests that leave it as it is."""
    return made(system)


def features(backbone, rows=1, length=LENGTH, seed=1):
    """Random features for the tables that the backbone has."""
    random = np.random.default_rng(seed)
    given = {"token_ids": random.integers(1, 60, (rows, length))}
    for name, table in backbone.other_embeddings.items():
        given[name] = random.integers(0, table.input_dim, (rows, length))
    given = {name: value.astype("int32") for name, value in given.items()}
    return {**given, "padding_mask": np.ones((rows, length), bool)}


def encode(backbone, given, compiled={}, **options):
    """The outputs as numpy, by name. Compiled on JAX, where many small operations are slow."""
    run = backbone.encode
    if keras.backend.backend() == "jax" and not options:
        import jax

        run = compiled.setdefault(id(backbone), (jax.jit(run), backbone))[0]
    return {
        name: [ops.convert_to_numpy(tensor) for tensor in value]
        if isinstance(value, list)
        else ops.convert_to_numpy(value)
        for name, value in run(given, **options).items()
    }


def reach(backbone, gradient, **changes):
    """On which tokens each row depends: whether the gradient is not exactly 0.

    One copy of the example per row, each with token ids of its own, so that one gradient of the
    embedding table tells them apart. Returns (T, T) for content rows, (P, T) for query rows.
    """
    table = backbone.token_embedding.embeddings
    slots = len(TARGETS) if "target_token_ids" in changes else 0
    rows = LENGTH + slots
    batch = {name: np.repeat(value, rows, axis=0) for name, value in changes.items()}
    batch["token_ids"] = np.arange(rows * LENGTH, dtype="int32").reshape(rows, LENGTH)
    weights = np.random.default_rng(2).normal(size=(rows, rows, WIDTH)).astype("float32")
    weights *= np.eye(rows, dtype="float32")[:, :, None]  # copy n asks for row n

    def total(embeddings):
        with keras.StatelessScope(state_mapping=[(table, embeddings)]):
            encoded = backbone.encode(batch)
        content = ops.sum(encoded["sequence_output"] * weights[:, :LENGTH])
        if not slots:
            return content
        return content + ops.sum(encoded["target_output"] * weights[:, LENGTH:])

    jit = keras.backend.backend() == "jax"  # many small operations are slow there
    result = gradient(total, ops.convert_to_numpy(table), jit=jit)
    used = result[: rows * LENGTH].reshape(rows, LENGTH, WIDTH)
    reached = np.abs(used).max(axis=-1) != 0
    return reached[:LENGTH], reached[LENGTH:]


LEFT = np.arange(LENGTH)[None] <= np.arange(LENGTH)[:, None]
DISTANCE = np.arange(LENGTH)[:, None] - np.arange(LENGTH)[None]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, np.ones((LENGTH, LENGTH), bool)),
        ({"causal": True}, LEFT),
        ({"causal": True, "window": 2, "num_layers": 1}, LEFT & (DISTANCE < 2)),
        ({"causal": True, "window": [1, 3]}, LEFT & (DISTANCE < 3)),  # each layer adds its reach
        ({"window": 1, "num_layers": 1}, DISTANCE < 1),
    ],
    ids=["bidirectional", "causal", "window", "cycle of windows", "window, bidirectional"],
)
def test_what_a_row_depends_on_without_an_order(options, expected, gradient):
    content, _ = reach(made(vocabulary_size=54, **options), gradient)
    np.testing.assert_array_equal(content, expected)


@pytest.mark.parametrize("system", ["bert", "mpnet", "gpt2"])
def test_what_a_row_depends_on_by_order(system, gradient):
    """Its own token and later targets reach a prediction with a gradient of exactly 0."""
    content, query = reach(
        made(system, vocabulary_size=60, num_layers=3),
        gradient,
        order=ORDER[None],
        target_positions=TARGETS[None],
        target_token_ids=np.array([[59, 58, 57]], "int32"),  # whose embeddings are not looked at
    )
    expected = (ORDER[None, :] <= ORDER[:, None]) | np.eye(LENGTH, dtype=bool)
    np.testing.assert_array_equal(content, expected)
    np.testing.assert_array_equal(query, (ORDER[None, :] < ORDER[:, None])[TARGETS])


def test_mask_copies_are_seen_until_their_step(gradient):
    """MPNet: context 0, targets 1 and 2, their mask copies at the same positions."""
    order = np.array([[0, 0, 1, 2, 0, 0]], "int32")
    until = np.array([[9, 9, 9, 9, 1, 2]], "int32")
    content, query = reach(
        made("mpnet", vocabulary_size=60, num_layers=1),  # more reach further, through context
        gradient,
        order=order,
        until=until,
        position_ids=np.array([[2, 4, 3, 5, 3, 5]], "int32"),
        target_positions=np.array([[2, 3, 3]], "int32"),
        target_token_ids=np.array([[59, 58, 57]], "int32"),
    )
    rows = ["".join(str(int(key)) for key in row) for row in np.concatenate([content, query])]
    context, first, second = "110011", "111001", "111100"  # a mask goes as its token comes
    assert rows[:6] == [context, context, first, second, context, context]
    assert rows[6:] == [context, first, first]


def test_a_given_order_equals_the_static_pattern():
    for causal, order in ((False, np.zeros(LENGTH)), (True, np.arange(LENGTH))):
        backbone = made(causal=causal)
        given = features(backbone, rows=2)
        given["padding_mask"][1, 4:] = False
        by_order = {**given, "order": np.repeat(order[None], 2, axis=0).astype("int32")}
        static, ordered = (encode(backbone, one)["sequence_output"] for one in (given, by_order))
        real = given["padding_mask"]
        np.testing.assert_allclose(static[real], ordered[real], atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_padding_and_batch_mates_change_nothing(system):
    """On the right for all; on the left where positions count from the padding."""
    backbone = shared(system)
    given = features(backbone, rows=2)
    alone = encode(backbone, {name: value[:1] for name, value in given.items()})
    sides = [(0, 3)] + [(3, 0)] * backbone.positions_from_padding
    for side in sides:
        padded = {name: np.pad(value, ((0, 0), side)) for name, value in given.items()}
        found = encode(backbone, padded)
        real = slice(side[0], side[0] + LENGTH)
        np.testing.assert_allclose(
            found["sequence_output"][:1, real], alone["sequence_output"], atol=2e-5
        )
        if backbone.pooler:
            np.testing.assert_allclose(
                found["pooled_output"][:1], alone["pooled_output"], atol=2e-5
            )


def test_left_padding_with_explicit_positions():
    backbone = shared("gpt2")
    given = features(backbone, rows=2)
    alone = encode(backbone, given)["sequence_output"]
    padded = {name: np.pad(value, ((0, 0), (3, 0))) for name, value in given.items()}
    padded["position_ids"] = np.maximum(np.arange(LENGTH + 3, dtype="int32") - 3, 0)[None]
    padded["position_ids"] = np.repeat(padded["position_ids"], 2, axis=0)
    found = encode(backbone, padded)["sequence_output"][:, 3:]
    np.testing.assert_allclose(found, alone, atol=2e-5)


def test_target_output_is_gathered_or_made_of_query_rows():
    backbone = shared()
    given = {**features(backbone), "target_positions": TARGETS[None]}
    plain = encode(backbone, given)
    np.testing.assert_array_equal(plain["target_output"], plain["sequence_output"][:, TARGETS])
    # A query row that carries a token's own id and sees all others is blind to itself alone.
    late = {**given, "order": np.array([[0, 0, 0, 0, 1, 0]], "int32")}
    late["target_token_ids"] = given["token_ids"][:, TARGETS]
    queried = encode(backbone, late)
    assert queried["target_output"].shape == (1, 3, WIDTH)
    assert np.abs(queried["target_output"] - queried["sequence_output"][:, TARGETS]).max() > 0.01


@pytest.mark.parametrize("system", SYSTEMS)
def test_attention_maps(system):
    backbone = shared(system)
    given = features(backbone, rows=2)
    given["padding_mask"][1, 4:] = False
    found = encode(backbone, given, attention_maps=True)
    plain = encode(backbone, given)
    real = given["padding_mask"]
    np.testing.assert_allclose(
        found["sequence_output"][real], plain["sequence_output"][real], atol=2e-5
    )
    assert len(found["attention_maps"]) == 2
    for number, weights in enumerate(found["attention_maps"]):
        assert weights.shape == (2, 2, LENGTH, LENGTH)
        np.testing.assert_allclose(weights[0].sum(-1), 1, atol=1e-5)
        assert (weights[1, :, :4, 4:] == 0).all()
        if backbone.causal:
            assert (weights[..., ~LEFT] == 0).all()
        if backbone.windows[number]:
            assert (weights[..., DISTANCE >= backbone.windows[number]] == 0).all()


def test_hidden_states_end_in_the_output():
    for system in ("bert", "gpt2"):
        backbone = shared(system)
        found = encode(backbone, features(backbone))
        assert len(found["hidden_states"]) == 3
        np.testing.assert_array_equal(found["hidden_states"][-1], found["sequence_output"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_pooler_reads_the_first_real_token(side):
    backbone = shared("bert")
    given = features(backbone, rows=3)
    lengths = np.array([[LENGTH], [4], [1]])
    places = np.arange(LENGTH)
    mask = places < lengths if side == "right" else places >= LENGTH - lengths
    found = encode(backbone, {**given, "padding_mask": mask})
    first = found["sequence_output"][np.arange(3), mask.argmax(axis=1)]  # (B, D)
    kernel, bias = (ops.convert_to_numpy(w) for w in backbone.pooler_layer.weights)
    np.testing.assert_allclose(found["pooled_output"], np.tanh(first @ kernel + bias), atol=1e-5)


def test_query_rows_get_the_final_norm():
    backbone = made("mpnet", normalize_first=True)
    given = {
        **features(backbone),
        "order": ORDER[None],
        "target_positions": TARGETS[None],
        "target_token_ids": np.array([[59, 58, 57]], "int32"),
    }
    found = encode(backbone, given)
    for rows in (found["sequence_output"], found["target_output"]):  # gamma is 1, beta 0
        np.testing.assert_allclose(rows.mean(axis=-1), 0, atol=1e-5)
        np.testing.assert_allclose(rows.std(axis=-1), 1, atol=1e-3)


def test_query_rows_of_a_causal_backbone_need_no_order():
    """They see what stands before their position, padding apart."""
    backbone = shared("gpt2")
    given = {
        **features(backbone),
        "padding_mask": np.array([[True] * 5 + [False]]),
        "target_positions": TARGETS[None],
        "target_token_ids": np.array([[59, 58, 57]], "int32"),
    }
    by_order = encode(backbone, {**given, "order": np.arange(LENGTH, dtype="int32")[None]})
    found = encode(backbone, given)
    for name in ("sequence_output", "target_output"):
        np.testing.assert_allclose(found[name], by_order[name], atol=1e-6)


# === Contract ===


def call(model, given, run=None):
    """What the model or one of its methods gives for its inputs, as numpy."""
    found = (run or model)({tensor.name: given[tensor.name] for tensor in model.inputs})
    found = found["sequence_output"] if isinstance(found, dict) else found
    return ops.convert_to_numpy(found)


@pytest.mark.parametrize("system", ["ernie", "gpt3"])
def test_predict(system):
    """In a graph, of several outputs and of one."""
    backbone = shared(system)
    given = features(backbone, rows=2)
    expected = encode(backbone, given)["sequence_output"]
    np.testing.assert_allclose(call(backbone, given, backbone.predict), expected, atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_files(system, tmp_path):
    backbone = shared(system)
    given = features(backbone, rows=2)
    expected = encode(backbone, given)["sequence_output"]
    assert {tensor.name for tensor in backbone.inputs} == set(given)
    np.testing.assert_allclose(call(backbone, given), expected, atol=1e-5)
    backbone.save_to_preset(str(tmp_path / "preset"))
    again = Backbone.from_preset(str(tmp_path / "preset"))
    assert isinstance(again, TransformerBackbone) and again.get_config() == backbone.get_config()
    np.testing.assert_allclose(encode(again, given)["sequence_output"], expected, atol=1e-5)
    backbone.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(call(again, given), expected, atol=1e-5)


@pytest.mark.parametrize("system", ["mpnet", "gpt3"])
def test_half_precision(system):
    whole = shared(system)
    half = made(system, dtype="mixed_bfloat16")
    half.set_weights(whole.get_weights())
    given = features(whole, rows=2)
    first, second = encode(whole, given), encode(half, given)
    assert half.blocks[0].compute_dtype == "bfloat16"
    difference = first["sequence_output"] - second["sequence_output"].astype("float32")
    assert np.sqrt((difference**2).mean()) < 0.1


@pytest.mark.parametrize("system", ["bert", "gpt2"])
def test_lora_starts_as_the_model_itself(system):
    backbone = made(system)
    given = features(backbone, rows=2)
    expected = encode(backbone, given)["sequence_output"]
    backbone.enable_lora(2)
    adapted = {weight.path.split("/")[-2] for weight in backbone.trainable_weights}
    assert adapted == {"query", "value"}
    np.testing.assert_allclose(
        encode(backbone, given, attention_maps=True)["sequence_output"], expected, atol=2e-5
    )


@pytest.mark.parametrize("system", ["gpt2"])
def test_int8_on_every_projection(system):
    backbone = made(system)
    given = features(backbone, rows=2)
    expected = encode(backbone, given, attention_maps=True)["sequence_output"]
    backbone.quantize("int8")
    block = backbone.blocks[0]
    attention = (getattr(block.attention, n) for n in ("query", "key", "value", "attention_output"))
    for layer in (*attention, block.intermediate, block.feedforward_output):
        assert layer.dtype_policy.name == "int8_from_float32", layer.path
    found = encode(backbone, given, attention_maps=True)["sequence_output"]
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.2 * expected.std()


BAD_FEATURES = {
    "unknown": ({"memory": np.zeros((1, 2, 3, 8), "float32")}, "takes the features.*memory"),
    "too long": ({"token_ids": np.ones((1, 13), "int32")}, "positions for 12 tokens.*rows of 13"),
    "until alone": ({"until": ORDER[None]}, "`until` needs `order`"),
    "queries without order": (
        {"target_positions": TARGETS[None], "target_token_ids": TARGETS[None]},
        "need `target_positions` and an `order`",
    ),
}


@pytest.mark.parametrize("name", BAD_FEATURES)
def test_bad_features(name):
    changes, message = BAD_FEATURES[name]
    with pytest.raises(ValueError, match=message):
        shared().encode({"token_ids": IDS[None], **changes})


def test_the_task_where_none_is_given():
    """The row of `task_id`, and 0 by itself; of given ids those."""
    backbone, given = made("ernie", task_id=2, dropout=0.0), features(shared("ernie"))
    plain = made("ernie", dropout=0.0)
    plain.set_weights(backbone.get_weights())
    del given["task_ids"]
    for one, row in ((backbone, 2), (plain, 0)):
        for ids, expected in ((None, row), (np.ones((1, LENGTH), "int32"), 1)):
            found = encode(one, {**given, **({} if ids is None else {"task_ids": ids})})
            full = encode(plain, {**given, "task_ids": np.full((1, LENGTH), expected, "int32")})
            np.testing.assert_allclose(found["sequence_output"], full["sequence_output"], atol=1e-6)
    for task_id in (3, -1, 1.0):
        with pytest.raises(ValueError, match="`task_id` must be"):
            made("ernie", task_id=task_id)
    with pytest.raises(ValueError, match="task_id=1, num_tasks=0"):
        made("bert", task_id=1)


def test_languages_are_needed():
    with pytest.raises(ValueError, match="3 languages: give `language_ids`"):
        shared("xlm").encode({"token_ids": IDS[None]})


@pytest.mark.parametrize("scaled", [False, True])
def test_scaled_residuals(scaled):
    """8 layers have 16 residuals: what is added to them begins with a fourth of the deviation."""
    options = dict(num_layers=8, hidden_dim=32, intermediate_dim=64, scaled_residuals=scaled)
    for block in made(**options).blocks:
        attention = block.attention
        for layer in (attention.attention_output, block.feedforward_output):
            deviation = ops.convert_to_numpy(layer.kernel).std()
            assert deviation == pytest.approx(0.88 * (0.1 if scaled else 0.4), rel=0.15)
        for layer in (attention.query, attention.key, attention.value, block.intermediate):
            deviation = ops.convert_to_numpy(layer.kernel).std()
            assert deviation == pytest.approx(0.88 * 0.4, rel=0.15)  # 0.88: cut off at two


BAD_ARGUMENTS = {
    "heads": ({"num_heads": 3}, "multiple of `num_heads`.*hidden_dim=8, num_heads=3"),
    "size": ({"num_layers": 0}, "integers of at least 1.*num_layers=0"),
    "count": ({"num_segments": -1}, "at least 0.*'num_segments': -1"),
    "window": ({"window": 0}, "`window` must be.*Received: window=0"),
    "windows": ({"window": [3, "a"]}, "`window` must be"),
    "no windows": ({"window": []}, "empty list"),
    "unknown": ({"heads": 2}, "no arguments"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments(name):
    options, message = BAD_ARGUMENTS[name]
    with pytest.raises(ValueError, match=message):
        made(**options)
