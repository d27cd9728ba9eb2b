"""Classes by their names: labels that are names become numbers."""

import numpy as np

from keras_plm.tokenizers.text_columns import column_items, is_column


def check_class_names(class_names, num_classes):
    """Refuse names of classes that are not one for each.

    Args:
        class_names: list of str, or None: the classes have no names.
        num_classes: int. How many classes there are.

    Returns:
        list of str, or None.

    Raises:
        ValueError: naming what is wrong.
    """
    if class_names is None:
        return None
    several = hasattr(class_names, "__iter__") and not isinstance(class_names, (str, type))
    names = list(class_names) if several else [class_names]
    text = all(isinstance(name, str) for name in names)
    if not text or not len(set(names)) == len(names) == num_classes:
        raise ValueError(
            f"`class_names` must be {num_classes} different strings, as `num_classes` says. "
            f"Received: {class_names!r:.200}."
        )
    return names


def class_ids_of_names(y, class_names):
    """Turn labels that are names of classes into their numbers.

    Args:
        y: list, array or column of labels; numbers, and what is none of these, stay what they are.
        class_names: list of str.

    Returns:
        int array, or `y`.

    Raises:
        ValueError: if a name is unknown.
    """
    items = _label_items(y)
    if items is None or not any(isinstance(one, str) for one in items):
        return y
    return np.array(_known_ids(items, class_names))


def multi_hot(y, class_names):
    """Turn labels of several classes into rows of numbers, one for each class.

    Args:
        y: list, array or column of N lists of names, where there are `class_names`; or numbers
            (N, C). Anything else stays what it is.
        class_names: list of C str, or None.

    Returns:
        float32 array of shape (N, C), or `y`.

    Raises:
        ValueError: if a name is unknown.
    """
    if len(getattr(y, "shape", ())) == 2 and hasattr(y, "to_numpy"):  # a table
        y = y.to_numpy()
    items = _label_items(y)
    several = (list, tuple, set, frozenset, np.ndarray)
    if class_names is not None and items is not None:
        named = all(
            isinstance(own, several) and all(isinstance(one, str) for one in own) for own in items
        )
        if named:
            rows = np.zeros((len(items), len(class_names)), "float32")
            for number, own in enumerate(items):
                rows[number, _known_ids(own, class_names, number)] = 1.0
            return rows
    if not isinstance(y, (list, tuple, np.ndarray)):
        return y
    try:
        array = np.asarray(y)
    except ValueError:  # rows of several lengths
        return np.array([None] * len(y))
    return array.astype("float32") if array.dtype.kind in "biuf" else array  # one graph for all


def _label_items(y):
    """The items of a list, an array or a column of labels; None if it is something else."""
    listed = isinstance(y, (list, tuple)) or isinstance(y, np.ndarray) and y.ndim == 1
    tensor = type(y).__module__.startswith("tensorflow.")  # which autograph could not ask more of
    listed = listed or hasattr(y, "to_list") or not tensor and is_column(y)
    return column_items(y, "`y`", "labels") if listed else None


def _known_ids(labels, class_names, row=None):
    """The numbers of the classes of these names; what is no name stays what it is."""
    numbers_of = {name: number for number, name in enumerate(class_names)}
    for place, name in enumerate(labels):
        if isinstance(name, str) and name not in numbers_of:
            raise ValueError(
                f"Labels must be among {list(numbers_of)}. Received: {name!r:.80} in text "
                f"{place if row is None else row}."
            )
    return [numbers_of.get(name, name) if isinstance(name, str) else name for name in labels]
