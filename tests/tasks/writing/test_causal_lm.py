import logging

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families, presets
from keras_plm.backbones import XLNetBackbone
from keras_plm.checkpoints.released_checkpoint import SYSTEMS
from keras_plm.objectives import CausalModeling
from keras_plm.tasks import BeamSearch, CausalLM, Pretrainer, TextPreprocessor

PROMPTS = ["the dog was", "I went to the boat and"]
GPT = families.GPT2["flags"]


@pytest.fixture(scope="module")
def model(make_transformer, byte_level, quick):
    backbone = make_transformer(byte_level.vocabulary_size + 3, **GPT)
    model = CausalLM(backbone, TextPreprocessor(byte_level, 16))
    model.compile(**quick)
    return model


@pytest.fixture(scope="module")
def plain(make_transformer, quick):
    """Without a tokenizer."""
    model = CausalLM(make_transformer(12, **GPT, max_sequence_length=8))
    model.compile(**quick)
    return model


def test_generate_texts(model, byte_level):
    texts = model.generate(PROMPTS, 14, "greedy", stop_token_ids=None)
    assert len(texts) == 2 and all(t.startswith(p) for t, p in zip(texts, PROMPTS))
    rest = model.generate(PROMPTS, 14, "greedy", stop_token_ids=None, strip_prompt=True)
    assert [prompt + text for prompt, text in zip(PROMPTS, rest)] == texts
    # The prefix is the token that ends a document; ids are taken as they are.
    ids = byte_level.encode(PROMPTS)
    end = [byte_level.eos_token_id]
    by_hand = model.generate([end + row for row in ids], 15, "greedy", None, prefix=[])
    assert [byte_level.decode(row[1:]) for row in by_hand] == texts
    written = [one for row, prompt in zip(by_hand, ids) for one in row[1 + len(prompt) :]]
    assert not set(written) & set(byte_level.special_token_ids.values())
    assert max(written) < byte_level.vocabulary_size


def test_stop_tokens(plain):
    (whole,) = plain.generate([[1, 2]], 8, "greedy")
    assert len(whole) == 8
    stop = whole[4]
    first = whole.index(stop, 2)
    (stopped,) = plain.generate([[1, 2]], 8, "greedy", stop_token_ids=[stop])
    assert stopped == whole[:first]
    # A stop token in a prompt ends nothing.
    free = plain.generate([[token, 2, 3] for token in range(12)], 8, "greedy")
    kept = next(row for row in free if row[0] not in row[3:])
    prompts = [kept[:3], [1, 2]]
    assert plain.generate(prompts, 8, "greedy", stop_token_ids=kept[:1])[0] == kept


def test_texts_of_a_least_length_that_do_not_repeat_themselves(plain):
    """Prefix and prompt count as what was written does, but for the prefix in the length."""
    prompts = [[1], [2, 3]]
    stop = plain.generate(prompts, 8, "greedy")[0][1]
    assert plain.generate(prompts, 6, "greedy", stop_token_ids=[stop])[0] == [1]
    options = dict(stop_token_ids=[stop], prefix=[7, 8], min_length=5)
    for prompt, text in zip(prompts, plain.generate(prompts, 6, "greedy", **options)):
        assert len(text) in (5, 6) and text[: len(prompt)] == prompt
        assert stop not in text[len(prompt) :]
    for sampler in ("greedy", "random", BeamSearch(3, num_results=2)):
        texts = plain.generate(prompts, 6, sampler, prefix=[7, 8], no_repeat_ngram_size=1)
        for text in np.reshape(texts, (-1, 6)).tolist():
            assert len({7, 8, *text}) == 8


def test_the_best_few_with_their_scores(plain):
    sampler = BeamSearch(num_beams=6, length_penalty=0.5, num_results=3)
    prompts, options = [[1, 2, 3, 4], [5]], {"stop_token_ids": [0], "sampler": sampler}
    texts, scores = plain.generate(prompts, 6, return_scores=True, **options)
    assert [len(beams) for beams in texts] == [3, 3]
    for prompt, beams, values in zip(prompts, texts, scores):
        written = [text[len(prompt) :] for text in beams]
        written = [one + [0] * (len(prompt) + len(one) < 6) for one in written]
        again = plain.score(written, prompts=[prompt] * 3)
        np.testing.assert_allclose(values, [one.total for one in again], atol=1e-4)
        penalty = [((5 + len(one)) / 6) ** 0.5 for one in written]
        assert (np.diff(np.array(values) / penalty) < 1e-5).all()
    one, score = plain.generate(prompts[:1], 6, "greedy", return_scores=True)
    (again,) = plain.score([one[0][4:]], prompts=prompts[:1])
    np.testing.assert_allclose(score, [again.total], atol=1e-4)
    kept = plain.generate([[1, 2]], 3, BeamSearch(20, 0.0, 20), forbidden_token_ids=[0, 1, 2])
    assert len(kept[0]) == 9  # no more texts than there are


