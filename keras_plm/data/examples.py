"""From a corpus and an objective to batches that `model.fit` takes.

The record is the batch: batch n is a pure function of (corpus, objective, seed, n), so any batch
can be made again anywhere. Resuming is `start=n`; a shard is a slice of rows.
"""

import sys

import grain
import numpy as np

from keras_plm.checks import check_integer
from keras_plm.data.corpus.columns import check_columns, token_columns
from keras_plm.data.corpus.token_counts import token_counts
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import make_rows

READ_OPTIONS = grain.ReadOptions(num_threads=2, prefetch_buffer_size=16)


class Examples(grain.IterDataset):
    """Batches `(x, y, sample_weight)` of an objective; made by `examples`, fed to `model.fit`.

    Keras fits it on every backend. While training it never ends: give `fit` `steps_per_epoch`.

    Args:
        batches: the batches by number: `batches[n]` makes batch n, `len(batches)` is how many.
        start: number of the first batch.
        endless: whether the batches start over when they are through.

    Attributes:
        batch_size: rows of the whole batch.
        local_batch_size: rows of the batch in this shard.
        steps_per_epoch: batches in one pass over the corpus; in the first, where lengths vary.
        tokenizer_fingerprint: of the tokenizer that made the corpus.
        vocabulary_size: of the corpus.
        objective: the objective.
        start: number of the first batch.
        identity: all that batch n depends on beside n.
        source: the batches in the order of iteration: `source[0]` is the first one.
    """

    def __init__(self, batches, start, endless=False):
        self.source = _From(batches, start, endless)
        super().__init__(grain.MapDataset.source(self.source).to_iter_dataset(READ_OPTIONS))
        self._batches = batches
        self.start = start
        self.batch_size = batches.builder.batch_size
        self.local_batch_size = batches.rows.stop - batches.rows.start
        self.steps_per_epoch = batches.builder.steps_per_pass
        self.objective = batches.objective
        self.tokenizer_fingerprint = batches.corpus.tokenizer_fingerprint
        self.vocabulary_size = batches.corpus.vocabulary_size

    def __iter__(self):
        return iter(self._parent)

    def __repr__(self):
        kind = "training" if self.training else "evaluation"
        return (
            f"<Examples of {type(self.objective).__name__} for {kind}: {self.steps_per_epoch:,} "
            f"batches of {self.local_batch_size} in a pass over {self._batches.corpus!r}>"
        )

    def description(self):
        """Say what the batches are made of, beside the objective, as a dict of plain values.

        Two datasets of one objective with the same description have the same batches, by number.
        """
        batches = self._batches
        return {
            "corpus": getattr(batches.corpus, "fingerprint", None),  # one's own may have none
            "seed": int(batches.seed),
            "batch_size": self.batch_size,
            "bidirectional": batches.bidirectional,
        }

    @property
    def training(self):
        """Whether the documents are shuffled anew in every pass, without end."""
        return self._batches.training

    def repeat(self):
        """The same batches over and over, as validation inside `fit` needs them."""
        return Examples(self._batches, self.start, endless=True)

    @property
    def identity(self):
        """All that batch n depends on beside n, as a tuple: equal ones have equal batches."""
        batches = self._batches
        corpus, rows = batches.corpus, batches.rows
        return (
            str(getattr(corpus, "directory", id(corpus))),
            corpus.tokenizer_fingerprint,
            hash(np.asarray(corpus.documents).tobytes()),
            repr(batches.objective),
            (self.batch_size, rows.start, rows.stop),
            (batches.seed, batches.training, batches.bidirectional),
        )

    def batch_at(self, step):
        """Makes batch `step` of the training, whatever `start` is, as `(x, y, sample_weight)`."""
        return self._batches[step]

    def rows_at(self, step):
        """Makes the rows of batch `step` as they are before the objective hides anything.

        Returns:
            dict of arrays, see the row builder of the objective.
        """
        return self._batches.rows_at(step)


