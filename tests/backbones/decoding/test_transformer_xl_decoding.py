import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import TransformerXLBackbone
from keras_plm.backbones.decoding.decoder import RecomputingDecoder
from keras_plm.tasks import BeamSearch, CausalLM

VOCABULARY, LENGTH = 11, 9
IDS = np.random.default_rng(0).integers(0, VOCABULARY, (3, LENGTH)).astype("int32")
PROMPTS = [[1, 2], [5, 4, 3, 0, 2], [7]]
JAX = keras.backend.backend() == "jax"
OPTIONS = [
    {},
    {"memory_length": 3, "same_length": True, "clamp_length": 2},
    {"memory_length": 3, "same_length": True, "same_length_with_itself": True},
    {"memory_length": 4, "start_from_zeros": True, "normalize_first": True, "head_dim": 3},
]

pytestmark = pytest.mark.usefixtures("quick_compilation")


def made(**options):
    """A backbone with weights so large that scores matter."""
    backbone = TransformerXLBackbone(VOCABULARY, 2, 2, 8, 16, tied_biases=False, **options)
    rng = np.random.default_rng(1)
    for weight in backbone.weights:
        weight.assign((weight.name == "gamma") + rng.normal(0, 0.5, weight.shape))
    return backbone


def read(decoder, known=3, **features):
    """The states (B, T - known, D) behind what is known, one by one and some at once."""

    def steps(features):
        constants, cache = decoder.start({**features, "known": known})
        states, length = [], features["token_ids"].shape[1]
        for index, number in ((known, 1), (known + 1, 2), (known + 3, length - known - 3)):
            tokens = features["token_ids"][:, index : index + number]
            rows, cache = decoder.step(constants, cache, tokens, index)
            states.append(rows)
        return ops.concatenate(states, axis=1)

    if JAX:
        import jax

        steps = jax.jit(steps)
    given = keras.tree.map_structure(ops.convert_to_tensor, {"token_ids": IDS, **features})
    return ops.convert_to_numpy(steps(given))


def whole(backbone, **features):
    encoded = backbone.encode({"token_ids": IDS, **features})
    return ops.convert_to_numpy(encoded["sequence_output"])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_cached_is_recomputed(options):
    backbone = made(**options)
    expected = whole(backbone)[:, 3:]
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(read(backbone.decoder()), expected, atol=1e-5)
    np.testing.assert_allclose(read(RecomputingDecoder(backbone)), expected, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS[1:], ids=str)
def test_texts_go_on_from_a_state(options):
    backbone = made(**options)
    state = backbone.encode({"token_ids": IDS[:, :2]})["state"]  # less than the memory
    expected = whole(backbone, state=state)[:, 3:]
    assert np.abs(expected - whole(backbone)[:, 3:]).max() > 0.01
    np.testing.assert_allclose(read(backbone.decoder(), state=state), expected, atol=1e-5)
    other = {name: value[:2] for name, value in state.items()}
    with pytest.raises(ValueError, match="a memory of 2 rows and a batch of 3"):
        read(backbone.decoder(), state=other)
    with pytest.raises(ValueError, match="begin where it ends.*no `padding_mask`"):
        read(backbone.decoder(), state=state, padding_mask=np.ones_like(IDS, "bool"))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_padding_in_front_changes_nothing(options):
    """Also where a text begins with zeros that are seen: they stand right in front of it."""
    backbone = made(**options)
    expected = whole(backbone)[:, 3:]
    for number in (2, 7):
        padded = np.concatenate([np.full((3, number), 5, "int32"), IDS], axis=1)
        real = np.arange(padded.shape[1]) >= np.full((3, 1), number)
        found = read(backbone.decoder(), 3 + number, token_ids=padded, padding_mask=real)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@functools.cache
def writer():
    model = CausalLM(made(memory_length=4, same_length=True), use_bias=True)
    bias = model.heads["tokens"].bias
    bias.assign(np.random.default_rng(2).normal(size=bias.shape))
    return model


