"""dialogue_turns.py: what is said, in every style of quotation marks."""

import pytest

from keras_plm.data.corpus.dialogue_turns import quoted_turns


def test_the_example():
    text = '"Well," said he, "is it tea?"\nNobody spoke.\n"It isn\'t."'
    assert quoted_turns(text) == ["Well, is it tea?", "It isn't."]
    assert quoted_turns("Nobody spoke.\n\n") == quoted_turns("") == []


@pytest.mark.parametrize(
    "paragraph, turn",
    [
        # the styles of the novels
        ("\"We always smoke 'ship's' ourselves,\" I said.", "We always smoke 'ship's' ourselves,"),
        ("'Found what?' said the Duck.", "Found what?"),
        ("'You know what \"it\" means.'", 'You know what "it" means.'),
        ("'I don't like boys' hats,' she said: 'do you?'", "I don't like boys' hats, do you?"),
        ("'Take 'em,' he said--'both.'", "Take 'em, both."),
        ('He asked: "Why--" and left.', "Why--"),
        ('"Yes!" "No!"', "Yes! No!"),
        # others
        ("“Well,” said he, “it’s tea.”", "Well, it’s tea."),
        ("‘Well,’ said he, ‘it’s tea.’", "Well, it’s tea."),
        ("«Oui», dit-elle.", None),
        ("« Oui. » dit-elle.", None),
        ("«Oui.» Elle rit.", "Oui."),
        ("他说：「你好！」", "你好！"),
        ("他说：“你好！”", "你好！"),
        # a speech that goes on in the next paragraph
        ('"It was night. He went', "It was night. He went"),
        # quoted words are no speech
        ("It was labelled 'ORANGE MARMALADE', but 'twas empty.", None),
        ('At the ominous word "liberality," he frowned.', None),
        ('The "Brixton Mystery," as they termed it.', None),
        ("The boys' hats, the girls' shoes.", None),
        ("It was his' he said.'", None),
    ],
)  # fmt: skip
def test_one_paragraph(paragraph, turn):
    assert quoted_turns(paragraph) == ([turn] if turn else [])
