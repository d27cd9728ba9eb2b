from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_plm import data, families, models
from keras_plm.models import LENGTHS, SIZES
from keras_plm.objectives import (
    MASS,
    Capitals,
    CausalModeling,
    Corruption,
    Denoising,
    DiscourseRelation,
    EntityDenoising,
    MaskedModeling,
    MaskedPermutationModeling,
    Mixture,
    NgramSelection,
    ObjectiveSum,
    RandomSelection,
    SentenceDistance,
    SentencePair,
    SentenceReordering,
    SkipGram,
    SpanBoundary,
    SpanCorruption,
    SpanSelection,
    TextInfilling,
    TokenDocument,
    Translation,
    TwoWayModeling,
    continual_stages,
)
from keras_plm.presets import TRANSFORMER_SIZES
from keras_plm.tasks import CausalLM, Pretrainer

pytestmark = pytest.mark.usefixtures("quick_compilation")


# === All systems ===

SYSTEMS = {
    "xlnet": (models.xlnet, "xlnet"),
    "bert": (models.bert, "bert"),
    "bert_wwm": (models.bert_wwm, "bert"),
    "roberta": (models.roberta, "roberta"),
    "spanbert": (models.spanbert, "bert"),
    "ernie1": (models.ernie1, "bert"),
    "ernie2": (models.ernie2, "bert"),
    "ernie_thu": (models.ernie_thu, "bert"),
    "gpt1": (models.gpt1, "gpt"),
    "gpt2": (models.gpt2, "gpt"),
    "gpt3": (models.gpt3, "gpt"),
    "unilm": (models.unilm, "bert"),
    "mpnet": (models.mpnet, "bert"),
    "xlm": (models.xlm, "xlm"),
    "transformer_xl": (models.transformer_xl, "gpt"),
    "transformer": (models.transformer, "bert"),
    "mass": (models.mass, "bert"),
    "bart": (models.bart, "bert"),
    "t5": (models.t5, "sentinels"),
}


def small(system, tokenizer, **options):
    """A tiny model of a system, for rows of 32 tokens."""
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    options = {**sizes, "sequence_length": 32, **options}
    return system(tokenizer, "tiny", **options)


@pytest.mark.parametrize("name", SYSTEMS)
def test_bad_options_of_every_system(name, tokenizers, sentinels):
    system, layout = SYSTEMS[name]
    tokenizers = {**tokenizers, "sentinels": sentinels}
    for options, message in (
        (dict(size="huge"), r"\['base', 'large', 'small', 'tiny'\].*size='huge'"),
        (dict(size=None), "Received: size=None"),
        (dict(size="tiny", layers=2), r"Backbone has no arguments .*layers"),
        (dict(size="tiny", sequence_length=0), "sequence_length"),
        (dict(size="tiny", num_heads=3, hidden_dim=16), "multiple of `num_heads`"),
    ):
        with pytest.raises(ValueError, match=message):
            system(tokenizers[layout], **options)


def test_base_and_large_are_the_published_ones():
    published = {
        "base": (
            "bert_base_en_uncased",
            "roberta_base",
            "spanbert_base_en_cased",
            "ernie1_base_zh",
            "ernie2_base_en",
            "gpt1",
            "gpt2_small",
            "gpt3_125m",
            "mpnet_base",
            "unilm_base_en_cased",
        ),
        "large": (
            "bert_large_en_uncased",
            "roberta_large",
            "spanbert_large_en_cased",
            "ernie2_large_en",
            "gpt2_medium",
            "gpt3_350m",
            "unilm_large_en_cased",
        ),
    }
    sizes = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim")
    for size, names in published.items():
        for name in names:
            expected = {key: TRANSFORMER_SIZES[name][key] for key in sizes}
            assert {key: SIZES[size][key] for key in sizes} == expected
    assert LENGTHS == {"tiny": 128, "small": 256, "base": 512, "large": 512}


# === Masked models ===


def parts(objective):
    """The objectives of which one is made."""
    below = getattr(objective, "objectives", ())
    return [one for part in below for one in parts(part)] if below else [objective]


