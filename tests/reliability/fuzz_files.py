"""Damage stored objects at random and read them: `python tests/reliability/fuzz_files.py 5000`.

Each case is one mutation of a fresh copy: of bytes, of whole files, of what JSON says, of what an
entry of the directory is. What comes of it:

    refused     a ValueError, an OSError or a MemoryError that names the directory
    same        read, and every array is as it was, to the bit
    said        read with other contents (a new head, the checkpoint before it), and logged
    edited      read with other contents, as somebody might have wanted them: what was changed is
                JSON, which people edit, or a file of others, which has no digest

and what must not: `silent`, other contents without a word though the file has digests; `raw`, any
other error, or one that names no file; `slow`, more than 10 s; `large`, more than 500 MB beyond
what was in use. A case is a function of its kind and its number, so it can be run alone:
`python tests/reliability/fuzz_files.py --kind task --case 17`.
"""

import argparse
import collections
import contextlib
import copy
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import stored_objects

SECONDS, MEGABYTES = 10, 500
FAULTS = ("silent", "raw", "slow", "large")
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 7, 0.5, -0.5, 1.5, 1e308, 2**31, 2**63, 10**30, 10**400),
    *("", "x", "0", "relu", "../x", "/etc/passwd", "\0", "\ud800", "ä" * 1000, "x" * 10**6),
    *([], {}, [[]], [1, "a", None], {"": 0}, {"class_name": "Lambda", "config": {}}),
    *(list(range(1000)), {str(number): number for number in range(1000)}),
]


class Slow(BaseException):
    """A case took too long; no library may catch it."""


# === Mutations ===


def mutate(directory, random):
    """Change one thing in a directory.

    Args:
        directory: `pathlib.Path`.
        random: `numpy.random.Generator`.

    Returns:
        str: what was done, to which file; `pathlib.Path` of the file.
    """
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    path = found[random.integers(len(found))]
    if path.suffix == ".json" and random.random() < 0.6:
        mutation = change_json
    else:
        mutation = BYTES[random.integers(len(BYTES))] if random.random() < 0.75 else None
    if mutation is not None:
        return f"{mutation(path, random)} in {path.name}", path
    mutation = ENTRIES[random.integers(len(ENTRIES))]
    return f"{mutation(path, random, found)} of {path.name}", path


def rewrite(change):
    """Make a mutation of a function of an array of bytes."""

    def mutation(path, random):
        before = np.frombuffer(path.read_bytes(), "uint8")
        path.write_bytes(change(before.copy(), random).tobytes())
        return change.__name__

    return mutation


def flip_a_bit(data, random):
    place = random.integers(len(data))
    data[place] ^= 1 << random.integers(8)
    return data


def flip_a_bit_of_the_head(data, random):
    data[random.integers(min(len(data), 300))] ^= 1 << random.integers(8)
    return data


def set_bytes(data, random):
    for place in random.integers(len(data), size=random.integers(1, 20)):
        data[place] = random.integers(256)
    return data


def zero_a_block(data, random):
    start = random.integers(len(data))
    data[start : start + random.integers(1, 4096)] = 0
    return data


