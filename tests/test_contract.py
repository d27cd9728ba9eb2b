"""The contract of whole models: one table of every system and every task.

A row of the table is a kind of model: a tiny one, and what a step of it eats. A column is a test.
"""

import inspect
import json
import logging
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data, families, models, tasks
from keras_plm.backbones import EmbeddingBackbone, entity_vectors_at_hand

pytestmark = pytest.mark.usefixtures("quick_compilation")

BATCH = 4
TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish", "he was there"]
PAIRS = (TEXTS, TEXTS[::-1])
CHOICES = [["a dog", "two"], ["yes", "no"], ["the boat", "it was not"], ["a", "b"]]
ANSWERS = [{"text": [text[:4]], "answer_start": [0]} for text in TEXTS[:3]] + [None]
NAMES = ["O", "B-animal", "I-animal"]
WORDS = [text.split() for text in TEXTS]
MANY = [[NAMES[0], NAMES[2]], [], [NAMES[1]], NAMES]
TAGS = [[NAMES[(n + len(word)) % 3] for n, word in enumerate(words)] for words in WORDS]


@dataclass(frozen=True)
class Row:
    """A kind of model.

    Attributes:
        of: the function of `models` or the class of `tasks` that it is about.
        make: function of (tools, options of the backbone) that makes one without dropout.
        batch: function of (tools, model, number): `Examples` from a batch on, or (x, y, weight).
        logs: what a step tells; None: it is not looked at.
        trained: whether it can be trained.
        own_step: whether XLA compiles another step for it than for the rows before it.
        quick_in_jax: whether JAX can run its step without XLA in seconds.
    """

    of: Callable
    make: Callable
    batch: Callable
    logs: set | None = None
    trained: bool = True
    own_step: bool = False
    quick_in_jax: bool = False


# === Rows of systems ===


def system(build, layout, own_step=False, sizes=None, **options):
    """A row of a system, whose batches are of its objective."""
    if sizes is None:
        sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
        options["attention_dropout"] = 0.0
    options = dict(sequence_length=32, dropout=0.0, **options)

    def make(tools, **changes):
        return build(tools.tokenizers[layout], "tiny", **{**sizes, **options, **changes})

    def batch(tools, model, number):
        return data.examples(tools.corpora[layout], model.objective, BATCH, start=number)

    return Row(build, make, batch, own_step=own_step)


def recurrent(build, layout, **options):
    """A row of a system of LSTMs, without dropout."""
    rates = ("embedding", "input", "weight", "hidden", "output")
    options = {**{f"{name}_dropout": 0.0 for name in rates}, **options}
    sizes = dict(num_layers=1, hidden_dim=8, lstm_dim=8, sequence_length=28)

    def make(tools, **changes):
        return build(tools.tokenizers[layout], "tiny", **{**sizes, **options, **changes})

    def batch(tools, model, number):
        return data.examples(tools.corpora[layout], model.objective, BATCH, start=number)

    return Row(build, make, batch, own_step=True)


ENTITY_VECTORS = np.random.default_rng(0).normal(size=(21, 6))  # of the entities of the book
ENTITY_VECTORS[0] = 0

