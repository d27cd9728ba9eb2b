"""EntityDenoising over a backbone that reads entities: what is trained, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import backbones, data, objectives, tasks

pytestmark = pytest.mark.usefixtures("quick_compilation")

LENGTH = 32
DENOISING = objectives.EntityDenoising(20, LENGTH, min_entities=1)


@pytest.fixture
def make_model(wordpiece):
    """A function that makes a tiny model with vectors of so many entities."""

    def make(objective, num_entities=20):
        rng = np.random.default_rng(0)
        table = rng.normal(size=(num_entities + 1, 8))
        table[0] = 0
        backbone = backbones.KnowledgeBackbone(
            *(wordpiece.vocabulary_size, 2, 2, 16, 32, LENGTH),
            entity_dim=8,
            entity_heads=2,
            entity_vectors=table,
            dropout=0.0,
            attention_dropout=0.0,
        )
        return tasks.Pretrainer(backbone, objective)

    return make


def everything(wordpiece):
    """What ERNIE trains on: masks, next sentences and entities."""
    rows = {"sequence_length": LENGTH, "rows": "sentence_pair"}
    masked = objectives.MaskedModeling.for_tokenizer(wordpiece, **rows)
    return objectives.ObjectiveSum((masked, objectives.SentencePair(LENGTH), DENOISING))


def test_all_three_are_learned(make_model, wordpiece, corpora):
    """The entities, of which most are given, within some steps; the others go on."""
    model = make_model(everything(wordpiece))
    model.compile(keras.optimizers.Adam(5e-3))
    examples = data.examples(corpora["bert"], model.objective, 16)
    history = model.fit(examples, steps_per_epoch=20, epochs=2, verbose=0).history
    heads = ("tokens", "sentence_pair", "entities")
    assert all(np.isfinite(history[f"{name}_loss"]).all() for name in heads)
    assert history["entities_loss"][1] < 0.7 * history["entities_loss"][0]
    assert history["entities_accuracy"][1] > 0.3
    total = sum(history[f"{name}_loss"][1] for name in heads)
    np.testing.assert_allclose(history["loss"][1], total, rtol=1e-3)  # each of weight 1


def test_a_batch_without_entities_has_the_loss_0(make_model, wordpiece, corpora):
    """Never NaN; the other objectives go on. Alone, and fed by hand, it is refused."""
    objective = everything(wordpiece)
    model = make_model(objective)
    model.compile(keras.optimizers.SGD(0.1))
    x, y, weight = data.examples(corpora["bert"], objective, 4).batch_at(0)
    x |= {name: np.zeros_like(one) for name, one in x.items() if "entit" in name}
    y, weight = ({**one, "entities": np.zeros_like(one["entities"])} for one in (y, weight))
    logs = model.train_on_batch(x, y, weight, return_dict=True)
    assert logs["entities_loss"] == 0 and logs["tokens_loss"] > 0.1
    np.testing.assert_allclose(
        logs["loss"], logs["tokens_loss"] + logs["sentence_pair_loss"], rtol=1e-5
    )
    weights = ops.zeros((4, LENGTH))
    logits = model(x)["entities"]
    loss = model.heads["entities"].loss(y["entities"], logits, sample_weight=weights)
    assert float(loss) == 0
    alone = make_model(DENOISING)
    features = {name: x[name] for name in DENOISING.feature_names}
    with pytest.raises(ValueError, match="without a target there is no loss"):
        alone.train_on_batch(
            features, {"entities": y["entities"]}, {"entities": weight["entities"]}
        )


def test_candidates_are_told_by_their_vectors(make_model, corpora):
    """In another order they have the same logits in that order; unused ones have none."""
    model = make_model(DENOISING)
    x, _, _ = data.examples(corpora["bert"], DENOISING, 4).batch_at(0)
    logits = ops.convert_to_numpy(model(x)["entities"])
    used = 1 + np.count_nonzero(x["candidate_entity_ids"][0])
    assert logits.shape == (4, LENGTH, 20) and 2 < used < 20
    assert (logits[..., used:] < -1e29).all() and np.abs(logits[..., :used]).max() < 1e3
    order = np.concatenate([[0], 1 + np.random.default_rng(1).permutation(used - 1)])
    moved = {**x, "candidate_entity_ids": x["candidate_entity_ids"].copy()}
    moved["candidate_entity_ids"][:, :used] = x["candidate_entity_ids"][:, order]
    found = ops.convert_to_numpy(model(moved)["entities"])
    np.testing.assert_allclose(found[..., :used], logits[..., order], atol=1e-5)
    other = {**x, "entity_ids": np.where(x["entity_ids"] > 0, x["entity_ids"] % 20 + 1, 0)}
    changed = ops.convert_to_numpy(model(other)["entities"])
    assert np.abs(changed - logits)[..., :used].max() > 1e-3


def test_a_number_beyond_the_table_is_refused(make_model, corpora):
    """The corpus has numbers up to 20; the table, vectors of 5 entities."""
    model = make_model(DENOISING, num_entities=5)
    examples = data.examples(corpora["bert"], DENOISING, 8)
    before = [ops.convert_to_numpy(one) for one in model.weights]
    with pytest.raises(ValueError, match=r"entity_ids' must lie in \[0, 6\)"):
        model.fit(examples, steps_per_epoch=1, verbose=0)
    for old, new in zip(before, model.weights):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


def test_a_corpus_of_another_tokenizer_is_refused(make_model, corpora, wordpiece, tokenizers):
    model = make_model(DENOISING)
    model.preprocessor = tasks.TextPreprocessor(wordpiece, LENGTH)
    other = data.Corpus.build(
        data.Texts(["Kiyo is here. So is Kiyo.", "Who? Kiyo and Kiyo."] * 4),
        tokenizers["roberta"],
        corpora["bert"].directory.parent / "other",
        annotate={"entities": data.DictionaryLinker({"Kiyo": 1})},
    )
    objective = objectives.EntityDenoising(
        20, LENGTH, min_entities=1, rows="doc_sentences", segments=False
    )
    model = tasks.Pretrainer(model.backbone, objective, tasks.TextPreprocessor(wordpiece, LENGTH))
    with pytest.raises(ValueError, match="tokenizer"):
        model.fit(data.examples(other, objective, 2), steps_per_epoch=1, verbose=0)
