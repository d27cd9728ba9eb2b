"""Run every example with few steps: each in a process forked from one that has imported.

Imports take as long as many an example. TensorFlow may be imported before a fork, but nothing of
it may have run. Two lists of rows run beside each other; a row may use what a row above it in its
list wrote. XLA is off (`KERAS_PLM_JIT_COMPILE=0`): it takes longer to compile a step than a few
steps take.

    python .ci/examples.py OUTPUT

OUTPUT: a directory for what the examples write, for their logs and for `seconds.json`.
"""

import json
import os
import runpy
import shlex
import sys
import time
import traceback
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
MLM = "--steps 4 --batch-size 8 --held-out-batches 2 --held-out-limit 64"
FEW = "--epochs 1 --limit 64 --held-out-limit 64"
PAIRS = "--layers 1 --pretraining-steps 4 --steps 4 --limit 8 --pairs 40"
LISTS = [  # of rows: file, name of its folder in OUTPUT, options
    [
        ("pretrain_xlnet.py", "xlnet", "--size tiny --steps 4 --held-out-batches 2"),
        ("pretrain_xlnet.py", "xlnet", "--size tiny --steps 8 --held-out-batches 2 --resume"),
        (
            "finetune_classifier.py",
            "classifier",
            f"--preset {{output}}/xlnet/preset --length-buckets 32 {FEW}",
        ),
        ("finetune_regressor.py", "regressor", f"--preset none {FEW}"),
        ("finetune_tagger.py", "tagger", f"--preset {{output}}/classifier {FEW}"),
        ("finetune_span_extractor.py", "spans", f"--preset {{output}}/xlnet/preset {FEW}"),
        ("finetune_multiple_choice.py", "choice", f"--preset none --sequence-length 96 {FEW}"),
        ("infill_xlnet.py", "infill", "--preset {output}/xlnet/preset"),
        ("pretrain_gpt.py", "gpt2", "--steps 4 --held-out-batches 2"),
        ("pretrain_gpt.py", "gpt2", "--steps 8 --held-out-batches 2 --resume"),
        ("pretrain_gpt.py", "gpt3", "--system gpt3 --steps 4 --batch-size 8 --held-out-batches 2"),
        ("pretrain_transformer_xl.py", "xl", "--steps 4 --held-out-tokens 640"),
        (
            "ulmfit.py",
            "ulmfit",
            "--steps 3 --task-steps 3 --epochs 2 --limit 48 --sequence-length 64 "
            "--gradient-length 32 --batch-size 16",
        ),
        (
            "siatl.py",
            "siatl",
            "--steps 3 --epochs 1 --numbers 32 --seeds 1 --held-out 32 --sequence-length 32 "
            "--vocabulary-size 1000",
        ),
        (
            "multi_task.py",
            "multi_task",
            "--rows 16 --limit 32 --held-out-limit 32 --target-epochs 1 --sequence-length 32",
        ),
        ("pretrain_elmo.py", "elmo", "--steps 4 --held-out-batches 2 --limit 40"),
        ("elmo_tagger.py", "elmo_tagger", f"--pretraining-steps 4 --seeds 1 --places both {FEW}"),
        ("gpt_transfer.py", "gpt_transfer", f"--preset none --seeds 2 {FEW}"),
        ("few_shot.py", "few_shot", "--steps 5 --shots 0 2 --draws 1 --limit 8"),
        ("pretrain_mass.py", "mass", PAIRS),
        ("pretrain_mass.py", "mass_shares", f"{PAIRS} --shares 0.5"),
        ("transliterate.py", "transliterate", "--epochs 2 --limit 64"),
        ("denoise.py", "t5", "--steps 4 --held-out-batches 2"),
        (
            "continual_ernie2.py",
            "ernie2",
            "--steps 4 --seeds 1 --layers 1 --width 16 --vocabulary-size 1000 --looks 1 "
            "--batch-size 8 --held-out-batches 1",
        ),
    ],
    [
        ("pretrain_mlm.py", "bert", f"--objective bert {MLM}"),
        ("pretrain_mlm.py", "bert", f"--objective bert {MLM} --steps 8 --resume"),
        ("pretrain_mlm.py", "wwm", f"--objective wwm {MLM}"),
        ("pretrain_mlm.py", "roberta", f"--objective roberta {MLM}"),
        ("pretrain_mlm.py", "span", f"--objective span {MLM}"),
        ("pretrain_mlm.py", "ernie", f"--objective ernie --dialogue {MLM}"),
        ("pretrain_mlm.py", "mpnet", f"--objective mpnet {MLM}"),
        (
            "continue_pretraining.py",
            "continued",
            "--preset {output}/bert/preset --steps 4 --batch-size 8 --held-out-batches 2",
        ),
        ("chinese_wwm.py", "chinese", "--steps 4 --held-out-batches 2"),
        ("translation_lm.py", "translation", "--steps 4 --batch-size 8 --held-out-limit 32"),
        ("unilm_seq2seq.py", "unilm", "--pretraining-steps 4 --steps 10 --batch-size 8 --limit 4"),
        (
            "pretrain_ernie_thu.py",
            "ernie_thu",
            "--blocks 2 --width 32 --sequence-length 32 --min-entities 1 --batch-size 16 --steps 3",
        ),
        ("plot_objectives.py", "objectives", ""),
        ("plot_encoder_decoder.py", "encoder_decoder", ""),
        ("plot_entity_stream.py", "entity_stream", ""),
        ("classify_relations.py", "relations", "--limit 6 --held-out 2 --steps 2 --batch-size 12"),
        ("translate.py", "translate", "--steps 4 --limit 4"),
        ("denoise.py", "bart", "--system bart --steps 4 --held-out-batches 2"),
    ],
]


