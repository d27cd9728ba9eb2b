"""The sizes of the published transformers of the BERT and GPT families, in numbers of weights."""

_BERT = dict(vocabulary_size=30522, max_sequence_length=512, num_segments=2, pooler=True)
_ROBERTA = dict(
    vocabulary_size=50265,
    max_sequence_length=512,
    layer_norm_epsilon=1e-5,
    num_segments=1,
    positions_from_padding=True,
    initializer="normal",
)
_SPANBERT = {**_BERT, "vocabulary_size": 28996, "initializer": "normal"}
_CHINESE = {**_BERT, "vocabulary_size": 21128}
_UNILM = {**_SPANBERT, "num_segments": 6}
_ERNIE_2 = {**_BERT, "num_segments": 4, "num_tasks": 16}
_XLM = dict(max_sequence_length=512, num_segments=0)
_GPT = dict(
    max_sequence_length=512,
    activation="gelu_tanh",
    embedding_norm=False,
    layer_norm_epsilon=1e-5,
    num_segments=0,
    causal=True,
    initializer="normal",
)
_GPT2 = {
    **_GPT,
    "vocabulary_size": 50257,
    "max_sequence_length": 1024,
    "normalize_first": True,
    "position_initializer_range": 0.01,
}
# Every second layer reads a band only (Brown et al. 2020, section 2.1), whose width was not
# published: 256 is ours. It changes no number of weights.
_GPT3 = {**_GPT2, "max_sequence_length": 2048, "window": [None, 256]}


def _sizes(family, num_layers, hidden_dim, num_heads, **others):
    """The arguments of a model of a family, whose feed-forward layers are four times as wide."""
    return {
        "num_layers": num_layers,
        "num_heads": num_heads,
        "hidden_dim": hidden_dim,
        "intermediate_dim": 4 * hidden_dim,
        **family,
        **others,
    }


# Arguments of `TransformerBackbone` by name; those that are not there have its defaults.
TRANSFORMER_SIZES = {
    # BERT: Devlin et al. 2019, section 3; the multilingual and Chinese ones: google-research/bert.
    "bert_base_en_uncased": _sizes(_BERT, 12, 768, 12),
    "bert_large_en_uncased": _sizes(_BERT, 24, 1024, 16),
    "bert_base_en_cased": _sizes(_BERT, 12, 768, 12, vocabulary_size=28996),
    "bert_large_en_cased": _sizes(_BERT, 24, 1024, 16, vocabulary_size=28996),
    "bert_base_multi_cased": _sizes(_BERT, 12, 768, 12, vocabulary_size=119547),
    "bert_base_zh": _sizes(_CHINESE, 12, 768, 12),
    # The 24 smaller ones: Turc et al. 2019, section 3.
    **{
        f"bert_{num_layers}x{hidden_dim}_en_uncased": _sizes(
            _BERT, num_layers, hidden_dim, hidden_dim // 64
        )
        for num_layers in (2, 4, 6, 8, 10, 12)
        for hidden_dim in (128, 256, 512, 768)
    },
    "bert_tiny_en_uncased": _sizes(_BERT, 2, 128, 2),
    "bert_mini_en_uncased": _sizes(_BERT, 4, 256, 4),
    "bert_small_en_uncased": _sizes(_BERT, 4, 512, 8),
    "bert_medium_en_uncased": _sizes(_BERT, 8, 512, 8),
    # BERT-wwm: Cui et al. 2019; the large one is Chinese RoBERTa-wwm-ext, which is a BERT.
    "bert_wwm_base_zh": _sizes(_CHINESE, 12, 768, 12),
    "bert_wwm_large_zh": _sizes(_CHINESE, 24, 1024, 16),
    # RoBERTa: Liu et al. 2019, appendix D.
    "roberta_base": _sizes(_ROBERTA, 12, 768, 12),
    "roberta_large": _sizes(_ROBERTA, 24, 1024, 16),
    # SpanBERT: Joshi et al. 2020, section 4.2.
    "spanbert_base_en_cased": _sizes(_SPANBERT, 12, 768, 12),
    "spanbert_large_en_cased": _sizes(_SPANBERT, 24, 1024, 16),
    # ERNIE 1 and 2 (Baidu): Sun et al. 2019 and 2020; the released configurations.
    "ernie1_base_zh": _sizes(
        _BERT, 12, 768, 12, vocabulary_size=18000, max_sequence_length=513, activation="relu"
    ),
    "ernie2_base_en": _sizes(_ERNIE_2, 12, 768, 12),
    "ernie2_large_en": _sizes(_ERNIE_2, 24, 1024, 16),
    # XLM: Conneau and Lample 2019, section 5.1; facebookresearch/XLM. Those of 17 and of 100
    # languages have no language embedding.
    "xlm_en_2048": _sizes(_XLM, 12, 2048, 16, vocabulary_size=30145),
    "xlm_xnli15_1024": _sizes(_XLM, 12, 1024, 8, vocabulary_size=95000, num_languages=15),
    "xlm_17_1280": _sizes(_XLM, 16, 1280, 16, vocabulary_size=200000),
    "xlm_100_1280": _sizes(_XLM, 16, 1280, 16, vocabulary_size=200000),
    # MPNet: Song et al. 2020, section 3.1; the released configuration.
    "mpnet_base": _sizes(
        {**_ROBERTA, "num_segments": 0},
        12,
        768,
        12,
        vocabulary_size=30527,
        relative_position_buckets=32,
        pooler=True,
    ),
    # UniLM: Dong et al. 2019, section 2.4.
    "unilm_base_en_cased": _sizes(_UNILM, 12, 768, 12),
    "unilm_large_en_cased": _sizes(_UNILM, 24, 1024, 16),
    # GPT-1: Radford et al. 2018, section 4.1. GPT-2: Radford et al. 2019, table 2.
    "gpt1": _sizes(_GPT, 12, 768, 12, vocabulary_size=40478),
    "gpt2_small": _sizes(_GPT2, 12, 768, 12),
    "gpt2_medium": _sizes(_GPT2, 24, 1024, 16),
    "gpt2_large": _sizes(_GPT2, 36, 1280, 20),
    "gpt2_xl": _sizes(_GPT2, 48, 1600, 25),
    # GPT-3: Brown et al. 2020, table 2.1. XL has 24 heads there; only with 16 are its weights the
    # 1.3 billion of the same table. The width of 13B is no multiple of its heads.
    "gpt3_125m": _sizes(_GPT3, 12, 768, 12),
    "gpt3_350m": _sizes(_GPT3, 24, 1024, 16),
    "gpt3_760m": _sizes(_GPT3, 24, 1536, 16),
    "gpt3_1.3b": _sizes(_GPT3, 24, 2048, 16),
    "gpt3_2.7b": _sizes(_GPT3, 32, 2560, 32),
    "gpt3_6.7b": _sizes(_GPT3, 32, 4096, 32),
    "gpt3_13b": _sizes(_GPT3, 40, 5140, 40, head_dim=128),
    "gpt3_175b": _sizes(_GPT3, 96, 12288, 96),
}

