"""The families of published models: what each is, and which sizes it was published in.

One literal per family says all of it: `flags`, what its models compute; `initial_weights`, how they
begin; `sizes`, by name. All are arguments of `TransformerBackbone`, of `TRANSFORMER_XL` those of
`TransformerXLBackbone`, of `AWD_LSTM` and `SIATL` of `AWDLSTMBackbone`, of `ELMO` of
`ELMoBackbone`, of `ERNIE_THU` of `KnowledgeBackbone`, of the encoder-decoders in `SEQ2SEQ_SIZES`
of `Seq2SeqBackbone`; what is not said has its default.
The catalogue and the checkpoints read the flags here.
"""


def _size(num_layers, hidden_dim, num_heads, vocabulary_size, max_sequence_length, **others):
    """The numbers of one model; its feed-forward layers are four times as wide."""
    return {
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": num_heads,
        "intermediate_dim": 4 * hidden_dim,
        "vocabulary_size": vocabulary_size,
        "max_sequence_length": max_sequence_length,
        **others,
    }


# Devlin et al. 2019, section 3; the multilingual and Chinese ones: google-research/bert; the 24
# smaller ones, four of which have a second name: Turc et al. 2019, section 3; MiniLM: Wang et al.
# 2020; BERT-wwm: Cui et al. 2019, whose large one is Chinese RoBERTa-wwm-ext, which is a BERT.
BERT = {
    "flags": dict(num_segments=2, pooler=True),
    "initial_weights": {},
    "sizes": {
        "bert_base_en_uncased": _size(12, 768, 12, 30522, 512),
        "bert_large_en_uncased": _size(24, 1024, 16, 30522, 512),
        "bert_base_en_cased": _size(12, 768, 12, 28996, 512),
        "bert_large_en_cased": _size(24, 1024, 16, 28996, 512),
        "bert_base_multi_cased": _size(12, 768, 12, 119547, 512),
        "bert_base_zh": _size(12, 768, 12, 21128, 512),
        **{
            f"bert_{num_layers}x{width}_en_uncased": _size(
                num_layers, width, width // 64, 30522, 512
            )
            for num_layers in (2, 4, 6, 8, 10, 12)
            for width in (128, 256, 512, 768)
        },
        "bert_tiny_en_uncased": _size(2, 128, 2, 30522, 512),
        "bert_mini_en_uncased": _size(4, 256, 4, 30522, 512),
        "bert_small_en_uncased": _size(4, 512, 8, 30522, 512),
        "bert_medium_en_uncased": _size(8, 512, 8, 30522, 512),
        "all_minilm_l6_v2": _size(6, 384, 12, 30522, 512),
        "bert_wwm_base_zh": _size(12, 768, 12, 21128, 512),
        "bert_wwm_large_zh": _size(24, 1024, 16, 21128, 512),
    },
}

# Sanh et al. 2019, section 3; the released configuration.
DISTILBERT = {
    "flags": dict(num_segments=0),
    "initial_weights": {},
    "sizes": {"distilbert_base_en_uncased": _size(6, 768, 12, 30522, 512)},
}

# Liu et al. 2019, appendix D.
ROBERTA = {
    "flags": dict(layer_norm_epsilon=1e-5, num_segments=1, positions_from_padding=True),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "roberta_base": _size(12, 768, 12, 50265, 512),
        "roberta_large": _size(24, 1024, 16, 50265, 512),
    },
}

# Joshi et al. 2020, section 4.2.
SPANBERT = {
    "flags": dict(num_segments=2, pooler=True),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "spanbert_base_en_cased": _size(12, 768, 12, 28996, 512),
        "spanbert_large_en_cased": _size(24, 1024, 16, 28996, 512),
    },
}

# ERNIE 1.0 (Baidu): Sun et al. 2019; the released configuration.
ERNIE1 = {
    "flags": dict(activation="relu", num_segments=2, pooler=True),
    "initial_weights": {},
    "sizes": {"ernie1_base_zh": _size(12, 768, 12, 18000, 513)},
}

# ERNIE 2.0 (Baidu): Sun et al. 2020; the released configurations.
ERNIE2 = {
    "flags": dict(num_segments=4, num_tasks=16, pooler=True),
    "initial_weights": {},
    "sizes": {
        "ernie2_base_en": _size(12, 768, 12, 30522, 512),
        "ernie2_large_en": _size(24, 1024, 16, 30522, 512),
    },
}


def fusing_block_types(num_layers):
    """What the blocks of a `KnowledgeBackbone` are, bottom to top, as ERNIE of Tsinghua has them.

    Args:
        num_layers: int. L.

    Returns:
        list of L str: the lower half "text" but for its last, "fuse", and above "fuse_attend".

    Source: Zhang et al. 2019, section 3.2: an encoder of texts below, one of knowledge above; the
    block between them: `ernie_config.json` of thunlp/ERNIE.
    """
    below = num_layers // 2
    lower = ["text"] * (below - 1) + ["fuse"] * min(below, 1)
    return lower + ["fuse_attend"] * (num_layers - below)


