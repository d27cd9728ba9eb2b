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


# Revisions and digests are those that two sources name, or one that lists all files of a
# repository. XLNet's two are the exception: its main branches hold the weights as pickles only,
# the revisions are those in which Hugging Face's converter added `model.safetensors`, and neither
# they nor the digests of the weights were found a second time. Large has no commit: its pull
# request is named instead, and the digest of its weights fixes what is loaded.
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
    # These main branches hold the weights as safetensors. Where no digest of a file is given, none
    # was found; the commit alone fixes what is loaded.
    "bert_base_en_uncased": Preset(
        description="BERT base, English, uncased: 12 layers, width 768, 109 million weights.",
        handle="hf://google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594",
        sha256={
            "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    ),
    "bert_large_en_uncased": Preset(
        description="BERT large, English, uncased: 24 layers, width 1024, 335 million weights.",
        handle="hf://google-bert/bert-large-uncased@6da4b6a26a1877e173fca3225479512db81a5e5b",
        sha256={
            "model.safetensors": "28349a5c57338d0dca591bb95de533897c2399095c69d61e09604b46f444a4c4",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    ),
    "bert_base_en_cased": Preset(
        description="BERT base, English, cased: 12 layers, width 768, 108 million weights.",
        handle="hf://google-bert/bert-base-cased@cd5ef92a9fb2f889e972770a36d4ed042daf221e",
        sha256={
            "model.safetensors": "1d8bdcee6021e2c25f0325e84889b61c2eb26b843eef5659c247af138d64f050",
            "vocab.txt": "eeaa9875b23b04b4c54ef759d03db9d1ba1554838f8fb26c5d96fa551df93d02",
        },
    ),
    "bert_base_multi_cased": Preset(
        description="BERT base, 104 languages, cased: 12 layers, width 768, 178 million weights.",
        handle="hf://google-bert/bert-base-multilingual-cased"
        "@3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
        sha256={
            "vocab.txt": "fe0fda7c425b48c516fc8f160d594c8022a0808447475c1a7c6d6479763f310c",
        },
    ),
    "bert_base_zh": Preset(
        description="BERT base, Chinese: 12 layers, width 768, 102 million weights.",
        handle="hf://google-bert/bert-base-chinese@8f23c25b06e129b6c986331a13d8d025a92cf0ea",
        sha256={
            "model.safetensors": "3404a1ffd8da507042e8161013ba2a4fc49858b4e3f8fbf5ce5724f94883aec3",
            "vocab.txt": "45bbac6b341c319adc98a532532882e91a9cefc0329aa57bac9ae761c27b291c",
        },
    ),
    "all_minilm_l6_v2": Preset(
        description="Sentence vectors, English, uncased: a BERT of 6 layers, width 384, 23 million "
        "weights. Mean of the tokens, normalized: `TextEmbedder.embed(texts, normalize=True)`.",
        handle="hf://sentence-transformers/all-MiniLM-L6-v2"
        "@1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    ),
    "distilbert_base_en_uncased": Preset(
        description="DistilBERT base, English, uncased: 6 layers, width 768, 66 million weights.",
        handle="hf://distilbert/distilbert-base-uncased@12040accade4e8a0f71eabdb258fecc2e7e948be",
        sha256={
            "model.safetensors": "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            "tokenizer.json": "ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98",
        },
    ),
    "roberta_base": Preset(
        description="RoBERTa base, English: 12 layers, width 768, 124 million weights.",
        handle="hf://FacebookAI/roberta-base@e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        sha256={
            "model.safetensors": "5bde1d28afb363d0103324efeb5afc8b2b397fe5e04beabb9b1ef355255ade81",
            "vocab.json": "9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        },
    ),
    "roberta_large": Preset(
        description="RoBERTa large, English: 24 layers, width 1024, 354 million weights.",
        handle="hf://FacebookAI/roberta-large@722cf37b1afa9454edce342e7895e588b6ff1d59",
        sha256={
            "model.safetensors": "047c85f0b96269cd62e6f732644f067004eebd95af5b5d35965ae2528f13bf38",
            "vocab.json": "9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        },
    ),
    "gpt2_small": Preset(
        description="GPT-2 small, English: 12 layers, width 768, 124 million weights.",
        handle="hf://openai-community/gpt2@607a30d783dfa663caf39e06633721c8d4cfcd7e",
        sha256={
            "model.safetensors": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        },
    ),
    "gpt2_medium": Preset(
        description="GPT-2 medium, English: 24 layers, width 1024, 355 million weights.",
        handle="hf://openai-community/gpt2-medium@6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
        sha256={
            "model.safetensors": "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        },
    ),
    "gpt2_large": Preset(
        description="GPT-2 large, English: 36 layers, width 1280, 774 million weights.",
        handle="hf://openai-community/gpt2-large@32b71b12589c2f8d625668d2335a01cac3249519",
        sha256={
            "model.safetensors": "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce",
        },
    ),
    "gpt2_xl": Preset(
        description="GPT-2 XL, English: 48 layers, width 1600, 1558 million weights.",
        handle="hf://openai-community/gpt2-xl@15ea56dee5df4983c59b2538573817e1667135e2",
        sha256={
            "model.safetensors": "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        },
    ),
}


def list_presets():
    """The presets that `from_preset` knows by name.

    Returns:
        dict of a name to its `Preset`.
    """
    return dict(PRESETS)
