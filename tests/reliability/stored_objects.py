"""One small object of each kind that is stored: made with a number's contents, saved, and read.

What `fuzz_files.py`, `kill_writers.py` and the tests of full disks damage and interrupt. An object
is made first and saved afterwards, so that processes that are started anew can save it at once.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np

BOOK = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
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


def classifier(number, kind="sentencepiece", **options):
    from keras_plm import backbones, tasks

    tokenizer = trained(kind, 200 if kind == "sentencepiece" else 300)
    size = tokenizer.vocabulary_size
    backbone = backbones.TransformerBackbone(size, max_sequence_length=8, **SIZES, **options)
    task = tasks.TextClassifier(backbone, 3, tasks.TextPreprocessor(tokenizer, 8))
    return filled(task, number)


def backbone(number):
    return classifier(number).backbone.save_to_preset


def read_backbone(directory):
    from keras_plm import backbones

    return numbers(backbones.Backbone.from_preset(directory).weights)


def task(number):
    return classifier(number).save_to_preset


def read_task(directory):
    from keras_plm import tasks

    task = tasks.TextClassifier.from_preset(directory)
    ids = task.preprocessor.tokenizer.encode(TEXT)
    return {**numbers(task.weights), "ids": np.array(ids)}


def corpus(number):
    """Of a text in which each word stands `number + 1` times."""
    from keras_plm import data

    tokenizer = trained("sentencepiece", 200)
    words = [" ".join([word] * (number + 1)) for word in TEXT.split() * 20]
    folder = tempfile.TemporaryDirectory()  # which is there as long as what is returned
    path = Path(folder.name, "text.txt")
    path.write_text(".\n\n".join(words), "utf-8")

    def save(directory, folder=folder):
        data.Corpus.build([path], tokenizer, directory, num_workers=1)

    return save


def read_corpus(directory):
    from keras_plm import data

    corpus = data.Corpus.open(directory)
    return {name: np.array(array) for name, array in corpus._arrays.items()}


def regression(number):
    import keras

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return filled(model, number)


def checkpoint(number):
    from keras_plm.tasks import Checkpoint

    model = regression(number)

    def save(directory):
        callback = Checkpoint(directory, start=number)
        callback.set_model(model)
        callback.save()

    return save


def read_checkpoint(directory):
    from keras_plm.tasks import resume

    model = _resumed()
    step = resume(model, directory)
    return {**numbers([*model.weights, *model.optimizer.variables]), "step": np.array(step)}


@functools.cache
def _resumed():
    return regression(-1)


def sentencepiece(number):
    return trained("sentencepiece", 300 + number).save


def subwords(number):
    return trained("wordpiece", 200 + number).save


def read_tokenizer(directory):
    from keras_plm import data

    tokenizer = data.Tokenizer.load(directory)
    return {
        "ids": np.array(tokenizer.encode(TEXT)),
        "pieces": np.array(tokenizer.pieces(range(tokenizer.vocabulary_size))),
    }


def hugging_face(number):
    from keras_plm import presets

    return functools.partial(
        presets.export_huggingface, classifier(number, "wordpiece", pooler=True)
    )


def read_hugging_face(directory):
    from keras_plm import backbones, data, presets

    opened = presets.open_preset(directory)
    weights = numbers(backbones.Backbone.from_preset(opened).weights)
    return {**weights, "ids": np.array(data.Tokenizer.from_preset(opened).encode(TEXT))}


KINDS = {  # name -> a function of a number that returns what saves it, and what reads it
    "backbone": (backbone, read_backbone),
    "task": (task, read_task),
    "corpus": (corpus, read_corpus),
    "checkpoint": (checkpoint, read_checkpoint),
    "sentencepiece": (sentencepiece, read_tokenizer),
    "subwords": (subwords, read_tokenizer),
    "hugging_face": (hugging_face, read_hugging_face),
}


def same(found, expected):
    """Whether two dicts of arrays are equal, to the bit."""
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name])
        for name in expected
    )
