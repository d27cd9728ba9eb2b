"""What a decoder knows of a text when it predicts: noise and architecture together.

Of each token of a text another one is put in its place, by the same random numbers: which rows of
the decoder change? And gradients, of what the encoder gives.
"""

import numpy as np
import pytest
from keras import ops
from seq2seq_forms import JAX, VOCABULARY, encode, made

from keras_plm.objectives import (
    CorruptedInput,
    Corruption,
    Denoising,
    InfilledInput,
    OneSpan,
    PoissonSelection,
    SentinelInput,
    SentinelTarget,
    SpanPartition,
    SpanTarget,
    WholeTarget,
)
from keras_plm.objectives.objective import DrawnNumbers

pytestmark = pytest.mark.usefixtures("quick_compilation")

PAD, END, MASK, FIRST_SENTINEL = 0, 2, 4, VOCABULARY - 1
TEXT = [END, *range(10, 16), END]  # </s> a b c d e f </s>
LENGTH = len(TEXT)
OTHER = 10  # what is added to a token to have another one: 20 to 25
ALL_MASKED = Corruption(1.0, 0.0)


def mass(share, corrupt=ALL_MASKED):
    """MASS for translation; of all masks, unless the others are looked at."""
    noise = OneSpan(share), CorruptedInput(MASK, corrupt), SpanTarget()
    return Denoising(VOCABULARY, *noise, sequence_length=LENGTH)


SENTINELS = FIRST_SENTINEL, 8
T5 = Denoising(
    *(VOCABULARY, SpanPartition(0.4, 1.5), SentinelInput(*SENTINELS), SentinelTarget(*SENTINELS)),
    end_token_id=END,
    sequence_length=LENGTH,
)
BART = Denoising(
    *(VOCABULARY, PoissonSelection(0.4, 1.5), InfilledInput(MASK), WholeTarget()),
    start_token_id=END,
    sequence_length=LENGTH,
)
KINDS = {
    "mass, one token": ("mass", mass(1e-6)),
    "mass": ("mass", mass(0.5)),
    "mass, all but the first": ("mass", mass(1.0)),
    "t5": ("t5", T5),
    "bart": ("bart", BART),
}


def rows(texts):
    ids = np.array(texts, "int32")
    all_of_them = np.ones(ids.shape, bool)
    return {
        "token_ids": ids,
        "padding_mask": all_of_them,
        "functional": ids == END,
        "word_starts": all_of_them,
    }


def made_of(objective, texts, uniform):
    """Examples of several texts with the same random numbers."""
    uniform = np.tile(uniform, (len(texts), 1))
    return objective(rows(texts), DrawnNumbers(uniform))


def changed_by(form, objective, uniform):
    """(P, T) bool, which states another token in the place of each changes; and the example."""
    copies = np.tile(TEXT, (LENGTH + 1, 1))
    inner = range(1, LENGTH - 1)
    for place in inner:  # copy n has another token at n, the last is the text
        copies[place, place] += OTHER
    x, y, weight = made_of(objective, copies, uniform)
    states = encode(made(form), **x_of(x))["sequence_output"]  # (copies, P, D)
    changed = np.abs(states - states[-1]).max(-1) > 1e-5
    asked = weight["tokens"][-1] > 0
    example = {
        "source": x["source_token_ids"][-1].tolist(),
        "reads": x["token_ids"][-1].tolist(),
        "asked": y["tokens"][-1][asked].tolist(),
    }
    return changed[:LENGTH, asked].T, example


def x_of(x):
    """The features without those for the head."""
    return {name: values for name, values in x.items() if name != "target_positions"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_token_is_known_from_the_row_behind_it_on(kind):
    """No state that predicts a hidden token, or one before it, depends on it; all others do."""
    form, objective = KINDS[kind]
    some_hidden = 0
    for uniform in np.random.default_rng(0).random((8, objective.draws_per_row)):
        changed, example = changed_by(form, objective, uniform)
        for place, token in enumerate(TEXT[1:-1], 1):
            asked = example["asked"]
            if token in example["source"]:
                known = np.ones(len(asked), bool)
            else:
                some_hidden += 1
                known = np.arange(len(asked)) > asked.index(token)
            np.testing.assert_array_equal(changed[:, place], known, err_msg=str(example))
    assert some_hidden > 3


@pytest.mark.parametrize("share, hidden", [(1e-6, 1), (1.0, LENGTH - 1)])
def test_the_two_ends_of_mass(share, hidden):
    """One token: masked modelling. All but the first: a language model (section 3.1, table 1).

    The state of the one token depends on every other one and not on it; of all of them each
    depends on those before it, of which the source has none.
    """
    objective, inner = mass(share), 0
    for uniform in np.random.default_rng(1).random((6, objective.draws_per_row)):
        changed, example = changed_by("mass", objective, uniform)
        asked = example["asked"]
        assert len(asked) == hidden == example["source"].count(MASK)
        if hidden == 1:
            known = np.array(TEXT[1:-1]) != asked[0]
            inner += not known.all()
            np.testing.assert_array_equal(changed[0, 1:-1], known)
        else:
            causal = np.tri(LENGTH - 1, LENGTH, dtype=bool)  # row i has read tokens 0 to i
            np.testing.assert_array_equal(changed[:, 1:-1], causal[:, 1:-1])
            inner += 1
    assert inner > 1


@pytest.mark.parametrize("share", [1e-6, 0.5, 1.0])
def test_the_decoder_of_mass_gets_nothing_from_masks(share, gradient):
    """No gradient at all by what the encoder gives at a mask; some by what it gives elsewhere.

    A token that was hidden and yet stands there, or a random one, is read: released so.
    """
    objective = mass(share, Corruption(random_ids="vocabulary"))
    batch = objective(rows([TEXT] * 8), np.random.default_rng(3))[0]
    by_output = gradient_by_encoder_output(made("mass"), batch, gradient)  # (B, N)
    is_mask = batch["source_token_ids"] == MASK
    np.testing.assert_array_equal(by_output == 0, is_mask)
    assert is_mask.any() and not is_mask.all()


@pytest.mark.parametrize("form, objective", [("t5", T5), ("bart", BART)])
def test_t5_and_bart_read_all_of_the_source(form, objective, gradient):
    """Their masks and sentinels too: they say where something is missing."""
    batch = objective(rows([TEXT] * 8), np.random.default_rng(4))[0]
    by_output = gradient_by_encoder_output(made(form), batch, gradient)
    np.testing.assert_array_equal(by_output != 0, batch["source_padding_mask"])
    assert not batch["source_padding_mask"].all()


def gradient_by_encoder_output(backbone, x, gradient):
    """(B, N), the largest by what the encoder gives at each token, of all that the decoder has."""
    stack = backbone.target_stack
    source = {name: values for name, values in x.items() if name.startswith("source_")}
    visible = ops.convert_to_numpy(backbone.visible_source(source))[:, None]
    positions = x.get("position_ids", np.arange(x["token_ids"].shape[1], dtype="int32")[None])
    shape = (*x["token_ids"].shape, backbone.hidden_dim)
    weight = np.random.default_rng(5).normal(size=shape).astype("float32")
    weight *= x["padding_mask"][:, :, None]

    def total(encoder_output):
        states, _ = stack.run(
            stack.embed(x["token_ids"], positions),
            positions,
            source=encoder_output,
            source_visible=visible,
            causal=True,
        )
        return ops.sum(states[-1] * weight)

    encoder_output = ops.convert_to_numpy(backbone.encode_source(source)["encoder_output"])
    return np.abs(gradient(total, encoder_output, jit=JAX)).max(-1)