def masked_by(wordpiece, select, corrupt, **settings):
    special_ids = tuple(sorted(wordpiece.special_token_ids.values()))
    return MaskedModeling(
        300, wordpiece.mask_token_id, special_ids, select, corrupt, 32, **settings
    )


def test_bert(wordpiece):
    pairs = dict(rows="sentence_pair", segments=True)
    corrupt = Corruption(0.8, 0.1, "token", "vocabulary")
    model = small(models.bert, wordpiece, static_passes=10)
    expected = masked_by(wordpiece, RandomSelection("token"), corrupt, static_passes=10, **pairs)
    assert parts(model.objective) == [expected, SentencePair(32)]
    assert model.objective.static_passes == 10
    assert model.backbone.pooler and model.backbone.num_segments == 2
    words = small(models.bert_wwm, wordpiece)
    expected = masked_by(wordpiece, RandomSelection("word"), corrupt, **pairs)
    assert parts(words.objective) == [expected, SentencePair(32)]
    assert words.tokenizer is wordpiece and words.preprocessor.sequence_length == 32


def test_roberta(tokenizers):
    byte_level = tokenizers["roberta"]
    model = small(models.roberta, byte_level)
    (masked,) = parts(model.objective)
    assert masked.select == RandomSelection(count="rounded") and masked.corrupt == Corruption()
    assert (masked.rows, masked.static_passes) == ("full_sentences", 0)
    backbone = model.backbone
    assert backbone.positions_from_padding and not backbone.pooler
    assert backbone.num_segments == 1 and backbone.layer_norm_epsilon == 1e-5
    assert "segment_ids" not in model.input_names_of_task()
    for layout in ("bert", "xlnet"):  # whose pairs have segments that it could not tell apart
        assert small(models.roberta, tokenizers[layout]).backbone.num_segments == 0


def test_spanbert(wordpiece):
    model = small(models.spanbert, wordpiece)
    corrupt = Corruption(per="span", random_ids="corpus")
    masked = masked_by(wordpiece, SpanSelection(), corrupt, rows="doc_sentences")
    assert model.objective == ObjectiveSum((masked, SpanBoundary(20)))
    assert set(model.heads) == {"tokens", "span_boundary"}
    assert not model.backbone.pooler


def test_ernie1(wordpiece):
    model = small(models.ernie1, wordpiece)
    basic, _, units, _ = parts(model.objective)
    assert basic.select == RandomSelection("token", 0.15, "bernoulli")
    assert units.select == RandomSelection("span", 0.15, "bernoulli")
    assert model.backbone.activation == model.heads["tokens"].activation == "relu"
    words = parts(small(models.ernie1, wordpiece, spans=False).objective)[2]
    assert words.select.unit == "word"
    *_, masked, pair = parts(small(models.ernie1, wordpiece, dialogue=True).objective)
    assert masked.rows == "dialogue" and pair.negative == "reply"


