# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every public function of libvirt, and its place in pyvirt: docstrings are compared with the API, both ways.

A docstring names its C functions in parentheses. A function that no docstring names is in one of these tables.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support import ROOT
from tests.support.api_facts import SECTIONS

SOURCE = ROOT / "src" / "pyvirt"
FUNCTIONS = {name for section in SECTIONS.values() for name in section["functions"]}
C_NAME = re.compile(r"\bvir[A-Z]\w+")

# Functions that only the core calls: references, errors, parameters, start-up.
USED_UP = re.compile(
    r"vir\w+(Ref|Free)|vir(Adm)?Initialize|vir(Adm)?ConnectClose|vir\w*LastError\w*|virResetError|virFreeError"
    r"|virDefaultErrorFunc|vir(Conn)?SetErrorFunc|virTypedParams\w+"
)

# Older forms -> the function that is called instead.
SUPERSEDED = {
    "virConnectListDefinedDomains": "virConnectListAllDomains",
    "virConnectListDomains": "virConnectListAllDomains",
    "virConnectNumOfDefinedDomains": "virConnectListAllDomains",
    "virConnectNumOfDomains": "virConnectListAllDomains",
    "virConnectListDefinedNetworks": "virConnectListAllNetworks",
    "virConnectListNetworks": "virConnectListAllNetworks",
    "virConnectNumOfDefinedNetworks": "virConnectListAllNetworks",
    "virConnectNumOfNetworks": "virConnectListAllNetworks",
    "virConnectDomainEventDeregister": "virConnectDomainEventDeregisterAny",
    "virConnectDomainEventRegister": "virConnectDomainEventRegisterAny",
    "virConnectListNWFilters": "virConnectListAllNWFilters",
    "virDomainCreate": "virDomainCreateWithFlags",
    "virDomainCreateLinux": "virDomainCreateXML",
    "virDomainDefineXML": "virDomainDefineXMLFlags",
    "virDomainDestroy": "virDomainDestroyFlags",
    "virDomainMigrate": "virDomainMigrate3",
    "virDomainMigrate2": "virDomainMigrate3",
    "virDomainMigrateToURI": "virDomainMigrateToURI3",
    "virDomainMigrateToURI2": "virDomainMigrateToURI3",
    "virDomainRestore": "virDomainRestoreFlags",
    "virDomainSave": "virDomainSaveFlags",
    "virDomainShutdown": "virDomainShutdownFlags",
    "virDomainUndefine": "virDomainUndefineFlags",
    # The handle knows its connection, and a UUID is a uuid.UUID.
    "virDomainGetConnect": "virDomainLookupByName",
    "virNetworkGetConnect": "virNetworkLookupByName",
    "virStoragePoolGetConnect": "virStoragePoolLookupByName",
    "virStorageVolGetConnect": "virStorageVolLookupByName",
    **{
        f"vir{kind}{form}UUIDString": f"vir{kind}{form}UUID"
        for kind in ("Domain", "Network", "NWFilter", "Secret", "StoragePool", "NetworkPort")
        for form in ("Get", "LookupBy")
    },
}


def docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        # Enumerations are not functions, and the asynchronous face repeats the docstrings of the model.
        if path.relative_to(SOURCE).parts[0] in ("enums", "aio"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield f"{path.relative_to(SOURCE)}:{getattr(node, 'name', '')}", ast.get_docstring(node) or ""


NAMED = {name for _, text in docstrings() for name in C_NAME.findall(text)} & FUNCTIONS


def calls() -> Iterator[tuple[str, str]]:
    """Yield each function of libvirt that the source mentions."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS:
                yield str(path.relative_to(SOURCE)), node.attr


def test_every_c_function_is_named_or_superseded() -> None:
    assert len(FUNCTIONS) > 560
    lost = {name for name in FUNCTIONS - NAMED - SUPERSEDED.keys() if not USED_UP.fullmatch(name)}
    assert lost == set()


def test_every_called_function_is_named_in_a_docstring() -> None:
    silent = {(where, name) for where, name in calls() if name not in NAMED and not USED_UP.fullmatch(name)}
    assert {name for _, name in silent} <= SUPERSEDED.keys(), silent


def test_docstrings_name_existing_functions() -> None:
    kinds = {name for section in SECTIONS.values() for name in section["enums"]}
    kinds |= {name for section in SECTIONS.values() for name in section["typedefs"]}
    kinds |= {name for section in SECTIONS.values() for name in section["structs"]}
    unknown = {
        (where, name)
        for where, text in docstrings()
        for name in re.findall(r"\((vir[A-Z]\w+)[),]", text)
        if name not in FUNCTIONS | kinds
    }
    assert unknown == set()


@pytest.mark.parametrize("old", sorted(SUPERSEDED))
def test_the_replacement_of_an_older_function_is_wrapped(old: str) -> None:
    assert SUPERSEDED[old] in NAMED


def test_every_superseded_function_exists() -> None:
    assert {name for name in SUPERSEDED if name not in FUNCTIONS} == set()
