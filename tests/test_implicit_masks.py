"""Implicit masks of Keras, in all public layers and heads: padding is as if it were not there.

A row of the table is a layer, behind `Embedding(mask_zero=True)`. What it gives for padded texts
must be what it gives for the same texts without padding and without any mask.
"""

import inspect
import warnings
from dataclasses import dataclass
from typing import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import heads, layers

pytestmark = pytest.mark.usefixtures("quick_compilation")

WIDTH, HEADS, KEY, VOCABULARY = 8, 2, 4, 12
TEXTS = np.array([[3, 7, 5, 2], [4, 6, 8, 5]], "int32")
MEMORIES = np.array([[2, 5], [7, 3]], "int32")
QUERIES, STANDING = np.array(
    [[[10, 1], [3, 2]], [[1, 3], [2, 0]]], "int32"
)  # ids, and their places


@keras.saving.register_keras_serializable(package="test_implicit_masks")
class MaskZero(keras.layers.Layer):
    """Hands ids on, with a mask of those that are not 0."""

    def call(self, ids):
        return ops.copy(ids)

    def compute_mask(self, ids, previous_mask):
        return ops.not_equal(ids, 0)


@keras.saving.register_keras_serializable(package="test_implicit_masks")
class PerHead(keras.layers.Layer):
    """Token states (B, T, D) as (B, T, H, K), with their mask."""

    def call(self, rows):
        return ops.reshape(rows, (*ops.shape(rows)[:2], HEADS, KEY))

    def compute_mask(self, rows, previous_mask):
        return previous_mask

    def compute_output_spec(self, rows):
        return keras.KerasTensor((*rows.shape[:2], HEADS, KEY), rows.dtype)


# What an output has an element for, which is what its mask is of.
TOKENS, SLOT, MAPS, OVER_TOKENS, SLOTS_OVER_TOKENS, EXAMPLE, NOTHING = range(7)


@dataclass(frozen=True)
class Row:
    """A layer behind an embedding with a mask.

    Attributes:
        make: function that makes it.
        call: function of (layer, given), arrays or symbols, which gives its outputs.
        kinds: what each of them is.
        memory: whether it has a memory, so that all texts must stand right behind it.
        ready: function of (layer, batch size) that comes before a call with arrays.
    """

    make: Callable
    call: Callable
    kinds: tuple
    memory: bool = False
    ready: Callable = lambda layer, batch: None


def large():
    """An initializer of weights so large that scores matter."""
    return keras.initializers.RandomNormal(stddev=0.7)


def block(**options):
    options = {"kernel_initializer": large(), "output_initializer": large(), **options}
    return layers.TransformerBlock(HEADS, KEY, 16, **options)


def xl_block(**options):
    return layers.TransformerXLBlock(HEADS, KEY, 16, kernel_initializer=large(), **options)


def fusion():
    return layers.KnowledgeFusionBlock(HEADS, KEY, 16, WIDTH, HEADS, kernel_initializer=large())


def relative(**options):
    return layers.TwoStreamAttention(HEADS, KEY, kernel_initializer=large(), **options)


def distances(given, memory=0):
    encoding = layers.RelativePositionEncoding(WIDTH, name="distances")
    return encoding(given["content"], memory_length=memory)


def all_pairs(given):
    """What an explicit mask hides besides: who reads tokens of id 5, in content rows (B, T, T)."""
    ids = given["ids"]
    return ops.logical_or(ops.not_equal(ids, 5)[:, None], ops.equal(ids, 3)[:, :, None])


def with_memory(layer, given):
    positions = distances(given, given["memory"].shape[1])
    return layer(given["content"], positions, memory=given["memory"])


def both_streams(layer, given):
    return layer(
        given["content"],
        distances(given, given["memory"].shape[1]),
        query=given["query"],
        query_positions=given["standing"],
        memory=given["memory"],
    )


def shared_by_two(layer, given):
    positions = distances(given, given["memory"].shape[1])
    return layer(
        given["content"],
        given["query"],
        shared={"position_encoding": positions, "memory": given["memory"]},
        query_own={"positions": given["standing"]},
    )


