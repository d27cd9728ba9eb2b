"""The engines of tests/benchmarks/pretrain_step.py: one process each, see turns.py."""

import json
import sys

import numpy as np
from turns import asked_of_xla, fit_in_turns, one_core, step_in_turns

NUM_BATCHES = 4


def make_batches(settings):
    """Batches (x, y, sample_weight) of PermutationModeling from random rows in XLNet's form."""
    from keras_plm.objectives import PermutationModeling

    rows, length = settings["batch_size"], settings["sequence_length"]
    objective = PermutationModeling(
        sequence_length=length,
        reuse_length=length // 2,
        num_predict=settings["num_predict"],
        permutation_size=length // 2,
    )
    rng = np.random.default_rng(0)
    batches = []
    for index in range(NUM_BATCHES):
        token_ids = rng.integers(9, settings["vocabulary_size"], (rows, length)).astype("int32")
        segment_ids = np.zeros((rows, length), "int32")
        segment_ids[:, length * 3 // 4 :] = 1
        segment_ids[:, -1] = 2
        functional = np.zeros((rows, length), bool)
        functional[:, [length * 3 // 4 - 1, length - 2, length - 1]] = True
        batch = {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "word_starts": rng.random((rows, length)) < 0.6,
            "functional": functional,
            "fresh": np.full(rows, index == 0),
            "backward": np.zeros(rows, bool),
        }
        batches.append(objective(batch, rng))
    return objective, batches


def dense_inputs(x, sample_weight):
    """What the other implementations take: a permutation mask and a one-hot target mapping."""
    order, positions, weight = x["order"], x["target_positions"], sample_weight["tokens"]
    step = order.copy()
    mapping = np.zeros((*positions.shape, order.shape[1]), "float32")
    for b, p in zip(*np.nonzero(weight)):
        step[b, positions[b, p]] -= 1
        mapping[b, p, positions[b, p]] = 1.0
    perm_mask = (order[:, None, :] > step[:, :, None]).astype("float32")
    return perm_mask, mapping


def serve_keras(settings):
    """Our Pretrainer, or the naive port, on the Keras backend of this process."""
    import keras

    keras.config.set_dtype_policy(settings["dtype"])
    objective, batches = make_batches(settings)
    kind = settings["kind"]
    if kind == "content":
        model = make_content_only(settings)
        names = [tensor.name for tensor in model.inputs]
        batches = [
            ({name: x[name] for name in names}, y["tokens"], weight["tokens"])
            for x, y, weight in batches
        ]
    elif kind == "naive":
        model = make_naive(settings)
        batches = [
            (
                {
                    "token_ids": x["token_ids"],
                    "segment_ids": x["segment_ids"],
                    **dict(zip(("perm_mask", "target_mapping"), dense_inputs(x, weight))),
                },
                y["tokens"],
                weight["tokens"],
            )
            for x, y, weight in batches
        ]
    else:
        model = make_pretrainer(settings, objective)
    fit_in_turns(model, batches, settings)


def make_backbone(settings):
    """Our backbone."""
    from keras_plm.backbones import XLNetBackbone

    return XLNetBackbone(
        memory_length=settings["memory_length"],
        reuse_length=settings["reuse_length"],
        dropout=settings["dropout"],
        attention_dropout=settings["dropout"],
        factorise_positions=settings["kind"] != "paper",
        activation="gelu",
        remat=settings["kind"] == "remat",
        **{name: settings[name] for name in SIZES},
    )


def make_content_only(settings):
    """Our model without the query stream: the same targets, from their content rows."""
    import keras

    from keras_plm.heads import MaskedLMHead
    from keras_plm.ops import gather_rows

    backbone = make_backbone(settings)
    names = ("token_ids", "segment_ids", "target_positions")
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    features = {name: inputs[name] for name in names[:2]}
    content = backbone.encode(features)["sequence_output"]
    rows = gather_rows(content, inputs["target_positions"])  # (B, P, D)
    model = keras.Model(inputs, MaskedLMHead(backbone.token_embedding)(rows))
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=asked_of_xla(),
    )
    return model


def make_pretrainer(settings, objective):
    """Our model, compiled as it compiles itself but for the optimizer."""
    import keras

    from keras_plm.tasks import Pretrainer

    model = Pretrainer(make_backbone(settings), objective)
    guard = {"skip_non_finite": None} if settings["kind"] in ("unguarded", "twin") else {}
    optimizer = keras.optimizers.AdamW(1e-4)
    model.compile(optimizer, jit_compile=asked_of_xla(), **guard)
    if model.memory is not None:  # as Pretrainer.fit does, which takes a Corpus's examples only
        model.memory.resize(settings["batch_size"], training=True)
    return model


def make_naive(settings):
    """The plain port, compiled in the same way."""
    import keras
    from naive_xlnet import NaiveXLNet

    names = ("batch_size", "sequence_length", "memory_length", "reuse_length", *SIZES)
    model = NaiveXLNet(**{name: settings[name] for name in names})
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=asked_of_xla(),
    )
    return model


SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")


def serve_torch(settings):
    """transformers' XLNetLMHeadModel, eager, compiled, or eager in bfloat16."""
    import torch
    import transformers

    device = "cuda" if settings["device"] == "gpu" else "cpu"
    half = settings["dtype"] == "mixed_bfloat16" or settings["kind"] == "bf16"
    if device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    memory = settings["memory_length"]
    config = transformers.XLNetConfig(
        vocab_size=settings["vocabulary_size"],
        d_model=settings["hidden_dim"],
        n_layer=settings["num_layers"],
        n_head=settings["num_heads"],
        d_inner=settings["intermediate_dim"],
        ff_activation="gelu",
        dropout=settings["dropout"],
        mem_len=memory or None,
        reuse_len=settings["reuse_length"] or None,
    )
    model = transformers.XLNetLMHeadModel(config).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    forward = torch.compile(model) if settings["kind"] == "compile" else model
    batches = []
    for x, y, weight in make_batches(settings)[1]:
        perm_mask, mapping = dense_inputs(x, weight)
        labels = np.where(weight["tokens"] > 0, y["tokens"], -100)
        batches.append(
            {
                "input_ids": torch.tensor(x["token_ids"], dtype=torch.long),
                "token_type_ids": torch.tensor(x["segment_ids"], dtype=torch.long),
                "perm_mask": torch.tensor(perm_mask),
                "target_mapping": torch.tensor(mapping),
                "labels": torch.tensor(labels, dtype=torch.long),
            }
        )
        batches[-1] = {name: value.to(device) for name, value in batches[-1].items()}
        batches[-1]["use_mems"] = bool(memory)
    shape = (memory, settings["batch_size"], settings["hidden_dim"])
    zeros = [torch.zeros(shape, device=device)] * settings["num_layers"]
    state = {"mems": zeros if memory else None, "step": 0}

    def step():
        batch = batches[state["step"] % len(batches)]
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            output = forward(**batch, mems=state["mems"])
        output.loss.backward()
        optimizer.step()
        state.update(mems=output.mems if memory else None, step=state["step"] + 1)
        return float(output.loss)

    step_in_turns(step, settings, device)


if __name__ == "__main__":
    received = json.loads(sys.argv[1])
    if received["device"] == "cpu":
        one_core()
    serve_torch(received) if received["backend"] == "torch" else serve_keras(received)
