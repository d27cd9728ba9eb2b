"""What every test file gets: a quiet backend, random numbers and memory of its own, tiny models.

What needs the package is imported in the fixtures: the tests of data and of objectives run without
a backend.
"""

import gc
import gzip
import json
import logging
import os
import re
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA takes seconds for every step that it compiles: it is on where a test is about it (`with_xla`).
os.environ.setdefault("KERAS_PLM_JIT_COMPILE", "0")
# JAX compiles everything, mostly for one run: the plainer code generator of XLA takes half the time
# (109 s of processor time were 56 for 41 tests of the contract). Read when JAX starts.
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
    )

# TensorFlow warns of functions that are traced anew, by how many other tests there were before:
# what a test looks for in `caplog` would depend on their order.
logging.getLogger("tensorflow").addFilter(lambda record: "retracing" not in record.getMessage())

FIXTURES = Path(__file__).parent / "fixtures"
BOOK = FIXTURES / "botchan.txt"


def pytest_report_header():
    return f"keras backend: {os.environ.get('KERAS_BACKEND', 'tensorflow (the default)')}"


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    """A function that runs a page of docs from top to bottom, as a reader would; its names.

    It runs in `tmp_path`, beside a book, `novels.txt`. What is to be fewer, texts by what stands
    in their place, must be in the first block; `given` are names that the reader has already.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(BOOK, "novels.txt")

    def run_page(stem, fewer=(), **given):
        page, fewer = Path(__file__).parents[1] / "docs" / f"{stem}.md", dict(fewer)
        text, names = page.read_text("utf-8"), {"__name__": f"__{stem}__", **given}
        blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
        assert all(many in blocks[0].group(1) for many in fewer)
        for block in blocks:
            code, line = block.group(1), text[: block.start(1)].count("\n")
            for many, few in fewer.items():
                code = code.replace(many, few)
            exec(compile("\n" * line + code, str(page), "exec"), names)
        return names

    return run_page


@pytest.fixture(autouse=True)
def fixed_seed():
    """Start every test from the same seeds, so that no test depends on the ones before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def pytest_collection_finish():
    """Leave what was imported out of every later collection: half a million objects, .4 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def freed_memory():
    """Forget the graphs of a test file when it is done; `clear_session` collects the garbage.

    What is left belongs to the caches of JAX and TensorFlow: later collections leave it out, which
    took 40 % of the processor time at the end of a run on JAX, of gigabytes that nobody frees.
    """
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.freeze()


@pytest.fixture
def with_xla(monkeypatch):
    """Let XLA compile what asks for it, as it does for users by default."""
    monkeypatch.setenv("KERAS_PLM_JIT_COMPILE", "1")


@pytest.fixture(scope="module")
def quick_compilation():
    """Let JAX's XLA compile with little optimisation: half the time, for graphs that run once.

    Not for tests that compare processes. On TensorFlow few tests use XLA.
    """
    import keras

    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def graph():
    """Options of `compile` for a few steps: no XLA, unless JAX would crawl without it."""
    import keras

    return {"jit_compile": keras.backend.backend() == "jax"}


@pytest.fixture(scope="session")
def quick(graph):
    """Options of `compile` for a single step: not even a graph where that takes longer."""
    return graph if graph["jit_compile"] else {**graph, "run_eagerly": True}


@pytest.fixture
def jitted():
    """A function that compiles another by XLA, on any backend."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit
    import tensorflow as tf

    return lambda function: tf.function(function, jit_compile=True)


@pytest.fixture
def gradient(jitted):
    """The gradient of a scalar function of one float array, on any backend, jitted or not."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        derivative_of = jax.grad
    else:
        import tensorflow as tf

        def derivative_of(function):
            def derivative(value):
                with tf.GradientTape() as tape:
                    tape.watch(value)
                    result = function(value)
                return tape.gradient(result, value, unconnected_gradients="zero")

            return derivative

    def gradient(function, value, jit=False):
        derivative = jitted(derivative_of(function)) if jit else derivative_of(function)
        result = derivative(keras.ops.convert_to_tensor(value, "float32"))
        return keras.ops.convert_to_numpy(result)

    return gradient


@pytest.fixture
def value_and_gradients(jitted):
    """A function of nothing and its gradient by every weight, as numpy arrays by path."""
    import keras
    import numpy as np

    def value_and_gradients(function, weights, jit):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            def both():
                with tf.GradientTape() as tape:  # watches what is trainable, as Keras's step does
                    value = function()
                return value, tape.gradient(value, [weight.value for weight in weights])

            value, gradients = (jitted(both) if jit else both)()
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        else:
            import jax

            def stateless(values):
                mapping = list(zip(weights, values))
                with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
                    return function()

            start = [weight.value for weight in weights]
            both = jax.value_and_grad(stateless)
            value, gradients = (jitted(both) if jit else both)(start)
        named = zip(weights, gradients)
        return np.asarray(value), {weight.path: np.asarray(gradient) for weight, gradient in named}

    return value_and_gradients


# === Tokenizers and corpora of one small book ===


@pytest.fixture(scope="session")
def tokenizer():
    """A tokenizer with XLNet's pieces and rows."""
    from keras_plm import data

    return data.train_tokenizer([BOOK], vocabulary_size=300)


