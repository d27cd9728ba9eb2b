"""KnowledgeBackbone: thunlp/ERNIE's own numbers, what entities change, and the table of vectors."""

import json
import logging

import ernie_thu
import keras
import numpy as np
import pytest
from ernie_thu import candidates, features, reference
from keras import ops

from keras_plm import families
from keras_plm.backbones import (
    Backbone,
    KnowledgeBackbone,
    TransformerBackbone,
    entity_vectors_at_hand,
)
from keras_plm.heads import EntityHead, MaskedLMHead, SentencePairHead
from keras_plm.tasks import Checkpoint, TextClassifier, resume
from keras_plm.tasks.training.checkpoint_files import read_checkpoint

pytestmark = pytest.mark.usefixtures("quick_compilation")

REAL = reference()["padding_mask"].astype(bool)
SIZES = dict(
    vocabulary_size=30,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=24,
    max_sequence_length=8,
    entity_dim=6,
    entity_heads=2,
    dropout=0.0,
)
VECTORS = np.random.default_rng(3).normal(size=(5, 6)).astype("float32")
VECTORS[0] = 0
IDS = np.array([[2, 7, 8, 9, 3, 0], [2, 5, 6, 4, 8, 3]], "int32")
ENTITIES = np.array([[0, 3, 0, 1, 0, 0], [0, 0, 2, 0, 4, 0]], "int32")
TEXTS = {"token_ids": IDS, "padding_mask": IDS > 0, "entity_ids": ENTITIES}


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float32")


def large(backbone):
    """With weights so large that everything matters."""
    random = np.random.default_rng(1)
    for weight in backbone.weights:
        if "seed" not in weight.path and "entity_table" not in weight.path:
            weight.assign((weight.name == "gamma") + random.normal(0, 0.5, weight.shape))
    return backbone


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    directory = ernie_thu.write_released(tmp_path_factory.mktemp("thu") / "released")
    vectors = reference()["entity_table"]
    return KnowledgeBackbone.from_preset(directory, entity_vectors=vectors, dropout=0.0)


@pytest.fixture(scope="module")
def backbone():
    return large(KnowledgeBackbone(**SIZES, entity_vectors=VECTORS))


def assert_near(found, expected, real=None):
    found = numbers(found)
    if real is not None:
        found, expected = found[real], expected[real]
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


# === The released code's numbers ===


@pytest.mark.parametrize("jit", [False, True])
def test_both_streams_are_those_of_the_released_code(released, jitted, jit):
    given = {name: ops.convert_to_tensor(array) for name, array in features().items()}

    def run(given):
        encoded = released.encode(given)
        return encoded["hidden_states"], encoded["entity_states"], encoded["pooled_output"]

    hidden, entities, pooled = (jitted(run) if jit else run)(given)
    assert_near(hidden[0], reference()["embeddings"], REAL)
    np.testing.assert_array_equal(
        numbers(entities[0]), reference()["entity_table"][reference()["entity_ids"]]
    )
    for layer in range(1, 6):
        assert_near(hidden[layer], reference()[f"hidden_{layer}"], REAL)
        assert_near(entities[layer], reference()[f"entity_stream_{layer}"], REAL)
    assert_near(pooled, reference()["pooled"])
    assert_near(released(features())["pooled_output"], reference()["pooled"])
    np.testing.assert_array_equal(numbers(entities[5]), numbers(entities[4]))  # "sim" hands them on


def test_which_tokens_have_an_entity_is_as_there():
    arrays = reference()
    first = np.arange(9) == 0
    np.testing.assert_array_equal(arrays["entity_mask"] > 0, (arrays["entity_ids"] > 0) | first)


def head_weights(head, prefix):
    """Give a head's dense layer and norm the tensors of that name."""
    weights = ernie_thu.weights()
    head.transform.kernel.assign(weights[f"{prefix}.dense.weight"].T)
    head.transform.bias.assign(weights[f"{prefix}.dense.bias"])
    head.transform_norm.gamma.assign(weights[f"{prefix}.LayerNorm.weight"])
    head.transform_norm.beta.assign(weights[f"{prefix}.LayerNorm.bias"])


