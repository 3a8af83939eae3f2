# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices, disks and block jobs of real guests.

The SCSI controller releases a disk by itself; a device on PCI needs an operating system for that.
"""

from __future__ import annotations

import itertools
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain._wait import poll_times
from pyvirt.domain.blockjob import chain_of
from pyvirt.domain.devices import Devices
from pyvirt.domain.disks import Disk, Disks
from pyvirt.domain.interfaces import DomainInterfaces
from pyvirt.domain.metadata import Metadata
from pyvirt.enums import (
    DeviceModify,
    DomainBlockCommitFlags,
    DomainBlockCopyFlags,
    DomainBlockJobAbortFlags,
    DomainBlockJobType,
    DomainBlockRebaseFlags,
    DomainCreateFlags,
    DomainInterfaceAddressesSource,
    DomainModificationImpact,
    DomainXMLFlags,
    params,
)
from pyvirt.errors import (
    AgentUnresponsiveError,
    DeviceNotFoundError,
    InvalidArgumentError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.models import BlockInfo
from pyvirt.testing import guests
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import Nic, paused_guest, tiny_guest, write_boot_disk
from pyvirt.xmldesc import XML, parse
from tests.support.guest_tools import qemu_img

MIB = 1 << 20
SIZE = 16 * MIB
MAC = "52:54:00:0a:0b:0c"
SCSI = "<controller type='scsi' model='lsilogic'/>"
LIVE, CONFIG = DeviceModify.LIVE, DeviceModify.CONFIG
WHILE = 60  # seconds; more than any job takes

names = (f"devices-{number}" for number in itertools.count())


@pytest.fixture
def guest(qemu: pyvirt.Connection) -> Domain:
    """A paused guest with a stored configuration, a controller and a network interface."""
    domain = qemu.domains.define(paused_guest(next(names), acpi=True, nics=[Nic(mac=MAC)], devices=SCSI))
    domain.start(flags=DomainCreateFlags.PAUSED)
    return domain


@pytest.fixture
def layered(qemu: pyvirt.Connection, images: Path) -> Disk:
    return start_layered(qemu, images)


def start_layered(conn: pyvirt.Connection, images: Path) -> Disk:
    """The disk of a paused guest: images top, middle and base, each with one MiB of its own."""
    disk = guests.DiskConfig(images / "top", format="qcow2")
    domain = conn.domains.create(paused_guest(next(names), disks=[disk]), flags=DomainCreateFlags.PAUSED)
    return Disks(domain)["vda"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, (name, below) in enumerate({"base": None, "middle": "base", "top": "middle"}.items()):
        qemu_img("create", "-f", "qcow2", *(("-b", below, "-F", "qcow2") if below else ()), name, SIZE, cwd=tmp_path)
        subprocess.run(
            ["qemu-io", "-c", f"write -P {number + 1} {number}M 1M", name],
            check=True,
            cwd=tmp_path,
            capture_output=True,
        )
    return tmp_path


def disk_xml(path: Path, target: str = "sda", bus: str = "scsi", format: str = "raw") -> str:
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='{bus}'/></disk>"
    )


def nic_xml(inner: str = "", model: str = "virtio") -> str:
    return f"<interface type='user'><mac address='{MAC}'/><model type='{model}'/>{inner}</interface>"


def raw(path: Path, size: int = MIB) -> Path:
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def files(disk: Disk) -> list[str]:
    """Return the files of a disk, the active one first."""
    chain = chain_of(disk.domain, disk.name)
    return [Path(name).name for image in chain for name in image if name.startswith("/")]


def index_of(disk: Disk, layer: int) -> str:
    """Return the name of an image of a running guest: vda[2]."""
    return next(name for name in chain_of(disk.domain, disk.name)[layer] if name.startswith("vda["))


# Devices


def test_a_disk_is_attached_and_detached(guest: Domain, tmp_path: Path) -> None:
    xml = disk_xml(raw(tmp_path / "new.img"))
    devices, disks = Devices(guest), Disks(guest)
    devices.attach(xml)
    assert "sda" in disks
    assert disks.list(flags=DomainXMLFlags.INACTIVE) == []
    with pytest.raises(XMLError, match="duplicated"):
        devices.attach(xml)
    devices.detach(xml)
    assert "sda" not in disks
    devices.hotplug(xml)
    assert "sda" in disks
    devices.hotunplug(xml)
    assert "sda" not in disks


@pytest.mark.parametrize("form", [str, lambda text: text.encode("latin-1"), parse])
def test_attach_accepts_every_form_of_xml(form: Callable[[str], XML], guest: Domain, tmp_path: Path) -> None:
    xml = form(f"<?xml version='1.0' encoding='ISO-8859-1'?>{disk_xml(raw(tmp_path / 'größer.img'))}")
    guest.devices.attach(xml)
    assert guest.disks["sda"].info().capacity == MIB
    guest.devices.detach(xml, wait=WHILE)
    assert "sda" not in guest.disks


def test_flags_choose_the_running_or_the_stored_configuration(guest: Domain, tmp_path: Path) -> None:
    xml = disk_xml(raw(tmp_path / "new.img"))
    devices, disks = Devices(guest), Disks(guest)
    devices.attach(xml, flags=LIVE | CONFIG)
    assert [disk.name for disk in disks] == ["sda"] == [disk.name for disk in disks.list(flags=DomainXMLFlags.INACTIVE)]
    devices.detach(xml, flags=CONFIG)
    assert len(disks) == 1
    assert disks.list(flags=DomainXMLFlags.INACTIVE) == []
    with pytest.raises(DeviceNotFoundError) as caught:
        devices.detach(xml, flags=CONFIG)
    assert caught.value.function == "virDomainDetachDeviceFlags"


def test_detach_alias_removes_the_device(guest: Domain, tmp_path: Path) -> None:
    devices, disks = Devices(guest), Disks(guest)
    devices.attach(disk_xml(raw(tmp_path / "new.img")))
    devices.detach_alias("scsi0-0-0", flags=LIVE)
    # It does not wait, and the next call may be earlier than QEMU's report that the device was removed.
    for _ in poll_times(WHILE, 0.1):
        if "sda" not in disks:
            break
    assert "sda" not in disks
    with pytest.raises(pyvirt.Error, match="no device found with alias nope"):
        devices.detach_alias("nope")


def test_detach_of_a_device_that_the_guest_keeps_times_out(guest: Domain) -> None:
    devices, nics = Devices(guest), DomainInterfaces(guest)
    other = "52:54:00:0a:0b:0d"
    devices.hotplug(nic_xml().replace(MAC, other))
    assert [nic.name for nic in nics] == [MAC, other]
    devices.detach_alias("net1")
    assert [nic.name for nic in nics] == [MAC, other]
    with pytest.raises(DeviceNotFoundError) as caught:
        devices.hotunplug(nic_xml().replace(MAC, "52:54:00:ff:ff:ff"))
    assert caught.value.function == "virDomainDetachDevice"


def test_update_changes_the_link_state(guest: Domain) -> None:
    devices = Devices(guest)

    def states(flags: DomainXMLFlags = DomainXMLFlags(0)) -> list[str | None]:
        root = pyvirt.xmldesc.parse(guest.xml_desc(flags=flags))
        return [link.get("state") for link in root.iterfind("devices/interface/link")]

    devices.update(nic_xml("<link state='down'/>"))
    assert (states(), states(DomainXMLFlags.INACTIVE)) == (["down"], [])
    devices.update(nic_xml("<link state='up'/>"), flags=LIVE | CONFIG)
    assert (states(), states(DomainXMLFlags.INACTIVE)) == (["up"], ["up"])
    with pytest.raises(NotSupportedError, match="model"):
        devices.update(nic_xml(model="e1000"))


def test_devices_of_an_inactive_domain_change_the_stored_configuration(guest: Domain, tmp_path: Path) -> None:
    guest.destroy()
    devices, xml = Devices(guest), disk_xml(raw(tmp_path / "new.img"))
    for call in (devices.hotplug, devices.hotunplug, lambda xml: devices.attach(xml, flags=LIVE)):
        with pytest.raises(OperationInvalidError, match="not running"):
            call(xml)
    devices.attach(xml)
    assert len(Disks(guest)) == 1
    devices.detach(xml)
    assert len(Disks(guest)) == 0


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("<disk", XMLError),
        ("", XMLError),
        ("<disk/>", XMLError),
        ("<nope/>", NotSupportedError),
        (disk_xml(Path("/nowhere/at all")), pyvirt.Error),
        (disk_xml(Path("/dev/null"), "sda\0"), InvalidArgumentError),
    ],
)
def test_an_invalid_device_changes_nothing(guest: Domain, xml: str, error: type[Exception]) -> None:
    before = guest.xml_desc()
    with pytest.raises(error):
        Devices(guest).attach(xml)
    assert guest.xml_desc() == before


# Disks


def test_statistics_and_peek_read_the_disk(qemu: pyvirt.Connection, tmp_path: Path) -> None:
    boot = write_boot_disk(tmp_path / "boot.img")
    disks = Disks(qemu.domains.create(tiny_guest(next(names), boot, serial=tmp_path / "serial")))
    disk = disks["hda"]
    for _ in poll_times(WHILE, 0.1):
        if disk.stats()[params.DOMAIN_BLOCK_STATS_READ_REQ]:  # the BIOS has read the boot sector
            break
    stats, basic = disk.stats(), disk.basic_stats()
    assert (stats["rd_operations"], stats["rd_bytes"], stats["wr_bytes"]) == (1, 512, 0)
    assert int(stats["rd_total_times"]) > 0
    assert (basic.rd_req, basic.rd_bytes, basic.wr_req, basic.wr_bytes, basic.errs) == (1, 512, 0, 0, None)
    assert disks[""].stats() == stats
    assert disks[str(boot)].stats() == stats
    assert disk.info() == BlockInfo(capacity=MIB, allocation=disk.info().allocation, physical=MIB)
    assert disks.errors() == {}
    assert disk.peek(510, 2) == b"\x55\xaa"
    assert disk.peek(0, MIB) == boot.read_bytes()
    with pytest.raises(InvalidArgumentError):
        disk.peek(MIB, 1)
    with pytest.raises(pyvirt.Error, match="too large"):
        disk.peek(0, 5 * MIB)


def test_size_and_io_limits_of_a_disk_are_set(layered: Disk, images: Path) -> None:
    layered.resize(2 * SIZE)
    assert layered.info().capacity == 2 * SIZE
    layered.set_io_tune(total_bytes_sec=MIB)
    assert layered.io_tune()[params.DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC] == MIB
    with pytest.raises(InvalidArgumentError, match="at the same time"):
        layered.set_io_tune(total_bytes_sec=MIB, read_bytes_sec=MIB)
    with pytest.raises(NotSupportedError, match="nope"):
        layered.set_io_tune(nope=MIB)
    layered.set_io_tune({"total_bytes_sec": 0}, read_bytes_sec=MIB)
    tune = layered.io_tune()
    assert (tune["total_bytes_sec"], tune["read_bytes_sec"]) == (0, MIB)
    with pytest.raises(OperationInvalidError, match="transient"):
        layered.io_tune(flags=DomainModificationImpact.CONFIG)


def test_thresholds_are_set_for_each_image_of_a_chain(layered: Disk) -> None:
    def thresholds() -> list[object]:
        (row,) = layered.domain.connection.domains.stats(
            pyvirt.StatsGroup.BLOCK,
            domains=[layered.domain],
            flags=pyvirt.enums.ConnectGetAllDomainStatsFlags.BACKING,
        ).to_dicts()
        return [row.get(f"block.{number}.threshold") for number in range(3)]

    assert thresholds() == [None] * 3
    layered.set_threshold(5 * MIB)
    Disks(layered.domain)[index_of(layered, 2)].set_threshold(7 * MIB)
    assert thresholds() == [5 * MIB, None, 7 * MIB]
    layered.set_threshold(0)
    assert thresholds() == [None, None, 7 * MIB]
    with pytest.raises(InvalidArgumentError, match=r"vda\[99\]"):
        Disks(layered.domain)["vda[99]"].set_threshold(MIB)


# Block jobs


def copy_xml(path: Path) -> str:
    return f"<disk type='file'><source file='{path}'/><driver type='qcow2'/></disk>"


def test_a_copy_becomes_ready_and_is_pivoted_to(layered: Disk, images: Path) -> None:
    job = layered.copy_to(copy_xml(images / "copy"), bandwidth=MIB, granularity=65536, buf_size=MIB)
    info = job.info()
    assert info is not None
    assert (info.type, info.bandwidth, info.end, info.ready) == (DomainBlockJobType.COPY, MIB, SIZE, False)
    with pytest.raises(OperationInvalidError, match="not ready"):
        job.pivot()
    with pytest.raises(OperationInvalidError, match="already in active block job"):
        layered.pull()
    with pytest.raises(OperationTimeoutError, match=r"'vda' had not finished after 0\.05 s"):
        job.wait(timeout=0.05)
    assert layered.job == job
    assert layered.job.info() is not None
    job.set_speed(0)
    seen: list[tuple[int, int]] = []
    job.wait(timeout=WHILE, progress=lambda cur, end: seen.append((cur, end)))
    assert seen[-1] == (SIZE, SIZE)
    info = job.info()
    assert info is not None
    assert (info.bandwidth, info.ready) == (0, True)
    job.pivot()
    assert job.info() is None
    assert files(layered) == ["copy"]
    job.wait(timeout=0)  # the job has ended
    assert qemu_img("compare", "-U", "copy", "top", cwd=images).startswith("Images are identical")


def test_an_aborted_copy_leaves_the_disk_as_it_was(layered: Disk, images: Path) -> None:
    job = layered.copy_to(copy_xml(images / "copy"), bandwidth=MIB)
    job.abort()
    assert job.info() is None
    assert files(layered) == ["top", "middle", "base"]
    with pytest.raises(OperationFailedError, match="'vda' ended without changing the disk") as caught:
        job.wait()
    assert caught.value.code == 9
    calls: list[Callable[[], None]] = [job.abort, job.pivot, lambda: job.set_speed(1)]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match="does not have an active block job"):
            call()
    layered.job.wait(timeout=0)  # no job, nothing to wait for


def test_wait_raises_when_another_thread_aborts_the_job(layered: Disk, images: Path) -> None:
    job = layered.copy_to(copy_xml(images / "copy"), bandwidth=65536)
    running, ended = threading.Event(), threading.Event()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            layered.job.wait(timeout=WHILE, progress=lambda cur, end: running.set())
        except OperationFailedError as error:
            caught.append(error)
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert running.wait(WHILE)
    job.abort(flags=DomainBlockJobAbortFlags.ASYNC)
    assert ended.wait(WHILE)
    waiter.join()
    assert len(caught) == 1


def test_rebase_makes_a_shallow_copy(layered: Disk, images: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-b", "middle", "-F", "qcow2", "copy", SIZE, cwd=images)
    flags = DomainBlockRebaseFlags.COPY | DomainBlockRebaseFlags.REUSE_EXT | DomainBlockRebaseFlags.SHALLOW
    job = layered.rebase(str(images / "copy"), bandwidth=64 * MIB, flags=flags)
    info = job.info()
    assert info is not None
    assert (info.type, info.bandwidth) == (DomainBlockJobType.COPY, 64 * MIB)
    job.wait(timeout=WHILE)
    job.pivot()
    assert files(layered) == ["copy", "middle", "base"]


def test_committing_the_active_image_needs_a_pivot(layered: Disk) -> None:
    with pytest.raises(InvalidArgumentError, match="active flag"):
        layered.commit()
    job = layered.commit(flags=DomainBlockCommitFlags.ACTIVE | DomainBlockCommitFlags.SHALLOW)
    job.wait(timeout=WHILE)
    info = job.info()
    assert info is not None
    assert (info.type, info.ready) == (DomainBlockJobType.ACTIVE_COMMIT, True)
    assert files(layered) == ["top", "middle", "base"]
    job.pivot()
    assert files(layered) == ["middle", "base"]


def test_committing_a_lower_image_shortens_the_chain(layered: Disk, images: Path) -> None:
    job = layered.commit(str(images / "base"), index_of(layered, 1), bandwidth=64 * MIB)
    job.wait(timeout=WHILE)
    assert job.info() is None
    assert files(layered) == ["top", "base"]
    with pytest.raises(InvalidArgumentError):
        layered.commit(top="/nowhere")


def test_pull_leaves_an_image_without_a_backing_file(layered: Disk, images: Path) -> None:
    job = layered.pull(bandwidth=65536)
    info = job.info()
    assert info is not None
    assert (info.type, info.bandwidth) == (DomainBlockJobType.PULL, 65536)
    with pytest.raises(OperationUnsupportedError, match="already in active block job"):
        layered.copy_to(copy_xml(images / "copy"))
    seen: list[tuple[int, int]] = []

    def progress(cur: int, end: int) -> None:
        if not seen:
            job.set_speed(0)
        seen.append((cur, end))

    job.wait(timeout=WHILE, progress=progress)
    assert seen[0][0] < seen[0][1]
    assert seen[-1][0] == seen[-1][1]
    assert files(layered) == ["top"]
    assert qemu_img("info", "-U", "top", cwd=images).count("backing") == 0
    layered.pull().wait(timeout=WHILE)  # without a backing image nothing changes, and no error is raised


def test_rebase_pulls_down_to_a_given_image(layered: Disk, images: Path) -> None:
    layered.rebase(index_of(layered, 1)).wait(timeout=WHILE)  # is the backing image already
    assert files(layered) == ["top", "middle", "base"]
    layered.rebase(str(images / "base"), bandwidth=64 * MIB).wait(timeout=WHILE)
    assert files(layered) == ["top", "base"]
    layered.rebase().wait(timeout=WHILE)
    assert files(layered) == ["top"]


@pytest.mark.parametrize("begin", ["copy", "pull"])
def test_wait_raises_when_the_job_fails(qemu: pyvirt.Connection, images: Path, begin: str) -> None:
    # Make the only cluster table of the base refer to a cluster that does not exist.
    with open(images / "base", "r+b") as image:
        place = 40  # of the L1 table in a qcow2 header
        for _ in range(2):
            image.seek(place)
            place = struct.unpack(">Q", image.read(8))[0] & 0x00FF_FFFF_FFFF_FE00
        image.seek(place)
        (entry,) = struct.unpack(">Q", image.read(8))
        image.seek(place)
        image.write(struct.pack(">Q", entry | 0x1000))
    disk = start_layered(qemu, images)
    job = disk.pull() if begin == "pull" else disk.copy_to(copy_xml(images / "copy"))
    with pytest.raises(OperationFailedError, match="'vda' ended without changing the disk"):
        job.wait(timeout=WHILE)
    assert job.info() is None
    assert files(disk) == ["top", "middle", "base"]


def test_a_backup_leaves_the_images_as_they_were(layered: Disk, images: Path) -> None:
    xml = (
        f"<domainbackup mode='pull'><server transport='unix' socket='{images}/nbd'/><disks>"
        f"<disk name='vda' type='file'><scratch file='{images}/scratch'/></disk></disks></domainbackup>"
    )
    layered.domain.backup.begin(xml)
    info = layered.job.info()
    assert info is not None
    assert (info.type, info.ready) == (DomainBlockJobType.BACKUP, False)

    def progress(cur: int, end: int) -> None:
        layered.domain.job.abort()  # such a backup ends by an abort

    layered.job.wait(timeout=WHILE, progress=progress)
    assert layered.job.info() is None


def test_a_guest_that_dies_ends_the_wait(layered: Disk, images: Path) -> None:
    job = layered.copy_to(copy_xml(images / "copy"), bandwidth=65536)

    def progress(cur: int, end: int) -> None:
        if layered.domain.is_active():
            layered.domain.destroy()

    with pytest.raises((OperationInvalidError, pyvirt.errors.DomainNotFoundError)):
        job.wait(timeout=WHILE, progress=progress)


def test_a_copy_of_a_persistent_guest_must_not_outlive_it(guest: Domain, tmp_path: Path) -> None:
    Devices(guest).attach(disk_xml(raw(tmp_path / "new.img")))
    disk = Disks(guest)["sda"]
    job = disk.copy_to(copy_xml(tmp_path / "copy"), flags=DomainBlockCopyFlags.TRANSIENT_JOB)
    job.wait(timeout=WHILE)
    job.pivot()
    assert files(disk) == ["copy"]


# Interfaces and metadata


def test_an_interface_on_a_bridge_has_statistics_and_parameters(
    qemu: pyvirt.Connection, qemu_daemon: PrivateDaemon
) -> None:
    qemu_daemon.run_inside(["ip", "link", "add", "devices-br", "type", "bridge"])
    try:
        xml = paused_guest(next(names), nics=[Nic(bridge="devices-br", mac=MAC)], agent=True)
        domain = qemu.domains.create(xml, flags=DomainCreateFlags.PAUSED)
        nics = DomainInterfaces(domain)
        (nic,) = nics
        assert nic.name.startswith("vnet")
        qemu_daemon.run_inside(["ip", "link", "set", "devices-br", "up"])
        # The guest receives what the host's end sends: its own announcements.
        stats = nic.stats()
        assert None not in (stats.rx_bytes, stats.rx_packets, stats.tx_bytes, stats.tx_packets)
        assert (stats.tx_bytes, stats.tx_packets, stats.tx_drop) == (0, 0, 0)
        assert nics[MAC].stats().tx_bytes == 0
        assert nics.addresses() == []
        domain.resume()
        with pytest.raises(AgentUnresponsiveError):
            nics.addresses(DomainInterfaceAddressesSource.AGENT)
        domain.destroy()
    finally:
        qemu_daemon.run_inside(["ip", "link", "delete", "devices-br"])


def test_a_user_mode_interface_refuses_parameters(guest: Domain) -> None:
    nic = DomainInterfaces(guest)[MAC]
    with pytest.raises(NotSupportedError, match="user"):
        nic.set_parameters({"inbound.average": 5})
    config = DomainModificationImpact.CONFIG
    with pytest.raises(pyvirt.Error):
        nic.stats()  # QEMU's own network has no end on the host
    with pytest.raises(NotSupportedError, match="user"):
        nic.set_parameters({params.DOMAIN_BANDWIDTH_IN_AVERAGE: 500}, flags=config)
    assert set(nic.parameters(flags=config).values()) == {0}


def test_metadata_differs_between_the_running_and_the_stored_configuration(guest: Domain) -> None:
    metadata = Metadata(guest)
    live, config = DomainModificationImpact.LIVE, DomainModificationImpact.CONFIG
    metadata.set("urn:pyvirt:test", "<now/>", key="t", flags=live)
    metadata.set("urn:pyvirt:test", "<later/>", key="t", flags=config)
    assert [metadata.get("urn:pyvirt:test", flags=flags) for flags in (live, config)] == ["<now/>", "<later/>"]
    metadata.delete("urn:pyvirt:test", flags=live)
    guest.destroy()
    assert metadata.get("urn:pyvirt:test") == "<later/>"
