"""ELMo: pretraining from running text in both directions, its state, and the tasks that use it."""

import json
import pathlib

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data, models
from keras_plm.tasks import (
    CausalLM,
    Checkpoint,
    MaskedLM,
    Pretrainer,
    TextClassifier,
    TextEmbedder,
    TextPreprocessor,
    TokenClassifier,
    WordPreprocessor,
    resume,
)
from keras_plm.tokenizers import WordTokenizer

RELEASED = pathlib.Path(__file__).parents[1] / "fixtures" / "elmo_bilm_tf"
WORDS = "the cat sat on a mat and dog ran in rain".split()
TINY = dict(num_layers=2, projection_dim=4, lstm_dim=6, filters=((1, 3), (2, 5)), num_highways=1)


@pytest.fixture(scope="module")
def of_words():
    return data.train_tokenizer(data.Texts([" ".join(WORDS)]), 40, model="word", layout="elmo")


@pytest.fixture(scope="module")
def build(of_words, tmp_path_factory):
    """A function that makes a corpus of lines, each a sentence."""

    def build(text):
        directory = tmp_path_factory.mktemp("corpus") / "corpus"
        return data.Corpus.build(data.Texts([text]), of_words, directory, split_sentences=None)

    return build


@pytest.fixture(scope="module")
def corpus(build):
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, 40)
    return build("\n".join(" ".join(random.choice(WORDS, length)) for length in lengths))


@pytest.fixture
def make(of_words, quick, graph):
    def make(length=5, rate=0.0, num_sampled=0, **options):
        options = {**TINY, "dropout": 0.0, **options}
        model = models.elmo(of_words, "tiny", length, num_sampled, **options)
        random = np.random.default_rng(0)
        for weight in model.trainable_weights:
            weight.assign(random.normal(size=weight.shape, scale=0.7))
        model.compile(keras.optimizers.Adam(rate), **(graph if rate else quick))
        return model

    return make


def as_numpy(nest):
    return [ops.convert_to_numpy(one) for one in keras.tree.flatten(nest)]


def outputs_over(model, corpus, number):
    """What both heads read over windows of one row, with the state carried, and the targets."""
    examples = data.examples(corpus, model.objective, 1, training=False)
    found, state = {"forward": [], "backward": []}, {}
    for step in range(number):
        x, y, _ = examples.batch_at(step)
        x = {name: x[name] for name in ("character_ids", "backward_character_ids")}
        encoded = model.backbone.encode({**x, **state})
        state = {"state": encoded["state"]}
        for name, rows in found.items():
            rows += zip(y[name][0].tolist(), as_numpy(encoded[f"{name}_output"])[0][0])
    return found


def test_no_direction_sees_what_it_predicts(make, build):
    """Changed words, one at a time, over windows that end within sentences."""
    first, second = WORDS[:7], WORDS[7:]
    model = make(4)
    assert model.objective.sequence_length == 4

    def read(words):
        text = build("\n".join([" ".join(words), " ".join(second), "the cat sat on a mat"]))
        return outputs_over(model, text, 3)  # 12 of the places: `first` has 8, `second` 5

    whole = read(first)
    for place in (0, 2, 6):
        words = [*first]
        words[place] = "cats"  # read by its characters
        other = read(words)
        changed = {
            name: [np.abs(a - b).max() > 1e-6 for (_, a), (_, b) in zip(whole[name], other[name])]
            for name in whole
        }
        equal = [(a == b).all() for (_, a), (_, b) in zip(*(r["forward"] for r in (whole, other)))]
        # From the left: the place that predicts it, and all before, do not see it.
        assert changed["forward"] == [False] * (place + 1) + [True] * (11 - place)
        assert all(equal[: place + 1])
        # From the right the sentence comes reversed, and the next one behind it.
        back = 6 - place
        assert changed["backward"] == [False] * (back + 1) + [True] * (11 - back)


def test_gradients_of_the_losses(make, corpus, gradient):
    """By the words: none of one side reaches the other, nor a place that is read later."""
    model = make(6)
    x, y, _ = data.examples(corpus, model.objective, 1).batch_at(0)
    backbone, random = model.backbone, np.random.default_rng(1)
    words = {name: random.normal(size=(1, 6, 4)).astype("float32") for name in y}
    place = 2
    for name, head in model.heads.items():

        def loss(given):
            real = ops.ones((1, 6), "bool")
            layers, _ = backbone._stack(name, given, real, [None] * 2)
            return ops.sum(head.losses_of(layers[-1], y[name])[:, place])

        found = np.abs(gradient(loss, words[name])).max(axis=(0, 2))
        assert (found[: place + 1] > 1e-6).all() and not found[place + 1 :].any()