def test_heads_and_losses_are_those_of_the_released_code(released):
    encoded = released.encode({**features(), "target_positions": np.tile(np.arange(9), (3, 1))})
    tokens, pair = MaskedLMHead(released.token_embedding, transform=True), SentencePairHead()
    entities = EntityHead(released.entity_table)
    every = {**features(), "candidate_entity_ids": candidates()}
    tokens(encoded["sequence_output"])  # which builds it
    pair(encoded["pooled_output"])
    entities.read(encoded, every)
    weights = ernie_thu.weights()
    head_weights(tokens, "cls.predictions.transform")
    tokens.bias.assign(weights["cls.predictions.bias"])
    pair.logits.kernel.assign(weights["cls.seq_relationship.weight"].T)
    pair.logits.bias.assign(weights["cls.seq_relationship.bias"])
    head_weights(entities, "cls.predictions_ent.transform")
    logits = {
        "mlm": tokens.read(encoded, every),
        "nsp": pair(encoded["pooled_output"]),
        "entity": entities.read(encoded, every),
    }
    assert_near(logits["mlm"], reference()["mlm_logits"], REAL)
    assert_near(logits["nsp"], reference()["nsp_logits"])
    assert_near(logits["entity"], reference()["entity_logits"], REAL)

    def loss(head, logits, labels):
        """The loss of the head, of labels of which -1 is none."""
        return float(head.loss(np.maximum(labels, 0), logits, sample_weight=labels >= 0))

    masked = loss(tokens, logits["mlm"], reference()["mlm_labels"])
    masked += loss(pair, logits["nsp"], reference()["next_sentence_labels"])
    np.testing.assert_allclose(masked, reference()["mlm_plus_nsp_loss"], rtol=1e-5)
    total = masked + loss(entities, logits["entity"], reference()["entity_labels"])
    np.testing.assert_allclose(total, reference()["total_loss"], rtol=1e-5)


def test_the_published_number_of_weights():
    """Zhang et al. 2019, section 4.1: 114 million; the sum over the tensors is exact."""
    sizes = families.ERNIE_THU["sizes"]["ernie_thu_base_en_uncased"]
    with keras.StatelessScope(initialize_variables=False):  # shapes alone: half a gigabyte less
        backbone = KnowledgeBackbone(**sizes, **families.ERNIE_THU["flags"])
    shapes = {weight.path: weight.shape for weight in backbone.weights if "seed" not in weight.path}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 114_050_244
    assert backbone.block_types == ["text"] * 5 + ["fuse"] + ["fuse_attend"] * 6


# === What entities change ===


def test_entities_change_the_text_from_their_block_on(backbone):
    with_entities, without = (
        backbone.encode({**TEXTS, "entity_ids": ids})["hidden_states"]
        for ids in (ENTITIES, np.zeros_like(ENTITIES))
    )
    changed = [np.abs(numbers(a) - numbers(b)).max() for a, b in zip(with_entities, without)]
    assert changed[0] == 0 and min(changed[1:]) > 0.01


def test_no_entity_ids_are_zeros_and_no_mask_is_that_all_are_real(backbone):
    whole = {"token_ids": IDS[1:], "padding_mask": IDS[1:] > 0}
    expected = numbers(backbone.encode({**whole, "entity_ids": 0 * IDS[1:]})["sequence_output"])
    for given in (whole, {"token_ids": IDS[1:]}, {**whole, "segment_ids": 0 * IDS[1:]}):
        found = numbers(backbone.encode(given)["sequence_output"])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_padding_changes_nothing_even_where_it_names_an_entity(backbone):
    short = {name: array[:1, :5] for name, array in TEXTS.items()}
    expected = backbone.encode(short)
    named = {**TEXTS, "entity_ids": np.where(IDS == 0, 4, ENTITIES)}
    for given in (TEXTS, named):
        found = backbone.encode(given)
        for name in ("sequence_output", "pooled_output"):
            part = numbers(found[name])[:1] if name == "pooled_output" else None
            part = numbers(found[name])[:1, :5] if part is None else part
            np.testing.assert_allclose(part, numbers(expected[name]), rtol=0, atol=2e-5)


