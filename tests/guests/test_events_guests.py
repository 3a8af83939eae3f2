# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of event that real QEMU guests can be made to send, with all its fields.

For the others tests/unit/test_event_kinds.py calls the callbacks: a failure of the host's memory, a memory device that
the guest resizes, a device that the guest refuses to release, sleep on disk, a broken monitor, and kinds of
newer libvirts.
"""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
from pathlib import Path
from typing import Any, TypeVar

import pytest

import pyvirt
from pyvirt import enums
from pyvirt.enums import DomainCreateFlags, DomainMigrateFlags, DomainState, NodeSuspendTarget, params
from pyvirt.errors import OperationTimeoutError
from pyvirt.events import Event, Listener, kinds
from pyvirt.testing import guests
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import Nic, paused_guest, tiny_guest, write_boot_disk
from pyvirt.testing.linux_guest import LinuxImage, linux_guest, wait_for_agent
from pyvirt.testing.pytest_plugin import skip_unless_in_ci

MIB = 1 << 20
LIMIT = 60  # seconds; more than anything takes
SCSI = "<controller type='scsi' model='lsilogic'/>"

names = (f"eventful-{number}" for number in itertools.count())

K = TypeVar("K", bound=Event)


class Heard:
    """Events that were received, to be taken in any order."""

    def __init__(self, listener: Listener[Event]) -> None:
        self.listener = listener
        self.events: list[Event] = []

    def next(self, kind: type[K], **fields: Any) -> K:
        """Return the next event of *kind* with the values *fields*, and drop earlier events of that kind."""
        while True:
            for event in self.events:
                if type(event) is kind and all(getattr(event, name) == value for name, value in fields.items()):
                    self.events.remove(event)
                    return event
            assert self.listener.wait(LIMIT), (kind, fields, self.events)
            taken = self.listener.take()
            assert not any(isinstance(event, kinds.EventsLost) for event in taken)
            self.events += taken


@pytest.fixture
def conn(qemu: pyvirt.Connection) -> pyvirt.Connection:
    return qemu


@pytest.fixture
def heard(conn: pyvirt.Connection) -> Heard:
    return Heard(conn.events.listen(kinds.DomainEvent, kinds.QemuMonitorEvent))


def qemu_img(*argv: object, cwd: Path) -> None:
    subprocess.run(["qemu-img", *map(str, argv)], check=True, cwd=cwd, capture_output=True)


# ---- events that a guest causes itself ----

# A boot sector that sets the hour of its clock, lets its watchdog expire at once, and writes 127 sectors to its second
# disk.
PROGRAM = bytes.fromhex(
    "B004 E670 B005 E671"  # hour, in the real-time clock: 5
    "BA4304 B00F EE"  # the watchdog ib700: 0 seconds
    "31C0 8EC0 BB007C B87F03 B90200 BA8100 CD13"  # write to disk 81 from sector 2 on
    "F4 EBFD"
)


def test_a_working_guest_sends_events(
    conn: pyvirt.Connection, heard: Heard, qemu_daemon: PrivateDaemon, tmp_path: Path
) -> None:
    boot = tmp_path / "boot"
    boot.write_bytes(PROGRAM.ljust(510, b"\0") + b"\x55\xaa" + bytes(MIB - 512))
    # A file system with room for one page, while the image on it needs many.
    small = qemu_daemon.path("/var/lib/libvirt") / next(names)
    inside = f"/var/lib/libvirt/{small.name}"
    qemu_daemon.run_inside(["mkdir", inside])
    qemu_daemon.run_inside(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", inside])
    qemu_daemon.run_inside(["truncate", "-s", "1M", f"{inside}/image"])
    disk = (
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{inside}/image'/>"
        "<target dev='hdb' bus='ide'/></disk>"
    )
    try:
        xml = tiny_guest(next(names), boot, devices=f"{disk}<watchdog model='ib700' action='none'/>")
        domain = conn.domains.create(xml, flags=DomainCreateFlags.PAUSED)
        started = heard.next(kinds.DomainLifecycle)
        assert started == kinds.DomainLifecycle(
            domain, enums.DomainEventType.STARTED, enums.DomainEventStartedDetailType.BOOTED
        )
        assert started.domain.id == domain.id
        domain.disks["hdb"].set_threshold(1024)
        domain.resume()
        clock = heard.next(kinds.DomainRTCChange, domain=domain)
        assert clock.utc_offset % 60 in (0, 59, 1)
        assert abs(clock.utc_offset) < 86400 + 5
        watchdog = heard.next(kinds.DomainWatchdog, domain=domain)
        assert watchdog.action is enums.DomainEventWatchdogAction.NONE
        threshold = heard.next(kinds.DomainBlockThreshold, domain=domain)
        assert (threshold.disk, threshold.path, threshold.threshold) == ("hdb", f"{inside}/image", 1024)
        assert threshold.excess > 0
        error = heard.next(kinds.DomainIOError, domain=domain)
        assert error == kinds.DomainIOError(
            domain, f"{inside}/image", "ide0-0-1", enums.DomainEventIOErrorAction.PAUSE, "enospc"
        )
        suspended = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.SUSPENDED)
        assert suspended.detail in (
            enums.DomainEventSuspendedDetailType.IOERROR,
            enums.DomainEventSuspendedDetailType.PAUSED,
        )
        domain.reset()
        assert heard.next(kinds.DomainReboot).domain == domain
        said = heard.next(kinds.QemuMonitorEvent, event="RTC_CHANGE")
        assert said.domain == domain
        assert json.loads(said.details or "")["offset"] == clock.utc_offset
        assert said.seconds > 1_600_000_000
        assert 0 <= said.microseconds < 1_000_000
        domain.destroy()
        stopped = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.STOPPED)
        assert (stopped.domain.name, stopped.domain.uuid) == (domain.name, domain.uuid)
        assert stopped.detail is enums.DomainEventStoppedDetailType.DESTROYED
    finally:
        qemu_daemon.run_inside(["umount", "-l", inside])


# ---- operations on a guest ----


def rfb_login(path: Path) -> None:
    """Connect to a VNC server until it accepts the client."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT)
        client.connect(str(path))

        def read(size: int) -> bytes:
            data = b""
            while len(data) < size:
                part = client.recv(size - len(data))
                assert part
                data += part
            return data

        client.sendall(read(12))  # the same version
        assert 1 in read(read(1)[0])  # no authentication
        client.sendall(b"\1")
        assert read(4) == bytes(4)
        client.sendall(b"\1")  # other clients may watch
        assert len(read(24)) == 24


