"""Which positions are hidden: XLNet's n-gram sampling, for all rows of a batch at once."""

import numpy as np

SPAN_UNITS = ("piece", "word")


def sample_spans(word_starts, goal, uniform, max_ngram=5, alpha=6, beta=1, span_unit="piece"):
    """Selects exactly `goal` positions in each row, most of them as short spans.

    A row is walked from left to right. Each step draws a length n of 1 to `max_ngram` with
    probability proportional to 1/n (never more than is left to select), sets aside
    `n * alpha // beta` positions of context, puts a uniform share of them before the span, moves
    on to the next start of a word and selects from there; the rest of the context follows. A
    span that would reach the last position is dropped and ends the walk. What is then missing is
    filled by single unselected positions, drawn uniformly.

    `span_unit="piece"` selects n pieces, as the released code does. `span_unit="word"` selects n
    words, each with all its pieces; a span of words that would pass `goal` is shortened to the
    words that fit, and if not even the first word fits the walk ends.

    Args:
        word_starts: (B, T) bool, True where a word starts.
        goal: how many positions to select per row, 0 to T.
        uniform: (B, 2 * goal + T) float in [0, 1): all random numbers of the rows.
        max_ngram: longest span, in units.
        alpha: with `beta`: one in `alpha / beta` positions of a span's neighbourhood is selected.
        beta: see `alpha`.
        span_unit: "piece" or "word".

    Returns:
        (B, T) bool, True at the selected positions.

    Raises:
        ValueError: `goal` is larger than T or `uniform` has another shape.

    Source: XLNet (Yang et al. 2019, arXiv:1906.08237), section 3.1 "Span-based prediction", and
    `_sample_mask` of the released code, whose rule this follows.
    """
    num_rows, length = word_starts.shape
    if not 0 <= goal <= length:
        raise ValueError(f"goal must lie in 0 to {length}, the row length. Received: goal={goal}")
    if uniform.shape != (num_rows, 2 * goal + length):
        raise ValueError(
            f"uniform must have the shape (B, 2 * goal + T) = {(num_rows, 2 * goal + length)}. "
            f"Received: uniform.shape={uniform.shape}"
        )
    probabilities = 1.0 / np.arange(1, max_ngram + 1)
    limits = np.cumsum(probabilities / probabilities.sum())[:-1]
    lengths = np.searchsorted(limits, uniform[:, :goal].T, side="right") + 1  # (goal, B)
    shares = np.ascontiguousarray(uniform[:, goal : 2 * goal].T)  # (goal, B)
    span_end = _SPAN_ENDS[span_unit](word_starts, max_ngram)

    width = length + 1  # column T: "past the end"
    next_start = _next_start(word_starts).ravel()  # (B * (T + 1),)
    row = np.arange(num_rows) * width
    edges = np.zeros(num_rows * width, "int8")  # + 1 where a span begins, - 1 where it has ended
    position = np.zeros(num_rows, "int64")
    missing = np.full(num_rows, goal)
    for units, share in zip(lengths, shares):
        units = np.minimum(units, missing)
        context = units * alpha // beta
        left = (share * context).astype("int64")
        begin = next_start[row + np.minimum(position + left, length)]
        end = span_end(row, begin, units, missing)
        keep = (end < length) & (end > begin)  # a row that has stopped never goes on
        end = np.where(keep, end, begin)
        edges[row + begin] += 1
        edges[row + end] -= 1
        missing -= end - begin
        position = np.where(keep, end + context - left, length)
        if not keep.any():
            break
    edges = edges.reshape(num_rows, width)[:, :length]
    selected = np.cumsum(edges, axis=1, dtype="int8").view(bool)  # (B, T)
    return _fill(selected, missing, uniform[:, 2 * goal :])


def _next_start(word_starts):
    """(B, T + 1): the first start at or after each position, T where there is none."""
    num_rows, length = word_starts.shape
    starts = np.full((num_rows, length + 1), length)
    np.copyto(starts[:, :length], np.arange(length), where=word_starts)
    return np.minimum.accumulate(starts[:, ::-1], axis=1)[:, ::-1]


def _piece_ends(word_starts, max_ngram):
    """A function that ends a span after n pieces."""
    return lambda row, begin, units, missing: begin + units


def _word_ends(word_starts, max_ngram):
    """A function that ends a span after n words, or after those of them that fit."""
    num_rows, length = word_starts.shape
    width = length + 1
    number = np.zeros((num_rows, width), "int64")  # of the last word begun at a position, from 1
    np.cumsum(word_starts, axis=1, out=number[:, :length])
    number[:, length] = number[:, length - 1]
    begins = np.full((num_rows, width + max_ngram), length)  # begins[word number] = its position
    rows, columns = np.nonzero(word_starts)
    begins[rows, number[rows, columns]] = columns
    number, begins = number.ravel(), begins.ravel()

    def span_end(row, begin, units, missing):
        first = row // width * (width + max_ngram)
        end = begins[first + number[row + begin] + units]
        limit = np.minimum(begin + missing, length)
        fitting_end = begins[first + number[row + limit]]
        return np.where(end - begin > missing, fitting_end, end)

    return span_end


_SPAN_ENDS = {"piece": _piece_ends, "word": _word_ends}


def _fill(selected, missing, keys):
    """Selects in each row the `missing` unselected positions that have the smallest keys."""
    most = int(missing.max(initial=0))
    if most == 0:
        return selected
    keys = np.where(selected, 1.0, keys)
    if most < keys.shape[1]:
        candidates = np.argpartition(keys, most - 1, axis=1)[:, :most]
    else:
        candidates = np.broadcast_to(np.arange(most), keys.shape)
    ranked = np.argsort(np.take_along_axis(keys, candidates, axis=1), axis=1)
    rows, ranks = np.nonzero(np.arange(most) < missing[:, None])
    selected[rows, candidates[rows, ranked[rows, ranks]]] = True
    return selected
