"""Batches of rows of similar length, without the padding that all of their rows have."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_plm import features as contract
from keras_plm.checks import check_integer
from keras_plm.generation.compiled_programs import rows_of_program
from keras_plm.tasks.feeding.prepared_data import unless_none
from keras_plm.tasks.feeding.row_lengths import row_lengths, whole_length

OF_CHARACTERS = {name for name, one in contract.FEATURES.items() if one.shape == "BTW"}
SHORTEST = 16  # a program for shorter rows would hardly be faster


@dataclass(frozen=True)
class Shapes:
    """Which shapes batches of predictions may have.

    Where XLA compiles a program for every shape, they are few: lengths of 16, 32, 48, 64, 96, 128,
    192 and so on, and 1, 2, 4, ... rows. Where one program takes all shapes, rows are as long as
    the longest of their batch. Where shapes are fixed, all are those of the preprocessor.

    Args:
        batch_size: int. The most rows of a batch, B.
        few: bool. Whether XLA compiles a program for every shape.
        fixed: bool. Whether there is but one shape.

    Raises:
        ValueError: if `batch_size` is no integer of at least 1.
    """

    batch_size: int
    few: bool = True
    fixed: bool = False

    def __post_init__(self):
        check_integer("batch_size", self.batch_size, 1)

    def length(self, longest, whole):
        """How long the rows of a batch are.

        Args:
            longest: int. The longest of them without padding.
            whole: int. What no row is longer than.

        Returns:
            int.
        """
        if self.fixed:
            return whole
        return min(round_up(longest) if self.few else longest, whole)

    def rows(self, count):
        """How many rows a batch has.

        Args:
            count: int. Those that are asked for.

        Returns:
            int of at least `count`.
        """
        if self.fixed:
            return self.batch_size
        return rows_of_program(count, self.batch_size) if self.few else count


def round_up(length):
    """The least of the lengths 16, 32, 48, 64, 96, 128, 192, ... that is long enough.

    Args:
        length: int.

    Returns:
        int: a power of 2, or one and a half times one.
    """
    power = max(SHORTEST, 1 << (length - 1).bit_length())
    return power * 3 // 4 if length <= power * 3 // 4 and power > 2 * SHORTEST else power


def plan(lengths, number, whole, shapes):
    """Put rows into batches, the longest ones first.

    Args:
        lengths: int array (N,), or None: rows stay whole and in their order.
        number: int. How many rows, N.
        whole: int. How long they are with padding, T.
        shapes: `Shapes`.

    Returns:
        list of pairs: the numbers of the rows of a batch, and their length.
    """
    if lengths is None or shapes.fixed:
        lengths = np.full(number, whole)
    order = np.argsort(-lengths, kind="stable")
    starts = range(0, number, shapes.batch_size)
    batches = [order[start : start + shapes.batch_size] for start in starts]
    return [(rows, shapes.length(int(lengths[rows[0]]), whole)) for rows in batches]


def cut(arrays, length, whole, at_left):
    """Leave out columns of padding.

    Args:
        arrays: nest of arrays (..., T), or None; those of characters, by their names in a dict,
            are (..., T, W).
        length: int. How many columns stay.
        whole: int. T.
        at_left: bool. Whether those at the start are left out.

    Returns:
        The nest, with arrays (..., length).
    """
    if length == whole:
        return arrays
    columns = _columns(length, whole, at_left)

    def one(path, array):
        of_characters = path and path[-1] in OF_CHARACTERS
        return array[..., columns, :] if of_characters else array[..., columns]

    paths = keras.tree.flatten_with_path(arrays)
    kept = [None if array is None else one(path, array) for path, array in paths]
    return keras.tree.pack_sequence_as(arrays, kept)


def _columns(length, whole, at_left):
    """The columns of whole rows that are left when padding is cut."""
    return slice(whole - length, None) if at_left else slice(length)


def longest_first(rows):
    """The numbers of rows in the order of their lengths.

    Args:
        rows: list of N rows, whose token ids are first in each.

    Returns:
        list of N ints.
    """
    return sorted(range(len(rows)), key=lambda number: -len(rows[number][0]))


class SortedBatches(keras.utils.PyDataset):
    """Batches to evaluate on, of rows of similar length; every row once.

    Args:
        arrays: tuple (x, y, sample_weight) of arrays, dicts of arrays, or None.
        shapes: `Shapes`. The last batch may have fewer rows whatever it says.
        cut_left: bool. As for `row_lengths`.
        labels_of_tokens: bool. Whether labels and weights (N, T) belong to the tokens.
    """

    def __init__(self, arrays, shapes, cut_left=True, labels_of_tokens=False):
        super().__init__()
        self.arrays = keras.tree.map_structure(unless_none(np.asarray), arrays)
        number, self.whole = len(self.arrays[0]["token_ids"]), whole_length(self.arrays[0])
        self.labels_of_tokens = labels_of_tokens
        lengths, self.at_left = row_lengths(self.arrays[0], cut_left)
        batches = plan(lengths, number, self.whole, shapes)
        # Keras looks at the first two batches: an axis in which they agree is fixed on TensorFlow.
        self.batches = [*batches[:1], *batches[:0:-1]]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        rows, length = self.batches[index]
        batch = keras.tree.map_structure(unless_none(lambda array: array[rows]), self.arrays)
        batch = cut_batch(batch, length, self.whole, self.at_left, self.labels_of_tokens)
        return keras.utils.pack_x_y_sample_weight(*batch)


def cut_batch(batch, length, whole, at_left, labels_of_tokens):
    """Leave out columns of padding of a batch.

    Args:
        batch: tuple (x, y, sample_weight).
        length, whole, at_left: as for `cut`.
        labels_of_tokens: bool. Whether labels and weights (N, T, ...) belong to the tokens; those
            of a decoder do.

    Returns:
        The same of fewer columns.
    """
    x, *labels = batch
    own = x["token_ids"].shape[-1:]  # those of a decoder may be less than `whole`
    asked = "source_padding_mask" in x and "target_positions" in x
    x = cut(x, length, whole, at_left)
    if not labels_of_tokens and not asked:
        return (x, *labels)
    columns = _columns(length, whole, at_left)
    of_tokens = unless_none(lambda a: a[:, columns] if a.shape[1:2] == own else a)
    return (x, *(keras.tree.map_structure(of_tokens, one) for one in labels))


def predict(model, x, shapes, cut_left=True, callbacks=None, verbose=0):
    """Predict for rows in batches of similar length.

    Args:
        model: compiled Keras model.
        x: dict of arrays, the features of N examples.
        shapes: `Shapes`.
        cut_left: bool. As for `row_lengths`.
        callbacks: as for `keras.Model.predict`.
        verbose: as for `keras.Model.predict`.

    Yields:
        Tuples: the numbers (n,) of the rows of a batch, the model's outputs (n, ...), and the
        columns (a slice) of whole rows that it was given.
    """
    x = {name: np.asarray(value) for name, value in x.items()}
    number, whole = len(x["token_ids"]), whole_length(x)
    of_tokens = "target_positions" not in x  # what is predicted of these stays whole
    lengths, at_left = row_lengths(x, cut_left) if of_tokens else (None, False)
    batches = plan(lengths, number, whole, shapes)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=len(batches),
            model=model,
        )
    if not shapes.few:
        take_all_shapes(model, x)
    callbacks.on_predict_begin()
    for step, (rows, length) in enumerate(batches):
        callbacks.on_predict_batch_begin(step)
        filled = np.resize(rows, shapes.rows(len(rows)))
        own = cut({name: value[filled] for name, value in x.items()}, length, whole, at_left)
        outputs = keras.Model.predict_on_batch(model, own)
        outputs = keras.tree.map_structure(lambda one: np.asarray(one)[: len(rows)], outputs)
        callbacks.on_predict_batch_end(step, {"outputs": outputs})
        yield rows, outputs, _columns(length, whole, at_left)
    callbacks.on_predict_end()


def take_all_shapes(model, x):
    """Let TensorFlow trace one program for rows of any number and length, before it sees some.

    Args:
        model: compiled Keras model.
        x: dict of arrays, the features of a batch.
    """
    import tensorflow as tf

    model.make_predict_function()
    function = model.predict_function
    traces = hasattr(function, "get_concrete_function")  # not with `run_eagerly`
    if traces and getattr(function, "features_traced", None) != x.keys():
        specs = {name: tf.TensorSpec([None] * a.ndim, a.dtype) for name, a in x.items()}
        function.get_concrete_function([(specs,)])
        function.features_traced = x.keys()
