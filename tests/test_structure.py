"""The rules of the house that a machine can check, without importing the package."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_plm

PACKAGE = Path(keras_plm.__file__).parent
TESTS = Path(__file__).parent
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {path: tree for path, tree in TREES.items() if path.name != "__init__.py"}

RANKS = {
    "features": 0,
    "files": 0,
    "checks": 0,
    "families": 0,
    "checkpoints": 1,
    "presets": 2,
    "ops": 3,
    "layers": 4,
    "metrics": 5,
    "heads": 6,
    "backbones": 7,
    "objectives": 8,
    "tokenizers": 9,
    "data": 10,
    "preprocessing": 11,
    "generation": 12,
    "tasks": 13,
    "transfer": 14,
    "models": 15,
}
# `presets.extend_vocabulary` is a public name and needs models: it is loaded when it is asked for.
UPWARD = {("keras_plm/presets/__init__.py", "transfer")}
KERAS_FREE = (
    "features",
    "files",
    "checks",
    "families",
    "checkpoints",
    "presets",
    "objectives",
    "tokenizers",
    "data",
)
BACKENDS = ("keras", "keras_hub", "tensorflow", "tensorflow_text", "jax", "torch")


def name_of(path):
    return path.relative_to(PACKAGE.parent).as_posix()


def room(path):
    """Return the folder of keras_plm, or the file beside them, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree, inside_functions=True):
    """Yield every module that a tree imports, as a dotted name."""
    nodes = ast.walk(tree) if inside_functions else run_at_import(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import, line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run_at_import(node):
    """Yield the nodes of a tree, but nothing that lies in a function."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from run_at_import(child)


def rooms_imported(tree, inside_functions=True):
    parts = (name.split(".") for name in imports(tree, inside_functions))
    return {name[1] for name in parts if name[0] == "keras_plm" and len(name) > 1}


def test_every_room_has_a_rank():
    assert {room(path) for path in MODULES} <= set(RANKS)


def test_the_files_are_found():
    assert len(MODULES) > 5


def test_imports_go_one_way():
    edges = set()
    for path, tree in TREES.items():
        if path == PACKAGE / "__init__.py":
            continue
        here = room(path)
        for there in rooms_imported(tree) - {here}:
            if (name_of(path), there) in UPWARD:
                continue
            assert RANKS[there] <= RANKS[here], f"{name_of(path)} imports upward from {there}"
            edges.add((here, there))
    circles = {edge for edge in edges if edge[::-1] in edges}
    assert not circles


def test_data_code_is_free_of_keras():
    wrong = []
    for path, tree in TREES.items():
        if room(path) not in KERAS_FREE:
            continue
        # TensorFlow's checkpoints are read by TensorFlow, which is loaded when there is one.
        inside_functions = room(path) != "checkpoints"
        found = {name.split(".")[0] for name in imports(tree, inside_functions)} & set(BACKENDS)
        # `Objective.heads` may import heads when it is called.
        found |= rooms_imported(tree, inside_functions=False) - set(KERAS_FREE)
        wrong += [f"{name_of(path)} imports {name}" for name in sorted(found)]
    assert not wrong


@pytest.mark.parametrize(
    "module", ["keras_plm", "keras_plm.objectives", "keras_plm.data", "keras_plm.presets"]
)
def test_importing_data_code_loads_no_backend(module):
    # Grain imports JAX where it is installed, and works where it is not.
    code = (
        f"import sys; sys.modules['jax'] = None; import {module}; "
        f"print([name for name in {BACKENDS} if sys.modules.get(name)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


def test_the_package_is_lazy_and_lists_its_rooms():
    public = {room(path) for path in MODULES} - {"files", "checks"}
    assert public <= set(dir(keras_plm))
    assert {getattr(keras_plm, name).__name__ for name in public} == {
        f"keras_plm.{name}" for name in public
    }
    with pytest.raises(AttributeError, match="no attribute 'modells'"):
        keras_plm.modells


def test_no_class_name_occurs_twice():
    """Keras registers classes by name, and would silently replace the first by the second."""
    places = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name_of(path))
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert not twice


@pytest.mark.parametrize(
    "internals, place",
    [
        ("keras.src", ["keras_plm/ops/keras_internals.py"]),
        ("keras_hub.src", []),
        ("tensorflow.python", ["keras_plm/ops/keras_internals.py"]),
    ],
)
def test_private_modules_are_imported_in_one_place(internals, place):
    users = [
        name_of(path)
        for path, tree in TREES.items()
        if any(name.startswith(internals) for name in imports(tree))
    ]
    assert users == place


def test_public_names_have_docstrings():
    bare = [name_of(path) for path, tree in MODULES.items() if not ast.get_docstring(tree)]
    for path, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
                if not ast.get_docstring(node):
                    bare.append(f"{name_of(path)}::{node.name}")
    assert not bare


def modules_used(tree):
    """The files of the package that a tree imports, and those of the names it takes of a room."""
    found, names = set(), list(imports(tree))
    rooms = {name.split(".")[-1]: name for name in names if name.count(".") == 1}
    for node in ast.walk(tree):  # `data.Corpus`, after `from keras_plm import data`
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in rooms:
                names.append(f"{rooms[node.value.id]}.{node.attr}")
    for name in names:
        parts = name.split(".")
        for length in range(len(parts), 1, -1):
            path = PACKAGE.parent.joinpath(*parts[:length])
            if path.with_suffix(".py") in TREES:
                found.add(path.with_suffix(".py"))
                break
            if path / "__init__.py" in TREES:  # a public name of a room, or all of them
                origins = origins_of_names(path / "__init__.py")
                wanted = parts[length : length + 1]
                found |= {origins[one] for one in wanted if one in origins}
                break
    return found


def origins_of_names(init):
    """dict of the names that an `__init__.py` hands on to the files they come from."""
    origins = {}
    for node in TREES[init].body:
        if isinstance(node, ast.ImportFrom) and node.module:
            path = PACKAGE.parent.joinpath(*node.module.split(".")).with_suffix(".py")
            if path in TREES:
                origins.update({alias.asname or alias.name: path for alias in node.names})
    return origins


def test_tests_of_a_room_reach_every_file_of_it():
    """By what they import, and what that imports of the same room. How far: see `.ci/report.py`."""
    folders, unreached = {path.parent for path in MODULES} - {PACKAGE}, []
    without = [name_of(one) for one in folders if not list(folder_of_tests(one).glob("test_*.py"))]
    assert not without
    for room in sorted(one for one in folders if one.parent == PACKAGE):
        trees = [ast.parse(path.read_text("utf-8")) for path in folder_of_tests(room).rglob("*.py")]
        new, reached = set().union(*map(modules_used, trees)), set()
        while new:
            reached |= new
            inside = [path for path in new if room in path.parents]
            new = set().union(*(modules_used(TREES[path]) for path in inside)) - reached
        files = {path for path in MODULES if room in path.parents}
        unreached += sorted(name_of(path) for path in files - reached)
    assert not unreached


def folder_of_tests(folder):
    """The folder of the tests of a folder of the package."""
    return TESTS / folder.relative_to(PACKAGE)


def test_file_names_say_something():
    empty = ("utils", "helpers", "common", "misc", "base")
    assert not [name_of(path) for path in MODULES if path.stem in empty]


def test_no_way_to_run_a_file():
    """No pickle, no eval, no Lambda: nothing that is read from disk can run code."""
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    wrong = []
    for path, tree in TREES.items():
        found = {name.split(".")[0] for name in imports(tree)} & forbidden
        wrong += [f"{name_of(path)} imports {name}" for name in found]
        wrong += [
            f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and can_run_code(node)
        ]
    assert not wrong


def can_run_code(node):
    """Whether a call runs code that it is given, or reads a file that may hold some."""
    call = ast.unparse(node.func)
    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
    return (
        call in ("eval", "exec", "compile", "torch.load", "__import__")
        or "unsafe_deserialization" in call
        or keywords.get("safe_mode", "True") != "True"
        or (call in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False")
    )


@pytest.mark.parametrize(
    "code, dangerous",
    [
        ("eval(text)", True),
        ("np.load(path)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("load_model(path, safe_mode=False)", True),
        ("load_model(path)", False),
        ("keras.config.enable_unsafe_deserialization()", True),
        ("re.compile(text)", False),
    ],
)
def test_what_counts_as_running_a_file(code, dangerous):
    assert can_run_code(ast.parse(code).body[0].value) == dangerous


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_the_files_that_a_page_names_exist(page):
    root = PACKAGE.parent
    text = (root / page).read_text("utf-8")
    named = set(re.findall(r"(?<![\w/.<>*-])(?:[a-z_.]+/)*[a-z_0-9]+\.py\b", text))
    known = [
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if "venv" not in path.parts
    ]
    missing = [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in known)]
    assert named and not missing
