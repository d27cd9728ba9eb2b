"""The adaptive embedding and softmax in others' files: one layout, whoever wrote them."""

import re

import numpy as np

from keras_plm.checks import check_choice

# What the columns of the head stand for, behind the tokens of the first cluster: TensorFlow's code
# and Hugging Face's checkpoints have the clusters ascending, the original PyTorch code descending.
COLUMNS = ("ascending", "descending")

_TORCH = r"(?:transformer\.)?"
_TENSORFLOW = r"(?:transformer/)?"
_NAMES = (  # their name, ours, whether it is transposed; {} is the number of the cluster
    (rf"{_TORCH}word_emb\.emb_layers\.(\d+)\.weight", "token_embedding/table_{}/embeddings", False),
    (rf"{_TORCH}word_emb\.emb_projs\.(\d+)", "token_embedding/projection_{}/kernel", True),
    (r"crit\.out_layers\.(\d+)\.bias", "tokens/bias_{}", False),
    (r"crit\.out_layers\.(\d+)\.weight", "tokens/table_{}", False),
    (r"crit\.out_projs\.(\d+)", "tokens/projection_{}", True),
    (r"crit\.cluster_weight", "tokens/cluster_kernel", False),
    (r"crit\.cluster_bias", "tokens/cluster_bias", False),
    (
        rf"{_TENSORFLOW}adaptive_embed/(?:cutoff_(\d+)/)?lookup_table",
        "token_embedding/table_{}/embeddings",
        False,
    ),
    (
        rf"{_TENSORFLOW}adaptive_embed/(?:cutoff_(\d+)/)?proj_W",
        "token_embedding/projection_{}/kernel",
        False,
    ),
    (rf"{_TENSORFLOW}adaptive_softmax/(?:cutoff_(\d+)/)?(?:b|bias)", "tokens/bias_{}", False),
    (rf"{_TENSORFLOW}adaptive_softmax/cutoff_(\d+)/proj", "tokens/projection_{}", False),
    (rf"{_TENSORFLOW}adaptive_softmax/cutoff_0/cluster_W", "tokens/cluster_kernel", False),
    (rf"{_TENSORFLOW}adaptive_softmax/cutoff_0/cluster_b", "tokens/cluster_bias", False),
)


def adaptive_weights(arrays, columns="ascending"):
    """Convert the arrays of an adaptive embedding and softmax to our names and shapes.

    Where one table serves all clusters, so does one bias, which TensorFlow keeps in parts.

    Args:
        arrays: dict of str to array, under the names of Hugging Face, of the original PyTorch code
            or of the original TensorFlow code; others are passed over.
        columns: str. In which order the head's columns of the clusters are: "ascending"
            (TensorFlow, Hugging Face) or "descending" (the original PyTorch code).

    Returns:
        dict of str to array: "token_embedding/..." of `AdaptiveEmbedding`, "tokens/..." of
        `AdaptiveSoftmaxHead`, with the copies of what is tied that the file has.

    Raises:
        ValueError: if there is no such order.
    """
    check_choice("columns", columns, COLUMNS)
    found = {}
    for name, array in arrays.items():
        for theirs, ours, transposed in _NAMES:
            if match := re.fullmatch(theirs, name):
                number = match[1] if match.lastindex else 0
                array = np.asarray(array)
                found[ours.format(number)] = array.T if transposed else array
    if columns == "descending":
        for name in ("tokens/cluster_kernel", "tokens/cluster_bias"):
            if name in found:
                found[name] = found[name][::-1]
    if "token_embedding/table_1/embeddings" not in found:
        parts = []
        while f"tokens/bias_{len(parts)}" in found:
            parts.append(found.pop(f"tokens/bias_{len(parts)}"))
        found |= {"tokens/bias_0": np.concatenate(parts)} if parts else {}
    return found
