"""Every constructor and method, called with what it cannot take: a table of calls.

Each call ends in a result, or in a clear error: one of ours, that says what it received. What is
refused leaves the weights as they were. The arguments are those of the signatures, so that a new
one is tried without being listed.

One call of forty is tried, always the same ones; this tries all, and prints how they ended:

    EVERY_CALL=1 python -m pytest -q -n0 -s -m "" tests/test_calls.py
"""

import collections
import inspect
import json
import math
import os
import signal
import traceback
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_plm
from keras_plm import backbones, heads, layers, metrics, models, objectives, preprocessing, tasks

pytestmark = pytest.mark.usefixtures("quick_compilation")

PACKAGE = str(Path(keras_plm.__file__).parent)

# What any argument may be given.
POOL = {
    "None": None,
    "str": "nonsense",
    "empty str": "",
    "float": 2.5,
    "True": True,
    "nan": math.nan,
    "inf": math.inf,
    "negative": -3,
    "negative float": -0.5,
    "zero": 0,
    "huge": 10**400,
    "empty list": [],
    "list": [1, 2],
    "dict": {"a": 1},
    "bytes": b"x",
    "array": np.ones((2, 3)),
    "objects": np.array([1, "a", None], object),
    "numpy nan": np.float32("nan"),
    "class": dict,
    "generator": (number for number in ()),
}


EVERY = int(os.environ.get("EVERY_CALL", 40))  # one call of so many is tried


def is_drawn(what):
    """Whether a call is one of those that are tried."""
    return zlib.crc32(what.encode()) % EVERY == 0


LONGEST = 120  # seconds, after which a call does not end


def no_end(*_):
    raise TimeoutError(f"no end in {LONGEST} s")


signal.signal(signal.SIGALRM, no_end)


class Calls:
    """Calls that were tried, and how they ended."""

    def __init__(self):
        self.endings, self.wrong = collections.Counter(), []

    def try_one(self, what, call, check=lambda result: None):
        """Call; note whether there is a result that stands a check, or a clear error, or neither.

        Returns the message of the error, or None.
        """
        message = None
        signal.alarm(LONGEST)
        try:
            wrong = check(call())
            ending = "results"
        except Exception as error:
            message, ending = str(error), "clear errors"
            wrong = unclear(error)
        finally:
            signal.alarm(0)
        self.endings["faults" if wrong else ending] += 1
        if wrong:
            self.wrong.append(f"{what}: {wrong}")
        return message

    def report(self, of):
        """Print the numbers; fail if a call ended in any other way."""
        print(f"\n{of}: {sum(self.endings.values())} calls, {dict(self.endings)}")
        assert not self.wrong, "\n".join(self.wrong)


