"""The engines of seq2seq_step.py and generate.py --system seq2seq: processes, see turns.py.

`work` of the settings says what a turn is: "train" a step, "generate" a batch of sources that texts
are written for, "growth" some tokens of one text, read one by one at two places. `family` is whose
flags the model has: "marian", "bart" or "t5".
"""

import json
import sys
import time

import numpy as np
from causal_lm_workers import call_in_turns, compiled, train_on
from turns import keras_product, one_core, step_in_turns, torch_product

NUM_BATCHES = 4
START = 0  # what the decoder reads first
SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")


def make_batches(settings):
    """Batches of random pairs: sources (B, N) and targets (B, T), int32, without padding."""
    rng = np.random.default_rng(0)
    rows, highest = settings["batch_size"], settings["vocabulary_size"] - 1  # Marian's padding
    return [
        [
            rng.integers(5, highest, (rows, settings[length])).astype("int32")
            for length in ("source_length", "sequence_length")
        ]
        for _ in range(NUM_BATCHES)
    ]


def serve_keras(settings):
    """Our model, or KerasHub's, on the Keras backend of this process."""
    ours = settings["kind"] == "ours"
    model = (make_ours if ours else make_keras_hub)(settings)
    if settings["work"] == "train":
        train_keras(model, settings)
    elif settings["work"] == "growth":
        call_in_turns(growth(model, settings), *keras_product(settings))
    else:
        call = (generate_ours if ours else generate_keras_hub)(model, settings)
        call_in_turns(call, *keras_product(settings))


def make_ours(settings):
    """Our `Seq2SeqLM`, with the flags of a family."""
    from keras_plm import families
    from keras_plm.backbones import Seq2SeqBackbone
    from keras_plm.tasks import Seq2SeqLM

    family = {"marian": families.MARIAN, "bart": families.BART, "t5": families.T5}
    sizes = {name: settings[name] for name in SIZES}
    if settings["family"] == "bart":
        sizes["max_sequence_length"] = 1 + max(settings["source_length"], longest(settings))
    backbone = Seq2SeqBackbone(
        dropout=settings["dropout"], **family[settings["family"]]["flags"], **sizes
    )
    return Seq2SeqLM(backbone, start_token_id=START)


def longest(settings):
    """The longest text that a decoder reads."""
    return settings["sequence_length"] + 1


def make_keras_hub(settings):
    """KerasHub's BART or T5."""
    import keras_hub

    sizes = {name: settings[name] for name in SIZES}
    if settings["family"] == "bart":
        length = 1 + max(settings["source_length"], longest(settings))
        backbone = keras_hub.models.BartBackbone(
            dropout=settings["dropout"], max_sequence_length=length, **sizes
        )
        return keras_hub.models.BartSeq2SeqLM(backbone)
    backbone = keras_hub.models.T5Backbone(
        dropout=settings["dropout"], activation="relu", use_gated_activation=False, **sizes
    )
    return keras_hub.models.T5Seq2SeqLM(backbone)


# === Training ===


def train_keras(model, settings):
    """One step per turn, in which every token of the targets is predicted."""
    ours = settings["kind"] == "ours"
    names = ("source_", "") if ours else ("encoder_", "decoder_")
    batches = []
    for source, target in make_batches(settings):
        read = np.concatenate([np.full_like(target[:, :1], START), target[:, :-1]], axis=1)
        x = {}
        for name, ids in zip(names, (source, read)):
            x |= {f"{name}token_ids": ids, f"{name}padding_mask": np.ones(ids.shape, bool)}
        if ours:
            places = np.arange(target.shape[1], dtype="int32")
            x["target_positions"] = np.tile(places, (len(target), 1))
        batches.append((x, target, np.ones(target.shape, "float32")))
    train_on(model, batches, settings)


# === Generation ===


def generate_ours(model, settings):
    from keras_plm.tasks import BeamSearch

    sources, beams = make_batches(settings)[0][0].tolist(), settings["num_beams"]
    sampler = BeamSearch(beams, length_penalty=0.0) if beams > 1 else "greedy"
    length, rows = settings["sequence_length"], settings["batch_size"]

    def call():
        texts = model.generate(sources, length, sampler, batch_size=rows, verbose=0)
        return {"tokens": sum(len(text) for text in texts)}

    return call


