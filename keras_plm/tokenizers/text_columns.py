"""Lists and columns that users hand over: what has one dimension of texts, whoever made it."""

from collections.abc import Mapping, Set

import numpy as np


def column_items(values, what="`x`", of="texts"):
    """Return the items of a list or of a column, in their order.

    Taken is what has one dimension: lists, tuples and iterators, numpy arrays and tensors, a
    pandas Series, a column of Arrow, Polars or Hugging Face `datasets`, and a table with one
    column, which is that column.

    Args:
        values: the list or column.
        what: str. What it is, for the message.
        of: str. What it should hold, for the message.

    Returns:
        list.

    Raises:
        TypeError: if it is a single string, bytes, a dict, a set, a table with several columns,
            has another number of dimensions, or is no container.
    """
    received = f"Received: {type(values).__name__}"
    if isinstance(values, str):
        raise TypeError(f"{what} must be a list of {of}. Received one text: {values!r:.80}.")
    if isinstance(values, (bytes, bytearray, memoryview)):
        raise TypeError(f"{what} must be a list of {of}. Received bytes: {values!r:.80}.")
    if isinstance(values, Mapping):
        raise TypeError(
            f"{what} must be a list of {of}, not a dict, whose items would be its keys. Give one "
            f"of its values. {received} with the keys {list(values)[:10]}."
        )
    if isinstance(values, Set):
        raise TypeError(
            f"{what} must be a list of {of}. A set has no order that labels and results could "
            f"follow: use sorted(...). {received} of {len(values)} items."
        )
    names = column_names(values)
    if names is not None:
        if len(names) != 1:
            raise TypeError(
                f"{what} must be one column of {of}. Choose one, such as table[{names[0]!r}]. "
                f"{received} with the columns {names[:10]}."
                if names
                else f"{what} must be a column of {of}. {received} without columns."
            )
        values = values[names[0]]
    values = getattr(values, "numpy", lambda: values)()  # tensors of TensorFlow
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise TypeError(
            f"{what} must have one dimension, that of the {of}. {received} of shape {tuple(shape)}."
        )
    for to_list in ("to_pylist", "tolist", "to_list"):  # Arrow; numpy and pandas; Polars
        if hasattr(values, to_list):
            return list(getattr(values, to_list)())
    if hasattr(values, "__iter__") and not isinstance(values, type):
        return list(values)
    if hasattr(type(values), "__len__") and hasattr(type(values), "__getitem__"):
        return [values[number] for number in range(len(values))]
    raise TypeError(f"{what} must be a list of {of}. Received: {values!r:.80}.")


def text_list(texts, what="`x`", allow_empty=False):
    """Return the texts of a list or of a column as a list of strings.

    Args:
        texts: see `column_items`; of str or of UTF-8 bytes.
        what: str. What they are, for the message.
        allow_empty: bool. Whether a text may be empty, or nothing but whitespace.

    Returns:
        list of str.

    Raises:
        TypeError: if it is no list or column, or holds anything but strings.
        ValueError: if there are none, or bytes that are no UTF-8, or one is empty.
    """
    texts = column_items(texts, what)
    try:
        texts = [text.decode("utf-8") if isinstance(text, bytes) else text for text in texts]
    except UnicodeDecodeError as error:
        raise ValueError(f"Texts of bytes must be UTF-8. Received: {error}.") from error
    if not texts:
        raise ValueError(f"{what} holds no texts. Received: an empty list.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"Every text must be a string. Received: {text!r:.80}, in row {row}.")
    if not allow_empty:
        refuse_empty(texts, [text.strip() for text in texts], what)
    return texts


def refuse_empty(texts, contents, what):
    """Name the first text without any content, if there is one.

    Args:
        texts: list of str.
        contents: list of what is left of each, such as its ids.
        what: str. What the texts are, for the message.

    Raises:
        ValueError: if a content is empty.
    """
    row = next((row for row, content in enumerate(contents) if not len(content)), None)
    if row is not None:
        raise ValueError(
            f"{what} has an empty text in row {row}: there is nothing to read. Remove such rows. "
            f"Received: {texts[row]!r:.80}."
        )


def is_column(values):
    """Whether this is a column of a table, or a table, and no dataset of batches.

    Such as a column of Hugging Face `datasets`: it says its length, gives items by their number,
    and has neither shape nor batches.

    Args:
        values: any object.

    Returns:
        bool.
    """
    if column_names(values) is not None or hasattr(values, "to_pylist"):
        return True
    if not (hasattr(values, "__len__") and hasattr(values, "__getitem__")):
        return False
    try:
        first = values[0] if len(values) else None
    except (KeyError, IndexError, TypeError):
        return False
    return isinstance(first, (str, bytes, np.str_))


def column_names(values):
    """Return the names of a table's columns as a list; None: it is no table.

    Args:
        values: any object.
    """
    if not hasattr(values, "__getitem__"):
        return None
    for attribute in ("column_names", "columns"):  # Arrow and `datasets`; pandas and Polars
        names = getattr(values, attribute, None)
        if names is not None and not callable(names) and hasattr(names, "__iter__"):
            if isinstance(names, Mapping):  # a `DatasetDict` names the columns of each part
                continue
            return list(names)
    return None
