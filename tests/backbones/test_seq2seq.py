import functools
import inspect
import json

import keras
import numpy as np
import pytest
from keras import ops
from seq2seq_forms import (
    BATCH,
    FORMS,
    IDS,
    JAX,
    LENGTH,
    MASK,
    RNG,
    SOURCE,
    SOURCE_LENGTH,
    SOURCE_MASK,
    VOCABULARY,
    WIDTH,
    encode,
    made,
    make,
)

from keras_plm import backbones, families, features
from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.backbones.backbone import Backbone

pytestmark = pytest.mark.usefixtures("quick_compilation")

forms = pytest.mark.parametrize("form", FORMS)


# === Who sees whom ===


@forms
def test_a_state_depends_on_no_later_token(form):
    """Its target is the next token: it sees its own and those before, and all of the source."""
    backbone = made(form)
    count = LENGTH + SOURCE_LENGTH
    ids, source = np.tile(IDS[:1], (count + 1, 1)), np.tile(SOURCE[:1], (count + 1, 1))
    for place in range(LENGTH):  # copy n has another token at n
        ids[place, place] = (ids[place, place] + 1) % 38
    for place in range(SOURCE_LENGTH):
        source[LENGTH + place, place] = (source[LENGTH + place, place] + 1) % 38
    found = encode(backbone, source_token_ids=source, token_ids=ids)
    states = found["sequence_output"]
    changed = np.abs(states - states[-1]).max(-1) > 1e-5  # (copies, T)
    np.testing.assert_array_equal(changed[:LENGTH], np.tri(LENGTH, dtype=bool).T)
    assert changed[LENGTH:count].all()
    moved = (found["encoder_output"] != found["encoder_output"][-1]).any(-1)
    assert moved[LENGTH:count].all() and not moved[:LENGTH].any()


@pytest.mark.parametrize("form", ["marian", "t5"])
def test_no_later_token_gets_any_gradient(form, gradient):
    stack, positions = made(form).target_stack, np.arange(LENGTH, dtype="int32")[None]
    source = RNG.normal(size=(4, SOURCE_LENGTH, WIDTH)).astype("float32")
    weight = RNG.normal(size=(4, WIDTH)).astype("float32")

    def total(rows):
        states, _ = stack.run(rows, positions, source=source, causal=True)
        return ops.sum(states[-1][:, 2] * weight)

    rows = RNG.normal(size=(4, LENGTH, WIDTH)).astype("float32")
    found = np.abs(gradient(total, rows, jit=JAX)).max(-1)
    assert not found[:, 3:].any() and found[:, :3].all()


@pytest.mark.parametrize("form", ["marian", "t5"])
def test_a_source_that_is_not_visible_gets_no_gradient(form, gradient):
    """Of the encoder's outputs; a text that sees none reads none."""
    backbone = made(form)
    visible = np.ones((4, SOURCE_LENGTH), bool)
    visible[0, 2:5] = visible[1, [0, 7]] = visible[3] = False
    seen = ops.convert_to_numpy(
        backbone.visible_source({"source_padding_mask": SOURCE_MASK, "source_visible": visible})
    )
    np.testing.assert_array_equal(seen, visible & SOURCE_MASK)
    stack, positions = backbone.target_stack, np.arange(LENGTH, dtype="int32")[None]
    weight = RNG.normal(size=(4, LENGTH, WIDTH)).astype("float32")

    def total(encoder_output):
        states, _ = stack.run(
            stack.embed(IDS, positions),
            positions,
            source=encoder_output,
            source_visible=seen[:, None],
            causal=True,
        )
        return ops.sum(states[-1] * weight)

    encoder_output = encode(backbone, **BATCH)["encoder_output"]
    found = gradient(total, encoder_output, jit=JAX)
    np.testing.assert_array_equal(np.abs(found).max(-1) != 0, seen)
    # And through all of `encode`, to which the encoder is not blind.
    with_mask = encode(backbone, **BATCH, source_visible=visible)
    without = encode(backbone, **BATCH)
    np.testing.assert_array_equal(with_mask["encoder_output"], without["encoder_output"])
    differs = (with_mask["sequence_output"] != without["sequence_output"]).any((1, 2))
    assert differs.tolist() == [True, True, False, True]  # of 2 all is visible


