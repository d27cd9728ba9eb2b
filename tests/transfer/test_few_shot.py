import numpy as np
import pytest

from keras_plm.transfer import QUESTION, TRANSLATION_ARROW, FewShot, draw_shots

PAIRS = [
    {"source": "sea otter", "target": "loutre de mer"},
    {"source": "plush giraffe", "target": "girafe peluche"},
    {"source": "cheese", "target": "fromage"},
]
FEW_SHOT = FewShot(TRANSLATION_ARROW, "\n", "Translate English to French:")


class Words:
    """A tokenizer whose tokens are the words."""

    def encode(self, text):
        return text.split()


def test_figure_2_1_of_gpt_3():
    zero = "Translate English to French:\ncheese =>"
    one = "Translate English to French:\nsea otter => loutre de mer\ncheese =>"
    few = (
        "Translate English to French:\nsea otter => loutre de mer\n"
        "plush giraffe => girafe peluche\ncheese =>"
    )
    for count, expected in enumerate((zero, one, few)):
        assert FEW_SHOT.prompt(PAIRS[2], PAIRS[:count]) == expected


def test_two_newlines_and_no_instruction():
    shot = {"question": "Who?", "answer": "Ann"}
    found = FewShot(QUESTION).prompt({"question": "Why?"}, [shot])
    assert found == "Q: Who?\nA: Ann\n\nQ: Why?\nA:"


def test_the_answer_that_is_asked_is_not_in_the_prompt():
    assert "fromage" not in FEW_SHOT.prompt(PAIRS[2], PAIRS[:2])


def test_the_first_shots_give_way():
    whole = FEW_SHOT.prompt(PAIRS[2], PAIRS[:2])  # 4 + 6 + 5 + 2 words
    for room, left in ((17, 2), (16, 1), (11, 1), (10, 0), (6, 0)):
        fitted = FEW_SHOT.fit(PAIRS[2], PAIRS[:2], Words(), room)
        assert fitted.num_shots == left
        assert len(fitted.text.split()) <= room
        assert fitted.text == FEW_SHOT.prompt(PAIRS[2], PAIRS[2 - left : 2])
    assert FEW_SHOT.fit(PAIRS[2], PAIRS[:2], Words(), 17).text == whole
    with pytest.raises(ValueError, match="without shots the prompt has 6 tokens.*max_tokens=5"):
        FEW_SHOT.fit(PAIRS[2], PAIRS[:2], Words(), 5)


def test_shots_are_drawn_evenly_and_without_the_one_that_is_asked():
    draws, size, count, asked = 10_000, 8, 3, 2
    counts = np.zeros((count, size))
    for seed in range(draws):
        drawn = draw_shots(range(size), count, seed, asked)
        assert len(set(drawn)) == count
        counts[range(count), drawn] += 1
    assert not counts[:, asked].any()
    rest = np.delete(counts, asked, axis=1)  # (place, example)
    expected = draws / (size - 1)
    chi_square = ((rest - expected) ** 2 / expected).sum(axis=1)
    assert (chi_square < 22.5).all()  # 6 degrees of freedom, p = 0.001


def test_the_same_seed_draws_the_same():
    examples = list("abcdefghij")
    assert draw_shots(examples, 4, 1, 3) == draw_shots(examples, 4, 1, 3)
    assert draw_shots(examples, 4, (1, 3)) != draw_shots(examples, 4, (1, 4))
    assert draw_shots(examples, 4, 1, 3) != draw_shots(examples, 4, 1, 4)
    assert draw_shots(examples, 0, 1) == []
    assert sorted(draw_shots(examples, 10, 1)) == examples


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((3, 0, None), "from 0 to 2, .* Received: count=3"),
        ((2, 0, 1), "from 0 to 1"),
        ((-1, 0, None), "Received: count=-1"),
        ((True, 0, None), "Received: count=True"),
        ((1, 0, 2), "from 0 to 1, or None, its place among the examples.*asked=2"),
        ((1, 0, -1), "asked=-1"),
    ],
)
def test_wrong_draws(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_shots(["a", "b"], *arguments)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="`template` must be a PromptTemplate"):
        FewShot("Q: {question}")
    with pytest.raises(TypeError, match="`separator` must be a string.*separator=None"):
        FewShot(QUESTION, None)
