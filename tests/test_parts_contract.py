"""The contract of heads, layers, metrics, objectives and their settings: one table of each.

A row is a part with settings that are not its defaults, and what goes in. A column is a test.
"""

import inspect
import json
from dataclasses import dataclass
from typing import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import backbones, data, heads, layers, metrics, objectives
from keras_plm.files import check_config
from keras_plm.ops import content_visibility, query_visibility

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Sizes of which no two are equal: those of LENGTH and SLOTS are free in a model.
BATCH, LENGTH, SLOTS, WIDTH, HEADS, KEY, VOCABULARY = 4, 6, 3, 8, 2, 5, 10
ENTITY = 14


def classes_of(package):
    """The names of the public classes that can be made."""
    public = {name: getattr(package, name) for name in package.__all__}
    return {
        name for name, one in public.items() if inspect.isclass(one) and not inspect.isabstract(one)
    }


def classes_in(rows):
    """What the rows are about: the first word of their names."""
    return {name.split()[0] for name in rows}


def test_every_public_part_has_a_row():
    abstract = {
        "Head",
        "Targets",
        "SmoothedCrossEntropy",
        "NegativeLogLikelihood",
        "SoftLabelLoss",
    }  # what heads are, and what they say
    assert classes_in(PARTS) == (classes_of(heads) - abstract) | classes_of(layers)
    assert classes_in(METRICS) == classes_of(metrics)
    assert classes_in(OBJECTIVES) | classes_in(SETTINGS) == classes_of(objectives) - {"Hidden"}


def changed_from_default(default, value):
    """Whether a value of a config says something else than a default."""
    if isinstance(value, dict) and "function" not in value and isinstance(default, str):
        default = keras.initializers.serialize(keras.initializers.get(default))
    if hasattr(default, "get_config"):
        default = default.get_config()
    return value != (list(default) if isinstance(default, tuple) else default)


def test_some_row_changes_every_default(tokenizers):
    """Else a config that forgets an argument would come back the same."""
    made = {name: row.make() for name, row in {**PARTS, **METRICS}.items()}
    made |= {name: make(tokenizers[layout]) for name, (layout, make) in OBJECTIVES.items()}
    unchanged = {}
    for name, one in {**made, **SETTINGS}.items():
        config, own = one.get_config(), vars(type(one)).get("__init__", lambda: None)
        for parameter in inspect.signature(own).parameters.values():
            known = parameter.name != "dtype" and parameter.name in config
            if parameter.default is not parameter.empty and known:
                changed = changed_from_default(parameter.default, config[parameter.name])
                unchanged.setdefault((name.split()[0], parameter.name), []).append(changed)
    assert not [argument for argument, rows in unchanged.items() if not any(rows)]


# === Rows of heads and layers ===


@dataclass(frozen=True)
class Row:
    """A head or layer.

    Attributes:
        make: function of keyword arguments, such as a dtype, that makes one.
        inputs: dict of arrays.
        call: function of (layer, inputs), arrays or symbols. None: the layer takes them in order.
        ready: function of (layer) that must come before a call with arrays.
        float32: whether all float outputs are float32 under any policy.
        near: how far half precision may be off, for the largest value of an output.
        graph: whether it can stand in a graph by itself.
    """

    make: Callable
    inputs: dict
    call: Callable | None = None
    ready: Callable = lambda layer: None
    float32: bool = False
    near: float = 0.03
    graph: bool = True

    def outputs(self, layer, inputs):
        """The outputs, as the layer gives them."""
        if not isinstance(next(iter(inputs.values())), keras.KerasTensor):
            self.ready(layer)
        return self.call(layer, inputs) if self.call else layer(*inputs.values())

    def __call__(self, layer, inputs):
        """The outputs, as a flat list."""
        outputs = keras.tree.flatten(self.outputs(layer, inputs))
        return [one for one in outputs if one is not None]


random = np.random.default_rng(0)


def normal(*shape):
    return random.normal(size=shape).astype("float32")


def large():
    """An initializer of weights so large that scores matter."""
    return keras.initializers.RandomNormal(stddev=0.5)


def table(**options):
    return keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH, **options)


ROWS, PER_HEAD = {"rows": normal(BATCH, LENGTH, WIDTH)}, normal(BATCH, LENGTH, HEADS, KEY)
SLOT_ROWS, POOLED = normal(BATCH, SLOTS, WIDTH), {"pooled": normal(BATCH, WIDTH)}
TOKENS = {"token_ids": random.integers(0, VOCABULARY, (BATCH, LENGTH)).astype("int32")}
REAL = np.arange(LENGTH) < np.array([[LENGTH], [4], [2], [5]])
TARGETS = np.array([[3, 1, 4], [0, 4, 4], [3, 0, 0], [5, 2, 1]], "int32")
KEYS = np.tile(np.arange(LENGTH, dtype="int32"), (BATCH, 1))
ORDER = np.array([[0, 2, 0, 1, 3, 0], [1, 2, 3, 4, 5, 6], [0] * 6, [0, 3, 2, 0, 0, 1]], "int32")
SEES = ops.convert_to_numpy(content_visibility(ORDER, REAL))
QUERY_SEES = ops.convert_to_numpy(query_visibility(ORDER, TARGETS, REAL))
SAME = random.random((BATCH, LENGTH, LENGTH)) < 0.5
BIAS = normal(1, HEADS, LENGTH, LENGTH)
FRESH = np.array([True, False, True, False])

BLOCK = dict(dropout=0.1, attention_dropout=0.2, layer_norm_epsilon=1e-6, remat=True)
XL_BLOCK = dict(**BLOCK, activation_dropout=0.3, activation="gelu")
STREAMS = {**ROWS, "query": SLOT_ROWS, "positions": TARGETS, "sees": SEES, "query_sees": QUERY_SEES}
SOURCE_SEES = random.random((BATCH, LENGTH, SLOTS)) < 0.5
SPANS = dict(**ROWS, answer_mask=REAL, start_positions=np.array([5, -1, 1, -1], "int32"))
EDGES = {"left": TARGETS, "right": (TARGETS + 4) % VOCABULARY, "offsets": TARGETS}


