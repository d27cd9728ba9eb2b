import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data
from keras_plm.layers import CarriedState
from keras_plm.objectives import PermutationModeling
from keras_plm.tasks import Pretrainer, TextPreprocessor

BATCH, MEMORY = 4, 12  # the memory is longer than the 8 tokens that each batch adds


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def step_by_step(encode, model, batches, forgetful=False):
    """The memory and the loss of every batch, by `encode` alone, from zeros."""
    shape = (BATCH, model.backbone.num_layers, model.backbone.memory_length, 16)
    memory = np.zeros(shape, "float32")
    for x, y, weight in batches:
        fresh = x["fresh"] | forgetful
        features = {name: value for name, value in x.items() if name != "fresh"}
        features["memory"] = np.where(fresh[:, None, None, None], 0, memory)
        encoded = encode(features)
        memory = to_numpy(encoded["memory"])
        logits = to_numpy(model.heads["tokens"](encoded["target_output"]))
        surprise, _, weight = surprise_and_hits(logits, y["tokens"], weight["tokens"])
        yield memory, np.average(surprise, weights=weight)


def surprise_and_hits(logits, y, weight):
    """Cross-entropy of every slot, and whether its target is the likeliest token."""
    shifted = logits - logits.max(-1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    surprise = -np.take_along_axis(log_probability, y[..., None], -1)[..., 0]
    return surprise, logits.argmax(-1) == y, weight


class Watch(keras.callbacks.Callback):
    """Copies the training memory after every batch."""

    def __init__(self):
        super().__init__()
        self.memories = []

    def on_train_batch_end(self, batch, logs=None):
        self.memories.append(to_numpy(self.model.state.training_state["memory"]))


# === Memory ===


def test_memory_under_fit(make_pretrainer, corpus, objective, change_batches, jitted, quick):
    """Training across the end of a pass, with rows that start anew, and validation in between."""
    model = make_pretrainer(memory_length=MEMORY)
    model.compile(keras.optimizers.SGD(0.0), **quick)

    def second_row_starts_anew(step, batch):
        x, y, weight = batch
        if step == last_of_pass:
            x = {**x, "fresh": np.array([False, True, False, False])}
        return x, y, weight

    dataset = data.examples(corpus, objective, BATCH)
    last_of_pass = dataset.steps_per_epoch - 1
    dataset = data.examples(corpus, objective, BATCH, start=last_of_pass - 2)
    dataset = change_batches(dataset, second_row_starts_anew)
    batches = [dataset.batch_at(last_of_pass - 2 + n) for n in range(6)]
    fresh = np.array([x["fresh"] for x, _, _ in batches])
    assert fresh.sum(axis=1).tolist() == [0, 0, 1, 4, 0, 0]

    held_out = data.examples(corpus, objective, BATCH, training=False)
    watch = Watch()
    history = model.fit(
        dataset,
        epochs=2,
        steps_per_epoch=3,
        validation_data=held_out,
        validation_steps=2,
        callbacks=[watch],
        verbose=0,
    )
    encode = model.backbone.encode
    if keras.backend.backend() == "jax":  # which is slow one operation at a time
        encode = jitted(encode)
    expected, losses = zip(*step_by_step(encode, model, batches))
    mean_losses = np.reshape(losses, (2, 3)).mean(axis=1)
    np.testing.assert_allclose(history.history["loss"], mean_losses, rtol=1e-5)
    _, without = zip(*step_by_step(encode, model, batches, forgetful=True))
    assert np.abs(np.subtract(losses, without)[[1, 2, 4, 5]]).min() > 1e-3  # it is looked at
    for seen, wanted in zip(watch.memories, expected, strict=True):
        np.testing.assert_allclose(seen, wanted, atol=1e-6)
    assert np.ptp(expected[0]) > 0.5
    np.testing.assert_allclose(expected[3][:, :, :4], 0)  # 12 places, 8 tokens since `fresh`
    assert all(np.abs(memory[:, :, :4]).max() > 0.1 for memory in (expected[2][0:1], expected[4]))

    # Both validations read the same two batches, from zeros.
    *_, (wanted, _) = step_by_step(encode, model, [held_out.batch_at(n) for n in range(2)])
    np.testing.assert_allclose(to_numpy(model.state.evaluation_state["memory"]), wanted, atol=1e-6)
    assert np.abs(to_numpy(model.state.evaluation_state["memory"])).max() > 0.1

    logs = [model.evaluate(held_out, steps=2, verbose=0, return_dict=True) for _ in range(2)]
    assert logs[0] == logs[1]
    np.testing.assert_array_equal(
        to_numpy(model.state.training_state["memory"]), watch.memories[-1]
    )


def test_validation_does_not_disturb_training(
    make_pretrainer, corpus, objective, values, same, graph
):
    model = make_pretrainer(memory_length=MEMORY, num_layers=1, dropout=0.1)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    model.optimizer.build(model.trainable_variables)
    model.state.resize(BATCH, training=True)
    model.state.resize(2, training=False)  # another batch size
    variables = [*model.variables, *model.optimizer.variables]
    start = [to_numpy(variable.value) for variable in variables]
    ends = []
    for validated in (False, True):
        for variable, value in zip(variables, start):
            variable.assign(value)
        held_out = data.examples(corpus, objective, 2, training=False)
        model.fit(
            data.examples(corpus, objective, BATCH),
            epochs=2,
            steps_per_epoch=2,
            validation_data=held_out if validated else None,
            validation_steps=2,
            verbose=0,
        )
        ends.append(values(model))
        assert np.any(ends[-1].pop("evaluation_state.memory 0")) == validated
    assert same(*ends) and np.any(ends[0]["training_state.memory 0"])
    assert not same_as_start(ends[0], start)


def same_as_start(end, start):
    return all(np.array_equal(a, b) for a, b in zip(end.values(), start))


def test_another_batch_size_is_refused(make_pretrainer, corpus, objective, values, same):
    model = make_pretrainer(memory_length=MEMORY, num_layers=1)
    model.state.resize(BATCH, training=True)
    before = values(model)
    for call in (model.fit, model.fit):  # the refusal changed nothing
        with pytest.raises(ValueError, match="batches of 4 rows.*2 rows.*forget"):
            call(data.examples(corpus, objective, 2), steps_per_epoch=1, verbose=0)
        assert same(values(model), before)
    model.state.forget()
    assert model.state.resize(2, training=True)


def test_batches_that_come_again_are_said_once(make_pretrainer, corpus, objective, graph, caplog):
    model = make_pretrainer(num_layers=1)
    model.compile(keras.optimizers.SGD(0.0), **graph)

    def said():
        found = [one.getMessage() for one in caplog.records if "come again" in one.getMessage()]
        caplog.clear()
        return found

    def fit(start=0, seed=0, batch_size=BATCH, epochs=1):
        examples = data.examples(corpus, objective, batch_size, seed=seed, start=start)
        return model.fit(examples, steps_per_epoch=2, epochs=epochs, verbose=0).history["loss"]

    losses = [
        model.train_on_batch(*data.examples(corpus, objective, BATCH).batch_at(number))[0]
        for number in range(6)
    ]
    means = np.reshape(losses, (3, 2)).mean(axis=1)
    np.testing.assert_allclose(fit(epochs=2), means[:2], rtol=1e-5)
    np.testing.assert_allclose(fit(start=4), means[2:], rtol=1e-5)
    fit(seed=1), fit(batch_size=2)
    assert not said()
    np.testing.assert_allclose(fit(start=2), means[1:2], rtol=1e-5)
    (message,) = said()
    assert "start at batch 2" in message and "before 6" in message and "start=6" in message
    fit()
    assert not said()


def test_bad_numbers_of_batches(plain_model, corpus, objective):
    dataset = data.examples(corpus, objective, BATCH)
    for call, arguments in (
        (plain_model.fit, {"steps_per_epoch": -1}),
        (plain_model.fit, {"steps_per_epoch": 0}),
        (plain_model.fit, {"steps_per_epoch": 1, "validation_steps": 0}),
        (plain_model.evaluate, {"steps": float("nan")}),
        (plain_model.predict, {"steps": -1}),
    ):
        with pytest.raises(ValueError, match="must be an integer of at least 1, or None. Received"):
            call(dataset, verbose=0, **arguments)


def test_a_memory_needs_examples(make_pretrainer, corpus, objective):
    model = make_pretrainer(memory_length=MEMORY, num_layers=1)
    x, y, weight = data.examples(corpus, objective, BATCH).batch_at(0)
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="trained on `keras_plm.data.examples`"):
            call(x, y=y, sample_weight=weight)
    with pytest.raises(ValueError, match="trained on `keras_plm.data.examples`"):
        model.predict(x)


