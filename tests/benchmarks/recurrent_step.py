"""Forward and backward pass of our recurrent layers against PyTorch's.

    python tests/benchmarks/recurrent_step.py
    python tests/benchmarks/recurrent_step.py --cases elmo_clips --engines jax torch_compile
    python tests/benchmarks/recurrent_step.py --tiny

`awd_lstm` are the LSTMs of ULMFiT (400, 1152, 1152, 400 wide, T 70, B 20), without dropout;
`elmo` those of one direction of the medium ELMo (cells of 2048, projected to 256, two layers, T 20,
B 32), without clips, which `torch.nn.LSTM` has not; `elmo_clips` the same with cells and outputs
within 3, as they are in truth. A step gives the gradients of all weights from the sum of squares of
the output. Engines: ours on TensorFlow with XLA and without it, and on JAX; Keras's own LSTM there
(not of ELMo: it has no projection); `torch.nn.LSTM` (not with clips); and what one would write in
PyTorch for clips, a loop over one step of a cell, which `torch.compile` compiles, the products with
the inputs in one piece before it. Without clips that loop is compared with `torch.nn.LSTM` first.

`--tiny`: narrow layers and one round, to see that all of it runs.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object.
"""

import argparse
import json
import sys

import numpy as np
from interleaved import measure, processor, ratio
from turns import Turns, keras_gradient_step, keras_product, one_core, torch_product

ENGINES = {  # name: (backend, kind)
    "tensorflow_xla": ("tensorflow", "ours xla"),
    "tensorflow": ("tensorflow", "ours"),
    "jax": ("jax", "ours xla"),
    "tensorflow_keras": ("tensorflow", "keras"),
    "jax_keras": ("jax", "keras xla"),
    "torch": ("torch", "torch"),
    "torch_compile": ("torch", "torch loop"),
}
AWD_LSTM = [(400, 1152, 0), (1152, 1152, 0), (1152, 400, 0)]
ELMO = [(256, 2048, 256)] * 2
CASES = {  # widths of input, cell and output of each layer; the bound of cells and outputs
    "awd_lstm": dict(layers=AWD_LSTM, length=70, batch=20, clip=None),
    "elmo": dict(layers=ELMO, length=20, batch=32, clip=None),
    "elmo_clips": dict(layers=ELMO, length=20, batch=32, clip=3.0),
}
SETTINGS = dict(device="cpu", dtype="float32")


def text(settings):
    """Random token states (B, T, D)."""
    shape = settings["batch"], settings["length"], settings["layers"][0][0]
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_layers(settings):
    """The Keras layers of a case, built."""
    import keras

    from keras_plm.layers import ProjectedLSTM, WeightDropLSTM

    made = []
    for below, cell, projected in settings["layers"]:
        if settings["kind"].startswith("keras"):
            if projected:
                raise ValueError("Keras's LSTM has no projection.")
            layer = keras.layers.LSTM(cell, return_sequences=True, use_cudnn=False)
        elif projected:
            clip = settings["clip"]
            layer = ProjectedLSTM(cell, projected, cell_clip=clip, projection_clip=clip)
        else:
            layer = WeightDropLSTM(cell)
        layer.build((None, None, below))
        made.append(layer)
    return made


def keras_step(settings):
    """A function of one step on this process's backend, which returns the loss."""
    from keras import ops

    layers, rows = make_layers(settings), ops.convert_to_tensor(text(settings))
    variables = [weight for layer in layers for weight in layer.trainable_weights]

    def loss_of(rows):
        for layer in layers:
            rows = layer(rows)
            rows = rows[0] if isinstance(rows, tuple) else rows
        return ops.sum(rows * rows)

    is_compiled = settings["kind"].endswith("xla")
    return keras_gradient_step(loss_of, rows, variables, is_compiled)


