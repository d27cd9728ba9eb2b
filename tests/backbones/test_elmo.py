"""ELMoBackbone: its size, directions, padding and states."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.backbones import Backbone, ELMoBackbone
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.tasks import TextClassifier
from keras_plm.tokenizers.words.character_ids import character_ids

pytestmark = pytest.mark.usefixtures("quick_compilation")

WORDS = ["<S>", "The", "cat", "sat", "on", "the", "mat", "</S>"]
IDS = np.stack([character_ids(WORDS), character_ids(WORDS[::-1])])
NARROW = 4


def made(**options):
    sizes = dict(filters=((1, 3), (2, 5)), num_highways=1, **options)
    backbone = ELMoBackbone(100, 2, NARROW, 6, **sizes)
    random = np.random.default_rng(0)
    for weight in backbone.weights:  # so large that what was read long ago has a say
        weight.assign(random.normal(size=weight.shape, scale=0.7))
    return backbone


@pytest.fixture(scope="module")
def backbone():
    return made()


def rows_of(backbone, ids, name="sequence_output", **features):
    encoded = backbone.encode({"character_ids": ops.convert_to_tensor(ids), **features})
    return ops.convert_to_numpy(encoded[name])


COUNTS = {"elmo_small": 13_593_312, "elmo_medium": 28_027_744, "elmo_original": 93_600_864}


@pytest.mark.parametrize("name", families.ELMO["sizes"])
def test_sizes_of_the_released_models(name):
    """The published 13.6, 28.0 and 93.6 million."""
    with DeferredWeights().building():
        backbone = ELMoBackbone(**families.ELMO["sizes"][name])
    assert backbone.count_params() == COUNTS[name]


def test_what_it_says(backbone):
    assert backbone.reads == {"bidirectional", "state", "both_ways"} and backbone.hidden_dim == 8
    groups = backbone.layer_groups()
    grouped = [id(weight) for group in groups for weight in group]
    assert len(groups) == 3 and sorted(grouped) == sorted(map(id, backbone.weights))
    assert [len(group) for group in groups[1:]] == [8, 8]
    again = ELMoBackbone.from_config(backbone.get_config())
    assert again.get_config() == backbone.get_config()


def test_what_each_half_sees(backbone):
    other = IDS.copy()
    other[:, 3] = character_ids(["dog"])
    one, two = rows_of(backbone, IDS), rows_of(backbone, other)
    changed = np.abs(one - two).max(axis=0) > 1e-5  # (T, D)
    assert changed[3:, :NARROW].any(axis=1).all() and not changed[:3, :NARROW].any()
    assert changed[:4, NARROW:].any(axis=1).all() and not changed[4:, NARROW:].any()


def test_padding_on_both_sides_changes_nothing(backbone):
    whole = rows_of(backbone, IDS)
    zeros = np.pad(IDS, ((0, 0), (1, 2), (0, 0)))  # words of zeros are padding
    np.testing.assert_allclose(rows_of(backbone, zeros)[:, 1:-2], whole, atol=1e-6)
    words = np.pad(IDS, ((0, 0), (1, 2), (0, 0)), constant_values=70)
    real = np.pad(np.ones((2, 8), bool), ((0, 0), (1, 2)))
    padded = rows_of(backbone, words, padding_mask=real)
    np.testing.assert_allclose(padded[:, 1:-2], whole, atol=1e-6)
    assert not padded[:, [0, -2, -1]].any()


def test_the_same_text_has_the_same_vectors(backbone):
    np.testing.assert_array_equal(rows_of(backbone, IDS), rows_of(backbone, IDS))
    state = backbone.encode({"character_ids": IDS})["state"]
    assert np.abs(rows_of(backbone, IDS, state=state) - rows_of(backbone, IDS)).max() > 1e-3


def test_two_streams(backbone):
    """Reversed beforehand, the backward stack reads on from its own state."""
    state = {}
    outputs = []
    for part in (slice(0, 3), slice(3, 8)):
        encoded = backbone.encode(
            {
                "character_ids": IDS[:, part],
                "backward_character_ids": IDS[:, ::-1][:, part].copy(),
                **state,
            }
        )
        state = {"state": encoded["state"]}
        outputs.append([encoded[f"{name}_output"] for name in ("forward", "backward")])
    forward, backward = (ops.concatenate(parts, axis=1) for parts in zip(*outputs))
    whole = rows_of(backbone, IDS)
    np.testing.assert_allclose(ops.convert_to_numpy(forward), whole[..., :NARROW], atol=1e-6)
    back = ops.convert_to_numpy(backward)[:, ::-1]
    np.testing.assert_allclose(back, whole[..., NARROW:], atol=1e-6)


def test_skips_and_hidden_states():
    """The second layer adds its input, and the first does not."""
    with_skips, without = made(), made(skip_connections=False)
    one, two = (
        each.encode({"character_ids": IDS})["hidden_states"] for each in (with_skips, without)
    )
    words, first, second = map(ops.convert_to_numpy, one)
    np.testing.assert_array_equal(words[..., :NARROW], words[..., NARROW:])
    np.testing.assert_allclose(first, ops.convert_to_numpy(two[1]), atol=1e-6)
    np.testing.assert_allclose(second - first, ops.convert_to_numpy(two[2]), atol=1e-5)


def test_outputs_of_heads_have_dropout(backbone):
    features = {"character_ids": keras.Input((None, 50), dtype="int32", name="character_ids")}
    encoded = made(dropout=0.5).encode(features)
    model = keras.Model(features, [encoded["forward_output"], encoded["backward_output"]])
    features = {"character_ids": IDS}
    for evaluated, trained in zip(model(features), model(features, training=True)):
        assert (ops.convert_to_numpy(evaluated) != 0).all()
        assert 0.2 < (ops.convert_to_numpy(trained) == 0).mean() < 0.8


def test_a_task_reads_it(backbone, quick):
    classifier = TextClassifier(backbone, 2, pooling="mean")
    classifier.compile(**quick)
    x = {
        "token_ids": np.ones((2, 8), "int32"),
        "character_ids": IDS,
        "padding_mask": np.ones((2, 8), bool),
    }
    loss = classifier.fit(x, np.array([0, 1]), verbose=0).history["loss"]
    assert np.isfinite(loss).all() and classifier.predict(x, verbose=0).shape == (2, 2)


def test_presets(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    again = Backbone.from_preset(tmp_path / "preset", dropout=0.0)
    assert isinstance(again, ELMoBackbone) and again.dropout == 0
    np.testing.assert_array_equal(rows_of(again, IDS), rows_of(backbone, IDS))


def test_what_it_cannot_take(backbone):
    with pytest.raises(ValueError, match=r"has no features \['order'\]"):
        backbone.encode({"character_ids": IDS, "order": IDS[..., 0]})
    with pytest.raises(ValueError, match="by the two heads of its objective"):
        backbone.lm_head()
    with pytest.raises(ValueError, match="needs `character_ids`"):
        backbone.encode({"token_ids": IDS[..., 0]})
    for state in ({"forward": {}}, {"forward": {"hidden": [], "cell": []}, "backward": 3}, 7):
        with pytest.raises(ValueError, match="`state` must have 'forward' and 'backward'"):
            backbone.encode({"character_ids": IDS, "state": state})
    specs = backbone.state_spec(3)
    state = keras.tree.map_structure(lambda one: ops.zeros(one.shape), specs)
    with pytest.raises(ValueError, match="for each of the B = 2 texts"):
        backbone.encode({"character_ids": IDS, "state": state})
