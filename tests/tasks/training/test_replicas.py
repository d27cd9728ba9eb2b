"""Tasks in a `tf.distribute` strategy, built in its scope and fitted outside; see `SCRIPT`."""

import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

SCRIPT = """
    import json
    import sys

    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import keras
    import numpy as np

    from keras_plm import data, models
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.preprocessing import TextPreprocessor
    from keras_plm.tasks import Checkpoint, TextClassifier, resume
    from keras_plm.transfer import AdamWeightDecay

    folder = sys.argv[1]
    wordpiece = data.SubwordTokenizer.load(folder + "/wordpiece")
    gpt_tokenizer = data.SubwordTokenizer.load(folder + "/gpt")
    corpus = data.Corpus.open(folder + "/gpt_corpus")
    texts = ["the old man", "a foul night and rain", "he went out", "alice was tired"] * 2
    labels = np.array([0, 1, 1, 0] * 2)
    small = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, dropout=0.0)
    found = {}

    def classifier():
        keras.utils.set_random_seed(0)
        backbone = TransformerBackbone(wordpiece.vocabulary_size, pooler=True,
                                       max_sequence_length=16, **small)
        preprocessor = TextPreprocessor(wordpiece, sequence_length=16)
        model = TextClassifier(backbone, 2, preprocessor, dropout=0.0)
        model.compile(jit_compile=False)
        return model

    def pretrainer():
        keras.utils.set_random_seed(0)
        settings = {**small, "attention_dropout": 0.0}
        model = models.gpt2(gpt_tokenizer, "tiny", sequence_length=16, **settings)  # full rows
        # Not Adam, which makes steps of its full rate of what is mere rounding.
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), jit_compile=False)
        return model

    def weights(model):
        flat = [np.array(v).ravel() for v in [*model.variables, *model.optimizer.variables]
                if "seed" not in v.path]
        return [float(one) for array in flat for one in (array.sum(), (array**2).sum())]

    strategies = {  # one each: TensorFlow mixes up what several of the same devices gather
        "none": tf.distribute.get_strategy(),
        "one": tf.distribute.MirroredStrategy(["CPU:0"]),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }

    def made(kind, function):
        with strategies[kind].scope():
            return function()

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, number):
            return texts[number * 4 : number * 4 + 4], labels[number * 4 : number * 4 + 4]

    strings = tf.data.Dataset.from_tensor_slices((texts, labels)).batch(4)
    features = classifier().preprocessor(texts)
    features = {name: np.array(one) for name, one in features.items()}
    ways = {
        "lists": lambda: dict(x=texts, y=labels, batch_size=4, shuffle=False),
        "features": lambda: dict(x=features, y=labels, batch_size=4, shuffle=False),
        "tf.data": lambda: dict(x=strings),
        "PyDataset": lambda: dict(x=Batches(), shuffle=False),
        "generator": lambda: dict(x=iter_batches(), steps_per_epoch=2),
    }

    def iter_batches():
        yield from (Batches()[number] for number in range(2))

    for kind in ("none", "one", "two"):
        for way, arguments in ways.items():
            if kind != "two" and way != "lists":
                continue
            model = made(kind, classifier)
            arguments = arguments()
            if way == "lists":
                arguments["validation_data"] = (texts, labels)
            history = model.fit(verbose=0, **arguments).history
            found[f"{kind} {way}"] = weights(model)
            found[f"{kind} {way} loss"] = history["loss"]
            if way == "lists":
                found[f"{kind} validation"] = history["val_loss"]
                found[f"{kind} evaluate"] = model.evaluate(texts, labels, verbose=0)
                found[f"{kind} predict"] = model.predict(texts[:3], verbose=0).tolist()

    # Gradients are clipped to the norm that all replicas' have together.
    for kind in ("none", "two"):
        with strategies[kind].scope():
            optimizer = AdamWeightDecay(0.1, epsilon=1.0, global_clipnorm=1e-2)
            layer = keras.layers.Dense(1, kernel_initializer="ones")
            model = keras.Sequential([keras.Input((2,)), layer])
            model.compile(optimizer, "mse", jit_compile=False)
        x = np.array([[1, 0], [0, 1], [2, 3], [5, -1]], "float32")
        model.fit(x, np.zeros((4, 1)), batch_size=4, epochs=2, shuffle=False, verbose=0)
        found[f"{kind} clipped"] = weights(model)

    # Pretraining, stopped and resumed in the middle.
    for kind in ("none", "one", "two"):
        model = made(kind, pretrainer)
        directory = f"{folder}/{kind}"
        callbacks = [Checkpoint(directory, every=2)]
        examples = data.examples(corpus, model.objective, batch_size=4)
        model.fit(examples, steps_per_epoch=2, verbose=0, callbacks=callbacks)
        model = made(kind, pretrainer)
        step = resume(model, directory)
        examples = data.examples(corpus, model.objective, batch_size=4, start=step)
        model.fit(examples, steps_per_epoch=2, verbose=0)
        found[f"{kind} pretraining"] = weights(model)

    # A memory: right with one replica, refused with two.
    xlnet_tokenizer = data.SentencePieceTokenizer.load(folder + "/sentencepiece")
    xlnet_corpus = data.Corpus.open(folder + "/xlnet_corpus")

    def xlnet():
        keras.utils.set_random_seed(0)
        model = models.xlnet(xlnet_tokenizer, "tiny", sequence_length=16, memory_length=8, **small)
        model.compile(jit_compile=False)
        return model

    for kind in ("none", "one", "two"):
        model = made(kind, xlnet)
        examples = data.examples(xlnet_corpus, model.objective, batch_size=4)
        try:
            model.fit(examples, steps_per_epoch=2, verbose=0)
            found[f"{kind} memory"] = weights(model)
        except ValueError as error:
            found[f"{kind} memory"] = str(error)

    # Keras cannot accumulate gradients in a strategy.
    with strategies["one"].scope():
        model = classifier()
        model.compile(AdamWeightDecay(0.1, gradient_accumulation_steps=2))
    try:
        model.fit(texts, labels, verbose=0)
    except ValueError as error:
        found["one accumulation"] = str(error)
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tokenizers, corpora, tmp_path_factory):
    """What the script found, by name."""
    folder = tmp_path_factory.mktemp("replicas")
    tokenizers["bert"].save(folder / "wordpiece")
    tokenizers["xlnet"].save(folder / "sentencepiece")
    tokenizers["gpt"].save(folder / "gpt")
    (folder / "gpt_corpus").symlink_to(corpora["gpt"].directory)
    (folder / "xlnet_corpus").symlink_to(corpora["xlnet"].directory)
    script = folder / "replicas.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, script, folder]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="`tf.distribute` is TensorFlow's"
    ),
]


def assert_near(found, name, expected_name):
    """Compare, and print for docs/reliability.md how far apart they are."""
    received, expected = np.array(found[name]), np.array(found[expected_name])
    scale = max(1, np.abs(expected).max())
    print(f"\n{name}: {np.abs(received - expected).max() / scale:.1e} of max(1, largest)")
    np.testing.assert_allclose(received, expected, atol=1e-5 * scale)


@pytest.mark.parametrize("kind", ["one", "two"])
@pytest.mark.parametrize(
    "what", ["lists", "lists loss", "validation", "evaluate", "predict", "pretraining"]
)
def test_replicas_equal_one_device(found, kind, what):
    assert_near(found, f"{kind} {what}", f"none {what}")


@pytest.mark.parametrize("way", ["features", "tf.data", "PyDataset", "generator"])
def test_any_kind_of_data(found, way):
    assert_near(found, f"two {way}", "none lists")


def test_gradients_are_clipped_together(found):
    expected, received = np.array(found["none clipped"]), np.array(found["two clipped"])
    np.testing.assert_allclose(received, expected, rtol=5e-5)  # Adam by its kernel, and by parts


def test_a_memory(found):
    assert_near(found, "one memory", "none memory")
    assert "a strategy of 2 replicas" in found["two memory"]


def test_accumulated_gradients(found):
    assert "cannot accumulate gradients" in found["one accumulation"]
