import logging

import keras
import keras_hub
import numpy as np
import pytest

from keras_plm.tasks import PermutationLM, TextPreprocessor, TextScore

TEXTS = ["I <mask> not <mask> the <mask><mask>", "he said <mask>", "<mask> was a school"]


@pytest.fixture(scope="module")
def make_model(tokenizer, make_backbone, quick):
    def make_model(preprocessor=True, **changes):
        preprocessor = TextPreprocessor(tokenizer, 12) if preprocessor else None
        model = PermutationLM(make_backbone(**{"initializer_range": 0.5, **changes}), preprocessor)
        model.compile(**quick)
        return model

    return make_model


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.mark.parametrize("order", ["right_to_left", "random", "given"])
def test_rows_are_filled_as_each_alone(model, order):
    if order == "given":
        order = [[2, 0, 3, 1], [0], [0]]
    filled, scores = model.infill(TEXTS, order=order, return_scores=True, seed=0)
    assert filled[1].startswith("he said")
    assert filled[2].endswith(" was a school") and "<mask>" not in "".join(filled)
    if order == "random":
        return
    for index, text in enumerate(TEXTS):
        own = order if isinstance(order, str) else [order[index]]
        (alone,), (score,) = model.infill([text], order=own, return_scores=True)
        assert alone == filled[index]
        np.testing.assert_allclose(score, scores[index], atol=1e-4)


def test_modes_and_batches(model):
    ids = [[9, -1, 11, -1, -1, 30], [20, -1]]
    filled, scores = model.infill(ids, mode="bidirectional", return_scores=True)
    assert [filled[0][place] for place in (0, 2, 5)] == [9, 11, 30] and filled[1][0] == 20
    again, other = model.infill(ids, mode="bidirectional", return_scores=True, batch_size=1)
    assert again == filled
    np.testing.assert_allclose(other, scores, atol=1e-4)


def test_the_score_of_a_filling_is_the_score_of_its_tokens(model):
    """The blanks behind a prompt: infilling, and scoring in one pass."""
    prompt = [9, 10, 30]
    (filled,), (score,) = model.infill(
        [prompt + [-1] * 3], order=[[1, 2, 0]], sampler="random", return_scores=True
    )
    (by_token,) = model.score([filled[3:]], prompts=[prompt], order=[[1, 2, 0]])
    np.testing.assert_allclose(by_token.total, score, atol=1e-4)
    assert by_token.token_ids == filled[3:] and by_token.tokens.shape == (3,)


def test_the_score_of_each_token_is_its_prediction(model):
    """One pass equals the graph of the task asked for one token after the other."""
    ids, order = [20, 33, 41, 52], [2, 0, 3, 1]
    (score,) = model.score([ids], order=[order], prefix=[9, 7])
    known, inputs = [9, 7], {"padding_mask": np.ones((1, 6), bool)}
    for step, place in enumerate(order):
        hidden = np.array([known + [i if j in order[:step] else 0 for j, i in enumerate(ids)]])
        inputs["token_ids"] = hidden.astype("int32")
        inputs["segment_ids"] = np.zeros((1, 6), "int32")
        seen = np.array([[0, 0] + [order.index(place) + 1 for place in range(4)]], "int32")
        inputs["order"] = seen
        inputs["target_positions"] = np.array([[2 + place]], "int32")
        logits = keras.ops.convert_to_numpy(model(inputs))[0, 0]
        expected = logits[ids[place]] - np.logaddexp.reduce(logits)
        np.testing.assert_allclose(score.tokens[place], expected, atol=1e-4)
    np.testing.assert_allclose(score.total, score.tokens.sum(), atol=1e-4)


def test_scores_of_texts_alone_and_together(model, tokenizer):
    texts = ["he said so", "I was at a school in Tokyo"]
    together = model.score(texts)
    for text, score in zip(texts, together):
        (alone,) = model.score([text])
        assert isinstance(alone, TextScore) and alone.token_ids == tokenizer.encode(text)
        np.testing.assert_allclose(alone.tokens, score.tokens, atol=1e-4)
    assert model.score(texts[:1], prefix="I was")[0].total != together[0].total
    backward = model.score(texts, order="right_to_left")
    assert backward[0].total != together[0].total


def test_prompts_of_any_length_are_continued_as_each_alone(model, tokenizer):
    prompts = ["he said", "", "I was at a"]
    continued = model.generate(prompts, sampler="greedy", stop_token_ids=None)
    assert [text.startswith(prompt) for text, prompt in zip(continued, prompts)] == [True] * 3
    stripped = model.generate(prompts, sampler="greedy", stop_token_ids=None, strip_prompt=True)
    for prompt, text, rest in zip(prompts, continued, stripped):
        assert text.endswith(rest) and len(rest) < len(text) + (prompt == "")
    (alone,) = model.generate(prompts[:1], max_length=12, sampler="greedy", stop_token_ids=None)
    assert alone == continued[0]
    ids = [tokenizer.encode(prompt) for prompt in prompts]
    rows = model.generate(ids, max_length=12, sampler="greedy", stop_token_ids=None)
    assert [len(row) for row in rows] == [12] * 3
    assert [tokenizer.decode(row) for row in rows] == continued


