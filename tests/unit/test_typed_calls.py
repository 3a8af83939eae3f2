# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stub of the gateway gives a type checker the functions that the extensions have, with their arguments."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from pyvirt._core.lib import ffi, lib, load_extension

STUB = ast.parse(Path(inspect.getfile(load_extension)).with_suffix(".pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}

each_library = pytest.mark.parametrize(
    ("name", "library", "types"),
    [
        ("_Lib", lib, ffi),
        ("_QemuLib", *load_extension("qemu")),
        ("_LxcLib", *load_extension("lxc")),
        ("_AdminLib", *load_extension("admin")),
    ],
)


def members(name: str) -> dict[str, int | None]:
    """Return the members of a class of the stub: of a function how many arguments it takes, of a value None."""
    found: dict[str, int | None] = {}
    for node in CLASSES[name].body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = len([*node.args.posonlyargs, *node.args.args]) - 1  # without self
        elif isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)
            found[node.target.id] = None
    return found


@each_library
def test_the_stub_has_the_names_of_the_extension(name: str, library: Any, types: Any) -> None:
    inherited = set(dir(lib)) if library is not lib else set()

    assert set(members(name)) == set(dir(library)) - inherited


@each_library
def test_functions_take_as_many_arguments_as_in_c(name: str, library: Any, types: Any) -> None:
    counts = {function: count for function, count in members(name).items() if count is not None}

    assert counts
    assert counts == {function: len(types.typeof(getattr(library, function)).args) for function in counts}


def test_a_wrong_call_is_an_error_to_a_type_checker() -> None:
    """mypy reports each of these calls, and each comment that is not needed."""
    with pytest.raises(TypeError):
        lib.virDomainSuspend()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        lib.virDomainSuspend(ffi.NULL, 1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        lib.virDomainSetVcpus(ffi.NULL, "2")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lib.virDomainAttachDevice(ffi.NULL, "<disk/>")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lib.virDomainSuspend(1)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        lib.virDomainSuspendAll(ffi.NULL)  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        load_extension("xen")  # type: ignore[call-overload]


def test_a_right_call_is_none() -> None:
    assert lib.virDomainSetVcpus(ffi.NULL, 2) == -1
    assert lib.virDomainAttachDevice(ffi.NULL, b"<disk/>") == -1
    assert lib.virDomainAttachDevice(ffi.NULL, ffi.NULL) == -1
