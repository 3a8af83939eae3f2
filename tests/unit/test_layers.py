# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package has layers: a module imports from its own layer and from those below.

The tables are the law.  A new module gets its place in LAYERS before anything else; docs/architecture.md explains what
each layer is for.  Some modules are named that do not exist yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import ROOT

SOURCE = ROOT / "src"

# From below.  A name is a module or package of pyvirt; a module in a package of another layer has its own entry.
LAYERS = {
    "gateway": ["_version", "_core.lib"],
    "core": ["errors", "_core"],
    "values": ["enums", "models", "uri", "auth", "pki", "xmldesc", "capabilities"],
    "columns": ["stats", "inventory"],
    "model": [
        *("_model", "connection", "host", "domain", "network", "storage", "nodedev", "interface", "secret"),
        *("nwfilter", "stream", "qemu", "lxc", "admin"),
    ],
    "events": ["events"],
    "services": ["", "collector", "aio", "bulk", "testing", "fleet"],  # "" is pyvirt itself: what a program imports
    "faces": ["__main__", "cli", "exporter", "compat"],
}

# Where a layer uses one above, inside a function: importer -> what it imports, and why.
EXCEPTIONS = {
    ("pyvirt._core.document", "pyvirt.xmldesc"): "an lxml element is serialized; text and bytes need no lxml",
    ("pyvirt.connection", "pyvirt.events.hub"): "conn.events is where users look for events",
    ("pyvirt.domain.collection", "pyvirt.events.watch"): "conn.domains.watch() is where users look for it",
    ("pyvirt.domain._wait", "pyvirt.events"): "waiting for a state is driven by events",
}

# Annotations may name classes of the layer above for the same reasons, or the Protocols of the model.
TYPES_FOR_ALL = "pyvirt._model.abc"


class Import(NamedTuple):
    importer: str
    imported: str
    at_import: bool
    for_types: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports_of(
    name: str, tree: ast.AST, known: set[str], at_import: bool = True, for_types: bool = False
) -> Iterator[Import]:
    """Every import of pyvirt's own modules, those inside functions and for type checkers too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "pyvirt":
                    yield Import(name, alias.name, at_import, for_types, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: write the whole name"
            if node.module and node.module.partition(".")[0] == "pyvirt":
                for alias in node.names:
                    module = f"{node.module}.{alias.name}"
                    imported = module if module in known else node.module
                    yield Import(name, imported, at_import, for_types, node.lineno)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from imports_of(name, ast.Module(node.body, []), known, False, True)
            yield from imports_of(name, ast.Module(node.orelse, []), known, at_import, for_types)
        else:
            runs = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(name, node, known, runs, for_types)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
ALL_IMPORTS = [
    one for name, path in MODULES.items() for one in imports_of(name, ast.parse(path.read_text()), set(MODULES))
]
IMPORTS = [one for one in ALL_IMPORTS if not one.for_types]
NUMBERS = {package: number for number, packages in enumerate(LAYERS.values()) for package in packages}


def package_of(module: str) -> str:
    """The entry of the table that *module* belongs to."""
    below = module.partition(".")[2]
    return below if below in NUMBERS else below.partition(".")[0]


def layer_of(module: str) -> int:
    package = package_of(module)
    return 0 if package.startswith("_libvirt") else NUMBERS[package]  # the extensions themselves


def test_every_module_has_a_layer() -> None:
    assert len(MODULES) > 30
    assert sorted(name for name in MODULES if package_of(name) not in NUMBERS) == []
    assert len(NUMBERS) == sum(map(len, LAYERS.values()))


def test_no_module_imports_from_a_layer_above() -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if layer_of(one.imported) > layer_of(one.importer) and (one.importer, one.imported) not in EXCEPTIONS
    ]

    assert wrong == []


def test_annotations_name_classes_of_a_layer_above_only_where_an_exception_leads_there() -> None:
    packages = {(package_of(importer), package_of(imported)) for importer, imported in EXCEPTIONS}
    wrong = [
        str(one)
        for one in ALL_IMPORTS
        if one.for_types
        and layer_of(one.imported) > layer_of(one.importer)
        and one.imported != TYPES_FOR_ALL
        and (package_of(one.importer), package_of(one.imported)) not in packages
    ]

    assert wrong == []


def test_the_protocols_of_the_model_are_for_annotations_only() -> None:
    assert [str(one) for one in IMPORTS if one.imported == TYPES_FOR_ALL] == []


def test_there_are_few_exceptions() -> None:
    assert len(EXCEPTIONS) <= 5


@pytest.mark.parametrize("exception", sorted(EXCEPTIONS))
def test_an_exception_is_used_and_imports_only_when_called(exception: tuple[str, str]) -> None:
    through = [one for one in IMPORTS if (one.importer, one.imported) == exception]

    assert through
    assert not any(one.at_import for one in through)
    assert layer_of(exception[1]) > layer_of(exception[0])


def test_no_imports_form_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for one in IMPORTS:
        if one.at_import and one.imported != one.importer:
            graph[one.importer].add(one.imported)

    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


def test_values_do_not_call_libvirt() -> None:
    values = [one for one in IMPORTS if package_of(one.importer) in LAYERS["values"]]

    assert [str(one) for one in values if layer_of(one.imported) == 0] == []


def test_the_faces_for_people_use_the_public_api_only() -> None:
    faces = [one for one in IMPORTS if package_of(one.importer) in ("cli", "exporter")]

    assert faces
    assert [str(one) for one in faces if "._" in one.imported] == []


def test_the_compat_layer_imports_no_model_service_or_face() -> None:
    above = [list(LAYERS).index("model"), list(LAYERS).index("services"), list(LAYERS).index("faces")]
    own = [one for one in IMPORTS if package_of(one.importer) == "compat" and package_of(one.imported) != "compat"]

    assert [str(one) for one in own if layer_of(one.imported) in above] == []


def test_the_scanner_tells_apart_what_runs_and_what_is_for_types() -> None:
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

    assert [(one.imported, one.at_import, one.for_types) for one in found] == [
        ("pyvirt.stats", True, False),
        ("pyvirt", True, False),
        ("pyvirt.uri", True, False),
        ("pyvirt.host", False, True),
        ("pyvirt.models", True, False),
        ("pyvirt.auth", True, False),
        ("pyvirt.cli", False, False),
    ]