def copy_a_block(data, random):
    length = random.integers(1, len(data) // 2 + 1)
    start, end = random.integers(len(data) - length + 1, size=2)
    data[end : end + length] = data[start : start + length].copy()
    return data


def cut_off(data, random):
    return data[: random.integers(len(data))]


def cut_out(data, random):
    start = random.integers(len(data))
    return np.delete(data, slice(start, start + random.integers(1, 512)))


def put_in(data, random):
    more = random.integers(256, size=random.integers(1, 512), dtype="uint8")
    return np.insert(data, random.integers(len(data) + 1), more)


def other_digits(data, random):
    """Digits and brackets of a head in text: sizes, offsets, shapes."""
    marks = np.frombuffer(b"0123456789()[]{},:'\"-e", "uint8")
    places = np.flatnonzero(np.isin(data[:4000], marks))
    if not len(places):
        return flip_a_bit(data, random)
    for place in random.choice(places, min(len(places), int(random.integers(1, 4)))):
        data[place] = random.choice(marks)
    return data


BYTES = [
    rewrite(change)
    for change in (
        *(flip_a_bit, flip_a_bit, flip_a_bit, flip_a_bit_of_the_head, set_bytes, zero_a_block),
        *(copy_a_block, cut_off, cut_out, put_in, other_digits),
    )
]


def change_json(path, random):
    """Give one value of a JSON file another, take it away, double it or nest it deeply."""
    whole = json.loads(path.read_text("utf-8"))
    places = list(places_of(whole))
    keys = places[random.integers(len(places))]
    parent = whole
    for key in keys[:-1]:
        parent = parent[key]
    choice = random.integers(10)
    if choice == 0:
        del parent[keys[-1]]
        said = "missing"
    elif choice == 1 and isinstance(parent, dict):
        parent[f"{keys[-1]}_"] = copy.deepcopy(parent[keys[-1]])
        said = "doubled"
    elif choice == 2:
        depth = int(random.choice([50, 101, 900, 100_000]))
        parent[keys[-1]] = "@"
        text = json.dumps(whole).replace('"@"', "[" * depth + "]" * depth)
        path.write_text(text, "utf-8")
        return f"{list(keys)} nested {depth}"
    else:
        parent[keys[-1]] = VALUES[random.integers(len(VALUES))]
        said = f"{parent[keys[-1]]!r:.60}" if keys[-1] != 10**400 else "10**400"
    path.write_text(json.dumps(whole), "utf-8")
    return f"{list(keys)} {said}"


def places_of(value, keys=()):
    """The paths of the values below one, of long lists the first few."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in list(items)[:60]:
        yield (*keys, key)
        if isinstance(below, (dict, list)):
            yield from places_of(below, (*keys, key))


def delete(path, random, found):
    path.unlink()
    return "no more"


def swap(path, random, found):
    other = found[random.integers(len(found))]
    contents = path.read_bytes(), other.read_bytes()
    path.write_bytes(contents[1])
    other.write_bytes(contents[0])
    return f"contents of {other.name} in place"


def empty(path, random, found):
    path.write_bytes(b"")
    return "nothing"


def noise(path, random, found):
    path.write_bytes(random.bytes(int(random.integers(1, 100_000))))
    return "noise"


def link(target):
    def mutation(path, random, found):
        path.unlink()
        path.symlink_to(target(path))
        return f"a link to {target(path)}"

    return mutation


def pipe(path, random, found):
    path.unlink()
    os.mkfifo(path)
    return "a pipe"


def folder(path, random, found):
    path.unlink()
    path.mkdir()
    return "a folder"


def unreadable_name(path, random, found):
    path.rename(path.with_name("x" * 200))
    return "another name"


ENTRIES = [
    *(delete, swap, swap, empty, noise, pipe, folder, unreadable_name),
    link(lambda path: path.name),  # to itself
    link(lambda path: "/dev/zero"),
    link(lambda path: "nowhere"),
    link(lambda path: path.parent),
]


# === Cases ===


class Records(logging.Handler):
    """Whether anything was said."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@contextlib.contextmanager
def limited_time():
    """Raise `Slow` after `SECONDS`."""

    def stop(*_):
        raise Slow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def memory(name, begin_anew=False):
    """The resident memory now (`VmRSS`) or at its highest (`VmHWM`), MB; 0 where nobody says it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    if begin_anew:
        Path("/proc/self/clear_refs").write_text("5")
    (line,) = (one for one in status.read_text().splitlines() if one.startswith(f"{name}:"))
    return int(line.split()[1]) / 1e3


class Fuzz:
    """The objects of one kind that are damaged.

    Args:
        kind: str. A key of `stored_objects.KINDS`.
        folder: `pathlib.Path`, which is there.
    """

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        make, self.read = stored_objects.KINDS[kind]
        make(3)(folder / "whole")
        self.older = []
        if kind == "checkpoint":  # a second one, which keeps the first in a folder
            self.older = [self.read(folder / "whole")]
            make(4)(folder / "whole")
        self.expected = self.read(folder / "whole")

    def run(self, number):
        """Run one case.

        Returns:
            str: what came of it; str: what was done, and what was said.
        """
        seed = [list(stored_objects.KINDS).index(self.kind), number]
        directory = self.folder / f"case{number}"
        shutil.copytree(self.folder / "whole", directory)
        done, path = mutate(directory, np.random.default_rng(seed))
        try:
            outcome, said = self._outcome(directory, path)
        finally:
            shutil.rmtree(directory)
        return outcome, f"{self.kind} {number}: {done}: {said}"

    def _outcome(self, directory, path):
        records, before = Records(), memory("VmRSS", begin_anew=True)
        logger = logging.getLogger("keras_plm")
        logger.addHandler(records)
        try:
            with limited_time():
                found, error = self.read(directory), None
        except Slow:
            return "slow", traceback.format_exc(limit=-3)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as caught:
            found, error = None, caught
        finally:
            logger.removeHandler(records)
        if memory("VmHWM") - before > MEGABYTES:
            return "large", f"{memory('VmHWM') - before:.0f} MB"
        if error is not None:
            text = "".join(traceback.format_exception_only(error)).strip()
            named = isinstance(error, (ValueError, OSError, MemoryError)) and str(directory) in text
            return "refused" if named else "raw", text
        if stored_objects.same(found, self.expected):
            return "same", ""
        if records.texts:
            whole = not self.older or any(stored_objects.same(found, one) for one in self.older)
            return "said" if whole else "silent", records.texts[0]
        edited = path.suffix == ".json" or self.kind == "hugging_face"
        return "edited" if edited else "silent", differences(found, self.expected)


def differences(found, expected):
    """The names of the arrays that differ."""
    names = sorted(found.keys() | expected.keys())
    differ = [
        name
        for name in names
        if not stored_objects.same(
            *({name: one[name]} if name in one else {} for one in (found, expected))
        )
    ]
    return f"{len(differ)} of {len(names)}: {differ[:5]}"


def main():
    """Run the cases, spread over the kinds; the exit code says whether there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", type=int, nargs="?", default=200, help="in total")
    parser.add_argument("--seed", type=int, default=0, help="numbers of cases begin there")
    parser.add_argument("--kind", choices=stored_objects.KINDS)
    parser.add_argument("--case", type=int, help="one case of a kind")
    parser.add_argument("--verbose", action="store_true", help="show every case")
    given = parser.parse_args()
    kinds = [given.kind] if given.kind else list(stored_objects.KINDS)
    faults = 0
    for kind in kinds:
        counts = collections.Counter()
        with tempfile.TemporaryDirectory() as folder:
            fuzz = Fuzz(kind, Path(folder))
            first = given.seed if given.case is None else given.case
            many = 1 if given.case is not None else -(-given.cases // len(kinds))
            for number in range(first, first + many):
                outcome, text = fuzz.run(number)
                counts[outcome] += 1
                if given.verbose or outcome in FAULTS or given.case is not None:
                    print(f"{outcome}: {text:.2000}", flush=True)
        faults += sum(counts[one] for one in FAULTS)
        print(kind, dict(sorted(counts.items())), flush=True)
    return faults != 0


if __name__ == "__main__":
    sys.exit(main())