def test_ernie2(wordpiece):
    model = small(models.ernie2, wordpiece)
    mixture, backbone = model.objective, model.backbone
    masked, *labels = mixture.objectives
    assert masked.select == RandomSelection("span", 0.15, "bernoulli")
    assert masked.rows == labels[0].rows == "doc_sentences"
    assert labels == [
        Capitals(32, "doc_sentences", segments=True),
        TokenDocument(32, segments=True),
        SentenceReordering(32),
        DiscourseRelation(32),
    ]
    assert mixture.task_ids and mixture.stages == continual_stages(5, 50_000)
    assert (backbone.num_tasks, backbone.num_segments, backbone.activation) == (16, 4, "gelu")
    assert {"task_ids", "target_positions"} < set(model.input_names_of_task())
    assert len(model.heads["sentence_reordering"].get_config()) and not backbone.task_id
    options = dict(label_tasks=["sentence_distance"], spans=False)
    model = small(models.ernie2, wordpiece, task_steps=6, num_tasks=2, task_id=1, **options)
    assert model.objective.objectives[0].select.unit == "word"
    assert model.objective.objectives[1] == SentenceDistance(32)
    assert model.objective.stages == ((4, 0), (2, 6)) and model.backbone.task_id == 1
    at_once = small(models.ernie2, wordpiece, task_steps=None, **options).objective
    assert at_once.weights == (1.0, 1.0) and at_once.stages is None


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(label_tasks=()), "label_tasks must be one or more different"),
        (dict(label_tasks="capitals"), "label_tasks must be one or more different"),
        (dict(label_tasks=("capitals", "capitals")), "label_tasks must be one or more different"),
        (dict(label_tasks=("relevance",)), r"\['capitals', 'discourse.*'relevance'"),
        (dict(label_tasks=({},)), "label_tasks must be one or more different"),
        (dict(task_steps=4), "`task_steps` must be an integer of at least 5"),
        (dict(num_tasks=4), "make it with num_tasks=5 or more.*4 tasks"),
        (dict(num_tasks=0), "make it with num_tasks=5 or more.*0 tasks"),
        (dict(pooler=False), "SentenceReordering reads the pooled output"),
        (dict(task_id=16), r"`task_id` must be a row.*task_id=16, num_tasks=16"),
    ],
)
def test_bad_options_of_ernie2(wordpiece, options, message):
    with pytest.raises(ValueError, match=message):
        small(models.ernie2, wordpiece, **options)


def test_mt_dnn(wordpiece, tokenizers):
    """BERT's flags, and a segment for each of the layout's, of which it needs two."""
    tasks = {"cola": {"class": "TextClassifier", "num_classes": 2}}
    multi = small(models.mt_dnn, wordpiece, tasks=tasks)
    assert list(multi.members) == ["cola"] and multi.preprocessor.sequence_length == 32
    assert (multi.backbone.num_segments, multi.backbone.pooler) == (2, True)
    assert small(models.mt_dnn, tokenizers["xlnet"], tasks=tasks).backbone.num_segments == 3
    with pytest.raises(ValueError, match="MT-DNN needs rows that tell.*layout='gpt'"):
        small(models.mt_dnn, tokenizers["gpt"], tasks=tasks)


def test_ernie_thu(wordpiece):
    """BERT's objective, and entities; the published sizes of the backbone are the base ones."""
    model = small(models.ernie_thu, wordpiece, static_passes=3, num_layers=4)
    *of_bert, entities = parts(model.objective)
    assert of_bert == parts(small(models.bert, wordpiece, static_passes=3).objective)
    assert entities == EntityDenoising(512, 32, 0.05, 0.15, 5, "sentence_pair", True)
    backbone = model.backbone
    assert backbone.block_types == ["text", "fuse", "fuse_attend", "fuse_attend"]
    assert (backbone.entity_dim, backbone.entity_heads) == (100, 4)
    assert "entities" in backbone.reads and backbone.num_segments == 2
    published = families.ERNIE_THU["sizes"]["ernie_thu_base_en_uncased"]
    assert {name: published[name] for name in SIZES["base"] if name in published} == {
        name: size for name, size in SIZES["base"].items() if name != "initializer_range"
    }
    assert families.fusing_block_types(12) == published["block_types"]


def test_positions_and_segments(wordpiece, tokenizer):
    model = models.bert(wordpiece, "tiny", num_layers=1)
    assert model.backbone.max_sequence_length == model.preprocessor.sequence_length == 128
    assert model.objective.sequence_length == 128
    longer = models.bert(wordpiece, "tiny", sequence_length=140, num_layers=1)
    assert longer.backbone.max_sequence_length == 140
    assert small(models.bert, tokenizer).backbone.num_segments == 3  # A, B and CLS of XLNet's rows


def test_a_tokenizer_without_a_mask(wordpiece):
    pieces = {name: piece for name, piece in wordpiece.special_tokens.items() if name != "mask"}
    bare = data.SubwordTokenizer(wordpiece.model, pieces)
    names = ("bert", "bert_wwm", "roberta", "spanbert", "ernie1", "ernie2", "ernie_thu", "unilm")
    for name in (*names, "mpnet", "xlm"):
        system, _ = SYSTEMS[name]
        with pytest.raises(ValueError, match="no special token 'mask'.*Received"):
            small(system, bare)


