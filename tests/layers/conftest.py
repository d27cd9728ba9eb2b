"""A slow, direct computation of the attention of XLNet's paper, key by key."""

import numpy as np
import pytest


def sinusoid(distance, width):
    angles = distance / 10000 ** (2 * np.arange(width // 2) / width)
    return np.concatenate([np.sin(angles), np.cos(angles)])


def relative_attention(
    weights,
    rows,
    row_positions,
    content,
    memory=None,
    visible=None,
    same_segment=None,
    backward=None,
    clamp_length=None,
):
    """Attention of rows over memory and content in double precision, as arXiv:1906.08237 has it.

    `weights` are arrays by name; everything else is shaped as in `TwoStreamAttention`.
    """
    batch, num_rows, width = rows.shape
    keys = content if memory is None else np.concatenate([memory, content], axis=1)
    memory_length = keys.shape[1] - content.shape[1]
    heads, key_dim = weights["content_bias"].shape
    result = np.zeros((batch, num_rows, width))
    for example, row, head in np.ndindex(batch, num_rows, heads):
        seen = [
            key for key in range(keys.shape[1]) if visible is None or visible[example, row, key]
        ]
        if not seen:
            continue
        query = rows[example, row] @ weights["query"][:, head]
        scores = []
        for key in seen:
            distance = memory_length + row_positions[example, row] - key
            if backward is not None and backward[example]:
                distance = -distance
            if clamp_length is not None:
                distance = min(max(distance, -clamp_length), clamp_length)
            key_vector = keys[example, key] @ weights["key"][:, head]
            position_vector = sinusoid(distance, width) @ weights["position"][:, head]
            score = (query + weights["content_bias"][head]) @ key_vector
            score += (query + weights["position_bias"][head]) @ position_vector
            if same_segment is not None:
                relation = 0 if same_segment[example, row, key] else 1
                segment_vector = weights["segment_embedding"][relation, head]
                score += (query + weights["segment_bias"][head]) @ segment_vector
            scores.append(score / np.sqrt(key_dim))
        share = np.exp(np.array(scores) - max(scores))
        share /= share.sum()
        value = sum(
            part * (keys[example, key] @ weights["value"][:, head])
            for part, key in zip(share, seen)
        )
        result[example, row] += weights["attention_output"][:, head] @ value
    return result


@pytest.fixture(autouse=True, scope="module")
def every_compilation_is_quick(quick_compilation):
    """On JAX most tests compile many small operations once."""


@pytest.fixture
def reference_attention():
    return relative_attention


@pytest.fixture
def attention_weights():
    """The weights of a built `TwoStreamAttention`, by name, in double precision."""

    def by_name(attention):
        named = {}
        for weight in attention.weights:
            parts = weight.path.split("/")
            name = parts[-2] if parts[-1] == "kernel" else parts[-1]
            named[name] = np.array(weight.value, "float64")
        return named

    return by_name
