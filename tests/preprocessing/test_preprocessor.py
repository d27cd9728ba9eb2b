import inspect

import pytest

from keras_plm.data import SubwordTokenizer
from keras_plm.preprocessing.preprocessor import Preprocessor, preprocessor_arguments
from keras_plm.tasks import TextPreprocessor, WordPreprocessor
from keras_plm.tokenizers.text_columns import text_list


def test_it_knows_its_arguments():
    assert preprocessor_arguments(TextPreprocessor) == [
        "sequence_length",
        "truncate",
        "language",
        "pre_split",
        "backward",
        "linker",
    ]
    assert list(inspect.signature(Preprocessor).parameters)[0] == "tokenizer"


def test_another_preprocessors_preset_gives_tokenizer_and_length(tokenizer, tmp_path):
    class WordsOnlyPreprocessor(Preprocessor):
        def __init__(self, tokenizer=None, sequence_length=128, words=3, **kwargs):
            super().__init__(tokenizer, sequence_length, **kwargs)
            self.words = words

        def settings(self):
            return {**super().settings(), "words": self.words}

    WordsOnlyPreprocessor(tokenizer, 20, words=7).save_to_preset(str(tmp_path / "words"))
    own = WordsOnlyPreprocessor.from_preset(str(tmp_path / "words"), sequence_length=24)
    assert own.settings() == {"sequence_length": 24, "words": 7}
    other = TextPreprocessor.from_preset(str(tmp_path / "words"))
    assert other.settings() == {"sequence_length": 20, "truncate": True}
    assert other.tokenizer.fingerprint == tokenizer.fingerprint


def test_texts_are_checked():
    assert text_list([b"a", "b"]) == ["a", "b"]
    with pytest.raises(TypeError, match="`questions` must be a list of texts"):
        text_list("one", what="`questions`")
    with pytest.raises(ValueError, match="`questions` holds no texts"):
        text_list([], what="`questions`")
    with pytest.raises(ValueError, match="must be UTF-8"):
        text_list([b"\xff"])


def test_rows_follow_the_layout(wordpiece, byte_level):
    cls, sep, pad = wordpiece.cls_token_id, wordpiece.sep_token_id, wordpiece.pad_token_id
    preprocessor = TextPreprocessor(wordpiece, 10)
    row, segments = preprocessor.pair_row([7] * 9, [8] * 2)
    assert row == [cls, *[7] * 5, sep, 8, 8, sep] and segments == [0] * 7 + [1] * 3
    features = preprocessor.padded([([cls, 7, sep], [0, 0, 0])], 5)
    assert features["token_ids"].tolist() == [[cls, 7, sep, pad, pad]]
    assert features["padding_mask"].tolist() == [[True] * 3 + [False] * 2]
    row, segments = TextPreprocessor(byte_level, 10).pair_row([7] * 9, [8] * 2)
    end = byte_level.sep_token_id
    assert row == [byte_level.cls_token_id, *[7] * 4, end, end, 8, 8, end] and not any(segments)
    with pytest.raises(ValueError, match=r"4 special tokens.*sequence_length=4"):
        TextPreprocessor(byte_level, 4).pair_row([7], [8])


@pytest.fixture(scope="module")
def polyglot(wordpiece):
    return SubwordTokenizer(
        wordpiece.model, {"cls": "[CLS]", "sep": "[SEP]"}, "xlm", {"de": 0, "en": 3}
    )


def test_languages(polyglot, tmp_path):
    preprocessor = TextPreprocessor(polyglot, 8, language="en")
    features = preprocessor.call(["the dog"])
    assert features["language_ids"].dtype == "int32" and features["language_ids"].tolist() == [
        [3] * 8
    ]
    preprocessor.save_to_preset(str(tmp_path / "preset"))
    words = WordPreprocessor.from_preset(str(tmp_path / "preset"))
    assert words.settings() == {"sequence_length": 8, "language": "en"}
    assert words.call([["the", "dog"]])["language_ids"].tolist() == [[3] * 8]
    one = SubwordTokenizer(polyglot.model, {"cls": "[CLS]", "sep": "[SEP]"}, "xlm", {"en": 1})
    assert TextPreprocessor(one, 8).call(["the"])["language_ids"].tolist() == [[1] * 8]


def test_unknown_languages(polyglot, wordpiece):
    with pytest.raises(ValueError, match=r"Give one of \['de', 'en'\]. Received: language='xx'"):
        TextPreprocessor(polyglot, 8, language="xx")
    with pytest.raises(ValueError, match=r"Give one of .* Received: language=None"):
        TextPreprocessor(polyglot, 8).call(["the dog"])
    with pytest.raises(ValueError, match="It has no languages. Received: language='en'"):
        TextPreprocessor(wordpiece, 8, language="en")


def test_words_of_chinese_must_be_separate(polyglot, tmp_path):
    chinese = SubwordTokenizer(polyglot.model, {"cls": "[CLS]", "sep": "[SEP]"}, "xlm", {"zh": 2})
    with pytest.raises(ValueError, match="separate them.*pre_split=True. Received: language='zh'"):
        TextPreprocessor(chinese, 8, language="zh")
    separate = TextPreprocessor(chinese, 8, language="zh", pre_split=True)
    assert separate.call(["the dog"])["language_ids"].tolist() == [[2] * 8]
    separate.save_to_preset(str(tmp_path / "preset"))
    again = TextPreprocessor.from_preset(str(tmp_path / "preset"))
    assert again.settings() == separate.settings() and again.pre_split
    words = WordPreprocessor.from_preset(str(tmp_path / "preset"))
    assert words.settings() == {"sequence_length": 8, "language": "zh"}
