"""How fast `Corpus.build` turns text into ids, in how much memory, beside the libraries alone.

    python tests/benchmarks/build_corpus.py
    python tests/benchmarks/build_corpus.py --megabytes 20 --texts books/*.md

The texts are repeated until they are as many megabytes as asked for. `ours` reads, splits into
sentences, tokenises and writes; `library` is what a tokenizer is made of, `tokenizers` or
`sentencepiece`, on the lines of the same file, 10,000 at once, whose ids are thrown away. Each is a
process of its own. Figures are megabytes of text per second of all threads' CPU time and per
second of the clock, and the peak of memory beyond what the process held before. The last line is
one JSON object.
"""

import argparse
import itertools
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from interleaved import processor
from turns import forget_peak, memory_of_this_process

HERE = Path(__file__).resolve().parents[2]
KINDS = ("wordpiece", "bpe", "sentencepiece")
LINES = 10_000  # of the library at once


def measured(function):
    """Seconds of CPU and of the clock, and megabytes at the peak."""
    held = forget_peak()
    begin = time.process_time(), time.perf_counter()
    function()
    seconds = time.process_time() - begin[0], time.perf_counter() - begin[1]
    peak = None if held is None else memory_of_this_process("VmHWM") - held
    return [*seconds, peak]


def work(folder, engine, workers):
    """What one process does."""
    sys.path.insert(0, str(HERE))
    from keras_plm import data

    folder = Path(folder)
    tokenizer = pickle.loads((folder / "tokenizer").read_bytes())
    text = folder / "text.txt"
    if engine == "ours":
        return measured(
            lambda: data.Corpus.build(text, tokenizer, folder / "corpus", num_workers=workers)
        )
    pipeline = getattr(tokenizer, "_pipeline", None)

    def alone():
        with text.open(encoding="utf-8") as lines:
            while some := list(itertools.islice(lines, LINES)):
                if pipeline is not None:
                    pipeline.backend.encode_batch_fast(some, add_special_tokens=False)
                else:
                    tokenizer._processor.encode(some, num_threads=workers)

    return measured(alone)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    texts = sorted((HERE / "examples" / "texts").glob("*.txt"))
    parser.add_argument("--texts", nargs="+", type=Path, default=texts)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from keras_plm import data

    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.megabytes:.0f} MB")
    print(f"{'':24}{'workers':>8}{'MB/CPU s':>10}{'MB/s':>8}{'peak MB':>9}")
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = data.train_tokenizer(list(options.texts), 8_000, model=kind)
            Path(folder, "tokenizer").write_bytes(pickle.dumps(tokenizer))
            text = b"\n\n".join(path.read_bytes() for path in options.texts) + b"\n\n"
            times = max(round(options.megabytes * 1e6 / len(text)), 1)
            with Path(folder, "text.txt").open("wb") as file:
                for _ in range(times):
                    file.write(text)
            for workers, engine in itertools.product(options.workers, ("ours", "library")):
                command = [sys.executable, __file__, "--run", folder, engine, str(workers)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                cpu, wall, peak = json.loads(done.stdout.splitlines()[-1])
                size = times * len(text) / 1e6
                found = [round(size / cpu, 2), round(size / wall, 2), peak and round(peak)]
                figures[f"{kind}_{engine}_{workers}"] = found
                print(
                    f"{kind + ', ' + engine:24}{workers:8}{found[0]:10}{found[1]:8}{found[2]!s:>9}",
                    flush=True,
                )
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(work(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
