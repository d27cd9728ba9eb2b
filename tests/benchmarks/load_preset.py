"""What loading a preset of BERT base costs: CPU seconds, and peak memory beyond the import.

    python tests/benchmarks/load_preset.py [--backend tensorflow] [--repeats 3] [--before DIRECTORY]

110 million random weights are written once, into a temporary folder: as a preset of a
`TextClassifier` of ours and as a Hugging Face directory. Every load is a process of its own that
imports the package, loads a tiny preset (what a backend starts at its first use), then the large
one. Peak memory is the highest resident size less that before, over the size of the weights' file.
`--before` measures the package in another checkout as well, such as a worktree of an older commit;
the two take turns. The table has the smallest of the repeats. Linux only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[2]
SIZES = dict(num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=3072)
TINY = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
CASES = {
    "own, backbone": ("own", "Backbone"),
    "own, TextClassifier": ("own", "TextClassifier"),
    "Hugging Face, backbone": ("hugging_face", "Backbone"),
    "Hugging Face, TextClassifier": ("hugging_face", "TextClassifier"),
}
WEIGHTS = {"own": "model.weights.h5", "hugging_face": "model.safetensors"}


def write(folder):
    """Write the large presets and the tiny ones."""
    from keras_plm import presets
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.tasks import TextClassifier

    for name, sizes, vocabulary in (("large", SIZES, 30522), ("tiny", TINY, 20)):
        backbone = TransformerBackbone(vocabulary, **sizes, max_sequence_length=512, pooler=True)
        classifier = TextClassifier(backbone, num_classes=2)
        classifier.save_to_preset(folder / name / "own")
        presets.export_huggingface(classifier, folder / name / "hugging_face")


def load(folder, form, kind):
    """Load one preset and print what it cost."""
    import time

    from keras_plm.backbones import Backbone
    from keras_plm.tasks import TextClassifier

    def highest():  # of this process alone: Linux's getrusage counts what the parent had
        (line,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(line) * 1024

    cls = {"Backbone": Backbone, "TextClassifier": TextClassifier}[kind]
    cls.from_preset(folder / "tiny" / form)
    memory, cpu, wall = highest(), time.process_time(), time.perf_counter()
    model = cls.from_preset(folder / "large" / form)
    seconds = time.process_time() - cpu, time.perf_counter() - wall
    size = (folder / "large" / form / WEIGHTS[form]).stat().st_size
    assert model.count_params() * 4 <= 1.01 * size
    print(json.dumps({"cpu": seconds[0], "wall": seconds[1], "peak": (highest() - memory) / size}))


def run(checkout, backend, *arguments):
    """Run this script in a process of its own, with the package of a checkout."""
    environment = {
        "PYTHONPATH": str(checkout),
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--before", type=Path)
    options = parser.parse_args()
    checkouts = {"now": HERE, **({"before": options.before} if options.before else {})}
    with tempfile.TemporaryDirectory() as folder:
        run(HERE, options.backend, "write", folder)
        print(f"{options.backend}\n{'':30} {'':7} CPU s  wall s  peak / file")
        for case, (form, kind) in CASES.items():
            found = {name: [] for name in checkouts}
            for _ in range(options.repeats):
                for name, checkout in checkouts.items():
                    (line,) = run(checkout, options.backend, "load", folder, form, kind)
                    found[name].append(json.loads(line))
            for name, costs in found.items():
                cpu, wall, peak = (min(cost[key] for cost in costs) for key in costs[0])
                print(f"{case:30} {name:7} {cpu:5.2f} {wall:7.2f} {peak:12.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["load"]:
        load(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()