SYSTEMS = {
    "ulmfit": recurrent(models.ulmfit, "gpt", backward=True),
    "siatl": recurrent(models.siatl, "gpt"),
    "xlnet": system(models.xlnet, "xlnet", own_step=True, bidirectional=True, memory_length=6),
    "transformer_xl": system(
        *(models.transformer_xl, "gpt"),
        own_step=True,
        memory_length=6,
        same_length=True,
        normalize_first=True,
        tied_biases=False,
    ),
    "elmo": system(
        *(models.elmo, "words", True),
        dict(num_layers=2, projection_dim=8, lstm_dim=12, filters=((1, 4), (2, 8))),
    ),
    "bert": system(models.bert, "bert", own_step=True),
    "bert_wwm": system(models.bert_wwm, "bert", static_passes=2),
    "roberta": system(models.roberta, "roberta", own_step=True),
    "spanbert": system(models.spanbert, "bert", own_step=True),
    "ernie1": system(models.ernie1, "bert", dialogue=True),
    "ernie_thu": system(
        *(models.ernie_thu, "bert"),
        num_layers=2,
        entity_dim=6,
        entity_heads=2,
        entity_vectors=ENTITY_VECTORS,
        num_candidates=24,
        min_entities=1,
    ),
    "ernie2": system(
        *(models.ernie2, "bert"),
        label_tasks=("capitals", "token_document", "sentence_distance", "discourse_relation"),
        task_steps=None,
    ),
    "gpt1": system(models.gpt1, "gpt"),
    "gpt2": system(models.gpt2, "gpt", own_step=True, documents_apart=True),
    "gpt3": system(models.gpt3, "gpt", own_step=True, num_layers=2, window=[None, 8]),
    "unilm": system(models.unilm, "bert", own_step=True),
    "mpnet": system(models.mpnet, "bert", own_step=True),
    "xlm": system(models.xlm, "xlm", own_step=True, objective="mlm_tlm"),
    "xlm of causal rows": system(models.xlm, "xlm", objective="clm"),
    "transformer": system(models.transformer, "xlm"),
    "mass": system(models.mass, "roberta", share=0.4),
    "bart": system(models.bart, "roberta", own_step=True),
    "t5": system(models.t5, "sentinels"),
    "skip_gram": replace(
        system(models.skip_gram, "gpt"),
        make=lambda tools, **changes: models.skip_gram(
            *(tools.tokenizers["gpt"], "tiny", 32, 3, 4, None),
            **{"hidden_dim": 16, "pooling": "mean_max", **changes},
        ),
    ),
}


# === Rows of tasks ===

XLNET = ("xlnet", {"num_layers": 1})
POOLER = ("bert", {"pooler": True, "num_tasks": 2})
COUNTED = ("roberta", families.ROBERTA["flags"])
PLAIN = ("bert", {})
ENTITIES = ("bert", {"knowledge": True, "entity_dim": 6, "entity_heads": 2, "num_layers": 2})
SIX_SEGMENTS = ("bert", {"num_segments": 6})
GPT_1 = ("gpt1_transfer", families.GPT1["flags"])
GPT_2 = ("gpt", families.GPT2["flags"])
KINDS = ("source", "knowledge")  # which backbone it is, and no argument of it
SOURCE = {"source": True, "max_sequence_length": 64}
BOTH_SIDES = ("roberta", {**families.BART["flags"], **SOURCE})
RELATIVE = ("sentinels", {**families.T5["flags"], **SOURCE})


def task(cls, backbone, x, y, logs, arguments, preprocessing=(), length=32, **row):
    """A row of a task over a kind of backbone; its batches are raw; of `targets` if x is None."""
    layout, options = backbone

    def make(tools, **changes):
        tokenizer = tools.tokenizers[layout]
        kinds = {name: value for name, value in options.items() if name not in KINDS}
        if layout == "words":
            sizes = {"lstm_dim": 12, "projection_dim": 8, "dropout": 0.0}
            below = models.elmo(tokenizer, "tiny", **sizes, **changes).backbone
        elif layout == "xlnet":
            below = tools.make_backbone(**kinds, **changes)
        else:
            maker = tools.make_seq2seq if "source" in options else tools.make_transformer
            maker = tools.make_knowledge if "knowledge" in options else maker
            below = maker(tokenizer.vocabulary_size, **{**kinds, **changes})
        preprocessor = cls.preprocessor_class(tokenizer, length, **dict(preprocessing))
        return cls(below, preprocessor=preprocessor, **arguments)

    def batch(tools, model, number):
        if x is None:
            return targets(model, number)
        return x, y, None if y is None else [1.0, 0.5, 2.0, 1.0 + number]

    return Row(cls, make, batch, logs, **row)


def classifier_of_vectors(tools, **changes):
    """A classifier over an embedding alone, with a hidden layer."""
    tokenizer = tools.tokenizers["gpt"]
    backbone = EmbeddingBackbone(tokenizer.vocabulary_size, 16, pooling="mean_max", **changes)
    preprocessor = tasks.TextPreprocessor(tokenizer, 32)
    return tasks.TextClassifier(backbone, 3, preprocessor, dropout=0.0, summarise=True)


