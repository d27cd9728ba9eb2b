import inspect
import math

import pytest

from keras_plm import families
from keras_plm.backbones import TransformerXLBackbone
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.families import (
    DEFAULTS,
    FAMILIES,
    OTHERS,
    REQUIRED,
    TRANSFORMER_SIZES,
    num_parameters,
)

# What was counted in the released files, or published.
PUBLISHED = {
    "bert_base_en_uncased": 109_482_240,
    "bert_large_en_uncased": 335_141_888,
    "bert_base_en_cased": 108_310_272,
    "bert_large_en_cased": 333_579_264,
    "bert_base_multi_cased": 177_853_440,
    "bert_base_zh": 102_267_648,
    "bert_tiny_en_uncased": 4_385_920,
    "bert_small_en_uncased": 28_763_648,
    "bert_medium_en_uncased": 41_373_184,
    "bert_12x768_en_uncased": 109_482_240,
    "all_minilm_l6_v2": 22_713_216,
    "bert_wwm_base_zh": 102_267_648,
    "distilbert_base_en_uncased": 66_362_880,
    "roberta_base": 124_055_040,
    "roberta_large": 354_310_144,
    "spanbert_base_en_cased": 108_310_272,
    "spanbert_large_en_cased": 333_579_264,
    "ernie1_base_zh": 99_866_112,
    "xlm_en_2048": 667_088_896,
    "mpnet_base": 109_486_464,
    "gpt1": 116_534_784,
    "gpt2_small": 124_439_808,
    "gpt2_medium": 354_823_168,
    "gpt2_large": 774_030_080,
    "gpt2_xl": 1_557_611_200,
    "gpt3_175b": 174_604_259_328,
}
# GPT-3's table gives these in millions; they are near.
ROUNDED = {
    "gpt3_125m": 125e6,
    "gpt3_350m": 350e6,
    "gpt3_760m": 760e6,
    "gpt3_1.3b": 1.3e9,
    "gpt3_2.7b": 2.7e9,
    "gpt3_6.7b": 6.7e9,
    "gpt3_13b": 13.0e9,
    "gpt3_175b": 175.0e9,
}
# Those of Transformer-XL with their heads; the large one with position biases in every layer, as it
# was released, has 17 times 2 * 1024 more.
WITH_HEADS = {
    "transformer_xl_wt103_standard": 151_107_538,
    "transformer_xl_wt103_large": 285_170_506,
    "transformer_xl_enwik8_standard": 41_055_436,
}
# As the paper's tables 2 to 4 give them. Of the smaller model for One Billion Word they say .46
# billion; by the script it has .36.
ROUNDED_WITH_HEADS = {
    "transformer_xl_enwik8_large": 3e8,  # 277 million
    "transformer_xl_text8_large": 3e8,
    "transformer_xl_lm1b_large": 8e8,
}
TINY = dict(
    vocabulary_size=13,
    num_layers=2,
    num_heads=2,
    hidden_dim=6,
    intermediate_dim=7,
    max_sequence_length=5,
)
FLAGS = [
    {},
    {"num_layers": 1},
    {"head_dim": 5},
    {"normalize_first": True},
    {"embedding_norm": False},
    {"num_segments": 0},
    {"num_segments": 6},
    {"num_languages": 4},
    {"num_tasks": 3},
    {"positions_from_padding": True},
    {"relative_position_buckets": 32},
    {"pooler": True},
    {"causal": True, "window": [None, 2], "remat": True, "activation": "relu"},
    {
        "head_dim": 1,
        "normalize_first": True,
        "num_segments": 3,
        "num_languages": 2,
        "num_tasks": 2,
        "positions_from_padding": True,
        "relative_position_buckets": 8,
        "pooler": True,
    },
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    assert num_parameters(TRANSFORMER_SIZES[name]) == PUBLISHED[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_rounded_counts(name):
    assert num_parameters(TRANSFORMER_SIZES[name]) == pytest.approx(ROUNDED[name], rel=0.02)


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: "-".join(flags) or "plain")
def test_counts_of_built_models(flags):
    from keras_plm.backbones.transformer import TransformerBackbone

    config = {**TINY, **flags}
    backbone = TransformerBackbone(**config)
    assert num_parameters(config) == backbone.count_params()
    assert num_parameters(backbone.get_config()) == backbone.count_params()


@pytest.mark.parametrize("name", ["gpt2_small", "bert_base_en_uncased"])
def test_counts_of_whole_models(name, monkeypatch):
    import keras

    from keras_plm.backbones import transformer

    if keras.backend.backend() != "tensorflow":
        pytest.skip("the number of weights is no matter of the backend, and they take 500 MB")
    # Zeros, since random numbers would take most of the time.
    monkeypatch.setattr(transformer, "make_initializer", lambda kind, deviation: "zeros")
    backbone = transformer.TransformerBackbone(**TRANSFORMER_SIZES[name])
    assert backbone.count_params() == PUBLISHED[name]


def test_all_sizes_are_arguments_of_the_backbone():
    from keras_plm.backbones.transformer import TransformerBackbone

    parameters = inspect.signature(TransformerBackbone.__init__).parameters
    assert {*REQUIRED, *DEFAULTS, *OTHERS} == set(parameters) - {"self", "kwargs"} | {
        "name",
        "trainable",
    }
    for name, default in DEFAULTS.items():
        assert parameters[name].default == default, name
    for name, config in TRANSFORMER_SIZES.items():
        assert set(config) <= set(parameters), name
        heads_fit = config["hidden_dim"] % config["num_heads"] == 0
        assert heads_fit or config.get("head_dim"), name


def test_flags_that_change_no_number_of_weights():
    """As the released configurations have them, and the code that drew the first weights."""

    def families_with(flag, value):
        having = (name for name, one in TRANSFORMER_SIZES.items() if one.get(flag) == value)
        return {name.split("_")[0] for name in having}

    gpt = {"gpt1", "gpt2", "gpt3"}
    assert families_with("causal", True) == families_with("activation", "gelu_tanh") == gpt
    assert families_with("activation", "relu") == {"ernie1"}
    assert families_with("layer_norm_epsilon", 1e-5) == gpt | {"roberta", "mpnet"}
    normal = gpt | {"roberta", "mpnet", "spanbert", "unilm"}
    assert families_with("initializer", "normal") == normal
    assert families_with("position_initializer_range", 0.01) == gpt - {"gpt1"}


def test_a_family_is_whole_and_no_name_is_of_two():
    assert sum(len(family["sizes"]) for family in FAMILIES) == len(TRANSFORMER_SIZES)
    for family in FAMILIES:
        assert set(family) == {"flags", "initial_weights", "sizes"}
        for size in family["sizes"].values():
            names = [*family["flags"], *family["initial_weights"], *size]
            assert len(names) == len(set(names))


def test_the_24_small_ones_are_there():
    small = [name for name in TRANSFORMER_SIZES if name.startswith("bert_") and "x" in name]
    assert len(small) == 24


def test_a_wrong_config_is_refused():
    with pytest.raises(ValueError, match="Missing: \\['hidden_dim'\\].*unknown: \\['width'\\]"):
        num_parameters({**{k: v for k, v in TINY.items() if k != "hidden_dim"}, "width": 6})


@pytest.mark.parametrize("tied_biases", [True, False])
@pytest.mark.parametrize("name", [*WITH_HEADS, *ROUNDED_WITH_HEADS])
def test_sizes_of_transformer_xl(name, tied_biases):
    """Built with shapes alone; what is counted are the weights of backbone and head."""
    config = {**families.TRANSFORMER_XL["flags"], **families.TRANSFORMER_XL["sizes"][name]}
    with DeferredWeights().building():
        backbone = TransformerXLBackbone(**config, tied_biases=tied_biases)
        head = backbone.lm_head()
        head.build((None, None, backbone.hidden_dim))
    weights = {id(weight): weight for weight in (*backbone.weights, *head.weights)}
    found = sum(math.prod(weight.shape) for weight in weights.values())
    of_a_layer = 2 * config["num_heads"] * config["head_dim"]
    found -= of_a_layer * (config["num_layers"] - 1) * (not tied_biases)
    if name in WITH_HEADS:
        assert found == WITH_HEADS[name]
    else:
        assert float(f"{found:.1g}") == ROUNDED_WITH_HEADS[name]


# Heads included, but for biases: with `tie_weights` the output matrix is the token table. Those of
# BART and T5 are what transformers counts; so is Marian's, without its tables of sinusoids, 2 times
# 512 * 512, which are not trained (74,410,496 with them).
ENCODER_DECODERS = {
    "transformer_base_en_de": 63_082_496,
    "transformer_big_en_de": 214_245_376,
    "opus_mt_en_de": 73_886_208,
    "mass_base_en_uncased": 123_469_824,
    "mass_middle_en_uncased": 208_666_624,
    "bart_base": 139_420_416,
    "bart_large": 406_291_456,
    "t5_small": 60_506_624,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_3b": 2_851_598_336,
    "t5_11b": 11_307_321_344,
    "t5_1_1_small": 76_961_152,
}


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_sizes_of_encoder_decoders(name):
    """Built with shapes alone."""
    from keras_plm.backbones import Seq2SeqBackbone

    with DeferredWeights().building():
        backbone = Seq2SeqBackbone(**families.SEQ2SEQ_SIZES[name])
    assert backbone.count_params() == ENCODER_DECODERS[name]


def test_sizes_of_a_transformer_with_two_vocabularies():
    """One that OpenNMT trained to write Arabic names in Latin letters: 182,731 weights."""
    from keras_plm.backbones import Seq2SeqBackbone

    sizes = dict(num_layers=6, num_heads=8, hidden_dim=32, intermediate_dim=128)
    with DeferredWeights().building():
        backbone = Seq2SeqBackbone(
            43, **sizes, source_vocabulary_size=51, tie_weights=False, normalize_first=True
        )
    assert backbone.count_params() + 43 == 182_731  # with the bias of its head


def test_all_sizes_are_arguments_of_an_encoder_decoder():
    from keras_plm.backbones import Seq2SeqBackbone

    known = set(inspect.signature(Seq2SeqBackbone.__init__).parameters)
    for name, config in families.SEQ2SEQ_SIZES.items():
        assert set(config) <= known, name
    assert not set(families.SEQ2SEQ_SIZES) & set(TRANSFORMER_SIZES)
