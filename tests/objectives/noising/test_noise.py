"""The noises of the papers: worked examples, 20,000 draws, what hides, tokenizers, bad input."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm import data
from keras_plm.features import check_batch
from keras_plm.objectives import (
    MASS,
    CausalModeling,
    CorruptedInput,
    Corruption,
    Denoising,
    LocalShuffle,
    MaskedModeling,
    Noise,
    NoisyInput,
    OneSpan,
    PoissonSelection,
    SentencePermutation,
    SpanCorruption,
    SpanTarget,
    TextInfilling,
    WordNoise,
)
from keras_plm.objectives.objective import DrawnNumbers
from keras_plm.tokenizers.row_layout import LAYOUTS

DRAWS, V = 20_000, 200
PAD, START, END, UNK, MASK, STOP = range(6)
LAYOUT_OF = {"roberta": START, "xlm": END, "transformer_xl": None}


def a_tokenizer(layout):
    """Pieces without a text: special tokens, a full stop, 94 words and 100 sentinels."""
    first = {"roberta": {"cls": START}, "xlm": {"cls": END}, "transformer_xl": {}}[layout]
    ids = {**first, "sep": END, "eos": END, "pad": PAD, "unk": UNK, "mask": MASK}
    words = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "Ġ."]
    words += [f"w{number}" for number in range(6, 100)]
    words += [f"<extra_id_{number}>" for number in reversed(range(100))]
    return SimpleNamespace(
        vocabulary_size=V,
        special_token_ids=ids,
        special_token_id=ids.__getitem__,
        mask_token_id=MASK,
        pad_token_id=PAD,
        layout=LAYOUTS[layout],
        pieces=lambda wanted: [words[number] for number in wanted],
    )


def made(noise, layout, **settings):
    return Denoising.for_tokenizer(a_tokenizer(layout), noise, **settings)


def rows(ids, times=1, length=None):
    ids = np.repeat([[*ids, *[PAD] * ((length or 0) - len(ids))]], times, axis=0).astype("int32")
    return {
        "token_ids": ids,
        "padding_mask": ids != PAD,
        "functional": np.isin(ids, (PAD, START, END)),
        "word_starts": np.ones(ids.shape, bool),
    }


def examples_of(objective, batch, rng=0):
    """Of each row what the encoder reads, what the decoder reads, and what is asked for."""
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    x, y, weight = objective(batch, rng)
    check_batch(x, names=objective.feature_names, vocabulary_size=V)
    sides = (
        (x["source_token_ids"], x["source_padding_mask"]),
        (x["token_ids"], x["padding_mask"]),
        (y["tokens"], weight["tokens"] > 0),
    )
    return [
        [values[row][real[row]].tolist() for values, real in sides]
        for row in range(len(y["tokens"]))
    ], x


def close(found, chance, draws):
    return abs(found - chance) <= 4.5 * np.sqrt(chance * (1 - chance) / draws)


# === MASS ===

SENTENCE = [END, *range(10, 16), END]  # </s> a b c d e f </s>


def test_the_example_of_mass():
    """n = 8, m = 4, the span begins at 3; of "c d e f" one is kept and one replaced."""
    objective = made(MASS(0.5), "xlm", sequence_length=8)
    uniform = np.zeros((1, objective.draws_per_row))
    uniform[0, :2] = 0.5, 0.5  # anywhere; from 1 to 4, the third
    what, which = uniform[0, 2:10], uniform[0, 10:18]
    what[3:7] = 0.1, 0.85, 0.95, 0.79  # mask, random, kept, mask
    which[4] = 0.99
    ((source, reads, asked),), x = examples_of(objective, rows(SENTENCE), DrawnNumbers(uniform))
    assert source == [END, 10, 11, MASK, 198, 14, MASK, END]
    assert reads == [11, 12, 13, 14] and asked == [12, 13, 14, 15]
    assert x["position_ids"].tolist() == [[2, 3, 4, 5]]
    assert x["source_visible"].tolist() == [[1, 1, 1, 0, 1, 1, 0, 1]]


@pytest.mark.parametrize("release", ["translation", "summarization"])
def test_mass_over_20_000_draws(release):
    """80 / 10 / 10, the mask hidden and nothing else, consecutive originals, exact counts."""
    n = 40
    sentence = [END, *range(10, 10 + n - 2), END]
    objective = made(MASS(0.5, release), "xlm", sequence_length=n)
    batch = rows(sentence, DRAWS // 20)  # 20 hidden tokens in each
    examples, x = examples_of(objective, batch)
    becomes = Counter()
    hidden = round(0.5 * n) if release == "translation" else int(0.5 * (n - 1))
    begins = Counter()
    for number, (source, reads, asked) in enumerate(examples):
        assert len(asked) == hidden and len(source) == n
        positions = x["position_ids"][number][: len(asked)]
        assert reads == [sentence[place] for place in positions]
        assert asked == [sentence[place + 1] for place in positions]
        assert (np.diff(positions) == 1).all() and positions[0] >= 0
        begins[positions[0] + 1] += 1
        for place, token in enumerate(source):
            if positions[0] < place <= positions[-1] + 1:
                name = "mask" if token == MASK else "kept" if token == sentence[place] else "random"
                becomes[name] += 1
            else:
                assert token == sentence[place]
        seen = x.get("source_visible")
        assert seen is None or (seen[number] == (np.array(source) != MASK)).all()
    assert ("source_visible" in x) == (release == "translation")
    total, ids = hidden * len(examples), V if release == "translation" else V - 5
    chances = {"mask": 0.8, "kept": 0.1, "random": 0.1}
    if release == "translation":  # a random id of the whole vocabulary may be the mask or the same
        chances = {"mask": 0.8 + 0.1 / ids, "kept": 0.1 + 0.1 / ids, "random": 0.1 - 0.2 / ids}
    else:
        chances = {"mask": 0.8, "kept": 0.1 + 0.1 / ids, "random": 0.1 - 0.1 / ids}
    for name, chance in chances.items():
        assert close(becomes[name] / total, chance, total), name
    at_start = 0.2 + 0.6 / (n - hidden) if release == "translation" else 1 / (n - hidden)
    assert close(begins[1] / len(examples), at_start, len(examples))
    assert close(begins[n - hidden] / len(examples), at_start, len(examples))


def test_a_block_of_64_has_a_span_of_its_own():
    """Later spans see earlier ones: the decoder reads all of them one after the other."""
    sentence = [END, *(10 + np.arange(128) % 80).tolist()]
    objective = made(MASS(0.5, "summarization"), "xlm", sequence_length=129)
    ((_, reads, asked),), x = examples_of(objective, rows(sentence))
    positions = x["position_ids"][0]
    assert len(asked) == 64 and reads == [sentence[place] for place in positions]
    assert (np.diff(positions) == 1).sum() == 62  # two runs
    assert ((positions < 64).sum(), (positions >= 64).sum()) == (32, 32)


def test_one_hidden_token_is_masked_modelling():
    """MASS's claim (table 1): with k = 1 it asks for the one masked token, given all others."""
    objective = made(MASS(1e-6), "xlm", sequence_length=8)
    all_masks = Corruption(1.0, 0.0)
    objective = Denoising(
        V, objective.select, CorruptedInput(MASK, all_masks), SpanTarget(), sequence_length=8
    )
    batch = rows(SENTENCE, 300)
    x, y, weight = objective(batch, np.random.default_rng(0))
    position = x["position_ids"][:, 0] + 1  # of the token that is asked for
    inside = position < 7  # </s> is no target of masked modelling
    mlm = MaskedModeling(V, MASK, corrupt=all_masks, sequence_length=8, num_predict=1)
    given = np.zeros((inside.sum(), 8), "int32")
    given[np.arange(len(given)), position[inside]] = 1
    object.__setattr__(mlm, "select", _Given(given))
    theirs, asked, counted = mlm(
        {name: values[inside] for name, values in batch.items()}, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(x["source_token_ids"][inside], theirs["token_ids"])
    np.testing.assert_array_equal(y["tokens"][inside], asked["tokens"])
    np.testing.assert_array_equal(weight["tokens"][inside], counted["tokens"])
    np.testing.assert_array_equal(position[inside], theirs["target_positions"][:, 0])
    assert set(position.tolist()) == set(range(1, 8)) and y["tokens"].shape == (300, 1)


class _Given:
    """A selection that is known beforehand."""

    def __init__(self, units):
        self.units = units

    def draws(self, length):
        return 0

    def __call__(self, batch, uniform, most):
        return self.units


def test_all_hidden_tokens_are_causal_modelling():
    """MASS's claim (table 1): with k = m the encoder knows nothing: a language model is left."""
    select, target = OneSpan(1.0), SpanTarget()
    reads = CorruptedInput(MASK, Corruption(1.0, 0.0))
    objective = Denoising(V, select, reads, target, sequence_length=8)
    batch = rows(SENTENCE[:6], 3, length=8)
    x, y, weight = objective(batch, np.random.default_rng(0))
    theirs, asked, counted = CausalModeling(8, documents_apart=False)(batch, None)
    assert x["source_token_ids"].tolist() == [[END, *[MASK] * 5, PAD, PAD]] * 3
    assert x["source_visible"].tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]] * 3
    np.testing.assert_array_equal(y["tokens"], asked["tokens"])
    np.testing.assert_array_equal(weight["tokens"], counted["tokens"])
    real = weight["tokens"] > 0
    np.testing.assert_array_equal(x["token_ids"][real], theirs["token_ids"][:, :-1][real])
    np.testing.assert_array_equal(x["position_ids"][real], theirs["target_positions"][real])


