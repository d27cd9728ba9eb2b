"""What is predicted in batches of similar length is what is predicted one row at a time."""

import keras
import numpy as np
import pytest

from keras_plm.generation.compiled_programs import runs_on_cpu, xla_predicts
from keras_plm.tasks import (
    CausalLM,
    ChoicePreprocessor,
    MaskedLM,
    MultipleChoice,
    PermutationLM,
    SpanExtractor,
    SpanPreprocessor,
    TextClassifier,
    TextEmbedder,
    TextPreprocessor,
    TokenClassifier,
    WordPreprocessor,
)
from keras_plm.tasks.feeding.length_batches import Shapes, cut, plan, round_up
from keras_plm.tasks.feeding.row_lengths import row_lengths

TENSORFLOW = keras.backend.backend() == "tensorflow"
WORDS = "so the old man had said that he would go to the town and eat".split()
TEXTS = [" ".join(WORDS[:n]) for n in (3, 14, 1, 7, 2, 9, 1)]


def close(one, other):
    for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b[b > -1e29]).max()))


ANSWER = {"text": ["so"], "answer_start": [0]}  # all texts begin so


# === Shapes ===


def test_lengths_and_rows():
    few = Shapes(batch_size=12)
    assert [few.length(n, 500) for n in (1, 16, 17, 32, 33, 48, 49, 65, 97, 129, 193, 400)] == [
        *(16, 16, 32, 32, 48, 48, 64, 96, 128, 192, 256, 500)
    ]
    assert few.length(20, 24) == 24
    assert [few.rows(n) for n in (1, 2, 3, 5, 8, 9, 12)] == [1, 2, 4, 8, 8, 12, 12]
    exact = Shapes(batch_size=12, few=False)
    assert (exact.length(17, 500), exact.rows(5)) == (17, 5)
    fixed = Shapes(batch_size=12, few=False, fixed=True)
    assert (fixed.length(17, 500), fixed.rows(5)) == (500, 12)


@pytest.mark.parametrize("size", [0, -1, True, 2.5, "8"])
def test_a_batch_size_that_is_none(size, make_classifier):
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1. Received"):
        Shapes(size)
    for call in ("predict", "evaluate"):
        labels = {"y": [1]} if call == "evaluate" else {}
        with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1"):
            getattr(make_classifier(num_layers=1), call)(["a"], batch_size=size, **labels)


@pytest.mark.parametrize("length", range(1, 600))
def test_at_most_half_as_much_padding_again(length):
    assert length <= round_up(length) <= max(32, 1.5 * length)


def test_how_long_rows_are():
    right = {"padding_mask": np.arange(6) < np.array([[2], [6], [1]])}
    left = {"padding_mask": right["padding_mask"][:, ::-1]}
    for x, at_left in ((right, False), (left, True)):
        lengths, found = row_lengths(x)
        assert lengths.tolist() == [2, 6, 1] and found == at_left
    assert row_lengths(left, cut_left=False) == (None, False)
    several = {"padding_mask": np.stack([right["padding_mask"], right["padding_mask"][::-1]], 1)}
    assert row_lengths(several)[0].tolist() == [2, 6, 2]
    both = {"padding_mask": np.concatenate([right["padding_mask"], left["padding_mask"]])}
    assert row_lengths(both) == (None, False)
    assert row_lengths({**right, "target_positions": np.zeros((3, 1))}) == (None, False)
    assert row_lengths({"token_ids": np.zeros((3, 6))}) == (None, False)


def test_a_plan_has_every_row_once():
    lengths = np.array([5, 40, 7, 33, 20])
    batches = plan(lengths, 5, 64, Shapes(batch_size=2))
    assert [(rows.tolist(), length) for rows, length in batches] == [
        ([1, 3], 48),
        ([4, 2], 32),
        ([0], 16),
    ]
    batches = plan(None, 5, 64, Shapes(batch_size=4))
    assert [(rows.tolist(), length) for rows, length in batches] == [([0, 1, 2, 3], 64), ([4], 64)]


