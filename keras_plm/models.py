"""The catalogue: one builder per system, a point in (architecture, objective, transfer)."""

from keras_plm.backbones import XLNetBackbone
from keras_plm.objectives import PermutationModeling
from keras_plm.tasks import Pretrainer, TextPreprocessor

# Base and large are the released ones (arXiv:1906.08237, section 3.1). A narrow model needs
# larger initial weights than the released 0.02, about 1 / sqrt(width): else it stays for long at
# the unigram loss.
XLNET_SIZES = {
    "tiny": dict(
        num_layers=3, num_heads=4, hidden_dim=128, intermediate_dim=512, initializer_range=0.08
    ),
    "small": dict(
        num_layers=6, num_heads=4, hidden_dim=256, intermediate_dim=1024, initializer_range=0.06
    ),
    "base": dict(
        num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=3072, initializer_range=0.02
    ),
    "large": dict(
        num_layers=24, num_heads=16, hidden_dim=1024, intermediate_dim=4096, initializer_range=0.02
    ),
}
XLNET_LENGTHS = {"tiny": 128, "small": 256, "base": 512, "large": 512}


def xlnet(tokenizer, size="base", sequence_length=None, bidirectional=False, **overrides):
    """XLNet: a two-stream Transformer-XL trained by permutation language modelling.

    Args:
        tokenizer: `keras_plm.data.SentencePieceTokenizer`.
        size: str. "tiny" (3 layers, width 128), "small" (6, 256), "base" (12, 768) or "large"
            (24, 1024).
        sequence_length: int or None. T; half of it is the reuse half, a sixth is predicted.
            None: 128, 256 or 512 by size.
        bidirectional: bool. Whether half of the rows are read right to left.
        overrides: arguments of `XLNetBackbone`, such as `memory_length`, `dropout`, `dtype`.

    Returns:
        `keras_plm.tasks.Pretrainer`, compiled with its defaults.

    Raises:
        ValueError: if the size is unknown, or an argument is.

    Source: XLNet, arXiv:1906.08237.
    """
    if size not in XLNET_SIZES:
        raise ValueError(f"`size` must be one of {sorted(XLNET_SIZES)}. Received: size={size!r}.")
    length = XLNET_LENGTHS[size] if sequence_length is None else sequence_length
    objective = PermutationModeling(
        sequence_length=length,
        reuse_length=length // 2,
        num_predict=length // 6,
        permutation_size=length // 2,
        bidirectional=bidirectional,
    )
    arguments = {**XLNET_SIZES[size], "reuse_length": length // 2, **overrides}
    backbone = XLNetBackbone(tokenizer.vocabulary_size, **arguments)
    return Pretrainer(backbone, objective, TextPreprocessor(tokenizer, length))
