"""Every head of every system, in every task that can hold it: the reference's logits, no word said.

What a checkpoint has not is said, head and reason; and what was read is written again.
"""

import json
import logging

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

from keras_plm import presets, tasks
from keras_plm.checkpoints.released_checkpoint import SYSTEMS
from keras_plm.objectives import (
    CausalModeling,
    MaskedModeling,
    PermutationModeling,
)

LM = {
    tasks.MaskedLM: {},
    tasks.PrefixLM: {"pattern_segments": False},
    tasks.Pretrainer: {"objective": MaskedModeling(30, 4, sequence_length=8)},
}
XLM_LM = {
    tasks.MaskedLM: {},
    tasks.PrefixLM: {"pattern_segments": False},
    tasks.Pretrainer: {
        "objective": MaskedModeling(30, 4, sequence_length=8, languages=True, transform=False)
    },
}
XLM_CAUSAL_LM = {
    tasks.CausalLM: {},
    tasks.Pretrainer: {"objective": CausalModeling(sequence_length=8, output_bias=True)},
}
CAUSAL_LM = {tasks.CausalLM: {}, tasks.Pretrainer: {"objective": CausalModeling(sequence_length=8)}}
ORDER_LM = {
    tasks.PermutationLM: {},
    tasks.Pretrainer: {
        "objective": PermutationModeling(
            sequence_length=10, reuse_length=0, num_predict=4, permutation_size=5
        )
    },
}
CLASSES = {tasks.TextClassifier: {}}
SCORE = {tasks.TextRegressor: {}}
WORDS = {tasks.TokenClassifier: {}}
CHOICES = {tasks.MultipleChoice: {}}
SPAN = {tasks.SpanExtractor: {}}
# The cases of each system, and the tasks that hold the head, with arguments that they need.
TABLE = {
    "xlnet": {
        "lm": ORDER_LM,
        "classes": CLASSES,
        "first": CLASSES,
        "mean": CLASSES,
        "index": CLASSES,
        "no_projection": CLASSES,
        "no_activation": CLASSES,
        "score": SCORE,
        "bare_score": SCORE,
        "words": WORDS,
        "choices": CHOICES,
        "bare_choices": CHOICES,
        "span": SPAN,
        "beam": SPAN,
    },
    "bert": {
        "bert_masked": LM,
        "bert_pretraining": {tasks.MaskedLM: {}},
        "bert_classes": CLASSES,
        "bert_many": CLASSES,
        "bert_score": SCORE,
        "bert_words": WORDS,
        "bert_choices": CHOICES,
        "bert_span": SPAN,
    },
    "ernie": {
        "ernie_masked": LM,
        "ernie_classes": CLASSES,
        "ernie_score": SCORE,
        "ernie_words": WORDS,
        "ernie_choices": CHOICES,
        "ernie_span": SPAN,
    },
    "roberta": {
        "roberta_masked": {tasks.MaskedLM: {}},
        "roberta_classes": CLASSES,
        "roberta_score": SCORE,
        "roberta_words": WORDS,
        "roberta_choices": CHOICES,
        "roberta_span": SPAN,
    },
    "mpnet": {
        "mpnet_masked": LM,
        "mpnet_classes": CLASSES,
        "mpnet_score": SCORE,
        "mpnet_words": WORDS,
        "mpnet_choices": CHOICES,
        "mpnet_span": SPAN,
    },
    "xlm": {
        "xlm_masked": XLM_LM,
        "xlm_causal": XLM_CAUSAL_LM,
        "xlm_classes": CLASSES,
        "xlm_mean": CLASSES,
        "xlm_score": SCORE,
        "xlm_words": WORDS,
        "xlm_choices": CHOICES,
        "xlm_span": SPAN,
    },
    "distilbert": {
        "distilbert_masked": LM,
        "distilbert_classes": CLASSES,
        "distilbert_score": SCORE,
        "distilbert_words": WORDS,
        "distilbert_choices": CHOICES,
        "distilbert_span": SPAN,
    },
    "openai-gpt": {
        "gpt": CAUSAL_LM,
        "gpt_classes": CLASSES,
        "gpt_score": SCORE,
        "gpt_choices": {**CHOICES, tasks.CausalLM: {}},
    },
    "gpt2": {
        "gpt2": CAUSAL_LM,
        "gpt2_classes": CLASSES,
        "gpt2_score": SCORE,
        "gpt2_words": WORDS,
        "gpt2_choices": {**CHOICES, tasks.CausalLM: {}},
        "gpt2_span": SPAN,
    },
}
ROWS = [
    (case, task, arguments)
    for cases in TABLE.values()
    for case, holders in cases.items()
    for task, arguments in holders.items()
]
HEADS = {
    tasks.TextClassifier: "label",
    tasks.TextRegressor: "score",
    tasks.TokenClassifier: "token_label",
    tasks.MultipleChoice: "choice",
    tasks.SpanExtractor: "span",
    tasks.MaskedLM: "tokens",
    tasks.PrefixLM: "tokens",
    tasks.CausalLM: "tokens",
    tasks.PermutationLM: "tokens",
    tasks.Pretrainer: "tokens",
}
NAMES = {"classes": ["no", "LABEL_0", "I/O."], "words": ["O", "B-a/b", "I-a/b"]}


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def test_the_table_has_every_head_of_every_system_and_every_task():
    for system in SYSTEMS:
        if system.class_name in ("TransformerXLBackbone", "Seq2SeqBackbone", "KnowledgeBackbone"):
            continue  # families/: test_transformer_xl, _seq2seq, _bart_heads, _ernie_thu
        held = {HEADS[task] for holders in TABLE[system.model_type].values() for task in holders}
        assert held == system.heads.keys() - {"sentence_pair"}, system.name
    without_heads = {"Task", "TextEmbedder", "MultiTask"}
    without_heads |= {"Seq2SeqLM"}  # families/test_seq2seq.py
    classes = {getattr(tasks, name) for name in set(tasks.__all__) - without_heads}
    known = {one for one in classes if isinstance(one, type) and issubclass(one, tasks.Task)}
    assert {task for _, task, _ in ROWS} == known


