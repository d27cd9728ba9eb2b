"""A softmax over a sample of the vocabulary, for training: Jean et al., arXiv:1412.2007."""

import math

from keras import ops


def log_uniform_probabilities(token_ids, vocabulary_size):
    """The share of each token in what is drawn: log((k + 2) / (k + 1)) / log(V + 1).

    That is close to the frequencies of words whose ids are in their order (Zipf).

    Args:
        token_ids: int tensor of any shape.
        vocabulary_size: int. V.

    Returns:
        float32 tensor of the same shape; the sum over the vocabulary is 1.

    Source: TensorFlow's `log_uniform_candidate_sampler`.
    """
    share = ops.log1p(1.0 / (ops.cast(token_ids, "float32") + 1.0))
    return share / math.log(vocabulary_size + 1)


def draw_candidates(uniform, number):
    """Draw tokens by `log_uniform_probabilities`, one after the other, until S are different.

    Each token comes up for the first time after a time that is exponential with its probability
    as rate, and the first S are taken. Tokens that come up until the next one would have done so
    with the probability 1 - exp(-p * horizon), which is how often each is expected.

    Args:
        uniform: float tensor of shape (..., V), in [0, 1).
        number: int. S, below V.

    Returns:
        Pair: int tensor of shape (..., S), the tokens; and the horizon, float32 of shape (...,).

    Source: TensorFlow's sampler with `unique=True`, which counts its draws; the conditional
    probability of the horizon is that of Duffield et al. 2007, priority sampling.
    """
    size = uniform.shape[-1]
    rates = log_uniform_probabilities(ops.arange(size), size)
    times = -ops.log1p(-ops.cast(uniform, "float32")) / rates  # (..., V)
    earliest, tokens = ops.top_k(-times, number + 1)
    return tokens[..., :number], -earliest[..., number]


def log_expected_counts(token_ids, horizon, vocabulary_size):
    """The logarithm of how often tokens are expected among the candidates, at most once.

    Args:
        token_ids: int tensor of any shape.
        horizon: float scalar, see `draw_candidates`.
        vocabulary_size: int. V.

    Returns:
        float32 tensor of the shape of `token_ids`.
    """
    rates = log_uniform_probabilities(token_ids, vocabulary_size)
    return ops.log(-ops.expm1(-rates * horizon))


def sampled_softmax_losses(rows, table, bias, token_ids, candidates, horizon):
    """The cross-entropy of targets against candidates that all rows share.

    From each logit, that of the target too, goes the logarithm of how often its token is expected
    among the candidates. A candidate that is the target of a row does not count in it. With the
    whole vocabulary as candidates it is the loss of the whole softmax.

    Args:
        rows: tensor of shape (N, D).
        table: tensor of shape (V, D).
        bias: tensor of shape (V,).
        token_ids: int tensor of shape (N,), the targets.
        candidates, horizon: from `draw_candidates`, (S,) and a scalar.

    Returns:
        float32 tensor of shape (N,).

    Source: Jean et al., arXiv:1412.2007, section 3; TensorFlow's `sampled_softmax_loss`, with
    `remove_accidental_hits`.
    """
    size = table.shape[0]
    own = ops.sum(rows * ops.take(table, token_ids, axis=0), axis=-1)
    own = _float32(own) + _float32(ops.take(bias, token_ids))
    own = own - log_expected_counts(token_ids, horizon, size)  # (N,)
    others = _float32(ops.matmul(rows, ops.transpose(ops.take(table, candidates, axis=0))))
    others = others + _float32(ops.take(bias, candidates))
    others = others - log_expected_counts(candidates, horizon, size)  # (N, S)
    others = ops.where(candidates == token_ids[:, None], -1e30, others)
    logits = ops.concatenate([own[:, None], others], axis=-1)
    return ops.logsumexp(logits, axis=-1) - own


def _float32(tensor):
    return ops.cast(tensor, "float32")
