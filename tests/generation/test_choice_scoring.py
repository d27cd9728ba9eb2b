import numpy as np
import pytest

from keras_plm import families
from keras_plm.backbones.decoding import transformer_decoding
from keras_plm.generation.choice_scoring import Choice
from keras_plm.tasks import CausalLM, TextPreprocessor

GPT = families.GPT2["flags"]
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10]]
CHOICES = [[[1], [2, 3, 4]], [[5, 6], [7, 8]], [[9, 1], [2]]]


@pytest.fixture(scope="module")
def plain(make_transformer, quick):
    """Without a tokenizer."""
    model = CausalLM(make_transformer(12, **GPT, num_layers=2, max_sequence_length=90))
    model.compile(**quick)
    return model


@pytest.fixture(scope="module")
def model(make_transformer, byte_level, quick):
    backbone = make_transformer(byte_level.vocabulary_size, **GPT)
    model = CausalLM(backbone, TextPreprocessor(byte_level, 16))
    model.compile(**quick)
    return model


def scored(model, prompts, choices, **options):
    """The log-likelihood of each token of each choice, by `score`."""
    texts = [one for own in choices for one in own]
    known = [prompt for prompt, own in zip(prompts, choices) for _ in own]
    scores = iter(model.score(texts, prompts=known, **options))
    return [[next(scores).tokens for _ in own] for own in choices]


def check(results, expected):
    for result, own in zip(results, expected, strict=True):
        assert isinstance(result, Choice) and result.index == np.argmax(result.scores)
        for tokens, value in zip(result.tokens, own, strict=True):
            np.testing.assert_allclose(tokens, value, atol=1e-5)


def test_choices_have_the_scores_of_texts(plain):
    results = plain.choose(PROMPTS, CHOICES, batch_size=2)
    expected = scored(plain, PROMPTS, CHOICES)
    check(results, expected)
    for result, own in zip(results, expected):
        np.testing.assert_allclose(result.scores, [one.sum() for one in own], atol=1e-5)


@pytest.mark.parametrize(
    "flags",
    [
        {"window": [None, 3]},
        {"positions_from_padding": True, "embedding_norm": True, "normalize_first": False},
        {"relative_position_buckets": 8},
    ],
)
def test_every_kind_of_position(flags, make_transformer, quick):
    model = CausalLM(make_transformer(12, **{**GPT, **flags}, max_sequence_length=90))
    model.compile(**quick)
    check(model.choose(PROMPTS, CHOICES), scored(model, PROMPTS, CHOICES))


def test_prompts_of_several_chunks(plain):
    rng = np.random.default_rng(0)
    prompts = [rng.integers(12, size=length).tolist() for length in (80, 70, 2)]
    choices = [[rng.integers(12, size=n).tolist() for n in (10, 1)] for _ in prompts]
    check(plain.choose(prompts, choices), scored(plain, prompts, choices))


def test_compiled(plain, monkeypatch):
    expected = plain.choose(PROMPTS, CHOICES)
    monkeypatch.setattr(plain, "run_eagerly", False)
    plain.forget_programs()
    for result, other in zip(plain.choose(PROMPTS, CHOICES), expected):
        np.testing.assert_allclose(result.scores, other.scores, atol=1e-5)
    plain.forget_programs()


def test_the_prompt_is_read_once(plain, monkeypatch):
    """However many choices there are: one row of the prompt's, and n - 1 of each choice's."""
    read, read_tokens = [], transformer_decoding.read_tokens

    def spy(backbone, cache, token_ids, *arguments, **options):
        read.append(tuple(token_ids.shape))
        return read_tokens(backbone, cache, token_ids, *arguments, **options)

    monkeypatch.setattr(transformer_decoding, "read_tokens", spy)
    plain.forget_programs()
    plain.choose(PROMPTS[:1], [[[one] for one in range(12)]])
    assert set(read) == {(1, 15), (1, 1)}  # a loop may be asked for a chunk twice
    read.clear()
    plain.forget_programs()
    plain.choose(PROMPTS[:2], [[[1, 2], [3, 4], [5, 6]]] * 2)
    assert set(read) == {(2, 15), (2, 1), (6, 8)}
    plain.forget_programs()