def answers(layer, given):
    """Any token but those of id 5 may be an answer."""
    return layer(given["content"], ops.not_equal(given["ids"], 5))


def beams(layer, given):
    starts = ops.zeros_like(given["ids"][:, 0]) - 1
    answers = layer(given["content"], ops.not_equal(given["ids"], 5), starts)
    return [answers[name] for name in ("start", "end", "impossible", "start_top_log_probs")]


def candidates(layer, given):
    """None and the two entities of a table."""
    zeros = ops.zeros_like(given["ids"][:, 0])
    return layer(given["content"], ops.stack([zeros, zeros + 1, zeros + 2], axis=1))


def resized(name):
    def ready(layer, batch):
        getattr(layer, name).forget()
        getattr(layer, name).resize(batch, training=False)

    return ready


def state():
    return layers.CarriedState({"cell": keras.KerasTensor((None, WIDTH))})


def alone(layer, given):
    return layer(given["content"])


def in_blocks(make, call, **options):
    """Rows of a layer over one sequence: alone, with what hides keys besides, and recomputed."""
    causal = Row(make, lambda layer, given: layer(given["content"], causal=True), **options)
    seen = Row(
        make, lambda layer, given: layer(given["content"], all_pairs(given), causal=True), **options
    )
    return {call: Row(make, alone, **options), f"{call} causal": causal, f"{call} seen": seen}