def test_padding_at_the_left_leaves_the_first_real_token_the_one_that_counts(backbone):
    short = {name: array[:1, :5] for name, array in TEXTS.items()}
    left = {name: np.pad(array, ((0, 0), (2, 0))) for name, array in short.items()}
    left["position_ids"] = np.array([[0, 0, 0, 1, 2, 3, 4]], "int32")
    found, expected = backbone.encode(left), backbone.encode(short)
    np.testing.assert_allclose(
        numbers(found["sequence_output"])[:, 2:],
        numbers(expected["sequence_output"]),
        rtol=0,
        atol=2e-5,
    )


def test_a_dropped_entity_is_read_by_the_candidates_alone(backbone):
    """Its vector changes nothing but the logits of itself, where it is a candidate."""
    head = EntityHead(backbone.entity_table)
    kept = np.where(ENTITIES == 3, 0, ENTITIES)  # entity 3 was dropped from the input
    given = {**TEXTS, "entity_ids": kept}
    asked = {"candidate_entity_ids": np.array([[0, 1, 3, 4, 0]] * 2, "int32")}

    def run():
        encoded = backbone.encode(given)
        return numbers(encoded["sequence_output"]), numbers(head.read(encoded, asked))

    before, logits = run()
    other = VECTORS.copy()
    other[3] = [3, -2, 1, 0, 1, -3]
    backbone.entity_table.give(other)
    after, changed = run()
    backbone.entity_table.give(VECTORS)
    np.testing.assert_array_equal(after, before)
    same = np.arange(5) != 2
    np.testing.assert_array_equal(changed[..., same], logits[..., same])
    assert np.abs(changed - logits)[..., 2].max() > 0.01


def test_every_trained_weight_has_a_gradient_and_the_table_none(backbone, value_and_gradients):
    """The entities above the last block are read by nobody: they are not trained."""
    gradients = value_and_gradients(
        lambda: ops.sum(ops.square(backbone.encode(TEXTS)["pooled_output"])),
        backbone.trainable_weights,
        jit=True,
    )[1]
    trained = {weight.path for weight in backbone.trainable_weights}
    dead = {weight.path for weight in backbone.weights} - trained
    dead = {path for path in dead if "seed" not in path}
    last = {f"block_1/entity_{name}" for name in ("output/kernel", "output/bias")}
    last |= {f"block_1/entity_norm/{name}" for name in ("gamma", "beta")}
    assert dead == last | {"entity_table/vectors"}
    silent = {path for path in trained if not np.any(gradients[path])}
    # Softmax does not see what is added to all scores alike.
    assert silent <= {path for path in trained if path.endswith("key/bias")}


def test_layer_groups_are_whole(backbone):
    groups = backbone.layer_groups()
    assert len(groups) == 3
    flat = [weight.path for group in groups for weight in group]
    assert sorted(flat) == sorted(weight.path for weight in backbone.weights)
    assert "entity_table/vectors" in [weight.path for weight in groups[0]]
    assert groups[2][-1].path.startswith("pooler")


def test_capabilities_and_types_of_blocks():
    backbone = KnowledgeBackbone(**SIZES)
    assert backbone.reads == {"bidirectional", "pooler", "entities"}
    kinds = {1: ["fuse_attend"], 3: ["fuse", "fuse_attend", "fuse_attend"]}
    kinds[4] = ["text", "fuse", "fuse_attend", "fuse_attend"]
    for number, expected in kinds.items():
        assert KnowledgeBackbone(**{**SIZES, "num_layers": number}).block_types == expected
    plain = KnowledgeBackbone(**SIZES, block_types=["text", "text"])
    assert not [weight for weight in plain.weights if "/entity_" in weight.path]