def test_nothing_of_the_source_may_be_visible():
    backbone = made("bart")
    nothing = np.zeros_like(SOURCE_MASK)
    found = [
        encode(backbone, token_ids=IDS, source_token_ids=source, source_visible=nothing)
        for source in (SOURCE, (SOURCE + 3) % VOCABULARY)
    ]
    np.testing.assert_array_equal(*[one["sequence_output"] for one in found])
    assert np.isfinite(found[0]["sequence_output"]).all()


@forms
def test_padding_and_other_texts_change_nothing(form):
    backbone = made(form)
    together = encode(backbone, **BATCH)
    other = {
        **BATCH,
        "token_ids": np.where(MASK, IDS, 3),
        "source_token_ids": np.where(SOURCE_MASK, SOURCE, 5),
    }
    other = encode(backbone, **other)
    for name, mask in (("encoder_output", SOURCE_MASK), ("sequence_output", MASK)):
        np.testing.assert_allclose(other[name][mask], together[name][mask], atol=1e-5)
    row, source, length = 1, 5, 4
    alone = backbone.encode(
        {
            "source_token_ids": SOURCE[row : row + 1, :source],
            "token_ids": IDS[row : row + 1, :length],
        }
    )
    for name, count in (("encoder_output", source), ("sequence_output", length)):
        largest = max(1, np.abs(together[name]).max())
        found = ops.convert_to_numpy(alone[name])[0]
        np.testing.assert_allclose(found, together[name][row, :count], atol=1e-5 * largest)


def test_an_order_is_what_it_says():
    backbone = made("bart")
    order = np.tile(np.arange(LENGTH, dtype="int32"), (4, 1))
    causal, ordered = encode(backbone, **BATCH), encode(backbone, **BATCH, order=order)
    close = functools.partial(np.testing.assert_allclose, atol=1e-5)
    close(ordered["sequence_output"][MASK], causal["sequence_output"][MASK])
    prefix = np.maximum(order - 2, 0)  # the first three see each other
    found = encode(backbone, **BATCH, order=prefix)["sequence_output"]
    differs = np.abs(found - causal["sequence_output"])[0].max(-1) > 1e-3
    assert differs.all()


def test_positions_are_counted_from_0():
    """Also of learned tables with an offset; and of relative ones differences alone count."""
    shifted = np.tile(np.arange(LENGTH, dtype="int32"), (4, 1))
    for form in ("bart", "marian", "t5"):
        backbone = made(form)
        plain = encode(backbone, **BATCH)["sequence_output"][MASK]
        given = encode(backbone, **BATCH, position_ids=shifted)["sequence_output"][MASK]
        np.testing.assert_allclose(given, plain, atol=1e-5)
        later = encode(backbone, **BATCH, position_ids=shifted + 2)["sequence_output"][MASK]
        assert np.allclose(later, plain, atol=1e-5) == (form == "t5")


# === What it gives ===