def test_without_memory_there_is_no_state(make_pretrainer):
    model = make_pretrainer(num_layers=1)
    assert model.state is None
    assert not [layer for layer in model.layers if isinstance(layer, CarriedState)]


def test_memory_and_objective_must_fit(make_backbone, objective):
    with pytest.raises(ValueError, match="agree on `reuse_length`.*Received: 4 and 8"):
        Pretrainer(make_backbone(memory_length=8, reuse_length=4), objective)
    Pretrainer(make_backbone(num_layers=1, memory_length=0, reuse_length=4), objective)


def test_an_objective_that_never_says_fresh(make_backbone):
    class Forgetful(PermutationModeling):
        feature_names = ("token_ids", "order", "target_positions")

    with pytest.raises(ValueError, match="`fresh`.*Forgetful.*memory_length=0"):
        Pretrainer(make_backbone(memory_length=8, reuse_length=8), Forgetful(16, 8))


# === Loss and metrics ===


@pytest.fixture(scope="module")
def plain_model(make_pretrainer, graph):
    model = make_pretrainer()
    model.compile("sgd", **graph)
    return model


def test_loss_and_metrics_over_real_targets(plain_model, corpus, objective):
    dataset = data.examples(corpus, objective, BATCH, training=False, start=1)
    batches = [dataset.batch_at(1 + n) for n in range(3)]
    weights = [weight["tokens"] for _, _, weight in batches]
    assert len({weight.sum() for weight in weights}) > 1  # batches count differently
    assert len({row.sum() for weight in weights for row in weight}) > 1
    logits = plain_model.predict(dataset, steps=3, verbose=0)["tokens"]
    assert logits.shape == (12, 6, 300) and logits.dtype == np.float32
    parts = [
        surprise_and_hits(logits[BATCH * n : BATCH * (n + 1)], y["tokens"], weight["tokens"])
        for n, (_, y, weight) in enumerate(batches)
    ]
    surprise, hits, weight = (np.concatenate(ones) for ones in zip(*parts))
    logs = plain_model.evaluate(dataset, steps=3, verbose=0, return_dict=True)
    loss_of_batches = [np.average(one, weights=w) for one, _, w in parts]
    mean = np.average(surprise, weights=weight)
    assert abs(np.mean(loss_of_batches) - mean) > 5e-4
    np.testing.assert_allclose(logs["loss"], np.mean(loss_of_batches), rtol=1e-5)
    np.testing.assert_allclose(logs["perplexity"], np.exp(mean), rtol=1e-4)
    np.testing.assert_allclose(logs["accuracy"], np.average(hits, weights=weight), rtol=1e-5)

    x, y, sample_weight = batches[0]
    logs = plain_model.train_on_batch(x, y, sample_weight, return_dict=True)
    np.testing.assert_allclose(logs["loss"], loss_of_batches[0], rtol=1e-5)


