import re

import pytest

from keras_plm.checkpoints.conversion import check_arrays


def test_equal_arrays_are_fine():
    check_arrays("file", {"a": (2, 3), "b": ()}, {"a": (2, 3), "b": ()})
    check_arrays("file", {"a": [2]}, {"a": (2,)}, optional=["b"], known=["c"])
    check_arrays("file", {"a": (2,), "b": (1,)}, {"a": (2,), "c": (9,)}, ["b"], ["c"])


def test_all_problems_are_in_one_message():
    expected = {"a": (2, 3), "b": (4,), "c": (5,)}
    message = (
        "the/file does not hold the weights of this model: 1 missing: b; 2 unexpected: d, e; "
        "1 of another shape: a (expected (2, 3), received (2, 4)). Use the configuration that the "
        "weights were saved with."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_arrays("the/file", expected, {"a": (2, 4), "c": (5,), "d": (1,), "e": ()})


EXPECTED = {
    "bert.embeddings.word_embeddings.weight": (9, 4),
    "bert.encoder.layer.0.output.dense.weight": (4, 4),
    "transformer.h.11.attn.weight": (4, 4),
    "transformer.wte.weight": (9, 4),
    "model/h0/attn/w": (4, 4),
    "layers/transformer_block/attention/vars/0": (4, 4),
}
APART = [
    "extra",
    "my_head.weight",
    "bert.more.weight",
    "transformer.more",
    "model/more/w",
    "layers/another/vars/0",
    "vars/0",
    "optimizer/vars/3",
]
BESIDE = [
    "bert.encoder.layer.12.output.dense.weight",
    "bert.encoder.layer.0.adapter.weight",
    "bert.embeddings.more_embeddings.weight",
    "transformer.h.12.attn.weight",
    "transformer.wte.bias",
    "model/h12/attn/w",
    "layers/transformer_block_12/attention/vars/0",
    "layers/transformer_block/adapter/vars/0",
    "never.spare",
]


def check(found, strict):
    check_arrays("file", EXPECTED, found, strict=strict, never_spare={"never.spare"})


@pytest.mark.parametrize("name", [*APART, *BESIDE])
def test_what_stands_apart_is_passed_over(name, caplog):
    with pytest.raises(ValueError, match=f"1 unexpected: {name}. Use"):
        check({**EXPECTED, name: (3,)}, strict=True)
    assert not caplog.records
    if name in BESIDE:
        with pytest.raises(ValueError, match=f"2 unexpected: {name}, zzz. Use"):
            check({**EXPECTED, name: (3,), "zzz": (4,)}, strict=False)
        assert not caplog.records
        return
    check({**EXPECTED, name: (3,), "zzz": (4,)}, strict=False)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"file: 2 arrays that this model has not are passed over: {name}, zzz. `strict=True` "
        "refuses them."
    )


def test_all_is_named_where_something_is_missing(caplog):
    found = {name: shape for name, shape in EXPECTED.items() if name != "model/h0/attn/w"}
    with pytest.raises(ValueError, match="1 missing: model/h0/attn/w; 1 unexpected: extra. Use"):
        check({**found, "extra": (3,)}, strict=False)
    check(EXPECTED, strict=False)
    assert not caplog.records


def test_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"30 unexpected: n0, .*n26, \.\.\.\. Use"):
        check_arrays("file", {}, {f"n{number}": (1,) for number in range(30)})
