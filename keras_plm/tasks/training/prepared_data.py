"""What a task is given to train on, made ready and checked before Keras sees it."""

import types
from collections.abc import Set

import keras
import numpy as np

from keras_plm.tokenizers.text_columns import column_items, is_column


def prepare(task, x, y=None, sample_weight=None, labelled=True):
    """Tokenise and check the data of `fit`, `evaluate` or `predict`.

    Lists, arrays and every batch of a generator are tokenised and checked. Of a dataset the
    first batch is checked; its strings stay for `Task.preprocess_samples`.

    Args:
        task: `Task`.
        x: list of str, a pair of such lists, a dict of features, a dataset, or a generator.
        y: labels of lists and features.
        sample_weight: weights of lists and features.
        labelled: bool. Whether there must be labels; `predict` needs none.

    Returns:
        Tuple (x, y, sample_weight).

    Raises:
        TypeError: if there is anything but strings where texts are expected.
        ValueError: if the data are not what the task takes, or there are none.
    """
    if isinstance(x, types.GeneratorType):
        return _checked_batches(task, x, labelled), y, sample_weight
    given = isinstance(x, (dict, list, tuple, str, bytes, Set)) or not hasattr(x, "__iter__")
    if given or hasattr(x, "shape") or is_column(x):
        batch = task.preprocess_samples(x, y, sample_weight)
        x, *labels = keras.utils.unpack_x_y_sample_weight(batch)
        x = np.asarray(x) if isinstance(x, (list, tuple)) else x
        y, sample_weight = map(_as_array, labels)
        batch = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        check(task, batch, labelled)
        return x, y, sample_weight
    first = _first(iter(x))
    if type(x).__module__.startswith("tensorflow") and is_text(first):
        raise ValueError(
            "The tokenizer runs in Python, which a `tf.data` pipeline of strings cannot call. "
            f"Give lists of strings, or a Grain dataset of them. Received: {type(x).__name__}."
        )
    check(task, ready(task, first), labelled)
    return x, y, sample_weight


def prepare_validation(task, data, mapped):
    """Tokenise and check the validation data of `fit`.

    Args:
        task: `Task`.
        data: dataset, or tuple (x, y) or (x, y, sample_weight), or None.
        mapped: bool. Whether the loop that will run maps `preprocess_samples` over datasets.

    Returns:
        `data`, ready.

    Raises:
        TypeError, ValueError: as `prepare`.
    """
    if data is None:
        return None
    if isinstance(data, (tuple, list)):
        parts = keras.utils.unpack_x_y_sample_weight(tuple(data))
        return keras.utils.pack_x_y_sample_weight(*prepare(task, *parts))
    data = prepare(task, data)[0]
    if not mapped and not isinstance(data, types.GeneratorType) and is_text(_first(iter(data))):
        return data.map(lambda batch: ready(task, batch))
    return data


def ready(task, batch):
    """A batch of a dataset with its strings turned into features.

    Args:
        task: `Task`.
        batch: tuple (x, y, sample_weight), the last ones may be missing, or x.
    """
    return task.preprocess_samples(*keras.utils.unpack_x_y_sample_weight(batch))


def check(task, batch, labelled=True):
    """Refuse a ready batch that the task cannot take.

    Args:
        task: `Task`.
        batch: as for `ready`.
        labelled: bool. Whether there must be labels.

    Raises:
        ValueError: naming what is wrong.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    task.check_x(x)
    if labelled and y is None:
        raise ValueError("Training and evaluation need labels. Received: y=None.")
    task.check_y(x, y, sample_weight)


def is_text(batch):
    """Whether a batch of a dataset holds strings, where features would be a dict.

    Args:
        batch: as for `ready`.
    """
    return not isinstance(keras.utils.unpack_x_y_sample_weight(batch)[0], dict)


def split(x, y, sample_weight, share):
    """Take the last rows away as validation data, as Keras does.

    Args:
        x: dict of features.
        y: labels, or None.
        sample_weight: weights, or None.
        share: float. Which share of the rows is taken away.

    Returns:
        Two tuples (x, y, sample_weight): the rest, and the validation data.

    Raises:
        ValueError: if `x` is a dataset, or nothing would be left.
    """
    count = len(x["token_ids"]) if isinstance(x, dict) else 0
    number = int(count * (1.0 - share))
    if not 0 < number < count:
        raise ValueError(
            "`validation_split` needs lists or arrays, and leaves rows on both sides. "
            f"Received: validation_split={share}, {type(x).__name__} of {count} rows."
        )
    arrays = (x, y, sample_weight)
    return tuple(
        keras.tree.map_structure(unless_none(lambda array: np.asarray(array)[rows]), arrays)
        for rows in (slice(number), slice(number, None))
    )


def unless_none(function):
    """The same function, but None stays None, as labels and weights that are not there.

    Args:
        function: function of one value.
    """
    return lambda value: None if value is None else function(value)


def _checked_batches(task, batches, labelled):
    """The batches of a generator, each made ready and checked; the first one at once."""

    def checked():
        for batch in batches:
            batch = ready(task, batch)
            check(task, batch, labelled)
            yield batch

    def put_back(first, rest):
        yield first
        yield from rest

    rest = checked()
    return put_back(_first(rest), rest)


def _first(batches):
    """The first batch."""
    for batch in batches:
        return batch
    raise ValueError("There is no data. Received: a dataset or generator without any batch.")


def _as_array(value):
    """Labels or weights as an array, whatever column they are; features and None as they are."""
    if isinstance(value, (list, tuple)):
        return np.asarray(value)
    if value is None or isinstance(value, dict) or hasattr(value, "shape"):
        return value
    return np.asarray(column_items(value, "Labels and weights", "numbers"))