def targets(model, number):
    """The features of texts, the first and the last token of each as targets."""
    if isinstance(model, tasks.Seq2SeqLM):  # of pairs of texts
        return model.preprocess_samples(TEXTS, [*TEXTS[number:], *TEXTS[:number]])
    x = model.preprocessor.call(TEXTS)
    real = [np.flatnonzero(own) for own in x["padding_mask"]]
    x["target_positions"] = np.array([own[[0, -1]] for own in real], "int32")
    x["order"] = np.maximum(np.cumsum(x["padding_mask"], axis=1) - 2, 0).astype("int32")
    y = {"tokens": np.random.default_rng(number).integers(10, 300, (BATCH, 2))}
    weight = {"tokens": np.array([[1, 1], [1, 0], [1, 1], [0, 1]], "float32")}
    if not isinstance(model.output, dict):
        y, weight = y["tokens"], weight["tokens"]
    return model.keep_inputs(x), y, weight


ACCURACY, SCORES = {"loss", "accuracy"}, {"loss", "mse", "pearson", "spearman"}
TARGETS = ACCURACY | {"perplexity"}
SPANS = {"loss", "start_loss", "start_accuracy", "end_loss", "end_accuracy"}
BEAMS = SPANS | {"impossible_loss", "impossible_accuracy"}
WINDOWS = {"max_question_length": 20, "stride": 16}
LABELS, NUMBERS, NO_DROPOUT = [0, 2, 1, 1], [1.0, 0.0, 3.0, 2.5], {"dropout": 0.0}

