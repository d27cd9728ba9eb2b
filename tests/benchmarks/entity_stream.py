"""What the stream of entities costs: forward and backward pass beside BERT's, and its FLOPs.

    python tests/benchmarks/entity_stream.py
    python tests/benchmarks/entity_stream.py --layers 12 --rounds 4

`bert` is a `TransformerBackbone`, `knowledge` a `KnowledgeBackbone` of the same sizes, the widths
those of base (768 and 100, 12 and 4 heads; T 128, B 2) and the layers four, whose upper half and
one block more fuse. A step gives the gradients of all trained weights from the sum of squares of
the output, with XLA, on TensorFlow and on JAX. One token in ten begins a mention, of one of 10,000
entities.

FLOPs are those of matrix products, of the forward pass: 2 for each weight and token of a dense
layer, 4 T W for the attention of width W; what XLA leaves out (the entities above the last block)
is not counted.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object.
"""

import argparse
import json
import sys

import numpy as np
from interleaved import measure, processor, ratio
from turns import Turns, keras_gradient_step, keras_product, one_core

ENGINES = {  # name: (backend, kind)
    f"{backend}_{kind}": (backend, kind)
    for backend in ("tensorflow", "jax")
    for kind in ("bert", "knowledge")
}
SIZES = dict(
    vocabulary_size=8_000,
    num_layers=4,
    num_heads=12,
    hidden_dim=768,
    intermediate_dim=3072,
    max_sequence_length=128,
)
ENTITY_DIM, NUM_ENTITIES = 100, 10_000
SETTINGS = dict(device="cpu", dtype="float32", batch=2)


def make(settings):
    """A backbone and its features."""
    from keras_plm.backbones import KnowledgeBackbone, TransformerBackbone

    sizes = {name: settings[name] for name in SIZES}
    rng = np.random.default_rng(0)
    shape = settings["batch"], sizes["max_sequence_length"]
    features = {"token_ids": rng.integers(0, sizes["vocabulary_size"], shape).astype("int32")}
    features["padding_mask"] = np.ones(shape, bool)
    if settings["kind"] == "bert":
        return TransformerBackbone(**sizes, pooler=True), features
    vectors = rng.normal(size=(NUM_ENTITIES + 1, ENTITY_DIM)).astype("float32")
    vectors[0] = 0
    named = rng.random(shape) < 0.1
    entities = np.where(named, rng.integers(1, NUM_ENTITIES + 1, shape), 0)
    features["entity_ids"] = entities.astype("int32")
    return KnowledgeBackbone(**sizes, entity_dim=ENTITY_DIM, entity_vectors=vectors), features


def step_of(settings):
    """A function of one step on this process's backend, which returns the loss."""
    from keras import ops

    backbone, features = make(settings)
    features = {name: ops.convert_to_tensor(value) for name, value in features.items()}
    above = {weight.path for weight in backbone.pooler_layer.weights}
    variables = [one for one in backbone.trainable_weights if one.path not in above]

    def loss_of(features):
        rows = backbone.encode(features)["sequence_output"]
        return ops.sum(rows * rows)

    return keras_gradient_step(loss_of, features, variables)


def serve(settings):
    """One step whenever the parent asks."""
    one_core()
    step = step_of(settings)
    product, library = keras_product(settings)
    turns = Turns(product)
    step(), step()
    turns.answer(ready=library)
    while True:
        turns.wait()
        turns.finish(loss=step())


def flops_per_token(settings):
    """Of the forward pass: those of BERT, and those of the stream of entities."""
    from keras_plm.families import fusing_block_types

    width, inner, length = (
        settings[name] for name in ("hidden_dim", "intermediate_dim", "max_sequence_length")
    )
    text = settings["num_layers"] * (2 * (4 * width**2 + 2 * width * inner) + 4 * length * width)
    types = fusing_block_types(settings["num_layers"])
    fusing = [kind for kind in types if kind != "text"]
    entities = 0
    for place, kind in enumerate(fusing, start=1):
        entities += 2 * ENTITY_DIM * inner * (1 if place == len(fusing) else 2)
        if kind == "fuse_attend":
            entities += 2 * 4 * ENTITY_DIM**2 + 4 * length * ENTITY_DIM
    return text, entities


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--layers", type=int, default=SIZES["num_layers"])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    options = parser.parse_args()
    settings = {**SETTINGS, **SIZES, "num_layers": options.layers}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    text, entities = flops_per_token(settings)
    figures["flops_ratio"] = round((text + entities) / text, 4)
    print(f"  million FLOPs per token: {text / 1e6:.1f}, and {entities / 1e6:.1f} of entities")
    print(f"  as many times as BERT's: {figures['flops_ratio']:.3f}")
    engines = {name: ENGINES[name] for name in options.engines}
    workers, _ = measure("entity_stream.py", engines, settings, options.rounds)
    for engine, worker in workers.items():
        milliseconds = np.median([step["cpu"] for step in worker.steps]) * 1e3
        print(f"  {engine:22}{milliseconds:8.0f} ms")
        figures[f"{engine}_milliseconds"] = round(float(milliseconds), 1)
    for backend in ("tensorflow", "jax"):
        found = ratio(workers, f"{backend}_knowledge", f"{backend}_bert", "cpu")
        if found:
            print(f"  {backend}: {found[0]:.3f} of BERT's [{found[1]:.3f}, {found[2]:.3f}]")
            figures[f"{backend}_ratio"] = found
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        serve(json.loads(sys.argv[1]))
    main()
