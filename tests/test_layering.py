"""Imports run downwards only, as docs/architecture.md draws the layers, and form no cycle."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gpucnn"
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def layers():
    """The lines of the drawing, the uppermost first: the modules and packages of each."""
    drawing = re.search(r"^```layers\n(.*?)^```$", ARCHITECTURE.read_text("utf-8"), re.M | re.S)
    lines = [line.partition("#")[0].split() for line in drawing[1].splitlines()]
    return [line for line in lines if line]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Modules of gpucnn that a file imports, anywhere in it but for annotations alone."""
    tree, found = ast.parse(path.read_text("utf-8")), set()

    def visit(node):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in MODULES else node.module for name in names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return {name for name in found if name in MODULES and name != "gpucnn"}


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(path): path for path in FILES}
LAYERS = layers()
LAYER_OF = {name: number for number, line in enumerate(LAYERS) for name in line}


def part(module):
    """The longest name of the drawing that a module belongs to."""
    names = module.removeprefix("gpucnn.").split(".")
    candidates = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next((name for name in candidates if name in LAYER_OF), None)


def test_every_module_is_in_the_drawing_and_nothing_else_is():
    inside = [
        name for name in MODULES if name.removeprefix("gpucnn.") not in {"gpucnn", "__main__"}
    ]
    assert [name for name in inside if part(name) is None] == []
    assert set(LAYER_OF) - {part(name) for name in inside} == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    own = part(module)
    if own is None:
        pytest.skip("the public names of the package may come from anywhere")
    upwards = [name for name in imports(MODULES[module]) if LAYER_OF[part(name)] < LAYER_OF[own]]
    assert upwards == []


EXECUTOR = "gpucnn.emulator.ptx"
SHARED_WITH_THE_EXECUTOR = {
    f"gpucnn.emulator.{name}"
    for name in (
        # Reading the author's text and options, and compiling and keeping what comes of it.
        *("source", "options", "mangling", "cupy_headers"),
        *("cache", "scratch", "programs", "compiler", "paths"),
        # What a launch is, and what is shown and raised.
        *("launch", "reporting", "errors"),
        # Numbers that others have measured on GPUs.
        "tensor_core",
    )
}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(EXECUTOR)])
def test_the_executor_shares_nothing_that_decides_what_a_kernel_does(module):
    """Otherwise a mistake in the emulator of C++ could be one in the executor of PTX, too."""
    others = {name for name in imports(MODULES[module]) if not name.startswith(EXECUTOR)}
    assert others <= SHARED_WITH_THE_EXECUTOR


def test_what_the_executor_shares_leads_to_nothing_else():
    reached, waiting = set(), list(SHARED_WITH_THE_EXECUTOR)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imports(MODULES[name])
    assert reached == SHARED_WITH_THE_EXECUTOR


def test_the_executors_cpp_includes_its_own_headers_alone():
    folder = PACKAGE / "emulator" / "ptx"
    files = [*folder.rglob("*.cpp"), *folder.rglob("*.h")]
    assert files
    for file in files:
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', file.read_text("utf-8"), re.M):
            included = (file.parent / name).resolve()
            assert included.is_file() and included.is_relative_to(folder), (file.name, name)
        others = re.findall(r"^\s*#\s*include\s*<([^>]+)>", file.read_text("utf-8"), re.M)
        assert not [name for name in others if "emulator" in name or "/" in name], file.name


def test_imports_form_no_cycle():
    graph = {name: imports(path) - {name} for name, path in MODULES.items() if part(name)}
    done, trail = set(), []

    def visit(name):
        if name in trail:
            pytest.fail(" -> ".join([*trail[trail.index(name) :], name]))
        if name in done:
            return
        trail.append(name)
        for other in sorted(graph[name]):
            visit(other)
        trail.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)