def test_outputs_and_their_shapes():
    backbone = made("t5")
    targets = np.array([[1, 0], [3, 3], [0, 2], [1, 0]], "int32")
    encoded = backbone.encode({**BATCH, "target_positions": targets}, attention_maps=True)
    states = ops.convert_to_numpy(encoded["sequence_output"])
    found = ops.convert_to_numpy(encoded["target_output"])
    np.testing.assert_array_equal(found, np.take_along_axis(states, targets[:, :, None], 1))
    shapes = {
        "attention_maps": (3, 4, 2, LENGTH, LENGTH),
        "cross_attention_maps": (3, 4, 2, LENGTH, SOURCE_LENGTH),
        "encoder_attention_maps": (2, 4, 2, SOURCE_LENGTH, SOURCE_LENGTH),
        "hidden_states": (4, 4, LENGTH, WIDTH),
        "encoder_hidden_states": (3, 4, SOURCE_LENGTH, WIDTH),
    }
    for name, shape in shapes.items():
        assert (len(encoded[name]), *encoded[name][0].shape) == shape, name
    assert encoded["hidden_states"][-1] is encoded["sequence_output"]
    assert encoded["encoder_hidden_states"][-1] is encoded["encoder_output"]
    maps = ops.convert_to_numpy(encoded["cross_attention_maps"][0])
    assert (maps[:, :, :, :][np.broadcast_to(~SOURCE_MASK[:, None, None], maps.shape)] == 0).all()
    np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-5)
    plain = ops.convert_to_numpy(backbone(BATCH))
    np.testing.assert_allclose(plain, states, atol=1e-5)


@forms
def test_heads_are_as_the_flags_say(form):
    backbone = made(form)
    head = backbone.lm_head()
    rows = RNG.normal(size=(1, 2, WIDTH)).astype("float32")
    head.build(rows.shape)
    if head.bias is not None:
        head.bias.assign(RNG.normal(size=VOCABULARY))
    assert (head.bias is not None) == (form in ("marian", "opennmt"))
    table = backbone.token_embedding
    matrix = table.embeddings if backbone.tie_weights else ops.transpose(table.reverse_embeddings)
    assert backbone.tie_weights == (form not in ("t5 1.1", "opennmt"))
    expected = rows @ ops.convert_to_numpy(matrix).T * (0.25 if form == "t5" else 1)
    if form == "marian":
        expected[..., 39] = 0
    expected += 0 if head.bias is None else ops.convert_to_numpy(head.bias)
    np.testing.assert_allclose(ops.convert_to_numpy(head.logits(rows)), expected, atol=1e-5)
    assert backbone.lm_head(use_bias=True).use_bias


def test_what_it_says_of_itself():
    backbone = made("bart")
    assert backbone.reads == {"causal", "source"}
    assert backbone.bounds == {
        "source_token_ids": VOCABULARY,
        "position_ids": 9,
        "sequence_length": 9,
        "source_length": 9,
    }
    assert made("opennmt").bounds == {"source_token_ids": 45, "position_ids": 2**24}


@forms
def test_groups_of_layers_from_bottom_to_top(form):
    backbone = made(form)
    groups = backbone.layer_groups()
    assert len(groups) == 1 + 2 + 3
    every = [id(weight) for group in groups for weight in group]
    assert sorted(every) == sorted(map(id, backbone.weights))
    blocks = [*backbone.source_stack.blocks, *backbone.target_stack.blocks]
    for block, group in zip(blocks, groups[1:]):
        assert {id(weight) for weight in block.weights} <= set(map(id, group))
    if backbone.normalize_first:
        for number, side in ((2, "encoder"), (5, "decoder")):
            assert f"{side}_final_norm" in groups[number][-1].path


def test_one_table_of_distances_for_each_side():
    backbone = made("t5")
    tables = [one.path for one in backbone.weights if "relative" in one.path]
    assert tables == [
        f"{side}_relative_position_bias/embeddings" for side in ("encoder", "decoder")
    ]
    sides = backbone.source_stack, backbone.target_stack
    assert [side.relative_position_bias.bidirectional for side in sides] == [True, False]


# === The token whose embedding is 0 ===