def test_a_first_token_is_never_read_from_itself():
    """Where a selection takes the first token of a row, the decoder reads the start before it."""
    objective = Denoising(
        V, _GivenFirst(), CorruptedInput(MASK), SpanTarget(), None, START, sequence_length=3
    )
    ((_, reads, asked),), x = examples_of(objective, rows([10, 11, 12]))
    assert asked == [10, 11] and reads == [START, 10]
    assert x["position_ids"].tolist() == [[0, 0, 0]]


class _GivenFirst(OneSpan):
    """Takes the first two tokens."""

    def __call__(self, batch, uniform, most):
        return np.tile(np.int32([1, 1, 0]), (len(uniform), 1))

    def predictions(self, length):
        return length


# === T5 ===


def test_the_example_of_t5():
    """20 tokens at .3 and 3: keep parts 5 and 9, noise parts 2 and 4; </s> on both sides."""
    text = list(range(10, 30))
    objective = made(SpanCorruption(0.3, 3), "transformer_xl", sequence_length=21)
    examples, _ = examples_of(objective, rows([*text, END], 4_000))
    s0, s1 = V - 1, V - 2
    wanted = [*text[:5], s0, *text[7:16], s1, END]
    found = [one for one in examples if one[0] == wanted]
    assert found
    target = [s0, *text[5:7], s1, *text[16:], END]
    assert all(one[1:] == [[PAD, *target[:-1]], target] for one in found)