@pytest.fixture
def make(make_directory, make_transformer, cases):
    """A function that writes the directory of a case of either file."""

    def make(case, *arguments, **changes):
        return (make_directory if case in cases else make_transformer)(case, *arguments, **changes)

    return make


@pytest.fixture
def outputs(cases, reference, transformer_cases, transformer_reference, transformer_inputs):
    """A function of a case: for each side of its padding the inputs, and what transformers gave."""

    def outputs(case):
        if case not in cases:
            for side in transformer_cases[case]["sides"]:
                yield transformer_inputs(side), theirs(transformer_reference, f"{case}/{side}/")
            return
        features = ("token_ids", "segment_ids", "padding_mask", "answer_mask")
        inputs = {name: reference[name] for name in features}
        side, pads = cases[case]["side"], (~inputs["padding_mask"]).sum(1)
        if side is None:
            inputs["padding_mask"] = np.ones_like(inputs["padding_mask"])
        elif side == "right":
            for name in features[:3]:
                inputs[name] = np.stack(
                    [np.roll(row, -count) for row, count in zip(inputs[name], pads)]
                )
        yield inputs, theirs(reference, f"{case}/")

    def theirs(arrays, start):
        return {n.removeprefix(start): v for n, v in arrays.items() if n.startswith(start)}

    return outputs


