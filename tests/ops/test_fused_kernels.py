"""What JAX's fused attention of a GPU takes: its own checks, of what our layers hand on."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import TransformerBackbone
from keras_plm.layers import TransformerBlock
from keras_plm.ops import attend, attention

stablehlo = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")

BATCH, LENGTH, WIDTH = 2, 6, 16
PADDING = np.array([[True] * LENGTH, [True] * 4 + [False] * 2])
OWN = np.random.default_rng(0).random((BATCH, LENGTH, LENGTH)) < 0.7
CASES = {
    "nothing is hidden": (None, False),
    "padding": (PADDING[:, None], False),
    "causal": (None, True),
    "causal and padding": (PADDING[:, None], True),
    "windows": (OWN | np.eye(LENGTH, dtype=bool), True),
}


@pytest.fixture
def handed_on(monkeypatch):
    """What `attend` hands to Keras where JAX computes on a GPU: a list of (tensors, options)."""
    calls, fused = [], ops.dot_product_attention

    def keep(query, key, value, **options):
        calls.append(((query, key, value), dict(options)))
        return fused(query, key, value, **{**options, "flash_attention": None})

    monkeypatch.setattr(attention, "_platform", lambda: "gpu")
    monkeypatch.setattr(attention.ops, "dot_product_attention", keep)
    monkeypatch.setattr(stablehlo, "check_compute_capability", lambda least: True)
    monkeypatch.setattr(stablehlo, "is_cuda_compute_capability_equal", lambda one: False)
    return calls


def check_by_jax(tensors, options, is_training):
    """Raises what JAX would, before it calls cuDNN."""
    bias, layout = options["bias"], stablehlo.AttentionLayout.BTNH
    assert options["mask"] is None and options["flash_attention"] is not False
    shapes = [keras.KerasTensor(one.shape, one.dtype) for one in tensors]
    for one in (*shapes, *([] if bias is None else [bias])):
        assert keras.backend.standardize_dtype(one.dtype) == "bfloat16"
    arrays = [np.zeros(one.shape, stablehlo.dtypes.bfloat16) for one in shapes]
    stablehlo.check_layout(*arrays, bias, None, None, None, None, None, None, layout)
    stablehlo.check_is_flash_attention(
        *arrays, layout.value, 91100, has_bias=bias is not None, is_training=is_training
    )


@pytest.mark.parametrize("training", [True, False], ids=["training", "prediction"])
@pytest.mark.parametrize("name", CASES)
def test_a_block_hands_on_what_cudnn_takes(handed_on, name, training):
    visible, causal = CASES[name]
    content = ops.cast(np.ones((BATCH, LENGTH, WIDTH)), "bfloat16")
    block = TransformerBlock(2, 8, 32, dropout=0.1, dtype="mixed_bfloat16")
    visible = None if visible is None else ops.convert_to_tensor(visible)
    block(content, visible, causal=causal, training=training)
    (call,) = handed_on
    check_by_jax(*call, training)


@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"causal": True, "window": (None, 3)}])
def test_every_layer_of_a_backbone_does(handed_on, settings):
    sizes = dict(
        vocabulary_size=20,
        num_segments=0,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
    )
    backbone = TransformerBackbone(
        **sizes, max_sequence_length=8, attention_dropout=0.0, dtype="mixed_bfloat16", **settings
    )
    handed_on.clear()
    tokens = np.ones((BATCH, LENGTH), "int32")
    backbone({"token_ids": tokens, "padding_mask": PADDING}, training=True)
    assert len(handed_on) == 2
    for call in handed_on:
        check_by_jax(*call, True)


def test_what_cudnn_has_no_gradient_of_is_left_to_xla(handed_on):
    """Of odd lengths it has none where something is hidden, which JAX finds out too late."""
    content = ops.cast(np.ones((BATCH, LENGTH - 1, WIDTH)), "bfloat16")
    block = TransformerBlock(2, 8, 32, dtype="mixed_bfloat16")
    block(content, ops.convert_to_tensor(PADDING[:, None, :-1]))
    block(content, causal=True)
    assert [options["flash_attention"] for _, options in handed_on] == [False, None]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_a_cpu(monkeypatch, name, bias):
    visible, causal = CASES[name]
    visible = None if visible is None else ops.convert_to_tensor(visible)
    numbers = np.random.default_rng(1).normal(size=(3, BATCH, LENGTH, 2, 8)).astype("float32")
    added = np.random.default_rng(2).normal(size=(1, 2, LENGTH, LENGTH)).astype("float32")
    expected = attend(*numbers, visible, causal, added if bias else None)
    monkeypatch.setattr(attention, "_platform", lambda: "gpu")
    found = attend(*numbers, visible, causal, added if bias else None)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-6
    )


@pytest.mark.parametrize("backend, platform", [("jax", "cpu"), ("tensorflow", None)])
def test_only_jax_says_what_it_computes_on(monkeypatch, backend, platform):
    monkeypatch.setattr(attention.keras.backend, "backend", lambda: backend)
    assert attention._platform() == platform


def test_a_tpu_gets_no_kernel_that_reads_from_left_to_right(handed_on, monkeypatch):
    monkeypatch.setattr(attention, "_platform", lambda: "tpu")
    content = ops.cast(np.ones((BATCH, LENGTH, WIDTH)), "bfloat16")
    TransformerBlock(2, 8, 32, dtype="mixed_bfloat16")(content)
    assert [options["flash_attention"] for _, options in handed_on] == [False]