def test_span_corruption_hides():
    """No hidden token is in the source; sides have as many sentinels and end with a hidden one."""
    text = list(range(10, 90))
    objective = made(SpanCorruption(), "transformer_xl", sequence_length=81)
    examples, _ = examples_of(objective, rows([*text, END], 2_000))
    for source, reads, asked in examples:
        hidden = [token for token in asked if 10 <= token < 90]
        assert not set(hidden) & set(source) and len(hidden) == 12  # .15 * 80
        marks = [[token for token in side if token >= 100] for side in (source, asked)]
        assert marks[0] == marks[1] == [V - 1 - number for number in range(4)]
        assert asked[-2] == 89 and source[-2:] == [V - 4, END]  # never ends with a sentinel
        assert asked[-1] == END and reads == [PAD, *asked[:-1]]
        assert sorted([*hidden, *(t for t in source if 10 <= t < 90)]) == text


@pytest.mark.parametrize("raw, source, target", [(141, 128, 29), (568, 512, 114)])
def test_rows_that_fill_both_sides(raw, source, target):
    """T5's lengths: raw tokens and </s>; shorter rows fit as well."""
    settings = dict(sequence_length=raw + 1, source_length=source, target_length=target)
    objective = made(SpanCorruption(), "transformer_xl", **settings)
    x, y, weight = objective(rows([*[10] * raw, END], 20), np.random.default_rng(0))
    assert x["source_padding_mask"].all() and weight["tokens"].all()
    for length in range(1, raw, 7):
        short = rows([*[10] * length, END], 2, length=raw + 1)
        x, y, weight = objective(short, np.random.default_rng(0))
        assert x["source_padding_mask"].any(axis=1).all()
        assert weight["tokens"].any(axis=1).all() == (length > 1)


