# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from pyvirt import enums
from pyvirt.enums import CPUCompareResult, DeviceModify, DomainState, StatsGroup
from pyvirt.enums._base import OpenIntEnum
from tests.support import ROOT
from tests.support.api_facts import CLASSES, CONSTANTS, SECTIONS, enumerators, macros

REAL = [enumerator for enumerator in enumerators() if not enumerator.sentinel]
OPEN = [cls for cls in CLASSES.values() if issubclass(cls, OpenIntEnum)]
FLAGS = [cls for cls in CLASSES.values() if issubclass(cls, IntFlag)]
EXTRA = {"virDomainStatsTypes": {"ALL"}, "virKeycodeSet": {"RFB"}}


def test_every_enumeration_of_the_facts_has_a_class() -> None:
    assert set(CLASSES) == {enum for facts in SECTIONS.values() for enum in facts["enums"]}
    assert len(CLASSES) == 181
    assert len(OPEN) + len(FLAGS) == len(CLASSES)


@pytest.mark.parametrize("enum", CLASSES)
def test_every_enumerator_is_a_member_with_its_value(enum: str) -> None:
    mine = [enumerator for enumerator in REAL if enumerator.enum == enum]
    members = CLASSES[enum].__members__
    for enumerator in mine:
        assert enumerator.member is not None, enumerator.name
        assert int(members[enumerator.member]) == enumerator.value, enumerator.name
    expected = [enumerator.member for enumerator in mine] + sorted(EXTRA.get(enum, ()))
    assert sorted(map(str, expected)) == sorted(members)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_members_are_named_as_in_libvirt(cls: type[IntEnum]) -> None:
    assert cls.__name__ in enums.__all__
    assert cls.__doc__ is not None
    assert cls.__doc__.startswith("vir")
    assert not cls.__name__.endswith("Values")
    assert sys.modules[cls.__module__].__dict__[cls.__name__] is cls
    for name in cls.__members__:
        assert name.isidentifier()
        assert name.isupper()
        assert not name.startswith("VIR_")


def test_flag_classes_are_exactly_the_sets_of_bits() -> None:
    for flags in FLAGS:
        values = {int(member) for member in flags.__members__.values()}
        assert all(value >= 0 and value.bit_count() <= 1 for value in values), flags
    for enum, cls in CLASSES.items():
        assert not ("Flag" in enum and issubclass(cls, OpenIntEnum)), cls
        # Values that always double are a set of bits, unless there are too few of them.
        values = {int(member) for member in cls.__members__.values()} - {0}
        if issubclass(cls, OpenIntEnum) and len(values) > 2:
            assert not all(value > 0 and value.bit_count() == 1 for value in values), cls


@pytest.mark.parametrize(
    ("cls", "enum", "member", "value"),
    [
        (enums.DeviceModify, "virDomainDeviceModifyFlags", "CONFIG", 2),
        (enums.StatsGroup, "virDomainStatsTypes", "ALL", 0),
        (enums.LifecycleType, "virDomainLifecycle", "CRASH", 2),
        (enums.ErrorNumber, "virErrorNumber", "NO_NETWORK", 43),
        (enums.ErrorNumber, "virErrorNumber", "WAR_NO_NETWORK", 41),
        (enums.DomainCreateFlags, "virDomainCreateFlags", "PAUSED", 1),
        (enums.DomainRebootFlags, "virDomainRebootFlagValues", "GUEST_AGENT", 2),
        (enums.StreamRecvFlags, "virStreamRecvFlagsValues", "STOP_AT_HOLE", 1),
        (enums.NetworkUpdateCommand, "virNetworkUpdateCommand", "ADD_LAST", 3),
        (enums.ConnectListAllNodeDeviceFlags, "virConnectListAllNodeDeviceFlags", "ACTIVE", 1 << 31),
    ],
)
def test_names_chosen_by_hand_are_used(cls: type[IntEnum], enum: str, member: str, value: int) -> None:
    assert cls.__doc__ == enum
    assert int(cls[member]) == value


@pytest.mark.parametrize(
    ("cls", "alias", "name"),
    [
        (enums.KeycodeSet, "RFB", "QNUM"),
        (enums.DomainQemuAgentCommandTimeout, "MIN", "BLOCK"),
        (enums.DomainSnapshotListFlags, "DESCENDANTS", "ROOTS"),
    ],
)
def test_aliases_stay_aliases(cls: type[IntEnum], alias: str, name: str) -> None:
    assert cls[alias] is cls[name]
    assert cls[alias].name == name