def block(**options):
    return layers.TransformerBlock(
        *(HEADS, KEY, 16),
        **BLOCK,
        activation="relu",
        normalize_first=True,
        kernel_initializer=large(),
        output_initializer=large(),
        **options,
    )


def xl_block(biases=None, **options):
    return layers.TransformerXLBlock(
        *(HEADS, KEY, 16), **XL_BLOCK, biases=biases, kernel_initializer=large(), **options
    )


def distances(rows, **options):
    return layers.RelativePositionEncoding(WIDTH, name="distances", **options)(rows)


def with_two_streams(layer, given):
    """And the block alone: the model holds it once."""
    positions = distances(given["rows"], dtype=layer.dtype_policy)
    return layer.block(given["rows"], positions), *layer(
        given["rows"],
        given["query"],
        shared={"position_encoding": positions},
        content_own={"visible": given["sees"]},
        query_own={"visible": given["query_sees"], "positions": given["positions"]},
    )


def with_two_kinds_of_rows(layer, given):
    return layer(
        given["rows"],
        distances(given["rows"], dtype=layer.dtype_policy),
        query=given["query"],
        query_positions=given["positions"],
        content_visible=given["sees"],
        query_visible=given["query_sees"],
    )


def with_segments(layer, given):
    positions = distances(given["rows"], dtype=layer.dtype_policy)
    return layer(given["rows"], positions, visible=given["sees"], same_segment=given["same"])


def with_biases(layer, given):
    """They stand beside the block too: the model holds them once."""
    return layer.attention.biases(given["query"]), with_segments(layer, given)


def with_tokens(layer, given):
    """The table makes the rows too: the model holds it once."""
    return layer(layer.token_embedding(given["token_ids"]))


def with_edges(layer, given):
    left, right = (layer.token_embedding(given[name]) for name in ("left", "right"))
    return layer(left, right, given["offsets"])


def with_a_loss(layer, given):
    rows = layer.token_embedding(given["token_ids"])
    return layer(rows[:, 0], rows, given["token_ids"], given["real"])


def after_memory(layer, given):
    memory = layer.memory(given["fresh"])
    return layer(given["rows"], memory + 1.0)


def with_a_source(layer, given):
    source = {"source": given["source"], "source_visible": given["source_sees"]}
    return layer(given["rows"], given["sees"], **source)


def with_maps_of_a_source(layer, given):
    """The block alone as well, for the same reason."""
    source = {"source": given["source"]}
    return layer.block(given["rows"], **source), layer(given["rows"], **source)


def with_maps(layer, given):
    """The block alone and what it reads: the model holds it once."""
    visible = given["sees"]
    return layer.block(given["rows"], visible), layer(given["rows"], visible)


def after_state(layer, given):
    state = layer.carried(given["fresh"])
    return layer(given["rows"], {name: value + 1 for name, value in state.items()})


def resize(layer):
    carrier = getattr(layer, "memory", getattr(layer, "carried", layer))
    carrier.forget()
    carrier.resize(BATCH, training=False)


def state_of_two(**options):
    """Leaves of two ranks and dtypes."""
    spec = {"cell": keras.KerasTensor((None, WIDTH)), "count": keras.KerasTensor((None,), "int32")}
    return layers.CarriedState(spec, **options)


def adaptive(**options):
    return layers.AdaptiveEmbedding(
        *(VOCABULARY, WIDTH, 4, (3, 7), 2, False),
        embeddings_initializer=large(),
        projection_initializer=large(),
        **options,
    )


def with_a_state(layer, given):
    return layer(given["rows"], (given["hidden"], given["cell"]), given["real"])


def an_lstm(dtype=None, **_):
    return backbones.AWDLSTMBackbone(VOCABULARY, 1, 4, 4, dtype=dtype)