def torch_step(settings):
    """A function of one step in PyTorch: of `torch.nn.LSTM`, or of a loop over compiled cells."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [
        torch.nn.LSTM(below, cell, proj_size=projected, batch_first=True)
        for below, cell, projected in settings["layers"]
    ]
    given, clip = torch.from_numpy(text(settings)), settings["clip"]
    is_loop = settings["kind"] == "torch loop"
    if clip and not is_loop:
        raise ValueError("torch.nn.LSTM has no clips.")

    @torch.compile
    def cell_step(gates, hidden, cell, recurrent, projection):
        """Hidden state (B, K) and cell (B, C) from the gates (B, 4C) that the input gives."""
        parts = torch.nn.functional.linear(hidden, recurrent, gates).chunk(4, dim=-1)
        enter, keep, candidate, leave = parts  # PyTorch's order
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
        cell = cell if clip is None else cell.clamp(-clip, clip)
        hidden = torch.sigmoid(leave) * torch.tanh(cell)
        if projection is not None:
            hidden = torch.nn.functional.linear(hidden, projection)
            hidden = hidden if clip is None else hidden.clamp(-clip, clip)
        return hidden, cell

    def loop(layer, rows):
        """The outputs (B, T, K) of the weights of a `torch.nn.LSTM`."""
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        gates = torch.nn.functional.linear(rows, layer.weight_ih_l0, bias)  # (B, T, 4C)
        hidden = rows.new_zeros(len(rows), layer.proj_size or layer.hidden_size)
        cell, outputs = rows.new_zeros(len(rows), layer.hidden_size), []
        projection = layer.weight_hr_l0 if layer.proj_size else None
        for own in gates.unbind(1):
            hidden, cell = cell_step(own, hidden, cell, layer.weight_hh_l0, projection)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)

    def all_layers(rows, read):
        for layer in layers:
            rows = read(layer, rows)
        return rows

    def of_torch(layer, rows):
        return layer(rows)[0]

    if is_loop and clip is None:
        with torch.no_grad():
            torch.testing.assert_close(all_layers(given, loop), all_layers(given, of_torch))

    def step():
        for layer in layers:
            layer.zero_grad()
        rows = all_layers(given, loop if is_loop else of_torch)
        loss = (rows * rows).sum()
        loss.backward()
        return float(loss.detach())

    return step


def serve(settings):
    """One step whenever the parent asks."""
    one_core()
    is_torch = settings["backend"] == "torch"
    step = (torch_step if is_torch else keras_step)(settings)
    product, library = (torch_product if is_torch else keras_product)(settings)
    turns = Turns(product)
    step(), step()
    turns.answer(ready=library)
    while True:
        turns.wait()
        turns.finish(loss=step())


def report(workers, case):
    """Print the figures of one case and return them."""
    figures = {}
    for engine, worker in workers.items():
        milliseconds = np.median([step["cpu"] for step in worker.steps]) * 1e3
        print(f"  {engine:20}{milliseconds:8.0f} ms")
        figures[f"{case}_{engine}_milliseconds"] = round(float(milliseconds), 1)
        for other in ("torch", "torch_compile", "tensorflow_keras"):
            found = ratio(workers, engine, other, "cpu") if engine != other else None
            if found:
                print(f"    of {other}: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
                figures[f"{case}_{engine}_vs_{other}"] = found
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--tiny", action="store_true", help="narrow layers and one round")
    options = parser.parse_args()
    rounds = 1 if options.tiny else options.rounds
    engines = {name: ENGINES[name] for name in options.engines}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {rounds} rounds")
    for case in options.cases:
        print(f"=== {case}")
        settings = {**SETTINGS, **CASES[case]}
        if options.tiny:
            narrow = [[width // 64 for width in widths] for widths in settings["layers"]]
            settings.update(layers=narrow, length=3, batch=2)
        workers, _ = measure("recurrent_step.py", engines, settings, rounds)
        figures |= report(workers, case)
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        serve(json.loads(sys.argv[1]))
    main()