def test_plain_arrays_and_generators(plain_model, corpus, objective):
    dataset = data.examples(corpus, objective, BATCH)
    x, y, weight = dataset.batch_at(0)
    of_arrays = plain_model.evaluate(
        x, y=y, sample_weight=weight, batch_size=BATCH, verbose=0, return_dict=True
    )
    of_generator = plain_model.evaluate(
        (dataset.batch_at(0) for _ in range(1)), steps=1, verbose=0, return_dict=True
    )
    of_examples = plain_model.evaluate(dataset, steps=1, verbose=0, return_dict=True)
    assert of_arrays == of_generator == of_examples
    plain_model.fit((dataset.batch_at(n) for n in range(4)), steps_per_epoch=2, verbose=0)


def test_weight_decay_leaves_norms_and_biases_alone(make_pretrainer):
    model = make_pretrainer(num_layers=1)
    model.optimizer.build(model.trainable_variables)
    free = {v.path for v in model.trainable_variables if not model.optimizer._use_weight_decay(v)}
    names = {path.rsplit("/", 1)[1] for path in free}
    assert names == {"bias", "beta", "gamma"}  # not the three biases of attention
    assert "tokens/bias" in free


@pytest.mark.slow
def test_learns(make_pretrainer, corpus, objective, graph):
    model = make_pretrainer(num_layers=1, initializer_range=0.05)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    before = [to_numpy(weight.value) for weight in model.trainable_weights]
    model.fit(data.examples(corpus, objective, 16), steps_per_epoch=150, verbose=0)
    held_out = data.examples(corpus, objective, 16, training=False)
    logs = model.evaluate(held_out, steps=40, verbose=0, return_dict=True)
    # A tiny model on a tiny book: what counts is that it beats the context-free distribution.
    assert np.log(logs["perplexity"]) < corpus.unigram_entropy() < np.log(300)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before)
        if np.array_equal(to_numpy(weight.value), old)
    ]
    assert not still
    assert "embedding/query_vector" in [weight.path for weight in model.trainable_weights]


