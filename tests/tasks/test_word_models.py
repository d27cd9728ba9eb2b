"""Tasks over a `WordTokenizer`: they write words, and their presets bring the vocabulary along."""

import numpy as np
import pytest

from keras_plm import data, families, presets
from keras_plm.objectives import CausalModeling
from keras_plm.tasks import CausalLM, Pretrainer, TextClassifier, TextPreprocessor
from keras_plm.tokenizers import WordTokenizer

TEXTS = ["The cat sat .", "the DOG sat sat sat !", "a cat and a dog"]


@pytest.fixture(scope="module")
def tokenizer():
    return data.train_tokenizer(data.Texts(TEXTS), 40, model="word", layout="ulmfit")


def test_a_language_model_writes_words(make_transformer, tokenizer, quick, tmp_path):
    backbone = make_transformer(tokenizer.vocabulary_size, **families.GPT2["flags"])
    model = CausalLM(backbone, TextPreprocessor(tokenizer, 16))
    model.compile(**quick)
    (text,) = model.generate(["The cat"], 8, "greedy", stop_token_ids=None)
    prompt = [tokenizer.special_token_ids["bos"], *tokenizer.encode("The cat")]
    (ids,) = model.generate([prompt], 9, "greedy", stop_token_ids=None, prefix=[])
    assert text == tokenizer.decode(ids) and text.startswith("The cat") and len(ids) == 9
    model.save_to_preset(tmp_path / "preset")
    words = (tmp_path / "preset" / "vocab.txt").read_text("utf-8").splitlines()
    assert words == tokenizer.words
    again = CausalLM.from_preset(tmp_path / "preset")
    with pytest.raises(ValueError, match="no tokenizer of this kind.*WordTokenizer"):
        presets.export_huggingface(model, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    assert type(again.preprocessor.tokenizer) is WordTokenizer
    assert again.preprocessor.tokenizer == tokenizer
    again.compile(**quick)
    assert again.generate(["The cat"], 8, "greedy", stop_token_ids=None) == [text]


def test_words_train(make_transformer, tokenizer, quick, tmp_path):
    corpus = data.Corpus.build(data.Texts(TEXTS * 4), tokenizer, tmp_path / "corpus")
    objective = CausalModeling(6, rows="stream", documents_apart=False)
    backbone = make_transformer(tokenizer.vocabulary_size, **families.GPT2["flags"])
    model = Pretrainer(backbone, objective, TextPreprocessor(tokenizer, 6))
    model.compile(**quick)
    examples = data.examples(corpus, objective, 2)
    history = model.fit(examples, steps_per_epoch=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_models_without_characters_leave_them_out(make_transformer, quick):
    """The tokenizer gives the characters of words; this backbone reads ids."""
    tokenizer = data.train_tokenizer(data.Texts(TEXTS), 40, model="word", layout="elmo")
    backbone = make_transformer(tokenizer.vocabulary_size)
    model = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 8))
    model.compile(**quick)
    assert model.predict(["a bird"], verbose=0).shape == (1, 2)
