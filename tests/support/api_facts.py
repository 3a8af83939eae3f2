# SPDX-License-Identifier: LGPL-2.1-or-later
"""The constants of libvirt from ci/api, matched with their names in pyvirt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from pyvirt import enums
from pyvirt.enums import limits, params, params_guest, params_stats
from tests.support import ROOT

[SOURCE] = (ROOT / "ci" / "api").glob("libvirt-*.json")
SECTIONS = {name: facts for name, facts in json.loads(SOURCE.read_text()).items() if isinstance(facts, dict)}
CLASSES: dict[str, type[IntEnum] | type[IntFlag]] = {
    cls.__doc__: cls for cls in (getattr(enums, name) for name in enums.__all__)
}
CONSTANTS: dict[str, str | int] = {
    f"VIR_{name}": value
    for module in (limits, params, params_guest, params_stats)
    for name, value in vars(module).items()
    if name.isupper() and name != "TYPE_CHECKING"
}
RAW = {
    name: value
    for facts in SECTIONS.values()
    for members in facts["enums"].values()
    for name, (value, _) in members.items()
}


class Enumerator(NamedTuple):
    enum: str
    name: str
    value: int
    since: tuple[int, ...]
    member: str | None  # pyvirt's name for it

    @property
    def sentinel(self) -> bool:
        """Whether it counts the enumeration: its value changes with every release."""
        if self.name == "VIR_NETWORK_UPDATE_COMMAND_ADD_LAST":
            return False
        return self.name.endswith("_LAST") or self.name == "VIR_DOMAIN_MEMORY_STAT_NR"


def release(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def resolve(value: str) -> int:
    return resolve(RAW[value]) if value in RAW else int(value)


def enumerators() -> Iterator[Enumerator]:
    for facts in SECTIONS.values():
        for enum, members in facts["enums"].items():
            names = set(CLASSES[enum].__members__) if enum in CLASSES else set()
            for name, (value, since) in members.items():
                fitting = [short for short in names if name.endswith("_" + re.sub(r"^_|_$", "", short))]
                member = max(fitting, key=len, default=None)
                yield Enumerator(enum, name, resolve(value), release(since), member)


def macros() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for facts in SECTIONS.values():
        for name, (value, since) in facts["macros"].items():
            yield name, value, release(since)