# === Visibility ===


@pytest.mark.parametrize("name, factor", [("gpt1", 1), ("gpt2", 2), ("gpt3", 4)])
def test_gpt(name, factor, tokenizers):
    system, tokenizer = SYSTEMS[name][0], tokenizers["gpt"]
    model = system(tokenizer, "tiny", num_layers=1)
    assert model.objective == CausalModeling(128, documents_apart=False)
    backbone = model.backbone
    assert backbone.causal and not backbone.other_embeddings
    assert backbone.normalize_first == (name != "gpt1") and not backbone.embedding_norm
    assert backbone.window == ([None, 16] if name == "gpt3" else None)
    assert backbone.scaled_residuals == (name != "gpt1")
    assert "order" not in model.input_names_of_task()
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    long = system(tokenizer, "base", **sizes)  # the published lengths
    assert long.backbone.max_sequence_length == long.objective.sequence_length == 512 * factor
    if name == "gpt3":
        assert long.backbone.window == TRANSFORMER_SIZES["gpt3_125m"]["window"]
    apart = small(system, tokenizer, documents_apart=True, output_bias=True)
    assert {"order", "until"} < set(apart.input_names_of_task())
    assert apart.heads["tokens"].use_bias


def test_unilm(wordpiece, tokenizers):
    model = small(models.unilm, wordpiece)
    assert isinstance(model.objective, Mixture) and model.objective.weights == (2, 2, 1, 1)
    both_ways, _, pair, left, right = parts(model.objective)
    patterns = [one.pattern for one in (both_ways, pair, left, right)]
    expected = ["bidirectional", "sequence_to_sequence", "left_to_right", "right_to_left"]
    assert patterns == expected
    select = NgramSelection(3, 0.15, (0.8, 0.1, 0.1), "token")
    assert both_ways.masking == masked_by(wordpiece, select, Corruption(), rows="sentence_pair")
    assert left.masking == masked_by(wordpiece, select, Corruption(), rows="doc_sentences")
    assert model.backbone.num_segments == 6 and model.backbone.pooler
    for layout in ("roberta", "gpt"):
        with pytest.raises(ValueError, match=f"second text.*layout='{layout}'"):
            small(models.unilm, tokenizers[layout])


