"""Kill what saves, at any time: `python tests/reliability/kill_writers.py 100`; POSIX only.

Of each kind of `stored_objects.py` a process saves objects of other and other contents into one
directory, again and again, until it is killed (SIGKILL) after a random time; then the directory is
read. What is read must be, to the bit, the last object that was saved whole, or the one after it.
The next process goes on in the same directory, beside what the one before left.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import stored_objects

CONTENTS = 4  # saved by turns, so that what is found can be told from what was before it
LONGEST = 2.0  # of the time of one saving, until the kill


def save_until_killed(savers, directory, first, report):
    """Save one after the other, and say which before and after; never returns."""
    for number in range(first, 10**9):
        os.write(report, b"b%d\n" % number)
        savers[number % CONTENTS](directory)
        os.write(report, b"e%d\n" % number)


def killed_run(savers, directory, first, seconds):
    """Let a process save until it is killed.

    Returns:
        The number of the last object that was saved whole, or None; that of the one that was
        being saved.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            save_until_killed(savers, directory, first, write_end)
        finally:
            os._exit(1)  # an error: the parent misses the signal
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        lines = [file.readline()]  # it has begun
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        lines += file.readlines()
    status = os.waitpid(child, 0)[1]
    if os.WTERMSIG(status) != signal.SIGKILL:
        raise RuntimeError("The process that saves ended by itself: see what it printed.")
    ended = [int(line[1:]) for line in lines if line.startswith(b"e")]
    begun = [int(line[1:]) for line in lines if line.startswith(b"b")]
    return ended[-1] if ended else None, begun[-1]


def run(kind, kills, folder, random):
    """Kill the writers of one kind.

    Returns:
        list of str: what was found that must not be. int: how often an object was being saved.
    """
    make, read = stored_objects.KINDS[kind]
    savers = [make(number) for number in range(CONTENTS)]
    expected = []
    for number, save in enumerate(savers):
        save(folder / f"whole{number}")
        expected.append(read(folder / f"whole{number}"))
    start = time.perf_counter()
    for _ in range(3):
        savers[0](folder / "saved")
    span = (time.perf_counter() - start) / 3 * LONGEST
    faults, last, within = [], 0, 0
    for kill in range(kills):
        ended, begun = killed_run(savers, folder / "saved", last + 1, random.uniform(0, span))
        before, within = last if ended is None else ended, within + (ended != begun)
        try:
            found = read(folder / "saved")
            fits = [
                n for n in {before, begun} if stored_objects.same(found, expected[n % CONTENTS])
            ]
        except Exception as error:
            fits, found = [], error
        if not fits:
            faults.append(f"{kind}, kill {kill}: after {before} while {begun}: {found!r:.300}")
            savers[0](folder / "saved")
            fits = [0]
        last = max(fits)
    return faults, within


def main():
    """Kill and count; the exit code says whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kills", type=int, nargs="?", default=100, help="of each kind")
    parser.add_argument("--kind", choices=stored_objects.KINDS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", ".*fork", RuntimeWarning)
    lost = 0
    for kind in [given.kind] if given.kind else stored_objects.KINDS:
        with tempfile.TemporaryDirectory() as folder:
            random = np.random.default_rng(given.seed)
            faults, within = run(kind, given.kills, Path(folder), random)
            left = sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("."))
        print("\n".join(faults), end="\n" if faults else "")
        told = f"{given.kills} kills, {within} of them while it saved: {len(faults)} not whole"
        print(f"{kind}: {told}; left beside it at the end: {len(left)}", flush=True)
        lost += len(faults)
    return lost != 0


if __name__ == "__main__":
    sys.exit(main())
