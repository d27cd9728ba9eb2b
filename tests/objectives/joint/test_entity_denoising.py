"""Denoising of entities: the example of the module's docstring, a slow oracle, the bounds of K."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import EntityDenoising, Mixture, ObjectiveSum, SentencePair
from keras_plm.objectives.joint.entity_denoising import candidate_entities, denoise_entities

ENTITIES = np.array([[0, 4, 0, 2], [0, 3, 0, 5], [0, 1, 0, 0]], "int32")
SMALL = EntityDenoising(7, sequence_length=4)


def rows_of(entities, **changes):
    """Rows with these entities."""
    entities = np.asarray(entities, "int32")
    rows = {
        "token_ids": np.arange(entities.size, dtype="int32").reshape(entities.shape),
        "segment_ids": np.zeros_like(entities),
        "padding_mask": np.ones(entities.shape, bool),
        "functional": np.zeros(entities.shape, bool),
        "entities": entities,
    }
    return {**rows, **changes}


def made(objective, rows, seed=0):
    """The examples of whole rows."""
    return objective(rows | objective.of_batch(rows), np.random.default_rng(seed))


def test_literal_example():
    """Spec A.3 of the original's `collate_fn`, whose -1 is 0 here and n is n + 1."""
    candidates, left_out = candidate_entities(ENTITIES, 7)
    assert candidates.tolist() == [0, 1, 2, 3, 4, 5, 0] and left_out == 0
    assert candidates.dtype == "int32"
    action, which = np.full((2, 3, 4), 0.99)
    action[0, [1, 3]], action[1, [1, 3]], action[2, 1] = (0.5, 0.9), (0.03, 0.10), 0.7
    action[0, 0] = 0.03  # not at a mention: nothing is done
    which[1, 1] = 0.79
    uniform = np.concatenate([action, which], axis=1)
    noisy, labels, weights = denoise_entities(ENTITIES, candidates, uniform, 0.05, 0.15)
    assert noisy.tolist() == [[0, 4, 0, 2], [0, 4, 0, 0], [0, 1, 0, 0]]
    assert labels.tolist() == [[0, 4, 0, 2], [0, 3, 0, 5], [0, 1, 0, 0]]
    assert weights.tolist() == (ENTITIES > 0).astype(float).tolist()
    assert (noisy.dtype, labels.dtype, weights.dtype) == ("int32", "int32", "float32")
    for drawn, expected in ((0.0, 1), (0.19, 1), (0.21, 2), (0.999, 5)):  # uniform over 1 .. 5
        uniform[1, 4 + 1] = drawn
        assert denoise_entities(ENTITIES, candidates, uniform, 0.05, 0.15)[0][1, 1] == expected
    for drawn, expected in ((0.0499, 4), (0.05, 0), (0.1999, 0), (0.2, 2)):  # action of token 3
        uniform[0, 3], uniform[0, 4 + 3] = drawn, 0.79
        assert denoise_entities(ENTITIES, candidates, uniform, 0.05, 0.15)[0][0, 3] == expected


def test_what_the_model_gets():
    x, y, weight = made(SMALL, rows_of(ENTITIES))
    assert tuple(x) == SMALL.feature_names and set(y) == set(weight) == {"entities"}
    assert x["candidate_entity_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 0]] * 3
    assert x["candidate_entity_ids"].dtype == x["entity_ids"].dtype == "int32"
    np.testing.assert_array_equal(x["token_ids"], rows_of(ENTITIES)["token_ids"])
    told = np.take_along_axis(x["candidate_entity_ids"], y["entities"], axis=1)
    np.testing.assert_array_equal(told, ENTITIES)  # labels name the original entity
    assert "segment_ids" not in made(replace(SMALL, segments=False), rows_of(ENTITIES))[0]


def test_as_every_mention_looked_up():
    """The oracle goes through the batch token by token, with lists."""
    rng = np.random.default_rng(1)
    for most, highest in ((2, 30), (9, 12), (9, 8), (50, 10**9)):
        entities = rng.integers(1, highest, (6, 20)) * (rng.random((6, 20)) < 0.4)
        uniform = rng.random((6, 40))
        seen = list(dict.fromkeys(number for number in entities.ravel().tolist() if number))
        listed = [0, *sorted(seen[: most - 1])]
        candidates, left_out = candidate_entities(entities, most)
        assert candidates.tolist() == listed + [0] * (most - len(listed))
        assert left_out == sum(number not in listed for number in entities.ravel().tolist())
        noisy, labels, weights = denoise_entities(entities, candidates, uniform, 0.3, 0.4)
        for b, t in np.ndindex(6, 20):
            original, drawn = entities[b, t], uniform[b, t]
            asked = original > 0 and original in listed
            assert weights[b, t] == asked
            assert labels[b, t] == (listed.index(original) if asked else 0)
            if original == 0 or 0.3 <= drawn < 0.7:
                assert noisy[b, t] == 0
            elif drawn < 0.3:
                others = listed[1:]
                assert noisy[b, t] == others[int(uniform[b, 20 + t] * len(others))]
            else:
                assert noisy[b, t] == original


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8])
def test_none_one_as_many_as_there_are_places_and_more(count, caplog):
    """K = 7 holds 6 entities beside none. Those beyond have weight 0, and are counted."""
    caplog.set_level(logging.WARNING, "keras_plm")
    entities = np.zeros((4, 4), "int32")
    entities.ravel()[np.arange(count) * 2] = 100 - np.arange(count)  # the first have high numbers
    entities[3, 3] = 100 if count else 0  # the first again, at the end
    objective = EntityDenoising(7, 4, replaced=0.5, dropped=0.25, min_entities=count)
    x, y, weight = made(objective, rows_of(entities))
    kept = min(count, 6)
    listed = [0, *sorted(100 - np.arange(kept))] + [0] * (6 - kept)
    assert x["candidate_entity_ids"].tolist() == [listed] * 4
    assert weight["entities"].sum() == kept + (count > 0)
    assert not y["entities"][weight["entities"] == 0].any()
    is_mention = entities > 0
    assert not x["entity_ids"][~is_mention].any() and set(x["entity_ids"].ravel()) <= {
        0,
        *range(93, 101),
    }
    if count <= 6:
        assert not caplog.records
        return
    made(objective, rows_of(entities))
    (record,) = caplog.records  # said once
    assert f"{count - 6} of its {count + 1} mentions are not asked for" in record.getMessage()


