# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input for the parts of a domain that only QEMU has: a paused guest stays unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.enums import DomainCreateFlags
from pyvirt.errors import (
    DeviceNotFoundError,
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationInvalidError,
    XMLError,
)
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import paused_guest
from tests.support.bad_input import LONG, UNKNOWN, Case

DISK = "<disk type='file'><source file='/nowhere'/><target dev='vdz'/></disk>"

# Each call gets a domain.  A plain Error is an internal error of libvirt.
CASES = {
    "attach: not XML": Case(XMLError, "Start tag expected", lambda domain: domain.devices.attach("just text")),
    "attach: nothing": Case(XMLError, "empty", lambda domain: domain.devices.attach("")),
    "attach: no device": Case(
        NotSupportedError, "unknown device type 'other'", lambda domain: domain.devices.attach("<other/>")
    ),
    "attach: no file": Case(Error, "/nowhere", lambda domain: domain.devices.attach(DISK)),
    "attach: unknown flag": Case(
        InvalidArgumentError, "0x8000000", lambda domain: domain.devices.attach(DISK, flags=UNKNOWN)
    ),
    "detach: not there": Case(DeviceNotFoundError, "vdz", lambda domain: domain.devices.detach(DISK)),
    "detach: unknown alias": Case(Error, "nobody", lambda domain: domain.devices.detach_alias("nobody")),
    "update: not there": Case(Error, "vdz", lambda domain: domain.devices.update(DISK)),
    "disk: unknown": Case(InvalidArgumentError, "nobody", lambda domain: domain.disks["nobody"].stats()),
    "disk: resize": Case(InvalidArgumentError, "nobody", lambda domain: domain.disks["nobody"].resize(1 << 20)),
    "job: unknown disk": Case(InvalidArgumentError, "nobody", lambda domain: domain.disks["nobody"].pull()),
    "job: 10,000 characters": Case(InvalidArgumentError, "nnn", lambda domain: domain.disks[LONG].job.info()),
    "vcpus: too many": Case(InvalidArgumentError, "99", lambda domain: domain.vcpus.set(99)),
    "vcpus: no CPU": Case(InvalidArgumentError, "(?i)empty|no cpu", lambda domain: domain.vcpus.pin(0, [])),
    "memory: too much": Case(InvalidArgumentError, "memory", lambda domain: domain.memory.set(1 << 40)),
    "backup: not XML": Case(XMLError, "Start tag expected", lambda domain: domain.backup.begin("just text")),
    "monitor: not JSON": Case(Error, "JSON|json|parse", lambda domain: domain.qemu.monitor_command("just text")),
    "checkpoint: not XML": Case(XMLError, "Start tag|schema", lambda domain: domain.checkpoints.create("just text")),
    "snapshot: not XML": Case(XMLError, "Start tag expected", lambda domain: domain.snapshots.create("just text")),
    "job: none": Case(OperationInvalidError, "no job", lambda domain: domain.job.abort()),
    "native: unknown": Case(
        InvalidArgumentError, "nobody", lambda domain: domain.connection.domains.xml_to_native("nobody", "<domain/>")
    ),
    "migration: no URI": Case(InvalidArgumentError, "::::", lambda domain: domain.migration.to("::::")),
}


@pytest.fixture(scope="module")
def domain(qemu_daemon: PrivateDaemon) -> Iterator[Domain]:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        domain = conn.domains.create(paused_guest("bad-input"), flags=DomainCreateFlags.PAUSED)
        yield domain
        domain.destroy()


@pytest.mark.parametrize("name", CASES)
def test_bad_input_raises_a_clear_error_and_changes_nothing(
    name: str, domain: Domain, capfd: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    before = domain.xml_desc(), domain.state(), domain.snapshots.names(), len(domain.checkpoints)
    with pytest.raises(case.cls, match=case.message) as caught:
        case.call(domain)
    assert type(caught.value) is case.cls
    assert (domain.xml_desc(), domain.state(), domain.snapshots.names(), len(domain.checkpoints)) == before
    assert capfd.readouterr() == ("", "")
