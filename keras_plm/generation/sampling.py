"""What every generation shares: which sampler, how likely tokens are, and when a row ends."""

import keras_hub
import numpy as np
from keras import ops

from keras_plm.checks import did_you_mean

NO_TEXT = -1e8  # a beam with a score below it holds no text
ROWS_OF_LOGITS = 128  # how many rows of logits of a text are held at once


def find_sampler(sampler):
    """A sampler by name.

    Args:
        sampler: str: "greedy", "random", "top_k", "top_p" or "beam", or a
            `keras_hub.samplers.Sampler`, such as `keras_plm.tasks.BeamSearch`.

    Raises:
        ValueError: if there is no such sampler, or it needs more than logits.
    """
    names = ("beam", "greedy", "random", "top_k", "top_p")
    found = sampler
    if isinstance(sampler, str) and sampler in names:
        found = keras_hub.samplers.get(sampler)
    too_much = (keras_hub.samplers.ContrastiveSampler, keras_hub.samplers.SpeculativeSampler)
    if not isinstance(found, keras_hub.samplers.Sampler) or isinstance(found, too_much):
        raise ValueError(
            f"`sampler` must be one of {names} or a `keras_hub.samplers.Sampler` that works on "
            f"logits alone. Received: {sampler!r:.200}.{did_you_mean(sampler, names)}"
        )
    return found


def log_likelihood(logits, ids):
    """The log-likelihood of tokens.

    Args:
        logits: float tensor of shape (..., V).
        ids: int tensor of shape (...); those below 0 count as 0.

    Returns:
        Float tensor of shape (...), in nats.
    """
    ids = ops.maximum(ids, 0)[..., None]
    chosen = ops.take_along_axis(logits, ids, axis=-1)[..., 0]
    return chosen - ops.logsumexp(logits, axis=-1)


def log_likelihood_of_rows(head, rows, ids):
    """The log-likelihood of the tokens that rows predict, with few logits at once.

    Args:
        head: `Head` whose `logits` are (B, n, V) of rows (B, n, D).
        rows: float tensor of shape (B, P, D); P is known.
        ids: int tensor of shape (B, P).

    Returns:
        Float tensor of shape (B, P), in nats.
    """
    scores = []
    for first in range(0, rows.shape[1], ROWS_OF_LOGITS):
        some = slice(first, first + ROWS_OF_LOGITS)
        scores.append(log_likelihood(head.logits(rows[:, some]), ids[:, some]))
    return ops.concatenate(scores, axis=1)


def texts_written(result):
    """What a sampler returned, row by row.

    Args:
        result: int array (B, T), or a pair of arrays (B, W, T) and scores (B, W).

    Returns:
        list of B int arrays of shape (T,), or of B lists of these, without beams that hold none.
    """
    if not isinstance(result, (tuple, list)):
        return list(result)
    return [
        [text for text, score in zip(texts, scores) if score > NO_TEXT]
        for texts, scores in zip(*result)
    ]


def single_results(results, written):
    """Lists of one result each as that result, where a sampler returns but one.

    Args:
        results: list of lists, one per row.
        written: list, from `texts_written`: what the results belong to.

    Returns:
        list of results, or of lists of results.
    """
    return [own if isinstance(one, list) else own[0] for own, one in zip(results, written)]


def beams(filling):
    """The fillings of a row, one or the best few, as a list.

    Args:
        filling: int array of shape (n,), or of all beams (W, n).

    Returns:
        list of int arrays of shape (n,).
    """
    return list(np.atleast_2d(filling))


def until_stop(ids, stop_ids):
    """The ids before the first that stops, or that was not reached any more.

    Args:
        ids: iterable of int; those not reached are below 0.
        stop_ids: iterable of int.

    Returns:
        list of int.
    """
    ids = [int(index) for index in ids]
    ends = [place for place, index in enumerate(ids) if index in stop_ids or index < 0]
    return ids[: ends[0]] if ends else ids


def with_end(ids, stop_ids):
    """What was written, the token that stopped it included.

    Args:
        ids, stop_ids: as for `until_stop`.

    Returns:
        list of int.
    """
    written = until_stop(ids, stop_ids)
    end = [int(index) for index in ids[len(written) : len(written) + 1] if index >= 0]
    return written + end
