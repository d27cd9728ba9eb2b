"""word_rules.py: what fastai's rules and spaCy's words made of texts, and where words stand."""

import pytest

from keras_plm.tokenizers.words.word_rules import (
    fastai_words,
    fastai_words_with_bounds,
    joined_words,
    split_words_with_bounds,
)

# Texts, and the words of fastai 2's default rules with spaCy 3.8's English tokenizer, seen by
# running the two; white space, which is a word of spaCy's, is left out.
EXAMPLES = [
    ("Well, that was    soooo  GOOD", "xxmaj well , that was s xxrep 4 o xxup good"),
    ("ah ah   ah  ah", "xxwrep 4 ah"),
    ("ah ah ah ah.", "xxwrep 4 ah ."),
    ("ah ah ahi", "ah ah ahi"),
    ("I am A.", "i am xxup a."),
    ("This is Mark", "xxmaj this is xxmaj mark"),
    ("NASA's ROCKET", "nasa 's xxup rocket"),
    ("don't can't cannot", "do n't ca n't can not"),
    ("It's Tom's; they'll, we've", "xxmaj it 's xxmaj tom 's ; they 'll , we 've"),
    ("1,200 / 3.5 #tag", "1,200 / 3.5 # tag"),
    ("&lt;b&gt; &#39;x&#39;", "< b > & ' x & '"),
    ("say quot;hi quot;", "say ' hi '"),
    ("end...", "end …"),
    ("5 @-@ year @.@ 3", "5 - year.3"),
    ("a <unk> word", "a xxunk word"),
    ("one<br />two", "one two"),
    ("wow!!!! No--way", "wow xxrep 4 ! xxmaj no -- way"),
    ("e.g. J. Smith at 10 p.m.", "e.g. xxup j. xxmaj smith at 10 p.m."),
    ("well-known M-82 example.com", "well - known xxup m-82 example.com"),
    ('(The) "End".', '( the ) " end " .'),
    ("McDonald iPhone USA2 1990S", "mcdonald iphone xxup usa2 1990s"),
    ("naïve ÉCOLE Éa", "naïve école éa"),
    ("xxmaj literal", "xxmaj literal"),
]


@pytest.mark.parametrize(("text", "words"), EXAMPLES)
def test_fastai(text, words):
    assert fastai_words(text) == words.split()
    found, bounds = fastai_words_with_bounds(text)
    assert found == words.split() and len(bounds) == len(found)


def test_where_words_stand():
    text = "Well, sooo good good good &amp; İs it..."
    words, bounds = fastai_words_with_bounds(text)
    parts = [text[begin:end] for begin, end in bounds]
    assert list(zip(words, parts)) == [
        ("xxmaj", ""),
        ("well", "Well"),
        (",", ","),
        ("s", "s"),
        ("xxrep", ""),
        ("3", ""),
        ("o", "ooo"),
        ("xxwrep", ""),
        ("3", ""),
        ("good", "good good good"),
        ("&", "&"),
        ("&", "amp;"),
        ("i̇s", "İs"),
        ("it", "it"),
        ("…", "..."),
    ]
    assert bounds[0] == (0, 0) and bounds[7] == (11, 11)


@pytest.mark.parametrize(
    "text", ["", " \n", "A" * 50_000 + "a", "1," * 50_000 + "x", "a b " * 9_000]
)
def test_odd_texts_take_no_longer(text):
    """Rules that tried every begin and end of these would take minutes."""
    words = fastai_words(text)
    assert words == fastai_words_with_bounds(text)[0]


def test_split():
    assert split_words_with_bounds(" a\u00a0bc\nd ") == (["a", "bc", "d"], [(1, 2), (3, 5), (6, 7)])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("xxmaj well , xxup nasa", "Well , NASA"),
        ("s xxrep 4 o xxwrep 3 good", "s oooo good good good"),
        ("xxrep 9999 o xxrep x y", "xxrep 9999 o xxrep x y"),
        ("a xxmaj", "a xxmaj"),
        ("xxrep 3", "xxrep 3"),
    ],
)
def test_joined(words, text):
    assert joined_words(words.split()) == text