@pytest.mark.parametrize("cls", OPEN, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("number", [12345, -12345, 1 << 70])
def test_an_unknown_value_becomes_a_member_of_its_own(cls: type[OpenIntEnum], number: int) -> None:
    unknown = cls(number)
    assert isinstance(unknown, cls)
    assert unknown == number
    assert hash(unknown) == hash(number)
    assert unknown.value == number
    assert unknown.name == f"UNKNOWN_{number}"
    assert repr(unknown) == f"<{cls.__name__}.UNKNOWN_{number}: {number}>"
    assert str(unknown) == f"{unknown}" == str(number)
    assert unknown == cls(number)
    assert unknown != next(iter(cls))


def test_unknown_values_are_not_kept() -> None:
    before = len(DomainState._value2member_map_)
    for number in range(100, 200):
        DomainState(number)
    assert len(DomainState._value2member_map_) == before
    assert len(DomainState) == 8


@pytest.mark.parametrize("value", ["RUNNING", "1", None, 1.5, b"\x01", [], object()])
def test_only_integers_are_values(value: int) -> None:
    with pytest.raises(ValueError, match="is not a valid DomainState"):
        DomainState(value)


def test_anything_with_index_is_accepted_as_an_integer() -> None:
    class Integer:
        def __index__(self) -> int:
            return 99

    unknown = DomainState(Integer())  # type: ignore[arg-type]
    assert unknown == DomainState(99)
    assert type(unknown.value) is int


@pytest.mark.parametrize("cls", FLAGS, ids=lambda cls: cls.__name__)
def test_flags_keep_unknown_bits(cls: type[IntFlag]) -> None:
    [known, *_] = cls.__members__.values()
    both = cls(1 << 40) | known
    assert isinstance(both, cls)
    assert both == (1 << 40) | int(known)
    assert both & ~cls(1 << 40) == known
    assert both & known == known


def test_flag_arithmetic_keeps_the_class() -> None:
    both = DeviceModify.LIVE | DeviceModify.CONFIG
    assert type(both) is DeviceModify
    assert both == 3
    assert DeviceModify.LIVE in both
    assert both & ~DeviceModify.LIVE == DeviceModify.CONFIG
    assert not DeviceModify.CURRENT


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        DomainState.RUNNING,
        DomainState(77),
        CPUCompareResult.ERROR,
        CPUCompareResult(-9),
        StatsGroup.ALL,
        StatsGroup.VCPU | StatsGroup.BLOCK,
        StatsGroup(1 << 20),
        StatsGroup.VCPU | (1 << 20),
    ],
    ids=repr,
)
def test_values_survive_pickling_and_copying(value: IntEnum | IntFlag, protocol: int) -> None:
    for again in (pickle.loads(pickle.dumps(value, protocol)), copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert type(again) is type(value)
        assert again.name == value.name
        assert repr(again) == repr(value)


def test_string_macros_are_constants() -> None:
    facts = {name: value for name, value, _ in macros()}
    assert len(CONSTANTS) == 512
    for name, value in CONSTANTS.items():
        if isinstance(value, str):
            assert facts[name] == value
    # The macros left out have no value that a program could use: function-like macros, renames of structs.
    for name, value in facts.items():
        if name not in CONSTANTS and name != "VIR_KEYCODE_SET_RFB":
            assert name.startswith(("LIBVIR_", "_vir")) or value == "" or "(" in value, name


def test_modules_load_only_when_used() -> None:
    package = ROOT / "src" / "pyvirt"
    program = f"""
import sys, types
sys.modules["pyvirt"] = types.ModuleType("pyvirt")
sys.modules["pyvirt"].__path__ = [{str(package)!r}]
import pyvirt.enums
loaded = lambda: {{name for name in sys.modules if name.startswith("pyvirt.enums.")}}
assert loaded() == set(), loaded()
assert set(pyvirt.enums.__all__) <= set(dir(pyvirt.enums))
from pyvirt.enums import StreamFlags
assert loaded() == {{"pyvirt.enums.stream"}}, loaded()
import pyvirt.enums.domain, pyvirt.enums.params
assert "typing" not in sys.modules
assert StreamFlags is pyvirt.enums.StreamFlags is pyvirt.enums.stream.StreamFlags
try:
    pyvirt.enums.NoSuchThing
except AttributeError as error:
    assert str(error) == "module 'pyvirt.enums' has no attribute 'NoSuchThing'"
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-S", "-c", program], check=True, timeout=60)


def test_generated_files_are_current_and_stale_ones_are_reported(tmp_path: Path) -> None:
    def check(root: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "ci" / "gen_enums"), "--check"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    fresh = check(ROOT)
    assert (fresh.returncode, fresh.stderr) == (0, "")

    shutil.copytree(ROOT / "ci", tmp_path / "ci")
    generated = tmp_path / "src" / "pyvirt" / "enums"
    shutil.copytree(ROOT / "src" / "pyvirt" / "enums", generated)
    assert check(tmp_path).returncode == 0
    domain = generated / "domain.py"
    domain.write_text(domain.read_text().replace("SHUTOFF = 5", "SHUTOFF = 6"))
    (generated / "stream.py").unlink()
    (generated / "left_over.py").touch()
    stale = check(tmp_path)
    assert stale.returncode == 1
    assert "domain.py, left_over.py, stream.py; run ci/gen_enums" in stale.stderr

    subprocess.run([sys.executable, str(tmp_path / "ci" / "gen_enums")], check=True, timeout=60)
    assert check(tmp_path).returncode == 0
    assert not (generated / "left_over.py").exists()
