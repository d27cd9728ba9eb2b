"""The engines of causal_lm_step.py and generate.py: one process each, see turns.py.

`work` of the settings says what a turn is: "train" a step, "generate" a batch of texts that is
continued, "growth" some tokens of one text, read one by one at two places.
"""

import functools
import json
import sys
import time

import numpy as np
from turns import (
    Turns,
    asked_of_xla,
    fit_in_turns,
    keras_product,
    one_core,
    step_in_turns,
    torch_product,
)

NUM_BATCHES = 4
SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")


def make_batches(settings):
    """Batches of random rows, and their prompts where texts are continued."""
    rng = np.random.default_rng(0)
    shape = (settings["batch_size"], settings["sequence_length"])
    batches = []
    for _ in range(NUM_BATCHES):
        token_ids = rng.integers(0, settings["vocabulary_size"], shape).astype("int32")
        batches.append({"token_ids": token_ids, "padding_mask": np.ones(shape, bool)})
    return batches


def serve_keras(settings):
    """Our model, or KerasHub's, on the Keras backend of this process."""
    import keras

    keras.config.set_dtype_policy(settings["dtype"])
    make = {"ours": make_ours, "kerashub": make_keras_hub}[settings["kind"]]
    model = make(settings)
    if settings["work"] == "train":
        train_keras(model, settings)
    elif settings["work"] == "growth":
        serve_growth(model, settings)
    else:
        call = {"ours": generate_ours, "kerashub": generate_keras_hub}[settings["kind"]]
        call_in_turns(call(model, settings), *keras_product(settings))


def make_ours(settings):
    """Our `CausalLM`, with the flags of GPT-2."""
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.tasks import CausalLM

    backbone = TransformerBackbone(
        max_sequence_length=settings["sequence_length"],
        dropout=settings["dropout"],
        attention_dropout=settings["dropout"],
        activation="gelu_tanh",
        normalize_first=True,
        embedding_norm=False,
        layer_norm_epsilon=1e-5,
        num_segments=0,
        causal=True,
        **{name: settings[name] for name in SIZES},
    )
    return CausalLM(backbone)


def make_keras_hub(settings):
    """KerasHub's GPT-2."""
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(
        max_sequence_length=settings["sequence_length"],
        dropout=settings["dropout"],
        **{name: settings[name] for name in SIZES},
    )
    return keras_hub.models.GPT2CausalLM(backbone)


# === Training ===


def train_keras(model, settings):
    """One step per turn. Ours predicts T - 1 rows; KerasHub's T, of which the last weighs 0."""
    ours = settings["kind"] == "ours"
    batches = []
    for x in make_batches(settings):
        token_ids = x["token_ids"]
        if ours:
            targets = np.tile(np.arange(token_ids.shape[1] - 1, dtype="int32"), (len(token_ids), 1))
            x, y = {**x, "target_positions": targets}, token_ids[:, 1:]
            weight = np.ones(y.shape, "float32")
        else:
            y, weight = np.roll(token_ids, -1, axis=1), np.ones(token_ids.shape, "float32")
            weight[:, -1] = 0
        batches.append((x, y, weight))
    train_on(model, batches, settings)


def train_on(model, batches, settings):
    """One step per turn on batches (x, tokens, weights), ours as a plain model without metrics."""
    import keras

    if settings["kind"] == "ours":  # like KerasHub's
        model = keras.Model(model.input, model.output["tokens"])
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=None,
        jit_compile=asked_of_xla(),
    )
    fit_in_turns(model, batches, settings)


# === Generation ===


def call_in_turns(call, product, library):
    """Call a function that returns numbers to be sent along, once per turn."""
    turns = Turns(product)
    call()  # compiles
    turns.answer(ready=library)
    while True:
        turns.wait()
        turns.finish(**call())


def generate_ours(model, settings):
    prompts = make_batches(settings)[0]["token_ids"][:, : settings["prompt_length"]].tolist()
    length, rows = settings["sequence_length"], settings["batch_size"]

    def call():
        texts = model.generate(
            prompts, length, "greedy", stop_token_ids=None, batch_size=rows, verbose=0
        )
        return {"tokens": sum(len(text) for text in texts)}

    return call


def generate_keras_hub(model, settings):
    model.compile(sampler="greedy", jit_compile=True)
    given = make_batches(settings)[0]
    given["padding_mask"][:, settings["prompt_length"] :] = False
    given["token_ids"][:, settings["prompt_length"] :] = 0

    def call():
        return {"tokens": int(model.generate(given, stop_token_ids=None)["token_ids"].size)}

    return call