def test_columns():
    rows = np.arange(6).reshape(2, 3)
    assert cut(rows, 2, 3, at_left=False).tolist() == [[0, 1], [3, 4]]
    assert cut({"a": rows, "b": None}, 1, 3, at_left=True)["a"].tolist() == [[2], [5]]


# === Tasks ===


def classifier(tokenizer, backbone):
    return TextClassifier(backbone, 3, TextPreprocessor(tokenizer, 40), dropout=0.0), TEXTS


def both_orders(tokenizer, backbone):
    model = TextClassifier(backbone, 3, TextPreprocessor(tokenizer, 40), both_orders=True)
    return model, (TEXTS, TEXTS[::-1])


def tagger(tokenizer, backbone):
    model = TokenClassifier(backbone, 3, WordPreprocessor(tokenizer, 40))
    return model, [text.split() for text in TEXTS]


def reader(tokenizer, backbone):
    model = SpanExtractor(backbone, SpanPreprocessor(tokenizer, 40, stride=8), dropout=0.0)
    return model, (["so", "the man", "eat"], TEXTS[1:4])


def beam_reader(tokenizer, backbone):
    model = SpanExtractor(backbone, SpanPreprocessor(tokenizer, 40, stride=8), beam=True)
    return model, (["so", "the man", "eat"], TEXTS[1:4])


def choice(tokenizer, backbone):
    model = MultipleChoice(backbone, ChoicePreprocessor(tokenizer, 40))
    return model, (TEXTS[:3], [[one, "so it was"] for one in TEXTS[3:6]])


def embedder(tokenizer, backbone):
    return TextEmbedder(backbone, TextPreprocessor(tokenizer, 40)), TEXTS


TASKS = [  # some at each side: every shape costs JAX a compilation
    *(("left", make) for make in (classifier, tagger, reader)),
    *(("right", make) for make in (tagger, reader, both_orders, beam_reader, choice, embedder)),
]


@pytest.fixture
def parts(request, tokenizer, wordpiece, make_backbone, make_transformer):
    """XLNet's rows are padded at the left, BERT's at the right."""
    if request.param == "left":
        return tokenizer, make_backbone(num_layers=1)
    return wordpiece, make_transformer(wordpiece.vocabulary_size)


def shapes_met(model, monkeypatch):
    met = []
    predict_on_batch = keras.Model.predict_on_batch

    def watch(self, x):
        met.append(np.shape(x["token_ids"]))
        return predict_on_batch(self, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", watch)
    return met


@pytest.mark.parametrize("parts, make", TASKS, indirect=["parts"])
def test_predictions_are_in_the_order_given(make, parts, quick, monkeypatch):
    model, x = make(*parts)
    options = {} if make is embedder else quick
    model.compile(fixed_shapes=True, **options)
    expected = model.predict(x, batch_size=2, verbose=0)
    model.compile(**options)
    met = shapes_met(model, monkeypatch)
    found = model.predict(x, batch_size=4, verbose=0)
    assert [a.shape for a in keras.tree.flatten(found)] == [
        a.shape for a in keras.tree.flatten(expected)
    ]
    if make is tagger:  # what is predicted of padding is nothing
        mask = model.preprocess_samples(x)["padding_mask"]
        assert not np.abs(found[~mask]).all() and met[-1][-1] < 40
        found, expected = found[mask], expected[mask]
    close(found, expected)
    if make is not beam_reader:
        assert met[-1][-1] < 40 and met[0][-1] >= met[-1][-1]


def test_positions_that_count_from_the_left(tokenizer, make_transformer, quick, monkeypatch):
    """Padding at the left stays where a backbone counts positions from it."""
    backbone = make_transformer(tokenizer.vocabulary_size, num_segments=3)
    model = TextClassifier(backbone, 3, TextPreprocessor(tokenizer, 40))
    model.compile(**quick)
    met = shapes_met(model, monkeypatch)
    model.predict(TEXTS, verbose=0)
    assert {shape[1] for shape in met} == {40}


def test_which_shapes_are_met(wordpiece, make_transformer, quick, monkeypatch):
    backbone = make_transformer(wordpiece.vocabulary_size)
    model = TextClassifier(backbone, 2, TextPreprocessor(wordpiece, 64))
    model.compile(**quick)
    lengths = sorted((len(wordpiece.encode(text)) + 2 for text in TEXTS), reverse=True)
    met = shapes_met(model, monkeypatch)
    model.predict(TEXTS, batch_size=4, verbose=0)
    exact = [(4, lengths[0]), (3, lengths[4])]
    assert met == (exact if TENSORFLOW else [(4, round_up(lengths[0])), (4, round_up(lengths[4]))])
    met.clear()
    model.predict(TEXTS[:1], verbose=0)
    assert met[0][0] == 1


def test_one_program_of_tensorflow_or_few_of_xla(wordpiece, make_transformer, graph, monkeypatch):
    backbone = make_transformer(wordpiece.vocabulary_size)
    model = TextClassifier(backbone, 2, TextPreprocessor(wordpiece, 64))
    model.compile(**graph)
    met, traced = shapes_met(model, monkeypatch), []
    call = model.call
    model.call = lambda *args, **kwargs: traced.append(1) or call(*args, **kwargs)
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:4], TEXTS[:1]):
        model.predict(texts, batch_size=4, verbose=0)
    assert len(traced) == (1 if TENSORFLOW else len(set(met))) < len(met)


