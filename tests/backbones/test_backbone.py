"""The contract of every backbone, from one table: config, saving, jit, precision, LoRA, int8."""

import inspect

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import Backbone, TransformerBackbone, XLNetBackbone
from keras_plm.backbones.backbone import check_sizes

SMALL = {
    "vocabulary_size": 40,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "initializer_range": 0.3,
}
RICHEST = "xlnet-memory"  # for what does not depend on the options
BACKBONES = {
    "xlnet": (XLNetBackbone, {}),
    "xlnet-memory": (XLNetBackbone, {"memory_length": 4, "reuse_length": 3, "activation": "gelu"}),
    "xlnet-causal": (XLNetBackbone, {"causal": True, "clamp_length": 3, "dropout": 0.0}),
}

pytestmark = pytest.mark.usefixtures("quick_compilation")

TEXTS = {
    "token_ids": np.random.default_rng(0).integers(0, 40, (4, 6)).astype("int32"),
    "padding_mask": np.arange(6) >= np.array([[0], [2], [0], [5]]),
    "segment_ids": np.random.default_rng(1).integers(0, 3, (4, 6)).astype("int32"),
}
TARGETS = {
    **TEXTS,
    "order": np.random.default_rng(2).integers(0, 5, (4, 6)).astype("int32"),
    "target_positions": np.random.default_rng(3).integers(0, 6, (4, 2)).astype("int32"),
}


@pytest.fixture(params=BACKBONES, scope="module")
def backbone(request):
    keras.utils.set_random_seed(1)
    cls, options = BACKBONES[request.param]
    return cls(**SMALL, **options)


def made_again(backbone, **changes):
    """Another backbone with the same weights and other arguments."""
    again = type(backbone).from_config({**backbone.get_config(), **changes})
    again.set_weights(backbone.get_weights())
    return again


def outputs(backbone, texts=TEXTS):
    return ops.convert_to_numpy(backbone(texts, training=False))


def target_outputs(backbone):
    return ops.convert_to_numpy(backbone.encode(TARGETS)["target_output"])


def test_config_names_every_argument(backbone):
    arguments = set(inspect.signature(type(backbone).__init__).parameters) - {"self", "kwargs"}
    assert arguments == set(backbone.get_config()) - {"name", "trainable"}


def test_config_round_trip(backbone):
    again = type(backbone).from_config(backbone.get_config())
    assert type(again) is type(backbone) and again.get_config() == backbone.get_config()
    assert [w.path for w in again.weights] == [w.path for w in backbone.weights]


def test_keras_file_round_trip(backbone, tmp_path):
    backbone.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(backbone)
    np.testing.assert_array_equal(outputs(again), outputs(backbone))