REQUIRED = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "max_sequence_length",
)
# The defaults of those arguments of `TransformerBackbone` that change the number of weights.
DEFAULTS = {
    "head_dim": None,
    "normalize_first": False,
    "embedding_norm": True,
    "num_segments": 2,
    "num_languages": 0,
    "num_tasks": 0,
    "positions_from_padding": False,
    "relative_position_buckets": 0,
    "pooler": False,
}
# Those that change none.
OTHERS = (
    "dropout",
    "attention_dropout",
    "activation",
    "layer_norm_epsilon",
    "causal",
    "window",
    "initializer",
    "initializer_range",
    "position_initializer_range",
    "scaled_residuals",
    "remat",
    "dtype",
    "name",
    "trainable",
)


def num_parameters(config):
    """How many weights a `TransformerBackbone` has, without building it.

    Heads are not counted; the output matrix of a language model is the token embedding.

    Args:
        config: dict of constructor arguments of `TransformerBackbone`, such as one of
            `TRANSFORMER_SIZES` or what `get_config` gives.

    Returns:
        int, equal to `count_params()` of the backbone.

    Raises:
        ValueError: if an argument is missing, or is none of the backbone.
    """
    missing = sorted(set(REQUIRED) - set(config))
    unknown = sorted(set(config) - {*REQUIRED, *DEFAULTS, *OTHERS})
    if missing or unknown:
        raise ValueError(
            f"`config` must be arguments of TransformerBackbone. Missing: {missing}. "
            f"Received, and unknown: {unknown}."
        )
    config = {**DEFAULTS, **config}
    width, heads = config["hidden_dim"], config["num_heads"]
    inner = heads * (config["head_dim"] or width // heads)  # H x K
    forward = config["intermediate_dim"]
    norm = 2 * width
    rows = config["vocabulary_size"] + config["max_sequence_length"]
    rows += 2 if config["positions_from_padding"] else 0
    rows += config["num_segments"] + config["num_languages"] + config["num_tasks"]
    attention = 3 * (width * inner + inner) + inner * width + width
    feedforward = width * forward + forward + forward * width + width
    total = rows * width + config["relative_position_buckets"] * heads
    total += norm if config["embedding_norm"] else 0
    total += config["num_layers"] * (attention + feedforward + 2 * norm)
    total += norm if config["normalize_first"] else 0
    total += width * width + width if config["pooler"] else 0
    return total