def test_a_token_that_is_0_stays_so(value_and_gradients):
    """It begins as 0, is read as 0 whatever stands there, and is never trained."""
    fresh = make("marian")
    table = ops.convert_to_numpy(fresh.token_embedding.embeddings)
    assert not table[39].any() and table[38].all()
    backbone, ids = make("marian", initializer_range=0.4), IDS.copy()
    ids[:, 0] = SOURCE[0, 1] = 39
    weights, head = [backbone.token_embedding.embeddings], backbone.lm_head()
    head.build((None, None, WIDTH))
    batch = {**BATCH, "token_ids": ids, "source_token_ids": SOURCE}
    batch = {name: ops.convert_to_tensor(array) for name, array in batch.items()}

    def loss():
        logits = head.logits(backbone.encode(batch)["sequence_output"])
        return ops.sum(ops.logsumexp(logits, axis=-1))

    before, gradients = value_and_gradients(loss, weights, JAX)
    (found,) = gradients.values()
    assert not found[39].any() and np.abs(found[:39]).max(-1).all()
    table = ops.convert_to_numpy(weights[0]).copy()
    table[39] = 5.0
    weights[0].assign(table)
    after, _ = value_and_gradients(loss, weights, JAX)
    assert after == before


# === Saving, dtypes, initial weights ===


def test_every_argument_is_changed_by_some_form_and_comes_back():
    changed = set()
    rest = dict(
        attention_dropout=0.1,
        activation_dropout=0.2,
        output_dropout=0.3,
        remat=True,
        initializer="truncated_normal",
        initializer_range=0.1,
        dtype="float32",
    )
    defaults = {
        name: one.default for name, one in inspect.signature(Seq2SeqBackbone).parameters.items()
    }
    for form in FORMS:
        config = made(form, **rest).get_config() if form == "bart" else made(form).get_config()
        assert json.loads(json.dumps(config)) == config
        changed |= {n for n, value in config.items() if value != defaults.get(n, inspect._empty)}
        assert Seq2SeqBackbone.from_config(config).get_config() == config
    assert set(defaults) - {"kwargs", "num_languages"} <= changed  # test_seq2seq_languages.py


