"""TransE: the example of the module's docstring, numeric gradients, ranks by sorting, a graph."""

import gzip
import math

import numpy as np
import pytest

from keras_plm.data import TransE, entity_table, read_triples

CHAIN = [(f"e{n}", "next", f"e{n + 1}") for n in range(9)]


def small(distance="l1", margin=1.0):
    """The vectors of the example."""
    model = TransE(
        [("h", "r", "t")], 2, margin, distance, entities=["h", "t", "other"], relations=["r"]
    )
    model.entity_vectors = np.array([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]])
    model.relation_vectors = np.array([[0.1, -0.2]])
    return model


@pytest.mark.parametrize("distance, near, far", [("l1", 0.1, 2.3), ("l2", 0.1, 1.802776)])
def test_literal_example(distance, near, far):
    """Spec A.4: L1 .1 and 2.3, L2 .1 and 1.802776; the loss with margin 1 is 0."""
    model = small(distance)
    found = model.distances([("h", "r", "t"), ("h", "r", "other")])
    np.testing.assert_allclose(found, [near, far], atol=1e-6)
    true, false = np.array([[0, 0, 1]]), np.array([[0, 0, 2]])
    before = model.entity_vectors.copy()
    assert model._step(true, false, 0.1) == 0
    np.testing.assert_allclose(model.entity_vectors, before, atol=1e-15)
    model.margin = 3.0
    np.testing.assert_allclose(model._step(true, false, 0.1), 3 + near - far, atol=1e-6)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_a_step_goes_down_the_numeric_gradient(distance):
    """Of entities that occur several times in a batch, and of triples that are told apart."""
    rng = np.random.default_rng(0)
    model = TransE(CHAIN, 5, 1.0, distance)
    true = model._triples[[0, 3, 3, 7]]
    false = true.copy()
    false[:, 2] = [5, 0, 2, 1]
    vectors = rng.normal(size=model.entity_vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def loss(entities, relations):
        total, told_apart = 0.0, 0
        for good, bad in zip(true, false):
            near, far = (entities[h] + relations[r] - entities[t] for h, r, t in (good, bad))
            sizes = [
                sum(map(abs, one)) if distance == "l1" else math.sqrt(sum(one**2))
                for one in (near, far)
            ]
            told_apart += 1 + sizes[0] - sizes[1] <= 0
            total += max(0.0, 1 + sizes[0] - sizes[1])
        return total, told_apart

    relations = model.relation_vectors.copy()
    model.entity_vectors = vectors.copy()
    total, told_apart = loss(vectors, relations)
    np.testing.assert_allclose(model._step(true, false, 1e-3), total, rtol=1e-12)
    assert 0 < total and told_apart < 4
    for which, (start, after) in enumerate(
        ((vectors, model.entity_vectors), (relations, model.relation_vectors))
    ):
        for place in np.ndindex(start.shape):
            sides = []
            for step in (1e-6, -1e-6):
                changed = [vectors.copy(), relations.copy()]
                changed[which][place] += step
                sides.append(loss(*changed)[0])
            slope = (sides[0] - sides[1]) / 2e-6
            np.testing.assert_allclose(after[place] - start[place], -1e-3 * slope, atol=1e-8)


def test_ranks_are_those_of_a_sorted_list():
    """Filtered: other true entities do not count. Equal distances count half."""
    rng = np.random.default_rng(1)
    names = [f"e{n}" for n in range(7)]
    model = TransE(CHAIN, 3, entities=[f"e{n}" for n in range(10)], relations=["next", "is"])
    triples = [tuple(rng.choice(names, 2)) for _ in range(20)]
    triples = [(head, "is" if n % 2 else "next", tail) for n, (head, tail) in enumerate(triples)]
    model.entity_vectors[4] = model.entity_vectors[5]
    for known in ((), CHAIN, CHAIN + triples[:5]):
        true = {*triples, *known}
        found = model.ranks(triples, known)
        for (head, kind, tail), ranks in zip(triples, found):
            heads = [(one, kind, tail) for one in model.entities]
            tails = [(head, kind, one) for one in model.entities]
            for candidates, own, rank in zip((heads, tails), (head, tail), ranks):
                far = dict(zip(model.entities, model.distances(candidates)))
                rest = [
                    far[one]
                    for one, triple in zip(model.entities, candidates)
                    if triple not in true
                ]
                nearer = sum(one < far[own] - 1e-12 for one in rest)
                same = sum(abs(one - far[own]) <= 1e-12 for one in rest)
                assert rank == 1 + nearer + same / 2
        hits = [rank <= 3 for ranks in found for rank in ranks]
        assert model.hits(triples, 3, known) == sum(hits) / len(hits)


def test_a_graph_is_learned_and_entities_have_length_1():
    """A ring of 12 entities and its other direction, which half a plane can hold."""
    ring = [(f"e{n}", "next", f"e{(n + 1) % 12}") for n in range(12)]
    graph = [one for one in ring] + [(tail, "back", head) for head, _, tail in ring]
    model = TransE(graph, 20, seed=3)
    relation = np.linalg.norm(model.relation_vectors, axis=1)
    np.testing.assert_allclose(relation, 1, atol=1e-12)
    before = model.hits(graph, 1)
    losses = model.fit(60) + model.fit(60, learning_rate=0.005)
    assert len(losses) == 120 and losses[-1] < 0.5 * losses[0] and np.isfinite(losses).all()
    np.testing.assert_allclose(np.linalg.norm(model.entity_vectors, axis=1), 1, atol=1e-12)
    assert model.hits(graph, 3, graph) > 0.9 > 0.5 > before
    again = TransE(graph, 20, seed=3)
    again.fit(60)
    again.fit(60, learning_rate=0.005)
    np.testing.assert_array_equal(again.entity_vectors, model.entity_vectors)
    other = TransE(graph, 20, seed=4)
    assert (other.entity_vectors != TransE(graph, 20, seed=3).entity_vectors).all()


def test_a_false_triple_has_another_head_or_tail():
    model = TransE(CHAIN, 4)
    true = np.repeat(model._triples, 300, axis=0)
    false = model._corrupted(true)
    changed = false != true
    assert (changed.sum(axis=1) == 1).all() and not changed[:, 1].any()
    assert abs(changed[:, 0].mean() - 0.5) < 0.05
    counts = np.bincount(false[changed[:, 2], 2], minlength=10)
    assert counts.min() > 0.7 * counts.mean()


def test_files_of_triples(tmp_path):
    lines = b"Paris\tcapital of\tFrance\nRome\tcapital of\tItaly\n"
    (tmp_path / "a.txt").write_bytes(lines)
    (tmp_path / "a.gz").write_bytes(gzip.compress(lines))
    expected = [("Paris", "capital of", "France"), ("Rome", "capital of", "Italy")]
    assert read_triples(tmp_path / "a.txt") == read_triples(tmp_path / "a.gz") == expected
    for text in ("a\tb\tc\na\tb\n", "a\tb\tc\na\tb\tc\td\n", "a\tb\tc\na\t \tc\n", "a\tb\tc\n\n"):
        (tmp_path / "b.txt").write_text(text)
        with pytest.raises(ValueError, match="b.txt, line 2 must have a head, a relation"):
            read_triples(tmp_path / "b.txt")
    model = TransE(expected, 4)
    assert model.entities == ["Paris", "France", "Rome", "Italy"]
    assert model.relations == ["capital of"]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(triples=[]), ValueError, "There must be a triple"),
        (dict(triples="abc"), TypeError, "triples"),
        (dict(triples=["abc"]), TypeError, r"three strings each.*'abc' as triple 0"),
        (dict(triples=[("a", "b", "c"), ("a", "b")]), TypeError, "as triple 1"),
        (dict(triples=[("a", "b", 3)]), TypeError, "three strings"),
        (dict(triples=[("a", "b", "a")]), ValueError, "two entities"),
        (dict(entities=["e0", "e1"]), ValueError, "tail of triple 1 must be one of the 2.*'e2'"),
        (dict(relations=["is"]), ValueError, "relation of triple 0 must be.*'next'"),
        (dict(entities=["e0"] * 2), ValueError, "`entities` must have each name once.*2 names, 1"),
        (dict(dim=0), ValueError, "`dim`"),
        (dict(margin=0), ValueError, "`margin`"),
        (dict(distance="l3"), ValueError, "`distance` must be one of"),
        (dict(seed=-1), ValueError, "`seed`"),
    ],
)
def test_bad_graphs(arguments, error, message):
    with pytest.raises(error, match=message):
        TransE(**{"triples": CHAIN, **arguments})