def test_stop_tokens_end_a_text_and_are_not_part_of_it(make_model):
    model = make_model()
    (free,) = model.generate([[9, 10]], max_length=8, sampler="greedy", stop_token_ids=None)
    stop = free[5]
    end = free.index(stop, 2)
    (row, _) = model.generate(
        [[9, 10], [11]], max_length=8, sampler="greedy", stop_token_ids=[stop]
    )
    assert row == free[:end]
    bias = model.heads["tokens"].bias
    bias.assign(np.where(np.arange(bias.shape[0]) == 7, 1000.0, 0.0))  # <eod>
    assert model.generate(["he said"]) == ["he said"]
    assert model.generate(["he said"], strip_prompt=True) == [""]
    (filled,) = model.infill([[9, -1]])
    assert filled[1] != 7  # a special piece is nothing to fill in


def test_all_beams_come_back_best_first(model):
    sampler = keras_hub.samplers.BeamSampler(num_beams=3, return_all_beams=True)
    beams, scores = model.infill([[9, -1, -1, 30], [9, -1]], sampler=sampler, return_scores=True)
    assert [len(row) for row in beams] == [3, 3] and [len(row) for row in scores] == [3, 3]
    assert len({tuple(row) for row in beams[0]}) == 3
    best = model.infill([[9, -1, -1, 30], [9, -1]], sampler=keras_hub.samplers.BeamSampler(3))
    assert [row[0] for row in beams] == best
    texts = model.generate(["he said"], max_length=8, sampler=sampler, seed=1)
    assert len(texts[0]) == 3


def test_presets_bring_the_head_or_say_that_it_is_new(
    make_pretrainer, make_classifier, tmp_path, caplog
):
    pretrainer = make_pretrainer(memory_length=4)
    bias = pretrainer.heads["tokens"].bias
    bias.assign(np.linspace(-1, 1, bias.shape[0]))
    pretrainer.save_to_preset(str(tmp_path / "one"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = PermutationLM.from_preset(str(tmp_path / "one"))
    assert not caplog.records
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(v) for v in (model.heads["tokens"].bias, bias))
    )
    assert model.preprocessor.sequence_length == 24

    make_classifier().save_to_preset(str(tmp_path / "three"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        PermutationLM.from_preset(str(tmp_path / "three"))
    assert [record.args for record in caplog.records] == [
        ("PermutationLM", ["tokens"], "tokens: the preset has no 'tokens/bias'")
    ]


def test_it_can_be_trained_on_features(make_model, objective, corpus):
    from keras_plm import data

    model = make_model(reuse_length=8)
    x, y, weight = data.examples(corpus, objective, batch_size=4, seed=0).batch_at(0)
    x = {name: x[name] for name in model.input_names_of_task() if name in x}
    x["padding_mask"] = np.ones(x["token_ids"].shape, bool)
    before = model.evaluate(x, y["tokens"], sample_weight=weight["tokens"], verbose=0)[0]
    model.optimizer.learning_rate = 0.005
    model.fit(x, y["tokens"], sample_weight=weight["tokens"], epochs=2, verbose=0)
    after = model.evaluate(x, y["tokens"], sample_weight=weight["tokens"], verbose=0)[0]
    assert after < before
    with pytest.raises(ValueError, match="use `Pretrainer`"):
        model.fit(["he said so"])


@pytest.mark.parametrize(
    "call, arguments, error, message",
    [
        ("infill", dict(texts=["no blank"]), ValueError, "Text 0 has no blank"),
        ("infill", dict(texts=[]), ValueError, "holds no texts"),
        ("infill", dict(texts="a <mask>"), TypeError, "must be a list of texts"),
        ("infill", dict(texts=["a <mask>"], order="up"), ValueError, "`order` must be one of"),
        ("infill", dict(texts=["a <mask>"], order=[[0, 1]]), ValueError, "as long as its number"),
        ("infill", dict(texts=["a <mask>"], sampler="up"), ValueError, "`sampler` must be one of"),
        ("infill", dict(texts=["a <mask>"], mode="up"), ValueError, "`mode` must be one of"),
        ("infill", dict(texts=["a <mask>"], batch_size=0), ValueError, "`batch_size` must be"),
        ("infill", dict(texts=[[-1]], prefix=[]), ValueError, "must have a known token"),
        ("infill", dict(texts=[[-1, 3000]]), ValueError, "must lie in"),
        (
            "generate",
            dict(prompts=["a b c"], max_length=2),
            ValueError,
            "shorter than `max_length`",
        ),
        ("generate", dict(prompts=["a"], max_length=2.5), ValueError, "must be an integer"),
        ("generate", dict(prompts=[]), ValueError, "holds no texts"),
        ("score", dict(texts=[""]), ValueError, r"without a token: \[0\]"),
        ("score", dict(texts=["a"], prompts=["a", "b"]), ValueError, "one prompt for each"),
        ("score", dict(texts=["a b"], order=[[0]]), ValueError, "as long as its number"),
        ("score", dict(texts=[[9]], prefix=[]), ValueError, "must have a known token"),
    ],
)
def test_bad_input(model, call, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(model, call)(**arguments)


def test_what_it_cannot_be_made_of(make_backbone, make_transformer):
    with pytest.raises(TypeError, match="`backbone` must be of the class Backbone"):
        PermutationLM(keras.Sequential())
    with pytest.raises(TypeError, match="needs a backbone with query rows"):
        PermutationLM(make_transformer(300))
    with pytest.raises(ValueError, match="same_length"):
        PermutationLM(make_backbone(causal=True, same_length=True))
    model = PermutationLM(make_backbone())
    with pytest.raises(ValueError, match="Without a preprocessor `texts` must be lists of ids"):
        model.score(["a"])
    with pytest.raises(
        ValueError, match="`max_length` must be an integer. Received: max_length=None"
    ):
        model.generate([[3]])