TASKS = {
    "classifier": task(
        *(tasks.TextClassifier, XLNET, TEXTS, LABELS, ACCURACY, {"num_classes": 3, **NO_DROPOUT}),
        preprocessing={"truncate": False},
        own_step=True,
        quick_in_jax=True,
    ),
    "classifier of pairs": task(
        *(tasks.TextClassifier, POOLER, PAIRS, LABELS, ACCURACY, {"num_classes": 3, **NO_DROPOUT}),
        length=64,
    ),
    "classifier of texts with entities": task(
        *(tasks.TextClassifier, ENTITIES, TEXTS, LABELS, ACCURACY),
        {"num_classes": 3, **NO_DROPOUT},
        own_step=True,
    ),
    "classifier of several classes": task(
        *(tasks.TextClassifier, GPT_2, TEXTS, MANY, ACCURACY),
        {
            **{"num_classes": 3, "class_names": NAMES, "multi_label": True, "pooling": "mean"},
            **{"summarise": False, "summary_activation": "relu", "logits_bias": False},
            **NO_DROPOUT,
        },
        own_step=True,
    ),
    "classifier by concat pooling": task(
        *(tasks.TextClassifier, GPT_2, TEXTS, LABELS, ACCURACY),
        {"num_classes": 3, "pooling": "concat", **NO_DROPOUT},
    ),
    "classifier by attention pooling": task(
        *(tasks.TextClassifier, GPT_2, TEXTS, LABELS, ACCURACY),
        {"num_classes": 3, "pooling": "attention", "auxiliary_lm": 0.2, **NO_DROPOUT},
    ),
    "classifier and language model": task(
        *(tasks.TextClassifier, GPT_1, TEXTS, LABELS, ACCURACY),
        {"num_classes": 3, "auxiliary_lm": 0.5, **NO_DROPOUT},
    ),
    "regressor": task(tasks.TextRegressor, XLNET, TEXTS, NUMBERS, SCORES, NO_DROPOUT),
    "regressor of both orders": task(
        *(tasks.TextRegressor, GPT_1, PAIRS, NUMBERS, SCORES),
        {"both_orders": True, "auxiliary_lm": 0.25, "summarise": False, **NO_DROPOUT},
        length=56,
        own_step=True,
    ),
    "tagger of words": task(
        *(tasks.TokenClassifier, ("words", {}), WORDS, TAGS, ACCURACY | {"entity_f1"}),
        {"num_classes": 3, "class_names": NAMES, "mix_layers": True, **NO_DROPOUT},
    ),
    "tagger": task(
        *(tasks.TokenClassifier, XLNET, WORDS, TAGS, ACCURACY | {"entity_f1"}),
        {"num_classes": 3, "class_names": NAMES, **NO_DROPOUT},
        own_step=True,
        quick_in_jax=True,
    ),
    "choice": task(
        *(tasks.MultipleChoice, XLNET, (TEXTS, CHOICES), [0, 1, 1, 0], ACCURACY, NO_DROPOUT),
        preprocessing={"max_choice_length": 12},
        length=40,
        own_step=True,
    ),
    "choice and language model": task(
        *(tasks.MultipleChoice, GPT_1, (TEXTS, CHOICES), [0, 1, 1, 0], ACCURACY),
        {"auxiliary_lm": 0.5, "pooling": "first", "summary_dim": 5, **NO_DROPOUT},
        length=40,
    ),
    "spans": task(
        *(tasks.SpanExtractor, COUNTED, (TEXTS, TEXTS), ANSWERS, SPANS, NO_DROPOUT, WINDOWS),
        length=64,
    ),
    "beams of spans": task(
        *(tasks.SpanExtractor, XLNET, (TEXTS, TEXTS), ANSWERS, BEAMS),
        {"beam": True, "start_top": 3, "end_top": 2, **NO_DROPOUT},
        WINDOWS,
        length=64,
        own_step=True,
    ),
    "masked tokens": task(tasks.MaskedLM, PLAIN, None, None, TARGETS, {"head_activation": "relu"}),
    "next tokens": task(tasks.CausalLM, GPT_2, None, None, TARGETS, {"use_bias": True}),
    "tokens after a source": task(
        tasks.PrefixLM, SIX_SEGMENTS, None, None, TARGETS, {"from_masks": False}
    ),
    "tokens behind an encoder": task(
        *(tasks.Seq2SeqLM, RELATIVE, None, None, TARGETS, {"label_smoothing": 0.1}),
        preprocessing={"target_length": 24, "prefix": "say: "},
        own_step=True,
    ),
    "classifier of both sides": task(
        *(tasks.TextClassifier, BOTH_SIDES, TEXTS, LABELS, ACCURACY),
        {"num_classes": 3, **NO_DROPOUT},
    ),
    "tokens in any order": task(tasks.PermutationLM, XLNET, None, None, TARGETS, {}),
    "vectors": task(
        *(tasks.TextEmbedder, POOLER, TEXTS, None, None, {"layers": [0, 1], "pooling": "max"}),
        trained=False,
    ),
}
SEVERAL = {
    "first": {"class": "TextClassifier", "num_classes": 3, **NO_DROPOUT},
    "second": {"class": "TextRegressor", "summarise": False, **NO_DROPOUT},
}


def several_tasks(of, layout, **row):
    """A row of two tasks on one backbone; its batches are of the first one."""

    def make(tools, **changes):
        tokenizer = tools.tokenizers[layout]
        if of is models.mt_dnn:
            sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
            rates = {"dropout": 0.0, "attention_dropout": 0.0}
            kinds = {**SEVERAL, "second": {**SEVERAL["first"], "pooling": "san"}}
            return of(tokenizer, "tiny", 32, kinds, **{**sizes, **rates, **changes})
        backbone = tools.make_transformer(tokenizer.vocabulary_size, **changes)
        return of(backbone, SEVERAL, tasks.TextPreprocessor(tokenizer, 32))

    def batch(tools, model, number):
        weights = [1.0, 0.5, 2.0, 1.0 + number]
        return {"first": PAIRS}, {"first": LABELS}, {"first": weights}

    return Row(of, make, batch, {"loss", "first_loss"}, **row)


TASKS["several tasks"] = several_tasks(tasks.MultiTask, "bert", own_step=True)
TASKS["mt_dnn"] = several_tasks(models.mt_dnn, "bert")
TASKS["classifier of static vectors"] = replace(
    TASKS["classifier"], make=classifier_of_vectors, own_step=False, quick_in_jax=False
)
ROWS = {**SYSTEMS, **TASKS}