@pytest.fixture(scope="session")
def wordpiece():
    """A tokenizer with BERT's pieces and rows."""
    from keras_plm import data

    return data.train_tokenizer([BOOK], vocabulary_size=300, model="wordpiece", lowercase=True)


@pytest.fixture(scope="session")
def byte_level():
    """A tokenizer with RoBERTa's pieces and rows."""
    from keras_plm import data

    return data.train_tokenizer([BOOK], vocabulary_size=300, model="bpe")


@pytest.fixture(scope="session")
def tokenizers(tokenizer, wordpiece, byte_level):
    """One of each kind, by the name of its layout."""
    from keras_plm import data

    return {
        "xlnet": tokenizer,
        "bert": wordpiece,
        "roberta": byte_level,
        "gpt": data.SubwordTokenizer(byte_level.model, {"eos": "</s>"}, layout="gpt"),
        "xlm": data.SubwordTokenizer(
            byte_level.model,
            {"cls": "</s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>", "unk": "<unk>"},
            layout="xlm",
            languages={"en": 0, "fr": 2},
        ),
    }


@pytest.fixture(scope="session")
def gpt_transfer(tokenizers):
    """A tokenizer with GPT-1's rows for the texts of tasks, `<s> A $ B <e>`."""
    from keras_plm import data

    return data.add_special_tokens(tokenizers["gpt"], data.TRANSFER_TOKENS, "gpt1_transfer")


@pytest.fixture(scope="session")
def sentinels(byte_level):
    """A tokenizer with T5's sentinels."""
    from keras_plm import data

    return data.add_special_tokens(byte_level, data.SENTINEL_TOKENS)


@pytest.fixture(scope="session")
def corpus(tokenizer, tmp_path_factory):
    """The book in XLNet's pieces."""
    from keras_plm import data

    directory = tmp_path_factory.mktemp("corpus") / "book"
    return data.Corpus.build([BOOK], tokenizer, directory, num_workers=1)