SEQUENCES = {
    "AttentionBiases": Row(
        lambda: layers.AttentionBiases(HEADS, KEY),
        lambda layer, given: layer(PerHead()(given["content"])),
        (TOKENS, TOKENS, TOKENS),
    ),
    **in_blocks(lambda: layers.AttentionMaps(block()), "AttentionMaps", kinds=(TOKENS, MAPS)),
    **in_blocks(
        lambda: layers.ProjectedAttention(HEADS, KEY, kernel_initializer=large()),
        "ProjectedAttention",
        kinds=(TOKENS,),
    ),
    **in_blocks(block, "TransformerBlock", kinds=(TOKENS,)),
    "AttentionMaps of a source": Row(
        lambda: layers.AttentionMaps(block(cross_attention=True)),
        lambda layer, given: layer(given["content"], source=given["content"]),
        (TOKENS, MAPS, MAPS),
    ),
    "TransformerBlock with a source": Row(
        lambda: block(cross_attention=True),
        lambda layer, given: layer(given["content"], causal=True, source=given["content"]),
        (TOKENS,),
    ),
    "SinusoidalPositionEncoding": Row(
        lambda: layers.SinusoidalPositionEncoding(WIDTH),
        lambda layer, given: layer(MaskZero()(given["ids"])),
        (TOKENS,),
    ),
    "TransformerBlock norms first": Row(lambda: block(normalize_first=True), alone, (TOKENS,)),
    "TransformerBlock recomputed": Row(
        lambda: block(remat=True),
        lambda one, given: one(given["content"], training=True),
        (TOKENS,),
    ),
    "QueryRows": Row(
        lambda: layers.QueryRows(layers.TokenAndQueryEmbedding(VOCABULARY, WIDTH)),
        lambda layer, given: layer(MaskZero()(given["query_ids"])),
        (SLOT,),
    ),
    "ActivationRegularization": Row(
        layers.ActivationRegularization,
        lambda layer, given: layer(given["content"], given["content"]),
        (TOKENS,),
    ),
    "AttentionPooling": Row(
        lambda: layers.AttentionPooling(4, kernel_initializer=large()), alone, (EXAMPLE,)
    ),
    "ConcatPooling": Row(layers.ConcatPooling, alone, (EXAMPLE,)),
    "EmbeddingDropout": Row(
        lambda: layers.EmbeddingDropout(VOCABULARY, 0.5),
        lambda layer, given: layer(given["content"], given["ids"]),
        (TOKENS,),
    ),
    "WeightDropLSTM": Row(
        lambda: layers.WeightDropLSTM(KEY, 0.0, large(), large(), large()),
        alone,
        (TOKENS, EXAMPLE, EXAMPLE),
    ),
    "ProjectedLSTM": Row(
        lambda: layers.ProjectedLSTM(KEY, 3, 0.7, 0.9, large(), large()),
        alone,
        (TOKENS, EXAMPLE, EXAMPLE),
    ),
    "ScalarMix": Row(
        lambda: layers.ScalarMix(batch_layer_norm=True),
        lambda layer, given: layer([given["content"], 2 * given["content"]]),
        (TOKENS,),
    ),
    "RelativePositionBias": Row(
        lambda: layers.RelativePositionBias(8, HEADS, embeddings_initializer=large()),
        lambda layer, given: layer(MaskZero()(given["ids"]), MaskZero()(given["ids"])),
        (MAPS,),
    ),
    "RelativePositionEncoding": Row(
        lambda: layers.RelativePositionEncoding(WIDTH), alone, (NOTHING, NOTHING, NOTHING)
    ),
    "RelativeSegmentEncoding": Row(
        lambda: layers.RelativeSegmentEncoding(HEADS, KEY),
        lambda layer, given: layer(PerHead()(given["content"]), all_pairs(given)),
        (MAPS,),
    ),
    "ReplayableDropout": Row(lambda: layers.ReplayableDropout(0.5), alone, (TOKENS,)),
    "TokenAndQueryEmbedding": Row(
        lambda: layers.TokenAndQueryEmbedding(VOCABULARY, WIDTH),
        lambda layer, given: layer(MaskZero()(given["ids"])),
        (TOKENS,),
    ),
    "TransformerXLBlock": Row(
        xl_block, lambda layer, given: layer(given["content"], distances(given)), (TOKENS,)
    ),
    "TransformerXLBlock seen": Row(
        xl_block,
        lambda layer, given: layer(
            given["content"],
            distances(given),
            visible=all_pairs(given),
            same_segment=all_pairs(given),
        ),
        (TOKENS,),
    ),
    "TransformerXLBlock with memory": Row(xl_block, with_memory, (TOKENS,), True),
    "TransformerXLBlock recomputed": Row(
        lambda: xl_block(remat=True),
        lambda layer, given: layer(given["content"], distances(given), training=True),
        (TOKENS,),
    ),
    "TwoStream": Row(lambda: layers.TwoStream(xl_block()), shared_by_two, (TOKENS, SLOT), True),
    "TwoStream recomputed": Row(
        lambda: layers.TwoStream(xl_block(remat=True)), shared_by_two, (TOKENS, SLOT), True
    ),
    "TwoStream of a TransformerBlock": Row(
        lambda: layers.TwoStream(block()),
        lambda layer, given: layer(
            given["content"], given["query"], content_own={"visible": all_pairs(given)}
        ),
        (TOKENS, SLOT),
    ),
    "TwoStreamAttention": Row(relative, both_streams, (TOKENS, SLOT), True),
    "TwoStreamAttention of content": Row(
        lambda: relative(segments=False),
        lambda layer, given: layer(given["content"], distances(given)),
        (TOKENS,),
    ),
    "UpdateCarriedState": Row(
        lambda: layers.UpdateCarriedState(state()),
        lambda layer, given: layer(given["content"], {"cell": given["content"][:, 0]}),
        (TOKENS,),
        ready=resized("carried"),
    ),
    "UpdateSegmentMemory": Row(
        lambda: layers.UpdateSegmentMemory(layers.SegmentMemory(1, 1, WIDTH)),
        lambda layer, given: layer(given["content"], given["content"][:, None, :1]),
        (TOKENS,),
        ready=resized("memory"),
    ),
    "BeamSpanHead": Row(
        lambda: heads.BeamSpanHead(WIDTH, 2, 2, kernel_initializer=large()),
        beams,
        (OVER_TOKENS, OVER_TOKENS, EXAMPLE, EXAMPLE),
    ),
    "EndLogits": Row(
        lambda: heads.EndLogits(WIDTH, kernel_initializer=large()),
        lambda layer, given: layer(given["content"], given["query"]),
        (SLOTS_OVER_TOKENS,),
    ),
    "AdaptiveEmbedding": Row(
        lambda: layers.AdaptiveEmbedding(VOCABULARY, WIDTH, cutoffs=(2,), div_val=2),
        lambda layer, given: layer(MaskZero()(given["ids"])),
        (TOKENS,),
    ),
    "AdaptiveSoftmaxHead": Row(
        lambda: heads.AdaptiveSoftmaxHead(layers.AdaptiveEmbedding(VOCABULARY, WIDTH)),
        alone,
        (TOKENS,),
    ),
    "MaskedLMHead": Row(
        lambda: heads.MaskedLMHead(keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH)),
        alone,
        (TOKENS,),
    ),
    "MaskedLMHead with transform": Row(
        lambda: heads.MaskedLMHead(keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH), True),
        alone,
        (TOKENS,),
    ),
    "KnowledgeFusionBlock": Row(
        fusion,
        lambda layer, given: layer(given["content"], 2 * given["content"]),
        (TOKENS, TOKENS),
    ),
    "KnowledgeFusionBlock seen": Row(
        fusion,
        lambda layer, given: layer(
            given["content"],
            2 * given["content"],
            has_entity=ops.not_equal(given["ids"], 3),
            visible=all_pairs(given),
        ),
        (TOKENS, TOKENS),
    ),
    "EntityHead": Row(
        lambda: heads.EntityHead(layers.EntityTable(2, WIDTH), kernel_initializer=large()),
        candidates,
        (TOKENS,),
        ready=lambda layer, batch: layer.entity_table.give(np.diag([0, 1, 2, 0, 0, 0, 0, 0])[:3]),
    ),
    "SampledSoftmaxHead": Row(
        lambda: heads.SampledSoftmaxHead(heads.SoftmaxTable(VOCABULARY, WIDTH)), alone, (TOKENS,)
    ),
    "SoftmaxTable": Row(lambda: heads.SoftmaxTable(VOCABULARY, WIDTH), alone, (TOKENS,)),
    "SpanBoundaryHead": Row(
        lambda: heads.SpanBoundaryHead(
            keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH), position_dim=4
        ),
        lambda layer, given: layer(given["query"], given["query"], given["query_ids"]),
        (SLOT,),
    ),
    "SANHead": Row(
        lambda: heads.SANHead(3, kernel_initializer=large()),
        lambda layer, given: layer(
            given["content"], ops.equal(given["ids"], 5), ops.not_equal(given["ids"], 5)
        ),
        (EXAMPLE,),
    ),
    "SpanHead": Row(lambda: heads.SpanHead(large()), answers, (OVER_TOKENS, OVER_TOKENS)),
    "TokenHead": Row(lambda: heads.TokenHead(3, kernel_initializer=large()), alone, (TOKENS,)),
}
ELSEWHERE = {
    "AttentionPoolingHead": "takes vectors, (B, units)",
    "AuxiliaryLMLoss": "its loss is tested below",
    "CharacterCNN": "takes characters, (B, T, W), of which words of zeros are padding",
    "ChoicesToRows": "tested below",
    "RowsToChoices": "takes a number of each choice",
    "CarriedState": "takes `fresh`, (B,)",
    "SegmentMemory": "takes `fresh`, (B,)",
    "LongTextPooling": "takes token ids, (B, T)",
    "EntityTable": "takes ids of entities, of any shape",
    "LastStates": "a memory has no mask",
    "AnswerClass": "takes vectors, (B, D)",
    "ConcatPoolingHead": "takes vectors, (B, 3D)",
    "NegativeSamplingHead": "takes rows of pairs, (B, P, D)",
    "SentencePairHead": "takes vectors, (B, D)",
    "SummaryHead": "takes vectors, (B, D)",
    "Head": "abstract",
}
rows = pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=name, marks=[pytest.mark.slow] * ("recomputed" in name))
        for name, row in SEQUENCES.items()
    ],
)