def test_text_weights_of_bert(backbone):
    """What entities need is untouched; a text without fusing blocks is then BERT's."""
    sizes = {name: SIZES[name] for name in list(SIZES)[:6]}
    bert = large(TransformerBackbone(**sizes, pooler=True, dropout=0.0))
    plain = KnowledgeBackbone(**SIZES, block_types=("text", "text"))
    plain.copy_text_weights(bert)
    given = {"token_ids": IDS, "padding_mask": IDS > 0}
    for name in ("sequence_output", "pooled_output"):
        found = [numbers(one.encode(given)[name]) for one in (plain, bert)]
        np.testing.assert_allclose(*found, rtol=0, atol=1e-6)
    new = large(KnowledgeBackbone(**SIZES))
    before = {weight.path: numbers(weight) for weight in new.weights}
    new.copy_text_weights(bert)
    for weight in new.weights:
        if "entity_" in weight.path:
            np.testing.assert_array_equal(numbers(weight), before[weight.path])
    np.testing.assert_array_equal(
        numbers(new.blocks[1].attention.key.kernel), numbers(bert.blocks[1].attention.key.kernel)
    )
    with pytest.raises(ValueError, match="all weights of the text stream.*without.*pooler"):
        new.copy_text_weights(TransformerBackbone(**sizes))


# === The table ===


def encoded(backbone):
    return numbers(backbone.encode(TEXTS)["sequence_output"])


def test_presets_leave_the_table_out_and_take_it_again(backbone, tmp_path, caplog):
    np.savez(tmp_path / "graph.npz", entity_vectors=VECTORS.astype("float64"))
    backbone.save_to_preset(tmp_path / "preset")
    config = json.loads((tmp_path / "preset" / "config.json").read_text())["config"]
    assert config["entity_source"] == backbone.entity_source
    assert config["entity_source"]["num_entities"] == 4 and "entity_vectors" not in config
    for given in (VECTORS, str(tmp_path / "graph.npz"), tmp_path / "graph.npz"):
        again = Backbone.from_preset(tmp_path / "preset", entity_vectors=given)
        np.testing.assert_array_equal(encoded(again), encoded(backbone))
        assert again.entity_source == backbone.entity_source
    assert not caplog.records
    other = VECTORS.copy()
    other[2, 1] += 1e-6
    with pytest.raises(ValueError, match="not those that the model was saved with"):
        Backbone.from_preset(tmp_path / "preset", entity_vectors=other)
    meant = dict(entity_vectors=other[:4], entity_source=None)
    again = Backbone.from_preset(tmp_path / "preset", **meant)
    assert again.entity_table.num_entities == again.entity_source["num_entities"] == 3


def test_without_its_table_a_preset_reads_texts_without_entities(backbone, tmp_path, caplog):
    backbone.save_to_preset(tmp_path / "preset")
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        task = TextClassifier.from_preset(tmp_path / "preset", num_classes=2)
    (message,) = [one for one in caplog.messages if "entities" in one]
    assert "vectors of its 4 entities" in message and "entity_vectors=" in message
    x = {**TEXTS, "segment_ids": np.zeros_like(IDS)}
    none = {**x, "entity_ids": np.zeros_like(IDS)}
    assert task.predict(none, verbose=0).shape == (2, 2)
    with pytest.raises(ValueError, match="'entity_ids' must lie in.*none was given"):
        task.predict(x, verbose=0)
    assert task.backbone.entity_source == backbone.entity_source  # saved again, it is still known
    again = TextClassifier.from_preset(tmp_path / "preset", num_classes=2, entity_vectors=VECTORS)
    assert again.predict(x, verbose=0).shape == (2, 2)
    beyond = {**x, "entity_ids": np.where(ENTITIES == 4, 5, ENTITIES)}
    with pytest.raises(ValueError, match=r"'entity_ids' must lie in \[0, 5\)"):
        again.predict(beyond, verbose=0)
    with pytest.raises(ValueError, match="'entity_ids' must have the shape"):
        again.predict({**x, "entity_ids": ENTITIES[:, :4]}, verbose=0)


def test_clones_and_loaded_models_have_the_table(backbone, tmp_path, caplog):
    task = TextClassifier(backbone, num_classes=2)
    clone = task.clone()
    np.testing.assert_array_equal(numbers(clone.backbone.entity_table.vectors), VECTORS)
    assert clone.backbone.entity_table is not backbone.entity_table
    clone.set_weights(task.get_weights())
    np.testing.assert_array_equal(encoded(clone.backbone), encoded(backbone))
    task.save(tmp_path / "task.keras")
    with entity_vectors_at_hand(VECTORS):
        again = keras.saving.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(encoded(again.backbone), encoded(backbone))
    assert not caplog.records
    with entity_vectors_at_hand(VECTORS[:3]), caplog.at_level(logging.WARNING, "keras_plm"):
        again = keras.saving.load_model(tmp_path / "task.keras")
    assert again.backbone.entity_table.num_entities == 0 and caplog.records