def test_every_system_and_every_task_has_a_row():
    systems = {
        function
        for name, function in inspect.getmembers(models, inspect.isfunction)
        if function.__module__ == models.__name__ and not name.startswith("_")
    }
    classes = {getattr(tasks, name) for name in tasks.__all__}
    classes = {one for one in classes if inspect.isclass(one) and issubclass(one, tasks.Task)}
    assert {row.of for row in ROWS.values()} == systems | classes - {tasks.Task, tasks.Pretrainer}


# === What all columns use ===


@pytest.fixture(scope="session")
def tools(
    tokenizers,
    gpt_transfer,
    sentinels,
    corpora,
    sentinel_corpus,
    word_tokenizer,
    word_corpus,
    make_backbone,
    make_transformer,
    make_seq2seq,
    make_knowledge,
):
    return SimpleNamespace(
        tokenizers={
            **tokenizers,
            "gpt1_transfer": gpt_transfer,
            "sentinels": sentinels,
            "words": word_tokenizer,
        },
        corpora={**corpora, "sentinels": sentinel_corpus, "words": word_corpus},
        make_backbone=make_backbone,
        make_transformer=make_transformer,
        make_seq2seq=make_seq2seq,
        make_knowledge=make_knowledge,
    )


def train(model, batch):
    """What one step on a batch tells."""
    if isinstance(batch, data.Examples):
        history = model.fit(batch, steps_per_epoch=1, verbose=0).history
        return {name: value for name, (value,) in history.items()}
    return model.train_on_batch(*batch, return_dict=True)


def outputs_of(model, batch):
    """All outputs for a batch, by name."""
    if isinstance(batch, data.Examples):
        found = model.predict(batch, steps=1, verbose=0)
    else:
        found = model.predict(batch[0], batch_size=BATCH, verbose=0)
    return found if isinstance(found, dict) else {"output": found}


def weights_of(model):
    """All that a file keeps: no seeds of dropout, state of a memory, or vectors of entities."""
    return [one for one in model.weights if not re.search("seed|_state|entity_table", one.path)]


def copy_weights(old, new):
    for one, other in zip(weights_of(old), weights_of(new), strict=True):
        other.assign(np.array(ops.convert_to_numpy(one)))  # a copy: JAX gives its arrays away


def forget(model):
    """Drop the memory, if there is any, which no file keeps."""
    if getattr(model, "state", None) is not None:
        model.state.forget()


def arguments_of(thing):
    """The constructor's arguments, as attributes say them: settings cannot vouch for settings."""
    parts = {"backbone", "preprocessor", "tokenizer", "layers"}  # Keras has other `layers`
    names = set(inspect.signature(type(thing)).parameters) - parts
    return {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def check_settings(model, again):
    """Another model was made with the arguments of this one, preprocessor and tokenizer too."""
    assert type(again) is type(model) and again.settings() == model.settings()
    for one, other in ((model, again), (model.preprocessor, again.preprocessor)):
        first, second = arguments_of(one), arguments_of(other)
        assert type(other) is type(one) and second == first
    assert again.backbone.get_config() == model.backbone.get_config()
    assert again.preprocessor.settings() == model.preprocessor.settings()
    assert again.preprocessor.tokenizer.fingerprint == model.preprocessor.tokenizer.fingerprint


def close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **tolerance)


@pytest.fixture(scope="module", autouse=True)
def vectors_at_hand():
    """No file has the vectors of entities: configs that name them find them here."""
    with entity_vectors_at_hand(ENTITY_VECTORS):
        yield


@pytest.fixture
def state_of(values):
    """A function that copies all of a model but the seeds of dropout."""
    return lambda model: {
        name: value for name, value in values(model).items() if "seed" not in name
    }