def test_every_operation_on_a_guest_sends_its_event(
    conn: pyvirt.Connection, heard: Heard, qemu_daemon: PrivateDaemon, tmp_path: Path
) -> None:
    qemu_img("create", "-f", "qcow2", "base", MIB, cwd=tmp_path)
    qemu_img("create", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top", cwd=tmp_path)
    (tmp_path / "more").write_bytes(bytes(MIB))
    (tmp_path / "iso").write_bytes(bytes(MIB))
    screen = f"/var/lib/libvirt/{next(names)}.vnc"
    cdrom = "<disk type='file' device='cdrom'>{source}<target dev='hdc' bus='ide'/><readonly/></disk>"
    optional = (
        "<disk type='file' device='cdrom'><source file='/nonexistent/iso' startupPolicy='optional'/>"
        "<target dev='hdd' bus='ide'/><readonly/></disk>"
    )
    devices = (
        f"{SCSI}<graphics type='vnc' socket='{screen}'/><video><model type='vga'/></video>"
        f"{cdrom.format(source=f'''<source file='{tmp_path}/iso'/>''')}{optional}"
    )
    xml = paused_guest(
        next(names),
        acpi=True,
        nics=[Nic()],
        disks=[guests.DiskConfig(tmp_path / "top", format="qcow2")],
        devices=devices,
    )
    domain = conn.domains.define(xml)
    defined = heard.next(kinds.DomainLifecycle)
    assert (defined.event.name, defined.domain.id) == ("DEFINED", None)
    domain.start(flags=DomainCreateFlags.PAUSED)
    change = heard.next(kinds.DomainDiskChange)
    assert (change.domain, change.old_path, change.new_path) == (domain, "/nonexistent/iso", None)
    assert change.alias == "ide0-1-1"
    assert change.reason is enums.ConnectDomainEventDiskChangeReason.CHANGE_MISSING_ON_START

    # a disk is attached and detached
    disk = (
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{tmp_path}/more'/>"
        "<target dev='sda' bus='scsi'/></disk>"
    )
    domain.devices.attach(disk)
    assert heard.next(kinds.DomainDeviceAdded) == kinds.DomainDeviceAdded(domain, "scsi0-0-0")
    domain.devices.detach(disk, wait=LIMIT)
    assert heard.next(kinds.DomainDeviceRemoved) == kinds.DomainDeviceRemoved(domain, "scsi0-0-0")
    domain.devices.attach(disk)
    domain.devices.detach_alias("scsi0-0-0", wait=LIMIT)
    assert "sda" not in [disk.name for disk in domain.disks]

    # a drive is emptied
    domain.devices.update(cdrom.format(source=""))
    tray = heard.next(kinds.DomainTrayChange)
    assert (tray.domain, tray.alias, tray.reason.name) == (domain, "ide0-1-0", "OPEN")
    assert heard.next(kinds.DomainTrayChange).reason is enums.DomainEventTrayChangeReason.CLOSE

    # a limit, metadata
    domain.disks["vda"].set_io_tune({params.DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC: 500})
    tunable = heard.next(kinds.DomainTunable)
    assert tunable.domain == domain
    assert tunable.params[params.DOMAIN_TUNABLE_BLKDEV_DISK] == "vda"
    assert tunable.params["blkdeviotune.total_iops_sec"] == 500
    domain.metadata.set_title("eventful")
    title = heard.next(kinds.DomainMetadataChange)
    assert title == kinds.DomainMetadataChange(domain, enums.DomainMetadataType.TITLE, None)
    domain.metadata.set("urn:pyvirt:test", "<a/>", key="t")
    assert heard.next(kinds.DomainMetadataChange).uri == "urn:pyvirt:test"

    # a job of a disk and a job of the domain
    job = domain.disks["vda"].pull()
    job.wait(timeout=LIMIT)
    pulled = heard.next(kinds.DomainBlockJob)
    assert pulled == kinds.DomainBlockJob(
        domain, "vda", enums.DomainBlockJobType.PULL, enums.ConnectDomainEventBlockJobStatus.COMPLETED
    )
    domain.backup.begin(
        "<domainbackup mode='push'><disks><disk name='vda' type='file' backup='yes'>"
        f"<target file='{tmp_path}/backup'/><driver type='qcow2'/></disk></disks></domainbackup>"
    )
    domain.job.wait(timeout=LIMIT)
    completed = heard.next(kinds.DomainJobCompleted)
    assert completed.domain == domain
    assert completed.params["operation"] == enums.DomainJobOperation.BACKUP
    assert completed.params["success"] is True

    # a client watches the screen
    rfb_login(qemu_daemon.path(screen))
    phases = enums.DomainEventGraphicsPhase
    for phase in (phases.CONNECT, phases.INITIALIZE, phases.DISCONNECT):
        graphics = heard.next(kinds.DomainGraphics)
        assert (graphics.domain, graphics.phase, graphics.auth_scheme) == (domain, phase, "none")
        assert graphics.local.family is enums.DomainEventGraphicsAddressType.UNIX
        assert graphics.local.service == screen or graphics.local.node == screen
        assert graphics.identities == ()
    domain.destroy()
    domain.undefine()
    undefined = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.UNDEFINED)
    assert undefined.detail is enums.DomainEventUndefinedDetailType.REMOVED


