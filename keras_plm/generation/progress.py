"""Keras's progress bar for what is no `predict` of Keras: a bar of texts."""

import keras

from keras_plm.checks import check_choice

VERBOSE = ("auto", 0, 1, 2)


def with_progress(items, number, verbose="auto", count=lambda item: 1):
    """Yield items, and show in Keras's bar how many texts of all are done.

    Args:
        items: iterable, such as of batches.
        number: int. How many texts there are in all.
        verbose: 0: no bar. 1: a bar. 2: one line at the end. "auto": 1, but 0 where all texts are
            done at once.
        count: function from an item to the number of texts that it is.

    Raises:
        ValueError: if `verbose` is none of these.
    """
    check_choice("verbose", verbose, VERBOSE)
    bar = keras.utils.Progbar(number, verbose=1 if verbose == "auto" else verbose, unit_name="text")
    for item in items:
        yield item
        if verbose != "auto" or count(item) < number:
            bar.add(count(item))