def import_everything():
    """Import what the examples import, and run none of it."""
    import keras  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    from keras_plm import data, models, objectives, presets, tasks, transfer  # noqa: F401


def run_row(command, log):
    """Run one command line in a child; return its exit status and its seconds."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(log, "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.argv = shlex.split(command)
            sys.path[0] = str(EXAMPLES)
            runpy.run_path(str(EXAMPLES / sys.argv[0]), run_name="__main__")
            status = 0
        except SystemExit as reason:
            status = reason.code if isinstance(reason.code, int) else int(reason.code is not None)
            if not isinstance(reason.code, (int, type(None))):
                print(reason.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - begin


def run_list(number, output):
    """Run the rows of one list one after the other; write what came of them as JSON."""
    results = []
    for place, (file, folder, options) in enumerate(LISTS[number]):
        log = output / f"{number}-{place:02}.log"
        options = f"{options} --output {{output}}/{folder}"
        status, seconds = run_row(f"{file} {options.format(output=output)}", log)
        row = f"{file} {options}"
        results.append({"row": row, "log": log.name, "status": status, "seconds": seconds})
        if status:
            break
    (output / f"{number}.json").write_text(json.dumps(results))


def main(output):
    output.mkdir(parents=True, exist_ok=True)
    rows = [row for rows in LISTS for row in rows]
    missing = {path.name for path in EXAMPLES.glob("*.py")} - {file for file, _, _ in rows}
    if missing:
        raise SystemExit(f"No row in .ci/examples.py for {sorted(missing)}.")
    import_everything()
    children = []
    for number in range(len(LISTS)):
        children.append(os.fork())
        if not children[-1]:
            try:
                run_list(number, output)
            finally:
                os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    results = []
    for number in range(len(LISTS)):
        results += json.loads((output / f"{number}.json").read_text())
    for result in results:
        print(f"\n=== python examples/{result['row']} ({result['seconds']:.0f} s)")
        print((output / result["log"]).read_text(errors="replace"), end="", flush=True)
    (output / "seconds.json").write_text(json.dumps(results))
    failed = [result["row"] for result in results if result["status"]]
    if failed or len(results) < len(rows):
        raise SystemExit(f"Failed: {failed}; {len(results)} of {len(rows)} rows were run.")


if __name__ == "__main__":
    os.environ.setdefault("KERAS_PLM_JIT_COMPILE", "0")
    main(Path(sys.argv[1]).absolute())
