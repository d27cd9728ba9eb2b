"""The whole tables against names and axes written out, and against what transformers saved."""

from types import SimpleNamespace

import pytest

from keras_plm.checkpoints.conversion import HUGGING_FACE
from keras_plm.checkpoints.families.bert import BERT, ERNIE
from keras_plm.checkpoints.families.roberta import MPNET, ROBERTA
from keras_plm.checkpoints.weight_names.bert_weights import (
    BERT_HEADS,
    ROBERTA_HEADS,
    bert_copies,
    bert_rows,
    ernie_rows,
    mpnet_rows,
    roberta_copies,
    roberta_rows,
)

WITH = {"embedding_norm": True, "pooler": True}

# Our name and axes; the name and axes at Hugging Face.
EMBEDDINGS = """
token_embedding/embeddings        VD  embeddings.word_embeddings.weight        VD
position_embedding/embeddings     ND  embeddings.position_embeddings.weight    ND
embedding_norm/gamma              D   embeddings.LayerNorm.weight              D
embedding_norm/beta               D   embeddings.LayerNorm.bias                D
pooler/kernel                     IO  pooler.dense.weight                      OI
pooler/bias                       O   pooler.dense.bias                        O
"""
SEGMENTS = "segment_embedding/embeddings  SD  embeddings.token_type_embeddings.weight  SD"
TASKS = "task_embedding/embeddings        TD  embeddings.task_type_embeddings.weight   TD"
BUCKETS = "relative_position_bias/embeddings  BH  encoder.relative_attention_bias.weight  BH"
ATTENTION = """
attention/query/kernel             DHK  attention.self.query.weight        (HK)D
attention/query/bias               HK   attention.self.query.bias          (HK)
attention/key/kernel               DHK  attention.self.key.weight          (HK)D
attention/key/bias                 HK   attention.self.key.bias            (HK)
attention/value/kernel             DHK  attention.self.value.weight        (HK)D
attention/value/bias               HK   attention.self.value.bias          (HK)
attention/attention_output/kernel  HKD  attention.output.dense.weight      D(HK)
attention/attention_output/bias    D    attention.output.dense.bias        D
attention_norm/gamma               D    attention.output.LayerNorm.weight  D
attention_norm/beta                D    attention.output.LayerNorm.bias    D
"""
ATTENTION_OF_MPNET = """
attention/query/kernel             DHK  attention.attn.q.weight     (HK)D
attention/query/bias               HK   attention.attn.q.bias       (HK)
attention/key/kernel               DHK  attention.attn.k.weight     (HK)D
attention/key/bias                 HK   attention.attn.k.bias       (HK)
attention/value/kernel             DHK  attention.attn.v.weight     (HK)D
attention/value/bias               HK   attention.attn.v.bias       (HK)
attention/attention_output/kernel  HKD  attention.attn.o.weight     D(HK)
attention/attention_output/bias    D    attention.attn.o.bias       D
attention_norm/gamma               D    attention.LayerNorm.weight  D
attention_norm/beta                D    attention.LayerNorm.bias    D
"""
FEEDFORWARD = """
intermediate/kernel        DF  intermediate.dense.weight  FD
intermediate/bias          F   intermediate.dense.bias    F
feedforward_output/kernel  FD  output.dense.weight        DF
feedforward_output/bias    D   output.dense.bias          D
feedforward_norm/gamma     D   output.LayerNorm.weight    D
feedforward_norm/beta      D   output.LayerNorm.bias      D
"""
# The same at Google, whose kernels are those of our Dense layers.
GOOGLE = """
token_embedding/embeddings     VD  embeddings/word_embeddings        VD
position_embedding/embeddings  ND  embeddings/position_embeddings    ND
segment_embedding/embeddings   SD  embeddings/token_type_embeddings  SD
embedding_norm/gamma           D   embeddings/LayerNorm/gamma        D
embedding_norm/beta            D   embeddings/LayerNorm/beta         D
pooler/kernel                  IO  pooler/dense/kernel               IO
pooler/bias                    O   pooler/dense/bias                 O
"""
GOOGLE_BLOCK = """
attention/query/kernel             DHK  attention/self/query/kernel       D(HK)
attention/query/bias               HK   attention/self/query/bias         (HK)
attention/key/kernel               DHK  attention/self/key/kernel         D(HK)
attention/key/bias                 HK   attention/self/key/bias           (HK)
attention/value/kernel             DHK  attention/self/value/kernel       D(HK)
attention/value/bias               HK   attention/self/value/bias         (HK)
attention/attention_output/kernel  HKD  attention/output/dense/kernel     (HK)D
attention/attention_output/bias    D    attention/output/dense/bias       D
attention_norm/gamma               D    attention/output/LayerNorm/gamma  D
attention_norm/beta                D    attention/output/LayerNorm/beta   D
intermediate/kernel                DF   intermediate/dense/kernel         DF
intermediate/bias                  F    intermediate/dense/bias           F
feedforward_output/kernel          FD   output/dense/kernel               FD
feedforward_output/bias            D    output/dense/bias                 D
feedforward_norm/gamma             D    output/LayerNorm/gamma            D
feedforward_norm/beta              D    output/LayerNorm/beta             D
"""


