"""A long short-term memory over a whole text, whose backward pass is written out.

Automatic gradients add up a product of matrices at every step for the recurrent matrix; here the
loop back gives the gradients of the gates alone, and the matrix's is one product over all steps.
"""

from keras import ops


def lstm(
    gates,
    recurrent_kernel,
    hidden,
    cell,
    real=None,
    projection=None,
    cell_clip=None,
    projection_clip=None,
):
    """Run an LSTM from left to right.

    At each step, with the four quarters i, f, g, o of `gates[t] + hidden @ recurrent_kernel`:

        cell = clip(sigmoid(f) * cell + sigmoid(i) * tanh(g))
        hidden = sigmoid(o) * tanh(cell), or clip((sigmoid(o) * tanh(cell)) @ projection)

    Steps come first, as the loop reads them: whoever makes gates of tokens turns those, which are
    narrower.

    Args:
        gates: tensor of shape (T, B, 4C), what the tokens and the biases give to each gate.
        recurrent_kernel: tensor of shape (P, 4C); P = C without a projection.
        hidden: tensor of shape (B, P), before the first step.
        cell: tensor of shape (B, C), before the first step.
        real: bool tensor of shape (T, B) or None: all tokens are. Padding leaves both as they are.
        projection: tensor of shape (C, P) or None: there is none.
        cell_clip: float or None. The largest absolute value of a cell.
        projection_clip: float or None. The largest absolute value of what is projected.

    Returns:
        Triple: the outputs (T, B, P), which are `hidden` behind each step, and the last `hidden`
        and `cell`. Gradients of gradients are not there.

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; projection
    Sak et al., arXiv:1402.1128, section 2; clips as TensorFlow's `LSTMCell` has them.
    """
    gates, clips = ops.convert_to_tensor(gates), (cell_clip, projection_clip)
    # Copies are no variables, for which TensorFlow would want gradients besides.
    tensors = {"recurrent": ops.copy(recurrent_kernel), "hidden": hidden, "cell": cell}
    if projection is not None:
        tensors["projection"] = ops.copy(projection)
    if real is not None:
        tensors["real"] = ops.cast(real, gates.dtype)[..., None]

    @ops.custom_gradient
    def run(gates, *others):
        given = dict(zip(tensors, others))
        kept = _forward(gates, given, clips)

        def gradients(*upstream):
            # TensorFlow gives one for each result, JAX all of them in a tuple.
            upstream = upstream[0] if len(upstream) == 1 else upstream
            found = _backward(given, kept, clips, *upstream)
            return (found["gates"], *(found[name] for name in tensors))

        hidden, cell, _ = kept
        return (hidden, hidden[-1], cell[-1]), gradients

    return run(gates, *tensors.values())


def _forward(gates, given, clips):
    """Hidden states (T, B, P), cells (T, B, C) and activated gates (T, B, 4C) of all steps."""

    def step(before, index):
        (hidden, cell, _), (gates, *real) = before, [one[index] for one in steps]
        i, f, g, o = ops.split(gates + ops.matmul(hidden, given["recurrent"]), 4, axis=-1)
        i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)  # (B, C)
        new_cell = _clip(f * cell + i * g, clips[0])
        new_hidden = o * ops.tanh(new_cell)
        if "projection" in given:
            new_hidden = _clip(ops.matmul(new_hidden, given["projection"]), clips[1])
        if real:
            new_cell = ops.where(real[0] > 0, new_cell, cell)
            new_hidden = ops.where(real[0] > 0, new_hidden, hidden)
        kept = new_hidden, new_cell, ops.concatenate([i, f, g, o], axis=-1)
        return kept, kept

    steps = (gates, given["real"]) if "real" in given else (gates,)
    start = given["hidden"], given["cell"], ops.zeros_like(gates[0])
    return _scan(step, start, gates)[1]


def _backward(given, kept, clips, d_outputs, d_hidden, d_cell):
    """The gradients of all tensors, by name, from those of the three results."""
    hiddens, cells, activated = kept
    recurrent, projection = ops.transpose(given["recurrent"]), None
    if "projection" in given:
        projection = ops.transpose(given["projection"])  # (P, C)

    def step(behind, index):
        d_hidden, d_cell, *_ = behind
        d_output, gates, hidden, cell, cell_before, *real = [one[index] for one in steps]
        i, f, g, o = ops.split(gates, 4, axis=-1)
        d_hidden, skipped = d_hidden + d_output, None
        if real:
            skipped = (1 - real[0]) * d_hidden, (1 - real[0]) * d_cell
            d_hidden, d_cell = real[0] * d_hidden, real[0] * d_cell
        d_projected, d_raw = d_hidden, d_hidden  # (B, P), (B, C)
        if projection is not None:
            d_projected = _within(hidden, clips[1]) * d_hidden
            d_raw = ops.matmul(d_projected, projection)
        squashed = ops.tanh(cell)
        d_cell = _within(cell, clips[0]) * (d_cell + d_raw * o * (1 - squashed * squashed))
        d_gates = ops.concatenate(
            [
                d_cell * g * i * (1 - i),
                d_cell * cell_before * f * (1 - f),
                d_cell * i * (1 - g * g),
                d_raw * squashed * o * (1 - o),
            ],
            axis=-1,
        )  # (B, 4C)
        d_hidden, d_cell = ops.matmul(d_gates, recurrent), d_cell * f
        if skipped:
            d_hidden, d_cell = d_hidden + skipped[0], d_cell + skipped[1]
        new = (d_hidden, d_cell, d_gates, *[d_projected] * (projection is not None))
        return new, new

    before = _shifted(given["hidden"], hiddens), _shifted(given["cell"], cells)
    steps = d_outputs, activated, hiddens, cells, before[1]
    steps += (given["real"],) if "real" in given else ()
    start = d_hidden, d_cell, ops.zeros_like(activated[0])
    start += () if projection is None else (ops.zeros_like(d_hidden),)
    last, (_, _, d_gates, *d_projected) = _scan(step, start, activated, reverse=True)
    d_hidden, d_cell, *_ = last
    found = {"gates": d_gates, "hidden": d_hidden, "cell": d_cell}
    found["recurrent"] = _product(before[0], d_gates)
    if d_projected:
        raw = ops.split(activated, 4, axis=-1)[3] * ops.tanh(cells)
        found["projection"] = _product(raw, d_projected[0])
    if "real" in given:
        found["real"] = ops.zeros_like(given["real"])
    return found


def _scan(step, start, steps, reverse=False):
    """Call a function for each index of the first axis; see `keras.ops.scan`.

    Keras gives results of the shapes of what is carried, on TensorFlow; and there it scans several
    tensors of an unknown length not at all, so that steps take theirs by the index.
    """
    return ops.scan(step, start, ops.arange(ops.shape(steps)[0]), reverse=reverse)


def _clip(value, bound):
    """Values of at most an absolute value, unless that is None."""
    return value if bound is None else ops.clip(value, -bound, bound)


def _within(value, bound):
    """1 where a clipped value is the value itself, which a gradient goes through, else 0."""
    return 1 if bound is None else ops.cast(ops.abs(value) < bound, value.dtype)


def _shifted(first, rows):
    """What stood before each step, (T, B, ...)."""
    return ops.concatenate([first[None], rows[:-1]], axis=0)


def _product(left, right):
    """The sum over all steps and examples of the outer products of rows."""
    left, right = (ops.reshape(one, (-1, one.shape[-1])) for one in (left, right))
    return ops.matmul(ops.transpose(left), right)