def log_probs(ids, **state):
    features = {"token_ids": np.array([ids], "int32"), **state}
    rows = writer().backbone.encode(features)["sequence_output"]
    logits = ops.convert_to_numpy(writer().heads["tokens"](rows)).astype("float64")[0]
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_greedy_is_the_loop_that_reads_everything_again():
    for prompt, text in zip(PROMPTS, writer().generate(PROMPTS, 8, "greedy", batch_size=2)):
        expected = list(prompt)
        while len(expected) < 8:
            expected.append(int(log_probs(expected)[-1].argmax()))
        assert text == expected


@pytest.mark.slow
def test_scores_choices_and_beams():
    model = writer()
    (one, _) = model.score([[3, 4, 5], [6]], prompts=[[1, 2], [9, 8, 7]])
    expected = log_probs([1, 2, 3, 4, 5])[[1, 2, 3], [3, 4, 5]]
    np.testing.assert_allclose(one.tokens, expected, atol=1e-5)
    choices = model.choose([[1, 2], [9, 8, 7]], [[[3, 4, 5], [6]], [[6]]])  # padded at the left
    np.testing.assert_allclose(choices[0].tokens[0], expected, atol=1e-5)
    best = BeamSearch(num_beams=4, length_penalty=0.0, num_results=3)
    (texts,), (scores,) = model.generate([[1, 2]], 6, best, return_scores=True)
    totals = [score.total for score in model.score([t[2:] for t in texts], [[1, 2]] * 3)]
    assert len(texts) == 3 and (np.diff(scores) < 1e-5).all()
    np.testing.assert_allclose(scores, totals, atol=1e-5)


@pytest.mark.slow
def test_prompts_go_on_from_a_state():
    """Each from its own row, also where the last batch is filled up; scores and beams too."""
    model, backbone = writer(), writer().backbone
    # The last prompt, alone in its batch, goes on otherwise than from the state of the first.
    prompts, texts = [*PROMPTS[:2], [5]], IDS[[0, 2, 1], :5]
    state = backbone.encode({"token_ids": texts})["state"]
    best = BeamSearch(num_beams=2, length_penalty=0.0, num_results=2)
    options = dict(batch_size=2, state=state, verbose=0)
    written, totals = model.generate(prompts, 7, best, return_scores=True, **options)
    greedy = model.generate(prompts, 7, "greedy", **options)
    scores = model.score([text[1:] for text in greedy], [text[:1] for text in greedy], **options)
    for number, (prompt, text) in enumerate(zip(prompts, greedy)):
        own = {"state": {name: value[number : number + 1] for name, value in state.items()}}
        expected = list(prompt)
        while len(expected) < 7:
            expected.append(int(log_probs(expected, **own)[-1].argmax()))
        assert text == expected
        found = log_probs(text, **own)[np.arange(6), text[1:]]
        np.testing.assert_allclose(scores[number].tokens, found, atol=1e-5)
        for one, total in zip(written[number], totals[number]):
            behind = np.arange(len(prompt) - 1, 6)
            found = log_probs(one, **own)[behind, np.array(one)[behind + 1]]
            np.testing.assert_allclose(total, found.sum(), atol=1e-5)
    assert greedy != model.generate(prompts, 7, "greedy", batch_size=2, verbose=0)


def test_states_that_prompts_cannot_go_on_from():
    model = writer()
    state = model.backbone.encode({"token_ids": IDS[:2, :5]})["state"]
    with pytest.raises(ValueError, match=r"3 prompts, and a state of \[2\] rows"):
        model.generate(PROMPTS, 7, state=state)
    with pytest.raises(ValueError, match=r"1 texts, and a state of \[2\] rows"):
        model.score([[1]], [[2]], state=state)
    with pytest.raises(ValueError, match="has no state.*without a memory"):
        CausalLM(made()).score([[1]], [[2]], state=state)