def test_unknown_names_and_bad_steps():
    model = TransE(CHAIN, 4)
    for call in (model.distances, model.ranks, model.hits):
        with pytest.raises(ValueError, match="head of triple 1 must be one of the 10.*'e77'"):
            call([CHAIN[0], ("e77", "next", "e1")])
    with pytest.raises(ValueError, match="tail of triple 0"):
        model.hits(CHAIN, known=[("e1", "next", "x")])
    for wrong in (dict(epochs=-1), dict(epochs=1, learning_rate=0), dict(epochs=1, batch_size=0)):
        with pytest.raises(ValueError, match="Received"):
            model.fit(**wrong)
    assert model.fit(0) == []


def test_a_table_in_the_order_of_the_numbers(caplog):
    """Row 0 is zero; what has no vector gets one of length 1, the same for a seed."""
    caplog.set_level("INFO", "keras_plm")
    names = ["Q1", "Q7", "Q9"]
    table = entity_table(names, {"Q9": [0, 1], "Q1": [0.6, 0.8], "Q5": [9, 9]})
    assert table.dtype == "float32" and table.shape == (4, 2)
    np.testing.assert_allclose(table[[0, 1, 3]], [[0, 0], [0.6, 0.8], [0, 1]], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(table[2]), 1, atol=1e-6)
    assert "1 of 3 entities have no vector" in caplog.text
    pair = (["Q9", "Q1"], np.array([[0, 1], [0.6, 0.8]], "float16"))
    np.testing.assert_allclose(entity_table(names, pair)[[1, 3]], [[0.6, 0.8], [0, 1]], atol=1e-3)
    np.testing.assert_array_equal(entity_table(names, pair)[2], table[2])
    assert (entity_table(names, pair, seed=1)[2] != table[2]).all()
    model = TransE(CHAIN, 4)
    own = entity_table(model.entities, (model.entities, model.entity_vectors))
    np.testing.assert_allclose(own[1:], model.entity_vectors, atol=1e-7)
    caplog.clear()
    assert entity_table(["Q1"], {"Q1": [3, 4]}).tolist() == [[0, 0], [3, 4]] and not caplog.text


@pytest.mark.parametrize(
    "names, vectors, message",
    [
        (["a", "b", "a"], {"a": [1.0]}, "names must have each name once. Received: 'a' twice"),
        (["a"], (["a", "a"], [[1.0], [2.0]]), "vectors must have each name once"),
        (["a"], (["a"], [[1.0], [2.0]]), r"1 names, an array \(2, 1\)"),
        (["a"], {"a": [1.0], "b": [1.0, 2.0]}, "must be a rectangular array"),
        (["a"], {"a": [1.0], "b": [np.nan]}, "must be finite. Received: that of 'b'"),
        (["a"], {}, "must be a dict of names to vectors"),
        (["a"], {"a": 1.0}, "must be a dict of names to vectors"),
        (["a"], {"a": ["x"]}, "must be a dict of names to vectors"),
        (["a", 1], {"a": [1.0]}, "`names` must be a list of strings"),
    ],
)
def test_bad_tables(names, vectors, message):
    with pytest.raises(ValueError, match=message):
        entity_table(names, vectors)