def written(text, ours="", theirs=""):
    """The lines of such a table, sorted; what all of its names begin with is said once."""
    lines = [line.split() for line in text.splitlines() if line]
    return sorted((ours + path, axes, theirs + name, stored) for path, axes, name, stored in lines)


def found(rows, form="hugging_face"):
    lines = [(row, getattr(row, form), getattr(row, f"{form}_axes")) for row in rows]
    return sorted((row.ours, row.axes, name, axes or row.axes) for row, name, axes in lines)


def written_backbone(system, embeddings, block):
    lines = written(block, "block_{layer}/", f"{system}.encoder.layer.{{layer}}.")
    return sorted(written(embeddings, theirs=f"{system}.") + lines)


@pytest.mark.parametrize(
    "system, rows, size, embeddings, attention",
    [
        ("bert", bert_rows, {"num_segments": 2}, [SEGMENTS], ATTENTION),
        ("ernie", ernie_rows, {"num_segments": 4, "num_tasks": 3}, [SEGMENTS, TASKS], ATTENTION),
        ("roberta", roberta_rows, {"num_segments": 1}, [SEGMENTS], ATTENTION),
        ("mpnet", mpnet_rows, {"relative_position_buckets": 32}, [BUCKETS], ATTENTION_OF_MPNET),
    ],
)
def test_names_of_hugging_face(system, rows, size, embeddings, attention):
    embeddings = "\n".join([EMBEDDINGS, *embeddings])
    expected = written_backbone(system, embeddings, attention + FEEDFORWARD)
    assert found(rows({**WITH, **size})) == expected


def test_names_of_google():
    block = written(GOOGLE_BLOCK, "block_{layer}/", "bert/encoder/layer_{layer}/")
    expected = sorted(written(GOOGLE, theirs="bert/") + block)
    assert found(bert_rows({**WITH, "num_segments": 2}), "tensorflow") == expected


def test_a_system_without_segments():
    with pytest.raises(ValueError, match="num_segments"):
        mpnet_rows({**WITH, "num_segments": 2})


# === Heads ===

