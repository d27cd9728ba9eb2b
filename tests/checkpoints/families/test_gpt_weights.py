"""The whole tables against names and axes written out, and against what transformers saved."""

import pytest

from keras_plm.checkpoints.conversion import HUGGING_FACE
from keras_plm.checkpoints.families.gpt import (
    GPT,
    GPT2,
    GPT2_COPIES,
    GPT2_HEADS,
    GPT_COPIES,
    GPT_HEADS,
    gpt2_rows,
    gpt_rows,
)

# Our name and axes; the name and axes at Hugging Face, and which third of the tensor it is.
GPT_EMBEDDINGS = """
token_embedding/embeddings     VD  tokens_embed.weight     VD  0
position_embedding/embeddings  ND  positions_embed.weight  ND  0
"""
GPT2_EMBEDDINGS = """
token_embedding/embeddings     VD  wte.weight   VD  0
position_embedding/embeddings  ND  wpe.weight   ND  0
final_norm/gamma               D   ln_f.weight  D   0
final_norm/beta                D   ln_f.bias    D   0
"""
BLOCK = """
attention/query/kernel             DHK  attn.c_attn.weight  D(3HK)  0
attention/query/bias               HK   attn.c_attn.bias    (3HK)   0
attention/key/kernel               DHK  attn.c_attn.weight  D(3HK)  1
attention/key/bias                 HK   attn.c_attn.bias    (3HK)   1
attention/value/kernel             DHK  attn.c_attn.weight  D(3HK)  2
attention/value/bias               HK   attn.c_attn.bias    (3HK)   2
attention/attention_output/kernel  HKD  attn.c_proj.weight  (HK)D   0
attention/attention_output/bias    D    attn.c_proj.bias    D       0
attention_norm/gamma               D    ln_1.weight         D       0
attention_norm/beta                D    ln_1.bias           D       0
intermediate/kernel                DF   mlp.c_fc.weight     DF      0
intermediate/bias                  F    mlp.c_fc.bias       F       0
feedforward_output/kernel          FD   mlp.c_proj.weight   FD      0
feedforward_output/bias            D    mlp.c_proj.bias     D       0
feedforward_norm/gamma             D    ln_2.weight         D       0
feedforward_norm/beta              D    ln_2.bias           D       0
"""
# The same at OpenAI.
OPENAI = """
token_embedding/embeddings     VD  wte     VD  0
position_embedding/embeddings  ND  wpe     ND  0
final_norm/gamma               D   ln_f/g  D   0
final_norm/beta                D   ln_f/b  D   0
"""
OPENAI_BLOCK = """
attention/query/kernel             DHK  attn/c_attn/w  1D(3HK)  0
attention/query/bias               HK   attn/c_attn/b  (3HK)    0
attention/key/kernel               DHK  attn/c_attn/w  1D(3HK)  1
attention/key/bias                 HK   attn/c_attn/b  (3HK)    1
attention/value/kernel             DHK  attn/c_attn/w  1D(3HK)  2
attention/value/bias               HK   attn/c_attn/b  (3HK)    2
attention/attention_output/kernel  HKD  attn/c_proj/w  1(HK)D   0
attention/attention_output/bias    D    attn/c_proj/b  D        0
attention_norm/gamma               D    ln_1/g         D        0
attention_norm/beta                D    ln_1/b         D        0
intermediate/kernel                DF   mlp/c_fc/w     1DF      0
intermediate/bias                  F    mlp/c_fc/b     F        0
feedforward_output/kernel          FD   mlp/c_proj/w   1FD      0
feedforward_output/bias            D    mlp/c_proj/b   D        0
feedforward_norm/gamma             D    ln_2/g         D        0
feedforward_norm/beta              D    ln_2/b         D        0
"""


def written(text, ours="", theirs=""):
    """The lines of such a table, sorted; what all of its names begin with is said once."""
    lines = [line.split() for line in text.splitlines() if line]
    return sorted((ours + path, axes, theirs + name, *rest) for path, axes, name, *rest in lines)


def found(rows, form="hugging_face"):
    lines = [(row, getattr(row, form), getattr(row, f"{form}_axes")) for row in rows]
    return sorted(
        (row.ours, row.axes, name, axes or row.axes, str(row.part)) for row, name, axes in lines
    )


@pytest.mark.parametrize(
    "rows, arguments, embeddings",
    [(gpt_rows, {}, GPT_EMBEDDINGS), (gpt2_rows, {"normalize_first": True}, GPT2_EMBEDDINGS)],
    ids=["gpt", "gpt2"],
)
def test_names_of_hugging_face(rows, arguments, embeddings):
    block = written(BLOCK, "block_{layer}/", "transformer.h.{layer}.")
    assert found(rows(arguments)) == sorted(written(embeddings, theirs="transformer.") + block)


def test_names_of_openai():
    block = written(OPENAI_BLOCK, "block_{layer}/", "model/h{layer}/")
    expected = sorted(written(OPENAI, theirs="model/") + block)
    assert found(gpt2_rows({"normalize_first": True}), "tensorflow") == expected
    assert {row.tensorflow for row in gpt_rows({})} == {None}


def test_heads():
    """The language model has no weights of its own; the classifier of texts has no bias."""
    texts = {"tokens", "label", "score", "choice"}
    assert GPT_HEADS.keys() == texts and GPT2_HEADS.keys() == texts | {"token_label", "span"}
    assert {head: GPT2_HEADS[head] for head in texts} == GPT_HEADS
    assert GPT_HEADS["tokens"] == ((),) and GPT_HEADS["label"] is GPT_HEADS["score"]
    assert found(GPT_HEADS["score"]) == [("logits/kernel", "IO", "score.weight", "OI", "0")]
    choice = "multiple_choice_head.summary"
    names = {"choice": choice, "token_label": "classifier", "span": "qa_outputs"}
    for head, name in names.items():
        assert found(GPT2_HEADS[head]) == [
            ("logits/bias", "O", f"{name}.bias", "O", "0"),
            ("logits/kernel", "IO", f"{name}.weight", "OI", "0"),
        ]
    assert GPT_COPIES == {"tokens": {"lm_head.weight": "transformer.tokens_embed.weight"}}
    assert GPT2_COPIES == {"tokens": {"lm_head.weight": "transformer.wte.weight"}}


@pytest.mark.parametrize(
    "system, case, own",
    [
        (GPT, "gpt", set()),
        (GPT2, "gpt2", set()),
        (GPT2, "gpt2_words", {"classifier.weight", "classifier.bias"}),
    ],
    ids=["gpt", "gpt2", "gpt2_words"],
)
def test_the_table_names_every_tensor_of_transformers(system, case, own, transformer_cases):
    shapes = {name: tuple(shape) for name, shape in transformer_cases[case]["shapes"].items()}
    arguments, _ = system.read_hugging_face(transformer_cases[case]["config"], None)
    stored = system.backbone_weights(arguments, HUGGING_FACE).values()
    backbone = {name: one.shape for one in stored for name in one.names}
    assert backbone == {name: shape for name, shape in shapes.items() if name not in own}
