"""Languages of an encoder and a decoder: tables of both sides, from rows of a corpus to writing."""

import numpy as np
import pytest
from seq2seq_forms import BATCH, IDS, READ, SOURCE, assert_close, encode, made, make, walk

from keras_plm import data
from keras_plm.features import check_batch
from keras_plm.objectives import MASS, Denoising, Translation
from keras_plm.tasks import Pretrainer, Seq2SeqLM, Seq2SeqPreprocessor

pytestmark = pytest.mark.usefixtures("quick_compilation")


def languages(source, target):
    return {
        "source_language_ids": np.full_like(SOURCE, source),
        "language_ids": np.full_like(IDS, target),
    }


def test_a_language_is_added_on_its_side():
    """Language 0 has the row 0: the same as without; another one is read on its own side."""
    plain, backbone = made("mass"), make("mass", num_languages=3)
    rng = np.random.default_rng(2)
    table = np.concatenate([np.zeros((1, 16)), rng.normal(0, 1, (2, 16))])
    weights = {weight.path: weight for weight in plain.weights}
    for weight in backbone.weights:
        is_table = "language_embedding" in weight.path
        weight.assign(table if is_table else weights[weight.path].value)
    expected = encode(plain, **BATCH)
    same = encode(backbone, **BATCH, **languages(0, 0))
    assert_close(same["sequence_output"], expected["sequence_output"])
    source = encode(backbone, **BATCH, **languages(1, 0))
    target = encode(backbone, **BATCH, **languages(0, 2))
    for found, changed in ((source, True), (target, False)):
        difference = np.abs(found["encoder_output"] - expected["encoder_output"]).max()
        assert (difference > 1e-3) == changed
        assert np.abs(found["sequence_output"] - expected["sequence_output"]).max() > 1e-3


def test_cached_is_recomputed():
    backbone = made("mass", num_languages=3)
    given = languages(1, 2)
    given["language_ids"][1, 3:] = 1  # by token
    expected = encode(backbone, token_ids=IDS, **READ, **given)["sequence_output"]
    assert_close(walk(backbone.decoder(), 2, token_ids=IDS, **READ, **given)(), expected[:, 2:])


def test_features_that_do_not_fit():
    backbone, plain = made("mass", num_languages=3), made("mass")
    assert {"language_ids", "source_language_ids"} <= backbone.input.keys()
    for missing in languages(0, 0):
        given = {name: value for name, value in languages(0, 0).items() if name != missing}
        with pytest.raises(ValueError, match=f"has 3 languages: give `{missing}`"):
            backbone.encode({**BATCH, **given})
    with pytest.raises(ValueError, match="has 0 languages: leave `source_language_ids` out"):
        plain.encode({**BATCH, **languages(0, 0)})
    with pytest.raises(ValueError, match=r"must lie in \[0, 3\)"):
        check_batch({**BATCH, **languages(3, 0)}, bounds=backbone.bounds)


def test_objectives_say_the_language_of_each_side(corpora, tokenizers):
    corpus, tokenizer = corpora["xlm"], tokenizers["xlm"]
    of_name = tokenizer.languages
    lengths = dict(source_length=24, target_length=24)
    for swap in (False, True):
        translation = Translation.for_tokenizer(tokenizer, languages=True, swap=swap, **lengths)
        x, _, _ = data.examples(corpus, translation, 4).batch_at(0)
        assert set(x) == set(translation.feature_names)
        both = [set(np.unique(x[name])) for name in ("source_language_ids", "language_ids")]
        expected = [{of_name["en"]}, {of_name["fr"]}]
        assert both == (expected[::-1] if swap else expected)
    noise = Denoising.for_tokenizer(
        tokenizer, MASS(), sequence_length=24, rows="language_stream", languages=True
    )
    x, _, _ = data.examples(corpus, noise, 8).batch_at(0)
    assert (x["source_language_ids"] == x["source_language_ids"][:, :1]).all()
    assert (x["language_ids"][:, 0] == x["source_language_ids"][:, 0]).all()
    assert set(np.unique(x["language_ids"])) == {of_name["en"], of_name["fr"]}
    rows = {"token_ids": np.ones((1, 24), "int32"), "functional": np.zeros((1, 24), "bool")}
    rows |= {"padding_mask": np.ones((1, 24), "bool")}
    with pytest.raises(ValueError, match="rows that say their languages"):
        noise(rows, np.random.default_rng(0))
    rows["language_ids"] = np.arange(24)[None] // 12
    with pytest.raises(ValueError, match="of one language"):
        noise(rows, np.random.default_rng(0))


def test_from_denoising_to_translation(corpora, tokenizers, make_seq2seq, quick, tmp_path):
    """The same weights; the decoder is told another language than the encoder."""
    tokenizer = tokenizers["xlm"]
    number = 1 + max(tokenizer.languages.values())
    backbone = make_seq2seq(tokenizer.vocabulary_size, num_languages=number)
    settings = dict(sequence_length=24, rows="language_stream", languages=True)
    noise = Denoising.for_tokenizer(tokenizer, MASS(), **settings)
    model = Pretrainer(backbone, noise, Seq2SeqPreprocessor(tokenizer, 24, language="en"))
    model.compile("adam", **quick)
    model.fit(data.examples(corpora["xlm"], noise, 4), steps_per_epoch=1, verbose=0)
    model.save_to_preset(tmp_path / "mass")
    options = dict(language="en", target_language="fr")
    task = Seq2SeqLM.from_preset(str(tmp_path / "mass"), **options)
    task.compile("adam", **quick)
    features = task.preprocess_samples(["a dog"], ["un chien"])[0]
    assert set(np.unique(features["source_language_ids"])) == {tokenizer.languages["en"]}
    assert set(np.unique(features["language_ids"])) == {tokenizer.languages["fr"]}
    assert features["language_ids"].shape == (1, 24)
    task.fit(["a dog", "a fish"], ["un chien", "un poisson"], verbose=0)
    (text,), (score,) = task.generate(["a dog"], 4, return_scores=True)
    assert task.score(["a dog"], ["un chien"])[0].total < 0 and np.isfinite(score)
    back = Seq2SeqLM(task.backbone, Seq2SeqPreprocessor(tokenizer, 24, **{"language": "fr"}))
    assert back.score(["a dog"], ["un chien"])[0].total != task.score(["a dog"], ["un chien"])[0][0]
