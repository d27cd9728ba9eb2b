"""One small object of each kind that is stored: written with one number's contents, and read.

What `fuzz_files.py`, `kill_writers.py` and the tests of full disks damage and interrupt.
"""

import functools
import os
from pathlib import Path

import numpy as np

BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"
TEXT = "The old man looked at his watch, and then he went out of the room. "
SIZES = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8)


def numbers(variables):
    """The values of Keras variables, by path."""
    from keras import ops

    return {one.path: np.array(ops.convert_to_numpy(one.value)) for one in variables}


def filled(model, number):
    """The model, each of its weights filled with numbers that say which it is."""
    for index, variable in enumerate(model.weights):
        if "seed" not in variable.path:
            count = np.arange(np.prod(variable.shape), dtype="float32").reshape(variable.shape)
            variable.assign(number + index / 64 + count / 4096)
    return model


@functools.cache
def trained(model, size):
    from keras_plm import data

    return data.train_tokenizer([BOOK], size, model=model)


@functools.cache
def classifier():
    from keras_plm import backbones, tasks

    tokenizer = trained("sentencepiece", 200)
    backbone = backbones.TransformerBackbone(200, max_sequence_length=8, **SIZES)
    return tasks.TextClassifier(backbone, 3, tasks.TextPreprocessor(tokenizer, 8))


def write_backbone(directory, number):
    filled(classifier().backbone, number).save_to_preset(directory)


def read_backbone(directory):
    from keras_plm import backbones

    return numbers(backbones.Backbone.from_preset(directory).weights)


def write_task(directory, number):
    filled(classifier(), number).save_to_preset(directory)


def read_task(directory):
    from keras_plm import tasks

    task = tasks.TextClassifier.from_preset(directory)
    ids = task.preprocessor.tokenizer.encode(TEXT)
    return {**numbers(task.weights), "ids": np.array(ids)}


@functools.cache
def texts(number):
    """A text file in which each word stands `number + 1` times."""
    import tempfile

    path = Path(tempfile.mkdtemp()) / "text.txt"
    words = (" ".join([word] * (number + 1)) for word in TEXT.split() * 20)
    path.write_text(".\n\n".join(words), "utf-8")
    return path


def write_corpus(directory, number):
    from keras_plm import data

    tokenizer = trained("sentencepiece", 200)
    data.Corpus.build([texts(number)], tokenizer, directory, num_workers=1)


def read_corpus(directory):
    from keras_plm import data

    corpus = data.Corpus.open(directory)
    return {name: np.array(array) for name, array in corpus._arrays.items()}


@functools.cache
def regression():
    import keras

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def write_checkpoint(directory, number):
    from keras_plm.tasks import Checkpoint

    callback = Checkpoint(directory, start=number)
    callback.set_model(filled(regression(), number))
    callback.save()


def read_checkpoint(directory):
    from keras_plm.tasks import resume

    model = filled(regression(), -1)
    step = resume(model, directory)
    return {**numbers([*model.weights, *model.optimizer.variables]), "step": np.array(step)}


def write_tokenizer(kind):
    def write(directory, number):
        trained(kind, 300 + number % 2).save(directory)

    return write


def read_tokenizer(directory):
    from keras_plm import data

    tokenizer = data.Tokenizer.load(directory)
    return {
        "ids": np.array(tokenizer.encode(TEXT)),
        "pieces": np.array(tokenizer.pieces(range(tokenizer.vocabulary_size))),
    }


def write_hugging_face(directory, number):
    from keras_plm import presets

    presets.export_huggingface(filled(_exported(), number), directory)


@functools.cache
def _exported():
    from keras_plm import backbones, tasks

    tokenizer = trained("wordpiece", 300)
    backbone = backbones.TransformerBackbone(300, max_sequence_length=8, pooler=True, **SIZES)
    return tasks.TextClassifier(backbone, 3, tasks.TextPreprocessor(tokenizer, 8))


def read_hugging_face(directory):
    from keras_plm import backbones, data, presets

    opened = presets.open_preset(directory)
    weights = numbers(backbones.Backbone.from_preset(opened).weights)
    return {**weights, "ids": np.array(data.Tokenizer.from_preset(opened).encode(TEXT))}


KINDS = {  # name -> (write, read)
    "backbone": (write_backbone, read_backbone),
    "task": (write_task, read_task),
    "corpus": (write_corpus, read_corpus),
    "checkpoint": (write_checkpoint, read_checkpoint),
    "sentencepiece": (write_tokenizer("sentencepiece"), read_tokenizer),
    "subwords": (write_tokenizer("wordpiece"), read_tokenizer),
    "hugging_face": (write_hugging_face, read_hugging_face),
}


def same(found, expected):
    """Whether two dicts of arrays are equal, to the bit."""
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name])
        for name in expected
    )


def size_of(directory):
    """The bytes of all files below a directory."""
    found = (os.path.join(root, name) for root, _, names in os.walk(directory) for name in names)
    return sum(os.path.getsize(path) for path in found)