def test_per_token(plain):
    (result,) = plain.choose(PROMPTS[:1], CHOICES[:1], normalize="tokens")
    (own,) = scored(plain, PROMPTS[:1], CHOICES[:1])
    np.testing.assert_allclose(result.scores, [one.mean() for one in own], atol=1e-5)


def test_against_the_unconditional_answer(plain):
    choices = [[[1], [2, 3, 4], [5]], [[5], [1]], [[9, 1], [2]]]
    results = plain.choose(
        PROMPTS, choices, normalize="unconditional", unconditional_prompt=[11, 10], batch_size=2
    )
    expected = scored(plain, PROMPTS, choices)
    nothing = scored(plain, [[11, 10]] * 3, choices)
    check(results, expected)
    for result, own, other in zip(results, expected, nothing):
        totals = [a.sum() - b.sum() for a, b in zip(own, other)]
        np.testing.assert_allclose(result.scores, totals, atol=1e-5)
    # The prompt itself as the unconditional one takes all away.
    (result,) = plain.choose([[11, 10]], [[[1], [2]]], "unconditional", [11, 10])
    np.testing.assert_allclose(result.scores, 0, atol=1e-6)
    assert result.index == 0


def test_the_likeliest_next_tokens(plain):
    """Over all one-token choices the likelihoods add up to 1, and greedy writing agrees."""
    (result,) = plain.choose([[1, 2, 3]], [[[one] for one in range(12)]])
    np.testing.assert_allclose(np.exp(result.scores).sum(), 1, atol=1e-5)
    (text,) = plain.generate([[1, 2, 3]], 4, "greedy")
    assert text[-1] == result.index


def test_texts(model, byte_level):
    prompts, choices = ["the dog was", "I went"], [[" red", " in the house"], [" to", " a", " b"]]
    results = model.choose(prompts, choices)
    check(results, scored(model, prompts, choices))
    end = [byte_level.eos_token_id]
    ids = [end + row for row in byte_level.encode(prompts)]
    same = model.choose(ids, [byte_level.encode(own) for own in choices], prefix=[])
    for one, other in zip(results, same):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    fair = model.choose(prompts, choices, "unconditional")
    behind = scored(model, ["Answer:"] * 2, choices)
    for one, other, own in zip(fair, results, behind):
        expected = other.scores - [tokens.sum() for tokens in own]
        np.testing.assert_allclose(one.scores, expected, atol=1e-5)


@pytest.mark.parametrize(
    "prompts, choices, options, error, message",
    [
        ([[1]], [[]], {}, ValueError, "choices of prompt 0 are none. Received: an empty list"),
        ([[1]], [[[1], []]], {}, ValueError, "at least one token each.*as choice 1"),
        ([[1], [2]], [[[1]]], {}, ValueError, "one list of choices for each prompt.*1 lists, 2 pr"),
        ([], [], {}, ValueError, "`prompts`"),
        ([[1], []], [[[1]]] * 2, {}, ValueError, "Prompt 1 is empty"),
        ([[1] * 88], [[[1], [2] * 3]], {}, ValueError, "for 90 tokens.*88 tokens.*choice with 3"),
        ([[1]], [[[12]]], {}, ValueError, r"choices of prompt 0 .*\[0, 12\)"),
        ([[1]], ["yes"], {}, TypeError, "choices of prompt 0 must be a list of texts"),
        ([[1]], "yes", {}, TypeError, "`choices` must be a list of lists of choices.*'yes'"),
        ([[1]], [[[1]]], {"normalize": "bytes"}, ValueError, "`normalize` must be one of"),
        (
            [[1]],
            [[[1]]],
            {"batch_size": 0},
            ValueError,
            "`batch_size` must be an integer of at least 1",
        ),
        (
            *([[1]], [[[1]]], {"normalize": "unconditional", "unconditional_prompt": []}),
            *(ValueError, "`unconditional_prompt` must have a token"),
        ),
        (
            *([[1]], [[[1]]], {"normalize": "unconditional"}),
            *(ValueError, "Without a preprocessor `unconditional_prompt` must be lists of ids"),
        ),
    ],
)
def test_wrong_input(prompts, choices, options, error, message, plain):
    with pytest.raises(error, match=message):
        plain.choose(prompts, choices, **options)


def test_a_text_without_tokens(model):
    with pytest.raises(ValueError, match="choices of prompt 0 .*Received: '' as choice 1"):
        model.choose(["the dog"], [["a", ""]])