def test_more_spans_than_sentinels():
    tokenizer = a_tokenizer("transformer_xl")
    few = Denoising.for_tokenizer(tokenizer, SpanCorruption(0.5, 1), sequence_length=401)
    batch = rows([*[10] * 400, END])
    with pytest.raises(ValueError, match="more spans than there are sentinels.*200 spans"):
        few(batch, np.random.default_rng(0))


def test_sentinels_of_a_tokenizer(tokenizers):
    extended = data.add_special_tokens(tokenizers["roberta"], data.SENTINEL_TOKENS)
    objective = Denoising.for_tokenizer(extended, SpanCorruption(), sequence_length=32)
    assert objective.input.first == extended.vocabulary_size - 1 and objective.input.number == 100
    assert extended.pieces([objective.input.first])[0] == "<extra_id_0>"
    assert data.SENTINEL_TOKENS.keys() <= extended.special_token_ids.keys()
    with pytest.raises(ValueError, match="needs sentinels .*Received: 0 such tokens"):
        Denoising.for_tokenizer(tokenizers["roberta"], SpanCorruption())
    upwards = dict(reversed(list(data.SENTINEL_TOKENS.items())))
    wrong = data.add_special_tokens(tokenizers["roberta"], upwards)
    with pytest.raises(ValueError, match="Received: 100 such tokens, of which 1 count down"):
        Denoising.for_tokenizer(wrong, SpanCorruption())


# === BART ===

# <s> The cat sat . It ran . </s>
TEXT = [START, 10, 11, 12, STOP, 13, 14, STOP, END]


def test_the_example_of_bart():
    """Lengths 2, 0 and 1 of 7 words: "cat sat" and "ran" become masks, and one mask more."""
    noise = TextInfilling(mean_length=3.0, random=0, permute=0)
    objective = made(noise, "roberta", sequence_length=9)
    most = objective.select.draws(9) // 3
    uniform = np.full((1, objective.draws_per_row), 0.5)
    uniform[0, :2] = 0.3, 0.1
    uniform[0, most : most + 2] = 0.0, 0.951
    uniform[0, 2 * most : 2 * most + 2] = 1.1 / 7, 4.1 / 6
    uniform[0, 3 * most : 3 * most + 9] = [0.5, 0.5, 0.5, 0.1, 0.5, 0.5, 0.5, 0.5, 0.5]
    ((source, reads, asked),), _ = examples_of(objective, rows(TEXT), DrawnNumbers(uniform))
    assert source == [START, 10, MASK, MASK, STOP, 13, MASK, STOP, END]
    assert asked == TEXT and reads == [END, *TEXT[:-1]]