# ERNIE (Tsinghua): Zhang et al. 2019, section 4.1; the released configuration, whose model starts
# from BERT base.
ERNIE_THU = {
    "flags": dict(num_segments=2, entity_dim=100, entity_heads=4),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "ernie_thu_base_en_uncased": _size(
            *(12, 768, 12, 30522, 512), block_types=fusing_block_types(12)
        )
    },
}

# Conneau and Lample 2019, section 5.1; facebookresearch/XLM. Those of 17 and of 100 languages have
# no language embedding.
XLM = {
    "flags": dict(num_segments=0),
    "initial_weights": {},
    "sizes": {
        "xlm_en_2048": _size(12, 2048, 16, 30145, 512),
        "xlm_xnli15_1024": _size(12, 1024, 8, 95000, 512, num_languages=15),
        "xlm_17_1280": _size(16, 1280, 16, 200000, 512),
        "xlm_100_1280": _size(16, 1280, 16, 200000, 512),
    },
}

# Song et al. 2020, section 3.1; the released configuration.
MPNET = {
    "flags": dict(
        layer_norm_epsilon=1e-5,
        num_segments=0,
        positions_from_padding=True,
        relative_position_buckets=32,
        pooler=True,
    ),
    "initial_weights": dict(initializer="normal"),
    "sizes": {"mpnet_base": _size(12, 768, 12, 30527, 512)},
}

# Dong et al. 2019, section 2.4.
UNILM = {
    "flags": dict(num_segments=6, pooler=True),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "unilm_base_en_cased": _size(12, 768, 12, 28996, 512),
        "unilm_large_en_cased": _size(24, 1024, 16, 28996, 512),
    },
}

# Radford et al. 2018, section 4.1.
GPT1 = {
    "flags": dict(
        activation="gelu_tanh",
        embedding_norm=False,
        layer_norm_epsilon=1e-5,
        num_segments=0,
        causal=True,
    ),
    "initial_weights": dict(initializer="normal"),
    "sizes": {"gpt1": _size(12, 768, 12, 40478, 512)},
}

# Radford et al. 2019, table 2; how positions begin: `model.py` of openai/gpt-2.
GPT2 = {
    "flags": dict(
        activation="gelu_tanh",
        normalize_first=True,
        embedding_norm=False,
        layer_norm_epsilon=1e-5,
        num_segments=0,
        causal=True,
    ),
    "initial_weights": dict(initializer="normal", position_initializer_range=0.01),
    "sizes": {
        "gpt2_small": _size(12, 768, 12, 50257, 1024),
        "gpt2_medium": _size(24, 1024, 16, 50257, 1024),
        "gpt2_large": _size(36, 1280, 20, 50257, 1024),
        "gpt2_xl": _size(48, 1600, 25, 50257, 1024),
    },
}

# Brown et al. 2020, table 2.1. XL has 24 heads there; only with 16 are its weights the 1.3 billion
# of the same table. The width of 13B is no multiple of its heads. Every second layer reads a band
# only (section 2.1), whose width was not published: 256 is ours. It changes no number of weights.
GPT3 = {
    "flags": dict(
        activation="gelu_tanh",
        normalize_first=True,
        embedding_norm=False,
        layer_norm_epsilon=1e-5,
        num_segments=0,
        causal=True,
        window=[None, 256],
    ),
    "initial_weights": dict(initializer="normal", position_initializer_range=0.01),
    "sizes": {
        "gpt3_125m": _size(12, 768, 12, 50257, 2048),
        "gpt3_350m": _size(24, 1024, 16, 50257, 2048),
        "gpt3_760m": _size(24, 1536, 16, 50257, 2048),
        "gpt3_1.3b": _size(24, 2048, 16, 50257, 2048),
        "gpt3_2.7b": _size(32, 2560, 32, 50257, 2048),
        "gpt3_6.7b": _size(32, 4096, 32, 50257, 2048),
        "gpt3_13b": _size(40, 5140, 40, 50257, 2048, head_dim=128),
        "gpt3_175b": _size(96, 12288, 96, 50257, 2048),
    },
}


def _size_with_memory(num_layers, hidden_dim, num_heads, head_dim, intermediate_dim, **others):
    """The numbers of one Transformer-XL."""
    return {
        "num_layers": num_layers,
        "hidden_dim": hidden_dim,
        "num_heads": num_heads,
        "head_dim": head_dim,
        "intermediate_dim": intermediate_dim,
        **others,
    }


def _memories(training, evaluation):
    """How long a memory is."""
    return {"memory_length": training, "evaluation_memory_length": evaluation}


