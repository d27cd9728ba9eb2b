"""Batches of arrays in an order of their own in every epoch, of rows of similar length if asked."""

import keras
import numpy as np

from keras_plm.checks import check_rectangular
from keras_plm.tasks.feeding.length_batches import cut_batch
from keras_plm.tasks.feeding.prepared_data import unless_none
from keras_plm.tasks.feeding.row_lengths import row_lengths, whole_length

MOST_LENGTHS = 8


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of arrays without end, in a new order in every epoch.

    Keras's own order is the same in every epoch on TensorFlow, once a seed is set.

    Args:
        arrays: tuple (x, y, sample_weight) of arrays, dicts of arrays, or None.
        batch_size: int. The batch size B; the last batch of an epoch may be smaller.
        length_buckets: list of int, or None. Rows go into one batch with rows of similar length,
            which is cut to the smallest of these lengths that holds them; rows that are longer
            keep their length. What does not fill a batch goes to the next length, so that
            XLA compiles one program per length and one for the last batch.
        cut_left: bool. Whether padding at the start of the rows may be cut: not for a model, or
            labels, that count positions from there.
        labels_of_tokens: bool. Whether labels and weights (N, T) are of tokens, and cut with them.
        tokens_per_batch: int or None. In place of `batch_size`: a batch of a length L has as many
            rows as make so many tokens at most, padding included, but one at least; of an encoder
            and a decoder each side has so many.

    Attributes:
        num_steps: int. The batches of an epoch.

    Raises:
        ValueError: if the buckets are no positive integers, or the rows cannot be cut because a
            feature, or the model, counts from their start.

    Source: bucketing by length: Sutskever et al., arXiv:1409.3215, section 3.4; batches by tokens:
    Vaswani et al., arXiv:1706.03762, section 5.1, and tensor2tensor's `bucket_by_sequence_length`.
    """

    num_batches = None

    def __init__(
        self,
        arrays,
        batch_size,
        length_buckets=None,
        cut_left=True,
        labels_of_tokens=False,
        tokens_per_batch=None,
    ):
        super().__init__()
        self.labels_of_tokens = labels_of_tokens
        self.arrays = keras.tree.map_structure(unless_none(np.asarray), arrays)
        self.num_rows = len(keras.tree.flatten(self.arrays)[0])
        self.seed = np.random.randint(2**31)  # `keras.utils.set_random_seed` decides it
        self._epoch = (None, None)
        self._bucket_of_row, self._lengths = np.zeros(self.num_rows, int), [None]
        if length_buckets is not None:
            self._sort_rows(length_buckets, cut_left)
        self._sizes = [batch_size] * len(self._lengths)
        if tokens_per_batch is not None:
            x = self.arrays[0]
            rows = int(np.prod(x["token_ids"].shape[1:-1]))  # of an example: of choices there are C
            lengths = [rows * (length or whole_length(x)) for length in self._lengths]
            self._sizes = [max(1, tokens_per_batch // length) for length in lengths]
        self.num_steps = len(self._batches(np.random.default_rng(0)))

    def _sort_rows(self, length_buckets, cut_left):
        """Find the bucket of each row."""
        buckets = check_rectangular("`length_buckets`", length_buckets)
        if buckets.ndim != 1 or buckets.dtype.kind != "i" or not buckets.size or buckets.min() < 1:
            raise ValueError(
                "`length_buckets` must be a list of positive integers. "
                f"Received: length_buckets={length_buckets!r}."
            )
        x = self.arrays[0]
        real, self._at_left = row_lengths(x)
        if real is None:
            raise ValueError(
                "`length_buckets` cuts rows of tokens with a `padding_mask`, padded at one side, "
                "and no others. "
                f"Received: {sorted(x) if isinstance(x, dict) else type(x).__name__}."
            )
        if self._at_left and not cut_left:
            raise ValueError(
                "`length_buckets` would cut padding at the left, and so move the positions of the "
                "tokens, which this model counts from the start of a row. Pad at the right, as "
                "its own tokenizer does, or leave out `length_buckets`."
            )
        self._whole = whole_length(x)
        enough = [int(bucket) for bucket in np.unique(buckets) if bucket < self._whole]
        enough = [*enough, self._whole]
        self._lengths = enough[: np.searchsorted(enough, real.max()) + 1]
        self._bucket_of_row = np.searchsorted(self._lengths, real)

    def __getitem__(self, index):
        epoch, step = divmod(index, self.num_steps)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._batches(np.random.default_rng((self.seed, epoch))))
        rows, length = self._epoch[1][step]
        batch = keras.tree.map_structure(unless_none(lambda array: array[rows]), self.arrays)
        if length is not None:
            batch = cut_batch(batch, length, self._whole, self._at_left, self.labels_of_tokens)
        return keras.utils.pack_x_y_sample_weight(*batch)

    def _batches(self, random):
        """The rows and the length of each batch of an epoch."""
        order = random.permutation(self.num_rows)
        batches, rest = [], order[:0]
        for bucket, (length, size) in enumerate(zip(self._lengths, self._sizes)):
            rows = np.concatenate([rest, order[self._bucket_of_row[order] == bucket]])
            full = len(rows) // size * size
            batches += [(part, length) for part in rows[:full].reshape(-1, size)]
            rest = rows[full:]
        if len(self._lengths) > 1:
            batches = [batches[place] for place in random.permutation(len(batches))]
        batches += [(rest, self._lengths[-1])] * (len(rest) > 0)
        # Keras looks at the first two batches: an axis in which they agree is fixed on TensorFlow.
        # The shortest and any other, or the longest, differ on both sides of pairs if any two do.
        lengths = [length or 0 for _, length in batches]
        least, most = min(lengths), max(lengths)
        other = lengths.index(most if lengths[0] == least else least) if least < most else 1
        batches[1:2], batches[other : other + 1] = batches[other : other + 1], batches[1:2]
        return batches


def choose_lengths(lengths, steps, cost):
    """Lengths for the batches of `ShuffledBatches` that save more than their programs cost.

    Multiples of 8, of which each in turn is taken that saves most, as long as that is more than
    one program costs. Where programs cost nothing, all lengths that rows have.

    Args:
        lengths: int array (N,). How long the rows are without padding.
        steps: int. In how many batches they are read, in all epochs.
        cost: float. The batches of the longest rows that could be read while a program is made;
            0: one program reads all lengths.

    Returns:
        list of ints, at most 8 if a program costs anything; the last one is enough for all rows.
    """
    if not cost:
        return [int(length) for length in np.unique(lengths)]
    candidates = np.arange(8, lengths.max() + 8, 8)
    counts = np.bincount((lengths - 1) // 8, minlength=len(candidates))  # rows by candidate
    chosen = [len(candidates) - 1]

    def tokens(chosen):
        """How many tokens all rows have, each as long as the least length that it fits into."""
        ends = np.array(sorted(chosen))
        return (counts * candidates[ends[np.searchsorted(ends, np.arange(len(counts)))]]).sum()

    worth = cost / steps * counts.sum() * candidates[-1]
    while len(chosen) < MOST_LENGTHS:
        rest = [place for place in range(len(candidates)) if place not in chosen]
        best = min(rest, key=lambda place: tokens([*chosen, place]), default=None)
        if best is None or tokens(chosen) - tokens([*chosen, best]) <= worth:
            break
        chosen.append(best)
    return [int(candidates[place]) for place in sorted(chosen)]