def examples(
    corpus, objective, batch_size, seed=0, start=0, training=True, bidirectional=None, shard=(0, 1)
):
    """Makes the dataset that trains or evaluates a model on `corpus` by `objective`.

    Args:
        corpus: a `Corpus` (or one half of `Corpus.split`).
        objective: an `Objective`; the model's own is `model.objective`.
        batch_size: B, rows per batch over all shards.
        seed: int >= 0; every random choice depends on it and on the number of the batch only.
        start: number of the first batch: the global step when training is resumed.
        training: True shuffles the documents anew in every pass, without end. False makes one
            pass in the corpus's order, the same every time.
        bidirectional: whether half of the rows are read right to left; None as the objective
            says. False with a bidirectional objective reads all rows left to right.
        shard: (index, count); this process makes the index-th of `count` equal slices of the
            rows of every batch. All shards together are the unsharded batch, exactly.

    Returns:
        `Examples`, a Grain dataset.

    Raises:
        ValueError: an argument is out of range, the arguments do not fit each other, or the
            corpus is too small for one batch, or lacks a column that the objective needs.
    """
    check_integer("batch_size", batch_size, 1)
    check_integer("seed", seed, 0)
    check_integer("start", start, 0)
    able = getattr(objective, "bidirectional", False)
    bidirectional = able if bidirectional is None else bidirectional
    if bidirectional and not able:
        raise ValueError(
            "Bidirectional data needs an objective that tells the model which rows are read right "
            "to left: use bidirectional=True in the objective and the model. Received: "
            f"bidirectional={bidirectional}, objective={objective}"
        )
    index, count = _check_shard(shard, batch_size)
    request = RowRequest(corpus, batch_size, seed, training, bidirectional)
    check_columns(token_columns(corpus), getattr(objective, "columns", ()))
    builder = make_rows(objective.rows, request, objective.row_settings)
    if not training and start >= builder.steps_per_pass:
        raise ValueError(
            f"Evaluation has {builder.steps_per_pass} batches, and starts before they end. "
            f"Received: start={start}"
        )
    rows = slice(index * batch_size // count, (index + 1) * batch_size // count)
    batches = _Batches(corpus, objective, builder, seed, training, rows, bidirectional)
    return Examples(batches, start)


class _Batches:
    """Batch n by `batches[n]`."""

    def __init__(self, corpus, objective, builder, seed, training, rows, bidirectional):
        self.corpus, self.objective, self.builder = corpus, objective, builder
        self.seed, self.training, self.rows = seed, training, rows
        self.bidirectional = bool(bidirectional)
        self.sampler = TokenSampler(corpus) if objective.samples_per_row else None
        counted = getattr(objective, "token_counts", False)
        self.counts = token_counts(corpus) if counted else None

    def __len__(self):
        return sys.maxsize if self.training else self.builder.steps_per_pass

    def __getitem__(self, step):
        step = self._first_like(step)
        batch = self._rows(step)
        if self.sampler is not None:
            shape = (self.builder.batch_size, self.objective.samples_per_row)
            uniform = np.random.default_rng((self.seed, 3, step)).random(shape)
            batch["sampled_ids"] = self.sampler(uniform[self.rows])
        if self.counts is not None:
            batch["token_counts"] = self.counts
        bits = np.random.PCG64((self.seed, 2, step))
        # one step of the generator per number: go to those of this shard's first row
        bits.advance(self.rows.start * self.objective.draws_per_row)
        return self.objective(batch, np.random.Generator(bits))

    def rows_at(self, step):
        """What the objective takes of batch `step`, but for tokens drawn from the corpus."""
        return self._rows(self._first_like(step))

    def _rows(self, step):
        """The rows of a batch, with what else the objective takes of the words or of all rows."""
        batch = self.builder(step, self.rows)
        if getattr(self.objective, "whole_batch", False):
            is_whole = self.rows == slice(0, self.builder.batch_size)
            batch |= self.objective.of_batch(batch if is_whole else self.builder(step))
        if getattr(self.objective, "characters", False):
            for side in ("", "backward_")[: 1 + ("backward_token_ids" in batch)]:
                characters = character_ids_of_rows(self.corpus, batch, side)
                batch[f"{side}character_ids"] = characters
        return batch

    def _first_like(self, step):
        """The first batch that is the same as batch `step`."""
        period = self.objective.static_passes * self.builder.steps_per_pass
        return step % period if period else step


class _From:
    """The batches from number `start` on, as Grain reads them."""

    def __init__(self, batches, start, endless):
        self.batches, self.start = batches, start
        self.count = len(batches) - start
        self.endless = endless

    def __len__(self):
        return sys.maxsize if self.endless else self.count

    def __getitem__(self, index):
        return self.batches[self.start + index % self.count]


def _check_shard(shard, batch_size):
    try:
        index, count = shard
    except (TypeError, ValueError):
        raise ValueError(f"shard must be (index, count). Received: shard={shard!r}") from None
    check_integer("shard's index", index, 0)
    check_integer("shard's count", count, 1)
    if index >= count:
        raise ValueError(f"shard's index must be below its count. Received: shard={shard!r}")
    if batch_size % count:
        raise ValueError(
            "batch_size counts the rows over all shards and must be a multiple of their number. "
            f"Received: batch_size={batch_size}, shard={shard!r}"
        )
    return index, count


def character_ids_of_rows(corpus, batch, side=""):
    """The bytes of the words of rows, of those out of the vocabulary as well.

    Args:
        corpus: a `Corpus`.
        batch: dict of token_ids (B, T) int32, padding_mask (B, T) bool, unknown_words (B, T) int32.
        side: str. What stands before the names of token_ids and unknown_words.

    Returns:
        (B, T, 50) int32, see `keras_plm.tokenizers.words.character_ids`.

    Raises:
        ValueError: if the corpus has no characters.
    """
    table = getattr(corpus, "word_characters", None)
    if table is None:
        raise ValueError(
            "The objective takes the characters of words: build the corpus with a WordTokenizer of "
            'characters=True, as train_tokenizer(..., model="word", layout="elmo") makes it. '
            f"Received: {corpus!r:.200}"
        )
    unknown, token_ids = batch[f"{side}unknown_words"], batch[f"{side}token_ids"]
    word = np.where(unknown > 0, corpus.vocabulary_size - 1 + unknown, token_ids)  # (B, T)
    characters = np.asarray(table)[word].astype("int32")  # (B, T, W)
    return characters * batch["padding_mask"][:, :, None]


class TokenSampler:
    """Draws tokens of a corpus's documents uniformly.

    Args:
        corpus: a `Corpus`, or a part of one, whose documents alone are drawn from.
    """

    def __init__(self, corpus):
        documents = np.asarray(corpus.documents)
        offsets = np.asarray(corpus.document_offsets)
        begins, ends = offsets[documents], offsets[documents + 1]
        self._corpus = corpus
        self._stops = np.cumsum(ends - begins)  # tokens up to the end of each document
        self._shifts = ends - self._stops

    def __call__(self, uniform):
        """Turns uniform random numbers into tokens.

        Args:
            uniform: array of any shape, in [0, 1).

        Returns:
            int32 array of the same shape: token ids.
        """
        number = (uniform * self._stops[-1]).astype("int64")
        document = np.searchsorted(self._stops, number, side="right")
        token_ids = np.asarray(self._corpus.token_ids)  # a plain view: memmap's indexing is slow
        return token_ids[number + self._shifts[document]].astype("int32")
