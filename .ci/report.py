"""Print what CI came to: the minutes of each part, the slowest files, branch coverage by room.

    python .ci/report.py DIRECTORY

DIRECTORY: where `.ci/run` left `parts.tsv`, `<backend>.xml` of pytest, `coverage.json` and
`examples/seconds.json`.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

FLOORS = Path(__file__).parent / "coverage.json"  # percent of the branches of a room, at least
SLACK = 0.3  # percent: a few branches of a large room depend on timing


def minutes_of_parts(directory):
    """Yield lines: each part of the run and its minutes."""
    rows = [line.split("\t") for line in (directory / "parts.tsv").read_text().splitlines()]
    for part, seconds in rows:
        yield f"{int(seconds) / 60:6.1f}  {part}"
    yield f"{sum(int(seconds) for _, seconds in rows) / 60:6.1f}  in all"


def slowest_files(path, number=10):
    """Yield lines: the test files that took longest, and their seconds on one core."""
    seconds, tests = Counter(), Counter()
    for case in ElementTree.parse(path).iter("testcase"):
        file = case.get("classname")
        seconds[file] += float(case.get("time"))
        tests[file] += 1
    for file, total in seconds.most_common(number):
        yield f"{total:6.0f}  {file.replace('.', '/')}.py ({tests[file]} tests)"
    yield f"{seconds.total():6.0f}  in all ({tests.total()} tests)"


def slowest_examples(directory, number=5):
    """Yield lines: the rows of examples that took longest, and their seconds."""
    results = json.loads((directory / "examples" / "seconds.json").read_text())
    for result in sorted(results, key=lambda result: -result["seconds"])[:number]:
        yield f"{result['seconds']:6.0f}  {result['row']}"


def branches_by_room(path):
    """Return the percent of branches that the tests took, by folder or file of the package."""
    covered, total = Counter(), Counter()
    for file, found in json.loads(path.read_text())["files"].items():
        room = Path(file).parts[Path(file).parts.index("keras_plm") + 1].removesuffix(".py")
        covered[room] += found["summary"]["covered_branches"]
        total[room] += found["summary"]["num_branches"]
    return {room: 100 * covered[room] / total[room] for room in sorted(total) if total[room]}


def main(directory):
    print("Minutes:", *minutes_of_parts(directory), sep="\n")
    for backend in ("tensorflow", "jax"):
        print(f"Seconds, {backend}:", *slowest_files(directory / f"{backend}.xml"), sep="\n")
    print("Seconds, examples:", *slowest_examples(directory), sep="\n")
    floors, found = json.loads(FLOORS.read_text()), branches_by_room(directory / "coverage.json")
    print("Branches that the tests of TensorFlow took, and the least that is asked, in percent:")
    for room, percent in found.items():
        print(f"{percent:6.1f}  {floors.get(room, 0.0):6.1f}  {room}")
    lower = [room for room, floor in floors.items() if found.get(room, 0.0) < floor - SLACK]
    if lower:
        raise SystemExit(f"Fewer branches than before are tested in {lower}: see {FLOORS.name}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
