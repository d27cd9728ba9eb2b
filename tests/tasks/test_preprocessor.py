import inspect

import pytest

from keras_plm.tasks import TextPreprocessor
from keras_plm.tasks.preprocessor import Preprocessor, checked_texts, preprocessor_arguments


def test_it_knows_its_arguments():
    assert preprocessor_arguments(TextPreprocessor) == ["sequence_length", "truncate"]
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
    assert checked_texts([b"a", "b"]) == ["a", "b"]
    with pytest.raises(TypeError, match="`questions` must be a list of texts"):
        checked_texts("one", what="`questions`")
    with pytest.raises(ValueError, match="`questions` holds no texts"):
        checked_texts([], what="`questions`")
    with pytest.raises(ValueError, match="must be UTF-8"):
        checked_texts([b"\xff"])
