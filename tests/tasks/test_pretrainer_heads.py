"""A Pretrainer with several heads: over targets, over their spans, and over whole rows."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.objectives.corruption import Corruption
from keras_plm.objectives.joint.objective_sum import ObjectiveSum
from keras_plm.objectives.labels.sentence_pair import SentencePair
from keras_plm.objectives.masked_modeling import MaskedModeling
from keras_plm.objectives.selection.span_selection import SpanSelection
from keras_plm.tasks import MaskedLM, Pretrainer, TextClassifier, TextPreprocessor

BATCH, LENGTH = 4, 16
HEADS = ("tokens", "span_boundary", "sentence_pair")


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def make_objective(tokenizer):
    masked = MaskedModeling(
        tokenizer.vocabulary_size,
        tokenizer.mask_token_id,
        tuple(tokenizer.special_token_ids.values()),
        SpanSelection(rate=0.3),
        Corruption(per="span"),
        sequence_length=LENGTH,
        rows="sentence_pair",
        segments=True,
        span_boundary=3,
    )
    return ObjectiveSum((masked, SentencePair(LENGTH)))


def rows(tokenizer, seed):
    """Pairs of random tokens, as a row builder makes them; the last row is padded."""
    random = np.random.default_rng(seed)
    token_ids = random.integers(20, tokenizer.vocabulary_size, (BATCH, LENGTH)).astype("int32")
    functional = np.zeros(token_ids.shape, bool)
    functional[:, [0, 7, LENGTH - 1]] = True
    padding_mask = np.ones(token_ids.shape, bool)
    padding_mask[-1, 12:], functional[-1, 11:] = False, True
    token_ids[functional] = tokenizer.sep_token_id
    segment_ids = np.broadcast_to(np.arange(LENGTH) > 7, token_ids.shape).astype("int32")
    return {
        "token_ids": token_ids,
        "padding_mask": padding_mask,
        "functional": functional,
        "word_starts": functional | (random.random(token_ids.shape) < 0.7),
        "segment_ids": segment_ids,
        "sentence_pair": random.integers(0, 2, BATCH).astype("int32"),
    }


def batch_of(model, seed):
    made = rows(model.tokenizer, seed)
    return model.objective(made, np.random.default_rng(seed))


def silenced(batch, *names):
    """The batch, its heads of these names without targets."""
    x, y, weight = batch
    return x, y, {name: w * (name not in names) for name, w in weight.items()}


@pytest.fixture(scope="module")
def make_model(make_transformer, wordpiece, graph):
    def make_model(compilation=graph, **changes):
        backbone = make_transformer(wordpiece.vocabulary_size, **{"pooler": True, **changes})
        preprocessor = TextPreprocessor(wordpiece, LENGTH)
        model = Pretrainer(backbone, make_objective(wordpiece), preprocessor)
        model.compile(keras.optimizers.SGD(0.1), **compilation)
        return model

    return make_model


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def surprise_and_hits(logits, y):
    shifted = logits - logits.max(-1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    surprise = -np.take_along_axis(log_probability, y[..., None], -1)[..., 0]
    return surprise, logits.argmax(-1) == y


# === Loss and metrics ===


def test_the_loss_is_the_sum_of_the_means(model):
    assert model.input_names_of_task().count("left_positions") == 1
    assert set(model.output) == set(HEADS)
    batches = [silenced(batch_of(model, 0), "span_boundary"), batch_of(model, 1)]
    logs = model.evaluate((batch for batch in batches), steps=2, verbose=0, return_dict=True)
    losses, expected = [], {}
    logits = [model.predict_on_batch(x) for x, _, _ in batches]
    for name in HEADS:
        parts = [
            (*surprise_and_hits(one[name], y[name]), w[name])
            for one, (_, y, w) in zip(logits, batches)
        ]
        means = [np.average(s, weights=w) if w.any() else 0.0 for s, _, w in parts]
        losses.append(means)
        surprise, hits, weight = (np.concatenate([one.ravel() for one in p]) for p in zip(*parts))
        expected[f"{name}_loss"] = np.mean(means)
        expected[f"{name}_accuracy"] = np.average(hits, weights=weight)
        if name != "sentence_pair":
            expected[f"{name}_perplexity"] = np.exp(np.average(surprise, weights=weight))
    expected["loss"] = np.sum(losses, axis=0).mean()
    assert set(logs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)
    assert losses[1][0] == 0 and min(losses[0] + losses[2] + losses[1][1:]) > 0.1


def test_what_each_head_reads(model):
    """Tokens the row of the target, boundaries the rows around it, pairs the first row."""
    x, _, weight = batch_of(model, 2)
    encoded = model.backbone.encode({n: x[n] for n in ("token_ids", "padding_mask", "segment_ids")})
    sequence, pooled = (to_numpy(encoded[n]) for n in ("sequence_output", "pooled_output"))
    logits = model.predict_on_batch(x)

    def at(name):
        return np.take_along_axis(sequence, x[name][..., None], axis=1)

    expected = {
        "tokens": model.heads["tokens"](at("target_positions")),
        "span_boundary": model.heads["span_boundary"](
            at("left_positions"), at("right_positions"), x["span_offsets"]
        ),
        "sentence_pair": model.heads["sentence_pair"](pooled),
    }
    for name in HEADS:
        np.testing.assert_allclose(logits[name], to_numpy(expected[name]), atol=1e-4)
    assert weight["span_boundary"].any() and x["span_offsets"].any()


@pytest.mark.parametrize("silent", HEADS)
def test_a_silent_head_changes_nothing(model, silent):
    start = model.get_weights()
    before = {w.path: to_numpy(w.value) for w in model.trainable_weights}
    batch = silenced(batch_of(model, 3), silent)
    logs = model.train_on_batch(*batch, return_dict=True)
    after = {w.path: to_numpy(w.value) for w in model.trainable_weights}
    model.set_weights(start)
    assert np.isfinite(logs["loss"]) and all(np.isfinite(w).all() for w in after.values())
    still = {path for path in before if np.array_equal(before[path], after[path])}
    assert still == {path for path in before if path.split("/")[0] in (silent, _feeds(silent))}


def _feeds(name):
    """What nothing but a head reads."""
    return "pooler" if name == "sentence_pair" else name


def test_it_learns(make_model, quick):
    model = make_model()
    model.compile(keras.optimizers.Adam(3e-2), **quick)
    batch, start = batch_of(model, 4), model.get_weights()
    first, *_, last = [model.train_on_batch(*batch, return_dict=True) for _ in range(12)]
    for name in HEADS:
        assert last[f"{name}_loss"] < 0.5 * first[f"{name}_loss"]
    moved = [np.any(a != b) for a, b in zip(start, model.get_weights(), strict=True)]
    assert sum(moved) >= len(model.trainable_weights)


# === Bad input ===


def test_a_backbone_without_a_pooler(make_model):
    with pytest.raises(ValueError, match="pooler=True.*Received"):
        make_model(pooler=False)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("left_positions", LENGTH, "left_positions"),
        ("right_positions", -1, "right_positions"),
        ("span_offsets", LENGTH, "span_offsets"),
        ("segment_ids", 2, "segment_ids"),
    ],
)
def test_bad_features(model, values, same, name, value, message):
    x, y, weight = batch_of(model, 0)
    before = values(model)
    x[name] = x[name].copy()
    x[name][0, 0] = value
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(x, y, weight)
    assert same(values(model), before)


def test_bad_targets(model, values, same):
    x, y, weight = batch_of(model, 0)
    before = values(model)
    with pytest.raises(ValueError, match="not all 0"):
        model.train_on_batch(*silenced((x, y, weight), *HEADS))
    with pytest.raises(ValueError, match=r"'sentence_pair' must be integers in \[0, 2\)"):
        model.train_on_batch(x, {**y, "sentence_pair": y["sentence_pair"] + 2}, weight)
    with pytest.raises(ValueError, match="`y`.*sentence_pair.*span_boundary.*tokens"):
        model.train_on_batch(x, {"tokens": y["tokens"]}, weight)
    assert same(values(model), before)


# === Presets and files ===


def test_the_preset_serves_other_tasks(make_model, tmp_path, caplog, quick):
    model = make_model(compilation=quick)
    for weight in model.trainable_weights:  # biases too
        weight.assign(weight + np.random.default_rng(0).normal(size=weight.shape))
    directory = str(tmp_path / "preset")
    model.save_to_preset(directory)

    masked = MaskedLM.from_preset(directory)
    assert not caplog.records  # its head was there
    masked.compile(**quick)
    batch = batch_of(model, 8)
    x = {name: batch[0][name] for name in masked.input_names_of_task()}
    logits = model.predict_on_batch(batch[0])["tokens"]
    np.testing.assert_allclose(masked.predict_on_batch(x)["tokens"], logits, atol=1e-5)

    classifier = TextClassifier.from_preset(directory, num_classes=2)
    assert "new" in caplog.text
    for old, new in zip(model.backbone.weights, classifier.backbone.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(new.value), to_numpy(old.value), old.path)
    assert classifier.backbone.pooler and classifier.preprocessor.sequence_length == LENGTH
