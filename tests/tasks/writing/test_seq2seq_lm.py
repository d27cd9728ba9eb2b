"""Writing and scoring targets for sources, against CTranslate2, and what must hold besides."""

import keras
import numpy as np
import pytest
import test_transliteration

from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.objectives import Translation
from keras_plm.tasks import BeamSearch, CausalLM, Seq2SeqLM, Seq2SeqPreprocessor

SOURCES = ["the dog was red", "a fish", "I went to the boat of the red fish"]
TARGETS = ["a dog", "the red fish was there", "he"]


@pytest.fixture(scope="module")
def trained(quick):
    """A task with its weights; texts are ids."""
    backbone, head = test_transliteration.made()
    model = Seq2SeqLM(backbone, start_token_id=1, end_token_id=2)
    model.heads["tokens"].bias.assign(head.bias)
    model.compile(**quick)
    return model


@pytest.fixture(scope="module")
def make_model(byte_level):
    def make_model(length=24, settings=None, **options):
        backbone = Seq2SeqBackbone(
            byte_level.vocabulary_size,
            *(2, 2, 16, 32),
            **{"dropout": 0.0, "initializer_range": 0.3, **options},
        )
        preprocessor = Seq2SeqPreprocessor(byte_level, length, 14)
        return Seq2SeqLM(backbone, preprocessor, **(settings or {}))

    return make_model


@pytest.fixture(scope="module")
def model(make_model, quick):
    model = make_model()
    model.compile(**quick)
    return model


def test_writes_what_ctranslate2_writes(trained):
    expected = test_transliteration.EXPECTED
    sources = [one["source_ids"] for one in expected.values()]

    def words(texts):
        return [test_transliteration.text_of(np.array([*ids, 2])) for ids in texts]

    texts, scores = trained.generate(sources, 12, return_scores=True)
    assert words(texts) == [one["greedy"] for one in expected.values()]
    theirs = [one["greedy_log_probability"] for one in expected.values()]
    np.testing.assert_allclose(scores, theirs, atol=2e-4)
    best = BeamSearch(4, length_penalty=0, num_results=4)
    found, scores = trained.generate(sources, 12, best, return_scores=True)
    for texts, own, one in zip(found, scores, expected.values(), strict=True):
        theirs = one["beams"]["beam 4, length_penalty 0"]
        assert words(texts) == [text for text, _ in theirs]
        np.testing.assert_allclose(own, [score for _, score in theirs], atol=2e-4)
    first = next(iter(expected.values()))["beams"]["beam 4, length_penalty 0"]
    choices = [ids + [2] for ids in found[0]]
    (chosen,) = trained.choose(sources[:1], [choices[::-1]])
    assert chosen.index == len(choices) - 1
    np.testing.assert_allclose(chosen.scores[::-1], [score for _, score in first], atol=2e-4)


@pytest.mark.parametrize("start", [None, "sep"])
def test_pairs_are_what_the_objective_makes_of_them(byte_level, make_model, start):
    """Rows of a corpus, `<s> A </s>` and `<s> B </s>`, through `Translation`."""
    settings = {} if start is None else {"start_token_id": byte_level.special_token_id(start)}
    model = make_model(settings=settings)
    x, y, weight = keras.utils.unpack_x_y_sample_weight(model.preprocess_samples(SOURCES, TARGETS))
    lengths = {"source_length": 24, "target_length": 14}
    objective = Translation.for_tokenizer(byte_level, **lengths, **settings)
    row = {name: np.zeros((3, 38), "int32") for name in ("token_ids", "position_ids")}
    row |= {name: np.zeros((3, 38), "bool") for name in ("padding_mask", "functional")}
    for number, texts in enumerate(zip(SOURCES, TARGETS)):
        place = 0
        for text in texts:
            ids, _ = byte_level.layout.lay_out(byte_level, byte_level.encode(text))
            own = slice(place, place + len(ids))
            row["token_ids"][number, own] = ids
            row["position_ids"][number, own] = np.arange(len(ids))
            row["padding_mask"][number, own] = True
            row["functional"][number, [own.start, own.stop - 1]] = True
            place = own.stop
    expected_x, expected_y, expected_weight = objective(row, np.random.default_rng(0))
    assert x.keys() == expected_x.keys()
    for name, value in expected_x.items():
        np.testing.assert_array_equal(x[name], value, err_msg=name)
    np.testing.assert_array_equal(y["tokens"], expected_y["tokens"])
    np.testing.assert_array_equal(weight["tokens"], expected_weight["tokens"])


