"""TensorFlow gets the same batches, without autotuning; other backends get their own."""

import itertools

import keras
import numpy as np
import pytest

from keras_plm.data import Corpus, examples, train_tokenizer
from keras_plm.objectives import MaskedModeling
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches
from keras_plm.tasks.feeding.tensorflow_batches import as_tf_dataset

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends take the batches as they are"
)
TEXT = "The cat sat on the mat. A dog ran after it. They were friends.\n\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    directory = tmp_path_factory.mktemp("corpus")
    path = directory / "text.txt"
    path.write_text(TEXT * 20, encoding="utf-8")
    tokenizer = train_tokenizer([path], 60, model="wordpiece")
    return Corpus.build([path], tokenizer, directory / "corpus"), tokenizer


def made(corpus, **settings):
    corpus, tokenizer = corpus
    objective = MaskedModeling.for_tokenizer(tokenizer, sequence_length=16)
    return examples(corpus, objective, batch_size=4, **settings)


def shuffled(count=11, length_buckets=None):
    lengths = np.arange(count) % 7 + 1
    x = {
        "token_ids": np.arange(count * 8, dtype="int32").reshape(count, 8),
        "padding_mask": np.arange(8) < lengths[:, None],
    }
    return ShuffledBatches((x, np.arange(count), None), 4, length_buckets)


def assert_same(found, wanted):
    assert keras.tree.map_structure(np.shape, found) == keras.tree.map_structure(np.shape, wanted)
    keras.tree.map_structure(np.testing.assert_array_equal, found, wanted)


def as_arrays(batch):
    return keras.tree.map_structure(lambda tensor: tensor.numpy(), batch)


@on_tensorflow
@pytest.mark.parametrize(
    "settings", [{"seed": 3}, {"start": 5}, {"training": False}, {"training": False, "start": 2}]
)
def test_examples_come_in_their_order(corpus, settings):
    batches = made(corpus, **settings)
    pairs = list(itertools.islice(zip(as_tf_dataset(batches), batches), 9))
    assert len(pairs) > 2
    for found, wanted in pairs:
        assert_same(as_arrays(found), wanted)


@on_tensorflow
def test_a_pass_ends_where_it_ends_and_may_be_repeated(corpus):
    batches = made(corpus, training=False)
    assert len(list(as_tf_dataset(batches))) == batches.steps_per_epoch
    last = made(corpus, training=False, start=batches.steps_per_epoch - 1)
    assert len(list(as_tf_dataset(last))) == 1
    repeated = itertools.islice(as_tf_dataset(batches.repeat()), 2 * batches.steps_per_epoch)
    for found, wanted in zip(repeated, 2 * list(batches), strict=True):
        assert_same(as_arrays(found), wanted)


@on_tensorflow
@pytest.mark.parametrize("length_buckets", [None, [2, 5]])
def test_shuffled_batches_keep_their_shapes(length_buckets):
    batches = shuffled(length_buckets=length_buckets)
    steps = 3 * batches.num_steps
    pairs = list(itertools.islice(zip(as_tf_dataset(batches), batches), steps))
    assert len(pairs) == steps
    for found, wanted in pairs:
        assert_same(as_arrays(found), wanted)
    assert len({len(wanted[1]) for _, wanted in pairs}) == 2  # the last one of an epoch is smaller


@on_tensorflow
def test_nothing_is_autotuned_and_no_generator_runs(corpus):
    dataset = as_tf_dataset(made(corpus))
    assert dataset.options().autotune.enabled is False
    assert keras.tree.flatten(dataset.element_spec)[0].shape[0] is None
    names = []
    pending = [dataset]
    while pending:
        one = pending.pop()
        names.append(type(one).__name__)
        pending += one._inputs()
    assert "_MapDataset" in names and not any("FlatMap" in name for name in names)


@pytest.mark.parametrize("other", [{"token_ids": np.zeros((2, 3))}, None, [1, 2]])
def test_other_data_stay_as_they_are(other):
    assert as_tf_dataset(other) is other


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow takes tf.data")
def test_other_backends_take_the_batches_themselves(corpus):
    batches, own = made(corpus), shuffled()
    assert as_tf_dataset(batches) is batches and as_tf_dataset(own) is own