_WIKITEXT_103 = {"vocabulary_size": 267735, "cutoffs": [20000, 40000, 200000]}
_ONE_BILLION_WORD = {"vocabulary_size": 793471, "cutoffs": [60000, 100000, 640000], "div_val": 4}

# Dai et al. 2019, section 4.1, and the scripts of kimiyoung/transformer-xl, PyTorch. The weights
# that were released are those of its TensorFlow code, of the large sizes: they have position biases
# in every layer (`tied_biases=False`), for One Billion Word no projection of equal widths and
# projections of their own in the softmax, and texts start from zeros. (WikiText-103 large has
# 285,170,506 weights, heads included, the released one 285,205,322; the paper's 257 million is
# neither.) In evaluation all tokens see as many (`same_length`), and distances are clipped.
TRANSFORMER_XL = {
    "flags": {},
    "initial_weights": {},
    "sizes": {
        "transformer_xl_wt103_standard": _size_with_memory(
            *(16, 410, 10, 41, 2100), **_WIKITEXT_103, **_memories(150, 640)
        ),
        "transformer_xl_wt103_large": _size_with_memory(
            *(18, 1024, 16, 64, 4096), **_WIKITEXT_103, div_val=4, **_memories(384, 1600)
        ),
        "transformer_xl_enwik8_standard": _size_with_memory(
            *(12, 512, 8, 64, 2048), vocabulary_size=204, **_memories(512, 2100)
        ),
        "transformer_xl_enwik8_large": _size_with_memory(
            *(24, 1024, 8, 128, 3072), vocabulary_size=204, **_memories(768, 3800)
        ),
        "transformer_xl_text8_standard": _size_with_memory(
            *(12, 512, 8, 64, 2048), vocabulary_size=27, **_memories(512, 2100)
        ),
        "transformer_xl_text8_large": _size_with_memory(
            *(24, 1024, 8, 128, 3072), vocabulary_size=27, **_memories(768, 3800)
        ),
        "transformer_xl_lm1b_standard": _size_with_memory(
            *(18, 1024, 8, 128, 4096), **_ONE_BILLION_WORD, **_memories(32, 128)
        ),
        "transformer_xl_lm1b_large": _size_with_memory(
            *(24, 1280, 16, 80, 8192), **_ONE_BILLION_WORD, **_memories(32, 128)
        ),
    },
}

# Vaswani et al. 2017, sections 3 and 5.4, table 3; the vocabulary of English and German. How
# weights begin: as embeddings do in tensorflow/tensor2tensor, where kernels are uniform.
TRANSFORMER = {
    "flags": dict(positions="interleaved", activation="relu", scale_embeddings=True),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "transformer_base_en_de": _size(*(6, 512, 8, 37000, None), initializer_range=512**-0.5),
        "transformer_big_en_de": _size(
            *(6, 1024, 16, 37000, None), initializer_range=1024**-0.5, dropout=0.3
        ),
    },
}

# Tiedemann and Thottingal 2020; the released configurations, as huggingface/transformers computes
# them. Marian itself has waves up to 10000 inclusive. Padding has the last id, and begins a text.
MARIAN = {
    "flags": dict(
        activation="silu",
        positions="halves",
        layer_norm_epsilon=1e-5,
        scale_embeddings=True,
        output_bias=True,
    ),
    "initial_weights": dict(initializer="normal"),
    "sizes": {"opus_mt_en_de": _size(6, 512, 8, 58101, 512, zero_token_id=58100)},
}

# Song et al. 2019, and MASS-summarization of microsoft/MASS. Its translation models differ: no
# scaled embeddings, positions from row 0, an epsilon of 1e-12, a bias, and tables of languages.
MASS = {
    "flags": dict(
        activation="gelu",
        positions="learned",
        position_offset=1,
        embedding_norm=True,
        layer_norm_epsilon=1e-5,
        scale_embeddings=True,
    ),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "mass_base_en_uncased": _size(6, 768, 12, 30522, 512),
        "mass_middle_en_uncased": _size(6, 1024, 16, 30522, 512),
    },
}

# Lewis et al. 2020, section 2.1; the released configurations.
BART = {
    "flags": dict(
        activation="gelu",
        positions="learned",
        position_offset=2,
        embedding_norm=True,
        layer_norm_epsilon=1e-5,
        scale_embeddings=False,
    ),
    "initial_weights": dict(initializer="normal"),
    "sizes": {
        "bart_base": _size(6, 768, 12, 50265, 1024),
        "bart_large": _size(12, 1024, 16, 50265, 1024),
    },
}


def _size_of_t5(num_layers, hidden_dim, num_heads, intermediate_dim, head_dim=64):
    """The numbers of one T5, which takes texts of any length."""
    size = _size(num_layers, hidden_dim, num_heads, 32128, None, head_dim=head_dim)
    return {**size, "intermediate_dim": intermediate_dim}


