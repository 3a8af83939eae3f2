# SPDX-License-Identifier: LGPL-2.1-or-later
"""The constants equal those that a C compiler sees in the installed headers."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.api_facts import CLASSES, CONSTANTS, enumerators, macros, release

PACKAGES = ["libvirt", "libvirt-qemu", "libvirt-lxc", "libvirt-admin"]


def pkg_config(*arguments: str) -> str:
    return subprocess.run(["pkg-config", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def installed() -> tuple[int, ...]:
    return release(pkg_config("--modversion", "libvirt"))


@pytest.fixture(scope="module")
def compiled(installed: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, int | str]:
    """Return every constant of the installed release by its C name, as printed by a C program."""
    integers = [one.name for one in enumerators() if one.since <= installed]
    constants = [(name, CONSTANTS[name]) for name, _, since in macros() if since <= installed and name in CONSTANTS]
    integers += [name for name, value in constants if isinstance(value, int)]
    strings = [name for name, value in constants if isinstance(value, str)]
    lines = ["#define VIR_ENUM_SENTINELS", "#include <stdio.h>"]
    lines += [*(f"#include <libvirt/{package}.h>" for package in PACKAGES), "#include <libvirt/virterror.h>"]
    lines += ["int main(void) {", 'puts("{");']
    lines += [f'printf("\\"%s\\": %lld,\\n", "{name}", (long long)({name}));' for name in integers]
    lines += [f'printf("\\"%s\\": \\"%s\\",\\n", "{name}", {name});' for name in strings]
    lines += ['puts("\\"end\\": 0}");', "return 0;", "}"]
    directory: Path = tmp_path_factory.mktemp("constants")
    source, program = directory / "constants.c", directory / "constants"
    source.write_text("\n".join(lines))
    flags = shlex.split(pkg_config("--cflags", *PACKAGES))
    subprocess.run(["cc", *flags, "-o", str(program), str(source)], check=True, timeout=120)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=60).stdout
    found: dict[str, int | str] = json.loads(printed)
    return found


def test_enumerators_equal_the_headers(compiled: dict[str, int | str], installed: tuple[int, ...]) -> None:
    checked = 0
    for one in enumerators():
        if one.sentinel or one.since > installed:
            continue
        assert one.member is not None
        member = CLASSES[one.enum].__members__[one.member]
        seen = compiled[one.name]
        assert isinstance(seen, int)
        # A flag in the top bit is negative in a C int.
        assert int(member) == (seen if int(member) < 1 << 31 else seen & 0xFFFFFFFF), one.name
        checked += 1
    assert checked > 900


def test_sentinels_are_greater_than_every_member(compiled: dict[str, int | str], installed: tuple[int, ...]) -> None:
    present = [one for one in enumerators() if one.since <= installed]
    for sentinel in present:
        if sentinel.sentinel:
            last = max(one.value for one in present if one.enum == sentinel.enum and not one.sentinel)
            assert compiled[sentinel.name] == last + 1, sentinel.name


def test_macros_equal_the_headers(compiled: dict[str, int | str], installed: tuple[int, ...]) -> None:
    checked = 0
    for name, _, since in macros():
        if name in CONSTANTS and since <= installed:
            assert compiled[name] == CONSTANTS[name], name
            checked += 1
    assert checked > 200