def test_ulmfit(tokenizers, corpora, quick):
    tokenizer, sizes = tokenizers["gpt"], dict(num_layers=2, hidden_dim=8, lstm_dim=12)
    for backward in (False, True):
        model = models.ulmfit(tokenizer, "tiny", 28, backward, **sizes)
        assert model.objective == CausalModeling(
            28, "stream", False, True, variable_length=True, backward=backward
        )
        assert model.preprocessor.backward == backward
    model.compile(**quick)
    examples = data.examples(corpora["gpt"], model.objective, 2)
    history = model.fit(examples, steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    whole = models.LSTM_SIZES["base"]
    published = families.AWD_LSTM["sizes"]["ulmfit_wt103"]
    assert whole == {name: published[name] for name in whole}
    for options, message in (
        (dict(size="large"), r"\['base', 'small', 'tiny'\].*size='large'"),
        (dict(size="tiny", num_heads=2), "AWDLSTMBackbone has no arguments .*num_heads"),
        (dict(size="tiny", sequence_length=3), "sequence_length"),
    ):
        with pytest.raises(ValueError, match=message):
            models.ulmfit(tokenizer, **options)


def test_siatl(tokenizers, corpora, quick):
    tokenizer, sizes = tokenizers["gpt"], dict(num_layers=2, hidden_dim=8, lstm_dim=12)
    model = models.siatl(tokenizer, "tiny", 28, **sizes)
    assert model.objective == CausalModeling(28, "stream", documents_apart=False)
    assert model.backbone.widths == [12, 12] and model.backbone.weight_dropout == 0
    model.compile(**quick)
    examples = data.examples(corpora["gpt"], model.objective, 2)
    history = model.fit(examples, steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert models.siatl(tokenizer, "tiny", **sizes).objective.sequence_length == 80
    whole = models.SIATL_SIZES["base"]
    published = families.SIATL["sizes"]["siatl_twitter"]
    assert whole == {name: published[name] for name in whole}
    for options, message in (
        (dict(size="large"), r"\['base', 'small', 'tiny'\].*size='large'"),
        (dict(size="tiny", num_heads=2), "AWDLSTMBackbone has no arguments .*num_heads"),
        (dict(size="tiny", sequence_length=1), "sequence_length"),
    ):
        with pytest.raises(ValueError, match=message):
            models.siatl(tokenizer, **options)


def test_transformer_xl(tokenizers, corpora, tmp_path, quick):
    """A memory as long as a row; words in clusters; the preset writes, with a longer memory too."""
    tokenizer = tokenizers["gpt"]
    plain = small(models.transformer_xl, tokenizer)
    assert plain.objective == CausalModeling(
        32, rows="stream", documents_apart=False, output_bias=True
    )
    assert plain.backbone.memory_length == 32 and plain.heads["tokens"].use_bias
    clusters = dict(cutoffs=[40, 120], div_val=2, evaluation_memory_length=48, dropout=0.0)
    model = small(models.transformer_xl, tokenizer, **clusters)
    model.compile(keras.optimizers.Adam(0.01), **quick)
    examples, held_out = (
        data.examples(corpora["gpt"], model.objective, 4, training=training)
        for training in (True, False)
    )
    model.fit(examples, steps_per_epoch=2, verbose=0)
    loss, perplexity = model.evaluate(held_out, steps=2, verbose=0)
    assert perplexity == pytest.approx(np.exp(loss), rel=1e-4)
    assert model.state.evaluation_state["memory"].shape == (4, 1, 48, 16)
    model.save_to_preset(str(tmp_path))
    again = Pretrainer.from_preset(str(tmp_path), evaluation_memory_length=9)
    spec = again.backbone.evaluation_state_spec(4)
    assert spec["memory"].shape == (4, 1, 9, 16)
    writer = CausalLM.from_preset(str(tmp_path))
    (text,) = writer.generate([[5, 6, 7]], 6, "greedy", prefix=[], verbose=0)
    ids = np.array([text[:5]], "int32")
    rows = model.backbone.encode({"token_ids": ids})["sequence_output"]
    logits = np.array(model.heads["tokens"].logits(rows))[0, -1]
    assert text[5] == logits.argmax()


def test_xlm(tokenizers, corpora, wordpiece):
    tokenizer = tokenizers["xlm"]
    model = small(models.xlm, tokenizer)
    special_ids = tuple(sorted(set(tokenizer.special_token_ids.values())))
    select, corrupt = RandomSelection(count="bernoulli"), Corruption(random_ids="vocabulary")
    expected = MaskedModeling(
        300,
        tokenizer.mask_token_id,
        special_ids,
        select,
        corrupt,
        32,
        rows="language_stream",
        languages=True,
        transform=False,
    )
    assert model.objective == expected
    backbone, head = model.backbone, model.heads["tokens"]
    assert head.transform is None and head.use_bias
    assert backbone.num_languages == 3 and not backbone.causal and not backbone.pooler
    assert set(backbone.other_embeddings) == {"language_ids"} and backbone.embedding_norm

    both = small(models.xlm, tokenizer, objective="mlm_tlm")
    assert both.objective.weights == (1, 1)
    assert parts(both.objective) == [
        replace(expected, positions=True),
        replace(expected, positions=True, rows="translation_pair"),
    ]
    causal = small(models.xlm, tokenizer, objective="clm")
    assert causal.objective == CausalModeling(
        32, "language_stream", documents_apart=False, output_bias=True, languages=True
    )
    assert causal.backbone.causal
    x, y, _ = data.examples(corpora["xlm"], causal.objective, 4).batch_at(0)
    assert set(x) == set(causal.input_names_of_task())
    assert (x["language_ids"] == x["language_ids"][:, :1]).all()
    assert tuple(causal(x)["tokens"].shape) == (*y["tokens"].shape, 300)

    alone = small(models.xlm, wordpiece, objective="mlm_tlm")  # no languages, other special tokens
    assert not alone.backbone.other_embeddings
    assert "language_ids" not in alone.input_names_of_task()
    for objective in ("tlm", None, ["mlm"]):
        with pytest.raises(ValueError, match=r"one of \['mlm', 'clm', 'mlm_tlm'\]. Received: obj"):
            small(models.xlm, tokenizer, objective=objective)


def test_xlm_refuses_other_languages(tokenizers, corpora):
    model = small(models.xlm, tokenizers["xlm"], num_languages=2)  # fr is 2
    with pytest.raises(ValueError, match="'language_ids' must lie in .0, 2."):
        model.fit(data.examples(corpora["xlm"], model.objective, 4), steps_per_epoch=1, verbose=0)
    with pytest.raises(ValueError, match="needs rows that say their languages.*languages="):
        data.examples(corpora["roberta"], model.objective, 4).batch_at(0)


def test_mpnet(wordpiece, tokenizers):
    model = small(models.mpnet, wordpiece)
    masked = masked_by(wordpiece, RandomSelection("word"), Corruption())
    assert model.objective == MaskedPermutationModeling(masked)
    backbone = model.backbone
    assert backbone.relative_position_buckets == 32 and backbone.positions_from_padding
    assert not backbone.other_embeddings and not backbone.pooler
    # rows of 128 and copies of 20 targets, and no more positions than 128
    long = models.mpnet(wordpiece, "tiny", num_layers=1, num_heads=2, hidden_dim=16)
    assert long.backbone.max_sequence_length == 128 and long.objective.num_predict == 20


# === Encoder-decoders ===


def test_transformer(tokenizers):
    model = small(models.transformer, tokenizers["xlm"])
    lengths = dict(source_length=32, target_length=32)
    expected = Translation.for_tokenizer(tokenizers["xlm"], label_smoothing=0.1, **lengths)
    assert model.objective == expected and model.heads["tokens"].label_smoothing == 0.1
    assert model.backbone.positions == "interleaved" and model.backbone.scale_embeddings
    assert model.backbone.max_sequence_length is None


@pytest.mark.parametrize(
    "name, noise",
    [("mass", MASS(0.3)), ("bart", TextInfilling()), ("t5", SpanCorruption())],
)
def test_denoising(name, noise, byte_level, sentinels):
    tokenizer = sentinels if name == "t5" else byte_level
    options = {"share": 0.3} if name == "mass" else {}
    model = small(getattr(models, name), tokenizer, **options)
    rows = "packed" if name == "t5" else "doc_sentences"
    expected = Denoising.for_tokenizer(tokenizer, noise, sequence_length=32, rows=rows)
    assert model.objective == expected
    flags = getattr(families, name.upper())["flags"]
    assert {key: getattr(model.backbone, key) for key in flags} == flags
    longest = None if name == "t5" else 128
    assert model.backbone.max_sequence_length == longest
    assert model.preprocessor.sequence_length == expected.source_length


def test_learned_positions_are_for_both_sides(byte_level):
    model = small(models.bart, byte_level, sequence_length=200)
    longest = max(model.objective.source_length, model.objective.target_length)
    assert model.backbone.max_sequence_length == longest >= 200


def test_t5_needs_sentinels(byte_level):
    with pytest.raises(ValueError, match="needs sentinels.*SENTINEL_TOKENS"):
        models.t5(byte_level, "tiny")


# === XLNet ===


def count_xlnet(vocabulary_size, num_layers, hidden_dim, intermediate_dim):
    """How many weights an XLNet backbone has."""
    embedding = vocabulary_size * hidden_dim + hidden_dim  # and the query vector
    attention = 5 * hidden_dim**2  # query, key, value, position, output: no biases
    attention += 3 * hidden_dim  # content, position and segment bias
    attention += 2 * hidden_dim  # same and different segment
    norms = 2 * 2 * hidden_dim
    feedforward = 2 * hidden_dim * intermediate_dim + intermediate_dim + hidden_dim
    return embedding + num_layers * (attention + norms + feedforward)


def test_parameters_of_the_published_base():
    """The released base has 116,718,336, and 32,000 in the bias of its head."""
    base = SIZES["base"]
    sizes = {name: base[name] for name in ("num_layers", "hidden_dim", "intermediate_dim")}
    assert count_xlnet(32_000, **sizes) == 116_718_336
    assert base["num_heads"] * 64 == base["hidden_dim"]


def test_tiny(tokenizer):
    model = models.xlnet(tokenizer, "tiny")
    assert model.backbone.count_params() == count_xlnet(300, 3, 128, 512)
    assert model.count_params() == count_xlnet(300, 3, 128, 512) + 300
    assert model.compiled
    assert model.tokenizer is tokenizer and model.state is None


@pytest.mark.parametrize(
    "size, length, half, predicted",
    [
        ("tiny", 128, 64, 21),
        ("small", 256, 128, 42),
        ("base", 512, 256, 85),  # arXiv:1906.08237, table 7
        ("large", 512, 256, 85),
    ],
)
def test_the_lengths_of_xlnet(size, length, half, predicted, tokenizer):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    model = models.xlnet(tokenizer, size, **sizes)
    objective = model.objective
    assert (objective.sequence_length, objective.reuse_length) == (length, half)
    assert (objective.permutation_size, objective.num_predict) == (half, predicted)
    assert model.backbone.reuse_length == half and model.preprocessor.sequence_length == length


def test_every_size_is_larger_than_the_one_before():
    assert LENGTHS.keys() == SIZES.keys()
    sizes = [tuple(SIZES[name].values())[:4] for name in ("tiny", "small", "base", "large")]
    for smaller, larger in zip(sizes, sizes[1:]):
        assert all(a <= b for a, b in zip(smaller, larger)) and smaller[2] < larger[2]


def small_xlnet(tokenizer, **options):
    return small(models.xlnet, tokenizer, **{"sequence_length": 24, **options})


def test_options_reach_their_parts(tokenizer):
    model = small_xlnet(tokenizer, memory_length=6, dropout=0.3, dtype="mixed_bfloat16")
    assert model.backbone.memory_length == 6 and model.backbone.reuse_length == 12
    assert model.backbone.dropout == 0.3
    assert model.backbone.dtype_policy.name == "mixed_bfloat16"
    assert model.objective.sequence_length == model.preprocessor.sequence_length == 24
    assert "backward" not in model.input_names_of_task()


def test_bidirectional(tokenizer):
    model = small_xlnet(tokenizer, bidirectional=True)
    assert model.objective.bidirectional and "backward" in model.input_names_of_task()


def test_every_call_makes_new_weights(tokenizer):
    first, second = small_xlnet(tokenizer), small_xlnet(tokenizer)
    kernels = [keras.ops.convert_to_numpy(model.weights[1].value) for model in (first, second)]
    assert (kernels[0] != kernels[1]).any()


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(size="huge"), ValueError, r"\['base', 'large', 'small', 'tiny'\].*size='huge'"),
        (dict(size=None), ValueError, "Received: size=None"),
        (dict(layers=2), ValueError, r"XLNetBackbone has no arguments .*layers"),
        (dict(sequence_length=25), ValueError, "sequence_length.*25"),
        (dict(sequence_length=8), ValueError, "sequence_length"),
        (dict(sequence_length=0), ValueError, "sequence_length"),
        (dict(memory_length=8, reuse_length=4), ValueError, "reuse_length.*Received: 4 and 12"),
        (dict(num_heads=3), ValueError, "multiple of `num_heads`"),
        (dict(memory_length=-1), ValueError, "memory_length=-1"),
    ],
)
def test_bad_options(tokenizer, options, error, message):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    options = {**sizes, **dict(size="tiny", sequence_length=24), **options}
    with pytest.raises(error, match=message):
        models.xlnet(tokenizer, **options)