@pytest.mark.parametrize(
    "parts, make", [("left", classifier), ("left", tagger), ("right", reader)], indirect=["parts"]
)
def test_evaluation_is_the_same(make, parts, quick):
    model, x = make(*parts)
    y = {
        classifier: lambda: np.arange(len(TEXTS)) % 3,
        tagger: lambda: [[n % 3 for n in range(len(words))] for words in x],
        reader: lambda: [ANSWER] * 3,
    }[make]()
    metrics = {"metrics": ["sparse_categorical_accuracy"]} if make is classifier else {}
    found = []
    for fixed_shapes in (True, False):
        model.compile(fixed_shapes=fixed_shapes, **metrics, **quick)
        found.append(model.evaluate(x, y, batch_size=len(TEXTS), verbose=0, return_dict=True))
    assert found[0].keys() == found[1].keys()
    close(np.array(list(found[1].values())), np.array(list(found[0].values())))
    model.evaluate(x, y, batch_size=2, verbose=0)


@pytest.mark.parametrize("parts", ["left", "right"], indirect=True)
def test_training_on_few_lengths(parts, graph):
    """Nothing that is real is cut, and what is not is left out."""
    model, texts = classifier(*parts)
    model.compile(keras.optimizers.SGD(0.0), **graph)
    expected = model.evaluate(texts, np.arange(7) % 3, verbose=0)
    for buckets in ("auto", [16]):
        logs = model.fit(
            texts, np.arange(7) % 3, batch_size=2, length_buckets=buckets, verbose=0
        ).history
        np.testing.assert_allclose(logs["loss"][0], expected[0], rtol=1e-5)
    with pytest.raises(ValueError, match="`length_buckets` needs lists or arrays"):
        model.fit(texts, np.arange(7) % 3, length_buckets=[4], shuffle=False)


def test_labels_that_are_positions_are_not_moved(tokenizer, make_backbone, quick):
    """XLNet's rows are padded at the left: cut there, a row's answer would be another one."""
    model, x = reader(tokenizer, make_backbone(num_layers=1))
    y = [ANSWER] * 3
    model.compile(keras.optimizers.SGD(0.0), **quick)
    with pytest.raises(ValueError, match="would cut padding at the left"):
        model.fit(x, y, length_buckets=[8], verbose=0)
    loss = model.fit(x, y, verbose=0).history["loss"][0]
    np.testing.assert_allclose(
        loss, model.evaluate(x, y, verbose=0, return_dict=True)["loss"], rtol=1e-5
    )