@pytest.mark.parametrize("form", ["marian", "opennmt"])
def test_presets_and_files_load_as_what_they_were(form, tmp_path):
    backbone = made(form)
    expected = encode(backbone, **BATCH)["sequence_output"]
    backbone.save_to_preset(str(tmp_path / "preset"))
    backbone.save(tmp_path / "one.keras")
    for loaded in (
        Backbone.from_preset(str(tmp_path / "preset")),
        keras.saving.load_model(tmp_path / "one.keras"),
    ):
        assert type(loaded) is Seq2SeqBackbone and loaded.get_config() == backbone.get_config()
        found = loaded.encode(BATCH)["sequence_output"]
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-6)
    bf16 = Backbone.from_preset(str(tmp_path / "preset"), dtype="mixed_bfloat16")
    found = bf16.encode(BATCH)["sequence_output"]
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    assert np.abs(found - expected)[MASK].mean() < 0.05 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["bart", "t5 1.1"])
def test_trains_as_a_model_by_itself(form):
    """Of Keras's own `fit`, with dropout everywhere and blocks computed again."""
    rates = {f"{name}dropout": 0.1 for name in ("", "attention_", "activation_", "output_")}
    backbone = make(form, **rates, remat=True)
    before = [ops.convert_to_numpy(weight) for weight in backbone.trainable_weights]
    backbone.compile("sgd", "mse", jit_compile=JAX)
    history = backbone.fit(BATCH, np.ones((4, LENGTH, WIDTH)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    same = [
        weight.path
        for weight, old in zip(backbone.trainable_weights, before)
        if np.array_equal(old, ops.convert_to_numpy(weight))
    ]
    assert all("reverse_embeddings" in path or "key/bias" in path for path in same)


def test_how_weights_begin_in_t5():
    """By the sum that each kernel takes; queries smaller by the root of K; tables with 1."""
    keras.utils.set_random_seed(0)
    flags = {**families.T5_1_1["flags"], **families.T5_1_1["initial_weights"]}
    backbone = Seq2SeqBackbone(500, 1, 4, 32, 128, head_dim=16, **flags)
    deviations = {
        "token_embedding/embeddings": 1.0,
        "token_embedding/reverse_embeddings": 1.0,
        "encoder_block_0/attention/query/kernel": (32 * 16) ** -0.5,
        "decoder_block_0/cross_attention/query/kernel": (32 * 16) ** -0.5,
        "decoder_block_0/cross_attention/key/kernel": 32**-0.5,
        "encoder_block_0/attention/value/kernel": 32**-0.5,
        "decoder_block_0/attention/attention_output/kernel": (4 * 16) ** -0.5,
        "encoder_block_0/intermediate/kernel": 32**-0.5,
        "encoder_block_0/multiplier/kernel": 32**-0.5,
        "encoder_block_0/feedforward_output/kernel": 128**-0.5,
        "encoder_relative_position_bias/embeddings": 32**-0.5,
    }
    found = {one.path: ops.convert_to_numpy(one) for one in backbone.weights}
    for path, deviation in deviations.items():
        error = 4 * (2 * found[path].size) ** -0.5
        assert abs(found[path].std() / deviation - 1) < error, path
    assert (found["encoder_final_norm/gamma"] == 1).all()
    assert backbone.kernel_initializer()((100, 50)).shape == (100, 50)


# === What is refused ===


def test_features_that_do_not_fit():
    backbone = made("bart")
    long = np.zeros((1, 10), "int32")
    short = long[:, :3]
    for given, message in (
        ({"token_ids": short}, "reads a source: give `source_token_ids`"),
        ({"source_token_ids": short}, "needs `token_ids`"),
        ({"token_ids": short, "source_token_ids": long}, "for 9 tokens. Received: a source of 10"),
        ({"token_ids": long, "source_token_ids": short}, "for 9 tokens. Received: a text of 10"),
        ({"token_ids": short, "source_token_ids": short, "segment_ids": short}, "segment_ids"),
        ({"token_ids": short, "source_token_ids": short, "until": short}, "`until` needs `order`"),
    ):
        with pytest.raises(ValueError, match=message):
            backbone.encode(given)
    made("marian").encode({"token_ids": long, "source_token_ids": long})  # of any length


def test_batches_are_checked_against_its_bounds():
    bounds = made("bart").bounds
    check = functools.partial(features.check_batch, vocabulary_size=VOCABULARY, bounds=bounds)
    check(BATCH)
    for name, value, message in (
        ("source_token_ids", np.full_like(SOURCE, VOCABULARY), "source_token_ids"),
        ("source_padding_mask", SOURCE_MASK & False, "`source_padding_mask` of False alone"),
    ):
        with pytest.raises(ValueError, match=message):
            check({**BATCH, name: value})
    long = np.zeros((4, 10), "int32")
    with pytest.raises(ValueError, match="for 9 tokens. Received: rows of 10"):
        check({"source_token_ids": long, "token_ids": IDS})
    features.check_batch(
        {"source_token_ids": SOURCE * 0 + 44, "token_ids": IDS},
        vocabulary_size=VOCABULARY,
        bounds=made("opennmt").bounds,
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"positions": "learned"}, "need a `max_sequence_length`"),
        ({"positions": "relative", "position_offset": 1}, "`position_offset`.*relative positions"),
        ({"positions": "rotary"}, "`positions` must be one of"),
        ({"positions": "halves", "hidden_dim": 15, "head_dim": 4}, "`hidden_dim` must be even"),
        ({"relative_position_buckets": 7}, "even number of at least 4"),
        ({"norm": "batch"}, "`norm` must be one of"),
        ({"num_heads": 3}, "multiple of `num_heads`"),
        ({"num_decoder_layers": 0}, "num_decoder_layers=0"),
        ({"zero_token_id": VOCABULARY}, "`zero_token_id` must be.*the vocabulary has 40 tokens"),
        ({"zero_token_id": 1, "tie_weights": False}, "zero_token_id=1, tie_weights=False"),
        ({"initializer": "glorot"}, "`initializer` must be one of"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12)
    with pytest.raises(ValueError, match=message):
        backbones.Seq2SeqBackbone(VOCABULARY, **{**sizes, **options})
