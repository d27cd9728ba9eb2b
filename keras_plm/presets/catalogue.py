"""The presets that have names: where they are published, at which revision, with which contents."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A published preset.

    Args:
        description: what it is.
        handle: "hf://owner/name@revision".
        sha256: dict of a file's name to the SHA-256 of its contents, as hexadecimal digits.
    """

    description: str
    handle: str
    sha256: dict


# The repositories' main branches hold the weights as pickles only; the revisions are those in
# which Hugging Face's converter added `model.safetensors`. Large has no commit that we could
# confirm: its pull request is named instead, and the digest of its weights fixes what is loaded.
PRESETS = {
    "xlnet_base_en_cased": Preset(
        description="XLNet base, English, cased: 12 layers, width 768, 117 million weights.",
        handle="hf://xlnet/xlnet-base-cased@364e6ee6c9d8bd3b6f63a852cfd4fdc1d22d3674",
        sha256={
            "model.safetensors": "4a8af524d88f526632f0d7f3e7653e8468d9fdf9d4de9848142da816bd362183",
            "spiece.model": "1f8c1c0bc2854d1af911a8550288c1258af5ba50277f3a5c829b98eb86fc5646",
        },
    ),
    "xlnet_large_en_cased": Preset(
        description="XLNet large, English, cased: 24 layers, width 1024, 361 million weights.",
        handle="hf://xlnet/xlnet-large-cased@refs/pr/2",
        sha256={
            "model.safetensors": "2d66539e29697b08dd996d475a316e8f44b0cb3605835a58143740e68fc23090",
        },
    ),
}


def list_presets():
    """The presets that `from_preset` knows by name.

    Returns:
        dict of a name to its `Preset`.
    """
    return dict(PRESETS)
