"""Batches of arrays in an order of their own in every epoch, of rows of similar length if asked."""

import keras
import numpy as np

from keras_plm import features as contract
from keras_plm.tasks.ready_data import unless_none


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
        cut_left: bool. Whether padding at the start of the rows may be cut: not for a model that
            counts positions from there.

    Attributes:
        num_steps: int. The batches of an epoch.

    Raises:
        ValueError: if the buckets are no positive integers, or the rows cannot be cut because a
            feature, or the model, counts from their start.

    Source: bucketing by length: Sutskever et al., arXiv:1409.3215, section 3.4.
    """

    num_batches = None

    def __init__(self, arrays, batch_size, length_buckets=None, cut_left=True):
        super().__init__()
        self.arrays = keras.tree.map_structure(unless_none(np.asarray), arrays)
        self.batch_size = batch_size
        self.num_rows = len(keras.tree.flatten(self.arrays)[0])
        self.num_steps = -(-self.num_rows // batch_size)
        self.seed = np.random.randint(2**31)  # `keras.utils.set_random_seed` decides it
        self._epoch = (None, None)
        self._bucket_of_row, self._lengths = np.zeros(self.num_rows, int), [None]
        if length_buckets is not None:
            self._sort_rows(length_buckets, cut_left)

    def _sort_rows(self, length_buckets, cut_left):
        """Find the bucket of each row."""
        buckets = np.asarray(length_buckets)
        if buckets.ndim != 1 or buckets.dtype.kind != "i" or not buckets.size or buckets.min() < 1:
            raise ValueError(
                "`length_buckets` must be a list of positive integers. "
                f"Received: length_buckets={length_buckets!r}."
            )
        x = self.arrays[0]
        can = {name for name, one in contract.FEATURES.items() if one.shape == "BT"}
        known = isinstance(x, dict) and "padding_mask" in x and not set(x) - can
        if not known or x["padding_mask"].ndim != 2:
            raise ValueError(
                "`length_buckets` cuts rows of tokens with a `padding_mask`, one for each example, "
                "and no others. "
                f"Received: {sorted(x) if isinstance(x, dict) else type(x).__name__}."
            )
        if not cut_left and not x["padding_mask"][:, 0].all():
            raise ValueError(
                "`length_buckets` would cut padding at the left, and so move the positions of the "
                "tokens, which this backbone counts from the start of a row. Pad at the right, as "
                "its own tokenizer does, or leave out `length_buckets`."
            )
        whole = x["padding_mask"].shape[1]
        self._lengths = [*(int(bucket) for bucket in np.unique(buckets) if bucket < whole), None]
        real = x["padding_mask"].sum(axis=1)  # (N,)
        self._bucket_of_row = np.searchsorted(self._lengths[:-1], real)

    def __getitem__(self, index):
        epoch, step = divmod(index, self.num_steps)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._batches(np.random.default_rng((self.seed, epoch))))
        rows, length = self._epoch[1][step]
        batch = keras.tree.map_structure(unless_none(lambda array: array[rows]), self.arrays)
        return keras.utils.pack_x_y_sample_weight(*_cut(batch, length))

    def _batches(self, random):
        """The rows and the length of each batch of an epoch."""
        order = random.permutation(self.num_rows)
        batches, rest = [], order[:0]
        for bucket, length in enumerate(self._lengths):
            rows = np.concatenate([rest, order[self._bucket_of_row[order] == bucket]])
            full = len(rows) // self.batch_size * self.batch_size
            batches += [(part, length) for part in rows[:full].reshape(-1, self.batch_size)]
            rest = rows[full:]
        if len(self._lengths) > 1:
            batches = [batches[place] for place in random.permutation(len(batches))]
        batches += [(rest, None)] * (len(rest) > 0)
        # Keras looks at the first two batches: an axis in which they agree is fixed on TensorFlow.
        other = next((n for n, (_, length) in enumerate(batches) if length != batches[0][1]), 1)
        batches[1:2], batches[other : other + 1] = batches[other : other + 1], batches[1:2]
        return batches


def _cut(batch, length):
    """Leave out columns that are padding in all rows, at the end or else at the start."""
    if length is None:
        return batch
    whole = batch[0]["padding_mask"].shape[1]
    used = np.flatnonzero(batch[0]["padding_mask"].any(axis=0))
    if not len(used) or used[-1] < length:
        columns = slice(length)
    elif used[0] >= whole - length:
        columns = slice(whole - length, whole)
    else:
        return batch  # padded on both sides

    def cut(array):
        return array[:, columns] if array.ndim == 2 and array.shape[1] == whole else array

    return keras.tree.map_structure(unless_none(cut), batch)