def test_shares():
    """Of many mentions 5 % are replaced, 15 % dropped; a replaced one may get its own entity."""
    rng = np.random.default_rng(0)
    entities = rng.integers(1, 21, (400, 50)) * (rng.random((400, 50)) < 0.5)
    objective = EntityDenoising(30, 50)
    x, _, weight = made(objective, rows_of(entities))
    before, after = entities[entities > 0], x["entity_ids"][entities > 0]
    assert abs((after == 0).mean() - 0.15) < 0.015
    assert abs(((after != before) & (after > 0)).mean() - 0.05 * 19 / 20) < 0.01
    assert weight["entities"].sum() == len(before)
    new = np.bincount(after[(after != before) & (after > 0)], minlength=21)[1:]
    assert new.min() > 0.5 * new.mean()


def test_rows_do_not_depend_on_the_numbers_of_others():
    whole = made(SMALL, rows_of(ENTITIES), 3)
    rows = {name: value[1:] for name, value in rows_of(ENTITIES).items()}
    bits = np.random.PCG64(3).advance(SMALL.draws_per_row)
    part = SMALL(rows | SMALL.of_batch(rows_of(ENTITIES)), np.random.Generator(bits))
    for first, second in zip(whole, part):
        for name, values in second.items():
            np.testing.assert_array_equal(first[name][1:], values)


def test_sums_and_mixtures_hand_the_whole_batch_on():
    pair = SentencePair(4)
    both = ObjectiveSum((pair, SMALL))
    assert both.whole_batch and not pair.whole_batch and pair.of_batch({}) == {}
    assert both.row_settings == pair.row_settings | {"min_entities": 5}
    rows = rows_of(ENTITIES, sentence_pair=np.zeros(3, "int32"))
    assert both.of_batch(rows).keys() == {"candidate_entity_ids"}
    x, y, _ = made(both, rows)
    assert y.keys() == {"entities", "sentence_pair"} and x["entity_ids"].shape == (3, 4)
    assert both.draws_per_row == SMALL.draws_per_row == 8
    turns = Mixture((SMALL, both), (1, 1))
    assert turns.whole_batch
    for part, weight in ((0, 0), (1, 1)):
        _, y, weights = made(turns, rows | {"part": part})
        assert (weights["sentence_pair"] == weight).all() and weights["entities"].sum() == 5
    assert SMALL.target_shape("entities") == (4,) and not SMALL.hides


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(num_candidates=1), "`num_candidates` must be an integer of at least 2"),
        (dict(replaced=0.6, dropped=0.5), "at most 1 together.*replaced=0.6, dropped=0.5"),
        (dict(replaced=-0.1), "`replaced`"),
        (dict(min_entities=-1), "`min_entities`"),
        (dict(segments=1), "`segments`"),
        (dict(rows=3), "rows must name a row builder"),
        (dict(rows="stream"), "go on from batch to batch cannot be left out.*'stream'"),
        (dict(rows="segment_pair"), "cannot be left out"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        EntityDenoising(**{"num_candidates": 7, **settings})


def test_good_settings():
    assert EntityDenoising(7, rows="stream", min_entities=0).row_settings == {
        "sequence_length": 512
    }
    assert EntityDenoising(7, replaced=0.25, dropped=0.75).dropped == 0.75


def test_bad_batches():
    rows = rows_of(ENTITIES)
    without = {name: value for name, value in rows.items() if name != "entities"}
    for call in (SMALL.of_batch, lambda batch: SMALL(batch, np.random.default_rng(0))):
        with pytest.raises(ValueError, match="needs rows with entities: build the corpus with"):
            call(without)
        with pytest.raises(ValueError, match=r"needs entities of the shape \(3, 4\)"):
            call(rows_of(ENTITIES[:, :3]))
    with pytest.raises(ValueError, match=r"candidate_entity_ids of the shape \(7,\).*\(0,\)"):
        SMALL(rows, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"of the shape \(7,\) as.*\(3, 7\)"):
        shared = np.zeros((3, 7), "int32")
        SMALL(rows | {"candidate_entity_ids": shared}, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"EntityDenoising needs token_ids of the shape \(3, 4\)"):
        made(SMALL, rows | {"token_ids": rows["token_ids"][:, :2]})


def test_a_backbone_that_reads_no_entities_is_refused():
    backbone = SimpleNamespace(reads=frozenset({"bidirectional"}))
    with pytest.raises(ValueError, match=r"needs a backbone that reads entities.*bidirectional"):
        SMALL.heads(backbone)