def test_learns_pairs_of_texts(make_model, graph):
    """From lists; a dataset of the same pairs, and the same features, are evaluated."""
    import tensorflow as tf

    model = make_model(normalize_first=True, initializer_range=0.1)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    pairs = tf.data.Dataset.from_tensor_slices((SOURCES, TARGETS)).batch(3)
    features = model.preprocess_samples(SOURCES, TARGETS)
    history = model.fit(*features[:2], 3, features[2], epochs=40, verbose=0).history
    model.fit(SOURCES, TARGETS, validation_data=pairs, verbose=0)
    loss = model.evaluate(pairs, verbose=0, return_dict=True)["loss"]
    assert loss < 0.2 < 3 < history["loss"][0]
    assert model.evaluate(SOURCES, TARGETS, verbose=0)[0] == pytest.approx(loss, rel=1e-4)
    assert model.generate(SOURCES) == TARGETS
    chosen = model.choose(SOURCES, [TARGETS] * 3, normalize="tokens")
    assert [one.index for one in chosen] == [0, 1, 2]
    right, wrong = (
        [one.total for one in model.score(SOURCES, texts)] for texts in (TARGETS, TARGETS[::-1])
    )
    assert right[0] > wrong[0] + 2 and right[2] > wrong[2] + 2 and right[1] == wrong[1]


def test_what_else_is_in_the_batch_changes_nothing(model):
    together, scores = model.generate(SOURCES, 6, return_scores=True)
    apart = [model.generate([text], 6, return_scores=True) for text in SOURCES]
    assert together == [text for (text,), _ in apart]
    np.testing.assert_allclose(scores, [score for _, (score,) in apart], rtol=1e-4)
    scored = [one.total for one in model.score(SOURCES, TARGETS, batch_size=2)]
    own = [model.score([a], [b])[0].total for a, b in zip(SOURCES, TARGETS)]
    np.testing.assert_allclose(scored, own, rtol=1e-5)


def test_scores_are_those_of_what_was_written(model, byte_level):
    """A text that ended is read again with its end."""
    (text,), (score,) = model.generate(SOURCES[:1], 6, min_length=6, return_scores=True)
    assert np.isfinite(score)
    best = BeamSearch(3, num_results=3)
    texts, scores = model.generate(SOURCES[:1], 4, best, return_scores=True)
    assert len(texts[0]) == len(scores[0]) == 3


def test_a_weight_counts_its_pair(model):
    losses = [
        model.test_on_batch(SOURCES, TARGETS, weights, return_dict=True)["loss"]
        for weights in ([1, 0, 0], [0, 1, 0], [1, 1, 0])
    ]
    counts = [one.sum() for one in model.preprocess_samples(SOURCES, TARGETS)[2]["tokens"]]
    mean = np.average(losses[:2], weights=counts[:2])
    assert losses[2] == pytest.approx(mean, rel=1e-4) and counts[0] < counts[1]


def test_a_preset_of_a_pretrainer(byte_level, tmp_path, caplog):
    """Its weights, its tokenizer and its smoothing."""
    from keras_plm import models

    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    pretrainer = models.transformer(byte_level, "tiny", sequence_length=16, **sizes)
    pretrainer.save_to_preset(tmp_path / "preset")
    model = Seq2SeqLM.from_preset(str(tmp_path / "preset"), target_length=8, prefix="go: ")
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    assert model.label_smoothing == pretrainer.objective.label_smoothing > 0
    assert model.preprocessor.prefix == "go: " and model.preprocessor.target_length == 8
    row = byte_level.encode("go: a fish")
    assert model.preprocessor.source_rows(["a fish"])[0][1:-1] == list(row)
    model.save_to_preset(tmp_path / "again")
    again = Seq2SeqLM.from_preset(str(tmp_path / "again"))
    assert again.preprocessor.settings() == model.preprocessor.settings()
    assert again.generate(["a fish"]) == model.generate(["a fish"])


def test_what_is_refused(model, make_model, make_transformer, byte_level):
    with pytest.raises(TypeError, match="there is Seq2SeqLM"):
        CausalLM(model.backbone)
    with pytest.raises(TypeError, match="reads a source"):
        Seq2SeqLM(make_transformer(20))
    with pytest.raises(ValueError, match="`y` has an empty text in row 1"):
        model.fit(SOURCES[:2], ["a", " "], verbose=0)
    with pytest.raises(ValueError, match="one target for each source"):
        model.fit(SOURCES, TARGETS[:2], verbose=0)
    with pytest.raises(ValueError, match="Sources need targets"):
        model.predict(SOURCES)
    with pytest.raises(ValueError, match="has an empty text"):
        model.generate(["", "a"])
    with pytest.raises(ValueError, match="an empty list"):
        model.generate([])
    with pytest.raises(ValueError, match="min_length"):
        model.generate(SOURCES, 4, min_length=5)
    with pytest.raises(ValueError, match="one list of choices for each"):
        model.choose(SOURCES, [["a"]])
    bare = Seq2SeqLM(model.backbone)
    with pytest.raises(ValueError, match="give `start_token_id`"):
        bare.generate([[5, 6]], 4)
    with pytest.raises(ValueError, match="Texts need a preprocessor"):
        bare.generate(["a"], 4)
    with pytest.raises(ValueError, match="max_length"):
        Seq2SeqLM(model.backbone, start_token_id=1).generate([[5, 6]])
    with pytest.raises(ValueError, match="target_length=14"):
        make_model(4, positions="learned", max_sequence_length=8)
    with pytest.raises(ValueError, match="must have from 1 to 8 tokens"):
        learned = Seq2SeqBackbone(20, 1, 2, 8, 16, positions="learned", max_sequence_length=8)
        Seq2SeqLM(learned, start_token_id=1).generate([[5] * 9], 4)