@pytest.fixture(scope="module")
def made(request, tools, quick):
    """A model of a row that no test trains, of large weights that are the same on all backends."""
    row = ROWS[request.param]
    model = row.make(tools)
    compilation = model.get_compile_config()
    random = np.random.default_rng(0)
    for weight in weights_of(model):
        weight.assign(
            (weight.name in ("gamma", "moving_variance")) + random.normal(0, 0.3, weight.shape)
        )
    model.compile(**quick)
    batch = row.batch(tools, model, 0)
    outputs = outputs_of(model, batch)
    return SimpleNamespace(row=row, model=model, batch=batch, outputs=outputs, asked=compilation)


def each(rows):
    """The models of rows; pytest runs all columns of one before it makes the next."""
    return pytest.mark.parametrize("made", rows, indirect=True)


# === The columns ===


@each(ROWS)
def test_config_round_trip(made):
    config = made.model.get_config()
    written = json.dumps(config)
    again = type(made.model).from_config(config)
    assert json.dumps(config) == written
    assert again.get_config() == config
    assert arguments_of(again) == arguments_of(made.model)
    assert arguments_of(again.preprocessor) == arguments_of(made.model.preprocessor)


@each(ROWS)
def test_clone(made, quick):
    """A new task of new weights; with the same ones it gives the same outputs."""
    model = made.model
    compilation = model.get_compile_config()
    new = model.clone()
    check_settings(model, new)
    assert new.get_compile_config() == compilation == model.get_compile_config()
    assert not any(one is other for one in new.weights for other in model.weights)
    copy_weights(model, new)
    close(outputs_of(new, made.batch), made.outputs, rtol=1e-5, atol=1e-5)
    try:
        plain = keras.models.clone_model(model)
    except ValueError as error:
        assert "Use `task.clone()`" in str(error)
    else:
        assert plain.compiled and type(plain) is not type(model)
    assert model.get_compile_config() == compilation


@each(ROWS)
def test_xla_is_left_to_the_backend(made):
    assert made.asked["jit_compile"] == "auto"


@each(ROWS)
def test_preset_round_trip(made, tmp_path, caplog, quick):
    model, directory = made.model, str(tmp_path / "preset")
    model.save_to_preset(directory)
    with caplog.at_level(logging.WARNING, "keras_plm"):
        again = type(model).from_preset(directory)
    assert not caplog.records  # no head starts new
    check_settings(model, again)
    for old, new in zip(weights_of(model), weights_of(again), strict=True):
        if (
            old.name == "current_weight"
        ):  # of the auxiliary loss: a preset has the one of `settings`
            continue
        old, new = (ops.convert_to_numpy(weight) for weight in (old, new))
        np.testing.assert_array_equal(new, old)
    again.compile(**quick)
    close(outputs_of(again, made.batch), made.outputs, rtol=1e-6, atol=1e-6)


@each(ROWS)
def test_mixed_precision(made, tools, quick):
    """Outputs of float32, off by less than 4 % of the largest one: 2.4 % is found."""
    half = made.row.make(tools, dtype="mixed_bfloat16")
    copy_weights(made.model, half)
    half.compile(**quick)
    found = outputs_of(half, made.batch)
    assert {name: value.dtype for name, value in found.items()} == {
        name: value.dtype for name, value in made.outputs.items()
    }
    for name, value in made.outputs.items():
        real = value > -1e9  # not masked
        if value.dtype == "float32":
            difference = np.abs(found[name] - value)[real].max()
            assert difference < 0.04 * max(1.0, np.abs(value[real]).max()), name
    assert {"float32"} == {weight.dtype for weight in weights_of(half)}
    computed = {head.dtype_policy.name for head in half.heads.values()}
    assert computed <= {"mixed_bfloat16"}
    if made.row.trained:
        assert np.isfinite(list(train(half, made.batch).values())).all()
    if getattr(half, "state", None) is not None:
        carried = keras.tree.flatten(half.state.training_state)
        assert {one.dtype for one in carried} <= {"bfloat16", "bool"}


