"""What a task is given to train on, made ready and checked before Keras sees it."""

import functools
import types
from collections.abc import Set

import grain
import keras
import numpy as np

from keras_plm.checks import check_integer, check_number, check_rectangular
from keras_plm.tasks.feeding.ready_datasets import (
    ReadyPyDataset,
    has_strings,
    is_tf_dataset,
    of_one_type,
    python_batch,
    ready_tf_dataset,
)
from keras_plm.tokenizers.text_columns import column_items, is_column

_GRAIN = (grain.MapDataset, grain.IterDataset)


def prepare(task, x, y=None, sample_weight=None, labelled=True):
    """Tokenise and check the data of `fit`, `evaluate` or `predict`.

    Lists, arrays and every batch of a generator, of a `PyDataset` and of a `tf.data.Dataset` of
    strings are tokenised and checked. Of a Grain dataset the first batch is checked; its strings
    stay for `Task.preprocess_samples`.

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
    preprocessor = getattr(task, "preprocessor", None)
    if getattr(preprocessor, "has_warned", None):  # of other data
        preprocessor.has_warned = False
    if isinstance(x, types.GeneratorType):
        return _checked_batches(task, x, labelled), y, sample_weight
    if isinstance(x, keras.utils.PyDataset):
        batches = ReadyPyDataset(x, _maker(task, labelled))
        if x.num_batches == 0:
            raise ValueError("There is no data. Received: a `PyDataset` without any batch.")
        batches[0]  # checked before anything changes
        return batches, y, sample_weight
    if is_tf_dataset(x) and has_strings(x):
        return ready_tf_dataset(x, _maker(task, labelled)), y, sample_weight
    given = isinstance(x, (dict, list, tuple, str, bytes, Set, type)) or not hasattr(x, "__iter__")
    if given or hasattr(x, "shape") or is_column(x):
        batch = task.preprocess_samples(_features(x), y, sample_weight)
        x, *labels = keras.utils.unpack_x_y_sample_weight(batch)
        x = np.asarray(x) if isinstance(x, (list, tuple)) else x
        y, sample_weight = map(_as_array, labels)
        batch = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        check(task, batch, labelled)
        return x, y, sample_weight
    check(task, ready(task, _first(iter(x))), labelled)
    return x.map(task.preprocess_samples) if is_tf_dataset(x) else x, y, sample_weight


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
        if not 1 <= len(data) <= 3:
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight), or a dataset. "
                f"Received: {type(data).__name__} of {len(data)} items."
            )
        parts = keras.utils.unpack_x_y_sample_weight(tuple(data))
        return keras.utils.pack_x_y_sample_weight(*prepare(task, *parts))
    data = prepare(task, data)[0]
    if mapped and isinstance(data, types.GeneratorType):
        raise ValueError(
            "Beside a Grain dataset, validation data must be arrays or a dataset, which can be "
            f"read anew in every epoch. Received: {type(data).__name__}."
        )
    if mapped and isinstance(data, ReadyPyDataset):
        return grain.MapDataset.source(data)
    if not mapped and isinstance(data, _GRAIN) and is_text(_first(iter(data))):
        return data.map(lambda batch: ready(task, batch))
    return data


def warning_once(method):
    """Let a method of a task that reads data be warned once of all their batches.

    Args:
        method: `fit`, `evaluate` or `predict`.

    Returns:
        The method; inside another one, and without a preprocessor, it does what it did.
    """

    @functools.wraps(method)
    def warned_once(task, *args, **kwargs):
        preprocessor = task.preprocessor
        if getattr(preprocessor, "has_warned", True) is not None:
            return method(task, *args, **kwargs)
        preprocessor.has_warned = False
        try:
            return method(task, *args, **kwargs)
        finally:
            preprocessor.has_warned = None

    return warned_once


def check_numbers(**arguments):
    """Refuse numbers of rows and batches that Keras would take for others, or for no end.

    Args:
        arguments: those of `fit`, `evaluate` or `predict` by name; others are not looked at.

    Raises:
        ValueError: naming the argument, what it must be, and what it is.
    """
    for name in ("batch_size", "validation_batch_size", "tokens_per_batch"):
        check_integer(name, arguments.get(name), 1, none=True)
    for name in ("epochs", "initial_epoch"):
        check_integer(name, arguments.get(name, 1), 0)
    share = arguments.get("validation_split")
    check_number("validation_split", 0 if share is None else share, 0, 1)
    for name in ("steps_per_epoch", "validation_steps", "steps"):
        steps = arguments.get(name)
        if isinstance(steps, float) and steps.is_integer():  # which Keras counts to
            steps = int(steps)
        check_integer(name, steps, 1, none=True)


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

    def put_back(first, rest):
        yield first
        yield from rest

    rest = map(_maker(task, labelled), batches)
    return put_back(_first(rest), rest)


def _maker(task, labelled):
    """The function that makes any batch ready, checks it, and gives arrays as Keras reads them."""

    def make_ready(batch):
        batch = task.preprocess_samples(*python_batch(batch))
        x, *labels = keras.utils.unpack_x_y_sample_weight(batch)
        x = {name: _as_array(value) for name, value in x.items()}
        y, sample_weight = (
            keras.tree.map_structure(unless_none(_as_array), part)
            if isinstance(part, dict)
            else _as_array(part)
            for part in labels
        )
        check(task, keras.utils.pack_x_y_sample_weight(x, y, sample_weight), labelled)
        kinds = list(getattr(task, "_label_kinds", {}).values())
        y = keras.tree.map_structure(unless_none(lambda one: of_one_type(one, kinds)), y)
        sample_weight = keras.tree.map_structure(unless_none(of_one_type), sample_weight)
        parts = (x, y, sample_weight)
        return parts[: 3 if sample_weight is not None else 1 if y is None else 2]

    return make_ready


def _first(batches):
    """The first batch."""
    for batch in batches:
        return batch
    raise ValueError("There is no data. Received: a dataset or generator without any batch.")


def _features(x):
    """Features with arrays in the place of lists that are rectangular; all else as it is."""
    if not isinstance(x, dict):
        return x
    lists = {name: value for name, value in x.items() if isinstance(value, (list, tuple))}
    return {**x, **{name: np.asarray(v) for name, v in lists.items() if _is_rectangular(v)}}


def _is_rectangular(value):
    """Whether lists have one length."""
    try:
        return np.ndim(value) > 0
    except ValueError:
        return False


def _as_array(value):
    """Labels or weights as an array, whatever column they are; features and None as they are."""
    if isinstance(value, (list, tuple)):
        return check_rectangular("Labels and weights", value)
    if value is None or isinstance(value, dict) or hasattr(value, "shape"):
        return value
    return np.asarray(column_items(value, "Labels and weights", "numbers"))