LAYERS = {
    "ActivationRegularization": Row(
        lambda **o: layers.ActivationRegularization(0.5, 0.25, **o),
        {**ROWS, "raw": ROWS["rows"], "real": REAL},
        lambda layer, given: layer(given["rows"], given["raw"], given["real"], training=True),
    ),
    "AttentionPooling": Row(
        lambda **o: layers.AttentionPooling(4, 0.3, 0.2, large(), **o), {**ROWS, "real": REAL}
    ),
    "AttentionPooling of all, without an LSTM": Row(
        lambda **o: layers.AttentionPooling(kernel_initializer=large(), **o), ROWS
    ),
    "ConcatPooling": Row(layers.ConcatPooling, {**ROWS, "real": REAL}),
    "ConcatPooling of all": Row(layers.ConcatPooling, ROWS),
    "LongTextPooling": Row(
        lambda **o: layers.LongTextPooling(an_lstm(**o), 2, 2, **o), {**TOKENS, "real": REAL}
    ),
    "EmbeddingDropout": Row(
        lambda **o: layers.EmbeddingDropout(VOCABULARY, 0.3, **o), {**ROWS, **TOKENS}
    ),
    "WeightDropLSTM": Row(
        lambda **o: layers.WeightDropLSTM(KEY, 0.3, large(), large(), large(), **o),
        {**ROWS, "hidden": normal(BATCH, KEY), "cell": normal(BATCH, KEY), "real": REAL},
        with_a_state,
        near=0.06,
    ),
    "WeightDropLSTM from zeros": Row(lambda **o: layers.WeightDropLSTM(KEY, **o), ROWS),
    "AdaptiveEmbedding": Row(adaptive, TOKENS),
    "AdaptiveEmbedding of one table": Row(
        lambda **o: layers.AdaptiveEmbedding(VOCABULARY, WIDTH, cutoffs=(3, 7), **o), TOKENS
    ),
    "AttentionBiases": Row(
        lambda **o: layers.AttentionBiases(HEADS, KEY, initializer=large(), **o),
        {"query": PER_HEAD},
    ),
    "AttentionBiases without segments": Row(
        lambda **o: layers.AttentionBiases(HEADS, KEY, segments=False, **o),
        {"query": PER_HEAD},
        graph=False,  # its third output is None, which Keras's graphs do not have
    ),
    "AttentionMaps": Row(
        lambda **o: layers.AttentionMaps(block(**o)), {**ROWS, "sees": SEES}, with_maps
    ),
    "AttentionMaps of a source": Row(
        lambda **o: layers.AttentionMaps(
            layers.TransformerBlock(HEADS, KEY, 16, cross_attention=True, **o)
        ),
        {**ROWS, "source": SLOT_ROWS},
        with_maps_of_a_source,
    ),
    "CharacterCNN": Row(
        lambda **o: layers.CharacterCNN(KEY, [[1, 3], [2, 4]], 7, 1, "tanh", **o),
        {"character_ids": random.integers(1, 262, (BATCH, LENGTH, 9)).astype("int32")},
        near=0.06,
    ),
    "CharacterCNN without a projection": Row(
        lambda **o: layers.CharacterCNN(7, ((1, 3), (2, 4)), num_highways=0, **o),
        {"character_ids": random.integers(1, 262, (BATCH, LENGTH, 9)).astype("int32")},
    ),
    "ChoicesToRows": Row(layers.ChoicesToRows, {"choices": normal(BATCH, 3, LENGTH)}),
    "ChoicesToRows of masks": Row(layers.ChoicesToRows, {"choices": np.stack([REAL] * 3, 1)}),
    "ProjectedLSTM": Row(
        lambda **o: layers.ProjectedLSTM(HEADS, KEY, 0.7, 0.9, large(), large(), **o),
        {**ROWS, "hidden": normal(BATCH, KEY), "cell": normal(BATCH, HEADS), "real": REAL},
        with_a_state,
        near=0.06,
    ),
    "ProjectedAttention": Row(
        lambda **o: layers.ProjectedAttention(
            *(HEADS, KEY, 0.1), kernel_initializer=large(), output_initializer="zeros", **o
        ),
        {**ROWS, "sees": SEES, "bias": BIAS},
        lambda layer, given: layer(given["rows"], given["sees"], bias=given["bias"]),
    ),
    "ProjectedAttention without biases": Row(
        lambda **o: layers.ProjectedAttention(
            *(HEADS, KEY),
            use_bias=False,
            scale_scores=False,
            query_initializer=keras.initializers.RandomNormal(stddev=0.2),
            **o,
        ),
        ROWS,
    ),
    "QueryRows": Row(
        lambda **o: layers.QueryRows(layers.TokenAndQueryEmbedding(VOCABULARY, WIDTH, **o)),
        {**TOKENS, "positions": TARGETS},
        lambda layer, given: (layer.embedding(given["token_ids"]), layer(given["positions"])),
    ),
    "RelativePositionBias": Row(
        lambda **o: layers.RelativePositionBias(
            *(8, HEADS, 16), embeddings_initializer=large(), **o
        ),
        {"row_positions": TARGETS, "key_positions": KEYS},
    ),
    "RelativePositionBias in one direction": Row(
        lambda **o: layers.RelativePositionBias(8, HEADS, bidirectional=False, **o),
        {"row_positions": TARGETS, "key_positions": KEYS},
    ),
    "RelativePositionEncoding": Row(
        lambda **o: layers.RelativePositionEncoding(
            *(WIDTH, True, 4), factorise=False, dropout=0.25, **o
        ),
        ROWS,
        lambda layer, given: layer(given["rows"], memory_length=3, both_directions=True),
    ),
    "RelativePositionEncoding in factors": Row(
        lambda **o: layers.RelativePositionEncoding(WIDTH, **o),
        ROWS,
        lambda layer, given: layer(given["rows"], memory_length=3),
    ),
    "RelativeSegmentEncoding": Row(
        lambda **o: layers.RelativeSegmentEncoding(
            *(HEADS, KEY, False), kernel_initializer=large(), **o
        ),
        {"query": PER_HEAD, "same": SAME},
    ),
    "LastStates": Row(lambda **o: layers.LastStates(3, **o), ROWS),
    "ReplayableDropout": Row(lambda **o: layers.ReplayableDropout(0.3, **o), ROWS),
    "RowsToChoices": Row(
        layers.RowsToChoices,
        {"scores": normal(BATCH * 3, 1), "choices": np.zeros((BATCH, 3, LENGTH), "int32")},
    ),
    "ScalarMix": Row(
        lambda **o: layers.ScalarMix(regularization=0.1, **o),
        {**ROWS, "above": normal(BATCH, LENGTH, WIDTH)},
        lambda layer, given: layer([given["rows"], given["above"]]),
    ),
    "ScalarMix of the top": Row(
        lambda **o: layers.ScalarMix(True, True, **o),
        {**ROWS, "above": normal(BATCH, LENGTH, WIDTH), "real": REAL},
        lambda layer, given: layer([given["rows"], given["above"]], given["real"]),
    ),
    "EntityTable": Row(  # no file has it, see its own tests
        lambda **o: layers.EntityTable(VOCABULARY, WIDTH, **o), TOKENS, float32=True, graph=False
    ),
    "KnowledgeFusionBlock": Row(
        lambda **o: layers.KnowledgeFusionBlock(
            *(HEADS, KEY, 16, ENTITY, 2, False, 0.1, 0.2, "relu", 1e-6),
            kernel_initializer=large(),
            **o,
        ),
        {**ROWS, "entities": normal(BATCH, LENGTH, ENTITY), "has_entity": REAL, "sees": SEES},
    ),
    "KnowledgeFusionBlock of defaults": Row(
        lambda **o: layers.KnowledgeFusionBlock(HEADS, KEY, 16, 12, **o),
        {**ROWS, "entities": normal(BATCH, LENGTH, 12)},
    ),
    "SegmentMemory": Row(
        lambda **o: layers.SegmentMemory(HEADS, KEY, WIDTH, **o), {"fresh": FRESH}, ready=resize
    ),
    "SinusoidalPositionEncoding": Row(
        lambda **o: layers.SinusoidalPositionEncoding(WIDTH, "halves_inclusive", 1, **o),
        {"positions": KEYS},
    ),
    "CarriedState": Row(state_of_two, {"fresh": FRESH}, ready=resize),
    "TokenAndQueryEmbedding": Row(
        lambda **o: layers.TokenAndQueryEmbedding(VOCABULARY, WIDTH, large(), **o), TOKENS
    ),
    "TransformerBlock": Row(
        block,
        {**ROWS, "sees": SEES, "bias": BIAS},
        lambda layer, given: layer(given["rows"], given["sees"], bias=given["bias"]),
    ),
    "TransformerBlock of a decoder": Row(
        lambda **o: layers.TransformerBlock(
            *(HEADS, KEY, 16),
            **BLOCK,
            activation_dropout=0.3,
            kernel_initializer=large(),
            query_initializer=large(),
            norm="rms",
            use_bias=False,
            scale_scores=False,
            gated=True,
            cross_attention=True,
            **o,
        ),
        {**ROWS, "sees": SEES, "source": SLOT_ROWS, "source_sees": SOURCE_SEES},
        with_a_source,
        near=0.06,
    ),
    "TransformerBlock of defaults": Row(
        lambda **o: layers.TransformerBlock(HEADS, KEY, 16, **o), ROWS
    ),
    "TransformerXLBlock": Row(xl_block, {**ROWS, "sees": SEES, "same": SAME}, with_segments),
    "TransformerXLBlock without segments": Row(
        lambda **o: xl_block(segments=False, **o),
        ROWS,
        lambda layer, given: layer(given["rows"], distances(given["rows"])),
    ),
    "TransformerXLBlock of norms first": Row(
        lambda **o: xl_block(normalize_first=True, **o),
        {**ROWS, "sees": SEES, "same": SAME},
        with_segments,
    ),
    "TransformerXLBlock with given biases": Row(
        lambda **o: xl_block(layers.AttentionBiases(HEADS, KEY, **o), **o),
        {**ROWS, "sees": SEES, "same": SAME, "query": PER_HEAD},
        with_biases,
    ),
    "TwoStreamAttention with given biases": Row(
        lambda **o: layers.TwoStreamAttention(
            HEADS, KEY, biases=layers.AttentionBiases(HEADS, KEY, **o), **o
        ),
        {**STREAMS, "per_head": PER_HEAD},
        lambda layer, given: (
            layer.biases(given["per_head"]),
            with_two_kinds_of_rows(layer, given),
        ),
    ),
    "TwoStream": Row(lambda **o: layers.TwoStream(xl_block(**o)), STREAMS, with_two_streams),
    "TwoStreamAttention": Row(
        lambda **o: layers.TwoStreamAttention(
            *(HEADS, KEY), dropout=0.25, kernel_initializer=large(), **o
        ),
        STREAMS,
        with_two_kinds_of_rows,
    ),
    "TwoStreamAttention without segments": Row(
        lambda **o: layers.TwoStreamAttention(HEADS, KEY, segments=False, **o),
        STREAMS,
        with_two_kinds_of_rows,
    ),
    "UpdateCarriedState": Row(
        lambda **o: layers.UpdateCarriedState(state_of_two(**o), **o),
        {**ROWS, "fresh": FRESH},
        after_state,
        ready=resize,
    ),
    "UpdateSegmentMemory": Row(
        lambda **o: layers.UpdateSegmentMemory(layers.SegmentMemory(HEADS, KEY, WIDTH, **o), **o),
        {**ROWS, "fresh": FRESH},
        after_memory,
        ready=resize,
    ),
}
HEADS_OF_MODELS = {
    "AdaptiveSoftmaxHead": Row(
        lambda **o: heads.AdaptiveSoftmaxHead(
            table(**o), (3, 7), False, "none", 3, kernel_initializer=large()
        ),
        TOKENS,
        with_tokens,
    ),
    "AdaptiveSoftmaxHead of adaptive embeddings": Row(
        lambda **o: heads.AdaptiveSoftmaxHead(adaptive(**o), num_chunks=2), TOKENS, with_tokens
    ),
    "AnswerClass": Row(
        lambda **o: heads.AnswerClass(WIDTH, 0.3, large(), **o),
        {**POOLED, "summary": normal(BATCH, WIDTH)},
        float32=True,
    ),
    "AttentionPoolingHead": Row(
        lambda **o: heads.AttentionPoolingHead(
            3, WIDTH, 4, 0.2, kernel_initializer=large(), labels="classes", **o
        ),
        {"pooled": normal(BATCH, 4)},
        float32=True,
    ),
    "AuxiliaryLMLoss": Row(
        lambda **o: heads.AuxiliaryLMLoss(table(**o), 0.25, name="lm"),
        {**TOKENS, "real": REAL},
        with_a_loss,
    ),
    "BeamSpanHead": Row(
        lambda **o: heads.BeamSpanHead(WIDTH, 4, 2, 0.3, 1e-5, large(), **o), SPANS, float32=True
    ),
    "ConcatPoolingHead": Row(
        lambda **o: heads.ConcatPoolingHead(
            3, WIDTH, (5, 4), 0.3, 0.2, kernel_initializer=large(), labels="classes", **o
        ),
        {"pooled": normal(BATCH, 3 * WIDTH)},
        float32=True,
    ),
    "EndLogits": Row(
        lambda **o: heads.EndLogits(WIDTH, 1e-5, large(), **o),
        {**ROWS, "starts": SLOT_ROWS},
        float32=True,
    ),
    "MaskedLMHead": Row(
        lambda **o: heads.MaskedLMHead(table(**o)), TOKENS, with_tokens, float32=True
    ),
    "MaskedLMHead with transform": Row(
        lambda **o: heads.MaskedLMHead(
            table(**o), True, "relu", 1e-5, False, large(), label_smoothing=0.1, shared_by="all"
        ),
        TOKENS,
        with_tokens,
        float32=True,
    ),
    "MaskedLMHead with a token that is 0": Row(
        lambda **o: heads.MaskedLMHead(table(**o), scale=0.5, zero_token_id=3),
        TOKENS,
        with_tokens,
        float32=True,
    ),
    "NegativeSamplingHead": Row(
        lambda **o: heads.NegativeSamplingHead(VOCABULARY, 2, **o),
        {"rows": SLOT_ROWS, "candidate_ids": np.stack([TARGETS, KEYS[:, :SLOTS], TARGETS], -1)},
        float32=True,
    ),
    "SANHead": Row(
        lambda **o: heads.SANHead(3, 2, 0.3, 0.2, large(), **o),
        {**ROWS, "premise": REAL & (KEYS < 2), "hypothesis": KEYS >= 2},
        float32=True,
        near=0.06,
    ),
    "SentencePairHead": Row(
        lambda **o: heads.SentencePairHead(large(), num_classes=3, **o), POOLED, float32=True
    ),
    "SpanBoundaryHead": Row(
        lambda **o: heads.SpanBoundaryHead(table(**o), 3, 7, "relu", 1e-5, large()),
        EDGES,
        with_edges,
        float32=True,
    ),
    "EntityHead": Row(  # no file has its table
        lambda **o: heads.EntityHead(
            layers.EntityTable(VOCABULARY, ENTITY, **o), "relu", 1e-6, large()
        ),
        {**ROWS, "candidates": TARGETS},
        float32=True,
        graph=False,
    ),
    "SampledSoftmaxHead": Row(
        lambda **o: heads.SampledSoftmaxHead(
            heads.SoftmaxTable(VOCABULARY, WIDTH, **o), 4, "forward_output", 0.5
        ),
        ROWS,
        float32=True,
    ),
    "SoftmaxTable": Row(lambda **o: heads.SoftmaxTable(VOCABULARY, WIDTH, **o), ROWS, float32=True),
    "SpanHead": Row(
        lambda **o: heads.SpanHead(large(), **o), {**ROWS, "answer_mask": REAL}, float32=True
    ),
    "SummaryHead": Row(
        lambda **o: heads.SummaryHead(3, WIDTH, 0.2, kernel_initializer=large(), **o),
        POOLED,
        float32=True,
    ),
    "SummaryHead of a summary": Row(
        lambda **o: heads.SummaryHead(3, WIDTH, summarise=False, **o), POOLED, float32=True
    ),
    "SummaryHead without a bias": Row(
        lambda **o: heads.SummaryHead(
            3, WIDTH, summarise=False, activation="gelu_tanh", use_bias=False, **o
        ),
        POOLED,
        float32=True,
    ),
    "SummaryHead of numbers": Row(
        lambda **o: heads.SummaryHead(1, WIDTH, labels="number", **o), POOLED, float32=True
    ),
    "TokenHead": Row(lambda **o: heads.TokenHead(3, 0.2, large(), **o), ROWS, float32=True),
    "TokenHead of layers": Row(
        lambda **o: heads.TokenHead(3, mix=True, **o),
        {**ROWS, "above": normal(BATCH, LENGTH, WIDTH)},
        lambda layer, given: layer([given["rows"], given["above"]]),
        float32=True,
    ),
    "TokenHead of entities": Row(
        lambda **o: heads.TokenHead(3, class_names=["O", "B-a", "I-a"], **o), ROWS, float32=True
    ),
}
PARTS = {**LAYERS, **HEADS_OF_MODELS}
parts = pytest.mark.parametrize("row", PARTS.values(), ids=PARTS)
IN_GRAPHS = {name: row for name, row in PARTS.items() if row.graph}
in_graphs = pytest.mark.parametrize("row", IN_GRAPHS.values(), ids=IN_GRAPHS)