def test_checkpoints_of_training_leave_the_table_out(tmp_path):
    """Training goes on with the same table, whatever file it comes from, and with no other one."""

    def task(vectors):
        made = TextClassifier(large(KnowledgeBackbone(**SIZES, entity_vectors=vectors)), 2)
        made.optimizer.build(made.trainable_variables)
        return made

    first = task(VECTORS)
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.set_model(first)
    checkpoint.save()
    _, arrays = read_checkpoint(tmp_path / "run")
    assert VECTORS.shape not in {array.shape for array in arrays.values()}
    np.save(tmp_path / "graph.npy", VECTORS)
    second = task(tmp_path / "graph.npy")
    for weight in second.backbone.blocks[1].weights:
        weight.assign(0 * weight)
    resume(second, tmp_path / "run")
    np.testing.assert_array_equal(encoded(second.backbone), encoded(first.backbone))
    np.testing.assert_array_equal(numbers(second.backbone.entity_table.vectors), VECTORS)
    with pytest.raises(ValueError, match="entity_source.*sha256"):
        resume(task(2 * VECTORS), tmp_path / "run")


def test_half_precision_keeps_the_table_whole():
    backbone = KnowledgeBackbone(**SIZES, entity_vectors=VECTORS, dtype="mixed_bfloat16")
    found = backbone.entity_table(ENTITIES)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_array_equal(numbers(found), VECTORS[ENTITIES])
    encoded = backbone.encode(TEXTS)["sequence_output"]
    assert keras.backend.standardize_dtype(encoded.dtype) == "bfloat16"


ROW_0, NAN = VECTORS + 1, np.where(VECTORS == VECTORS[2, 2], np.nan, VECTORS)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(entity_vectors=ROW_0), "Row 0 of `entity_vectors` must be zero"),
        (dict(entity_vectors=NAN), "finite. Received: row 2"),
        (dict(entity_vectors=VECTORS[:, :4]), "width entity_dim=6. Received: shape"),
        (dict(entity_vectors=VECTORS[0]), r"shape \(N \+ 1, E\)"),
        (dict(entity_vectors=[["a"]]), r"shape \(N \+ 1, E\)"),
        (dict(entity_vectors=VECTORS[:0]), r"shape \(N \+ 1, E\)"),
        (dict(entity_source={"file": "a"}), "`entity_source` must be None, or a dict"),
        (dict(entity_source="a"), "`entity_source` must be None, or a dict"),
        (dict(block_types=["text"]), "num_layers=2 of .*'text'"),
        (dict(block_types=["text", "mix"]), "num_layers=2 of .*'text'"),
        (dict(block_types="text"), "num_layers=2 of .*'text'"),
        (dict(entity_heads=4), "`entity_dim` of `entity_heads`. Received: .*entity_heads=4"),
        (dict(num_heads=3), "`hidden_dim` must be a multiple of `num_heads`"),
        (dict(entity_dim=0), "entity_dim=0"),
        (dict(num_segments=0), "num_segments=0"),
    ],
)
def test_bad_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        KnowledgeBackbone(**{**SIZES, **changes})


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(entity_ids=ENTITIES[:, :4]), r"shape of `token_ids`.*Received: entity_ids of shape"),
        (dict(entity_ids=ENTITIES[:, 0]), "shape of `token_ids`"),
        (dict(language_ids=ENTITIES), "Received also: ..language_ids"),
    ],
)
def test_bad_features(backbone, changes, message):
    with pytest.raises(ValueError, match=message):
        backbone.encode({**TEXTS, **changes})


def test_rows_that_are_too_long(backbone):
    with pytest.raises(ValueError, match="positions for 8 tokens. Received: rows of 9"):
        backbone.encode({"token_ids": np.zeros((1, 9), "int32")})