CLASSIFIER = """
logits/kernel  IO  classifier.weight  OI
logits/bias    O   classifier.bias    O
"""
SUMMARY = """
summary/kernel  IO  classifier.dense.weight     OI
summary/bias    O   classifier.dense.bias       O
logits/kernel   IO  classifier.out_proj.weight  OI
logits/bias     O   classifier.out_proj.bias    O
"""
SPAN = """
logits/kernel  IO  qa_outputs.weight  OI
logits/bias    O   qa_outputs.bias    O
"""
TOKENS = """
transform/kernel      IO  cls.predictions.transform.dense.weight      OI
transform/bias        O   cls.predictions.transform.dense.bias        O
transform_norm/gamma  I   cls.predictions.transform.LayerNorm.weight  I
transform_norm/beta   I   cls.predictions.transform.LayerNorm.bias    I
bias                  V   cls.predictions.bias                        V
"""
TOKENS_OF_ROBERTA = """
transform/kernel      IO  lm_head.dense.weight       OI
transform/bias        O   lm_head.dense.bias         O
transform_norm/gamma  I   lm_head.layer_norm.weight  I
transform_norm/beta   I   lm_head.layer_norm.bias    I
bias                  V   lm_head.bias               V
"""
PAIR = """
logits/kernel  IO  cls.seq_relationship.weight  OI
logits/bias    O   cls.seq_relationship.bias    O
"""
GOOGLE_HEADS = {
    "tokens": """
transform/kernel      IO  cls/predictions/transform/dense/kernel     IO
transform/bias        O   cls/predictions/transform/dense/bias       O
transform_norm/gamma  I   cls/predictions/transform/LayerNorm/gamma  I
transform_norm/beta   I   cls/predictions/transform/LayerNorm/beta   I
bias                  V   cls/predictions/output_bias                V
""",
    "sentence_pair": """
logits/kernel  IO  cls/seq_relationship/output_weights  OI
logits/bias    O   cls/seq_relationship/output_bias     O
""",
    "label": """
logits/kernel  IO  output_weights  OI
logits/bias    O   output_bias     O
""",
}
COMMON = {"choice": CLASSIFIER, "token_label": CLASSIFIER, "span": SPAN}
OF_BERT = {"tokens": TOKENS, "sentence_pair": PAIR, "label": CLASSIFIER, "score": CLASSIFIER}
OF_ROBERTA = {"tokens": TOKENS_OF_ROBERTA, "label": SUMMARY, "score": SUMMARY}


@pytest.mark.parametrize(
    "heads, expected",
    [(BERT_HEADS, {**OF_BERT, **COMMON}), (ROBERTA_HEADS, {**OF_ROBERTA, **COMMON})],
    ids=["bert", "roberta"],
)
def test_names_of_heads(heads, expected):
    assert {head: found(rows) for head, rows in heads.items()} == {
        head: written(text) for head, text in expected.items()
    }


def test_names_of_heads_at_google():
    tables = {**GOOGLE_HEADS, "score": GOOGLE_HEADS["label"]}
    assert {head: found(BERT_HEADS[head], "tensorflow") for head in tables} == {
        head: written(text) for head, text in tables.items()
    }
    without = [row for head in BERT_HEADS.keys() - tables.keys() for row in BERT_HEADS[head]]
    assert {row.tensorflow for row in without} == {None}


def test_copies():
    assert bert_copies("ernie.") == {
        "tokens": {
            "cls.predictions.decoder.weight": "ernie.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        }
    }
    assert roberta_copies("mpnet.") == {
        "tokens": {
            "lm_head.decoder.weight": "mpnet.embeddings.word_embeddings.weight",
            "lm_head.decoder.bias": "lm_head.bias",
        }
    }


# === What transformers saved ===


@pytest.mark.parametrize(
    "system, case, heads",
    [
        (BERT, "bert_pretraining", ["tokens", "sentence_pair"]),
        (BERT, "bert_classes", ["label"]),
        (BERT, "bert_words", ["token_label"]),
        (BERT, "bert_choices", ["choice"]),
        (BERT, "bert_span", ["span"]),
        (ERNIE, "ernie", ["tokens", "sentence_pair"]),
        (ROBERTA, "roberta_masked", ["tokens"]),
        (ROBERTA, "roberta_classes", ["label"]),
        (MPNET, "mpnet_masked", ["tokens"]),
        (MPNET, "mpnet_words", ["token_label"]),
    ],
)
def test_the_tables_name_every_tensor_of_transformers(system, case, heads, transformer_cases):
    shapes = {name: tuple(shape) for name, shape in transformer_cases[case]["shapes"].items()}
    arrays = SimpleNamespace(shapes=shapes)
    arguments, _ = system.read_hugging_face(transformer_cases[case]["config"], lambda: arrays)
    stored = system.backbone_weights(arguments, HUGGING_FACE).values()
    backbone = {name: one.shape for one in stored for name in one.names}
    assert backbone == {name: shape for name, shape in shapes.items() if name in backbone}
    rows = [row for head in heads for (table,) in [system.head_tables(head, {})] for row in table]
    assert {row.hugging_face for row in rows} == shapes.keys() - backbone.keys()