@pytest.fixture(scope="session")
def corpora(tokenizers, tmp_path_factory):
    """The book in each tokenizer's pieces, with spans; XLM's is "text" and its "translation".

    BERT's has entities as well, numbers from 1 to 20.
    """
    from keras_plm import data

    directory = tmp_path_factory.mktemp("corpora")
    lines = [line for line in BOOK.read_text("utf-8").splitlines() if line.strip()]
    for name, text in (("en", lines[::2]), ("fr", lines[1::2])):
        (directory / name).write_text("\n".join(text[: len(lines) // 2]), "utf-8")
    files = {name: ([BOOK], {}) for name in tokenizers}
    english, french = directory / "en", directory / "fr"
    languages = ["en", "fr", ("en", "fr")]
    files["xlm"] = [english, french, (english, french)], {"languages": languages}
    files["bert"][1]["annotate"] = {
        "entities": entities_in,
        "capitals": data.find_capitals,
        "discourse_markers": data.find_discourse_markers,
    }
    return {
        name: data.Corpus.build(
            paths,
            tokenizers[name],
            directory / name,
            num_workers=1,
            find_spans=names_in,
            **options,
        )
        for name, (paths, options) in files.items()
    }


def names_in(sentence):
    """The characters of what is written in capitals, such as "Red Shirt"."""
    return [found.span() for found in re.finditer(r"\b[A-Z]\w+(?: [A-Z]\w+)*", sentence)]


def entities_in(sentence):
    """The names of a sentence with a number for each, from 1 to 20."""
    return [
        (begin, end, 1 + zlib.crc32(sentence[begin:end].encode()) % 20)
        for begin, end in names_in(sentence)
    ]


@pytest.fixture(scope="session")
def sentinel_corpus(sentinels, tmp_path_factory):
    """The book in the pieces of a tokenizer with T5's sentinels."""
    from keras_plm import data

    directory = tmp_path_factory.mktemp("sentinels") / "book"
    return data.Corpus.build([BOOK], sentinels, directory, num_workers=1)


@pytest.fixture(scope="session")
def word_tokenizer():
    """A tokenizer with ELMo's words and rows."""
    from keras_plm import data

    return data.train_tokenizer([BOOK], vocabulary_size=300, model="word", layout="elmo")


@pytest.fixture(scope="session")
def word_corpus(word_tokenizer, tmp_path_factory):
    """The book in words."""
    from keras_plm import data

    directory = tmp_path_factory.mktemp("words") / "book"
    return data.Corpus.build([BOOK], word_tokenizer, directory, num_workers=1)


@pytest.fixture(scope="session")
def other_tokenizer():
    """A tokenizer like `tokenizer`, but with other pieces."""
    from keras_plm import data

    return data.train_tokenizer([BOOK], vocabulary_size=260)


@pytest.fixture(scope="session")
def converted_tokenizer():
    """dict of tokenizer (a Hugging Face tokenizer.json), texts and their SentencePiece ids."""
    return json.loads(gzip.decompress((FIXTURES / "tokenizers_json.json.gz").read_bytes()))


@pytest.fixture(scope="session")
def subword_fixture():
    """dict of files (format -> name -> text), texts, and ids by transformers."""
    return json.loads(gzip.decompress((FIXTURES / "subword_tokenizers.json.gz").read_bytes()))


@pytest.fixture(scope="session")
def seq2seq_tokenizers():
    """dict of Marian's and T5's files, texts, and ids by transformers."""
    return json.loads(gzip.decompress((FIXTURES / "seq2seq_tokenizers.json.gz").read_bytes()))


@pytest.fixture(scope="session")
def subword_tokenizers(subword_fixture, tmp_path_factory):
    """dict of the fixture's names to tokenizers made of its files."""
    from keras_plm.checkpoints import tokenizer_format
    from keras_plm.checkpoints.conversion import TokenizerFiles
    from keras_plm.tokenizers import SubwordTokenizer
    from keras_plm.tokenizers.tokenizer_files import arguments_of_files

    lower = {"lowercase": True}
    forms = {  # name -> (files, format, settings)
        "bert_uncased": ("wordpiece", tokenizer_format.BERT, lower),
        "bert_cased": ("wordpiece", tokenizer_format.BERT, {"lowercase": False}),
        "bert_with_accents": (
            "wordpiece",
            tokenizer_format.BERT,
            {**lower, "strip_accents": False},
        ),
        "bert_whole_chinese": (
            "wordpiece",
            tokenizer_format.BERT,
            {**lower, "split_chinese": False},
        ),
        "mpnet": ("mpnet", tokenizer_format.MPNET, lower),
        "roberta": ("byte_level", tokenizer_format.ROBERTA, {}),
        "gpt2": ("byte_level", tokenizer_format.GPT2, {}),
        "gpt2_prefix_space": ("byte_level", tokenizer_format.GPT2, {"add_prefix_space": True}),
        "gpt": ("gpt", tokenizer_format.GPT, {}),
        "xlm": ("xlm", tokenizer_format.XLM, {"languages": {"en": 0, "el": 1, "zh": 2}}),
        "xlm_cased": ("xlm", tokenizer_format.XLM, {"lowercase": False}),
    }
    folder = tmp_path_factory.mktemp("subwords")
    for name, files in subword_fixture["files"].items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_bytes(text.encode())
    found = {}
    for name, (files, form, settings) in forms.items():
        _, arguments = arguments_of_files(
            TokenizerFiles(
                form.kind,
                {role: folder / files / file for role, file in form.files[0].items()},
                {**form.settings, **settings},
                form.layout,
                form.special,
            )
        )
        found[name] = SubwordTokenizer(**arguments)
    return found


# === A checkpoint as others write it ===


@pytest.fixture(scope="session")
def reference():
    """What transformers computed: see tests/fixtures/make_xlnet_checkpoints.py."""
    with np.load(FIXTURES / "xlnet_checkpoints.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def cases(reference):
    """The config, the names of the tensors and their shapes, by case."""
    return json.loads(str(reference["cases"]))


@pytest.fixture
def make_directory(reference, cases, tmp_path):
    """A function that writes the directory that transformers saved in one of the cases."""

    from safetensors.numpy import save_file

    def make_directory(case, name="hugging_face", change=None, **changes):
        directory = tmp_path / name
        directory.mkdir()
        names = cases[case]["names"]
        arrays = {key: reference[f"weights/{stored}"] for key, stored in names.items()}
        if change is not None:
            change(arrays)
        config = {**cases[case]["config"], **changes}
        (directory / "config.json").write_text(json.dumps(config))
        save_file(arrays, directory / "model.safetensors", metadata={"format": "pt"})
        return directory

    return make_directory


# === Tiny models ===


@pytest.fixture(scope="session")
def objective():
    from keras_plm.objectives import PermutationModeling

    return PermutationModeling(
        sequence_length=24, reuse_length=8, num_predict=6, permutation_size=8
    )


@pytest.fixture(scope="session")
def make_backbone(tokenizer):
    """A function that makes a tiny backbone, of large weights so that what it reads matters."""
    from keras_plm.backbones import XLNetBackbone

    def make_backbone(**changes):
        sizes = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32)
        options = dict(dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
        return XLNetBackbone(tokenizer.vocabulary_size, **{**sizes, **options, **changes})

    return make_backbone


@pytest.fixture(scope="session")
def make_transformer():
    """A function that makes a tiny TransformerBackbone, of large weights, for 64 tokens."""
    from keras_plm.backbones import TransformerBackbone

    def make_transformer(vocabulary_size, **changes):
        sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
        options = dict(dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
        options["max_sequence_length"] = 64
        return TransformerBackbone(vocabulary_size, **{**sizes, **options, **changes})

    return make_transformer


@pytest.fixture(scope="session")
def make_knowledge():
    """A function that makes a tiny KnowledgeBackbone, of large weights, without a table."""
    from keras_plm.backbones import KnowledgeBackbone

    def make_knowledge(vocabulary_size, **changes):
        sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
        options = dict(dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
        options["max_sequence_length"] = 64
        return KnowledgeBackbone(vocabulary_size, **{**sizes, **options, **changes})

    return make_knowledge


@pytest.fixture(scope="session")
def make_seq2seq():
    """A function that makes a tiny Seq2SeqBackbone, of large weights, for texts of any length."""
    from keras_plm.backbones import Seq2SeqBackbone

    def make_seq2seq(vocabulary_size, **changes):
        sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
        options = dict(dropout=0.0, initializer_range=0.3)
        return Seq2SeqBackbone(vocabulary_size, **{**sizes, **options, **changes})

    return make_seq2seq


@pytest.fixture(scope="session")
def make_pretrainer(tokenizer, objective, make_backbone):
    """A function that makes a tiny Pretrainer; `memory_length` gives it a memory."""
    from keras_plm.tasks import Pretrainer, TextPreprocessor

    def make_pretrainer(preprocessor=True, **changes):
        backbone = make_backbone(**{"reuse_length": objective.reuse_length, **changes})
        preprocessor = TextPreprocessor(tokenizer, 24) if preprocessor else None
        return Pretrainer(backbone, objective, preprocessor)

    return make_pretrainer


@pytest.fixture(scope="session")
def make_classifier(tokenizer, make_backbone):
    """A function that makes a tiny TextClassifier."""
    from keras_plm.tasks import TextClassifier, TextPreprocessor

    def make_classifier(num_classes=2, sequence_length=16, dropout=0.0, **changes):
        preprocessor = TextPreprocessor(tokenizer, sequence_length)
        return TextClassifier(make_backbone(**changes), num_classes, preprocessor, dropout)

    return make_classifier


# === Looks at all of a model ===


@pytest.fixture(scope="session")
def values():
    """A function that copies all of a model: weights, seeds, memory, optimizer."""
    from keras import ops

    def values(model):
        variables = [*model.variables, *(model.optimizer.variables if model.optimizer else ())]
        metrics = {id(variable) for variable in model.metrics_variables}
        copies = {}
        for variable in variables:
            if id(variable) not in metrics:
                number = sum(name.startswith(f"{variable.name} ") for name in copies)
                value = np.array(ops.convert_to_numpy(variable.value))
                copies[f"{variable.name} {number}"] = value
        return copies

    return values


@pytest.fixture(scope="session")
def same():
    """A function that says whether two dicts of arrays are equal to the bit."""

    def same(first, second):
        assert first.keys() == second.keys()
        different = [name for name in first if not np.array_equal(first[name], second[name])]
        assert not different
        return True

    return same