# === Bad input ===


def changed(part, name, change):
    """A change of one array of a batch; `None` takes it out."""

    def apply(batch):
        batch = [dict(one) for one in batch]
        value = change(batch[part].get(name))
        if value is None:
            del batch[part][name]
        else:
            batch[part][name] = value
        return tuple(batch)

    return apply


def with_first(value):
    """A change of the first number of an array."""

    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


X, Y, WEIGHT = 0, 1, 2
BAD_BATCHES = {
    "id too large": (changed(X, "token_ids", with_first(300)), r"token_ids.*\[0, 300\).*to 300"),
    "negative id": (changed(X, "token_ids", with_first(-1)), "token_ids.*values from -1"),
    "floats": (changed(X, "token_ids", lambda a: a * 1.0), "token_ids.*dtype int32.*float"),
    "int as bool": (changed(X, "fresh", lambda a: a * 1), "fresh.*dtype bool"),
    "missing feature": (changed(X, "order", lambda a: None), "exactly the features.*Received"),
    "extra feature": (changed(X, "backward", lambda _: np.zeros(4, bool)), "exactly the features"),
    "another length": (changed(X, "order", lambda a: a[:, :-1]), "order.*T = 24"),
    "another rank": (changed(X, "segment_ids", lambda a: a[0]), "segment_ids.*shape"),
    "position too large": (changed(X, "target_positions", with_first(24)), "target_positions"),
    "target too large": (changed(Y, "tokens", with_first(300)), r"tokens.*\[0, 300\).*300"),
    "negative target": (changed(Y, "tokens", with_first(-1)), r"Labels of .tokens.*-1"),
    "target of floats": (changed(Y, "tokens", lambda a: a * 1.0), "integers.*float"),
    "too few targets": (changed(Y, "tokens", lambda a: a[:, 1:]), r"labels of .tokens.*\(4, 5\)"),
    "no targets": (changed(Y, "tokens", lambda a: None), r"`y`.*\['tokens'\].*\[\]"),
    "no weights": (changed(WEIGHT, "tokens", lambda a: None), r"`sample_weight`.*\['tokens'\]"),
    "weights all zero": (changed(WEIGHT, "tokens", np.zeros_like), "weights.*not all 0"),
    "NaN weight": (changed(WEIGHT, "tokens", with_first(np.nan)), "weights.*finite"),
    "negative weight": (changed(WEIGHT, "tokens", with_first(-1.0)), "weights.*at least 0"),
    "too few weights": (
        changed(WEIGHT, "tokens", lambda a: a[:2]),
        r"weight for each label.*\(2, 6\)",
    ),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_bad_batches(case, plain_model, corpus, objective, change_batches, values, same):
    change, message = BAD_BATCHES[case]
    dataset = data.examples(corpus, objective, BATCH)
    bad = change_batches(dataset, lambda step, batch: change(batch))
    x, y, weight = bad.batch_at(0)
    before = values(plain_model)
    trials = [
        lambda: plain_model.fit(bad, steps_per_epoch=1, verbose=0),
        lambda: plain_model.fit(
            dataset, steps_per_epoch=1, verbose=0, validation_data=bad, validation_steps=1
        ),
        lambda: plain_model.evaluate(bad, steps=1, verbose=0),
        lambda: plain_model.fit(x, y=y, sample_weight=weight, verbose=0),
        lambda: plain_model.fit((bad.batch_at(n) for n in range(3)), steps_per_epoch=1, verbose=0),
        lambda: plain_model.train_on_batch(x, y, weight),
    ]
    for trial in trials:
        with pytest.raises(ValueError, match=message) as error:
            trial()
        assert "Received" in str(error.value)
        assert same(values(plain_model), before)


def test_examples_of_something_else(
    plain_model, make_pretrainer, corpus, objective, other_tokenizer, tmp_path, values, same
):
    before = values(plain_model)
    other = PermutationModeling(24, 8, 4, 8)
    with pytest.raises(ValueError, match="another objective.*num_predict=6.*num_predict=4"):
        plain_model.fit(data.examples(corpus, other, BATCH), verbose=0)
    with pytest.raises(ValueError, match="another objective"):
        plain_model.evaluate(data.examples(corpus, other, BATCH, training=False), verbose=0)
    held_out = data.examples(corpus, other, BATCH, training=False)
    with pytest.raises(ValueError, match="another objective"):
        plain_model.fit(
            data.examples(corpus, objective, BATCH), validation_data=held_out, verbose=0
        )

    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(["one two three four five six"] * 40), encoding="utf-8")
    foreign = data.Corpus.build([text], other_tokenizer, tmp_path / "corpus", num_workers=1)
    with pytest.raises(ValueError, match="another tokenizer.*Build the corpus again"):
        plain_model.fit(data.examples(foreign, objective, BATCH), verbose=0)
    assert same(values(plain_model), before)


