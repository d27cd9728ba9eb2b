"""The whole table against names and axes written out, and against what transformers saved."""

import pytest

from keras_plm.checkpoints.conversion import HUGGING_FACE
from keras_plm.checkpoints.families.xlm import XLM, XLM_COPIES, XLM_HEADS, xlm_rows

# Our name and axes; the name and axes at Hugging Face, behind "transformer.".
TABLE = """
token_embedding/embeddings                         VD   embeddings.weight                    VD
position_embedding/embeddings                      ND   position_embeddings.weight           ND
language_embedding/embeddings                      GD   lang_embeddings.weight               GD
embedding_norm/gamma                               D    layer_norm_emb.weight                D
embedding_norm/beta                                D    layer_norm_emb.bias                  D
block_{layer}/attention/query/kernel               DHK  attentions.{layer}.q_lin.weight      (HK)D
block_{layer}/attention/query/bias                 HK   attentions.{layer}.q_lin.bias        (HK)
block_{layer}/attention/key/kernel                 DHK  attentions.{layer}.k_lin.weight      (HK)D
block_{layer}/attention/key/bias                   HK   attentions.{layer}.k_lin.bias        (HK)
block_{layer}/attention/value/kernel               DHK  attentions.{layer}.v_lin.weight      (HK)D
block_{layer}/attention/value/bias                 HK   attentions.{layer}.v_lin.bias        (HK)
block_{layer}/attention/attention_output/kernel    HKD  attentions.{layer}.out_lin.weight    D(HK)
block_{layer}/attention/attention_output/bias      D    attentions.{layer}.out_lin.bias      D
block_{layer}/attention_norm/gamma                 D    layer_norm1.{layer}.weight           D
block_{layer}/attention_norm/beta                  D    layer_norm1.{layer}.bias             D
block_{layer}/intermediate/kernel                  DF   ffns.{layer}.lin1.weight             FD
block_{layer}/intermediate/bias                    F    ffns.{layer}.lin1.bias               F
block_{layer}/feedforward_output/kernel            FD   ffns.{layer}.lin2.weight             DF
block_{layer}/feedforward_output/bias              D    ffns.{layer}.lin2.bias               D
block_{layer}/feedforward_norm/gamma               D    layer_norm2.{layer}.weight           D
block_{layer}/feedforward_norm/beta                D    layer_norm2.{layer}.bias             D
"""


def found(rows):
    return {row.ours: (row.axes, row.hugging_face, row.hugging_face_axes) for row in rows}


def test_names():
    lines = [line.split() for line in TABLE.splitlines() if line]
    expected = {
        ours: (axes, f"transformer.{name}", stored if stored != axes else None)
        for ours, axes, name, stored in lines
    }
    assert found(xlm_rows({"num_languages": 3, "embedding_norm": True})) == expected
    without = found(xlm_rows({"num_languages": 0, "embedding_norm": False}))
    optional = ("embedding_norm/gamma", "embedding_norm/beta", "language_embedding/embeddings")
    assert without == {ours: row for ours, row in expected.items() if ours not in optional}


def test_heads():
    texts = {"label", "score", "choice"}
    assert XLM_HEADS.keys() == texts | {"tokens", "token_label", "span"}
    assert found(XLM_HEADS["tokens"]) == {"bias": ("V", "pred_layer.proj.bias", None)}
    summary = "sequence_summary.summary"
    names = {"label": summary, "score": summary, "token_label": "classifier", "span": "qa_outputs"}
    for head, name in names.items():
        assert found(XLM_HEADS[head]) == {
            "logits/kernel": ("IO", f"{name}.weight", "OI"),
            "logits/bias": ("O", f"{name}.bias", None),
        }
    assert found(XLM_HEADS["choice"]) == {
        "summary/kernel": ("IO", f"{summary}.weight", "OI"),
        "summary/bias": ("O", f"{summary}.bias", None),
        "logits/kernel": ("IO", "logits_proj.weight", "OI"),
        "logits/bias": ("O", "logits_proj.bias", None),
    }
    assert XLM_COPIES == {"tokens": {"pred_layer.proj.weight": "transformer.embeddings.weight"}}


@pytest.mark.parametrize(
    "case, head",
    [
        ("xlm_masked", "tokens"),
        ("xlm_span", "span"),
        ("xlm_score", "score"),
        ("xlm_choices", "choice"),
    ],
)
def test_the_table_names_every_tensor_of_transformers(case, head, transformer_cases):
    shapes = {name: tuple(shape) for name, shape in transformer_cases[case]["shapes"].items()}
    arguments, _ = XLM.read_hugging_face(transformer_cases[case]["config"], None)
    stored = XLM.backbone_weights(arguments, HUGGING_FACE).values()
    backbone = {name: one.shape for one in stored for name in one.names}
    assert backbone == {name: shape for name, shape in shapes.items() if name in backbone}
    assert {row.hugging_face for row in XLM_HEADS[head]} == shapes.keys() - backbone.keys()
