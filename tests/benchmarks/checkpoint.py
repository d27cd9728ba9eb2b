"""How long training stands still for a checkpoint of BERT base with AdamW, and what it costs.

    python tests/benchmarks/checkpoint.py [--repeats 5] [--layers 12] [--folder DIRECTORY]

110 million weights and two moments of each, 1.3 GB. A checkpoint is begun as `Checkpoint` does it
in `fit`: the seconds until training could go on (`checkpoint_stall`), those until it is written,
and the highest resident memory beyond what was held, over the size of the file. `save()` without a
thread (`wait=True`) comes behind it. Wall time, as it is time that a user waits; no program
should run besides. The disk is that of `--folder`; the table has medians. Linux only.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import keras
from turns import forget_peak, memory_of_this_process

from keras_plm.backbones import TransformerBackbone
from keras_plm.tasks import Checkpoint, TextClassifier


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    sizes = dict(num_layers=options.layers, num_heads=12, hidden_dim=768, intermediate_dim=3072)
    backbone = TransformerBackbone(30522, **sizes, max_sequence_length=512, pooler=True)
    model = TextClassifier(backbone, num_classes=2)
    model.compile(keras.optimizers.AdamW(1e-4))
    model.optimizer.build(model.trainable_variables)
    found = {False: [], True: []}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        callback = Checkpoint(f"{folder}/checkpoint")
        callback.set_model(model)
        for wait in found:
            for step in range(1 + options.repeats):
                callback.step += 1
                held, begin = forget_peak(), time.perf_counter()
                callback.save(wait=wait)
                stall = time.perf_counter() - begin
                callback.wait()
                written = time.perf_counter() - begin
                memory = memory_of_this_process("VmHWM") - held
                if step:  # the first makes its memory, and has no checkpoint before it
                    found[wait].append((stall, written, memory))
        size = (Path(folder) / "checkpoint" / "state.safetensors").stat().st_size / 2**20
    figures = {}
    print(f"{keras.backend.backend()}, {size:,.0f} MB\n{'':16} stands s  written s  memory / file")
    for wait, name in ((False, "in a thread"), (True, "wait=True")):
        stall, written, memory = map(statistics.median, zip(*found[wait]))
        figures[name] = [stall, written, memory / size]
        print(f"{name:16} {stall:8.2f} {written:10.2f} {memory / size:14.2f}")
    print(json.dumps({"checkpoint_stall": figures["in a thread"][0], "figures": figures}))


if __name__ == "__main__":
    main()
