"""TransE: vectors of a graph's entities, between which a relation is a step of its own.

head (.6, .8)    relation (.1, -.2)    tail (.8, .6)    another tail (-1, 0)

distance l1      |head + relation - tail| = .1         another tail: 2.3
distance l2      .1                                    another tail: 1.802776
loss             max(0, margin + .1 - 2.3) = 0         with margin 1: it is told apart
"""

from pathlib import Path

import numpy as np

from keras_plm.checks import check_arguments, check_kind, choice, integer, number, texts
from keras_plm.data.corpus.text_lines import read_lines

DISTANCES = ("l1", "l2")
AT_ONCE = 1 << 22  # numbers of an array of distances


def read_triples(path):
    """Read the triples of a knowledge graph: a head, a relation and a tail on each line.

    Args:
        path: path of a file with a tab between the three, maybe gzipped.

    Returns:
        list of (head, relation, tail), str each.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the line, if it has not three names.
    """
    triples = []
    for place, line in enumerate(read_lines(Path(path)), 1):
        triple = tuple(one.strip() for one in line.rstrip("\n").split("\t"))
        if len(triple) != 3 or not all(triple):
            raise ValueError(
                f"{path}, line {place} must have a head, a relation and a tail, with a tab between "
                f"each. Received: {line!r:.80}"
            )
        triples.append(triple)
    return triples


