"""What objects say of themselves in one line: what a person wants to know of them."""

from dataclasses import dataclass
from pathlib import Path

from keras_plm import presets
from keras_plm.data import Corpus, examples, train_tokenizer
from keras_plm.objectives import MaskedModeling, PermutationModeling, RandomSelection
from keras_plm.objectives.settings import Settings
from keras_plm.tasks import BeamSearch, SpanPreprocessor, TextPreprocessor

FIXTURES = Path(__file__).parent / "fixtures"


def test_texts_and_what_is_made_of_them(tmp_path):
    path = tmp_path / "two.txt"
    path.write_text("Der Hund bellt.\nEr rennt.\n\nDie Katze schläft.\n", "utf-8")
    tokenizer = train_tokenizer([path], 270, model="bpe")
    size = tokenizer.vocabulary_size  # the text does not carry 270
    assert repr(tokenizer) == f"<SubwordTokenizer: {size} pieces, layout 'roberta'>"
    corpus = Corpus.build([path], tokenizer, tmp_path / "corpus")
    tokens = len(corpus.token_ids)
    whole = f"<Corpus {str(tmp_path / 'corpus')!r}: 2 documents, 3 sentences, {tokens} tokens of "
    assert repr(corpus) == whole + f"{size} pieces>"
    objective = MaskedModeling.for_tokenizer(tokenizer, sequence_length=16)
    batches = examples(corpus, objective, batch_size=1, training=False)
    number = batches.steps_per_epoch
    assert repr(batches) == (
        f"<Examples of MaskedModeling for evaluation: {number} batches of 1 in a pass over "
        f"{corpus!r}>"
    )
    assert repr(TextPreprocessor(tokenizer, 16)).startswith(
        f"<TextPreprocessor: sequence_length=16, truncate=True, {tokenizer!r}"
    )
    assert "stride=4" in repr(SpanPreprocessor(tokenizer, 64, stride=4))


def test_settings_say_what_is_not_a_default():
    assert repr(RandomSelection("word")) == "RandomSelection(unit='word')"
    objective = PermutationModeling(64, 16)
    assert repr(objective) == (
        "PermutationModeling(sequence_length=64, reuse_length=16, num_predict=10, "
        "permutation_size=16)"
    )
    assert eval(repr(objective)) == objective

    @dataclass(frozen=True)
    class Guess(Settings):
        number: int = 3

    assert repr(Guess(4)).endswith("Guess(number=4)") and repr(Guess(3)).endswith("Guess()")


def test_others():
    opened = presets.open_preset(FIXTURES / "keras_bert")
    assert repr(opened).endswith("keras_bert': Bert, tensorflow>>")
    expected = (
        "BeamSearch(temperature=1.0, num_beams=2, length_penalty=0.6, num_results=1, "
        "length_normalization='gnmt')"
    )
    assert repr(BeamSearch(2)) == expected