# === Methods for texts ===


@pytest.mark.parametrize("parts", ["left"], indirect=True)
def test_vectors_of_tokens(parts):
    model, texts = embedder(*parts)
    together = model.embed(texts, pooling="none", batch_size=3)
    for text, own in zip(texts, together):
        close(own, model.embed([text], pooling="none")[0])


def test_fillings_and_scores(wordpiece, make_transformer, quick, monkeypatch):
    backbone = make_transformer(wordpiece.vocabulary_size)
    model = MaskedLM(backbone, TextPreprocessor(wordpiece, 64))
    model.compile(**quick)
    met = shapes_met(model, monkeypatch)
    texts = [f"{text} {wordpiece.mask_token}" for text in TEXTS[1:4]]
    fillings = model.fill_mask(texts, batch_size=2)
    assert met[-1][1] < met[0][1] < 64
    for text, own in zip(texts, fillings):
        (alone,) = model.fill_mask([text])
        close(*(np.array([one.probability for one in some[0]]) for some in (own, alone)))
    scores = model.score(TEXTS[:3], batch_size=5)
    close(scores, np.array([model.score([text], batch_size=5)[0] for text in TEXTS[:3]]))


def test_scores_of_causal_and_permutation_models(
    byte_level, tokenizers, tokenizer, make_backbone, make_transformer
):
    gpt = tokenizers["gpt"]
    causal = CausalLM(make_transformer(gpt.vocabulary_size, causal=True), TextPreprocessor(gpt, 64))
    permuted = PermutationLM(make_backbone(num_layers=1), TextPreprocessor(tokenizer, 64))
    for model in (causal, permuted):
        scores = model.score(TEXTS, prefix="so ", batch_size=3)
        for text, own in zip(TEXTS, scores):
            (alone,) = model.score([text], prefix="so ", batch_size=1)
            assert own.token_ids == alone.token_ids
            close(own.tokens, alone.tokens)


# === Choices ===


def test_what_xla_compiles(make_classifier, monkeypatch, with_xla):
    model = make_classifier(num_layers=1)
    assert runs_on_cpu() and model.jit_compile != TENSORFLOW
    model.compile(jit_compile=True)
    assert xla_predicts(model) != TENSORFLOW
    model.make_predict_function()
    assert model.jit_compile  # for training
    model.compile(jit_compile=True, fixed_shapes=True)
    assert xla_predicts(model)
    model.compile(jit_compile=False, fixed_shapes=True)
    assert xla_predicts(model) != TENSORFLOW


def test_fixed_shapes(make_classifier, tmp_path, quick, monkeypatch):
    model = make_classifier(num_layers=1)
    model.compile(fixed_shapes=True, **quick)
    met = shapes_met(model, monkeypatch)
    model.predict(["a", "a fish"], batch_size=3, verbose=0)
    assert met == [(3, 16)]
    model.fit(["a", "a fish"], [0, 1], verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").fixed_shapes
    with pytest.raises(ValueError, match="`fixed_shapes` must be True or False"):
        model.compile(fixed_shapes=1)


def test_callbacks_and_steps(make_classifier, quick, capsys):
    model = make_classifier(num_layers=1)
    model.compile(**quick)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_predict_begin(self, logs=None):
            seen.append("begin")

        def on_predict_batch_end(self, batch, logs=None):
            seen.append((batch, logs["outputs"].shape))

        def on_predict_end(self, logs=None):
            seen.append("end")

    model.predict(TEXTS, batch_size=4, callbacks=[Watch()], verbose=1)
    assert seen == ["begin", (0, (4, 2)), (1, (3, 2)), "end"]
    assert "2/2" in capsys.readouterr().out
    assert model.predict(TEXTS, batch_size=4, steps=1, verbose=0).shape == (4, 2)
