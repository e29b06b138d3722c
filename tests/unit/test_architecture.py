"""Which module may import which: rooms side by side, layers of `shared`, no circles; read from the code, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.unit.conftest import ABSENT
from tests.unit.sources import parsed

ROOT = Path(__file__).parents[2]
ROOMS = ("shared", "worker", "producer", "indexer", "deploy")
APART = ("worker", "producer", "indexer")
LAYERS = {
    "shared": [
        {"contract"},
        {
            "advice", "extras", "health", "launch", "logs", "memory", "overlap", "parameters", "pieces", "progress",
            "secret_files", "shares",
        },
        {"settings"},
        {"vision"}, {"tables"},
        {"storage"},
        {"queue"}, {"metrics"}, {"catalog"}, {"matching"},
    ],
    "worker": [
        {"catalogs", "networks"}, {"pipeline"}, {"process"}, {"app", "quantise"}, {"queue"}, {"cli", "commands", "__main__"},
    ],
}  # fmt: skip
"""Parts of a room, lower ones first; a part imports itself and what is below."""

Graph = Mapping[str, frozenset[str]]


@cache
def files() -> Mapping[str, Path]:
    """Every module of the program by its import name."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")] + list((ROOT / "packsight").glob("*.py"))
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in found}
    full = {path: names if names[0] == "packsight" else ("packsight", *names) for path, names in parts.items()}
    return {".".join(names[:-1] if names[-1] == "__init__" else names): path for path, names in full.items()}


@cache
def statements(path: Path) -> Sequence[ast.AST]:
    """Imports and strings of a file, also inside functions, but nothing that only a type checker reads."""
    found: list[ast.AST] = []
    ahead: list[ast.AST] = [parsed(path)]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Constant):
            found.append(node)
        for_checkers = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        ahead.extend(node.orelse if for_checkers and isinstance(node, ast.If) else ast.iter_child_nodes(node))
    return found


def imported(path: Path) -> Iterator[str]:
    """Names that a file's import statements bring in: modules, and members of modules."""
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module that a name is or is a member of, if it is one of ours."""
    own = files()
    return next((one for one in (name, name.rpartition(".")[0]) if one in own), None)


@cache
def imports() -> Graph:
    """Modules of ours that each module's statements import."""
    return {
        name: frozenset(found for one in imported(path) if (found := module_of(one)) and found != name)
        for name, path in files().items()
    }


@cache
def named() -> Graph:
    """The same with modules that are named by a string, to be loaded later: `packsight.room.module` or `…:member`."""

    def strings(path: Path) -> Iterator[str]:
        for node in statements(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(".") > 1:
                yield node.value.partition(":")[0]

    own = files()
    return {name: imports()[name] | {one for one in strings(path) if one in own and one != name} for name, path in own.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def part(module: str) -> str:
    return [*module.split("."), "", ""][2]


def test_the_code_is_read() -> None:
    assert {room(module) for module in files()} >= set(ROOMS)
    assert "packsight.shared.contract.errors" in imports()["packsight.shared.settings.loading"]
    assert "packsight.worker.commands" in named()["packsight.worker.cli"]


@pytest.mark.parametrize("own", APART)
def test_a_room_imports_no_other_room_but_shared(own: str) -> None:
    found = {(module, one) for module, used in named().items() if room(module) == own for one in used}
    assert {(module, one) for module, one in found if room(one) in {*APART, "deploy"} - {own}} == set()


def test_shared_imports_no_room() -> None:
    found = {(module, one) for module, used in named().items() if room(module) == "shared" for one in used}
    assert {(module, one) for module, one in found if room(one) in ROOMS and room(one) != "shared"} == set()


@pytest.mark.parametrize("own", LAYERS)
def test_every_part_of_a_room_has_its_layer(own: str) -> None:
    assert {part(module) for module in files() if room(module) == own} - {""} == set.union(*LAYERS[own])


@pytest.mark.parametrize("own", LAYERS)
def test_a_part_imports_only_what_is_below(own: str) -> None:
    floor = {name: number for number, layer in enumerate(LAYERS[own]) for name in layer}
    upward = {
        (module, one)
        for module, used in imports().items()
        for one in used
        if room(module) == room(one) == own and part(module) != part(one) and floor[part(one)] >= floor[part(module)]
    }
    assert upward == set()


def circle(graph: Graph) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a"), "d": frozenset("a")})) == set("abc")


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(imports()) == []


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_no_parts_import_each_other_in_a_circle(depth: int) -> None:
    """Folders count as one, at every depth."""
    folders = {module for module, path in files().items() if path.name == "__init__.py"}

    def short(module: str) -> str:
        cut = ".".join(module.split(".")[:depth])
        return f"{cut}.__init__" if cut == module and module in folders else cut

    graph: dict[str, set[str]] = {}
    for module, used in imports().items():
        graph.setdefault(short(module), set()).update(short(one) for one in used if short(one) != short(module))
    assert circle({name: frozenset(used) for name, used in graph.items()}) == []


def test_what_only_one_room_uses_is_not_shared() -> None:
    """Used by a room directly or through other modules of `shared`."""
    users: dict[str, set[str]] = {module: set() for module in files()}
    for module, used in named().items():
        for one in used:
            users[one].add(module)

    def rooms(module: str, seen: set[str]) -> set[str]:
        seen.add(module)
        found: set[str] = set()
        for user in users[module] - seen:
            found |= rooms(user, seen) if room(user) == "shared" else {room(user)}
        return found

    modules = [module for module, path in files().items() if room(module) == "shared" and path.name != "__init__.py"]
    assert {module: own for module in modules if len(own := rooms(module, set())) < 2} == {}


def test_unit_tests_import_neither_large_libraries_nor_the_benchmark() -> None:
    barred = ABSENT | {"bench"}
    found = {(path.name, one) for path in (ROOT / "tests" / "unit").glob("*.py") for one in imported(path)}
    assert {(file, one) for file, one in found if one.partition(".")[0] in barred} == set()