def test_the_state_goes_on(make, corpus):
    """With a rate of 0: that of the words of all steps, read at once; zero where a pass begins."""
    model = make()
    examples = data.examples(corpus, model.objective, 2)
    model.fit(examples, steps_per_epoch=3, verbose=0)
    parts = [examples.batch_at(step)[0] for step in range(3)]
    names = ("character_ids", "backward_character_ids")
    whole = {name: np.concatenate([part[name] for part in parts], axis=1) for name in names}
    expected = as_numpy(model.backbone.encode(whole)["state"])
    for found, one in zip(as_numpy(model.state.training_state), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-5)
    assert [part["fresh"].any() for part in parts] == [True, False, False]
    held = data.examples(corpus, model.objective, 2, training=False)
    losses = [model.evaluate(held, steps=2, verbose=0, return_dict=True) for _ in range(2)]
    assert losses[0] == losses[1]  # and not what went before
    np.testing.assert_allclose(losses[0]["loss"], evaluated(model, held, 2), rtol=1e-5)
    # Training has a state of its own.
    for found, one in zip(as_numpy(model.state.training_state), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-5)


def evaluated(model, examples, number):
    """The mean of both directions by numpy, with the state carried."""
    state, losses = {}, []
    for step in range(number):
        x, y, _ = examples.batch_at(step)
        x = {name: x[name] for name in ("character_ids", "backward_character_ids")}
        encoded = model.backbone.encode({**x, **state})
        state = {"state": encoded["state"]}
        for name, head in model.heads.items():
            (logits,) = as_numpy(head.logits(encoded[f"{name}_output"]))
            own = np.take_along_axis(logits, y[name][..., None], -1)[..., 0]
            losses.append((np.log(np.exp(logits).sum(-1)) - own).mean())
    return np.mean(losses)


def test_training(make, corpus):
    model = make(rate=0.05, num_sampled=6, dropout=0.1)
    held = data.examples(corpus, model.objective, 2, training=False)
    before = model.evaluate(held, steps=3, verbose=0, return_dict=True)
    examples = data.examples(corpus, model.objective, 2)
    history = model.fit(examples, steps_per_epoch=30, verbose=0).history
    after = model.evaluate(held, steps=3, verbose=0, return_dict=True)
    for name in ("forward", "backward"):
        assert after[f"{name}_loss"] < before[f"{name}_loss"] - 0.3
        assert np.isclose(np.log(after[f"{name}_perplexity"]), after[f"{name}_loss"], rtol=1e-3)
    mean = (after["forward_loss"] + after["backward_loss"]) / 2
    assert abs(after["loss"] - mean) < 1e-4 and history["skipped_batches"] == [0]
    softmax = model.heads["forward"].softmax
    assert softmax is model.heads["backward"].softmax
    table = [one for one in model.trainable_weights if one.path.endswith("softmax/table")]
    assert len(table) == 1 and tuple(table[0].shape) == (len(WORDS) + 3, 4)


def test_training_that_is_resumed(make, corpus, tmp_path, quick):
    """To the bit: what is drawn for the softmax and by dropout, and the states."""
    model, again = (make(num_sampled=6, dropout=0.1) for _ in range(2))
    for one in (model, again):
        one.compile(keras.optimizers.Adam(0.02), **quick)
    examples = data.examples(corpus, model.objective, 2)
    checkpoint = Checkpoint(tmp_path / "checkpoint", every=2)
    model.fit(examples, steps_per_epoch=2, callbacks=[checkpoint], verbose=0)
    step, ends = resume(again, tmp_path / "checkpoint"), []
    assert step == 2
    for one in (model, again):
        rest = data.examples(corpus, one.objective, 2, start=step)
        one.fit(rest, steps_per_epoch=1, verbose=0)
        ends.append(as_numpy([weight.value for weight in one.weights]))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def preset(make, tmp_path):
    model = make()
    model.save_to_preset(tmp_path / "preset")
    return model, str(tmp_path / "preset")


TEXTS = ["the cat sat", "a dog in the rain ran and the bird sat on a mat too", "mat"]


def test_tasks_of_a_preset(preset, quick):
    model, directory = preset
    again = Pretrainer.from_preset(directory)
    assert again.objective == model.objective and again.preprocessor.sequence_length == 128
    classifier = TextClassifier.from_preset(directory, num_classes=2)
    classifier.compile(**quick)
    assert classifier.predict(TEXTS, verbose=0).shape == (3, 2)
    alone = np.concatenate([classifier.predict([text], verbose=0) for text in TEXTS])
    np.testing.assert_allclose(classifier.predict(TEXTS, verbose=0), alone, atol=1e-5)
    classifier.fit(TEXTS, [0, 1, 1], verbose=0)
    for task in (CausalLM, MaskedLM):
        with pytest.raises(ValueError, match="causal=True|by the two heads|mask"):
            task.from_preset(directory)