def test_preset_round_trip(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    expected = outputs(backbone)
    again = Backbone.from_preset(str(tmp_path / "preset"))
    assert type(again) is type(backbone) and again.get_config() == backbone.get_config()
    np.testing.assert_array_equal(outputs(again), expected)
    np.testing.assert_array_equal(target_outputs(again), target_outputs(backbone))


@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_preset_of_every_class_above_it(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    expected = outputs(backbone)
    for cls in (type(backbone), keras_hub.models.Backbone):
        again = cls.from_preset(str(tmp_path / "preset"))
        assert type(again) is type(backbone)
        np.testing.assert_array_equal(outputs(again), expected)


@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_jit_changes_nothing(backbone):
    expected = outputs(backbone)
    model = keras.Model(backbone.inputs, backbone.outputs)
    for jit_compile in (False, True):
        model.compile(jit_compile=jit_compile)
        np.testing.assert_allclose(model.predict(TEXTS, verbose=0), expected, atol=1e-5)


def test_half_precision_is_near(backbone):
    half = made_again(backbone, dtype="mixed_bfloat16")
    assert {layer.compute_dtype for layer in half.layers if layer.weights} == {"bfloat16"}
    received = outputs(half).astype("float32")
    assert np.isfinite(received).all()
    assert np.abs(received - outputs(backbone)).mean() < 0.03


def test_lengths_may_vary(backbone):
    whole = outputs(backbone)
    short = {name: value[:1, :3] for name, value in TEXTS.items()}
    assert outputs(backbone, short).shape == (1, 3, 8)
    longer = {name: np.pad(value, ((0, 0), (0, 5))) for name, value in TEXTS.items()}
    np.testing.assert_allclose(outputs(backbone, longer)[:, :6], whole, atol=1e-5)


def test_dropout_only_in_training(backbone):
    first, second = outputs(backbone), outputs(backbone)
    np.testing.assert_array_equal(first, second)
    if backbone.dropout:
        trained = ops.convert_to_numpy(backbone(TEXTS, training=True))
        assert np.abs(trained - first).max() > 0.01


def test_encode_hands_on_what_the_contract_names(backbone):
    encoded = backbone.encode(TEXTS)
    np.testing.assert_allclose(
        ops.convert_to_numpy(encoded["sequence_output"]), outputs(backbone), atol=1e-5
    )
    assert [tuple(hidden.shape) for hidden in encoded["hidden_states"]] == [(4, 6, 8)] * 3
    assert ("memory" in encoded) == bool(backbone.memory_length)
    assert "target_output" not in encoded


def test_query_rows_bring_no_weights(backbone):
    paths = [weight.path for weight in backbone.weights]
    inputs = {
        name: keras.Input(value.shape[1:], dtype=str(value.dtype), name=name)
        for name, value in TARGETS.items()
    }
    model = keras.Model(inputs, backbone.encode(inputs)["target_output"])
    assert {weight.path for weight in model.weights} == set(paths)
    assert [weight.path for weight in backbone.weights] == paths
    result = ops.convert_to_numpy(model(TARGETS))
    np.testing.assert_allclose(result, target_outputs(backbone), atol=1e-6)


@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_query_vector_is_frozen_until_it_is_needed(backbone, tmp_path):
    frozen = [weight.path for weight in backbone.non_trainable_weights]
    assert frozen == ["embedding/query_vector"]
    again = made_again(backbone)
    for trainable in (True, False, True):
        again.trainable = trainable
    assert [weight.path for weight in again.non_trainable_weights] == frozen
    again.train_query_rows(True)
    assert len(again.trainable_weights) == len(backbone.trainable_weights) + 1
    again.save_to_preset(tmp_path / "preset")  # the same file before and after pretraining
    loaded = type(backbone).from_preset(tmp_path / "preset")
    assert [weight.path for weight in loaded.non_trainable_weights] == frozen
    np.testing.assert_array_equal(target_outputs(loaded), target_outputs(backbone))
    again.train_query_rows(False)
    assert [weight.path for weight in again.non_trainable_weights] == frozen


@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_lora_trains_only_its_own_kernels_and_is_merged_into_a_preset(backbone, tmp_path):
    lora = made_again(backbone)
    lora.enable_lora(2)
    names = {weight.path.split("/")[-1] for weight in lora.trainable_weights}
    assert names == {"lora_kernel_a", "lora_kernel_b"}
    assert len(lora.trainable_weights) == 2 * 2 * 2  # two layers, query and value, two kernels
    np.testing.assert_allclose(outputs(lora), outputs(backbone), atol=1e-6)

    before = {weight.path: ops.convert_to_numpy(weight) for weight in lora.weights}
    lora.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse", jit_compile=False)
    goal = np.random.default_rng(1).normal(size=(4, 6, 8))
    lora.fit(TEXTS, goal, batch_size=4, verbose=0)
    for weight in lora.weights:
        changed = not np.array_equal(ops.convert_to_numpy(weight), before[weight.path])
        assert changed == weight.path.endswith("lora_kernel_b"), weight.path

    optimizer = lora.optimizer
    lora.save_to_preset(tmp_path / "preset")  # without the optimizer, which it keeps
    assert lora.optimizer is optimizer
    again = Backbone.from_preset(tmp_path / "preset")
    assert np.abs(outputs(lora) - outputs(backbone)).max() > 0.01
    np.testing.assert_allclose(outputs(again), outputs(lora), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_int8_is_near_and_its_preset_reloads(backbone, tmp_path):
    quantized = made_again(backbone)
    quantized.quantize("int8")
    kernels = [weight for weight in quantized.weights if weight.dtype == "int8"]
    assert len(kernels) == 1 + 2 * 7  # the table; query, key, value, position, output, two dense
    result = outputs(quantized)
    assert np.abs(result - outputs(backbone)).mean() < 0.05
    quantized.save_to_preset(tmp_path / "preset")
    again = Backbone.from_preset(tmp_path / "preset")  # KerasHub 0.32's own loses the policies
    np.testing.assert_array_equal(outputs(again), result)


@pytest.mark.parametrize("backbone", [RICHEST], indirect=True)
def test_presets_take_other_arguments(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    again = Backbone.from_preset(tmp_path / "preset", dropout=0.5, name="other")
    assert again.dropout == 0.5 and again.name == "other"
    np.testing.assert_array_equal(outputs(again), outputs(backbone))
    random = Backbone.from_preset(tmp_path / "preset", load_weights=False)
    assert np.abs(outputs(random) - outputs(backbone)).max() > 0.01


def test_check_sizes():
    check_sizes(one=1, two=np.int64(2))
    with pytest.raises(ValueError, match=r"\['one', 'two'\].*one=0, two=True"):
        check_sizes(one=0, two=True)


GROUPS = {
    "gpt": (TransformerBackbone, {"normalize_first": True, "causal": True}),
    "bert": (TransformerBackbone, {"pooler": True, "relative_position_buckets": 4}),
    "xlnet": (XLNetBackbone, {}),
    "transformer-xl": (XLNetBackbone, {"causal": True, "tied_biases": True, "memory_length": 2}),
}
READS = {
    "gpt": {"causal"},
    "bert": {"bidirectional", "pooler"},
    "xlnet": {"bidirectional", "queries"},
    "transformer-xl": {"causal", "queries", "state"},
}


@pytest.mark.parametrize("name", GROUPS)
def test_what_it_reads_and_its_groups(name):
    cls, options = GROUPS[name]
    more = {"max_sequence_length": 8} if cls is TransformerBackbone else {}
    backbone = cls(**SMALL, **options, **more)
    assert isinstance(backbone.reads, frozenset) and backbone.reads == READS[name]
    assert bool(backbone.state_spec()) == ("state" in backbone.reads)
    groups = backbone.layer_groups()
    paths = [weight.path for group in groups for weight in group]
    assert sorted(paths) == sorted(weight.path for weight in backbone.weights)
    assert len(groups) == 3
    places = [{path.split("/")[0] for path in paths} for paths in map(paths_of, groups)]
    above = {"gpt": {"final_norm"}, "bert": {"pooler"}}.get(name, set())
    assert places[1] == {"block_0"} and places[2] == {"block_1", *above}
    below = {"bert": "relative_position_bias", "transformer-xl": "attention_biases"}
    assert below.get(name, places[0] and min(places[0])) in places[0]


def paths_of(variables):
    return [variable.path for variable in variables]
