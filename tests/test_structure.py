"""The rules of the house that a machine can check, without importing the package."""

import ast
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
    "presets": 1,
    "ops": 2,
    "layers": 3,
    "metrics": 4,
    "heads": 5,
    "backbones": 6,
    "objectives": 7,
    "data": 8,
    "tasks": 9,
    "transfer": 10,
    "models": 11,
}
# `presets.extend_vocabulary` is a public name and needs models: it is loaded when it is asked for.
UPWARD = {("keras_plm/presets/__init__.py", "tasks")}
KERAS_FREE = ("features", "files", "presets", "objectives", "data")
BACKENDS = ("keras", "keras_hub", "tensorflow", "tensorflow_text", "jax", "torch")
KERAS_HUB_FILE = PACKAGE / "backbones" / "_keras_hub.py"


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


def each_module():
    return pytest.mark.parametrize("path", MODULES, ids=name_of)


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


@pytest.mark.parametrize("path", [path for path in TREES if room(path) in KERAS_FREE], ids=name_of)
def test_data_code_is_free_of_keras(path):
    # Presets read TensorFlow checkpoints, and load TensorFlow when there is one.
    inside_functions = room(path) != "presets"
    found = {name.split(".")[0] for name in imports(TREES[path], inside_functions)} & set(BACKENDS)
    assert not found, f"{name_of(path)} imports {found}"
    # `Objective.heads` may import heads when it is called.
    assert rooms_imported(TREES[path], inside_functions=False) <= set(KERAS_FREE)


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
    public = {room(path) for path in MODULES} - {"files"}
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


def test_keras_hub_internals_are_imported_in_one_file():
    users = {
        path
        for path, tree in TREES.items()
        if any(name.startswith("keras_hub.src") for name in imports(tree))
    }
    assert users <= {KERAS_HUB_FILE}


@each_module()
def test_public_names_have_docstrings(path):
    tree = MODULES[path]
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    public = [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert not bare, f"public, without a docstring: {bare}"


@each_module()
def test_every_file_has_a_test_file(path):
    relative = path.relative_to(PACKAGE)
    assert (TESTS / relative.parent / f"test_{relative.name}").is_file()


@each_module()
def test_file_names_say_something(path):
    assert path.stem not in ("utils", "helpers", "common", "misc", "base")


@pytest.mark.parametrize("path", TREES, ids=name_of)
def test_no_way_to_run_a_file(path):
    """No pickle, no eval, no Lambda: nothing that is read from disk can run code."""
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    assert not {name.split(".")[0] for name in imports(TREES[path])} & forbidden
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            where = f"{name_of(path)}:{node.lineno}: {call}"
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert call not in ("eval", "exec", "compile", "torch.load", "__import__"), where
            assert "unsafe_deserialization" not in call, where
            assert keywords.get("safe_mode", "True") == "True", where
            if call in ("np.load", "numpy.load"):
                assert keywords.get("allow_pickle") == "False", f"{where} without allow_pickle"
