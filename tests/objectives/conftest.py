"""Rows for the tests of the selections, and the slow, plain forms of what they share."""

import numpy as np
import pytest


@pytest.fixture
def make_rows():
    """A function that makes random rows: CLS, text, SEP, text, SEP, padding."""

    def make(rng, num_rows, length, shortest=3, word_share=0.7, given_spans=False):
        real = rng.integers(shortest, length + 1, (num_rows, 1))
        middle = rng.integers(1, np.maximum(real - 1, 2))
        position = np.arange(length)
        padding_mask = position < real
        functional = (position == 0) | (position == middle) | (position >= real - 1)
        starts = rng.random((num_rows, length)) < word_share
        batch = {"padding_mask": padding_mask, "functional": functional}
        batch["word_starts"] = starts | functional
        if given_spans:
            marks = np.zeros((num_rows, length), "uint8")
            marks[(rng.random(marks.shape) < 0.1) & ~functional] = 1
            for i in range(1, length):  # each span goes on with a chance of 0.6
                goes_on = (marks[:, i - 1] > 0) & (marks[:, i] == 0) & ~functional[:, i]
                marks[goes_on & (rng.random(num_rows) < 0.6), i] = 2
            batch["span_marks"] = marks
        return batch

    return make


@pytest.fixture
def random_list():
    """A function that puts 0 to count - 1 in the order that the numbers say, one at a time."""

    def shuffle(count, numbers):
        left, drawn = list(range(count)), []
        for number in numbers[:count]:
            place = int(number * len(left))
            drawn.append(left[place])
            left[place] = left[0]
            del left[0]
        return drawn

    return shuffle


@pytest.fixture
def list_units():
    """A function that lists the units of one row as lists of positions, token by token."""

    def list_row(row, unit):
        units, in_span, after_break = [], False, True
        for i in range(len(row["functional"])):
            if row["functional"][i] or not row["padding_mask"][i]:
                in_span, after_break = False, True
                continue
            mark = row["span_marks"][i] if unit == "span" else 0
            if unit == "token" or after_break or mark == 1:
                begins = True
            elif mark == 2:
                begins = False
            else:
                begins = bool(row["word_starts"][i]) or in_span
            if begins:
                units.append([])
            units[-1].append(i)
            in_span, after_break = mark > 0, False
        return units

    return list_row


@pytest.fixture
def check_units():
    """A function that checks what holds for the units of every selection."""

    def check(batch, units, most):
        maskable = batch["padding_mask"] & ~batch["functional"]
        assert units.shape == maskable.shape and units.dtype == np.int32
        assert not units[~maskable].any()
        assert (np.count_nonzero(units, axis=1) <= most).all()
        for row in units.tolist():  # 1, 2, ... from left to right, each in one run
            runs = [n for i, n in enumerate(row) if n and (i == 0 or row[i - 1] != n)]
            assert runs == list(range(1, len(runs) + 1))

    return check


@pytest.fixture
def make_text_rows():
    """A function that makes random pairs of texts, none empty: ordinary ids are 5 to 99."""

    def make(rng, num_rows, length, shortest=5):
        real = rng.integers(shortest, length + 1, (num_rows, 1))
        middle = rng.integers(2, real - 2)
        position = np.arange(length)
        padding_mask = position < real
        functional = (position == 0) | (position == middle) | (position >= real - 1)
        ids = np.where(functional, 2, rng.integers(5, 100, (num_rows, length)))
        return {
            "token_ids": np.where(padding_mask, ids, 0).astype("int32"),
            "padding_mask": padding_mask,
            "functional": functional,
            "word_starts": functional | (rng.random((num_rows, length)) < 0.7),
            "segment_ids": (padding_mask & (position > middle)).astype("int32"),
        }

    return make


@pytest.fixture
def reach(gradient, quick_compilation):
    """A function that says on which tokens each row depends: whose gradient is not exactly 0.

    It takes the features of one example and options of the backbone, which has two layers and
    large weights. It returns (T, T) bool for content rows and (P, T) for the query rows, which
    are there if `target_token_ids` is. Token ids are replaced: one copy of the example per row,
    each with ids of its own, so that one gradient of the embedding table tells them apart.
    """

    def reached(x, **options):
        import keras
        from keras import ops

        from keras_plm.backbones import TransformerBackbone

        length, slots = x["token_ids"].shape[1], 0
        if "target_token_ids" in x:
            slots = x["target_positions"].shape[1]
        rows, width = length + slots, 8
        batch = {name: np.repeat(values, rows, axis=0) for name, values in x.items()}
        batch["token_ids"] = np.arange(rows * length, dtype="int32").reshape(rows, length)
        if slots:  # whose embedding is not looked at
            batch["target_token_ids"] = np.full((rows, slots), rows * length, "int32")
        backbone = TransformerBackbone(
            **{
                "vocabulary_size": rows * length + 1,
                "num_layers": 2,
                "num_heads": 2,
                "hidden_dim": width,
                "intermediate_dim": 16,
                "max_sequence_length": length,
                "num_segments": 6 * ("segment_ids" in x),
                "initializer_range": 0.4,
                **options,
            }
        )
        table = backbone.token_embedding.embeddings
        weights = np.random.default_rng(2).normal(size=(rows, rows, width)).astype("float32")
        weights *= np.eye(rows, dtype="float32")[:, :, None]  # copy n asks for row n

        def total(embeddings):
            with keras.StatelessScope(state_mapping=[(table, embeddings)]):
                encoded = backbone.encode(batch)
            content = ops.sum(encoded["sequence_output"] * weights[:, :length])
            if not slots:
                return content
            return content + ops.sum(encoded["target_output"] * weights[:, length:])

        jit = keras.backend.backend() == "jax"  # many small operations are slow there
        result = gradient(total, ops.convert_to_numpy(table), jit=jit)[: rows * length]
        seen = np.abs(result.reshape(rows, length, width)).max(axis=-1) != 0
        return seen[:length], seen[length:]

    return reached