def test_vectors_of_words(preset, quick):
    model, directory = preset
    embedder = TextEmbedder.from_preset(directory, layers=[0, 1, 2], pooling="none")
    embedder.compile(**quick)
    words = [text.split() for text in TEXTS]
    found = embedder.embed(words, verbose=0)
    features = model.preprocessor(TEXTS)
    encoded = model.backbone.encode({"character_ids": features["character_ids"]})
    mixed = np.mean(as_numpy(encoded["hidden_states"]), axis=0)
    for own, vectors, rows in zip(words, found, mixed, strict=True):
        assert vectors.shape == (len(own), 8)
        np.testing.assert_allclose(vectors, rows[1 : len(own) + 1], atol=1e-5)
    weights = [(0, 0.5), (-1, 2.0)]
    low, high = as_numpy([encoded["hidden_states"][place] for place in (0, 2)])
    mixed = embedder.embed(words, layers=weights, verbose=0)[0]
    np.testing.assert_allclose(mixed, (0.5 * low + 2 * high)[0, 1:4], atol=1e-5)
    for wrong in ([(0, np.nan)], [(0, "much")], [(3, 0.5)], [(0, 0.5), 1], [(0, 1, 2)]):
        with pytest.raises(ValueError, match="layers"):
            embedder.embed(words, layers=wrong, verbose=0)
    other = TextEmbedder.from_preset(directory, layers=weights)
    assert other.settings()["layers"] == [[0, 0.5], [2, 2.0]]
    assert TextEmbedder.from_config(other.get_config()).settings() == other.settings()
    top = embedder.embed(words, layers=2, pooling="mean", verbose=0)
    np.testing.assert_allclose(top, embedder.embed(TEXTS, 2, "mean", verbose=0), atol=1e-6)
    assert [len(one) for one in embedder.embed(TEXTS, verbose=0)] == [5, 16, 3]
    long = embedder.embed([["word" * 20, "é" * 60], ["x"] * 200], verbose=0)
    assert [len(one) for one in long] == [2, 126] and np.isfinite(long[0]).all()
    with pytest.raises(ValueError, match="Text 1 has no words"):
        embedder.embed([["a"], []])
    by_words = TextEmbedder(
        model.backbone, WordPreprocessor(model.tokenizer, 32), pooling="none", compile=False
    )
    by_words.compile(**quick)
    vectors = by_words.embed(words, layers=[0, 1, 2], verbose=0)
    np.testing.assert_allclose(vectors[1], found[1], atol=1e-5)


def test_a_tagger_learns_its_mix(preset, quick, tmp_path):
    """Of a frozen ELMo the scores of the layers, gamma and the dense layer are trained."""
    _, directory = preset
    model = TokenClassifier.from_preset(directory, num_classes=2, mix_layers=True, dropout=0.0)
    model.backbone.trainable = False
    model.compile(keras.optimizers.Adam(0.05), **quick)
    assert {weight.name for weight in model.trainable_weights} == {
        *("scores", "gamma", "kernel", "bias")
    }
    words = [text.split() for text in TEXTS]
    labels = [[len(word) % 2 for word in own] for own in words]
    history = model.fit(words, labels, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    mix = model.heads["token_label"].mix
    assert np.abs(as_numpy(mix.scores)[0]).min() > 0.01
    model.save_to_preset(tmp_path / "tagger")
    again = TokenClassifier.from_preset(tmp_path / "tagger")
    again.compile(**quick)
    assert again.mix_layers and again.tag(words, verbose=0) == model.tag(words, verbose=0)
    np.testing.assert_array_equal(*as_numpy([mix.scores, again.heads["token_label"].mix.scores]))


def test_a_released_pair(quick):
    """By a tokenizer of marks alone, whose every word is unknown: the vectors of bilm-tf."""
    marks = {"bos": "<S>", "eos": "</S>", "unk": "<UNK>"}
    words = WordTokenizer([*marks.values()], marks, layout="elmo", characters=True)
    embedder = TextEmbedder.from_preset(
        RELEASED, preprocessor=TextPreprocessor(words, 64), pooling="none"
    )
    embedder.compile(**quick)
    lists = json.loads((RELEASED / "lm_embeddings_sentences.json").read_text("utf-8"))
    found = embedder.embed([one[0].split() for one in lists], verbose=0)
    for number, vectors in enumerate(found):
        with h5py.File(RELEASED / f"lm_embeddings_{number}.hdf5") as file:
            expected = np.concatenate(file["0"], axis=-1)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=5e-6)


def test_what_it_cannot_take(wordpiece, of_words):
    with pytest.raises(ValueError, match="WordTokenizer of characters=True"):
        models.elmo(wordpiece, "tiny")
    with pytest.raises(ValueError, match="medium.*size='base'"):
        models.elmo(of_words, "base")
    with pytest.raises(ValueError, match="sequence_length=0"):
        models.elmo(of_words, "tiny", 0)
