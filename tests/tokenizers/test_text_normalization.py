"""text_normalization.py: the text that SentencePiece sees, and where it comes from."""

import itertools
import unicodedata

import numpy as np
import pytest

from keras_plm.tokenizers.text_normalization import TextNormalization

SETTINGS = [TextNormalization(*flags) for flags in itertools.product([False, True], repeat=3)]
# text, then what the cased and the uncased models of the original make of it, worked by hand
TABLE = [
    ("", "", ""),
    (" \n\t ", "", ""),
    ("  Two\u00a0 spaces\r\n\u2003here ", "Two spaces here", "two spaces here"),
    ("``It's'' \"so\"", '"It\'s" "so"', '"it\'s" "so"'),
    ("```a'''", '"`a"\'', '"`a"\''),
    ("` ` and ' '", "` ` and ' '", "` ` and ' '"),
    ("Déjà vu, nai\u0308ve Ångström", "Deja vu, naive Angstrom", "deja vu, naive angstrom"),
    ("ﬁn ½ Ａ２ ｢x｣ …", "fin 1⁄2 A2 「x」 ...", "fin 1⁄2 a2 「x」 ..."),
    ("ΌΔΟΣ Σ", "ΟΔΟΣ Σ", "οδος σ"),
    ("İ", "I", "i"),
    ("한 日本 😀", "\u1112\u1161\u11ab 日本 😀", "\u1112\u1161\u11ab 日本 😀"),
    ("<eop> \u0301x", "<eop> x", "<eop> x"),
]


@pytest.mark.parametrize("text, cased, uncased", TABLE)
def test_the_originals_preprocessing(text, cased, uncased):
    assert TextNormalization(clean_text=True, keep_accents=False)(text) == cased
    normalize = TextNormalization(clean_text=True, keep_accents=False, lowercase=True)
    assert normalize(text) == uncased


def test_each_setting_does_its_own_part():
    text = " ``É'' "
    assert TextNormalization().changes_nothing and TextNormalization()(text) == text
    assert TextNormalization(clean_text=True)(text) == '"É"'
    assert TextNormalization(keep_accents=False)(text) == " ``E'' "
    assert TextNormalization(lowercase=True)(text) == " ``é'' "
    assert not any(one.changes_nothing for one in SETTINGS if one != TextNormalization())


def test_origins_by_hand():
    text = "  a\n b ``½é'' x"
    result, origins = TextNormalization(clean_text=True, keep_accents=False)(text), None
    assert result == 'a b "1⁄2e" x'
    again, origins = TextNormalization(True, False).with_origins(text)
    assert again == result
    assert origins.tolist() == [2, 3, 5, 6, 7, 9, 9, 9, 10, 11, 13, 14, 15]


@pytest.mark.parametrize("normalize", SETTINGS, ids=str)
def test_origins_belong_to_the_text_of_the_call(normalize):
    rng = np.random.default_rng(0)
    characters = list(" \n\t\u00a0\u3000`'\"aÉéßΣσİǅ½ﬁ한日Ａ…\u0301\u0327😀") + [
        "``",
        "''",
        "e\u0301",
    ]
    texts = ["".join(rng.choice(characters, rng.integers(0, 30))) for _ in range(300)]
    blocks = [0, 0x300, 0x1E00, 0x2000, 0xAC00, 0xF900, 0x1D400, 0x1F600]
    texts += ["".join(map(chr, range(begin, begin + 0x300))) for begin in blocks]
    for text in texts:
        result, origins = normalize.with_origins(text)
        assert result == normalize(text)
        assert len(origins) == len(result) + 1 and origins[-1] == len(text)
        assert (np.diff(origins) >= 0).all()
        for character, origin in zip(result, origins):
            shown = unicodedata.normalize("NFKD", text[origin])
            lowered = unicodedata.normalize("NFKD", shown.lower())
            allowed = text[origin] + shown + lowered + text[origin].lower() + "ς"
            assert (
                character in allowed
                or (character, text[origin]) in ((" ", text[origin]),)
                or (character == '"' and text[origin] in "`'")
            )


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["a"]])
def test_what_is_no_text_is_refused(wrong):
    for call in (TextNormalization(), TextNormalization(True).with_origins):
        with pytest.raises(TypeError, match="must be a string. Received"):
            call(wrong)


@pytest.mark.parametrize("name", ["clean_text", "keep_accents", "lowercase"])
def test_settings_are_bools(name):
    with pytest.raises(ValueError, match=f"{name} must be True or False. Received: 1"):
        TextNormalization(**{name: 1})
