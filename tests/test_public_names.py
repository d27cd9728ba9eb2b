"""Every public name, its signature, methods and properties, as before the rooms were laid.

    python tests/test_public_names.py      writes the snapshot anew: only when users may lose a name

What is added or changed since is listed here, so that no rebuilding takes a name away by accident.
"""

import importlib
import inspect
import json
import re
from pathlib import Path

import keras_plm

SNAPSHOT = Path(__file__).parent / "fixtures" / "public_names.json"
ROOMS = (
    "backbones",
    "data",
    "features",
    "heads",
    "layers",
    "metrics",
    "models",
    "objectives",
    "ops",
    "presets",
    "tasks",
    "transfer",
)

# Names that are gone, with where they are now.
GONE = {
    "models.TRANSFORMER_SIZES": "presets.TRANSFORMER_SIZES",
    "tasks.extend_vocabulary": "transfer.extend_vocabulary",
}
# Members that changed, by name: "__init__" is the constructor. What is added is no change.
TASKS = (
    "CausalLM",
    "MaskedLM",
    "MultipleChoice",
    "PermutationLM",
    "PrefixLM",
    "Pretrainer",
    "SpanExtractor",
    "Task",
    "TextClassifier",
    "TextEmbedder",
    "TextRegressor",
    "TokenClassifier",
)
VERBOSE = {  # methods that show Keras's bar
    "CausalLM": {"__init__", "choose", "generate", "score"},  # cutoffs=()
    "MaskedLM": {"fill_mask", "score"},
    "PermutationLM": {"generate", "infill", "score"},
    "PrefixLM": {"generate"},
    "TextEmbedder": {"embed"},
}
# preprocessor_class: TextPreprocessor has backward=False; __init__: gradient_length=None.
READS_TEXTS = dict.fromkeys(
    ("CausalLM", "MaskedLM", "PermutationLM", "PrefixLM", "Pretrainer", "Task", "TextEmbedder"),
    {"preprocessor_class"},
)
READS_TEXTS |= dict.fromkeys(
    ("TextClassifier", "TextRegressor"), {"__init__", "preprocessor_class"}
)
FIT = {"Pretrainer": (), "TextEmbedder": ()}  # their own, that did not change
CHANGED = {
    # Every task has all arguments of `compile`, which stands once, in `Task`; `custom_objects`.
    # fit: tokens_per_batch=None.
    **{
        f"tasks.{name}": {
            "compile",
            "from_preset",
            *READS_TEXTS.get(name, ()),
            *VERBOSE.get(name, ()),
            *FIT.get(name, ("fit",)),
        }
        for name in TASKS
    },
    # mix_layers=False
    "tasks.TokenClassifier": {"__init__", "compile", "fit", "from_preset"},
    # strict: whether arrays beside those of the model are refused.
    "backbones.Backbone": {"__init__", "from_preset"},  # frozen=()
    "backbones.TransformerBackbone": {"__init__", "from_preset"},  # task_id=0
    "backbones.XLNetBackbone": {"from_preset", "__init__"},  # factorise_positions=True
    "presets.ReleasedCheckpoint": {"backbone_weights"},
    "objectives.Mixture": {"__init__"},  # weights=None, stages=None, task_ids=False
    # New arguments, at the end.
    "data.Corpus": {"build", "build_pairs"},
    "data.SentencePieceTokenizer": {"__init__"},  # num_sentinels=0
    "data.train_tokenizer": {"signature"},
    "objectives.CausalModeling": {"__init__"},  # characters=False, ..., backward=False
    "heads.SentencePairHead": {"__init__"},
    "heads.SummaryHead": {"__init__"},
    "heads.TokenHead": {"__init__"},  # mix=False
    # None: it follows from the length of the rows.
    "objectives.PermutationModeling": {
        "__init__",
        "num_predict",
        "permutation_size",
        "reuse_length",
    },
    # The implicit masks of Keras, at the end.
    **{
        name: {"call", "compute_output_spec"}
        for name in (
            "heads.AuxiliaryLMLoss",
            "heads.BeamSpanHead",
            "heads.EndLogits",
            "heads.SpanHead",
            "layers.TwoStream",
            "layers.TwoStreamAttention",
        )
    },
    "layers.AttentionMaps": {"call", "compute_output_spec"},  # source=None
    # label_smoothing=0.0, shared_by="others", scale=1.0, zero_token_id=None
    "heads.MaskedLMHead": {"__init__", "call", "compute_output_spec"},
    # use_bias, scale_scores, ...: what T5's differs in; a block may read a source.
    "layers.ProjectedAttention": {"call", "__init__"},
    "layers.RelativePositionBias": {"__init__"},  # bidirectional=True
    "layers.TransformerBlock": {"call", "read", "__init__"},
    "ops.attend": {"signature"},  # scale=None
    "ops.attention_weights": {"signature"},
    "ops.relative_buckets": {"signature"},  # bidirectional=True
    "layers.TransformerXLBlock": {"call", "__init__"},  # normalize_first=False
    "layers.RelativePositionEncoding": {"call", "compute_output_spec"},  # memory=None
    "ops.content_visibility": {"signature"},  # memory_mask=None
    "tasks.TextPreprocessor": {"__init__"},  # backward=False, linker=None
    "tasks.Checkpoint": {"save"},  # wait=True
    "tasks.resume": {"signature"},  # may_differ=()
    "presets.open_checkpoint": {"signature"},  # config=None
    "tasks.BeamSearch": {"__init__"},  # length_normalization="gnmt"
}