def check_logits(model, inputs, theirs, reference, assert_near):
    """Compare what a task gives with what transformers gave."""
    task, real = type(model), inputs["padding_mask"]
    if getattr(model.backbone, "num_segments", 2) == 1:
        inputs = {**inputs, "segment_ids": np.zeros_like(inputs["segment_ids"])}
    names = model.input_names_of_task()
    features = {name: inputs[name] for name in names if name in inputs}
    if HEADS[task] == "tokens":
        batch, length = real.shape
        if "logits" in theirs:  # of XLNet: at its targets, in their order
            features |= {name: reference[name] for name in ("order", "target_positions")}
            shape = (slice(None), slice(None))
        else:
            features["target_positions"] = np.tile(np.arange(length, dtype="int32"), (batch, 1))
            order = np.arange(length) * model.backbone.causal
            features["order"] = np.tile(order.astype("int32"), (batch, 1))
            shape = real
        if task is tasks.Pretrainer:
            own = {n: v for n, v in inputs.items() if n in model.backbone.input}
            own.pop("task_ids", None)
            encoded = model.backbone.encode({**own, **features})
            ours = model.heads["tokens"](encoded["target_output"])
        else:
            ours = model({k: v for k, v in features.items() if k in names})
        ours = to_numpy(ours["tokens"] if isinstance(ours, dict) else ours)
        return assert_near(ours[shape], theirs.get("tokens", theirs.get("logits")))
    if task is tasks.SpanExtractor and model.beam:
        ours = model({**features, "start_positions": np.full(4, -1, "int32")})
        for name in ("start_top_index", "end_top_index"):
            np.testing.assert_array_equal(to_numpy(ours[name]), theirs[name])
        for name in ("start_top_log_probs", "end_top_log_probs", "impossible"):
            assert_near(to_numpy(ours[name]), theirs[name])
        return None
    if task is tasks.SpanExtractor:
        mask = inputs.get("answer_mask", real)  # transformers' simple head has no mask
        ours = model({**features, "answer_mask": mask})
        for name in ("start", "end"):
            expected = theirs[name] if theirs[name].ndim == 1 else theirs[name][mask]
            assert_near(to_numpy(ours[name])[mask], expected)
        return None
    if task is tasks.MultipleChoice:  # the rows of the batch, in turn, are the choices
        features = {
            name: np.stack([np.roll(value, -k, axis=0) for k in range(3)], axis=1)
            for name, value in features.items()
        }
    ours, expected = to_numpy(model(features)), theirs["logits"]
    if task is tasks.TokenClassifier:
        ours = ours[real]
        expected = expected[real] if expected.ndim == 3 else expected
    return assert_near(ours, expected)


@pytest.mark.parametrize(
    "case, task, arguments", ROWS, ids=[f"{case}-{task.__name__}" for case, task, _ in ROWS]
)
def test_logits_of_the_reference(
    case, task, arguments, make, outputs, reference, transformer_cases, assert_near, caplog
):
    model = task.from_preset(make(case), **arguments)
    assert not caplog.records
    compared = 0
    if case in ("gpt_choices", "gpt2_choices") and task is tasks.CausalLM:
        return  # the language model's logits are those of another case
    for inputs, theirs in outputs(case):
        if theirs.keys() & {"tokens", "logits", "start", "start_top_index"}:
            check_logits(model, inputs, theirs, reference, assert_near)
            compared += 1
    assert compared


# === What is read, kept and written ===

KEPT = [
    (case, task)
    for case, task, arguments in ROWS
    if task in (tasks.TextClassifier, tasks.TextRegressor, tasks.TokenClassifier)
    or task is tasks.MultipleChoice
]


@pytest.mark.parametrize("case, task", KEPT, ids=[case for case, _ in KEPT])
def test_heads_in_our_presets_and_in_exports(
    case, task, make, outputs, cases, transformer_cases, reference, assert_near, tmp_path, caplog
):
    directory = make(case)
    model = task.from_preset(directory)
    model.save_to_preset(tmp_path / "own")
    presets.export_huggingface(model, tmp_path / "export")
    for place in ("own", "export"):
        again = task.from_preset(tmp_path / place)
        assert again.settings() == model.settings() and not caplog.records
        inputs, theirs = next(outputs(case))
        check_logits(again, inputs, theirs, reference, assert_near)
    saved = load_file(directory / "model.safetensors")
    written = load_file(tmp_path / "export" / "model.safetensors")
    saved.pop("lm_head.weight", None)  # of these the embedding is a copy
    assert written.keys() - saved.keys() <= {"transformer.tokens_embed.weight"}
    for name, array in saved.items():
        np.testing.assert_array_equal(written[name], array, name)
    expected = {**cases, **transformer_cases}[case]["config"]
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["architectures"] == expected["architectures"]
    for key in ("id2label", "label2id", "problem_type", "summary_use_proj", "summary_type"):
        if key in config and expected.get(key) is not None:
            last = key == "summary_type" and case == "index"  # the same token
            assert config[key] == ("last" if last else expected[key]), key