def generate_keras_hub(model, settings):
    import keras_hub

    beams = settings["num_beams"]
    sampler = keras_hub.samplers.BeamSampler(num_beams=beams) if beams > 1 else "greedy"
    model.compile(sampler=sampler, jit_compile=True)
    source = make_batches(settings)[0][0]
    written = np.zeros((len(source), longest(settings)), "int32")
    known = np.zeros(written.shape, bool)
    written[:, 0], known[:, 0] = START, True
    given = {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones(source.shape, bool),
        "decoder_token_ids": written,
        "decoder_padding_mask": known,
    }

    def call():
        texts = model.generate(given, stop_token_ids=None)["decoder_token_ids"]
        return {"tokens": int(texts[:, 1:].size)}

    return call


def growth(model, settings):
    """One text, read up to two places of it; the CPU times of the tokens behind them, in turns."""
    from keras import ops

    head, decoder = model.heads["tokens"], model.backbone.decoder()
    source, target = map(ops.convert_to_tensor, make_batches(settings)[0])

    def read(token_ids, _, count):
        features = {"source_token_ids": source, "token_ids": token_ids, "known": count}
        return decoder.start(features)

    def step(token, state, index):
        constants, cache = state
        states, cache = decoder.step(constants, cache, token, index)
        return ops.cast(ops.argmax(head.logits(states), axis=-1), "int32"), (constants, cache)

    read, step = compiled(read, model), compiled(step, model)
    places = settings["first"].items()
    caches = {name: read(target, (), ops.convert_to_tensor(at, "int32")) for name, at in places}

    def call():
        tokens = {name: target[:, at : at + 1] for name, at in places}
        seconds = {name: [] for name in tokens}
        for number in range(settings["tokens"]):
            for name, at in places:
                index = ops.convert_to_tensor(at + number, "int32")
                begin = time.process_time()
                tokens[name], caches[name] = step(tokens[name], caches[name], index)
                np.asarray(tokens[name])  # waits for the step
                seconds[name].append(time.process_time() - begin)
        return {"seconds": seconds}

    return call


# === transformers ===


def serve_torch(settings):
    """transformers' Marian, BART or T5, in eager PyTorch or compiled."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = make_torch(settings)
    batches = [
        [torch.tensor(ids, dtype=torch.long) for ids in pair] for pair in make_batches(settings)
    ]
    training = settings["work"] == "train"
    model = model.train() if training else model.eval()
    if settings["kind"] == "compile":
        model.forward = torch.compile(model.forward, dynamic=None if training else True)
    if training:
        step_in_turns(torch_step(model, batches), settings)
    call_in_turns(torch_generation(model, batches[0][0], settings), *torch_product(settings))


def make_torch(settings):
    import transformers

    size, dropout = settings["vocabulary_size"], settings["dropout"]
    width, inner = settings["hidden_dim"], settings["intermediate_dim"]
    heads, layers = settings["num_heads"], settings["num_layers"]
    if settings["family"] == "t5":
        config = transformers.T5Config(
            vocab_size=size,
            d_model=width,
            d_kv=width // heads,
            d_ff=inner,
            num_layers=layers,
            num_heads=heads,
            dropout_rate=dropout,
            feed_forward_proj="relu",
            decoder_start_token_id=START,
            pad_token_id=START,
        )
        return transformers.T5ForConditionalGeneration(config)
    marian = settings["family"] == "marian"
    config = (transformers.MarianConfig if marian else transformers.BartConfig)(
        vocab_size=size,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=1 + max(settings["source_length"], longest(settings)),
        activation_function="swish" if marian else "gelu",
        scale_embedding=marian,
        dropout=dropout,
        attention_dropout=0.0,
        decoder_start_token_id=START,
        pad_token_id=size - 1,
        eos_token_id=1,
        bos_token_id=2,
        forced_eos_token_id=None,
    )
    if marian:
        return transformers.MarianMTModel(config)
    return transformers.BartForConditionalGeneration(config)


def torch_step(model, batches):
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    done = [0]

    def step():
        optimizer.zero_grad()
        source, target = batches[done[0] % NUM_BATCHES]
        loss = model(input_ids=source, labels=target, use_cache=False).loss
        loss.backward()
        optimizer.step()
        done[0] += 1
        return float(loss.detach())

    return step


def torch_generation(model, sources, settings):
    new, beams = settings["sequence_length"], settings["num_beams"]

    def call():
        texts = model.generate(
            sources,
            attention_mask=sources.new_ones(sources.shape),
            min_new_tokens=new,
            max_new_tokens=new,
            do_sample=False,
            num_beams=beams,
            length_penalty=0.0,
            use_cache=True,
        )
        return {"tokens": texts[:, 1:].numel()}

    return call


if __name__ == "__main__":
    received = json.loads(sys.argv[1])
    one_core()
    serve_torch(received) if received["backend"] == "torch" else serve_keras(received)