def test_a_failed_removal_of_a_device_sends_an_event(conn: pyvirt.Connection) -> None:
    """Without an operating system a device on PCI is never released."""
    mac = "52:54:00:0e:0e:0e"
    xml = paused_guest(next(names), acpi=True, nics=[Nic(mac=mac)])
    domain = conn.domains.create(xml, flags=DomainCreateFlags.PAUSED)
    with pytest.raises(OperationTimeoutError, match="did not release device 'net0'"):
        domain.devices.detach(f"<interface type='user'><mac address='{mac.upper()}'/></interface>", wait=0.1)
    assert len(domain.interfaces) == 1
    # libvirt writes these numbers differently
    address = "<address type='pci' domain='0' bus='0x0' slot='0x10' function='0'/>"
    rng = f"<rng model='virtio'><backend model='random'>/dev/urandom</backend>{address}</rng>"
    domain.devices.attach(rng)
    with pytest.raises(OperationTimeoutError, match="did not release device 'rng0'"):
        domain.devices.detach(rng, wait=0.1)


# ---- events that need an operating system ----


def test_a_guest_with_an_agent_sends_events(conn: pyvirt.Connection, heard: Heard, linux_image: LinuxImage) -> None:
    xml = linux_guest(next(names), linux_image, elements="<pm><suspend-to-mem enabled='yes'/></pm>")
    domain = conn.domains.create(xml)
    wait_for_agent(domain)
    agent = heard.next(kinds.DomainAgentLifecycle, state=enums.ConnectDomainEventAgentLifecycleState.CONNECTED)
    assert agent.domain == domain
    assert agent.reason in (
        enums.ConnectDomainEventAgentLifecycleReason.CHANNEL,
        enums.ConnectDomainEventAgentLifecycleReason.DOMAIN_STARTED,
    )
    domain.memory.set(80 * MIB)
    while (balloon := heard.next(kinds.DomainBalloonChange)).actual != 80 * MIB:
        assert balloon.domain == domain

    domain.pm_suspend(NodeSuspendTarget.MEM)
    assert heard.next(kinds.DomainPMSuspend) == kinds.DomainPMSuspend(domain, 0)
    assert domain.wait_for(DomainState.PMSUSPENDED, timeout=LIMIT).state is DomainState.PMSUSPENDED
    domain.pm_wakeup()
    assert heard.next(kinds.DomainPMWakeup) == kinds.DomainPMWakeup(domain, 0)
    asleep = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.PMSUSPENDED)
    assert asleep.detail is enums.DomainEventPMSuspendedDetailType.MEMORY
    assert domain.wait_for(DomainState.RUNNING, timeout=LIMIT).state is DomainState.RUNNING
    wait_for_agent(domain)

    domain.shutdown()
    domain.wait_for(DomainState.SHUTOFF, timeout=LIMIT)
    shutdown = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.SHUTDOWN)
    assert shutdown.detail in (
        enums.DomainEventShutdownDetailType.GUEST,
        enums.DomainEventShutdownDetailType.FINISHED,
        enums.DomainEventShutdownDetailType.HOST,
    )
    stopped = heard.next(kinds.DomainLifecycle, event=enums.DomainEventType.STOPPED)
    assert stopped.detail is enums.DomainEventStoppedDetailType.SHUTDOWN
    gone = heard.next(kinds.DomainAgentLifecycle, state=enums.ConnectDomainEventAgentLifecycleState.DISCONNECTED)
    assert gone.domain == domain