def unclear(error):
    """What is wrong with an error, or None: it is one of ours, and says what it received."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    ours = place.filename.startswith(PACKAGE)
    message = str(error)
    if isinstance(error, NotImplementedError) and ours:
        return None
    if (
        isinstance(error, (TypeError, ValueError, FileNotFoundError))
        and ours
        and "Received" in message
    ):
        return None
    where = f"{place.filename[-50:]}:{place.lineno}"
    return f"{type(error).__name__}: {message[:200]!r} at {where}"


# === Constructors ===


def transformer(**options):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    options = {"dropout": 0.0, "attention_dropout": 0.0, "max_sequence_length": 48, **options}
    return backbones.TransformerBackbone(300, **{**sizes, **options})


def xlnet():
    return backbones.XLNetBackbone(300, 1, 2, 8, 16, dropout=0.0, attention_dropout=0.0)


STATE = {"cell": keras.KerasTensor((None, 4))}
# Arguments without a default: a good value, made once.
GOOD = {
    "num_heads": lambda: 2,
    "key_dim": lambda: 4,
    "hidden_dim": lambda: 8,
    "intermediate_dim": lambda: 16,
    "num_classes": lambda: 3,
    "num_layers": lambda: 1,
    "memory_length": lambda: 3,
    "vocabulary_size": lambda: 20,
    "max_sequence_length": lambda: 16,
    "num_buckets": lambda: 8,
    "units": lambda: 8,
    "lstm_dim": lambda: 8,
    "projection_dim": lambda: 4,
    "rate": lambda: 0.5,
    "output_dim": lambda: 8,
    "length": lambda: 3,
    "class_names": lambda: ["O", "B-a", "I-a"],
    "token_embedding": lambda: keras.layers.ReversibleEmbedding(20, 8),
    "softmax": lambda: heads.SoftmaxTable(20, 8),
    "num_entities": lambda: 3,
    "entity_dim": lambda: 8,
    "entity_table": lambda: layers.EntityTable(3, 8),
    "width": lambda: 8,
    "embedding": lambda: layers.TokenAndQueryEmbedding(20, 8),
    "block": lambda: layers.TransformerBlock(2, 4, 16),
    "spec": lambda: STATE,
    "carried": lambda: layers.CarriedState(STATE),
    "memory": lambda: layers.SegmentMemory(1, 3, 8),
    "objective": lambda: objectives.CausalModeling(16),
    "backbone": transformer,
    "backbone of CausalLM": lambda: transformer(causal=True),
    "backbone of PermutationLM": xlnet,
    "backbone of Seq2SeqLM": lambda: backbones.Seq2SeqBackbone(300, 1, 2, 8, 16, dropout=0.0),
    "backbone of PrefixLM": lambda: transformer(num_segments=6),
    "vocabulary_size of Denoising": lambda: 300,
    "vocabulary_size of Translation": lambda: 300,
    "end_token_ids": lambda: (7,),
    "select": objectives.SpanPartition,
    "input": lambda: objectives.SentinelInput(290, 10),
    "target": lambda: objectives.SentinelTarget(290, 10),
    "num_candidates": lambda: 9,
    "mask_token_id": lambda: 5,
    "first": lambda: 290,
    "masking": lambda: objectives.MaskedModeling(300, 5),
    "objectives": lambda: (objectives.CausalModeling(16), objectives.CausalModeling(16)),
    "objectives of ObjectiveSum": lambda: (
        objectives.MaskedModeling(300, 5, rows="sentence_pair"),
        objectives.SentencePair(512),
    ),
    "weights": lambda: (1, 2),
    "tasks": lambda: {"a": {"class": "TextClassifier", "num_classes": 2}},
}
# How messages call an argument that is handed on, if not by its last word (`activation`).
CALLED = {"span_boundary": "max_length"}
# Arguments that Keras, not this package, reads.
OF_KERAS = {"name", "dtype", "kwargs", "args"}
ROOMS = (layers, heads, metrics, backbones, preprocessing, objectives, tasks)
NO_CALLS = {  # abstract, or what calls return
    *("Head", "Targets", "Backbone", "Decoder", "RecomputingDecoder", "Task", "Preprocessor"),
    *("Answer", "AnswerSpan", "Choice", "Classification", "Filling", "SpanWindow", "TextScore"),
    *("Objective", "PlugIn", "PairLabel", "TokenLabel", "Rewriting", "Selection", "Hidden"),
    *("Arrangement", "Noise"),
    "Checkpoint",
}
CLASSES = {
    name: one
    for room in ROOMS
    for name, one in vars(room).items()
    if inspect.isclass(one) and one.__module__.startswith("keras_plm") and name not in NO_CALLS
}


@pytest.fixture(scope="module")
def good():
    """A function that gives a good value for an argument of a class."""
    made = {}

    def good(name, argument):
        key = f"{argument} of {name}"
        key = key if key in GOOD else argument
        if key not in made:
            made[key] = GOOD[key]()
        return made[key]

    return good


def saved(one):
    """What is wrong with what a constructor made: that its settings cannot be written as JSON."""
    try:
        json.dumps(one.get_config() if hasattr(one, "get_config") else None, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"made, with a config that is no JSON: {error}"


@pytest.mark.parametrize("name", CLASSES)
def test_constructor(name, good):
    cls, calls = CLASSES[name], Calls()
    arguments = [
        argument
        for argument in inspect.signature(cls).parameters.values()
        if argument.name not in OF_KERAS
    ]
    needed = [one.name for one in arguments if one.default is one.empty]
    for argument in arguments:
        own = {other: good(name, other) for other in needed if other != argument.name}
        for kind, value in POOL.items():
            what = f"{name}({argument.name}={kind})"
            if not is_drawn(what):
                continue
            message = calls.try_one(what, lambda: cls(**own, **{argument.name: value}), saved)
            said = CALLED.get(argument.name, argument.name.split("_")[-1])
            if message and said not in message:
                calls.wrong.append(f"{what} does not name the argument: {message:.200}")
    calls.report(name)


# === Methods ===

BATCH = 3
TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish"]
QUESTIONS = ["a dog", "a fish", "a boat"]
WORDS = [text.split() for text in TEXTS]
LABELS, IDS = [0, 1, 1], [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
ANSWERS = [{"text": [text[:3]], "answer_start": [0]} for text in TEXTS[:2]] + [None]

# What may stand in the place of texts, ids, labels or weights, beside what is in the pool.
DATA = {
    "number": 5,
    "bytes": b"abc",
    "text": "the dog",
    "none in a list": [None, None, None],
    "one is none": ["a", None, "b"],
    "one is a number": ["a", 3, "b"],
    "empty text": ["a", "", "b"],
    "blank text": ["a", " \n\t", "b"],
    "long text": ["dog " * 500] * 3,
    "surrogate": ["\ud800", "a", "b"],
    "odd unicode": ["\u0000\u202e\ufeff", "e\u0301\u0327", "\U0001f468\u200d\U0001f469"],
    "bytes in a list": [b"\xff", b"a", b"b"],
    "one row": ["a"],
    "two rows": [0, 1],
    "lists of lists": [["a"], ["b", "c"], ["d"]],
    "ragged": [[1], [2, 3], []],
    "deep": [[[1]], [[2]], [[3]]],
    "tuple": ("a", "b"),
    "triple": ("a", "b", "c", "d"),
    "set": {"a", "b"},
    "ids": np.array([[3, 4, 5]] * 3),
    "id too large": [[3, 300], [4], [5]],
    "id negative": [[3, -2], [4], [5]],
    "float ids": [[3.5, 1.0], [4.0], [5.0]],
    "no rows": np.zeros((0,)),
    "no columns": np.zeros((3, 0)),
    "matrix": np.zeros((3, 3)),
    "cube": np.zeros((3, 2, 2)),
    "scalar": np.float32(1),
    "labels too large": [0, 1, 9],
    "negative labels": [0, -1, 1],
    "half labels": [0.5, 0.25, 1.0],
    "nan labels": [0.0, math.nan, 1.0],
    "inf labels": [0.0, math.inf, 1.0],
    "huge labels": [0, 10**400, 1],
    "complex": np.ones(3, complex),
    "dates": np.array(["2020-01-01"] * 3, "datetime64[D]"),
    "objects in a list": [object()] * 3,
    "strings as labels": ["yes", "no", "yes"],
    "no weight": [0.0, 0.0, 0.0],
    "dict of rows": {"tokens": [[1]] * 3},
}


def changed(features):
    """Dicts of features, each with a fault, by what is wrong."""
    yield "no features", {}
    yield "one feature more", {**features, "unknown": features["token_ids"]}
    for name, value in features.items():
        yield f"without {name}", {key: own for key, own in features.items() if key != name}
        for what, other in {
            "none": None,
            "text": "a",
            "list": value.tolist(),
            "rank": value[0],
            "deeper": value[None],
            "fewer rows": value[:1],
            "no rows": value[:0],
            "shorter": value[..., :1],
            "longer": np.concatenate([value] * 9, axis=-1),
            "floats": value.astype("float32") + 0.5,
            "nan": np.full(value.shape, np.nan),
            "objects": np.full(value.shape, None, object),
            "strings": value.astype(str),
            "bytes": value.astype(str).astype(bytes),
            "negative": -1 - value.astype("int32"),
            "too large": value.astype("int32") + 10**6,
            "64 bits": value.astype("int64") + 2**40,
            "nothing": np.zeros_like(value),
        }.items():
            yield f"{name}: {what}", {**features, name: other}


def make(cls, tokenizer, **arguments):
    """A task, without a graph of TensorFlow's."""
    backbone = GOOD.get(f"backbone of {cls.__name__}", GOOD["backbone"])()
    task = cls(backbone, preprocessor=cls.preprocessor_class(tokenizer, 40), **arguments)
    jax = keras.backend.backend() == "jax"
    task.compile(jit_compile=jax, **({} if jax else {"run_eagerly": True}))
    return task