class TransE:
    """Vectors of entities and relations, learned from the triples of a knowledge graph.

    The distance d(head + relation, tail) of a true triple shall be smaller, by a margin, than that
    of one whose head or tail is another entity, drawn at random:

        loss = sum of max(0, margin + d(true) - d(false))

    Entities have length 1, which each step restores; relations only as they begin.

    Args:
        triples: list of (head, relation, tail), names; see `read_triples`.
        dim: int. The width E of a vector.
        margin: float.
        distance: str. "l1", the sum of the absolute differences, or "l2", Euclid's.
        seed: int, of all that is drawn.
        entities: list of str, in the order of the vectors; None: as they come in the triples.
        relations: list of str; None: as they come.

    Attributes:
        entities, relations: lists of str.
        entity_vectors: (number of entities, E) float64.
        relation_vectors: (number of relations, E) float64.

    Raises:
        TypeError: if triples are no triples of strings.
        ValueError: if there are none, they name what is not among `entities` or `relations`, or
            there are less than two entities.

    Source: Bordes et al. (2013), "Translating Embeddings for Modeling Multi-relational Data",
    section 2 and algorithm 1; the vectors of ERNIE (arXiv:1905.07129), section 4.1.
    """

    @check_arguments
    def __init__(
        self,
        triples,
        dim: integer(1) = 100,
        margin: number(above=0) = 1.0,
        distance: choice(DISTANCES) = "l1",
        seed: integer(0) = 0,
        entities: texts(none=True) = None,
        relations: texts(none=True) = None,
    ):
        triples = _checked(triples)
        heads, kinds, tails = zip(*triples)
        ends = [one for pair in zip(heads, tails) for one in pair]
        self.entities = list(dict.fromkeys(ends if entities is None else entities))
        self.relations = list(dict.fromkeys(kinds if relations is None else relations))
        for name, given in (("entities", entities), ("relations", relations)):
            if given is not None and len(set(given)) < len(given):
                raise ValueError(
                    f"`{name}` must have each name once. Received: {len(given)} names, "
                    f"{len(set(given))} different ones"
                )
        if len(self.entities) < 2:
            raise ValueError(
                "A graph must have two entities, to tell them apart. Received: "
                f"{self.entities!r:.80}"
            )
        self.margin, self.distance = margin, distance
        self._entity_numbers = {name: place for place, name in enumerate(self.entities)}
        self._relation_numbers = {name: place for place, name in enumerate(self.relations)}
        self._triples = self._numbers(triples)  # (N, 3)
        self._rng = np.random.default_rng(seed)
        bound = 6 / np.sqrt(dim)  # algorithm 1, lines 1 to 3
        self.entity_vectors = self._rng.uniform(-bound, bound, (len(self.entities), dim))
        self.relation_vectors = self._rng.uniform(-bound, bound, (len(self.relations), dim))
        self.relation_vectors = _of_length_1(self.relation_vectors)
        self.entity_vectors = _of_length_1(self.entity_vectors)

    @check_arguments
    def fit(
        self,
        epochs: integer(0),
        learning_rate: number(above=0) = 0.01,
        batch_size: integer(1) = 128,
    ):
        """Learn by plain gradient descent; called again, go on.

        Args:
            epochs: int. How often each triple is seen.
            learning_rate: float.
            batch_size: int. Triples in a step, whose losses are added.

        Returns:
            list of float, the mean loss of a triple in each epoch.
        """
        return [self._epoch(learning_rate, batch_size) for _ in range(epochs)]

    def distances(self, triples):
        """How far triples are from being true.

        Args:
            triples: list of N (head, relation, tail), names.

        Returns:
            (N,) float64.

        Raises:
            TypeError, ValueError: as the class.
        """
        steps, tails = self._steps(self._numbers(_checked(triples)))
        return self._length(steps - self.entity_vectors[tails])

    def ranks(self, triples, known=()):
        """The place of the right entity among all, by distance, for each end of each triple.

        Args:
            triples: list of N (head, relation, tail), names.
            known: list of triples that are true besides, whose entities do not count ("filtered").

        Returns:
            (N, 2) float64, from 1: that of the head among all heads, and of the tail among all
            tails. Those that are as far away count half.

        Raises:
            TypeError, ValueError: as the class.
        """
        asked = self._numbers(_checked(triples))
        true = [asked, *([self._numbers(_checked(known))] if len(known) else [])]
        true = np.concatenate(true)
        return np.stack([self._ranks_of(asked, true, end) for end in (0, 2)], axis=1)

    def hits(self, triples, at: integer(1) = 10, known=()):
        """The share of ends of triples whose right entity is among the nearest, "hits@10".

        Args:
            triples: list of (head, relation, tail), names.
            at: int. How many are the nearest.
            known: as in `ranks`.

        Returns:
            float.
        """
        return float((self.ranks(triples, known) <= at).mean())

    def _epoch(self, learning_rate, batch_size):
        """One pass over the triples; the mean loss."""
        losses = 0.0
        order = self._rng.permutation(len(self._triples))
        for begin in range(0, len(order), batch_size):
            true = self._triples[order[begin : begin + batch_size]]  # (B, 3)
            losses += self._step(true, self._corrupted(true), learning_rate)
        self.entity_vectors = _of_length_1(self.entity_vectors)
        return losses / len(order)

    def _corrupted(self, true):
        """Triples with another entity, drawn, as head or as tail."""
        false, row = true.copy(), np.arange(len(true))
        end = 2 * self._rng.integers(0, 2, len(true))
        drawn = self._rng.integers(0, len(self.entities) - 1, len(true))
        false[row, end] = drawn + (drawn >= true[row, end])
        return false

    def _step(self, true, false, learning_rate):
        """One step of gradient descent; the sum of the losses."""
        self.entity_vectors = _of_length_1(self.entity_vectors)  # algorithm 1, line 5
        gaps = []
        for triples in (true, false):
            steps, tails = self._steps(triples)
            gaps.append(steps - self.entity_vectors[tails])  # (B, E)
        losses = self.margin + self._length(gaps[0]) - self._length(gaps[1])
        wrong = losses > 0
        for triples, gap, sign in ((true, gaps[0], 1), (false, gaps[1], -1)):
            slope = -learning_rate * sign * self._slope(gap[wrong])
            heads, kinds, tails = triples[wrong].T
            np.add.at(self.entity_vectors, heads, slope)
            np.add.at(self.relation_vectors, kinds, slope)
            np.add.at(self.entity_vectors, tails, -slope)
        return losses[wrong].sum()

    def _ranks_of(self, asked, true, end):
        """Ranks of one end, 0 the head or 2 the tail: (N,)."""
        others = [1, 2 - end]
        ranks = np.zeros(len(asked))
        by_rest = {}
        for triple in true:
            by_rest.setdefault(tuple(triple[others]), []).append(triple[end])
        sign = 1 if end == 2 else -1
        chunk = max(1, AT_ONCE // self.entity_vectors.size)
        for begin in range(0, len(asked), chunk):
            part = asked[begin : begin + chunk]
            # head + relation - tail, of which one end is given: what the other should be
            wanted = (
                self.entity_vectors[part[:, 2 - end]] + sign * self.relation_vectors[part[:, 1]]
            )
            far = self._length(wanted[:, None] - self.entity_vectors)  # (n, entities)
            for row, triple in enumerate(part):
                own = far[row, triple[end]]
                rest = np.delete(far[row], list({*by_rest[tuple(triple[others])]}))
                nearer, same = np.count_nonzero(rest < own), np.count_nonzero(rest == own)
                ranks[begin + row] = 1 + nearer + same / 2
        return ranks

    def _steps(self, triples):
        """Head + relation, and the numbers of the tails."""
        heads, kinds, tails = triples.T
        return self.entity_vectors[heads] + self.relation_vectors[kinds], tails

    def _length(self, gaps):
        """Distances, of differences (..., E)."""
        return np.abs(gaps).sum(-1) if self.distance == "l1" else np.linalg.norm(gaps, axis=-1)

    def _slope(self, gaps):
        """The gradient of the distances."""
        if self.distance == "l1":
            return np.sign(gaps)
        length = np.linalg.norm(gaps, axis=-1, keepdims=True)
        return gaps / np.maximum(length, 1e-12)

    def _numbers(self, triples):
        """Names to numbers, (N, 3)."""
        tables = self._entity_numbers, self._relation_numbers, self._entity_numbers
        numbers = np.zeros((len(triples), 3), "int64")
        for place, triple in enumerate(triples):
            for column, (name, table) in enumerate(zip(triple, tables)):
                if name not in table:
                    what = ("head", "relation", "tail")[column]
                    raise ValueError(
                        f"The {what} of triple {place} must be one of the {len(table)} that the "
                        f"graph has. Received: {name!r:.80} in {triple!r:.200}"
                    )
                numbers[place, column] = table[name]
        return numbers


def _checked(triples):
    """Triples of strings as a list of tuples."""
    check_kind("triples", triples, (list, tuple, np.ndarray))
    found = [tuple(one) if isinstance(one, (list, tuple, np.ndarray)) else () for one in triples]
    for place, triple in enumerate(found):
        if len(triple) != 3 or not all(isinstance(name, str) for name in triple):
            raise TypeError(
                "triples must be (head, relation, tail), three strings each. Received: "
                f"{triples[place]!r:.200} as triple {place}"
            )
    if not found:
        raise ValueError("There must be a triple. Received: triples=[]")
    return found


def _of_length_1(vectors):
    """Vectors of that length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
