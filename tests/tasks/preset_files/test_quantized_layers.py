import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import CausalLM, TextClassifier
from keras_plm.tasks.preset_files.quantized_layers import quantize_layers, quantized_layers

X = {"token_ids": np.arange(12).reshape(2, 6) % 40, "padding_mask": np.ones((2, 6), bool)}
PER_CHANNEL = {"config": keras.quantizers.Int4QuantizationConfig(block_size=-1)}

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")


@pytest.fixture
def make(make_transformer):
    def make(**options):
        backbone = make_transformer(40, intermediate_dim=16, num_segments=0, **options)
        return TextClassifier(backbone, 3, dropout=0.0)

    return make


def logits(model):
    return ops.convert_to_numpy(model(X))


def reloaded(model, how, directory):
    if how == "preset":
        model.save_to_preset(directory / "preset")
        return TextClassifier.from_preset(directory / "preset")
    model.save(directory / "model.keras")
    return keras.saving.load_model(directory / "model.keras")


def with_lora(model, layers, seed=0):
    """The model after LoRA was trained on some layers, as far as weights go."""
    rng = np.random.default_rng(seed)
    for layer in layers:
        layer.enable_lora(2)
    for weight in model.weights:
        if "lora" in weight.path:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


@pytest.mark.parametrize("how", ["preset", "keras"])
@pytest.mark.parametrize(
    "options, quantization",
    [
        ({}, {"mode": "int8"}),
        ({}, {"mode": "int4"}),
        ({}, PER_CHANNEL),
        ({}, {"mode": "float8"}),
        ({"dtype": "mixed_bfloat16"}, {"mode": "int8"}),
        ({"dtype": "bfloat16"}, {"mode": "int8"}),
    ],
    ids=["int8", "int4", "int4-channels", "float8", "mixed-int8", "bfloat16-int8"],
)
def test_a_quantized_task_survives(options, quantization, how, make, tmp_path):
    model = make(**options)
    whole = logits(model)
    model.quantize(**quantization)  # of a task that was just made
    expected = logits(model)
    assert (expected != whole).any() and np.isfinite(expected).all()
    again = reloaded(model, how, tmp_path)
    np.testing.assert_array_equal(logits(again), expected)
    assert [w.dtype for w in again.weights] == [w.dtype for w in model.weights]
    assert logits(model).tolist() == expected.tolist()  # saving changed nothing
    names = [layer.dtype_policy.name for layer in model.backbone._flatten_layers()]
    assert None not in names


@pytest.mark.parametrize("how", ["preset", "keras"])
def test_lora_becomes_a_part_of_the_weights(how, make, tmp_path):
    model = make()
    head = model.heads["label"]
    with_lora(model, [head.logits, head.summary, model.backbone.blocks[0].intermediate])
    expected = logits(model)
    np.testing.assert_allclose(logits(reloaded(model, how, tmp_path)), expected, atol=1e-5)


