"""A tokenizer and a corpus of one small book, tiny models over them, and looks at all weights."""

from pathlib import Path

import numpy as np
import pytest

from keras_plm import data
from keras_plm.objectives import PermutationModeling

BOOK = Path(__file__).parents[1] / "fixtures" / "botchan.txt"


@pytest.fixture(autouse=True, scope="module")
def quick_compilation(request):
    """Let JAX's XLA compile with little optimisation, which takes half the time.

    Not where processes are compared, nor on TensorFlow, where few tests use XLA.
    """
    import keras

    if keras.backend.backend() != "jax" or request.module.__name__.endswith("test_checkpoint"):
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


@pytest.fixture(scope="session")
def tokenizer():
    return data.train_tokenizer([BOOK], vocabulary_size=300)


@pytest.fixture(scope="session")
def other_tokenizer():
    return data.train_tokenizer([BOOK], vocabulary_size=260)


@pytest.fixture(scope="session")
def wordpiece():
    """A tokenizer with BERT's pieces and rows."""
    return data.train_tokenizer([BOOK], vocabulary_size=300, model="wordpiece", lowercase=True)


@pytest.fixture(scope="session")
def byte_level():
    """A tokenizer with RoBERTa's pieces and rows."""
    return data.train_tokenizer([BOOK], vocabulary_size=300, model="bpe")


@pytest.fixture(scope="session")
def gpt_transfer(byte_level):
    """A tokenizer with GPT-1's rows for the texts of tasks, `<s> A $ B <e>`."""
    plain = data.SubwordTokenizer(byte_level.model, {"eos": "</s>"}, layout="gpt")
    return data.add_special_tokens(plain, data.TRANSFER_TOKENS, "gpt1_transfer")


@pytest.fixture(scope="session")
def corpus(tokenizer, tmp_path_factory):
    return data.Corpus.build(
        [BOOK], tokenizer, tmp_path_factory.mktemp("corpus") / "book", num_workers=1
    )


@pytest.fixture(scope="session")
def objective():
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


class _Changed:
    """Batches of `examples`, each changed by a function of (step, batch)."""

    def __init__(self, batches, change):
        self.batches, self.change = batches, change

    def __getattr__(self, name):
        return getattr(self.__dict__["batches"], name)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, step):
        return self.change(step, self.batches[step])


@pytest.fixture(scope="session")
def change_batches():
    """A function that changes what `Examples` makes."""

    def change_batches(dataset, change):
        return data.Examples(_Changed(dataset._batches, change), dataset.start)

    return change_batches