def targets(task):
    """Features with targets, and their labels and weights."""
    if isinstance(task, tasks.Seq2SeqLM):
        return task.preprocess_samples(TEXTS, TEXTS[::-1])
    x = tasks.TextPreprocessor(task.preprocessor.tokenizer, 16).call(TEXTS)
    x["target_positions"] = np.array([[1, 2]] * BATCH, "int32")
    x["order"] = np.zeros_like(x["token_ids"])
    weights = {"tokens": np.ones((BATCH, 2), "float32")}
    return task.keep_inputs(x), {"tokens": np.array([[5, 6]] * BATCH)}, weights


QUIET = {"verbose": 0}
# Of each task: its layout, its own arguments, its data, and its methods with arguments that are
# right. What is not listed is asked by the signature.
TASKS = {
    "TextClassifier": ("bert", {"num_classes": 2}, (TEXTS, LABELS), {"classify": {"texts": TEXTS}}),
    "TextRegressor": ("bert", {}, (TEXTS, [0.5, 1.0, 2.0]), {}),
    "TokenClassifier": (
        "bert",
        {"num_classes": 3, "class_names": ["O", "B-a", "I-a"]},
        (WORDS, [[0] * len(words) for words in WORDS]),
        {"tag": {"texts": WORDS, **QUIET}},
    ),
    "SpanExtractor": (
        "bert",
        {},
        ((QUESTIONS, TEXTS), ANSWERS),
        {"answer": {"questions": QUESTIONS, "contexts": TEXTS}},
    ),
    "MultipleChoice": ("bert", {}, ((TEXTS, [["a dog", "two"]] * 3), LABELS), {}),
    "TextEmbedder": ("bert", {}, (TEXTS, None), {"embed": {"texts": TEXTS}}),
    "MaskedLM": (
        "bert",
        {},
        None,
        {"fill_mask": {"texts": ["the [MASK]"] * 3}, "score": {"texts": ["a dog"] * 3}},
    ),
    "CausalLM": (
        "gpt",
        {},
        None,
        {
            "generate": {"prompts": IDS, "max_length": 6, "sampler": "greedy", "seed": 1},
            "score": {"texts": IDS, "prompts": IDS},
            "choose": {"prompts": IDS, "choices": [[[5], [6, 7]]] * 3},
        },
    ),
    "PrefixLM": ("bert", {}, None, {"generate": {"sources": TEXTS, "max_length": 3, "seed": 1}}),
    "Seq2SeqLM": (
        "roberta",
        {},
        None,
        {
            "generate": {"sources": TEXTS, "max_length": 3, "seed": 1},
            "score": {"sources": TEXTS, "targets": TEXTS[::-1]},
            "choose": {"sources": TEXTS, "choices": [["a dog", "two"]] * 3},
        },
    ),
    "PermutationLM": (
        "xlnet",
        {},
        None,
        {
            "generate": {"prompts": IDS, "max_length": 6, "sampler": "greedy", "seed": 1},
            "infill": {"texts": [[5, -1, 7]] * 3, "sampler": "greedy", "seed": 1},
            "score": {"texts": IDS, "prompts": IDS},
        },
    ),
}
QUICK = ("TokenClassifier", "TextEmbedder", "CausalLM")
TRAINING = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch")
# Arguments of Keras's methods that ours hand on.
HANDED_ON = {
    "fit": ("epochs", "steps_per_epoch", "initial_epoch", "validation_split", "class_weight"),
    "evaluate": ("steps",),
    "train_on_batch": ("class_weight",),
}
# What Keras itself reads.
LEFT_TO_KERAS = {"verbose", "callbacks", "kwargs", "kw"}