@each(ROWS)
def test_keras_file_goes_on_training(made, tools, tmp_path, state_of, same, quick):
    row = made.row
    model = row.make(tools)
    if row.trained:
        optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
        model.compile(optimizer, **quick)
        logs = [train(model, made.batch) for _ in range(3)]
        assert logs[-1]["loss"] < logs[0]["loss"]
        assert "skipped_batches" in logs[0]
        assert row.logs in (None, set(logs[0]) - {"skipped_batches"})
        if row in SYSTEMS.values():
            assert logs[0]["loss"] < 1.2 * len(model.heads) * np.log(300)
    forget(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    check_settings(model, again)
    assert same(state_of(model), state_of(again))
    assert same(*(outputs_of(one, made.batch) for one in (model, again)))
    if row.trained:
        following = row.batch(tools, model, 1)
        logs = [train(one, following) for one in (model, again)]
        assert logs[0] == logs[1]
        assert same(state_of(model), state_of(again))


@each(ROWS)
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_files_of_int8(made, tools, tmp_path, quick):
    """Layers that a head shares with the backbone are in a file once."""
    model = made.row.make(tools)
    copy_weights(made.model, model)
    model.quantize("int8")
    model.compile(**quick)
    expected = outputs_of(model, made.batch)
    forget(model)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    for again in (
        type(model).from_preset(tmp_path / "preset"),
        keras.saving.load_model(tmp_path / "model.keras", compile=False),
    ):
        again.compile(**quick)
        assert [one.dtype for one in again.weights] == [one.dtype for one in model.weights]
        close(outputs_of(again, made.batch), expected, rtol=1e-6, atol=1e-6)


@each(ROWS)
def test_what_is_frozen_stays_so(made, tools, tmp_path):
    """A layer of the backbone, a layer inside of another, and a head, in both files."""
    model = made.row.make(tools)
    blocks = [one for one in model.backbone._layers if one.weights]
    deep = [one for one in blocks[-1]._flatten_layers(include_self=False) if one.weights]
    members = getattr(model, "members", {"": model}).values()
    heads = [head for one in members for head in one.heads.values() if head.weights]
    for layer in (blocks[0], *deep[:1], *heads[-1:]):
        layer.trainable = False
    expected = [one.trainable for one in model.weights]
    trained = len(model.trainable_weights)
    assert not all(expected)
    forget(model)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    for again in (
        type(model).from_preset(tmp_path / "preset"),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert [one.trainable for one in again.weights] == expected
        assert len(again.trainable_weights) == trained


@each({name: row for name, row in ROWS.items() if row.trained})
def test_adam_moves_each_weight_by_its_rate(made, tools, quick):
    """In a first step m is the root of v, if the gradients of a token's places are one sum."""
    model = made.row.make(tools)
    model.compile(keras.optimizers.Adam(1e-2, epsilon=1e-20), **quick)
    weights = list(model.trainable_weights)
    before = [np.array(ops.convert_to_numpy(weight)) for weight in weights]
    train(model, made.batch)
    for weight, old in zip(weights, before):
        moved = np.abs(ops.convert_to_numpy(weight) - old)
        assert moved.max() == 0 or abs(moved.max() - 1e-2) < 1e-5, weight.path


@pytest.mark.slow
@each([name for name, row in ROWS.items() if row.own_step])
def test_xla_computes_the_same(made, tools, state_of, with_xla):
    if keras.backend.backend() == "jax" and not made.row.quick_in_jax:
        pytest.skip("JAX runs a step without XLA one operation at a time: two rows are enough")
    model, ends = made.row.make(tools), []
    following = made.row.batch(tools, model, 1)
    for options in ({"jit_compile": True}, {"jit_compile": False, "run_eagerly": True}):
        copy_weights(made.model, model)
        model.compile(keras.optimizers.SGD(1.0), **options)
        assert model.jit_compile == options["jit_compile"]
        if getattr(model, "state", None) is not None:
            model.state.forget()
            model.state.resize(BATCH, training=True)
            for state in keras.tree.flatten(model.state.training_state):
                if state.dtype != "bool":
                    state.assign(np.random.default_rng(0).normal(size=state.shape))
        ends.append((train(model, following), state_of(model)))
    (logs, state), (expected_logs, expected_state) = ends
    close(logs, expected_logs, rtol=1e-4, atol=1e-6)
    close(state, expected_state, rtol=1e-5, atol=1e-5)
