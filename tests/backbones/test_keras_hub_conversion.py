import keras
import keras_hub
import numpy as np
import pytest

from keras_plm.backbones.keras_hub_conversion import from_keras_hub
from keras_plm.backbones.transformer import TransformerBackbone
from keras_plm.tokenizers.tokenizer import Tokenizer

SIZES = dict(
    vocabulary_size=23,
    num_layers=3,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=12,
    max_sequence_length=9,
)
NAMES = ("BertBackbone", "RobertaBackbone", "GPT2Backbone")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "cafe", "!", "中"]
TEXTS = ["The cats, the cat!", "café CAFE zebra", "中the cat中"]


def make_hub(name, seed=0, **changes):
    """A KerasHub backbone with weights so large that scores matter."""
    model = getattr(keras_hub.models, name)(**{**SIZES, **changes})
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = 0.5 * rng.normal(size=weight.shape)
        weight.assign(value + 1 if weight.path.endswith("gamma") else value)
    return model


@pytest.fixture(scope="module")
def hub_models():
    return {name: make_hub(name) for name in NAMES}


def make_batch(model, padding):
    """Four rows of 1 to 9 real tokens, padded at one side."""
    rng = np.random.default_rng(1)
    lengths = np.array([9, 6, 1, 4])[:, None]
    places = np.arange(9)[None]
    mask = places < lengths if padding == "right" else places >= 9 - lengths
    batch = {"token_ids": rng.integers(0, 23, (4, 9)).astype("int32"), "padding_mask": mask}
    if "segment_ids" in model.input:
        batch["segment_ids"] = rng.integers(0, 2, (4, 9)).astype("int32")
    return batch


def outputs(model, batch):
    """The outputs of a model by name."""
    found = model(batch, training=False)
    found = found if isinstance(found, dict) else {"sequence_output": found}
    return {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}


@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_keras_hub(hub_models, name, padding):
    batch = make_batch(hub_models[name], padding)
    ours = outputs(from_keras_hub(hub_models[name]), batch)
    batch["padding_mask"] = batch["padding_mask"].astype("int32")
    theirs = outputs(hub_models[name], batch)
    assert ours.keys() == theirs.keys()
    real = batch["padding_mask"] > 0
    for key in ours:
        if key == "pooled_output" and padding == "left":
            continue  # KerasHub pools the first token, even if it is padding
        mine, reference = ours[key], theirs[key]
        if key == "sequence_output":
            mine, reference = mine[real], reference[real]
        assert np.abs(reference).max() > 0.5
        assert np.abs(mine - reference).max() <= 1e-5 * max(1.0, np.abs(reference).max())


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_preset_is_loaded(hub_models, name, tmp_path):
    hub_models[name].save_to_preset(str(tmp_path))
    loaded = TransformerBackbone.from_preset(str(tmp_path), dropout=0.0)
    assert loaded.dropout == 0.0 and loaded.attention_dropout == 0.1
    direct = from_keras_hub(hub_models[name])
    assert [weight.path for weight in loaded.weights] == [weight.path for weight in direct.weights]
    for mine, other in zip(loaded.weights, direct.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
    assert TransformerBackbone.from_preset(str(tmp_path), load_weights=False).num_layers == 3


def test_the_backbone_of_a_task_is_taken(hub_models):
    task = keras_hub.models.BertTextClassifier(hub_models["BertBackbone"], num_classes=3)
    backbone = from_keras_hub(task, dropout=0.3, pooler=False)
    assert backbone.dropout == 0.3 and not backbone.pooler
    np.testing.assert_array_equal(
        backbone.token_embedding.embeddings.numpy(),
        task.backbone.token_embedding.embeddings.numpy(),
    )


def test_the_keras_hub_model_stays_as_it_is(hub_models):
    backbone = from_keras_hub(hub_models["GPT2Backbone"])
    before = hub_models["GPT2Backbone"].get_weights()[0].copy()
    backbone.token_embedding.embeddings.assign(backbone.token_embedding.embeddings * 0)
    np.testing.assert_array_equal(hub_models["GPT2Backbone"].get_weights()[0], before)


def test_bfloat16_is_kept(tmp_path):
    hub = make_hub("GPT2Backbone", num_layers=1, dtype="bfloat16")
    hub.save_to_preset(str(tmp_path))
    for backbone in (from_keras_hub(hub), TransformerBackbone.from_preset(str(tmp_path))):
        assert backbone.dtype_policy.name == "bfloat16"
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(backbone.token_embedding.embeddings).astype("float32"),
            keras.ops.convert_to_numpy(hub.token_embedding.embeddings).astype("float32"),
        )


def test_another_model_is_refused(hub_models):
    class OwnBert(keras_hub.models.BertBackbone):
        pass

    for model in (OwnBert(**SIZES), keras.Sequential(), "bert_base_en"):
        with pytest.raises(ValueError, match="must be one of KerasHub's"):
            from_keras_hub(model)


def test_lora_is_refused():
    hub = make_hub("BertBackbone", num_layers=1)
    hub.enable_lora(2)
    with pytest.raises(ValueError, match="unexpected: .*lora_kernel_a"):
        from_keras_hub(hub)


def test_arguments_of_the_weights_cannot_be_changed(hub_models, tmp_path):
    with pytest.raises(ValueError, match="cannot be changed. Received: {'num_layers': 2}"):
        from_keras_hub(hub_models["GPT2Backbone"], num_layers=2)
    hub_models["GPT2Backbone"].save_to_preset(str(tmp_path))
    with pytest.raises(ValueError, match="cannot be changed. Received: {'normalize_first': False"):
        TransformerBackbone.from_preset(str(tmp_path), normalize_first=False)


def test_wordpiece_of_a_saved_preset(tmp_path):
    tokenizer = keras_hub.models.BertTokenizer(WORDS, lowercase=True, strip_accents=True)
    hub = make_hub("BertBackbone", vocabulary_size=len(WORDS))
    hub.save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    ours = Tokenizer.from_preset(str(tmp_path))
    assert ours.special_token_ids == {"unk": 1, "cls": 2, "sep": 3, "pad": 0, "mask": 4}
    for text in TEXTS:
        assert ours.encode(text) == [int(index) for index in tokenizer(text)]


def test_byte_pairs_of_a_saved_preset(tmp_path):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdeĠ", "ab", "Ġab"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = keras_hub.models.RobertaTokenizer(vocabulary, ["a b", "Ġ ab"])
    make_hub("RobertaBackbone", vocabulary_size=len(pieces)).save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    ours = Tokenizer.from_preset(str(tmp_path))
    assert ours.mask_token_id == 4 and ours.pad_token_id == 1 and ours.layout.name == "roberta"
    for text in ("ab abc", "dead bab  ab", " e"):
        assert ours.encode(text) == [int(index) for index in tokenizer(text)]