def calls_of(task, row):
    """Yield the name of each method, and the arguments of it that are right."""
    _, _, given, methods = row
    x, y, weights = targets(task) if given is None else (*given, None)
    for method in TRAINING:
        own = {"x": x} if method == "predict" else {"x": x, "y": y, "sample_weight": weights}
        own = {name: value for name, value in own.items() if value is not None}
        yield method, {**own, **({} if "batch" in method else QUIET)}
    yield from methods.items()


def finite(result):
    """What is wrong with a result: it has no numbers, or such as are not finite."""
    result = result.history if isinstance(result, keras.callbacks.History) else result
    for leaf in keras.tree.flatten(result):
        if isinstance(leaf, (float, np.ndarray, np.generic)) and np.asarray(leaf).dtype.kind == "f":
            if not np.isfinite(leaf).all():
                return f"not finite: {leaf!r:.100}"


@pytest.fixture(scope="module")
def made(tokenizers):
    """A function that makes the task of a row, its optimizer built."""

    def made(name):
        layout, arguments, _, _ = row = TASKS[name]
        task = make(getattr(tasks, name), tokenizers[layout], **arguments)
        task._build_optimizer()
        return task, row

    return made


@pytest.mark.parametrize("name", TASKS)
def test_methods(name, made, values, same):
    compiled = keras.backend.backend() == "jax"
    if compiled and name not in QUICK and "EVERY_CALL" not in os.environ:
        pytest.skip("JAX compiles five programs for each task: with EVERY_CALL they are all tried")
    task, row = made(name)
    calls = Calls()
    for method, right in calls_of(task, row):
        call = getattr(task, method)
        calls.try_one(f"{name}.{method}, rightly", lambda: call(**right), finite)
        names = {*inspect.signature(call).parameters, *HANDED_ON.get(method, ())} - LEFT_TO_KERAS
        faults = [
            (argument, fault, value)
            for argument in sorted(names)
            for fault, value in (POOL | DATA).items()
        ]
        if method in TRAINING and not isinstance(right["x"], dict):
            features = dict(task.keep_inputs(task.preprocessor.call(right["x"])))
            faults += [("x", fault, value) for fault, value in changed(features)]
        before = values(task)
        for argument, fault, value in faults:
            what = f"{name}.{method}({argument}={fault})"
            if not is_drawn(what):
                continue
            count = calls.endings["results"]
            calls.try_one(what, lambda: call(**{**right, argument: value}), finite)
            if calls.endings["results"] > count:
                before = values(task)
                continue
            try:
                same(before, values(task))
            except AssertionError as error:
                calls.wrong.append(f"{what} was refused, and changed the model: {error}")
                before = values(task)
    calls.report(name)


