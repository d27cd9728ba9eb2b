"""The engines of tests/benchmarks/masked_lm_step.py: one process each, see turns.py."""

import json
import sys

import numpy as np
from turns import asked_of_xla, fit_in_turns, one_core, step_in_turns

NUM_BATCHES = 4
FIRST_TOKEN = 5  # the ids before it are special


def make_batches(settings):
    """Batches of random rows with a P-th of the tokens replaced by id 4 and to be predicted."""
    rng = np.random.default_rng(0)
    rows, length, count = (settings[k] for k in ("batch_size", "sequence_length", "num_predict"))
    batches = []
    for _ in range(NUM_BATCHES):
        token_ids = rng.integers(FIRST_TOKEN, settings["vocabulary_size"], (rows, length))
        targets = np.sort(np.argsort(rng.random((rows, length)))[:, :count])  # (B, P)
        labels = np.take_along_axis(token_ids, targets, axis=1)
        corrupted = token_ids.copy()
        np.put_along_axis(corrupted, targets, 4, axis=1)
        batch = {
            "token_ids": corrupted,
            "segment_ids": np.zeros((rows, length)),
            "target_positions": targets,
            "labels": labels,
        }
        batch = {name: value.astype("int32") for name, value in batch.items()}
        batches.append({**batch, "padding_mask": np.ones((rows, length), bool)})
    return batches


SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")


def serve_keras(settings):
    """Our backbone and head, or KerasHub's, on the Keras backend of this process."""
    import keras

    keras.config.set_dtype_policy(settings["dtype"])
    make = {"ours": make_ours, "kerashub": make_keras_hub}[settings["kind"]]
    model, names = make(settings)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=asked_of_xla(),
    )
    batches = [
        (
            {theirs: batch[ours] for theirs, ours in names.items()},
            batch["labels"],
            np.ones(batch["labels"].shape, "float32"),
        )
        for batch in make_batches(settings)
    ]
    fit_in_turns(model, batches, settings)


def make_ours(settings):
    """Our model, and its inputs by the names of the arrays."""
    import keras

    from keras_plm.backbones import TransformerBackbone
    from keras_plm.heads import MaskedLMHead

    backbone = TransformerBackbone(
        max_sequence_length=settings["sequence_length"],
        dropout=settings["dropout"],
        attention_dropout=settings["dropout"],
        activation="gelu_tanh",
        **{name: settings[name] for name in SIZES},
    )
    targets = keras.Input((None,), dtype="int32", name="target_positions")
    inputs = {**backbone.input, "target_positions": targets}
    head = MaskedLMHead(backbone.token_embedding, transform=True, activation="gelu_tanh")
    model = keras.Model(inputs, head(backbone.encode(inputs)["target_output"]))
    return model, {name: name for name in inputs}


def make_keras_hub(settings):
    """KerasHub's BERT with its masked-LM head, and its inputs."""
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        max_sequence_length=settings["sequence_length"],
        dropout=settings["dropout"],
        num_segments=2,
        **{name: settings[name] for name in SIZES},
    )
    model = keras_hub.models.BertMaskedLM(backbone)
    names = {name: name for name in ("token_ids", "segment_ids", "padding_mask")}
    return model, {**names, "mask_positions": "target_positions"}


def serve_torch(settings):
    """transformers' BertForMaskedLM: as shipped, compiled, in bfloat16, or on the same rows."""
    import torch
    import transformers

    device = "cuda" if settings["device"] == "gpu" else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=settings["vocabulary_size"],
        hidden_size=settings["hidden_dim"],
        num_hidden_layers=settings["num_layers"],
        num_attention_heads=settings["num_heads"],
        intermediate_size=settings["intermediate_dim"],
        max_position_embeddings=settings["sequence_length"],
        hidden_dropout_prob=settings["dropout"],
        attention_probs_dropout_prob=settings["dropout"],
    )
    model = transformers.BertForMaskedLM(config).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batches = []
    for batch in make_batches(settings):
        tensors = {
            name: torch.tensor(batch[name], dtype=torch.long, device=device)
            for name in ("token_ids", "segment_ids", "target_positions", "labels", "padding_mask")
        }
        everywhere = torch.full_like(tensors["token_ids"], -100)
        everywhere.scatter_(1, tensors["target_positions"], tensors["labels"])
        batches.append({**tensors, "everywhere": everywhere})
    forward = torch.compile(model) if settings["kind"] == "transformers_compile" else model
    half = settings["kind"] == "transformers_bf16" or settings["dtype"] == "mixed_bfloat16"
    done = [0]

    def loss_of(batch):
        texts = {
            "input_ids": batch["token_ids"],
            "token_type_ids": batch["segment_ids"],
            "attention_mask": batch["padding_mask"],
        }
        if settings["kind"] != "transformers_same_rows":
            return forward(**texts, labels=batch["everywhere"]).loss
        rows = model.bert(**texts).last_hidden_state  # (B, T, D)
        targets = batch["target_positions"][:, :, None].expand(-1, -1, rows.shape[-1])
        logits = model.cls(rows.gather(1, targets))  # (B, P, V)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = loss_of(batches[done[0] % NUM_BATCHES])
        loss.backward()
        optimizer.step()
        done[0] += 1
        return float(loss.detach())

    step_in_turns(step, settings, device)


if __name__ == "__main__":
    received = json.loads(sys.argv[1])
    if received["device"] == "cpu":
        one_core()
    serve_torch(received) if received["backend"] == "torch" else serve_keras(received)