def serve_growth(model, settings):
    """One text, read up to two places of it; the CPU times of the tokens behind them, in turns."""
    from keras import ops

    from keras_plm.backbones.decoding.transformer_decoding import (
        cache_length,
        empty_cache,
        of_one_text,
        read_prompt,
        read_tokens,
    )

    backbone, head = model.backbone, model.heads["tokens"]
    places = cache_length(settings["sequence_length"])

    def read(token_ids, _, count):
        cache = read_prompt(backbone, empty_cache(backbone, 1, places), token_ids, count)
        return of_one_text(cache)

    def step(token, cache, index):
        rows, cache = read_tokens(backbone, cache, token, index)
        return ops.cast(ops.argmax(head(rows), axis=-1), "int32"), cache

    read, step = compiled(read, model), compiled(step, model)
    token_ids = ops.convert_to_tensor(make_batches(settings)[0]["token_ids"])  # (1, S)
    caches = {}
    for name, first in settings["first"].items():
        count = ops.convert_to_tensor(first, "int32")
        caches[name] = read(token_ids, (), count)

    def call():
        tokens = {
            name: token_ids[:, first : first + 1] for name, first in settings["first"].items()
        }
        seconds = {name: [] for name in tokens}
        for number in range(settings["tokens"]):
            for name, first in settings["first"].items():
                index = ops.convert_to_tensor(first + number, "int32")
                begin = time.process_time()
                tokens[name], caches[name] = step(tokens[name], caches[name], index)
                np.asarray(tokens[name])  # waits for the step
                seconds[name].append(time.process_time() - begin)
        return {"seconds": seconds}

    call_in_turns(call, *keras_product(settings))


def compiled(function, model):
    """A function of (ids, cache, index) under XLA; on JAX the cache is written in place."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    import jax

    @functools.partial(jax.jit, donate_argnums=2)
    def program(weights, token_ids, cache, index):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, weights))):
            return function(token_ids, cache, index)

    weights = [variable.value for variable in model.variables]
    return functools.partial(program, weights)


# === transformers ===


def serve_torch(settings):
    """transformers' GPT-2, in eager PyTorch."""
    import torch
    import transformers

    device = "cuda" if settings["device"] == "gpu" else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    names = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
    config = transformers.GPT2Config(
        vocab_size=settings["vocabulary_size"],
        n_embd=settings["hidden_dim"],
        n_layer=settings["num_layers"],
        n_head=settings["num_heads"],
        n_inner=settings["intermediate_dim"],
        n_positions=settings["sequence_length"],
        bos_token_id=None,
        eos_token_id=None,
        **dict.fromkeys(names, settings["dropout"]),
    )
    model = transformers.GPT2LMHeadModel(config).to(device)
    batches = [
        torch.tensor(batch["token_ids"], dtype=torch.long, device=device)
        for batch in make_batches(settings)
    ]
    if settings["work"] == "train":
        half = settings["kind"] == "transformers_bf16" or settings["dtype"] == "mixed_bfloat16"
        step = torch_step(model.train(), batches, settings["kind"], device, half)
        step_in_turns(step, settings, device)
    call_in_turns(torch_generation(model.eval(), batches[0], settings), *torch_product(settings))


def torch_step(model, batches, kind, device, half):
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    forward = torch.compile(model) if kind == "transformers_compile" else model
    done = [0]

    def step():
        optimizer.zero_grad()
        token_ids = batches[done[0] % NUM_BATCHES]
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = forward(input_ids=token_ids, labels=token_ids).loss
        loss.backward()
        optimizer.step()
        done[0] += 1
        return float(loss.detach())

    return step


def torch_generation(model, token_ids, settings):
    prompts = token_ids[:, : settings["prompt_length"]]
    new = settings["sequence_length"] - settings["prompt_length"]

    def call():
        texts = model.generate(
            prompts,
            attention_mask=prompts.new_ones(prompts.shape),
            min_new_tokens=new,
            max_new_tokens=new,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        return {"tokens": texts.numel()}

    return call


if __name__ == "__main__":
    received = json.loads(sys.argv[1])
    if received["device"] == "cpu":
        one_core()
    serve_torch(received) if received["backend"] == "torch" else serve_keras(received)