# === Static vectors ===


def test_skip_gram(tokenizers):
    tokenizer = tokenizers["gpt"]
    model = models.skip_gram(tokenizer, "tiny", 16, window=2, threshold=None)
    special_ids = tuple(sorted(set(tokenizer.special_token_ids.values())))
    objective = SkipGram(300, special_ids, 16, window=2, threshold=None)
    assert model.objective == objective and model.backbone.hidden_dim == 50
    assert [one.shape for one in model.weights] == [(300, 50), (300, 50)]
    for options, message in (
        (dict(size="huge"), "size='huge'"),
        (dict(num_layers=2), "EmbeddingBackbone has no arguments .*num_layers"),
        (dict(window=0), "window"),
        (dict(threshold=-1), "threshold"),
    ):
        with pytest.raises(ValueError, match=message):
            models.skip_gram(tokenizer, **options)


def test_skip_gram_learns_what_stands_together(graph, tmp_path):
    """Documents are of one of two topics: words of a topic come to be near each other."""
    rng = np.random.default_rng(0)
    topics = ["abcdefgh", "stuvwxyz"]
    texts = [" ".join(rng.choice(list(topics[n % 2]), 60)) for n in range(40)]
    tokenizer = data.train_tokenizer(
        data.Texts(texts), 20, model="word", layout="transformer_xl", min_count=1
    )
    corpus = data.Corpus.build(data.Texts(texts), tokenizer, tmp_path / "corpus")
    counts = data.token_counts(corpus)
    assert dict(zip(tokenizer.words, counts)) == {
        word: sum(text.count(word) for text in texts) for word in tokenizer.words
    }
    model = models.skip_gram(tokenizer, "tiny", 30, threshold=None, hidden_dim=8)
    model.compile(keras.optimizers.Adam(0.05), **graph)
    held_out = data.examples(corpus, model.objective, 8, training=False)
    start = model.evaluate(held_out, steps=1, verbose=0, return_dict=True)
    x, _, weight = held_out.batch_at(0)
    candidates = x["candidate_ids"][weight["context"] > 0]
    others = (candidates[:, :-1] != candidates[:, -1:]).sum(axis=1)  # the rest is left out
    np.testing.assert_allclose(start["loss"], (1 + others.mean()) * np.log(2), rtol=1e-5)
    assert start["accuracy"] == 0  # all logits are 0
    model.fit(data.examples(corpus, model.objective, 8), steps_per_epoch=30, verbose=0)
    end = model.evaluate(held_out, steps=1, verbose=0, return_dict=True)
    assert end["loss"] < 0.8 * start["loss"]
    table = keras.ops.convert_to_numpy(model.backbone.token_embedding.embeddings)
    groups = [table[tokenizer.encode(" ".join(topic))] for topic in topics]
    groups = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in groups]
    assert min((rows @ rows.T).min() for rows in groups) > (groups[0] @ groups[1].T).max()