# === The catalogue ===

SYSTEMS = {
    name: one
    for name, one in inspect.getmembers(models, inspect.isfunction)
    if one.__module__ == models.__name__ and name[0] != "_"
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_system(name, tokenizers, sentinels, word_tokenizer):
    layout = {"xlnet": "xlnet", "roberta": "roberta", "xlm": "xlm"}.get(name, "bert")
    layout = "gpt" if name.startswith("gpt") else layout
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, sequence_length=32)
    sizes = sizes if name != "skip_gram" else dict(hidden_dim=8, sequence_length=32)
    tokenizer = sentinels if name == "t5" else tokenizers[layout]
    if name == "elmo":
        tokenizer = word_tokenizer
        sizes = dict(projection_dim=4, lstm_dim=8, filters=((1, 3),), sequence_length=32)
    if name in ("ulmfit", "siatl"):
        sizes = dict(num_layers=1, hidden_dim=8, lstm_dim=8, sequence_length=32)
    right = {"tokenizer": tokenizer, "size": "tiny", **sizes}
    calls = Calls()
    dropout = {"skip_gram": "word_dropout", "ulmfit": "output_dropout", "siatl": "output_dropout"}
    dropout = dropout.get(name, "dropout")
    for argument in (*inspect.signature(SYSTEMS[name]).parameters, dropout):
        for fault, value in POOL.items():
            what = f"{name}({argument}={fault})"
            if argument != "overrides" and is_drawn(what):
                calls.try_one(what, lambda: SYSTEMS[name](**{**right, argument: value}))
    calls.report(name)
