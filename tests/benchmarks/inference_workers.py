"""The engines of tests/benchmarks/inference.py: one process each, see turns.py."""

import json
import sys
import time

import numpy as np
from turns import Turns, keras_product, one_core, torch_product

BATCH, LENGTH, MANY, ONES, EPOCHS, AT_ONCE = 32, 128, 128, 20, 3, 8


def read(settings):
    """Texts and labels."""
    with open(settings["texts"], encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(" ", 1) for line in file if line.strip()]
    return [text for _, text in lines], np.array([int(label) for label, _ in lines])


def serve_calls(settings, call, product, library):
    """Answer turns with calls of a function of texts; `predict_one` takes one after another."""
    texts, one = read(settings)[0][:MANY], settings["case"] == "predict_one"
    before = time.process_time()
    call(texts[:1] if one else texts)
    first = time.process_time() - before
    for number in range(16 if one else 2):
        call(texts[number : number + 1] if one else texts)
    turns, number = Turns(product), 0
    turns.answer(ready=library)
    while True:
        turns.wait()
        if not one:
            call(texts)
        for _ in range(ONES if one else 0):
            call([texts[number % MANY]])
            number += 1
        turns.finish(texts=ONES if one else MANY, first=first)


class TakeTurns:
    """Counts batches, of which a turn has several, once the first ones have been read."""

    def __init__(self, warm, product, library):
        self.turns, self.library = Turns(product), library
        self.warm, self.batches = warm, 0

    def begin(self):
        self.batches += 1
        if self.batches == self.warm:
            self.turns.answer(ready=self.library)
        if self.batches >= self.warm and (self.batches - self.warm) % AT_ONCE == 0:
            self.turns.wait()

    def end(self):
        if self.batches >= self.warm and (self.batches - self.warm) % AT_ONCE == AT_ONCE - 1:
            self.turns.finish(texts=AT_ONCE * BATCH)


def serve_keras(settings):
    """This package, as its user types it."""
    import keras

    from keras_plm.tasks import TextClassifier, TextEmbedder

    product, library = keras_product(settings)
    if settings["case"] == "embed_many":
        embedder = TextEmbedder.from_preset(settings["model"], sequence_length=LENGTH)
        serve_calls(settings, embedder.embed, product, library)
    model = TextClassifier.from_preset(settings["model"], num_classes=2, sequence_length=LENGTH)
    if settings["case"] != "fit_default":
        serve_calls(settings, lambda texts: model.predict(texts, verbose=0), product, library)
    turns = TakeTurns(60, product, library)

    class Turn(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            turns.begin()

        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])
            turns.end()

    model.fit(*read(settings), epochs=EPOCHS, verbose=0, callbacks=[Turn()])


def serve_torch(settings):
    """transformers, eager, in float32 or under bfloat16 autocast; or its export by onnxruntime."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(0)
    product, library = torch_product(settings)
    half, embeds = settings["kind"] == "bfloat16", settings["case"] == "embed_many"
    tokenizer = transformers.AutoTokenizer.from_pretrained(settings["model"])
    kind = transformers.AutoModel if embeds else transformers.AutoModelForSequenceClassification
    model = kind.from_pretrained(settings["model"]).eval()

    def features(texts):
        return tokenizer(
            texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
        )

    def forward(batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return model(**batch)

    if settings["kind"] == "onnx":
        forward = exported(model, features(["a text", "another text of more tokens"]))

    def call(texts):
        """Predict in batches of similar length."""
        order = np.argsort([-len(text) for text in texts], kind="stable")
        found = [None] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                numbers = order[start : start + BATCH]
                batch = features([texts[number] for number in numbers])
                output = forward(batch)
                if embeds:
                    real = batch["attention_mask"][..., None].float()
                    rows = (output.last_hidden_state.float() * real).sum(1) / real.sum(1)
                else:
                    rows = output.logits.float()
                for number, row in zip(numbers, rows.numpy()):
                    found[number] = row
        return np.stack(found)

    if settings["case"] != "fit_default":
        serve_calls(settings, call, product, library)
    texts, labels = read(settings)
    ids = tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01, fused=True)
    rng, turns = np.random.default_rng(0), TakeTurns(20, product, library)
    model.train()
    for _ in range(EPOCHS):
        for numbers in grouped_by_length([len(row) for row in ids], rng):
            turns.begin()
            batch = tokenizer.pad({"input_ids": [ids[n] for n in numbers]}, return_tensors="pt")
            logits = forward(batch).logits.float()
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[numbers]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item()
            turns.end()


def grouped_by_length(lengths, rng, together=50):
    """Full batches of similar length: sorted within 50 random ones, as transformers' sampler."""
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), BATCH * together):
        some = sorted(order[start : start + BATCH * together], key=lambda n: -lengths[n])
        batches += [some[at : at + BATCH] for at in range(0, len(some), BATCH)]
    batches = [batch for batch in batches if len(batch) == BATCH]
    return [np.array(batches[number]) for number in rng.permutation(len(batches))]


def exported(model, example):
    """The model under onnxruntime: a function of a batch."""
    import io
    import types

    import onnxruntime
    import torch

    names, file = list(example), io.BytesIO()
    torch.onnx.export(
        model,
        tuple(example[name] for name in names),
        file,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
        dynamo=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options)

    def forward(batch):
        (logits,) = session.run(None, {name: batch[name].numpy() for name in names})
        return types.SimpleNamespace(logits=torch.from_numpy(logits))

    return forward


if __name__ == "__main__":
    received = json.loads(sys.argv[1])
    one_core()
    serve_torch(received) if received["backend"] == "torch" else serve_keras(received)