# Raffel et al. 2020, section 2.1 and 3.7; the released configurations.
T5 = {
    "flags": dict(
        activation="relu",
        positions="relative",
        norm="rms",
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        use_bias=False,
        scale_scores=False,
        scale_embeddings=False,
        scale_logits=True,
    ),
    "initial_weights": dict(initializer="fan_in"),
    "sizes": {
        "t5_small": _size_of_t5(6, 512, 8, 2048),
        "t5_base": _size_of_t5(12, 768, 12, 3072),
        "t5_large": _size_of_t5(24, 1024, 16, 4096),
        "t5_3b": _size_of_t5(24, 1024, 32, 16384, 128),
        "t5_11b": _size_of_t5(24, 1024, 128, 65536, 128),
    },
}

# `released_checkpoints.md` of google-research/text-to-text-transfer-transformer.
T5_1_1 = {
    "flags": dict(
        activation="gelu_tanh",
        positions="relative",
        norm="rms",
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        use_bias=False,
        gated=True,
        scale_scores=False,
        scale_embeddings=False,
        tie_weights=False,
    ),
    "initial_weights": dict(initializer="fan_in"),
    "sizes": {
        "t5_1_1_small": _size_of_t5(8, 512, 6, 1024),
        "t5_1_1_base": _size_of_t5(12, 768, 12, 2048),
        "t5_1_1_large": _size_of_t5(24, 1024, 16, 2816),
        "t5_1_1_xl": _size_of_t5(24, 2048, 32, 5120),
        "t5_1_1_xxl": _size_of_t5(24, 4096, 64, 10240),
    },
}

# The arguments of `Seq2SeqBackbone` of every published model, by its name.
SEQ2SEQ_SIZES = {
    name: {**size, **family["flags"], **family["initial_weights"]}
    for family in (TRANSFORMER, MARIAN, MASS, BART, T5, T5_1_1)
    for name, size in family["sizes"].items()
}

# Merity et al. 2018, section 5, of Penn Treebank and WikiText-2; ULMFiT's is that of fastai
# (`awd_lstm_lm_config`), whose cells are 2 wider than the paper's; `classifier` is its
# `awd_lstm_clas_config`, whose dropout of the output stands in the head.
AWD_LSTM = {
    "flags": {},
    "initial_weights": {},
    "sizes": {
        "awd_lstm_ptb": dict(num_layers=3, hidden_dim=400, lstm_dim=1150, vocabulary_size=10_000),
        "awd_lstm_wt2": dict(num_layers=3, hidden_dim=400, lstm_dim=1150, vocabulary_size=33_278),
        "ulmfit_wt103": dict(num_layers=3, hidden_dim=400, lstm_dim=1152, vocabulary_size=60_000),
    },
    "classifier": dict(
        embedding_dropout=0.05,
        input_dropout=0.4,
        weight_dropout=0.5,
        hidden_dropout=0.3,
        output_dropout=0.0,
    ),
}

# Chronopoulou et al. 2019, section 4.2, and the settings of the released code.
SIATL = {
    "flags": dict(
        output_projection=True,
        embedding_dropout=0.0,
        input_dropout=0.3,
        weight_dropout=0.0,
        hidden_dropout=0.3,
        output_dropout=0.3,
        activation_regularization=0.0,
        temporal_regularization=0.0,
    ),
    "initial_weights": {},
    "sizes": {
        "siatl_twitter": dict(num_layers=2, hidden_dim=400, lstm_dim=1000, vocabulary_size=70_000),
    },
    "classifier": dict(
        embedding_dropout=0.2,
        input_dropout=0.1,
        hidden_dropout=0.4,
        output_dropout=0.1,
    ),
}

# Peters et al. 2018, section 3.4, and the released options; its filters are `CharacterCNN`'s own.
ELMO = {
    "flags": {},
    "initial_weights": {},
    "sizes": {
        name: dict(
            vocabulary_size=793_471,
            num_layers=2,
            projection_dim=projection_dim,
            lstm_dim=8 * projection_dim,
            num_highways=num_highways,
        )
        for name, projection_dim, num_highways in (
            ("elmo_small", 128, 1),
            ("elmo_medium", 256, 1),
            ("elmo_original", 512, 2),
        )
    },
}

FAMILIES = (
    BERT,
    DISTILBERT,
    ROBERTA,
    SPANBERT,
    ERNIE1,
    ERNIE2,
    XLM,
    MPNET,
    UNILM,
    GPT1,
    GPT2,
    GPT3,
)

# The arguments of `TransformerBackbone` of every published model, by its name.
TRANSFORMER_SIZES = {
    name: {**size, **family["flags"], **family["initial_weights"]}
    for family in FAMILIES
    for name, size in family["sizes"].items()
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
    "task_id",
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