def test_a_corpus_with_more_ids_than_the_model(make_backbone, corpus, objective):
    from keras_plm.backbones import XLNetBackbone

    model = Pretrainer(XLNetBackbone(200, 1, 2, 16, 32), objective)
    with pytest.raises(ValueError, match="vocabulary of 300 ids, the model one of 200"):
        model.fit(data.examples(corpus, objective, BATCH), verbose=0)


def test_a_tokenizer_with_more_ids_than_the_backbone(tokenizer, objective):
    from keras_plm.backbones import XLNetBackbone

    with pytest.raises(ValueError, match="tokenizer has 300 ids, the backbone only 200"):
        Pretrainer(XLNetBackbone(200, 1, 2, 16, 32), objective, TextPreprocessor(tokenizer))


def test_no_data(plain_model):
    with pytest.raises(ValueError, match="without any batch"):
        plain_model.fit((batch for batch in []), verbose=0)
    with pytest.raises(ValueError, match="dict of features"):
        plain_model.evaluate(["a text"], verbose=0)
    with pytest.raises(ValueError, match="dict of features"):
        plain_model.predict("a text", verbose=0)


def test_a_later_batch_that_fails(
    make_pretrainer, corpus, objective, change_batches, values, same, graph
):
    """Whatever fails when, the weights are those after the last whole step."""
    keras.utils.set_random_seed(0)
    model = make_pretrainer(num_layers=1, preprocessor=False)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    dataset = data.examples(corpus, objective, BATCH)
    held_out = data.examples(corpus, objective, BATCH, training=False)
    truth = []

    class Truth(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            truth.append(values(self.model))

    def missing_in(bad_step):
        def change(step, batch):
            return ({**batch[0], "order": None}, *batch[1:]) if step == bad_step else batch

        return change_batches(dataset, change)

    def failing(good):
        for step in range(good):
            yield dataset.batch_at(step)
        raise RuntimeError("the disk is gone")

    def survived():
        now = values(model)
        if keras.backend.backend() == "tensorflow":  # counts a step beside fetching its data
            now["iteration 0"] = truth[-1]["iteration 0"]
        assert same(now, truth[-1])
        assert all(np.isfinite(value).all() for value in now.values())

    options = dict(verbose=0, callbacks=[Truth()])
    model.optimizer.build(model.trainable_variables)
    truth.append(values(model))
    # A generator that fails at its second batch: Keras looks ahead, so perhaps before any step.
    with pytest.raises(Exception, match="the disk is gone"):
        model.fit(failing(2), steps_per_epoch=6, **options)
    survived()
    # The batch after a validation, which on JAX has nothing to fall back on.
    with pytest.raises(Exception, match="NoneType|'order' is not optional"):  # by backend
        model.fit(
            missing_in(12),
            epochs=2,
            steps_per_epoch=12,
            validation_data=held_out,
            validation_steps=1,
            **options,
        )
    assert len(truth) >= 12
    survived()
    # A failing validation, and failing alone.
    with pytest.raises(Exception, match="the disk is gone"):
        model.fit(
            dataset, steps_per_epoch=2, validation_data=failing(14), validation_steps=20, **options
        )
    survived()
    for method in (model.evaluate, model.predict):
        with pytest.raises(Exception, match="the disk is gone"):
            method(failing(14), steps=20, verbose=0)
        survived()
    # What was set after a failure is not undone by the next one.
    weights = [weight * 0.5 for weight in model.get_weights()]
    model.set_weights(weights)
    with pytest.raises(Exception, match="the disk is gone"):
        model.predict(failing(1), steps=20, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights))
    # It can still be trained.
    model.fit(dataset, steps_per_epoch=1, **options)
    survived()


def test_the_first_step_that_fails(make_pretrainer, corpus, objective, graph):
    """A step that cannot be traced, in the very first fit, which also builds the optimizer."""
    model = make_pretrainer(num_layers=1)
    before = [to_numpy(weight.value) for weight in model.weights]

    def broken(y_true, y_pred):
        if not isinstance(y_pred, keras.KerasTensor):
            raise RuntimeError("a broken loss")
        return ops.sum(y_pred)

    model.compile("adam", {"tokens": broken}, **graph)
    with pytest.raises(RuntimeError, match="a broken loss"):
        model.fit(data.examples(corpus, objective, BATCH), steps_per_epoch=1, verbose=0)
    after = [to_numpy(weight.value) for weight in (*model.weights, *model.optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


# === Presets and files ===


def test_default_compilation_survives_a_keras_file(make_pretrainer, tmp_path, with_xla):
    model = make_pretrainer(num_layers=1)
    assert model.jit_compile == (keras.backend.backend() == "jax")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    free = [v.path for v in again.trainable_variables if not again.optimizer._use_weight_decay(v)]
    assert "tokens/bias" in free and again.jit_compile == model.jit_compile