def test_samplers_and_seeds(plain):
    draws = [
        plain.generate([[1, 2]] * 4, 8, "random", seed=seed, forbidden_token_ids=[3])
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert not any(3 in text for draw in draws for text in draw)
    assert len(plain.generate([[1, 2]], 8, "top_p")[0]) == 8
    wide = plain.generate([[1, 2]], 6, "beam")
    assert len(wide[0]) == 6 and isinstance(wide[0][0], int)


@pytest.mark.parametrize("sampler", ["greedy", "random", "top_p", "beam", BeamSearch(2)])
def test_lengths_share_programs(make_transformer, quick, monkeypatch, sampler):
    """More slots are computed than were asked for, and what is in them is dropped."""
    model = CausalLM(make_transformer(12, **GPT, max_sequence_length=34))
    model.compile(**quick)
    shapes, write = [], model._programs.write
    monkeypatch.setattr(
        model._programs,
        "write",
        lambda slots, writing: shapes.append(slots.used.shape) or write(slots, writing),
    )
    prompts, lengths = [[1], [2, 3], [4]], (22, 23, 24, 33)
    options = dict(sampler=sampler, seed=1, stop_token_ids=[5], min_length=9, return_scores=True)
    options["prefix"] = [6]  # which stands before what is rounded
    found = [model.generate(prompts, length, **options) for length in lengths]
    is_stepwise = isinstance(sampler, str) and sampler != "beam"
    computed = (22, 24, 24, 33) if is_stepwise else lengths  # 34 positions
    assert shapes == [(4, 1 + length) for length in computed]
    monkeypatch.setattr("keras_plm.tasks.writing.writing_task.STEPWISE", ())
    for length, (texts, scores) in zip(lengths, found):
        exact, expected = model.generate(prompts, length, **options)
        assert texts == exact
        assert all(len(text) <= length for text in texts)
        np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_score(model, byte_level):
    (whole,) = model.score(["the dog was red"])
    ids = byte_level.encode("the dog was red")
    row = np.array([[byte_level.eos_token_id, *ids]], "int32")
    hidden = model.backbone.encode({"token_ids": row})["sequence_output"]
    logits = np.array(model.heads["tokens"](hidden), "float64")[0, :-1]
    expected = (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[range(len(ids)), ids]
    assert whole.token_ids == ids
    np.testing.assert_allclose(whole.tokens, expected, atol=1e-4)
    np.testing.assert_allclose(whole.total, expected.sum(), atol=1e-3)
    behind = model.score([ids[3:], ids[1:]], prompts=[ids[:3], ids[:1]])
    for one, first in zip(behind, (3, 1)):
        np.testing.assert_allclose(one.tokens, expected[first:], atol=1e-4)


def test_one_program_for_each_number_of_rows_and_length(plain, monkeypatch):
    made = []
    step = plain._programs._step
    monkeypatch.setattr(plain._programs, "_step", lambda *given: made.append(0) or step(*given))
    monkeypatch.setattr(plain, "run_eagerly", False)
    plain._programs.compiled._compiled.clear()
    plain.generate([[1, 2], [3]], 6, "greedy")
    traced = len(made)
    plain.generate([[4], [5, 6, 7]], 6, "greedy")
    weights = plain.get_weights()
    plain.set_weights([weight * 2 for weight in weights])
    plain.generate([[4, 1, 2, 3], [5, 6, 7], [8]], 6, "greedy", batch_size=2)
    assert len(made) == traced
    plain.set_weights(weights)
    plain.generate([[4]], 6, "greedy")
    assert len(made) > traced


def test_learns_from_features(make_transformer, graph):
    model = CausalLM(make_transformer(12, **GPT))
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    ids = np.tile(np.arange(1, 9, dtype="int32"), (8, 1))
    x = {
        "token_ids": ids,
        "padding_mask": np.ones_like(ids, "bool"),
        "target_positions": np.tile(np.arange(7, dtype="int32"), (8, 1)),
    }
    y, weights = {"tokens": ids[:, 1:]}, {"tokens": np.ones((8, 7), "float32")}
    before = model.evaluate(x, y, 4, weights, verbose=0, return_dict=True)
    model.fit(x, y, 4, sample_weight=weights, epochs=8, verbose=0)
    after = model.evaluate(x, y, 4, weights, verbose=0, return_dict=True)
    assert after["loss"] < 0.5 * before["loss"]
    assert {"loss", "accuracy", "perplexity"} <= set(after)
    with pytest.raises(ValueError, match="use `Pretrainer`"):
        model.fit(["a text"], verbose=0)


def test_the_preset_of_a_pretrainer_brings_its_head(make_transformer, byte_level, tmp_path, caplog):
    objective = CausalModeling(sequence_length=16, documents_apart=False, output_bias=True)
    preprocessor = TextPreprocessor(byte_level, 16)
    pretrainer = Pretrainer(
        make_transformer(byte_level.vocabulary_size, **GPT), objective, preprocessor
    )
    bias = np.linspace(-1, 1, byte_level.vocabulary_size).astype("float32")
    pretrainer.heads["tokens"].bias.assign(bias)
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = CausalLM.from_preset(str(tmp_path / "preset"))
    assert not caplog.records and not model.transform
    np.testing.assert_array_equal(ops.convert_to_numpy(model.heads["tokens"].bias), bias)


def test_a_causal_xlm_keeps_its_output_bias(make_transformer, tmp_path, caplog):
    """Another family's head must not fill in what XLM's config leaves unsaid."""
    backbone = make_transformer(40, num_segments=0, causal=True, intermediate_dim=64)
    written = CausalLM(backbone, use_bias=True)
    bias = np.linspace(-1, 1, 40).astype("float32")
    written.heads["tokens"].bias.assign(bias)
    presets.export_huggingface(written, tmp_path / "theirs")
    assert '"xlm"' in (tmp_path / "theirs" / "config.json").read_text()
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = CausalLM.from_preset(tmp_path / "theirs")
    assert not caplog.records and model.use_bias and not model.transform
    np.testing.assert_array_equal(ops.convert_to_numpy(model.heads["tokens"].bias), bias)


@pytest.mark.parametrize(
    "system", [one for one in SYSTEMS if "Transformer" in one.class_name], ids=lambda one: one.name
)
def test_every_family_says_all_of_its_head(system):
    said = system.read_head_settings({}, {})
    assert {"transform", "use_bias"} <= said.keys()
    assert not said["transform"] or said["head_activation"]


def test_wrong_input(plain, model, make_transformer):
    with pytest.raises(ValueError, match="Prompt 1 is empty"):
        plain.generate([[1], []], 4)
    with pytest.raises(ValueError, match="Every prompt must be shorter .* prompt 0 has 4"):
        plain.generate([[1, 2, 3, 4]], 4)
    with pytest.raises(ValueError, match="from 2 to 8: the backbone has positions for 8"):
        plain.generate([[1]], 9)
    with pytest.raises(ValueError, match="from 2 to 6: .* and 2 stand before"):
        plain.generate([[1]], 7, prefix=[1, 2])
    with pytest.raises(ValueError, match="Every prompt must be shorter .* has 20"):
        model.generate([[1] * 20])
    for wrong in (1, 2.0, True):
        with pytest.raises(ValueError, match="`max_length` must be an integer"):
            plain.generate([[1]], wrong)
    with pytest.raises(ValueError, match="`min_length` must be at most `max_length`"):
        plain.generate([[1]], 4, min_length=5)
    with pytest.raises(ValueError, match="`no_repeat_ngram_size` must be an integer"):
        plain.generate([[1]], 4, no_repeat_ngram_size=1.0)
    with pytest.raises(ValueError, match="prompts"):
        plain.generate([])
    with pytest.raises(TypeError, match="one text"):
        model.generate("a text")
    with pytest.raises(ValueError, match=r"must lie in \[0, 12\)"):
        plain.generate([[12]])
    with pytest.raises(ValueError, match="`sampler` must be one of"):
        plain.generate([[1]], sampler="nucleus")
    with pytest.raises(ValueError, match="predicted from. Give a prefix"):
        plain.score([[1, 2]])
    with pytest.raises(ValueError, match="positions for 8 tokens. Received: text 0 with 8"):
        plain.score([[1] * 8], prefix=[1])
    with pytest.raises(ValueError, match="at least one token"):
        plain.score([[1], []], prefix=[1])
    with pytest.raises(ValueError, match="one prompt for each text"):
        plain.score([[1]], prompts=[[1], [2]])


def test_wrong_backbones(make_transformer):
    with pytest.raises(ValueError, match="causal=True"):
        CausalLM(make_transformer(12))
    with pytest.raises(TypeError, match="PermutationLM"):
        CausalLM(XLNetBackbone(20, 1, 2, 8, 16))
    with pytest.raises(ValueError, match="languages: give a preprocessor"):
        CausalLM(make_transformer(12, causal=True, num_languages=2)).generate([[1]])
