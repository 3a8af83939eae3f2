# SPDX-License-Identifier: LGPL-2.1-or-later
"""The house has floors: a module imports from its own floor and those below.

The table is the law.  A new module goes on a floor here before anything else; docs/architecture.md says what each floor
is for, and some rooms are named that are not built yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

FLOORS = {
    "gateway": ["_version", "_lib"],
    "core": ["errors", "_convert", "_names", "_poll", "_typedparams", "_handle"],
    "values": ["enums", "models", "uri", "auth", "pki", "xmldesc", "_xml", "capabilities"],
    "model": [
        *("_login", "_object", "_collection", "_edit", "_metadata", "_watch"),
        *("connection", "host", "domain", "snapshot", "checkpoint", "network", "storage"),
        *("nodedev", "interface", "secret", "nwfilter", "stream", "qemu", "lxc", "admin"),
        *("_where", "_supports"),
    ],
    "engines": ["stats", "inventory", "transfer", "events"],
    "services": ["", "collector", "reconnect", "aio", "bulk", "testing"],  # "" is pyvirt itself: what a program imports
    "faces": ["__main__", "cli", "exporter", "compat"],
}

# Where the model hands over to an engine above it, inside a function: conn.domains.stats() is where people look.
DOORS = {
    ("pyvirt.domain.collection", "pyvirt.stats"),
    ("pyvirt.storage.volumes", "pyvirt.transfer"),
    ("pyvirt.connection", "pyvirt.events.hub"),
    ("pyvirt.domain._wait", "pyvirt.events"),
    ("pyvirt.domain._wait", "pyvirt.events.loop"),
    ("pyvirt.domain.devices", "pyvirt.events"),
    ("pyvirt.domain.collection", "pyvirt.events.watch"),
    ("pyvirt.domain.collection", "pyvirt.inventory"),
    ("pyvirt.network.collection", "pyvirt.inventory"),
    ("pyvirt.storage.pools", "pyvirt.inventory"),
    ("pyvirt.storage.volumes", "pyvirt.inventory"),
    ("pyvirt.nodedev", "pyvirt.inventory"),
    ("pyvirt.interface", "pyvirt.inventory"),
    ("pyvirt.secret", "pyvirt.inventory"),
    ("pyvirt.nwfilter", "pyvirt.inventory"),
}


class Import(NamedTuple):
    importer: str
    imported: str
    at_import: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports_of(name: str, tree: ast.AST, known: set[str], at_import: bool = True) -> Iterator[Import]:
    """Every import of pyvirt's own that can happen at run time, those inside functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "pyvirt":
                    yield Import(name, alias.name, at_import, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: say the whole name"
            if node.module and node.module.partition(".")[0] == "pyvirt":
                for alias in node.names:
                    module = f"{node.module}.{alias.name}"
                    yield Import(name, module if module in known else node.module, at_import, node.lineno)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.orelse:
                yield from imports_of(name, ast.Module([child], []), known, at_import)
        else:
            runs = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(name, node, known, runs)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
IMPORTS = [one for name, path in MODULES.items() for one in imports_of(name, ast.parse(path.read_text()), set(MODULES))]
NUMBERS = {room: number for number, rooms in enumerate(FLOORS.values()) for room in rooms}


def room_of(module: str) -> str:
    """What stands in the table: the first name below pyvirt."""
    return module.partition(".")[2].partition(".")[0]


def floor_of(module: str) -> int:
    room = room_of(module)
    return 0 if room.startswith("_libvirt") else NUMBERS[room]  # the extensions themselves


def test_every_module_has_a_floor() -> None:
    assert len(MODULES) > 30
    assert sorted(name for name in MODULES if room_of(name) not in NUMBERS) == []
    assert len(NUMBERS) == sum(map(len, FLOORS.values()))


def test_nobody_imports_from_a_floor_above() -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if floor_of(one.imported) > floor_of(one.importer) and (one.importer, one.imported) not in DOORS
    ]

    assert wrong == []


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_door_is_used_and_opens_only_when_called(door: tuple[str, str]) -> None:
    through = [one for one in IMPORTS if (one.importer, one.imported) == door]

    assert through
    assert not any(one.at_import for one in through)
    assert floor_of(door[1]) > floor_of(door[0])


def test_nothing_is_imported_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for one in IMPORTS:
        if one.at_import and one.imported != one.importer:
            graph[one.importer].add(one.imported)

    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


def test_values_do_not_call_libvirt() -> None:
    values = [one for one in IMPORTS if room_of(one.importer) in FLOORS["values"]]

    assert [str(one) for one in values if floor_of(one.imported) == 0] == []


def test_the_faces_for_people_use_what_is_public() -> None:
    faces = [one for one in IMPORTS if room_of(one.importer) in ("cli", "exporter")]

    assert faces
    assert [str(one) for one in faces if "._" in one.imported] == []


def test_the_drop_in_stands_on_engines_at_most() -> None:
    engines = list(FLOORS).index("engines")

    assert [str(one) for one in IMPORTS if room_of(one.importer) == "compat" and floor_of(one.imported) > engines] == []


def test_the_scanner_sees_what_runs_and_nothing_else() -> None:
    source = """
from pyvirt import stats, connect
import pyvirt.uri, os
if TYPE_CHECKING:
    from pyvirt.host import Host
else:
    from pyvirt.models import DomainInfo
if not TYPE_CHECKING:
    class Inner:
        from pyvirt.auth import Auth
def late():
    if True:
        import pyvirt.cli
"""
    found = imports_of("pyvirt.example", ast.parse(source), {"pyvirt.stats"})

    assert [(one.imported, one.at_import) for one in found] == [
        ("pyvirt.stats", True),
        ("pyvirt", True),
        ("pyvirt.uri", True),
        ("pyvirt.models", True),
        ("pyvirt.auth", True),
        ("pyvirt.cli", False),
    ]