def to_numpy(tensors):
    """Arrays, those of half precision in float32."""
    return [
        ops.convert_to_numpy(ops.cast(one, "float32") if is_float(one) else one) for one in tensors
    ]


def is_float(tensor):
    return "float" in keras.backend.standardize_dtype(tensor.dtype)


def made(row, **options):
    """A layer that was called, so that it is built, with weights of which none is 0."""
    layer = row.make(**options)
    row(layer, row.inputs)
    values = np.random.default_rng(1)
    for weight in weights_of(layer):
        weight.assign(values.normal(0, 0.5, weight.shape))
    return layer


def weights_of(layer):
    """Without the seeds of dropout, the states of a memory and the statistics of batch norms."""
    own = [(weight, weight.path.rsplit("/")[-1]) for weight in layer.weights]
    return [weight for weight, name in own if "state" not in name and "moving" not in name]


def assert_equal(found, expected):
    for one, other in zip(to_numpy(found), to_numpy(expected), strict=True):
        np.testing.assert_array_equal(one, other)


# === Columns of heads and layers ===


@parts
def test_config_round_trip(row):
    layer = made(row)
    config = layer.get_config()
    signature = inspect.signature(type(layer).__init__).parameters
    assert set(signature) - {"self", "args", "kwargs"} <= set(config)
    written = json.dumps(config)
    again = type(layer).from_config(config)
    assert json.dumps(config) == written  # `from_config` leaves its argument as it is
    assert again.get_config() == config
    row(again, row.inputs)
    for weight, value in zip(weights_of(again), weights_of(layer), strict=True):
        weight.assign(value)
    assert_equal(row(again, row.inputs), row(layer, row.inputs))