def test_classes_and_what_kind_of_labels(make):
    many = tasks.TextClassifier.from_preset(make("bert_many"))
    assert many.class_names == NAMES["classes"] and many.multi_label
    one = tasks.TextClassifier.from_preset(make("xlm_classes", "xlm"))
    assert one.class_names == NAMES["classes"] and not one.multi_label
    generic = tasks.TextClassifier.from_preset(make("bert_classes", "generic"))
    assert generic.class_names is None and not generic.multi_label
    words = tasks.TokenClassifier.from_preset(make("gpt2_words", "words"))
    assert words.class_names == NAMES["words"]
    other = tasks.TextClassifier.from_preset(make("bert_many", "other"), num_classes=2)
    assert other.class_names is None


# === What is not there is said ===

WITHOUT = {  # a checkpoint of the system without a head of the tasks
    "xlnet": "lm",
    "bert": "bert_masked",
    "ernie": "ernie_masked",
    "roberta": "roberta_masked",
    "mpnet": "mpnet_masked",
    "xlm": "xlm_masked",
    "distilbert": "distilbert_masked",
    "openai-gpt": "gpt",
    "gpt2": "gpt2",
}
ARGUMENTS = {
    tasks.TextClassifier: {"num_classes": 3},
    tasks.TextRegressor: {},
    tasks.TokenClassifier: {"num_classes": 3},
    tasks.MultipleChoice: {},
    tasks.SpanExtractor: {},
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_heads_that_start_new_are_named_with_the_reason(kind, make, caplog):
    directory = make(WITHOUT[kind])
    system = next(one for one in SYSTEMS if one.model_type == kind)
    for task, arguments in ARGUMENTS.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="keras_plm"):
            task.from_preset(directory, **arguments)
        (record,) = caplog.records
        head = HEADS[task]
        assert f"{task.__name__}: heads that the preset has not start new: ['{head}'] " in (
            record.getMessage()
        )
        if head not in system.heads:
            assert f"({head}: no {system.name} has such a head there)" in record.getMessage()
            continue
        table = system.head_tables(head, {})[0]
        reason = record.getMessage().split(f"({head}: the checkpoint has no ")[1]
        assert any(row.hugging_face in reason for row in table)


REASONS = {
    "another architecture": (
        *("bert_words", tasks.TextClassifier, {}, {}),
        "(label: its architecture is BertForTokenClassification)",
    ),
    "choices of XLNet": (
        *("choices", tasks.TextRegressor, {}, {}),
        "(score: its architecture is XLNetForMultipleChoice)",
    ),
    "numbers, no classes": (
        *("bert_many", tasks.TextClassifier, {"problem_type": "regression"}, {}),
        "(label: its problem_type is 'regression')",
    ),
    "a class, no number": (
        *("gpt2_score", tasks.TextRegressor, {"problem_type": "multi_label_classification"}, {}),
        "(score: its problem_type is 'multi_label_classification')",
    ),
    "another number of classes": (
        *("gpt_classes", tasks.TextClassifier, {}, {"num_classes": 5}),
        "(label: 'score.weight' has the shape (3, 12) there, here (5, 12))",
    ),
    "another form": (
        *("roberta_classes", tasks.TextClassifier, {}, {"summarise": False}),
        "(label: its weights there are ['logits/bias', 'logits/kernel', 'summary/bias', "
        "'summary/kernel'], those of this task ['logits/bias', 'logits/kernel'])",
    ),
    "the summary left out": (
        *("classes", tasks.TextClassifier, {"summary_use_proj": False}, {}),
        "(label: its weights there are ",
    ),
    "no projection of XLM": (
        *("xlm_span", tasks.TextRegressor, {}, {}),
        "(score: the checkpoint has no ['sequence_summary.summary.weight', "
        "'sequence_summary.summary.bias'])",
    ),
    "beams of XLM": (
        *("xlm_beam", tasks.SpanExtractor, {}, {}),
        "(span: the checkpoint has no ['qa_outputs.weight', 'qa_outputs.bias'])",
    ),
    "a language model of classes": (
        *("xlm_classes", tasks.MaskedLM, {}, {}),
        "(tokens: the checkpoint has no ['pred_layer.proj.bias'])",
    ),
}