# ---- a migration ----


def test_a_migration_sends_events_on_both_sides(qemu_daemon: PrivateDaemon, tmp_path: Path) -> None:
    boot = write_boot_disk(tmp_path / "boot")
    with (
        skip_unless_in_ci(),
        PrivateDaemon(hostname="source") as source,
        PrivateDaemon(hostname="target") as target,
        pyvirt.connect(source.uri("qemu")) as here,
        pyvirt.connect(target.uri("qemu")) as there,
    ):
        leaving, arriving = Heard(here.events.listen(kinds.DomainEvent)), Heard(there.events.listen(kinds.DomainEvent))
        domain = here.domains.create(tiny_guest(next(names), boot))
        live = DomainMigrateFlags.LIVE | DomainMigrateFlags.UNSAFE
        arrived = domain.migration.to(there, migrate_uri=f"unix://{tmp_path}/migration", flags=live)
        first = leaving.next(kinds.DomainMigrationIteration)
        assert (first.domain, first.iteration) == (domain, 1)
        assert leaving.next(kinds.DomainMigrationIteration).iteration == 2
        completed = leaving.next(kinds.DomainJobCompleted)
        assert completed.domain == domain
        assert completed.params["operation"] == enums.DomainJobOperation.MIGRATION_OUT
        assert int(completed.params[params.DOMAIN_JOB_MEMORY_TOTAL]) > MIB
        assert leaving.next(kinds.DomainLifecycle, event=enums.DomainEventType.STOPPED).detail.name == "MIGRATED"  # type: ignore[union-attr]
        assert arriving.next(kinds.DomainLifecycle, event=enums.DomainEventType.STARTED).domain == arrived
        assert arriving.next(kinds.DomainLifecycle, event=enums.DomainEventType.RESUMED).detail.name == "MIGRATED"  # type: ignore[union-attr]
        arrived.destroy()