def public_names():
    """dict of `room.name` to what a user can rely on."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"keras_plm.{room}")
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if name[0] != "_" and getattr(value, "__module__", module.__name__) == module.__name__
        ]
        for name in names:
            if not inspect.ismodule(getattr(module, name)):
                found[f"{room}.{name}"] = described(getattr(module, name))
    return found


def described(value):
    """The signature of a function; of a class that of its constructor, methods and properties."""
    if inspect.isclass(value):
        members = {"__init__": signature(value)}
        ours = [base for base in value.__mro__ if base.__module__.startswith("keras_plm")]
        for base in reversed(ours):
            for name, member in vars(base).items():
                if name[0] != "_":
                    members[name] = described_member(member)
        return members
    return signature(value) if callable(value) else type(value).__name__


def described_member(member):
    """The signature of a method, or what else it is."""
    if isinstance(member, (classmethod, staticmethod)):
        return f"{type(member).__name__} {signature(member.__func__)}"
    if callable(member):
        return signature(member)
    return "property" if isinstance(member, property) else type(member).__name__


def signature(function):
    """The arguments and their defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    text = ", ".join(str(one.replace(annotation=inspect.Parameter.empty)) for one in parameters)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def test_no_public_name_is_lost():
    before, now = json.loads(SNAPSHOT.read_text("utf-8")), public_names()
    assert before.keys() - now.keys() == set(GONE)
    for name, place in GONE.items():
        room, new = place.rsplit(".", 1)
        assert hasattr(importlib.import_module(f"keras_plm.{room}"), new), name


def test_no_signature_has_changed():
    before, now = json.loads(SNAPSHOT.read_text("utf-8")), public_names()
    changed = {}
    for name in before.keys() & now.keys():
        old, new = before[name], now[name]
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = {member for member in old if old[member] != new.get(member)}
        elif old != new:
            changed[name] = {"signature"}
    assert {name: members for name, members in changed.items() if members} == CHANGED


def test_the_snapshot_covers_what_is_listed():
    before = json.loads(SNAPSHOT.read_text("utf-8"))
    assert {name.split(".")[0] for name in before} == set(ROOMS) <= set(dir(keras_plm))
    assert before["models.bert"].startswith("tokenizer, size='base'")
    assert "fit" in before["tasks.Pretrainer"]


if __name__ == "__main__":
    names = json.dumps(public_names(), indent=1, sort_keys=True, ensure_ascii=False)
    SNAPSHOT.write_text(names + "\n", "utf-8")