def test_skip_gram_needs_tokens_that_are_read_alone(make_transformer):
    backbone = make_transformer(300, causal=True)
    with pytest.raises(ValueError, match="must read each token alone.*TransformerBackbone"):
        Pretrainer(backbone, SkipGram(300))


# === ELMo ===


def test_elmo(word_tokenizer):
    model = models.elmo(word_tokenizer, "tiny", cell_clip=5.0)
    assert model.objective == TwoWayModeling(20) and model.preprocessor.sequence_length == 128
    assert model.backbone.vocabulary_size == word_tokenizer.vocabulary_size
    assert model.backbone.cell_clip == 5 and model.backbone.projection_dim == 32
    sampled = models.elmo(word_tokenizer, "tiny", 200, num_sampled=7)
    assert sampled.objective == TwoWayModeling(200, 7)
    assert sampled.preprocessor.sequence_length == 200
    for size in ("small", "medium", "original"):
        assert models.ELMO_SIZES[size] == families.ELMO["sizes"][f"elmo_{size}"]
    for options, message in (
        (dict(layers=2), r"ELMoBackbone has no arguments .*layers"),
        (dict(num_heads=2), r"ELMoBackbone has no arguments .*num_heads"),
        (dict(num_sampled=-1), "num_sampled=-1"),
    ):
        with pytest.raises(ValueError, match=message):
            models.elmo(word_tokenizer, "tiny", **options)