@pytest.mark.parametrize("how", ["preset", "keras"])
def test_what_a_file_cannot_say_is_refused_and_the_old_one_stays(how, make, tmp_path):
    good = make()
    reloaded(good, how, tmp_path)
    lora = make()
    lora.quantize("int8")
    with_lora(lora, [lora.backbone.blocks[0].intermediate])
    own = make()
    quantizer = keras.quantizers.AbsMaxQuantizer(value_range=(-63, 63), axis=0)
    settings = keras.quantizers.Int8QuantizationConfig(weight_quantizer=quantizer)
    own.heads["label"].logits.quantize(config=settings)
    infinite = make()
    infinite.heads["label"].logits.bias.assign([0.0, np.inf, 0.0])
    for model, message in (
        (lora, "quantized and has LoRA.*'int8'"),
        (own, "in a way that a file cannot say"),
        (infinite, r"Nothing was saved.*not finite.*\['label/logits/bias'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            reloaded(model, how, tmp_path)
    path = tmp_path / ("preset" if how == "preset" else "model.keras")
    load = TextClassifier.from_preset if how == "preset" else keras.saving.load_model
    np.testing.assert_allclose(logits(load(path)), logits(good), atol=1e-6)


def test_integers_where_floats_belong_are_refused(make, tmp_path):
    model = make()
    model.quantize("int8")
    model.save_to_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "task.json"
    description = json.loads(path.read_text())
    del description["quantized_layers"]["label"]["logits"]
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="'label/logits/kernel' must hold floats, and holds int8"):
        TextClassifier.from_preset(tmp_path / "preset")


def test_a_head_that_starts_new_is_not_quantized(make, tmp_path):
    model = make()
    model.quantize("int8")
    model.save_to_preset(tmp_path / "preset")
    other = TextClassifier.from_preset(tmp_path / "preset", num_classes=5)
    assert quantized_layers(other.heads, other.backbone) == {}
    assert {weight.dtype for weight in other.heads["label"].weights} == {"float32"}
    again = TextClassifier.from_preset(tmp_path / "preset", dropout=0.3)
    assert again.get_config()["quantized_layers"] == model.get_config()["quantized_layers"]
    np.testing.assert_array_equal(logits(again), logits(model))


def test_presets_of_before_are_quantized_too(make, tmp_path):
    """They say nothing of what heads had no arguments for."""
    model = make()
    model.quantize("int8")
    model.save_to_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "task.json"
    description = json.loads(path.read_text())
    del description["heads"]["label"]["use_bias"]
    for name in ("pooling", "summary_activation", "logits_bias", "class_names", "multi_label"):
        del description["settings"][name]
    path.write_text(json.dumps(description))
    again = TextClassifier.from_preset(tmp_path / "preset")
    assert again.get_config()["quantized_layers"] == model.get_config()["quantized_layers"]
    np.testing.assert_array_equal(logits(again), logits(model))
    other = TextClassifier.from_preset(tmp_path / "preset", logits_bias=False)
    assert quantized_layers(other.heads, other.backbone) == {}


def test_presets_that_name_a_layer_of_the_backbone(make_transformer, tmp_path):
    """As those were written that quantized the embedding a second time when they were read."""
    backbone = make_transformer(40, causal=True, num_segments=0)
    model = CausalLM(backbone, compile=False)
    model.quantize("int8")
    model.save_to_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "task.json"
    description = json.loads(path.read_text())
    description["quantized_layers"] = {"tokens": {"token_embedding": {"mode": "int8"}}}
    path.write_text(json.dumps(description))
    again = CausalLM.from_preset(tmp_path / "preset")
    x = {**X, "target_positions": np.arange(6)[None].repeat(2, axis=0)}
    found, expected = (ops.convert_to_numpy(one(x)["tokens"]) for one in (again, model))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("heads", [3, {"label": 3}])
def test_heads_without_settings(heads, make, tmp_path):
    make().save_to_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "task.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "heads": heads}))
    with pytest.raises(ValueError, match="no `heads` object of objects"):
        TextClassifier.from_preset(tmp_path / "preset")


@pytest.mark.parametrize(
    "saved, message",
    [
        ([1], "by head"),
        ({"label": 3}, "by head"),
        ({"label": {"dropout": {"mode": "int8"}}}, "no layer 'dropout'"),
        ({"label": {"logits": {"mode": "gptq"}}}, "one of .*'gptq'"),
        ({"label": {"logits": "int8/../x"}}, "one of"),
        ({"label": {"logits": {"mode": "int4", "block_size": 0}}}, "with a size of blocks"),
        ({"label": {"logits": {"mode": "int8", "block_size": 8}}}, "with a size of blocks"),
        ({"label": {"logits": {"mode": "int8", "run": 1}}}, "one of"),
    ],
)
def test_bad_descriptions(saved, message, make):
    model = make()
    with pytest.raises(ValueError, match=message):
        quantize_layers(model.heads, model.backbone, saved)
    assert quantized_layers(model.heads, model.backbone) == {}