@pytest.mark.parametrize("case, task, changes, arguments, reason", REASONS.values(), ids=REASONS)
def test_why_a_head_starts_new(case, task, changes, arguments, reason, make, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        task.from_preset(make(case, **changes), **arguments)
    (record,) = caplog.records
    assert reason in record.getMessage()


REFUSED = {
    "attention": ("classes", tasks.TextClassifier, {"summary_type": "attn"}),
    "an unknown summary": ("choices", tasks.MultipleChoice, {"summary_type": ["mean"]}),
    "an unknown activation": ("score", tasks.TextRegressor, {"summary_activation": "sigmoid"}),
    "activated logits": ("xlm_classes", tasks.TextClassifier, {"summary_activation": "tanh"}),
    "another projection": ("xlm_score", tasks.TextRegressor, {"summary_proj_to_labels": False}),
    "activated choices": ("gpt2_choices", tasks.MultipleChoice, {"summary_activation": "relu"}),
}


@pytest.mark.parametrize("case, task, changes", REFUSED.values(), ids=REFUSED)
def test_summaries_that_no_task_computes(case, task, changes, make):
    ((key, value),) = changes.items()
    with pytest.raises(ValueError, match="is not supported: it must be one of") as error:
        task.from_preset(make(case, **changes))
    assert f"A head with {key}={value!r} " in str(error.value)


def test_a_head_with_another_activation_is_named(make, caplog):
    """RoBERTa's is always that of GELU; a Pretrainer's is that of the backbone."""
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        tasks.Pretrainer.from_preset(make("roberta_masked"), **LM[tasks.Pretrainer])
    (record,) = caplog.records
    assert "the head 'tokens' has the activation 'gelu' there, here 'relu'" in record.getMessage()
    caplog.clear()
    tasks.MaskedLM.from_preset(make("roberta_masked", "again"), head_activation="relu")
    assert not caplog.records


def test_a_score_is_no_class(make):
    for case in ("xlm_score", "score", "bert_choices"):
        with pytest.raises(ValueError, match=r"does not say \['num_classes'\]"):
            tasks.TextClassifier.from_preset(make(case, case))


def test_a_language_model_of_a_classifier_is_whole(make, caplog):
    """Its head is the embedding, which is there."""
    tasks.CausalLM.from_preset(make("gpt2_classes"))
    assert not caplog.records


# === What transformers has not is not exported ===


@pytest.mark.parametrize(
    "case, arguments, message",
    [
        ("bert_classes", {"pooling": "mean", "summarise": False}, r"\('mean', 'linear'\)"),
        ("bert_classes", {"summary_activation": "relu"}, r"\('pooler', 'relu'\)"),
        ("bert_classes", {"both_orders": True}, "both orders"),
        ("roberta_classes", {"pooling": "last"}, r"\('last', 'tanh'\)"),
        ("mpnet_classes", {"summary_activation": "linear"}, r"\('first', 'linear'\)"),
        ("gpt_classes", {"pooling": "mean"}, r"\('mean', 'linear'\)"),
        ("xlm_classes", {"summary_activation": "relu"}, "activation of the logits there"),
        ("classes", {"summary_activation": "sigmoid"}, "'last' with 'sigmoid'"),
    ],
)
def test_heads_that_transformers_has_not(case, arguments, message, make, tmp_path):
    model = tasks.TextClassifier.from_preset(make(case), **arguments)
    with pytest.raises(ValueError, match=message):
        presets.export_huggingface(model, tmp_path / "export")
    assert not (tmp_path / "export").exists()