def test_what_bart_leaves_alone():
    """The target is the text; frame and order of the rest stay, and so many words are hidden."""
    words = [START, *range(10, 50), END]
    objective = made(TextInfilling(0.3, 3.0, 0, permute=0), "roberta", sequence_length=42)
    examples, _ = examples_of(objective, rows(words, DRAWS // 10))
    hidden = []
    for source, _, asked in examples:
        assert asked == words and source[0] == START and source[-1] == END
        left = [token for token in source if token != MASK]
        assert left == sorted(left, key=words.index) and len(set(left)) == len(left)
        hidden.append(42 - len(left))
        assert not set(words) - set(left) & set(source)
    assert max(hidden) == 12 and min(hidden) > 0  # ceil(.3 * 40), less where spans meet
    # deleted in place of masked: a subsequence
    objective = made(TextInfilling(0.3, 3.0, 0, "nothing", 0), "roberta", sequence_length=42)
    for source, _, asked in examples_of(objective, rows(words, 300))[0]:
        assert source == sorted(set(words) & set(source), key=words.index) and asked == words


@pytest.mark.parametrize("rotate", [0.0, 0.5])
def test_sentences_and_turns_keep_every_token(rotate):
    """Both orders of two sentences come, and what surrounds them stays; the target is the text."""
    objective = made(TextInfilling(0, permute=1.0, rotate=rotate), "roberta", sequence_length=11)
    examples, _ = examples_of(objective, rows(TEXT, DRAWS, length=11))
    found = Counter()
    for source, reads, asked in examples:
        assert asked == TEXT and reads == [END, *TEXT[:-1]] and sorted(source) == sorted(TEXT)
        found[tuple(source)] += 1
    swapped = (START, 13, 14, STOP, 10, 11, 12, STOP, END)
    if not rotate:
        assert set(found) == {tuple(TEXT), swapped}
        assert close(found[swapped] / DRAWS, 0.5, DRAWS)
    else:  # half are turned, by 8 offsets; two of them turn nothing, one makes the other order
        chance = 0.5 * (0.5 + 0.5 * 2 / 8) + 0.5 * 0.5 / 8
        assert close(found[swapped] / DRAWS, chance, DRAWS) and len(found) == 7
        assert all(source[0] == START and source[-1] == END for source in found)


def test_nothing_is_the_identity():
    objective = made(TextInfilling(0, permute=0), "roberta", sequence_length=9)
    assert objective.select is None and objective.arrange == ()
    ((source, _, asked),), _ = examples_of(objective, rows(TEXT))
    assert source == asked == TEXT


# === A denoising autoencoder ===


def test_word_noise():
    """No token moves by more than 3; a tenth is dropped; the decoder reads </s>, then the text."""
    sentence = [END, *range(10, 30), END]
    objective = made(WordNoise(3, 0, 0), "xlm", sequence_length=22)
    examples, _ = examples_of(objective, rows(sentence, DRAWS))
    moves = np.array([source for source, _, _ in examples]) - np.array(sentence)
    assert abs(moves[:, 1:-1]).max() == 3 and not moves[:, [0, -1]].any()
    assert all(one[1:] == [sentence[:-1], sentence[1:]] for one in examples[:100])
    objective = made(WordNoise(), "xlm", sequence_length=22)
    examples, _ = examples_of(objective, rows(sentence, DRAWS))
    left = sum(len(source) - 2 for source, _, _ in examples)
    masks = sum(source.count(MASK) for source, _, _ in examples)
    assert close(left / (20 * DRAWS), 0.9, 20 * DRAWS)
    assert close(masks / left, 0.1, left)


# === All of them ===


def test_what_they_are():
    """The choices of each, by the tokens of a tokenizer; what is given goes before them."""
    objective = made(MASS(), "xlm")
    assert objective.select == OneSpan(0.5, 0.2, 0.2) and objective.start_token_id == END
    assert objective.input.corrupt == Corruption(0.8, 0.1, random_ids="vocabulary")
    objective = made(TextInfilling(), "roberta")
    assert objective.select == PoissonSelection(0.3, 3.5)
    assert objective.arrange == (SentencePermutation((STOP,)),) and objective.rotate == 0
    assert (objective.input.replace, objective.input.random) == ("span", 0.1)
    assert (objective.start_token_id, objective.end_token_id) == (END, None)
    objective = made(WordNoise(), "xlm")
    assert objective.arrange == (LocalShuffle(3),) and objective.select is None
    assert objective.input == NoisyInput(MASK, 0.1, 0.1)
    objective = made(SpanCorruption(), "transformer_xl", start_token_id=7, pad_token_id=9)
    assert (objective.start_token_id, objective.pad_token_id) == (7, 9)
    assert Noise.from_config(MASS(0.3).get_config()) == MASS(0.3)


def test_the_full_stops_of_a_tokenizer(tokenizers):
    for name in ("roberta", "bert", "xlnet"):
        tokenizer = tokenizers[name]
        objective = Denoising.for_tokenizer(tokenizer, TextInfilling(), sequence_length=32)
        pieces = tokenizer.pieces(objective.arrange[0].end_token_ids)
        assert {one.strip("Ġ▁#") for one in pieces} == {"."}
        stop = tokenizer.encode("He went.")[-1]
        assert stop in objective.arrange[0].end_token_ids
    with pytest.raises(ValueError, match="must have a full stop.*none of which"):
        Denoising.for_tokenizer(tokenizer, TextInfilling(full_stops=("never",)))


@pytest.mark.parametrize("name", ["MASS", "TextInfilling", "WordNoise"])
def test_batches_are_functions_of_seed_and_number(name, corpora, tokenizers):
    """Resumed, and in shards, they are the same; another seed makes others."""
    noise = {"MASS": MASS(), "TextInfilling": TextInfilling(rotate=0.5), "WordNoise": WordNoise()}
    objective = Denoising.for_tokenizer(tokenizers["roberta"], noise[name], sequence_length=48)
    whole = data.examples(corpora["roberta"], objective, 8, seed=3)
    assert whole.batch_at(5)[0]["source_token_ids"].shape == (8, 48)
    resumed = next(iter(data.examples(corpora["roberta"], objective, 8, seed=3, start=5)))
    halves = [
        data.examples(corpora["roberta"], objective, 8, seed=3, shard=(n, 2)).batch_at(5)
        for n in range(2)
    ]
    for number, part in enumerate(whole.batch_at(5)):
        for key, values in part.items():
            np.testing.assert_array_equal(values, resumed[number][key])
            both = np.concatenate([half[number][key] for half in halves])
            np.testing.assert_array_equal(values, both)
    other = data.examples(corpora["roberta"], objective, 8, seed=4).batch_at(5)
    ours = whole.batch_at(5)[0]["source_token_ids"]
    assert (other[0]["source_token_ids"] != ours).any()
    assert (whole.batch_at(6)[0]["source_token_ids"] != ours).any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MASS(0), "`share` must be a number above 0, at most 1"),
        (lambda: MASS(1.5), "`share` must be a number above 0, at most 1"),
        (lambda: MASS(float("nan")), "`share` must be"),
        (lambda: MASS(release="nmt"), "`release` must be one of"),
        (lambda: SpanCorruption(0), "`rate` must be a number above 0, at most 1"),
        (lambda: SpanCorruption(mean_length=0), "`mean_length` must be a number above 0"),
        (lambda: TextInfilling(1.1), "`share` must be a number from 0 to 1"),
        (lambda: TextInfilling(replace="mask"), "`replace` must be one of"),
        (lambda: TextInfilling(rotate=2), "`rotate` must be a number from 0 to 1"),
        (lambda: TextInfilling(full_stops="."), "`full_stops` must be a list of strings"),
        (lambda: WordNoise(-1), "`distance` must be an integer of at least 0"),
        (lambda: WordNoise(drop=1.5), "`drop` must be a number from 0 to 1"),
        (lambda: made(MASS(), "xlm", sequence_lenght=3), "sequence_lenght.*Did you mean"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_noise(tokenizers):
    with pytest.raises(TypeError, match="`noise` must be of the class Noise, or None"):
        Denoising.for_tokenizer(tokenizers["roberta"], "mass")
    with pytest.raises(ValueError, match="no special token 'mask'"):
        Denoising.for_tokenizer(tokenizers["gpt"], MASS())
