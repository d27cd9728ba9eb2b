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
        ValueError: `goal` is larger than T, `alpha` is smaller than `beta`, `uniform` has another
            shape, or `span_unit` is unknown.

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
    if not alpha >= beta >= 1 or span_unit not in SPAN_UNITS:
        raise ValueError(
            f"alpha must be at least beta, beta at least 1, and span_unit one of {SPAN_UNITS}. "
            f"Received: alpha={alpha}, beta={beta}, span_unit={span_unit!r}"
        )
    probabilities = 1.0 / np.arange(1, max_ngram + 1)
    limits = np.cumsum(probabilities / probabilities.sum())[:-1]
    lengths = np.searchsorted(limits, uniform[:, :goal].T, side="right") + 1  # (goal, B)
    shares = np.ascontiguousarray(uniform[:, goal : 2 * goal].T)  # (goal, B)
    span_end = _SPAN_ENDS[span_unit](word_starts)

    # all positions below count through the rows, each of T + 1 columns; the last one is "past"
    row = np.arange(num_rows) * (length + 1)
    past = row + length
    next_start = (_next_start(word_starts) + row[:, None]).ravel()  # (B * (T + 1),)
    begins, ends = np.tile(past, (2, goal, 1))  # (goal, B), no span yet
    position, missing = row, np.full(num_rows, goal)
    for step, (units, share) in enumerate(zip(lengths, shares)):
        units = np.minimum(units, missing)
        context = units * alpha // beta
        left = (share * context).astype("int64")
        begin = next_start[np.minimum(position + left, past)]
        end = span_end(begin, units, missing)
        keep = (end < past) & (end > begin)
        if not keep.any():
            break
        end = np.where(keep, end, begin)
        begins[step], ends[step] = begin, end
        missing -= end - begin
        position = np.where(keep, end + context - left, past)  # a row that stops never goes on
    edges = np.zeros(num_rows * (length + 1), "int8")
    edges[begins] += 1  # no two spans touch, and a dropped one has its end at its begin
    edges[ends] -= 1
    selected = np.cumsum(edges, dtype="int8").view(bool).reshape(num_rows, length + 1)
    return _fill(selected[:, :length], missing, uniform[:, 2 * goal :])


def _next_start(word_starts):
    """(B, T + 1): the first start at or after each position, T where there is none."""
    num_rows, length = word_starts.shape
    starts = np.full((num_rows, length + 1), length)
    np.copyto(starts[:, :length], np.arange(length), where=word_starts)
    return np.minimum.accumulate(starts[:, ::-1], axis=1)[:, ::-1]


def _piece_ends(word_starts):
    """A function that ends a span after n pieces."""
    return lambda begin, units, missing: begin + units


def _word_ends(word_starts):
    """A function that ends a span after n words, or after those of them that fit."""
    num_rows, length = word_starts.shape
    padded = np.pad(word_starts, ((0, 0), (0, 1)), constant_values=True)  # a row's "past"
    number = np.cumsum(padded.ravel()) - 1  # of the last word begun at a position
    starts = np.flatnonzero(padded)  # starts[word number] = its position
    past = np.repeat(np.arange(1, num_rows + 1) * (length + 1) - 1, length + 1)

    def span_end(begin, units, missing):
        row_end = past[begin]
        last_word = number[row_end]
        end = starts[np.minimum(number[begin] + units, last_word)]
        fitting_end = starts[number[np.minimum(begin + missing, row_end)]]
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