def test_every_public_layer_is_here():
    public = {
        name
        for room in (layers, heads)
        for name, one in vars(room).items()
        if name in room.__all__ and inspect.isclass(one) and issubclass(one, keras.layers.Layer)
    }
    assert {name.split()[0] for name in SEQUENCES} | set(ELSEWHERE) == public
    assert not {name.split()[0] for name in SEQUENCES} & set(ELSEWHERE)


# === Texts with padding and without ===


def texts(padding=0, right=False):
    """The arrays of two texts, padded on the right, and on the left unless `right`."""
    start = np.array([0, 0 if right else padding])  # of each text
    return {
        "ids": padded(TEXTS, start, padding),
        "memory_ids": padded(MEMORIES, [min(padding, 1)] * 2, min(padding, 1)),
        "query_ids": padded(QUERIES, [0, 0], min(padding, 1)),
        "standing": padded(STANDING + start[:, None], [0, 0], min(padding, 1)),
    }


def padded(rows, starts, padding):
    """Rows with so many zeros more, from a place of each on."""
    arrays = np.zeros((len(rows), rows.shape[1] + padding), "int32")
    for array, row, start in zip(arrays, rows, starts):
        array[start : start + len(row)] = row
    return arrays


def without_padding(output, kind, arrays):
    """What is left of an output of padded texts."""
    output = ops.convert_to_numpy(output)
    tokens, slots = arrays["ids"] != 0, arrays["query_ids"] != 0
    each = list(zip(output, tokens, slots)) if kind != NOTHING else []
    return np.array(
        [
            {
                TOKENS: lambda: own[real],
                OVER_TOKENS: lambda: own[real],
                SLOT: lambda: own[used],
                SLOTS_OVER_TOKENS: lambda: own[used][:, real],
                MAPS: lambda: own[:, real][:, :, real],
                EXAMPLE: lambda: own,
            }[kind]()
            for own, real, used in each
        ]
    )


