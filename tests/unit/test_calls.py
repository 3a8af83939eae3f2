# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every call of the model to C goes through ``_core/caller.py``, and so do the errors of those that fail."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt._core import codes
from pyvirt._core.lib import lib
from pyvirt.enums import ErrorDomain, ErrorNumber

SOURCE = Path(pyvirt.__file__).resolve().parent
FILES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}

LIBRARIES = {"lib", "_qemu", "_lxc", "_adm"}

# file::function -> why it calls C past Caller.
ALLOWED = {
    "_core/caller.py::*": "is the place",
    "_core/root.py::Root._link_stands": "asks on behalf of last_error(), which must not raise",
    "_model/collection.py::Collection._look_up": "adds the key to the error",
    "_model/supports.py::*": "probes functions with arguments that they refuse",
    "connection.py::library_version": "has no object",
    "admin.py::library_version": "has no object",
    "admin.py::connect": "has no object yet",
    "lxc.py::enter_security_label": "has no object",
    "events/loop.py::*": "has no object: the loop belongs to the process",
    "stream.py::Stream._transfer": "-2 and -3 are results of these functions, no errors",
    "domain/domain.py::Domain.id": "all numbers are results, no error is reported",
    "domain/domain.py::Domain.state": "specialised: monitoring asks every domain",
    "domain/domain.py::Domain.info": "specialised: monitoring asks every domain",
    "domain/collection.py::Domains._count": "the number of a list that is too long is found otherwise",
    "domain/migration.py::_Array._add_texts": "has no object: fills an array of this process",
    "network/ports.py::NetworkPort.network": "takes a reference of this process; cannot fail",
    "domain/_saved_point.py::SavedPoint.domain": "takes a reference of this process; cannot fail",
    "nodedev.py::NodeDevice.parent_name": "NULL is a result",
    "collector/_requests.py::Request._read": "is called with a list of domains, not with one object",
    "inventory.py::_autostart": "a list that is too long is not an error here",
}
# Frees memory of this process.
FREES = re.compile(r"virTypedParams(Free|Clear)|vir\w+Free")


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every function with its qualified name; inner functions belong to the outer one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node


def direct_calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls of libvirt's functions, and those of any function that get the pointer of an object first."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        library, _, name = ast.unparse(node.func).rpartition(".")
        if library in LIBRARIES:
            if name.startswith("vir") and not FREES.fullmatch(name):
                yield node
        elif library != "ffi" and name != "_gc" and node.args and ast.unparse(node.args[0]).endswith("._ptr"):
            yield node


def past_the_caller() -> Iterator[str]:
    for file, tree in FILES.items():
        if f"{file}::*" in ALLOWED:
            continue
        for name, function in functions(tree):
            if any(direct_calls(function)):
                yield f"{file}::{name}"


def test_no_method_calls_c_past_the_caller() -> None:
    assert set(past_the_caller()) == {name for name in ALLOWED if not name.endswith("::*")}


def test_pointers_of_other_handles_are_passed_to_methods_that_drop_them() -> None:
    kept = []
    for file, tree in FILES.items():
        for node in ast.walk(tree):
            method = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if method.startswith(("_call_", "_fill_", "_new", "_look_up")) and method != "_call_nonzero":
                assert isinstance(node, ast.Call)
                kept += [f"{file}:{node.lineno}" for one in node.args if ast.unparse(one).endswith("._ptr")]

    assert kept == []


def test_the_scanner_sees_calls_in_any_form() -> None:
    source = """
class A:
    def one(self): return lib.virDomainSuspend(self._ptr)
    def two(self): return self._call(lib.virDomainSuspend)
    def three(self): return list(map(lambda flags: _adm.virAdmGetVersion(flags), ()))
    def four(self):
        call = type(self)._get_name
        return call(self._owner._ptr, 0)
    def five(self): lib.virDomainFSInfoFree(self.info)
"""
    found = [name for name, node in functions(ast.parse(source)) if any(direct_calls(node))]

    assert found == ["A.one", "A.three", "A.four"]


# ---- the names that errors get ----


def named_calls() -> Iterator[tuple[str, str, str]]:
    """check(lib.virX(…), "virX"): where, the function that is called, and the name that is passed along."""
    for file, tree in FILES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "check":
                continue
            inner, name = node.args[0], node.args[1]
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr[:3] == "vir":
                assert isinstance(name, ast.Constant), f"{file}:{node.lineno}"
                yield f"{file}:{node.lineno}", inner.func.attr, str(name.value)


def test_a_checked_call_passes_its_own_name() -> None:
    calls = list(named_calls())

    assert len(calls) >= 5
    assert [(where, name) for where, called, name in calls if called != name] == []


def test_a_function_of_lib_knows_its_name() -> None:
    names = [name for name in dir(lib) if re.match("vir(?!ConnectAuthPtrDefault)", name)]

    assert len(names) > 400
    assert [name for name in names if getattr(lib, name).__name__ != name] == []


@pytest.mark.parametrize("name", sorted(name for name in vars(codes) if name.isupper()))
def test_a_named_code_has_the_number_of_libvirt(name: str) -> None:
    number = getattr(codes, name)
    enumeration = ErrorDomain if name.startswith("FROM_") else ErrorNumber

    assert enumeration(number).name == name.removeprefix("FROM_")


def test_a_deleted_volume_names_the_function_that_failed() -> None:
    with pyvirt.connect("test:///default") as conn:
        pool = conn.storage_pools["default-pool"]
        volume = pool.volumes.create("<volume><name>short</name><capacity>1</capacity></volume>")
        volume.delete()

        with pytest.raises(pyvirt.StorageVolumeNotFoundError) as caught:
            volume.info()

    assert caught.value.function == "virStorageVolGetInfo"
