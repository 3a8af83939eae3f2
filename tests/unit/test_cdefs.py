# SPDX-License-Identifier: LGPL-2.1-or-later
"""cdefs/ declares all of libvirt as its headers do, and a function that this build lacks raises an error."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pkgconfig
import pytest
from lxml import etree

import build_ffi
from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib, load_extension
from pyvirt.errors import NotSupportedError
from tests.support.api_facts import SECTIONS, release

FILES = {
    "libvirt": build_ffi.BASE,
    "libvirt-qemu": ["qemu"],
    "libvirt-lxc": ["lxc"],
    "libvirt-admin": ["admin"],
}
UNION = ["value.i", "value.ui", "value.l", "value.ul", "value.d", "value.b", "value.s"]

LAYOUT = """
#include <stddef.h>
#include <stdio.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define puts_layout(name, offset, size) printf("%%s %%zu %%zu\\n", name, (size_t)(offset), (size_t)(size))

int main(void)
{
    %s
    return 0;
}
"""

NEWEST = max(release(one["since"]) for facts in SECTIONS.values() for one in facts["functions"].values())

each_package = pytest.mark.parametrize("package", FILES)


LIBRARIES: dict[str, Any] = {
    "libvirt": lib,
    "libvirt-qemu": load_extension("qemu")[0],
    "libvirt-lxc": load_extension("lxc")[0],
    "libvirt-admin": load_extension("admin")[0],
}


def library(package: str) -> Any:
    return LIBRARIES[package]


def declared(package: str) -> dict[str, build_ffi.Declaration]:
    """Return the functions and function types of a package's cdef files, by name."""
    found = {}
    for file in FILES[package]:
        for declaration in build_ffi.declarations((build_ffi.CDEFS / f"{file}.h").read_text()):
            callback = re.match(r"typedef [^(]*\(\*(\w+)\)", declaration.text)
            name = declaration.function or (callback and callback[1])
            if name and name not in ("free", "malloc"):
                assert name not in found
                found[name] = declaration
    return found


def expected(package: str) -> dict[str, dict[str, Any]]:
    return {**SECTIONS[package]["functions"], **SECTIONS[package]["callbacks"]}


def squeeze(text: str) -> str:
    return re.sub(r"\s*([*(),])\s*", r"\1", " ".join(text.split()))


@each_package
def test_every_function_of_the_installed_libvirt_is_declared(package: str) -> None:
    symbols = etree.parse(str(build_ffi.api_file(package)))
    installed = {node.get("name") for node in symbols.iter("function")}

    assert installed
    assert installed <= set(dir(library(package)))


@each_package
def test_every_known_function_can_be_called(package: str) -> None:
    bound = library(package)
    known = SECTIONS[package]["functions"]

    assert [name for name in known if not callable(getattr(bound, name, None))] == []


@each_package
def test_declarations_equal_those_of_libvirt(package: str) -> None:
    def text(name: str, facts: dict[str, Any]) -> str:
        head = f"typedef {facts['returns']} (*{name})" if name in SECTIONS[package]["callbacks"] else None
        arguments = ", ".join(f"{kind} {argument}" for argument, kind in facts["args"])
        return squeeze(f"{head or facts['returns'] + ' ' + name}({arguments or 'void'})")

    ours = {name: squeeze(declaration.text) for name, declaration in declared(package).items()}

    assert ours == {name: text(name, facts) for name, facts in expected(package).items()}


@each_package
def test_declarations_newer_than_the_oldest_libvirt_name_their_release(package: str) -> None:
    oldest = release(build_ffi.MINIMUM)
    newer = {name: facts["since"] for name, facts in expected(package).items() if release(facts["since"]) > oldest}

    assert {name: one.since for name, one in declared(package).items() if one.since} == newer


def test_a_function_that_this_build_lacks_raises_not_supported() -> None:
    present = pkgconfig.modversion("libvirt")
    checked = []
    for package in FILES:
        bound = library(package)
        for name, facts in SECTIONS[package]["functions"].items():
            if release(facts["since"]) <= release(present):
                continue
            function = getattr(bound, name)
            kind = ffi.typeof(function)
            result = function(*(0 if one.kind == "primitive" else ffi.NULL for one in kind.args))
            assert result == (-1 if kind.result.kind == "primitive" else ffi.NULL)
            message = rf"^{name} needs libvirt >= {facts['since']}, this build has {present}$"
            with pytest.raises(NotSupportedError, match=message):
                raise last_error(name)
            checked.append(name)

    assert checked or release(present) >= NEWEST


def test_structs_have_the_layout_of_the_installed_headers(tmp_path: Path) -> None:
    fields = {
        f"{struct}.{field}" for struct, facts in SECTIONS["libvirt"]["structs"].items() for field, _ in facts["fields"]
    }
    fields |= {f"virTypedParameter.{member}" for member in UNION}
    structs = {field.partition(".")[0] for field in fields}

    assert layout_in_c(sorted(structs), sorted(fields), tmp_path) == {
        **{struct: [0, ffi.sizeof(struct)] for struct in structs},
        **{field: place(*field.split(".")) for field in fields},
    }


def place(struct: str, *path: str) -> list[int]:
    """Return offset and size of a field according to cffi."""
    kind = ffi.typeof(struct)
    offset = ffi.offsetof(kind, *path)
    for name in path:
        kind = dict(kind.fields)[name].type
    return [offset, ffi.sizeof(kind)]


def layout_in_c(structs: list[str], fields: list[str], directory: Path) -> dict[str, list[int]]:
    """Return offset and size of each according to the C compiler."""
    lines = [f'puts_layout("{struct}", 0, sizeof({struct}));' for struct in structs]
    for field in fields:
        struct, _, path = field.partition(".")
        lines.append(f'puts_layout("{field}", offsetof({struct}, {path}), sizeof((({struct} *)0)->{path}));')
    source = directory / "layout.c"
    source.write_text(LAYOUT % "\n    ".join(lines))
    flags = shlex.split(pkgconfig.cflags("libvirt"))
    subprocess.run(["cc", "-w", *flags, str(source), "-o", str(directory / "layout")], check=True)
    printed = subprocess.run([directory / "layout"], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in printed.splitlines())
    return {name: [int(offset), int(size)] for name, offset, size in rows}