@parts
def test_what_is_frozen_stays_so(row):
    """Keras freezes layers inside when `trainable` is set, not where it comes from a file."""
    layer = type(row.make()).from_config({**row.make().get_config(), "trainable": False})
    row(layer, row.inputs)
    assert not layer.trainable_variables and not [v for v in layer.variables if v.trainable]


@in_graphs
def test_symbols_have_the_shapes_and_dtypes_of_arrays(row):
    """None in a shape is what only an array says."""
    layer = row.make()
    symbols = {
        name: keras.KerasTensor(value.shape, str(value.dtype)) for name, value in row.inputs.items()
    }
    arrays, symbols = row.outputs(layer, row.inputs), row.outputs(row.make(), symbols)
    keras.tree.assert_same_structure(symbols, arrays)
    for symbol, array in zip(*map(keras.tree.flatten, (symbols, arrays)), strict=True):
        assert symbol.dtype == keras.backend.standardize_dtype(array.dtype)
        assert len(symbol.shape) == len(array.shape)
        known = zip(symbol.shape, array.shape)
        assert all(size in (None, other) for size, other in known), symbol.shape


@in_graphs
def test_files_of_a_model(row, tmp_path):
    """Of free lengths; a part that stands at two places of the model is one after reload too."""
    inputs = {
        name: keras.Input(
            [None if size in (LENGTH, SLOTS) else size for size in value.shape[1:]],
            batch_size=1 if len(value) == 1 else None,
            dtype=str(value.dtype),
            name=name,
        )
        for name, value in row.inputs.items()
    }
    model = keras.Model(inputs, row(row.make(), inputs))

    def outputs(model):
        for one in model.layers:
            if isinstance(one, (layers.SegmentMemory, layers.CarriedState)):
                resize(one)
        return keras.tree.flatten(model(row.inputs))

    values = np.random.default_rng(1)
    for weight in weights_of(model):
        weight.assign(values.normal(0, 0.5, weight.shape))
    expected = outputs(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(weights_of(again)) == len(weights_of(model))
    assert_equal(outputs(again), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    for weight in weights_of(again):
        weight.assign(weight * 0.0)
    again.load_weights(tmp_path / "model.weights.h5")
    assert_equal(outputs(again), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@parts
def test_half_precision_is_near(row, policy):
    whole, half = made(row), made(row, dtype=policy)
    again = type(half).from_config(half.get_config())
    for one in (*half._flatten_layers(), *again._flatten_layers()):
        if not isinstance(one, keras.layers.InputLayer):
            assert one.dtype_policy.name == policy, one.path
    outputs = row(half, row.inputs)
    if row.float32:
        assert {keras.backend.standardize_dtype(o.dtype) for o in outputs} <= {"float32", "int32"}
    for found, expected in zip(to_numpy(outputs), to_numpy(row(whole, row.inputs)), strict=True):
        assert np.isfinite(found).all()
        if expected.dtype.kind == "f":
            hidden = expected < -1e29  # what a mask left out
            assert ((found < -1e29) == hidden).all()
            found, expected = np.where(hidden, 0, found), np.where(hidden, 0, expected)
            largest = np.abs(expected).max(initial=1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=row.near * largest)


# === Metrics ===


@dataclass(frozen=True)
class MetricRow:
    """A metric and the batches that it sees: arguments of `update_state`."""

    make: Callable
    batches: list
    compiled: bool = True


NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]


def batches_of(*makers, sizes=(20, 20, 9)):
    return [tuple(make(size) for make in makers) for size in sizes]


def tags(size):
    return random.integers(0, len(NAMES), (size, 5)).astype("int32")


def weights(size):
    return (random.random(size) < 0.7).astype("float32")


def vector(size):
    return normal(size)


METRICS = {
    "EntityF1": MetricRow(
        lambda: metrics.EntityF1(NAMES, from_logits=False, name="f1"), batches_of(tags, tags)
    ),
    "LooseF1": MetricRow(
        lambda: metrics.LooseF1("micro", 0.5, name="types"),
        batches_of(*[lambda size: random.integers(0, 2, (size, 4)).astype("float32")] * 2, weights),
    ),
    "MatthewsCorrelation": MetricRow(
        lambda: metrics.MatthewsCorrelation(2, from_logits=False, name="mcc"),
        batches_of(*[lambda size: random.integers(0, 2, size).astype("int32")] * 2, weights),
    ),
    "PearsonCorrelation": MetricRow(
        lambda: metrics.PearsonCorrelation(name="r"), batches_of(vector, vector, weights)
    ),
    "SpearmanCorrelation": MetricRow(
        lambda: metrics.SpearmanCorrelation(77, name="rank"), batches_of(vector, vector, weights)
    ),
    "StrictAccuracy": MetricRow(
        lambda: metrics.StrictAccuracy(0.5, name="exact"),
        batches_of(*[lambda size: random.integers(0, 2, (size, 2)).astype("float32")] * 2, weights),
    ),
    "SquadScore": MetricRow(
        lambda: metrics.SquadScore(name="answers"),
        [([["the old dog"], []], ["dog", ""]), ([["a cat"]], ["a cat"])],
        compiled=False,  # it takes texts
    ),
}
each_metric = pytest.mark.parametrize("row", METRICS.values(), ids=METRICS)


@each_metric
def test_config_of_a_metric(row):
    metric = row.make()
    config = keras.saving.serialize_keras_object(metric)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    assert config["registered_name"] == f"keras_plm>{type(metric).__name__}"
    signature = inspect.signature(type(metric).__init__).parameters
    assert set(signature) - {"self", "kwargs"} <= set(metric.get_config())


@each_metric
def test_batches_under_jit_are_one_batch(row, jitted):
    """And after a reset they are forgotten."""
    whole, metric = row.make(), row.make()
    if not row.compiled:
        whole.update_state(*(sum(parts, []) for parts in zip(*row.batches)))
        for batch in row.batches:
            metric.update_state(*batch)
        assert metric.result() == pytest.approx(whole.result())
        assert 0 < metric.result()["exact_match"] < 1
        return
    whole.update_state(*(np.concatenate(parts) for parts in zip(*row.batches)))
    expected = float(whole.result())
    assert 0 < abs(expected) < 1
    if keras.backend.backend() == "jax":
        update = jitted(metric.stateless_update_state)
        state = [variable.value for variable in metric.variables]
        for batch in row.batches:
            state = update(state, *batch)
        result = jitted(metric.stateless_result)(state)
        for variable, value in zip(metric.variables, state):
            variable.assign(value)
    else:
        update = jitted(metric.update_state)
        for batch in row.batches:
            update(*batch)
        result = jitted(metric.result)()
    np.testing.assert_allclose(float(result), expected, atol=2e-6)
    np.testing.assert_allclose(float(metric.result()), expected, atol=2e-6)
    metric.reset_state()
    assert not any(ops.convert_to_numpy(variable).any() for variable in metric.variables)


# === Objectives, selections and corruptions ===

MASKING = dict(sequence_length=32, num_predict=6)


def masked(tokenizer, **settings):
    return objectives.MaskedModeling.for_tokenizer(tokenizer, **{**MASKING, **settings})


def pairs(tokenizer):
    masking = masked(tokenizer, select=SETTINGS["RandomSelection"], rows="sentence_pair")
    return objectives.ObjectiveSum((masking, objectives.SentencePair(32, short_rate=0.2)))


def noised(tokenizer, noise, **settings):
    settings = {"sequence_length": 32, **settings}
    return objectives.Denoising.for_tokenizer(tokenizer, noise, **settings)


SETTINGS = {
    "Corruption": objectives.Corruption(0.6, 0.3, "span", "corpus"),
    "NgramSelection": objectives.NgramSelection(2, 0.3, (0.7, 0.3), "token"),
    "RandomSelection": objectives.RandomSelection("word", 0.2, "bernoulli"),
    "SpanSelection": objectives.SpanSelection(0.3, 8, 0.2),
    "SpanPartition": objectives.SpanPartition(0.2, 2.5),
    "SentinelInput": objectives.SentinelInput(290, 20),
    "SentinelTarget": objectives.SentinelTarget(290, 20),
    "InfilledInput": objectives.InfilledInput(4, "token", False, 0.2),
    "NoisyInput": objectives.NoisyInput(4, 0.3, 0.2),
    "OneSpan": objectives.OneSpan(0.4, 0.1, 0.3, 8),
    "PoissonSelection": objectives.PoissonSelection(0.4, 2),
    "LocalShuffle": objectives.LocalShuffle(2),
    "SentencePermutation": objectives.SentencePermutation((9, 17), 0.5),
    "MASS": objectives.MASS(0.4, "summarization"),
    "SpanCorruption": objectives.SpanCorruption(0.2, 2),
    "TextInfilling": objectives.TextInfilling(0.2, None, 0, "token", 0.5, 0.5, ("!",)),
    "WordNoise": objectives.WordNoise(2, 0.2, 0.3),
    "WholeTarget": objectives.WholeTarget(),
    "CorruptedInput": objectives.CorruptedInput(4, objectives.ALL_MASK, (0, 1), False),
    "SpanTarget": objectives.SpanTarget(),
    "SpanBoundary": objectives.SpanBoundary(7),
    "TwoWayModeling": objectives.TwoWayModeling(8, 100),
    "CausalModeling of characters": objectives.CausalModeling(8, characters=True),
    "CausalModeling of a stream": objectives.CausalModeling(
        8, "stream", variable_length=True, backward=True
    ),
}


@keras.saving.register_keras_serializable(package="tests")
def beginnings(stream, room, rng):
    """The first token of each document, of which others are said to be there too."""
    begin = stream.sentence_begin(stream.document_sentences[:, 0])
    texts = np.stack([begin, begin + 1], axis=1)[:, None]
    labels = {"token_document": lambda stream, texts: np.ones(len(texts), "int32")}
    return data.RowTable(texts, token_labels=labels)


OBJECTIVES = {  # name -> (layout of the corpus, function of its tokenizer)
    "CausalModeling": (
        "xlm",
        lambda _: objectives.CausalModeling(
            32, "language_stream", False, True, True, 0.7, cutoffs=(9, 99)
        ),
    ),
    "MaskedModeling": (
        "bert",
        lambda tokenizer: masked(
            tokenizer,
            segments=True,
            select=SETTINGS["NgramSelection"],
            static_passes=2,
            transform=False,
        ),
    ),
    "ObjectiveSum of spans": (
        "bert",
        lambda tokenizer: objectives.ObjectiveSum(
            (
                masked(tokenizer, select=SETTINGS["SpanSelection"], corrupt=SETTINGS["Corruption"]),
                SETTINGS["SpanBoundary"],
            )
        ),
    ),
    "MaskedModeling of translations": (
        "xlm",
        lambda tokenizer: masked(
            tokenizer,
            rows="translation_pair",
            languages=True,
            positions=True,
            language_exponent=0.3,
        ),
    ),
    "MaskedPermutationModeling": (
        "roberta",
        lambda tokenizer: objectives.MaskedPermutationModeling(masked(tokenizer), 3),
    ),
    "Mixture": (
        "bert",
        lambda tokenizer: objectives.Mixture(
            (masked(tokenizer, rows="packed", segments=True), pairs(tokenizer)), (1, 2.5)
        ),
    ),
    "Mixture of stages": (
        "bert",
        lambda tokenizer: objectives.Mixture(
            (masked(tokenizer, rows="packed", segments=True), pairs(tokenizer)),
            stages=((2, 0), (1, 3)),
        ),
    ),
    "EntityDenoising": (
        "bert",
        lambda _: objectives.EntityDenoising(20, 32, 0.1, 0.2, 2, "full_sentences", False),
    ),
    "ObjectiveSum of entities": (
        "bert",
        lambda tokenizer: objectives.ObjectiveSum(
            (
                masked(tokenizer, rows="sentence_pair"),
                objectives.SentencePair(32),
                objectives.EntityDenoising(20, 32, min_entities=1),
            )
        ),
    ),
    "Mixture with task ids": (
        "bert",
        lambda tokenizer: objectives.Mixture(
            (masked(tokenizer, rows="packed", segments=True), objectives.SentenceDistance(32)),
            stages=((2, 0), (1, 3)),
            task_ids=True,
        ),
    ),
    "Capitals": ("bert", lambda _: objectives.Capitals(32, "packed", segments=True)),
    "DiscourseRelation": ("bert", lambda _: objectives.DiscourseRelation(32)),
    "SentenceDistance": ("bert", lambda _: objectives.SentenceDistance(32)),
    "SentenceReordering": ("bert", lambda _: objectives.SentenceReordering(32, 2)),
    "TokenDocument": ("bert", lambda _: objectives.TokenDocument(32, segments=True)),
    "TokenDocument of a plan": ("bert", lambda _: objectives.TokenDocument(32, beginnings)),
    "ObjectiveSum": ("bert", pairs),
    "PermutationModeling": (
        "xlnet",
        lambda _: objectives.PermutationModeling(32, 16, 9, 16, 3, 5, 2, "word", True),
    ),
    "PrefixModeling": (
        "bert",
        lambda tokenizer: objectives.PrefixModeling(
            masked(tokenizer, rows="sentence_pair"), "left_to_right", "masked_target", False
        ),
    ),
    "RandomOrderMasking": (
        "bert",
        lambda tokenizer: objectives.RandomOrderMasking(masked(tokenizer)),
    ),
    "SkipGram": (
        "bert",
        lambda tokenizer: objectives.SkipGram.for_tokenizer(
            *(tokenizer,),
            sequence_length=32,
            window=3,
            num_negatives=2,
            threshold=0.01,
            num_pairs=40,
            rows="doc_sentences",
        ),
    ),
    "SentencePair": ("bert", lambda _: objectives.SentencePair(32, "swapped", 0.3)),
    "Denoising": (
        "bert",
        lambda tokenizer: objectives.Denoising(
            tokenizer.vocabulary_size,
            SETTINGS["SpanPartition"],
            SETTINGS["SentinelInput"],
            SETTINGS["SentinelTarget"],
            tokenizer.sep_token_id,
            sequence_length=32,
            target_length=20,
            pad_token_id=3,
            rows="doc_sentences",
        ),
    ),
    "Denoising of spans (MASS)": (
        "bert",
        lambda tokenizer: objectives.Denoising(
            tokenizer.vocabulary_size,
            SETTINGS["SpanSelection"],
            SETTINGS["CorruptedInput"],
            SETTINGS["SpanTarget"],
            sequence_length=32,
        ),
    ),
    "Denoising by MASS": ("bert", lambda tokenizer: noised(tokenizer, objectives.MASS(0.4))),
    "Denoising by MASS of summaries": (
        "bert",
        lambda tokenizer: noised(tokenizer, SETTINGS["MASS"]),
    ),
    "Denoising by TextInfilling": (
        "roberta",
        lambda tokenizer: noised(
            tokenizer, objectives.TextInfilling(permute=0.5, rotate=0.5), rows="doc_sentences"
        ),
    ),
    "Denoising by WordNoise": ("xlm", lambda tokenizer: noised(tokenizer, SETTINGS["WordNoise"])),
    "Translation": (
        "xlm",
        lambda tokenizer: objectives.Translation.for_tokenizer(
            tokenizer,
            end_token_id=5,
            source_length=9,
            target_length=12,
            swap=True,
            label_smoothing=0.1,
            shared_by="all",
            languages=True,
        ),
    ),
    "Denoising of languages": (
        "xlm",
        lambda tokenizer: noised(
            tokenizer, objectives.MASS(), rows="language_stream", languages=True
        ),
    ),
    "Denoising of masks (BART)": (
        "bert",
        lambda tokenizer: objectives.Denoising(
            tokenizer.vocabulary_size,
            SETTINGS["NgramSelection"],
            SETTINGS["InfilledInput"],
            SETTINGS["WholeTarget"],
            start_token_id=tokenizer.sep_token_id,
            sequence_length=32,
        ),
    ),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_config_of_a_selection_or_corruption(setting):
    config = setting.get_config()
    written = json.dumps(config)
    again = type(setting).from_config(json.loads(written))
    assert again == setting and type(again) is type(setting)
    type(setting).from_config(config)
    assert json.dumps(config) == written


@pytest.mark.parametrize("layout, make", OBJECTIVES.values(), ids=OBJECTIVES)
def test_config_of_an_objective(layout, make, tokenizers):
    objective = make(tokenizers[layout])
    config = objective.get_config()
    written = json.dumps(config)
    check_config(json.loads(written))  # as a preset's configuration is checked
    for cls in (objectives.Objective, type(objective)):
        again = cls.from_config(json.loads(written))
        assert again == objective and type(again) is type(objective)
        assert hash(again) == hash(objective) and again.get_config() == config
    type(objective).from_config(config)
    assert json.dumps(config) == written


@pytest.mark.parametrize("layout, make", OBJECTIVES.values(), ids=OBJECTIVES)
def test_batches_of_an_objective_have_one_shape(layout, make, tokenizers, corpora):
    objective = make(tokenizers[layout])
    examples, described = data.examples(corpora[layout], objective, BATCH), []
    for step in range(6):
        batch = x, y, weight = examples.batch_at(step)
        assert set(x) == set(objective.feature_names)
        assert set(y) == set(weight) == set(objective.head_names)
        for name, targets in y.items():
            assert targets.shape[1:] == objective.target_shape(name) == weight[name].shape[1:]
        described.append(keras.tree.map_structure(lambda one: (one.shape, str(one.dtype)), batch))
    assert all(one == described[0] for one in described)
    assert {dtype for part in described[0][0].values() for dtype in part[1:]} <= {"int32", "bool"}