@pytest.fixture(scope="module")
def table():
    table = keras.layers.Embedding(
        VOCABULARY, WIDTH, mask_zero=True, embeddings_initializer=large(), name="table"
    )
    table.build()
    return table


def given(table, arrays):
    """What a layer is given: states with a mask, if the table makes one."""
    states = {"content": "ids", "memory": "memory_ids", "query": "query_ids"}
    return {**arrays, **{name: table(arrays[ids]) for name, ids in states.items()}}


def without_mask(table):
    plain = keras.layers.Embedding(VOCABULARY, WIDTH)
    plain.build()
    plain.embeddings.assign(table.embeddings)
    return plain


def flat(outputs):
    return keras.tree.flatten(outputs)


def mask_of(tensor):
    return getattr(tensor, "_keras_mask", None)


@pytest.fixture(autouse=True)
def no_warning():
    """Keras warns where a layer destroys a mask."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*mask.*")
        yield


def assert_near(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    hidden = expected < -1e29  # what a mask left out
    np.testing.assert_array_equal(found < -1e29, hidden)
    largest = np.abs(np.where(hidden, 0, expected)).max(initial=1)
    np.testing.assert_allclose(
        np.where(hidden, 0, found), np.where(hidden, 0, expected), rtol=0, atol=1e-5 * largest
    )


@rows
def test_padding_is_as_if_it_were_not_there(row, table):
    layer, padded, plain = row.make(), texts(padding=3, right=row.memory), texts()
    row.ready(layer, 2)
    together = flat(row.call(layer, given(table, padded)))
    alone = flat(row.call(layer, given(without_mask(table), plain)))
    masks = {TOKENS: padded["ids"] != 0, SLOT: padded["query_ids"] != 0}
    for found, expected, kind in zip(together, alone, row.kinds, strict=True):
        assert np.isfinite(ops.convert_to_numpy(found)).all()
        assert_near(
            *(without_padding(*one) for one in [(found, kind, padded), (expected, kind, plain)])
        )
        assert (mask_of(found) is None) == (kind not in masks)
        if kind in masks:
            np.testing.assert_array_equal(mask_of(found), masks[kind])


@rows
def test_a_functional_model_and_its_file(row, table, tmp_path):
    arrays, layer = texts(padding=3, right=row.memory), row.make()
    lengths = {"memory_ids": arrays["memory_ids"].shape[1]}
    inputs = {name: keras.Input((lengths.get(name),), dtype="int32", name=name) for name in arrays}
    outputs = flat(row.call(layer, given(table, inputs)))
    assert [mask_of(one) is not None for one in outputs] == [
        one in (TOKENS, SLOT) for one in row.kinds
    ]
    model = keras.Model(inputs, outputs)
    row.ready(layer, 2)
    eager = flat(row.call(layer, given(table, arrays)))
    for found, expected in zip(flat(model(arrays)), eager, strict=True):
        assert_near(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in again.layers:
        row.ready(one, 2) if type(one) is type(layer) else None
    for found, expected in zip(flat(again(arrays)), eager, strict=True):
        assert_near(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))


# === What the table does not say ===


def test_a_mask_may_be_given_by_name(table):
    """As `TimeDistributed` does for each of many texts, and as users do."""
    arrays, layer = texts(padding=3), block()
    masked, plain = given(table, arrays)["content"], given(without_mask(table), arrays)["content"]
    mask = arrays["ids"] != 0
    expected = layer(masked)
    for name in ("mask", "content_mask"):
        assert_near(layer(plain, **{name: mask}), expected)
    several = ops.stack([masked, masked[:, ::-1]], axis=1)  # (B, 2, T, D)
    found = keras.layers.TimeDistributed(layer)(several, mask=np.stack([mask, mask[:, ::-1]], 1))
    assert_near(found[:, 0][mask], ops.convert_to_numpy(expected)[mask])


def test_a_text_of_padding_alone_is_finite(table):
    ids = np.array([[0, 0, 0], [4, 5, 0]], "int32")
    content = table(ids)
    encoding = layers.RelativePositionEncoding(WIDTH)(content)
    for output in (block()(content), block()(content, causal=True), xl_block()(content, encoding)):
        assert np.isfinite(ops.convert_to_numpy(output)).all()


def test_training_through_a_mask(table, quick):
    """The loss of Keras leaves out what the mask leaves out, whatever stands there."""
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, heads.TokenHead(3)(block()(table(ids))))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), **quick)
    loss = model.evaluate(TEXTS, np.ones_like(TEXTS), verbose=0)
    padded = texts(padding=3)["ids"]
    history = model.fit(padded, np.where(padded, 1, 2), verbose=0)
    assert history.history["loss"] == pytest.approx([loss], rel=1e-5)


def test_the_auxiliary_loss_of_texts_with_a_mask(table):
    embedding = keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH, embeddings_initializer=large())
    layer = heads.AuxiliaryLMLoss(embedding)

    def loss(table, arrays):
        one = given(table, arrays)
        layer(one["content"][:, 0], one["content"], arrays["ids"], arrays["ids"] >= 0)
        return float(layer.losses[-1])

    alone = loss(without_mask(table), texts())
    assert loss(table, texts(padding=3)) == pytest.approx(alone, rel=1e-5)


def test_the_rows_of_choices_have_the_masks_of_their_tokens():
    ids = np.array([[[1, 2, 0], [3, 0, 0]], [[4, 5, 6], [7, 8, 0]]], "int32")
    rows = layers.ChoicesToRows()(MaskZero()(ids))
    np.testing.assert_array_equal(rows, ids.reshape(4, 3))
    np.testing.assert_array_equal(mask_of(rows), ids.reshape(4, 3) != 0)
    inputs = keras.Input((2, None), dtype="int32")
    model = keras.Model(inputs, MaskZero()(layers.ChoicesToRows()(MaskZero()(inputs))))
    np.testing.assert_array_equal(model(ids), ids.reshape(4, 3))
