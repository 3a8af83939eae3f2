# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for every file, so that a review need not check them."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyvirt
from tests.support import ROOT

SOURCE = ROOT / "src" / "pyvirt"

NOT_OURS = {"build", "dist", "__pycache__"}  # and names that begin with a dot, except for these:
HIDDEN = {".ci", ".github", ".clang-format", ".editorconfig", ".gitignore", ".pre-commit-config.yaml"}
SOURCE_SUFFIXES = {".py", ".pyi", ".c", ".h", ".sh", ".toml", ".in", ".debian", ".fedora", ".yml"}
LONGEST = 800
LICENCE = "SPDX-License-Identifier: LGPL-2.1-or-later"

# Written so that this file does not contain them: a reminder belongs in an issue, a path of one machine is a mistake.
FORBIDDEN = re.compile(
    r"\b(?:FIX" r"ME|TO" r"DO|XX" r"X|HA" r"CK)\b|(?<![\w.:/-])/(?:home|Users|wo" r"rk)/\w|\bcoding[:=]"
)


def walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in HIDDEN
        if path.is_dir():
            if not hidden and path.name not in NOT_OURS and path.suffix != ".egg-info":
                yield from walk(path)
        elif not hidden:
            yield path


def is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


FILES = [path for path in walk(ROOT) if path.suffix not in (".so", ".pyc")]
SOURCES = [path for path in FILES if path.suffix in SOURCE_SUFFIXES or path.name.startswith(".") or is_script(path)]
PYTHON = {path: ast.parse(path.read_text()) for path in SOURCES if path.suffix in (".py", ".pyi")}
SHIPPED = {path: tree for path, tree in PYTHON.items() if path.is_relative_to(SOURCE)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_walk_finds_the_repository() -> None:
    names = set(map(name_of, SOURCES))

    assert {"build_ffi.py", "ci/test", ".ci/run", "pyproject.toml", ".gitignore", "cdefs/domain.h"} <= names
    assert {".editorconfig", ".pre-commit-config.yaml", ".github/ISSUE_TEMPLATE/bug_report.yml"} <= names
    assert {"src/pyvirt/errors.py", "src/pyvirt/_native/errors.c", "tests/unit/test_repository.py"} <= names


def test_every_source_begins_with_its_licence() -> None:
    without = [name_of(path) for path in SOURCES if LICENCE not in "".join(path.read_text().splitlines()[:2])]

    assert without == []


def test_no_source_is_longer_than_800_lines() -> None:
    lengths = {name_of(path): path.read_text().count("\n") for path in SOURCES}
    # The first two are generated, the third has the length of libvirt's headers.
    exempt = ("src/pyvirt/enums/", "src/pyvirt/_core/lib.pyi", "cdefs/")

    assert {name: n for name, n in lengths.items() if n > LONGEST and not name.startswith(exempt)} == {}


def test_no_source_contains_a_forbidden_word() -> None:
    texts = [path for path in FILES if path.suffix not in (".json", ".svg", ".png") and path.name != "LICENSE"]
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FORBIDDEN.search(line)
    ]

    assert found == []


def test_the_version_is_written_in_one_place() -> None:
    version = re.compile(rf"(?<![\d.]){re.escape(pyvirt.__version__)}(?![\d.]*\d)")
    places = [name_of(path) for path in FILES if path.suffix != ".json" and version.search(path.read_text())]

    assert places == ["src/pyvirt/_version.py"]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_gateway_alone_imports_the_extensions() -> None:
    extension = re.compile(r"pyvirt\._libvirt")
    importers = [name_of(path) for path, tree in SHIPPED.items() if any(map(extension.match, imported(tree)))]
    named = [
        name_of(path)
        for path, tree in SHIPPED.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and extension.match(node.value)
    ]

    assert importers == ["src/pyvirt/_core/lib.py"]
    assert set(named) == {"src/pyvirt/_core/lib.py"}


def test_cffi_is_used_in_one_way() -> None:
    """No callback made at run time, no library opened by name, no compiler at import: the extension has everything."""
    ways = {"callback", "verify", "dlopen"}
    used = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in PYTHON.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ways
        if isinstance(node.value, ast.Name) and node.value.id in ("ffi", "_ffi")
    ]

    assert used == []


def undocumented(tree: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") or any("overload" in ast.unparse(one) for one in node.decorator_list):
                continue
            name = f"{prefix}.{node.name}"
            if not ast.get_docstring(node):
                yield name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node, name)
        elif isinstance(node, ast.If | ast.Try):
            yield from undocumented(node, prefix)


def test_everything_public_is_documented() -> None:
    modules = {name_of(path): tree for path, tree in SHIPPED.items() if path.suffix == ".py"}
    lists = "src/pyvirt/enums/"  # generated; each enumeration has its own docstring
    public = {name: tree for name, tree in modules.items() if not re.search(r"/_(?!_)", name)}

    assert [name for name, tree in modules.items() if not ast.get_docstring(tree) and lists not in name] == []
    assert [name for module, tree in public.items() for name in undocumented(tree, module)] == []


@pytest.mark.parametrize(
    ("message", "status", "error"),
    [
        ("S" * 72, 0, ""),
        ("Ü" * 72 + "\n\nThe reason.\n", 0, ""),
        ("Change it\n# Please enter the commit message\n", 0, ""),
        ("S" * 73, 1, "ci/check-subject: the subject must have at most 72 characters, got 73"),
        ("Change it.", 1, "ci/check-subject: the subject must not end with a full stop"),
        ("Change it\nThe reason.", 1, "ci/check-subject: the second line must be empty, got 'The reason.'"),
        ("", 1, "ci/check-subject: the first line must be the subject, got an empty line"),
    ],
)
def test_the_subject_of_a_commit_is_short(message: str, status: int, error: str, tmp_path: Path) -> None:
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(message)

    done = subprocess.run([ROOT / "ci" / "check-subject", file], capture_output=True, text=True, timeout=60)

    assert done.returncode == status
    assert done.stderr.startswith(error)
    assert bool(done.stderr) == bool(error)


def top_level_classes(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.If):
            yield from {one.name for one in (*node.body, *node.orelse) if isinstance(one, ast.ClassDef)}


def test_no_two_classes_have_one_name() -> None:
    """But for pyvirt.aio, which has the classes of the model by design."""
    homes: dict[str, list[str]] = {}
    for path, tree in SHIPPED.items():
        if path.suffix == ".py" and "aio" not in path.relative_to(SOURCE).parts:
            for name in dict.fromkeys(top_level_classes(tree)):
                homes.setdefault(name, []).append(name_of(path))

    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
